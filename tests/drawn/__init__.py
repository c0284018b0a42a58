"""Play exchanges that hypothesis draws to a running proxy and to its model. A tool for maintainers of the models."""
