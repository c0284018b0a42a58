"""The running component against its model: a tool for maintainers of the models."""
