"""Who takes part in a session: machines without I/O and without a clock."""
