"""Compares the running component with its model. A tool for maintainers of the models."""
