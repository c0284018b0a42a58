"""Experiments with many sessions: sweeps, and the exploration of every order of events."""
