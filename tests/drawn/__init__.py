"""Plays exchanges drawn by hypothesis to a running proxy and to its model. A tool for maintainers of the models."""
