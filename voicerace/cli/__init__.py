"""The command line: one function per verb, options declared once, no logic."""

from voicerace.cli.app import main

__all__ = ["main"]
