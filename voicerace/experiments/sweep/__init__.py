"""A grid of sessions, played and written down."""
