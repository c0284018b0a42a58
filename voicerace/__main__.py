"""Entry point of the command `voicerace` and of `python -m voicerace`.

An interruption prints one line instead of a traceback, also while the libraries load. SIGTERM interrupts a command as Ctrl-C
does, but the exit status is 143 instead of 130.
"""

import gc
import signal
import sys
import threading

__all__ = ["main"]

_INTERRUPTED = 128 + signal.SIGINT

#: Number of allocations between two runs of the garbage collector. With Python's default of 700, it runs about 100 times
#: while the libraries load.
_COLLECT_EVERY = 50_000


def main() -> int:
    """Run the command line and return the exit status."""
    gc.set_threshold(_COLLECT_EVERY)
    terminated = False

    def terminate(*_: object) -> None:
        nonlocal terminated
        # Schedulers and `timeout` send SIGTERM to the process and to its group. The second SIGTERM must not end the cleanup.
        if not terminated:
            terminated = True
            if callable(signal.getsignal(signal.SIGINT)):
                signal.raise_signal(signal.SIGINT)
            else:  # SIGINT is ignored in a background job of a shell
                raise KeyboardInterrupt

    handled = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    try:
        if handled:
            signal.signal(signal.SIGTERM, terminate)
        from voicerace.cli import main as run  # imported here because the import is slow

        status = run()
    except KeyboardInterrupt:
        print("\nvoicerace: interrupted", file=sys.stderr)
        status = _INTERRUPTED
    finally:
        if handled:  # An interruption while the interpreter exits would print a traceback.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if status == _INTERRUPTED:
        # If an interruption occurs inside `exec` (which dataclasses use while libraries load), Python marks it as unhandled
        # and ends with SIGINT instead of the status. Another `exec` clears the mark.
        exec("")  # noqa: S102
        return 128 + signal.SIGTERM if terminated else status
    return status


if __name__ == "__main__":
    sys.exit(main())
