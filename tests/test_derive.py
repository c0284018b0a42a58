"""Compare the derivation of unlogged messages with wire recordings of real proxies of every generation (data/logs)."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from support.played import play
from support.wire import CAME, SENT, types
from test_id_clock import START, identifier

from voicerace.analysis.verdict import judge
from voicerace.captures import Capture, read_capture
from voicerace.captures.derive import derive
from voicerace.model.catalog.releases import PROXIES
from voicerace.trace.recording import Event, Payload, Recording, read_recordings

LOGS = Path(__file__).parents[1] / "data" / "logs"
TAGS = sorted(path.name.removesuffix(".log.gz") for path in LOGS.glob("*.log.gz"))


def pairs(tag: str) -> tuple[Capture, list[Recording]]:
    """Return the capture of a log and its wire recordings in the order of the log's sessions.

    A recording belongs to a session if both have the same events from the API.
    """
    capture = read_capture(LOGS / f"{tag}.log.gz")
    wire = read_recordings(LOGS / f"{tag}.jsonl.gz")
    found = [next(each for each in wire if types(each, CAME) == types(of.recording, CAME)) for of in capture.sessions]
    assert len({id(each) for each in found}) == len(wire)
    return capture, found


def test_every_generation_has_a_log() -> None:
    assert {PROXIES[tag].generation for tag in TAGS} == {row.generation for row in PROXIES.values()}


@pytest.mark.parametrize("tag", TAGS)
def test_a_log_has_the_refusals_and_messages_of_the_wire(tag: str) -> None:
    capture, wire = pairs(tag)
    assert (len(capture.sessions), capture.unread) == (3, ())
    for session, passed in zip(capture.sessions, wire, strict=True):
        assert session.inference is not None
        assert session.inference.contradictions == ()
        assert tag in session.inference.candidates
        assert types(session.completed, SENT) == types(passed, SENT)
        assert session.response_creates.value == types(passed, SENT).count("response.create")
        assert session.response_creates.kind == "derived"
        assert session.session_updates.value == 1
        truth = judge(passed)
        assert session.refusals.value == sum(turn.refusals for turn in truth.turns)
        # A log can allow several outcomes, which must include the true outcome.
        assert truth.outcome in session.inference.outcomes
        assert session.outcome == truth.outcome or (session.outcome == "unknown" and len(session.inference.outcomes) > 1)


@pytest.mark.parametrize("tag", TAGS)
def test_the_model_of_another_gate_contradicts_the_log(tag: str) -> None:
    """Every contradiction refers to a line of the log."""
    gate = PROXIES[tag].create_on
    other = next(row for row in PROXIES.values() if row.create_on != gate and row.defers != PROXIES[tag].defers)
    capture = read_capture(LOGS / f"{tag}.log.gz", other.tag)
    found = [each for session in capture.sessions if session.inference for each in session.inference.contradictions]
    assert found
    assert all(each.line > 0 for each in found)
    for session in capture.sessions:
        assert session.inference is not None
        assert session.release_given
        if session.inference.contradictions:
            assert (session.outcome, session.response_creates.kind) == ("unknown", "unknown")


def test_a_request_after_a_result_precedes_the_next_audio_frame() -> None:
    """With an open microphone, the record after a result is an audio record instead of an API event."""
    recording = pairs("0.10.0")[0].sessions[0].recording
    events = list(recording.events)
    at = next(n for n, each in enumerate(events) if each.link == SENT and each.type == "conversation.item.create")
    frame = replace(events[at], sent_ns=(events[at].sent_ns or 0) + 7_000_000, payload={"type": "input_audio_buffer.append"})
    events[at + 1 : at + 1] = [frame]
    open_ = replace(recording, events=tuple(replace(each, seq=seq) for seq, each in enumerate(events)))
    sent = derive(open_, PROXIES["0.10.0"]).recording.on(SENT)
    later = [(e.type, e.observed_at, e.sent_ns) for e in sent if (e.sent_ns or 0) >= (events[at].sent_ns or 0)][:3]
    assert later == [
        ("conversation.item.create", "log", events[at].sent_ns),
        ("response.create", "derived", events[at].sent_ns),
        ("input_audio_buffer.append", "log", frame.sent_ns),
    ]


def test_derived_messages_are_marked_and_logged_ones_unchanged() -> None:
    capture, _ = pairs("0.9.1")
    for session in capture.sessions:
        derived = derive(session.recording, PROXIES["0.9.1"])
        kept = [e for e in derived.recording.events if e.observed_at == "log"]
        assert [(e.link, e.type, e.at_ns("proxy")) for e in kept] == [
            (e.link, e.type, e.at_ns("proxy")) for e in session.recording.events
        ]
        assert {e.observed_at for e in derived.recording.on(SENT)} == {"derived"}


def test_an_unknown_release_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0\.9\.99"):
        read_capture(LOGS / "0.9.1.log.gz", "0.9.99")
    plain = tmp_path / "plain.log"
    plain.write_bytes(gzip.decompress((LOGS / "0.9.1.log.gz").read_bytes()))
    assert len(read_capture(plain).sessions) == 3


def test_the_flag_is_cleared_early_by_text_only_in_releases_that_do_so() -> None:
    """In 0.9.1 response.output_text.done clears the flag before response.done, without a session.update in between.

    0.9.0 never sets the flag for text.
    """
    path = LOGS / "0.9.1.log.gz"
    assert {of.answers.cleared for of in read_capture(path).sessions} == {None}
    for tag, by in (("0.9.0", set()), ("0.9.1", {"response.output_text.done"})):
        found = [each for of in read_capture(path, tag).sessions for each in of.answers.cleared or ()]
        assert {each.by for each in found} == by
        assert all(each.done_line is not None and each.line < each.done_line for each in found)
        assert sum(each.updates for each in found) == 0


@pytest.mark.parametrize("clocked", [True, False])
def test_without_times_timers_use_the_seconds_in_ids(clocked: bool) -> None:
    """0.10.3 sends a request 20 s after an unconfirmed result. Without times, only the API's ids contain this duration."""
    played = play(release="0.10.3", times={"tool_ms": "50", "gap_ms": "300"})
    came = sorted((e for e in played.events if e.link.receiver == "proxy"), key=lambda e: (e.at_ns("proxy") or 0, e.seq))
    until = next(at for at, each in enumerate(came) if each.type == "FunctionCallResponse")
    late = [
        {"type": "rate_limits.updated"},
        {"type": "response.created", "response": {"id": "resp_late", "status": "in_progress"}},
    ]
    later = [(CAME, each, 26) for each in late]
    messages = [(each.link, each.payload, 0) for each in came[: until + 1]] + later
    events = [
        Event(seq, link, "message", None, None, _clocked(payload, seq, second) if clocked else payload, "log")
        for seq, (link, payload, second) in enumerate(messages)
    ]
    made = derive(replace(played, events=tuple(events), complete=False, clock="log"), PROXIES["0.10.3"])
    creates = [made.origin[each.seq] for each in made.creates]
    assert (len(events) - 2 in creates) == clocked
    assert any("a response begins, but" in each.what for each in made.contradictions) != clocked
    assert any("seconds in the API's ids" in each for each in made.assumed) == clocked


def _clocked(payload: Payload, seq: int, second: int) -> Payload:
    """Return a message from the API with an event id created `second` seconds after `START`."""
    if not isinstance(payload, dict) or "." not in str(payload.get("type")):
        return payload
    return {**payload, "event_id": identifier("event", START + second, f"{seq:016d}")}
