"""Sweeps: grids of sessions that are played and written to a run folder."""
