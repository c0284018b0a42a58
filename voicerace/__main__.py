"""The command `voicerace`, and `python -m voicerace`: an interruption while its libraries load is one line, too."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; gives the exit status."""
    try:
        from voicerace.cli import main as run  # not above: this is what takes long

        return run()
    except KeyboardInterrupt:
        print("\nvoicerace: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
