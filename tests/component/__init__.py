"""Compare the running component with its model: a tool for maintainers of the models."""
