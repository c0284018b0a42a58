"""Find out when a Realtime API refuses a response around a function call.

A session can be simulated or run on sockets, recorded, judged, swept and explored.
"""

from typing import TYPE_CHECKING, Any, Final

from voicerace.values import load

if TYPE_CHECKING:
    from voicerace.analysis.outcomes import Outcome as Outcome
    from voicerace.analysis.outcomes import Turn as Turn
    from voicerace.analysis.outcomes import Verdict as Verdict
    from voicerace.analysis.verdict import judge as judge
    from voicerace.captures import read_capture as read_capture
    from voicerace.engine.session import SessionConfig as SessionConfig
    from voicerace.engine.sim.virtual import simulate as simulate
    from voicerace.errors import InputError as InputError
    from voicerace.experiments.achieved_times import measured
    from voicerace.experiments.explore.explorer import explore as explore
    from voicerace.experiments.explore.finding import Finding as Finding
    from voicerace.experiments.sweep.result import SweepResult as SweepResult
    from voicerace.experiments.sweep.sweep import sweep as sweep
    from voicerace.model.parameters import Times as Times
    from voicerace.trace.event import Event as Event
    from voicerace.trace.event import Link as Link
    from voicerace.trace.recording import Recording as Recording
    from voicerace.trace.recording import read_recordings as read_recordings

    times = measured

#: Version of the package, which the build reads from this line.
__version__ = "0.1.0"

#: ``module:attribute`` of each public name, imported on first use so that the command line starts fast.
_PLACES: Final = {
    "Event": "trace.event:Event",
    "Finding": "experiments.explore.finding:Finding",
    "InputError": "errors:InputError",
    "Link": "trace.event:Link",
    "Outcome": "analysis.outcomes:Outcome",
    "Recording": "trace.recording:Recording",
    "SessionConfig": "engine.session:SessionConfig",
    "SweepResult": "experiments.sweep.result:SweepResult",
    "Times": "model.parameters:Times",
    "Turn": "analysis.outcomes:Turn",
    "Verdict": "analysis.outcomes:Verdict",
    "explore": "experiments.explore.explorer:explore",
    "judge": "analysis.verdict:judge",
    "read_capture": "captures:read_capture",
    "read_recordings": "trace.recording:read_recordings",
    "simulate": "engine.sim.virtual:simulate",
    "sweep": "experiments.sweep.sweep:sweep",
    "times": "experiments.achieved_times:measured",
}
__all__ = [*_PLACES, "__version__"]


def __getattr__(name: str) -> Any:
    return load(globals(), _PLACES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
