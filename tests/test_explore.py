"""Test the exploration: it finds the known races, every finding can be replayed, and random sessions have no others."""

from __future__ import annotations

import json
import random
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicerace.cli import main
from voicerace.engine.schedule import Schedule
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.errors import InputError
from voicerace.experiments.explore import state_store, timed_trace
from voicerace.experiments.explore.attribution import CreateOrigin
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.explorer import ExplorationResult, confirmed, explore, explored
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.replay import replayed
from voicerace.experiments.explore.search import Search
from voicerace.experiments.explore.signature import Signature, _Reader, signatures
from voicerace.experiments.explore.state import State
from voicerace.experiments.explore.stepper import Stepper, Visible
from voicerace.experiments.explore.stories import STORIES, session_of, stories
from voicerace.model.parameters import Times
from voicerace.trace.recording import WIRES, Link


@cache
def found(release: str, story: str, handler: str = "return", bounds: tuple[str, ...] = ()) -> ExplorationResult:
    return explore(release, [(story, handler)], bounds)


def outcomes(release: str, story: str, handler: str = "return", bounds: tuple[str, ...] = ()) -> set[str]:
    explored = found(release, story, handler, bounds)
    assert explored.stats[0].complete
    assert explored.stats[0].unconfirmed == 0
    return {each.outcome for each in explored.findings}


def exactly(tool: float, gap: float, host: float = 10, upstream: float = 20, ack: float = 35) -> tuple[str, ...]:
    """Return bounds that fix each time of the race (in ms). `host` and `upstream` are one-way times."""
    given = {"tool_ms": tool, "gap_ms": gap, "host_ms": host, "upstream_ms": upstream, "ack_ms": ack}
    return tuple(f"{name}={value}:{value}" for name, value in given.items())


# -- docs/protocol-facts.md#closed-forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tool", "refused"), [(239.9, True), (240.1, False)])
def test_an_immediate_request_is_refused_iff_it_arrives_before_the_slot_is_free(tool: float, refused: bool) -> None:
    # The limit is tool + host + upstream = gap, with round trips: 240 + 20 + 40 = 300.
    assert outcomes("0.9.1", "single", bounds=exactly(tool, 300)) == ({"rejected"} if refused else set())


@pytest.mark.parametrize(("tool", "stalled"), [(279.9, False), (280.1, True)])
def test_a_request_at_response_done_stalls_iff_the_result_comes_after_it(tool: float, stalled: bool) -> None:
    # The limit is tool + host = gap, with round trips: 280 + 20 = 300.
    assert outcomes("0.9.4", "single", bounds=exactly(tool, 300)) == ({"stalled", "wedged"} if stalled else set())


@pytest.mark.parametrize(("tool", "refused"), [(164.9, True), (165.1, False)])
def test_a_request_at_the_confirmation_is_refused_iff_that_is_before_the_slot_is_free(tool: float, refused: bool) -> None:
    # The limit is tool + host + 2 * upstream + ack = gap, with round trips: 165 + 20 + 80 + 35 = 300.
    assert outcomes("0.11.1", "single", bounds=exactly(tool, 300)) == ({"lost"} if refused else set())


def test_the_known_race_of_each_generation_is_found() -> None:
    assert Signature("rejected", "calls", "result", "result", 1) in found("0.9.1", "single").findings
    assert Signature("stalled", "", "result", "R", 1) in found("0.9.4", "single").findings
    assert Signature("rejected", "calls", "result", "result", 1) in found("0.10.2", "single").findings
    assert Signature("lost", "calls", "result", "I", 1) in found("0.11.1", "single").findings


def test_from_a1_on_a_text_before_settings_leaves_the_session_unconfigured() -> None:
    near = ("host_ms=0:10", "upstream_ms=0:10", "settings_ms=200:400", "gap_ms=0:50", "tool_ms=100:200", "ack_ms=0:10")
    assert "unconfigured" not in outcomes("0.9.0", "late-settings", bounds=near)
    assert "unconfigured" in outcomes("0.9.1", "late-settings", bounds=near)


def test_without_a_gap_no_request_is_refused() -> None:
    assert outcomes("0.9.1", "single", bounds=("gap_ms=0:0",)) == set()


# -- soundness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("release", "story"), [("0.9.1", "single"), ("0.9.4", "two-turns"), ("0.9.1", "spoken-last")])
def test_a_finding_is_confirmed_after_a_round_trip_through_json(release: str, story: str) -> None:
    findings = found(release, story).findings
    assert findings
    for signature, finding in findings.items():
        again = Finding.from_json(json.loads(json.dumps(finding.to_json())))
        assert again == replace(finding, trace=again.trace)
        replay = replayed(again)
        assert replay.confirmed
        assert signature in replay.signatures
        assert replay.recording.complete


def test_the_trace_has_the_times_of_the_replay() -> None:
    """The trace and the recording agree on the time at which a request reaches the upstream."""
    finding = found("0.9.1", "single").findings[Signature("rejected", "calls", "result", "result", 1)]
    recording = replayed(finding).recording
    arrived = [e.received_ns for e in recording.on(Link("proxy", "upstream")) if e.type == "response.create"]
    traced = [step["ms"] * 1e6 for step in finding.trace if step["what"] == "response.create from proxy"]
    assert arrived[: len(traced)] == pytest.approx(traced)
    assert [step["ms"] for step in finding.trace] == sorted(step["ms"] for step in finding.trace)


def test_findings_keep_a_minimum_distance_between_steps() -> None:
    for finding in found("0.9.1", "single").findings.values():
        assert finding.slack_ms >= 1


# -- completeness ----------------------------------------------------------------------------------------------------


def drawn(release: str, story: str, handler: str, seed: int) -> tuple[Signature, ...]:
    """Return the signatures of a random session within the bounds, with independent durations and message delays."""
    rng = random.Random(seed)
    bounds = Bounds.of((), STORIES[story].bounds)
    session = session_of(story, handler, release)
    texts = {}
    for name in session.times.values:
        if name in bounds.by_name:
            low, high = bounds.by_name[name]
            top = low + (high - low) * rng.choice([1, 1, 0.3, 0.1, 0.03, 0.01])
            texts[name] = f"uniform({low / 1000},{top / 1000})" if high > low else f"{low / 1000}"
    messages = {}
    for wire in WIRES:
        low, high = bounds.wire(*wire)
        top = low + (high - low) * rng.choice([1, 1, 0.3, 0.05])
        messages[wire] = {number: int(rng.uniform(low, top) * 1000) for number in range(400)}
    session = replace(session, times=Times.of(texts), seed=seed)
    recording = VirtualEngine(session, schedule=Schedule({}, messages)).run()
    return signatures(recording, session.release)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        [
            ("0.9.1", "single", "return"),
            ("0.9.4", "single", "return"),
            ("0.9.4", "single", "void_ref"),
            ("0.11.1", "single", "return"),
            ("0.9.1", "spoken-last", "return"),
        ]
    ),
    st.integers(0, 10**9),
)
def test_no_random_session_has_a_signature_that_was_not_found(which: tuple[str, str, str], seed: int) -> None:
    assert set(drawn(*which, seed)) <= set(found(*which).findings)


class Everything(set[tuple[Link, Hashable]]):
    """A set of visible messages that contains every message from the upstream."""

    def __contains__(self, message: object) -> bool:
        return isinstance(message, tuple) and (message[0] == Link("upstream", "proxy") or super().__contains__(message))


@pytest.mark.parametrize(
    ("release", "story", "handler"),
    [("0.11.1", "voice", "return"), ("0.9.4", "two-turns", "return"), ("0.11.1", "single", "void_ref")],
)
def test_states_with_one_key_continue_alike(release: str, story: str, handler: str) -> None:
    """Repeat the steps to each ending with separate states. After each step, the state has the key of the explored node."""
    bounds = Bounds.of((), STORIES[story].bounds)
    session = session_of(story, handler, release)
    stepper, search, reached = explored(replace(session, times=bounds.within(session.times)), bounds, 60_000)
    for ending in reached.endings:
        at, move = timed_trace.dated(stepper.start(), 0), search.store.start()
        for moment, way in enumerate(search.path(ending.node), start=1):
            assert way.choice is not None
            before, at = at, stepper.step(at, state_store.actual(at, way.choice))
            state_store.turned(stepper, before, at)
            if way.late is not None:
                at = state_store.settled(stepper, at, late=way.late)
            at = timed_trace.dated(at, moment)
            move = next(each for each in search.store.step(move.to, way.choice).moves if each.late == way.late)
            assert search.store.known[search.store.named(at)[1]] is move.to


def reached(story: str, release: str, limit: int) -> Search:
    """Explore at most `limit` states of `story` and return the search."""
    bounds = Bounds.of((), STORIES[story].bounds)
    session = session_of(story, "return", release)
    return explored(replace(session, times=bounds.within(session.times)), bounds, limit)[1]


def test_the_constants_of_a_moment_cover_everything_set_in_it() -> None:
    """`covered` uses these constants. Smaller constants would merge times with different continuations."""
    for place in reached("double", "0.9.1", 1_500).store.known.values():
        for moment, most in place.due:
            assert place.most[moment] >= most
        for _, moment, least in place.choices:
            assert place.least[moment] >= least


def test_no_turn_ends_while_its_messages_are_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger of a turn is closed at the turn's end. Later messages belong to the next turn."""
    left, turned = [], state_store.turned

    def watching(stepper: Stepper, before: State, at: State) -> int | None:
        turn_key = turned(stepper, before, at)
        if turn_key is not None:
            left.append({flight.kind for wire in WIRES for flight in at.queues[wire] if flight.moment is not None})
        return turn_key

    monkeypatch.setattr(state_store, "turned", watching)
    reached("text-at-call", "0.9.1", 1_500)
    assert left
    assert set().union(*left) <= {"InjectUserMessage", "(audio)"}


SMALL = ("host_ms=0:30", "upstream_ms=0:30", "tool_ms=0:400", "gap_ms=0:300")


@pytest.mark.parametrize(
    ("release", "story", "handler"),
    [("0.9.1", "single", "return"), ("0.11.1", "single", "void_ref"), ("0.9.4", "text-at-reply", "return")],
)
def test_invisible_messages_do_not_hide_findings(release: str, story: str, handler: str) -> None:
    """The search finds the same findings as a search with a time for every message, and needs fewer states."""
    bounds = Bounds.of(SMALL, STORIES[story].bounds)
    session = session_of(story, handler, release)
    session = replace(session, times=bounds.within(session.times))
    visible, reached = Everything(), None
    while reached is None:
        search = Search(Stepper(session, visible), bounds, 60_000)
        with suppress(Visible):
            reached = search.run()
    assert reached.complete
    reduced = found(release, story, handler, SMALL)
    assert reduced.stats[0].complete
    assert reduced.stats[0].states < reached.states
    every = set()
    for ending in reached.endings:
        replay = confirmed(search.store.stepper, search, ending, session, bounds)
        every |= set() if replay is None else set(replay[3])
    assert every == set(reduced.findings)


def test_a_bound_of_one_value_is_an_interval_of_that_value() -> None:
    assert Bounds.of(["tool_ms=5"]).by_name["tool_ms"] == Bounds.of(["tool_ms=5:5"]).by_name["tool_ms"] == (5000, 5000)


def test_a_refusal_is_attributed_to_the_result_and_not_to_a_text() -> None:
    reader = _Reader.__new__(_Reader)
    creates = [SimpleNamespace(key=key, answer="refused", answered=10 + key, names=None) for key in (1, 2)]
    reader.index = SimpleNamespace(ledger=SimpleNamespace(creates=creates, responses={}))  # type: ignore[assignment]
    reader.origins = {1: CreateOrigin("user text", "item"), 2: CreateOrigin("result", "response.done")}
    both, alone = (SimpleNamespace(outcome="rejected", events=events, submissions=1) for events in ((11, 12), (11,)))
    assert reader.turn(both) == Signature("rejected", "unknown", "result", "response.done", 1)  # type: ignore[arg-type]
    assert reader.turn(alone).writer == "user text"  # type: ignore[arg-type]


def test_a_limit_makes_an_exploration_incomplete() -> None:
    assert not explore("0.9.1", [("single", "return")], limit=50).stats[0].complete


# -- schedules -------------------------------------------------------------------------------------------------------


def test_a_schedule_keeps_the_order_of_messages_on_a_link() -> None:
    session = session_of("single", "return", "0.9.1")
    over = Link("upstream", "proxy")
    recording = VirtualEngine(session, schedule=Schedule({}, {over: {0: 90_000_000, 1: 5, 3: 40_000_000}})).run()
    times = [event.received_ns for event in recording.on(over)]
    assert times == sorted(set(times))
    assert times[0] == 90_000_000


def test_a_schedule_sets_a_single_timer() -> None:
    session = session_of("single", "return", "0.9.1")
    ordinary = VirtualEngine(session).run()
    timers = {("app", "tool:call_0001:0"): (777_000_000,)}
    recording = VirtualEngine(session, schedule=Schedule(timers)).run()

    def result_ns(of: object) -> int:
        events = [e for e in of.events if e.type in ("FunctionCallRequest", "FunctionCallResponse")]  # type: ignore[attr-defined]
        return events[1].sent_ns - events[0].received_ns

    assert result_ns(recording) == 777_000_000 != result_ns(ordinary)


@pytest.mark.parametrize("record", [None, {}, {"timers": [], "messages": {"nowhere": {}}}, {"timers": [{"party": "app"}]}])
def test_a_broken_schedule_is_bad_input(record: object) -> None:
    with pytest.raises(InputError):
        Schedule.from_json(record)


# -- command line ----------------------------------------------------------------------------------------------------


def test_the_verb_prints_findings_that_replay_confirms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.json"
    pair = ["--scenario", "single", "--handler", "return"]
    assert main(["explore", "--release", "0.9.1", *pair, "--out", str(out), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads(out.read_text("utf-8"))
    assert record["complete"]
    assert record["unconfirmed"] == 0
    assert record["states"] > 100
    assert record["bounds"]["recovery_ms"] == [20_000, 20_000]
    (finding,) = record["findings"]
    assert {"outcome", "name", "writers", "cleared_by", "trace", "times_ms", "sentence", "holder", "results"} <= set(finding)
    assert main(["replay", str(out)]) == 0
    assert main(["replay", str(out), "--name", finding["name"], "--json"]) == 0
    capsys.readouterr()
    finding["outcome"] = "lost"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(finding), "utf-8")
    assert main(["replay", str(other)]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["explore", "--scenario", "unknown"],
        ["explore", "--handler", "unknown"],
        ["explore", "--bounds", "gap_ms"],
        ["explore", "--bounds", "gap_ms=9:1"],
        ["explore", "--bounds", "recovery_ms=1:2"],
        ["explore", "--release", "7"],
        ["replay", "nowhere.json"],
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_every_handler_style_and_scenario_feature_has_a_story() -> None:
    pairs = stories()
    assert {handler for _, handler in pairs} >= {"return", "async_send", "async_ref", "void_ref", "void_send", "ref_now"}
    scenarios = [STORIES[name].scenario for name, _ in pairs]
    assert any(each.repeats for each in scenarios)
    assert any(each.late_settings for each in scenarios)
    assert any(words.by == "voice" for each in scenarios for words in each.inputs)
    assert any(words.when == "call" for each in scenarios for words in each.inputs)
    assert any(STORIES[name].calls == 2 for name, _ in pairs)
    assert all(len(each.inputs) >= 2 for each in scenarios)
