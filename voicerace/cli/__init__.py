"""The command line, with one function per verb that calls the library and prints the result."""

from voicerace.cli.app import main

__all__ = ["main"]
