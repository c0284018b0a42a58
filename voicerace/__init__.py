"""voicerace: when does a Realtime API refuse a response around a function call?

Drive a session, record every message with its time, judge it, sweep it, draw it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicerace.engines.session import Session
    from voicerace.engines.virtual import simulate
    from voicerace.errors import InputError
    from voicerace.recording import Event, Link, Recording, read_recordings
    from voicerace.sweep import Run
    from voicerace.verdict import Turn, Verdict, judge

#: Read by the build, so that it stands once.
__version__ = "0.1.0"

__all__ = [
    "Event",
    "InputError",
    "Link",
    "Recording",
    "Run",
    "Session",
    "Turn",
    "Verdict",
    "__version__",
    "judge",
    "read_recordings",
    "simulate",
]

#: Where each comes from. They are loaded when they are asked for: the command line has to be there before its libraries are.
_MODULE = {
    "Event": "recording",
    "InputError": "errors",
    "Link": "recording",
    "Recording": "recording",
    "Run": "sweep",
    "Session": "engines.session",
    "Turn": "verdict",
    "Verdict": "verdict",
    "judge": "verdict",
    "read_recordings": "recording",
    "simulate": "engines.virtual",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'voicerace' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"voicerace.{_MODULE[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
