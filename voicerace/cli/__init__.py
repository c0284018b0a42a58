"""The command line of voicerace. It has one function per verb, which calls the library and prints the result."""

from voicerace.cli.app import main

__all__ = ["main"]
