"""The command `voicerace`, and `python -m voicerace`: an interruption is one line, also while its libraries load.

SIGTERM interrupts a verb as Ctrl-C does: it keeps what was done and ends what it started. The exit status is 143 then, not 130.
"""

import gc
import signal
import sys
import threading

__all__ = ["main"]

_INTERRUPTED = 128 + signal.SIGINT

#: Objects allocated before the collector looks for cycles; Python's 700 makes it run some 100 times while libraries load.
_COLLECT_EVERY = 50_000


def main() -> int:
    """Run the command line; gives the exit status."""
    gc.set_threshold(_COLLECT_EVERY)
    terminated = False

    def terminate(*_: object) -> None:
        nonlocal terminated
        # Schedulers and `timeout` send it to the process and to its group: the second one must not end the tidying up.
        if not terminated:
            terminated = True
            if callable(signal.getsignal(signal.SIGINT)):
                signal.raise_signal(signal.SIGINT)
            else:  # ignored, as of a shell's job in the background
                raise KeyboardInterrupt

    handled = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    try:
        if handled:
            signal.signal(signal.SIGTERM, terminate)
        from voicerace.cli import main as run  # not above: this is what takes long

        status = run()
    except KeyboardInterrupt:
        print("\nvoicerace: interrupted", file=sys.stderr)
        status = _INTERRUPTED
    finally:
        if handled:  # the interpreter's own end is not to be interrupted
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if status == _INTERRUPTED:
        # An interruption inside `exec` of a text (a dataclass that is made while libraries load) is remembered as unhandled,
        # and Python would end with SIGINT instead of the status; the next `exec` forgets it.
        exec("")  # noqa: S102
        return 128 + signal.SIGTERM if terminated else status
    return status


if __name__ == "__main__":
    sys.exit(main())
