"""Recordings in, judgements out."""
