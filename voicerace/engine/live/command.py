"""Runs a user's command in this process's terminal and environment, and passes on signals and the exit status.

The command stays in this process group, so that it can read from the terminal and gets the terminal's signals (Ctrl-C). This
process passes on other signals and runs until the command has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from voicerace.errors import InputError

__all__ = ["Signals", "check_command"]

_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
#: Signals that a terminal sends to its foreground process group. The command gets them from the terminal, so they are not
#: passed on: a second interrupt could kill the command. Signals from a terminal and signals to this process alone cannot be
#: distinguished.
_OF_TERMINAL: Final = frozenset({signal.SIGINT, signal.SIGQUIT})


def check_command(command: Sequence[str]) -> None:
    """Check that a command can be started.

    Raises:
        InputError: the command is empty, or its program does not exist.
    """
    if not command or not command[0]:
        raise InputError("command", "is missing", "-- COMMAND, at the end")
    if shutil.which(command[0]) is None:
        raise InputError("command", f"{command[0]!r} is no program", "one on the PATH, or the path of one")


class Signals:
    """Passes this process's signals on to the command while the context is open.

    Attributes:
        unhandled: set when a signal arrives before the command has started or after it has ended.
    """

    def __init__(self) -> None:
        self.unhandled = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None
        self._handled: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Only the main thread can set handlers. A signal that is already ignored (nohup) stays ignored.
        if threading.current_thread() is threading.main_thread():
            before = {each: signal.getsignal(each) for each in _PASSED_ON}
            self._handled = {each: handler for each, handler in before.items() if handler is not signal.SIG_IGN}
        for each in self._handled:
            asyncio.get_running_loop().add_signal_handler(each, self._take, each)
        return self

    def __exit__(self, *_: object) -> None:
        for each, before in self._handled.items():
            asyncio.get_running_loop().remove_signal_handler(each)
            signal.signal(each, before)

    def _take(self, sign: signal.Signals) -> None:
        if self._child is None or self._child.returncode is not None:
            self.unhandled.set()
        elif sign not in _OF_TERMINAL or not _in_foreground():
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(sign)

    async def run(self, command: Sequence[str], variables: Mapping[str, str]) -> int:
        """Run a command until it ends, and return its exit status, which is 128 + N if signal N ended it.

        Args:
            command: program and its arguments.
            variables: variables to add to the environment.

        Raises:
            InputError: the command cannot be started.
        """
        try:
            self._child = await asyncio.create_subprocess_exec(*command, env={**os.environ, **variables})
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise InputError("command", f"{command[0]!r} cannot be started: {why}", "a program") from None
        if self.unhandled.is_set():
            self._child.terminate()
        status = await self._child.wait()
        return status if status >= 0 else 128 - status


def _in_foreground() -> bool:
    """Return whether this process group is the terminal's foreground group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
