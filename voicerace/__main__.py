"""`python -m voicerace`."""

import sys

from voicerace.cli import main

if __name__ == "__main__":
    sys.exit(main())
