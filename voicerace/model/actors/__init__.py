"""The actors of a session. They do not perform I/O and do not read a clock."""
