"""Data only: what the releases, the slot, the handlers, the scenarios and the time profiles are, with the evidence."""
