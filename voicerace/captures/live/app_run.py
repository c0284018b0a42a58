"""Run the reproduction's React app in Chromium, record both sides of its proxy, and judge the sessions.

    browser -> the checkout's forwarder -> relay -> the checkout's proxy -> relay -> the mock

`run.mjs` of the app starts forwarder and browser. It is the command of a `capture`, so recordings, pairing and verdicts are
made as in `voicerace capture`.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from voicerace.analysis.verdict import judge
from voicerace.captures.live.app_folder import Programs
from voicerace.captures.live.mock_thread import MockThread
from voicerace.captures.live.record import Captured, WatchedSession, capture
from voicerace.engine.given_results import GivenResult, with_results
from voicerace.engine.live.backend import Backend, free_port
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.achieved_times import measured
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.scenarios import REPRO
from voicerace.model.parameters import MAX_CALLS
from voicerace.model.protocol import agent, realtime
from voicerace.trace.recording import Recording
from voicerace.units import ms, ns

__all__ = ["ACT_MS", "CAUSES", "AppRun", "Expected", "expected", "play_app", "results"]

#: Name of the app's additional action -> description.
CAUSES: Final[Mapping[str, str]] = {
    "none": "nothing else",
    "retry": "the app sends each result again after repeat_ms",
    "leaky_effect": "an effect subscribes to calls and never unsubscribes; StrictMode runs it twice",
    "remount": "the app's component gets another key while the tool runs",
    "two_components": "two components are mounted and started",
    "hot_handler": "a hot reload renders a new handler function while the tool runs",
    "hot_remount": "a hot reload replaces the app's component, with its state, while the tool runs",
}
#: Time in ms from the call to `remount`, `hot_handler` or `hot_remount`.
ACT_MS: Final = 100
_REALTIME: Final = "/v1/realtime?model=gpt-realtime"
_LOG: Final = "app.jsonl"
#: Time in ms added to the session's deadline, so that the browser stays open beyond the deadline.
_MARGIN_MS: Final = 1_000
#: Minimum uncertainty of the measured times in ms. A relay does not observe the time at which a program handles a message.
_LEAST_ROOM_MS: Final = 4.0


@dataclass(frozen=True)
class AppRun:
    """A finished run of the app.

    Attributes:
        captured: the capture.
        sessions: the recorded sessions, one per connection of a component.
        notes: the app's log of its callbacks and actions as ``{"at", "type", "text"}``.
    """

    captured: Captured
    sessions: tuple[tuple[WatchedSession, Recording], ...]
    notes: tuple[Mapping[str, Any], ...]

    def errors(self) -> list[str]:
        """Return the code and text of each `onError`."""
        return [str(each["text"]) for each in self.notes if each["type"] == "error"]


@dataclass(frozen=True)
class Expected:
    """Behaviour of the models for the results of a run.

    Attributes:
        outcomes: outcomes in virtual time, if the host sends the same results at the same times. The first uses the measured
            times. The others use times that differ by up to `room_ms`.
        room_ms: uncertainty of the measured times in ms: the delay with which programs handled messages in this run.
        gap_ms: gap in ms that the models use: the last measured gap, else the session's.
        results: number of results that the model of the component sends; None if the model does not cover the cause.
    """

    outcomes: tuple[str, ...]
    room_ms: float
    gap_ms: float
    results: int | None


def play_app(
    app: Path,
    checkout: Path,
    proxy: Path,
    session: SessionConfig,
    found: Programs,
    out: Path,
    *,
    strict: bool = False,
    cause: str = "none",
) -> AppRun:
    """Run the app once and return its recorded sessions.

    Args:
        app: folder of the app with installed packages.
        checkout: checkout with the built component and the forwarder.
        proxy: checkout with the proxy.
        session: handler, times, and the mock's plan.
        found: programs to run.
        out: folder for the capture, which must not exist.
        strict: whether the app is rendered under StrictMode.
        cause: a name of `CAUSES`.

    Raises:
        InputError: a program did not start, a port is in use, or the page had an error.
        KeyboardInterrupt: a signal ended the run.
    """
    port = free_port()
    log = app.parent / f"{out.name}-{_LOG}"
    command = [found.node, str(app / "run.mjs"), "--once", "--port", "0", "--handler", session.handler, "--cause", cause]
    command += [f"--{name}={value:g}" for name, value in _options(session).items()] + ["--log", str(log.absolute())]
    command += ["--strict"] if strict else []
    with (
        MockThread(replace(session, scenario=REPRO)) as mock,
        Backend(proxy, f"ws://127.0.0.1:{port}{_REALTIME}", log=app.parent / f"{out.name}-proxy.log") as backend,
        _variables(CHECKOUT=str(checkout), CHROMIUM=found.chromium),
    ):
        host, upstream = f"0=ws://127.0.0.1:{backend.port}", f"{port}={mock.url}"
        done = capture(command, host=host, upstream=upstream, out=out)
    if done.status in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        raise KeyboardInterrupt(f"what was recorded is in {out}")
    notes = _notes(log)
    if done.status != 0:
        why = next((str(each.get("text")) for each in notes if each.get("type") == "failed"), f"exit status {done.status}")
        raise InputError("app", why, f"the app's notes are in {log}")
    sessions = tuple((each, Recording.read(each.file)) for each in done.sessions)
    return AppRun(done, sessions, tuple(notes))


def results(recording: Recording) -> list[GivenResult]:
    """Return the results of a recording's first call, timed from the call; without a call, all, timed from the first."""
    since, call, found = None, None, []
    for event in recording.events:
        if not isinstance(event.payload, Mapping) or event.sent_ns is None:
            continue
        if event.type == "FunctionCallRequest" and call is None and (calls := event.payload.get("functions")):
            since, call = event.sent_ns, calls[0].get("id")
        elif event.type == "FunctionCallResponse" and call in (None, event.payload.get("id")):
            since = event.sent_ns if since is None else since
            found.append(GivenResult(ms(event.sent_ns - since), agent.is_default_error(event.payload.get("content"))))
    return found


def expected(session: SessionConfig, recording: Recording, *, strict: bool, cause: str) -> Expected | None:
    """Play the models with the results of a recording; return None without a call and a result.

    Args:
        session: handler and times of the run.
        recording: recording of the run, which gives the results and the gap.
        strict, cause: as in `play_app`.
    """
    found = _at_api(recording)
    if not found:
        return None
    usual = {name: ms(session.times.ns(name, 0, session.seed)) for name in ("gap_ms", "ack_ms")}
    gap_ms, ack_ms = ({**usual, **{name: values[-1] for name, values in measured(recording).items()}}[name] for name in usual)
    played = replace(session, scenario=REPRO)

    def outcome(gap_more_ms: float, ack_more_ms: float) -> str:
        times = session.times.with_ns("gap_ms", ns(max(0.0, gap_ms + gap_more_ms))).with_ns("ack_ms", ns(ack_ms + ack_more_ms))
        return judge(with_results(replace(played, times=times), found[:MAX_CALLS])).outcome

    room = max(_LEAST_ROOM_MS, gap_ms - usual["gap_ms"], _proxy_delay_ms(recording))
    outcomes = dict.fromkeys(outcome(gap, ack) for ack in (0, room) for gap in (0, -room, room))
    twice = {"none": 0, "retry": 1, "leaky_effect": int(strict and session.handler != "return"), "hot_handler": 0}.get(cause)
    sent = None if twice is None else HANDLERS[session.handler].submissions + twice
    return Expected(tuple(outcomes), room, gap_ms, sent)


def _at_api(recording: Recording) -> list[GivenResult]:
    """Return the results of the first call, with their times at the API in ms since the call's arguments were complete."""
    since, call, found = None, None, []
    for event in recording.events:
        if not isinstance(event.payload, Mapping) or event.sent_ns is None:
            continue
        item = realtime.item_of(event.payload)
        if event.type == realtime.ARGUMENTS_DONE and since is None:
            since, call = event.sent_ns, event.payload.get("call_id")
        elif event.type == realtime.ITEM_CREATE and since is not None and item.get("call_id") == call:
            found.append(GivenResult(ms(event.sent_ns - since), agent.is_default_error(item.get("output"))))
    return found


def _proxy_delay_ms(recording: Recording) -> float:
    """Return the longest time in ms from a result at the host's relay to the result's item at the API's relay."""
    arrived = [e.received_ns for e in recording.events if e.type == "FunctionCallResponse" and e.received_ns is not None]
    passed = [
        event.sent_ns
        for event in recording.events
        if event.type == realtime.ITEM_CREATE
        and event.sent_ns is not None
        and isinstance(event.payload, Mapping)
        and realtime.item_of(event.payload).get("type") == "function_call_output"
    ]
    return max((ms(after - before) for before, after in zip(arrived, passed, strict=False)), default=0.0)


def _options(session: SessionConfig) -> dict[str, float]:
    """Return the options of `run.mjs` with times in ms."""
    names = {"tool-ms": "tool_ms", "retry-ms": "repeat_ms", "deadline-ms": "deadline_ms"}
    given = {option: ms(session.times.ns(name, 0, session.seed)) for option, name in names.items()}
    return given | {"act-ms": ACT_MS, "deadline-ms": given["deadline-ms"] + _MARGIN_MS}


def _notes(log: Path) -> list[Mapping[str, Any]]:
    try:
        return [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    except FileNotFoundError:
        return []


@contextmanager
def _variables(**values: str) -> Iterator[None]:
    """Set environment variables for a capture's command while the context is open."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
