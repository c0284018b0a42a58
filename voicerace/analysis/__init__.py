"""Measure and judge recordings."""
