"""Engines, which carry messages between the actors in virtual time (`sim`) or on sockets (`live`)."""
