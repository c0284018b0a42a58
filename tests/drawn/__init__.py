"""Exchanges drawn by hypothesis, played to a running proxy and to its model: a tool for maintainers of the models."""
