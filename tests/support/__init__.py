"""Shared code of the tests: sessions to play, a bench for one actor, hand-written recordings, and strict models."""
