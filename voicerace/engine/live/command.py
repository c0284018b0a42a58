"""Somebody's command, run as if we were not there: its terminal, its environment, its signals and its exit status.

It stays in our process group, so that it can read from the terminal. A signal that the terminal sends (Ctrl-C) reaches
it without us; any other that we get is passed on. Either way we go on until the command has ended.
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
#: Sent by a terminal to everybody in its foreground process group. Who sends one to us alone while we are in the
#: foreground does not reach the command: the two cannot be told apart, and an interrupt that comes twice kills.
_OF_TERMINAL: Final = frozenset({signal.SIGINT, signal.SIGQUIT})


def check_command(command: Sequence[str]) -> None:
    """Refuse a command that cannot be started, before anything else happens.

    Raises:
        InputError: there is none, or no such program.
    """
    if not command or not command[0]:
        raise InputError("command", "is missing", "-- COMMAND, at the end")
    if shutil.which(command[0]) is None:
        raise InputError("command", f"{command[0]!r} is no program", "one on the PATH, or the path of one")


class Signals:
    """While this is open, what others ask of us they ask of the command.

    Attributes:
        unheard: set when a signal came that there was no command for: before it was started, or after it had ended.
    """

    def __init__(self) -> None:
        self.unheard = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None
        self._handled: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Only the main thread can; what was ignored before (nohup) stays ignored, by the command too.
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
            self.unheard.set()
        elif sign not in _OF_TERMINAL or not _in_foreground():
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(sign)

    async def run(self, command: Sequence[str], variables: Mapping[str, str]) -> int:
        """Run a command to its end; gives its exit status, 128 + N when signal N ended it.

        Args:
            command: the program and its arguments.
            variables: of its environment, beside ours.

        Raises:
            InputError: it cannot be started.
        """
        try:
            self._child = await asyncio.create_subprocess_exec(*command, env={**os.environ, **variables})
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise InputError("command", f"{command[0]!r} cannot be started: {why}", "a program") from None
        if self.unheard.is_set():
            self._child.terminate()
        status = await self._child.wait()
        return status if status >= 0 else 128 - status


def _in_foreground() -> bool:
    """Whether a terminal sends its signals to our process group."""
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
