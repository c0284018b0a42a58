"""Experiments with many sessions: sweeps, and explorations of every order of events."""
