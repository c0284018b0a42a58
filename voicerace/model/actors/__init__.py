"""The actors of a session: they do no I/O and read no clock."""
