"""Test that virtual time is repeatable and ordered, and reports the other outcome of events in the same nanosecond."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.played import on_wire, outcome, play, session, with_tie

from voicerace.analysis.verdict import judge
from voicerace.engine.sim.virtual import VirtualEngine, _candidates, simulate, ties
from voicerace.model.actors.actor import Send
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import PROXIES
from voicerace.trace.recording import LINKS, Recording, link
from voicerace.units import ns

MS = st.integers(0, 400)
#: Parameters of any session of the models, including drawn times and ties.
SESSIONS = st.fixed_dictionaries(
    {
        "release": st.sampled_from(sorted(PROXIES)),
        "handler": st.sampled_from(sorted(HANDLERS)),
        "modality": st.sampled_from(["text", "audio"]),
        "preamble": st.booleans(),
        "tool_end": st.sampled_from(["result", "result", "error", "reject", "none"]),
        "seed": st.integers(0, 3),
        "times": st.fixed_dictionaries(
            {
                "tool_ms": MS | st.just("uniform(0,400)") | st.just("10,200,30"),
                "gap_ms": MS | st.just("uniform(0,400)"),
                "host_rtt_ms": st.sampled_from([0, 1, 20, "uniform(0,40)"]),
                "upstream_rtt_ms": st.sampled_from([0, 1, 60, "uniform(0,60)"]),
                "create_ms": st.sampled_from([0, 5, 50]),
                "ack_ms": st.sampled_from([0, 1, 35, "uniform(0,200)"]),
                "slot_lag_ms": st.sampled_from([0, 0, 3]),
                "reply_ms": st.sampled_from([0, 100, 1500]),
            }
        ),
    }
) | st.fixed_dictionaries(
    {
        "release": st.sampled_from(sorted(PROXIES)),
        "scenario": st.just("parallel"),
        "calls": st.integers(1, 4),
        "handler": st.sampled_from(sorted(HANDLERS)),
        "times": st.fixed_dictionaries({"tool_ms": st.sampled_from(["5,10", "0", "400,50,200"]), "gap_ms": MS}),
    }
)


def jsonl(recording: Recording) -> bytes:
    return "\n".join(recording.lines()).encode("ascii")


# -- reproducibility -------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(SESSIONS)
def test_the_same_session_gives_the_same_bytes(given_session: dict[str, Any]) -> None:
    assert jsonl(play(**given_session)) == jsonl(play(**given_session))


def test_without_drawn_times_a_seed_changes_only_its_own_field() -> None:
    first, second = play(seed=1), play(seed=2)
    assert first.events == second.events
    assert (first.provenance["seed"], second.provenance["seed"]) == (1, 2)


def test_drawn_times_differ_by_seed() -> None:
    drawn = {str(play(profile="observed-2025", seed=seed).events) for seed in range(5)}
    assert len(drawn) == 5


def test_drawn_times_do_not_depend_on_the_release() -> None:
    def first_items(release: str) -> list[int]:
        """Return the time in ns from each response.created to the first item of the response."""
        events = on_wire(play(release=release, tool_ms=500, profile="observed-2025", seed=3), "upstream>proxy")
        created = [each.sent_ns for each in events if each.type == "response.created"]
        added = [each.sent_ns for each in events if each.type == "response.output_item.added"]
        return [item - start for start, item in zip(created, added, strict=True)]  # type: ignore[operator]

    assert first_items("0.9.1") == first_items("0.11.1") == first_items("0.10.0")
    assert len(set(first_items("0.9.1"))) == 3


# -- order -----------------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(SESSIONS)
def test_every_link_keeps_its_order_and_no_message_arrives_before_it_was_sent(given_session: dict[str, Any]) -> None:
    recording = play(**given_session)
    for each in LINKS:
        events = recording.on(each)
        sent = [event.sent_ns for event in events]
        received = [event.received_ns for event in events if event.received_ns is not None]
        assert sent == sorted(sent)  # type: ignore[type-var]
        assert received == sorted(received)
        assert all(event.sent_ns <= event.received_ns for event in events if event.received_ns is not None)  # type: ignore[operator]
        assert "close" not in [event.kind for event in events[:-1]], "something was sent after a close"
    assert [event.seq for event in recording.events] == list(range(len(recording.events)))


@settings(max_examples=60)
@given(SESSIONS, st.data())
def test_swapping_a_tie_keeps_the_order_of_links(given_session: dict[str, Any], data: st.DataObject) -> None:
    played = session(**given_session)
    engine = VirtualEngine(played)
    engine.run()
    candidates = _candidates(engine.steps)
    if not candidates:
        return
    swapped = VirtualEngine(played, swap=data.draw(st.sampled_from(candidates)))
    recording = swapped.run()
    order: dict[str, list[int]] = defaultdict(list)
    for number, _, _, source, _ in swapped.steps:
        if ">" in source:
            order[source].append(number)
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert recording.complete


@settings(max_examples=60)
@given(SESSIONS)
def test_host_internal_links_take_no_time_and_other_links_half_a_round_trip(given_session: dict[str, Any]) -> None:
    played = session(**given_session)
    host, upstream = (played.times.ns(name, 0, played.seed) for name in ("host_rtt_ms", "upstream_rtt_ms"))
    took: dict[str, set[int]] = defaultdict(set)
    for event in simulate(played).events:
        if event.received_ns is not None and event.sent_ns is not None:
            took[str(event.link)].add(event.received_ns - event.sent_ns)
    assert took["component>proxy"] | took["proxy>component"] <= {host // 2, host - host // 2}
    assert took["proxy>upstream"] | took["upstream>proxy"] <= {upstream // 2, upstream - upstream // 2}
    assert all(took[name] <= {0} for name in ("app>component", "component>app", "user>app"))


@settings(max_examples=60)
@given(SESSIONS)
def test_every_session_ends_with_one_more_user_input_and_closed_connections(given_session: dict[str, Any]) -> None:
    recording = play(**given_session)
    assert len(on_wire(recording, "component>proxy", "InjectUserMessage")) == 2
    assert {"component>proxy", "proxy>upstream"} <= {str(event.link) for event in recording.events if event.kind == "close"}
    assert recording.complete


# -- ties ------------------------------------------------------------------------------------------------------------

NETWORK = {"gap_ms": 300, "host_rtt_ms": 20, "upstream_rtt_ms": 60, "ack_ms": 35}


def at_the_flip(release: str, flip_ms: int) -> Recording:
    return play(release=release, tool_ms=flip_ms, **NETWORK)


def test_a_create_that_arrives_when_the_slot_becomes_free_is_accepted() -> None:
    recording = at_the_flip("0.9.1", 220)
    done, *_ = on_wire(recording, "upstream>proxy", "response.done")
    second = on_wire(recording, "proxy>upstream", "response.create")[1]
    assert done.sent_ns == second.received_ns
    assert not on_wire(recording, "upstream>proxy", "error")


def test_a_result_that_arrives_with_response_done_is_handled_after_it() -> None:
    recording = at_the_flip("0.9.4", 280)
    done, *_ = on_wire(recording, "upstream>proxy", "response.done")
    (result,) = on_wire(recording, "component>proxy", "FunctionCallResponse")
    assert done.received_ns == result.received_ns
    assert judge(recording).outcome == "stalled"


def test_an_effect_without_delay_belongs_to_the_next_round() -> None:
    """Without a network, the result takes two links, so it reaches the proxy after response.done in the same nanosecond."""
    recording = play(release="0.9.4", gap_ms=0, tool_ms=0)
    done, *_ = on_wire(recording, "upstream>proxy", "response.done")
    (result,) = on_wire(recording, "component>proxy", "FunctionCallResponse")
    assert done.received_ns == result.received_ns
    assert judge(recording).outcome == "stalled"


@pytest.mark.parametrize(
    ("release", "flip_ms", "expected"),
    [
        ("0.9.1", 220, ("answered", "rejected")),
        ("0.9.4", 280, ("stalled", "answered")),
        ("0.10.0", 220, ("answered", "rejected")),
        ("50420ee", 280, ("stalled", "answered")),
        ("0.11.1", 125, ("answered", "lost")),
    ],
)
def test_a_tie_reports_the_other_outcome(release: str, flip_ms: int, expected: tuple[str, str]) -> None:
    assert with_tie(release=release, tool_ms=flip_ms, **NETWORK) == expected


@pytest.mark.parametrize(("release", "flip_ms"), [("0.9.1", 220), ("0.9.4", 280), ("0.11.1", 125)])
@pytest.mark.parametrize("off", ["-0.000001", "+0.000001", "-50", "+50"])
def test_off_the_tie_there_is_no_other_outcome(release: str, flip_ms: int, off: str) -> None:
    assert with_tie(release=release, tool_ms=f"{flip_ms + float(off):.6f}", **NETWORK)[1] is None


@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.11.1"])
def test_without_a_network_every_flip_is_at_the_gap(release: str) -> None:
    usual, other = with_tie(release=release, tool_ms=150, gap_ms=150)
    assert {usual, other} == {outcome(release=release, tool_ms=tool_ms, gap_ms=150) for tool_ms in (149, 151)}


def test_the_reported_recording_of_a_tie_is_the_played_one() -> None:
    played = session(release="0.9.1", tool_ms=220, **NETWORK)
    assert ties(played, lambda each: judge(each).outcome)[0] == simulate(played)


@settings(max_examples=40)
@given(SESSIONS)
def test_tie_candidates_have_the_same_actor_and_time(given_session: dict[str, Any]) -> None:
    engine = VirtualEngine(session(**given_session))
    engine.run()
    steps = {number: (time, actor, source) for number, time, actor, source, _ in engine.steps}
    for tie in _candidates(engine.steps):
        (time, actor, source), (other_time, other_actor, other_source) = steps[tie.first], steps[tie.second]
        assert (time, actor) == (other_time, other_actor)
        assert source != other_source


# -- ends of sessions -------------------------------------------------------------------------------------------------


def test_the_host_sends_nothing_after_its_close() -> None:
    recording = play(release="0.9.1", tool_ms=50, host_rtt_ms=200, upstream_rtt_ms=200)
    from_host = recording.on(link("component>proxy"))
    assert [event.kind for event in from_host].index("close") == len(from_host) - 1


class Parrot:
    """An actor that sends one fixed message at its start and after every message."""

    def __init__(self, to: str) -> None:
        self.effects = [Send(to, {"type": "KeepAlive"})]

    def start(self) -> list[Send]:
        return self.effects

    def message(self, sender: str, payload: object) -> list[Send]:
        return self.effects

    def closed(self, sender: str, code: int | None) -> list[Send]:
        return []

    def timer(self, name: str) -> list[Send]:
        return []


def test_an_endless_session_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicerace.engine.sim.virtual._MAX_STEPS", 1000)
    played = session()
    parrots = {"proxy": Parrot("component"), "component": Parrot("proxy")}
    with pytest.raises(RuntimeError, match="does not end"):
        VirtualEngine(played, {**played.actors(), **parrots}).run()


@pytest.mark.parametrize("release", ["0.9.1", "0.9.4", "0.11.1"])
def test_the_user_leaves_once_and_a_cancelled_deadline_never_fires(release: str) -> None:
    recording = play(release=release, tool_ms=300, gap_ms=150)
    assert [event.type for event in recording.on(link("user>app"))] == ["say", "say", "leave"]


def test_the_deadline_ends_a_turn_that_does_not_settle() -> None:
    recording = play(release="0.9.4", tool_ms=300, gap_ms=150, deadline_ms=7000)
    (result,) = on_wire(recording, "component>proxy", "FunctionCallResponse")
    last = on_wire(recording, "component>proxy", "InjectUserMessage")[1]
    assert last.sent_ns - result.sent_ns == ns(7000)  # type: ignore[operator]


# -- rate limits -----------------------------------------------------------------------------------------------------


def after_done_ms(recording: Recording) -> set[float]:
    """Return the distinct times in ms from a response.done to its rate_limits.updated."""
    sent = {"response.done": [], "rate_limits.updated": []}  # type: dict[str, list[int]]
    for event in recording.on(link("upstream>proxy")):
        if event.type in sent and event.sent_ns is not None:
            sent[event.type].append(event.sent_ns)
    return {(late - done) / 1e6 for done, late in zip(*sent.values(), strict=True)}


def test_rate_limits_after_0_ms_equal_a_session_without_that_time() -> None:
    assert play(rate_limits_ms=0).events == play().events
    assert after_done_ms(play()) == {0}


def test_rate_limits_come_29_or_33_ms_after_response_done_with_recorded_times() -> None:
    found = [simulate(session(profile="recorded-2026", seed=seed)) for seed in range(8)]
    assert set().union(*map(after_done_ms, found)) == {29, 33}
