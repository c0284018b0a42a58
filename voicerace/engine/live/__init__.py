"""Sessions on sockets."""
