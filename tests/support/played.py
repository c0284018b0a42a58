"""Play sessions of the models, and assert facts about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicerace.analysis.verdict import Turn, Verdict, judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate, ties
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Event, Recording, link

__all__ = [
    "assert_never_refused",
    "assert_refused",
    "on_wire",
    "outcome",
    "outcomes",
    "play",
    "refusals",
    "said",
    "session",
    "tool_turn",
    "verdict",
    "with_tie",
]

#: Parameters of `SessionConfig.of`. Every other keyword of a test is a time in ms.
_WORDS = frozenset(
    ("release", "component_tag", "scenario", "handler", "profile", "modality", "calls", "preamble", "tool_end", "knobs_given",
     "seed", "times")
)  # fmt: skip


def session(**given: Any) -> SessionConfig:
    """Return a session with the given parameters and times, such as ``session(release="0.9.1", tool_ms=50)``."""
    words = {name: value for name, value in given.items() if name in _WORDS}
    times: Mapping[str, Any] = {name: value for name, value in given.items() if name not in _WORDS}
    return SessionConfig.of(**{**words, "times": {**words.get("times", {}), **times}})


def play(**given: Any) -> Recording:
    return simulate(session(**given))


def verdict(**given: Any) -> Verdict:
    return judge(play(**given))


def outcome(**given: Any) -> str:
    return verdict(**given).outcome


def with_tie(**given: Any) -> tuple[str, str | None]:
    """Return the outcome of a session and the outcome of its tie, or None without a tie."""
    recording, other = ties(session(**given), lambda each: judge(each).outcome)
    return judge(recording).outcome, other


def outcomes(tool_ms: tuple[float, ...], **given: Any) -> list[str]:
    return [outcome(**given, tool_ms=each) for each in tool_ms]


def tool_turn(recording: Recording) -> Turn:
    """Return the tool turn of a recording that has exactly one."""
    turns = judge(recording).turns
    assert len(turns) == 1, f"{len(turns)} tool turns, not one"
    return turns[0]


def on_wire(recording: Recording, name: str, kind: str | None = None) -> list[Event]:
    """Return the messages on one link in sending order, or only those of type `kind`."""
    events = recording.on(link(name))
    return [event for event in events if event.kind == "message" and (kind is None or event.type == kind)]


def said(recording: Recording, name: str, kind: str) -> list[dict[str, Any]]:
    """Return the JSON messages of type `kind` on one link in sending order."""
    return [event.payload for event in on_wire(recording, name, kind) if isinstance(event.payload, dict)]


def refusals(recording: Recording) -> list[dict[str, Any]]:
    return [each for each in said(recording, "upstream>proxy", "error") if realtime.is_refusal(each)]


def assert_refused(recording: Recording, times: int = 1) -> None:
    """Assert that the API refused `response.create` exactly `times` times because a response was active."""
    found = refusals(recording)
    assert len(found) == times, f"refused {len(found)} times, not {times}"


def assert_never_refused(recording: Recording) -> None:
    assert_refused(recording, times=0)
