"""voicerace: when does a Realtime API refuse a response around a function call?

Drive a session, record every message with its time, judge it, sweep it, explore it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from voicerace.analysis.outcomes import Turn as Turn
    from voicerace.analysis.outcomes import Verdict as Verdict
    from voicerace.analysis.verdict import judge as judge
    from voicerace.captures import read_capture as read_capture
    from voicerace.engine.session import SessionConfig as SessionConfig
    from voicerace.engine.sim.virtual import simulate as simulate
    from voicerace.errors import InputError as InputError
    from voicerace.experiments.explore.explorer import explore as explore
    from voicerace.experiments.explore.finding import Finding as Finding
    from voicerace.experiments.sweep.result import SweepResult as SweepResult
    from voicerace.experiments.sweep.sweep import sweep as sweep
    from voicerace.model.parameters import Times as Times
    from voicerace.trace.event import Event as Event
    from voicerace.trace.event import Link as Link
    from voicerace.trace.recording import Recording as Recording
    from voicerace.trace.recording import read_recordings as read_recordings

#: Read by the build, so that it stands once.
__version__ = "0.1.0"

#: Public name -> its module. Each is loaded when it is asked for: the command line has to be there before its libraries are.
_MODULE: Final = {
    "Event": "trace.event",
    "Finding": "experiments.explore.finding",
    "InputError": "errors",
    "Link": "trace.event",
    "Recording": "trace.recording",
    "SessionConfig": "engine.session",
    "SweepResult": "experiments.sweep.result",
    "Times": "model.parameters",
    "Turn": "analysis.outcomes",
    "Verdict": "analysis.outcomes",
    "explore": "experiments.explore.explorer",
    "judge": "analysis.verdict",
    "read_capture": "captures",
    "read_recordings": "trace.recording",
    "simulate": "engine.sim.virtual",
    "sweep": "experiments.sweep.sweep",
}
__all__ = [*_MODULE, "__version__"]  # the names of the table


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'voicerace' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"voicerace.{_MODULE[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
