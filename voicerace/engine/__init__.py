"""Who carries the messages: the same parties in virtual time or on real sockets, each party replaceable by a real one."""
