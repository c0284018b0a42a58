"""Who carries the messages: the same actors in virtual time or on real sockets, each actor replaceable by a real one."""
