"""A grid of sessions, played and written to a run folder."""
