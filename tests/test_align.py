"""Test the alignment of two captures of one session: the true clock offset lies within the reported uncertainty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_har import START_S, frames, har

from voicerace.captures import read_capture
from voicerace.captures.align import aligned, pairs_of
from voicerace.captures.session_summary import CapturedSession
from voicerace.cli import main
from voicerace.errors import InputError
from voicerace.trace.recording import Event, Link, Recording, read_recordings, write_recordings

LOGS = Path(__file__).parents[1] / "data" / "logs"
DATA = Path(__file__).with_name("data")
#: The lead of the browser's clock over the machine's clock in these tests, in nanoseconds.
AHEAD_NS = 123_456_789


@pytest.mark.parametrize("tag", ["0.9.1", "0.9.4", "0.10.5", "0.11.1"])
def test_the_true_offset_is_within_the_uncertainty(tmp_path: Path, tag: str) -> None:
    log = read_capture(LOGS / f"{tag}.log.gz")
    wire = read_recordings(LOGS / f"{tag}.jsonl.gz")[0]
    ahead = [
        replace(e, sent_ns=e.sent_ns and e.sent_ns + AHEAD_NS, received_ns=e.received_ns and e.received_ns + AHEAD_NS)
        for e in wire.events
    ]
    browser = read_capture(har(tmp_path / "a.har", frames(replace(wire, events=tuple(ahead)), "s")))
    (found,) = pairs_of(browser, log)
    assert found.consistent
    assert found.shared >= 5
    assert found.offset_ms is not None
    assert found.uncertainty_ms is not None
    assert 0 <= found.uncertainty_ms < 12  # the emulated round trip is 10 ms
    # The true offset follows from one Settings message at the proxy. Its time is taken by the log's clock and by the
    # wire's clock, each relative to the start of its file.
    settings = next(e for e in wire.events if e.type == "Settings")
    logged = next(e for e in found.proxy.recording.events if e.type == "Settings")
    first = min(
        e.at_ns("component") or 0 for e in wire.events if e.kind == "message" and "component" in e.link and "proxy" in e.link
    )
    zeros = [each.provenance["file_start_us"] for each in (found.proxy.recording, found.host.recording)]
    true_ms = ((logged.received_ns or 0) - ((settings.received_ns or 0) - first)) / 1e6 + (zeros[0] - zeros[1]) / 1e3
    # A time in the log can be 2 ms later than on the wire, due to the event-loop step and rounding to milliseconds.
    assert found.low_ms is not None
    assert found.high_ms is not None
    assert found.low_ms - 2 <= true_ms <= found.high_ms + 2
    results = [e for e in found.recording.events if e.type == "FunctionCallResponse"]
    assert all(e.sent_ns is not None and e.received_ns is not None and "id" in e.payload for e in results)  # type: ignore[operator]


def test_the_bounds_of_two_files_of_one_machine_contain_zero() -> None:
    """One machine made both files, so the clocks agree: a DevTools export of a page, and the log of its proxy 0.9.1."""
    browser, log = (read_capture(DATA / f"devtools-chromium.{end}") for end in ("har", "proxy.log"))
    (found,) = pairs_of(browser, log)
    assert found.consistent
    assert found.low_ms is not None
    assert found.high_ms is not None
    assert found.low_ms <= 0 <= found.high_ms
    assert found.high_ms - found.low_ms < 10
    assert "0.9.1" in found.proxy.inference.candidates  # type: ignore[union-attr]
    assert found.proxy.outcome == "rejected"


@pytest.mark.parametrize("step_ns", [1, 1_000_000])
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("tag", ["0.9.1", "0.10.5", "0.11.1"])
def test_the_bounds_of_a_har_and_a_recording_contain_the_true_offset(
    tmp_path: Path, tag: str, number: int, step_ns: int
) -> None:
    """Both files come from one recording; the HAR file's zero is its first message. `step_ns` is the browser's clock step."""
    wire = read_recordings(LOGS / f"{tag}.jsonl.gz")[number]
    write_recordings(tmp_path / "a.jsonl", [wire])
    seen = frames(wire, "s")
    for each in seen:
        each["time"] = round(each["time"] * 1e9) // step_ns * step_ns / 1e9
    (found,) = pairs_of(read_capture(har(tmp_path / "a.har", seen)), read_capture(tmp_path / "a.jsonl"))
    zero_s = min(each["time"] for each in seen) - START_S
    assert found.consistent
    assert not found.of_machines
    assert found.low_ms is not None
    assert found.high_ms is not None
    assert found.low_ms <= zero_s * 1000 <= found.high_ms
    assert found.high_ms - found.low_ms < 14 + 2 * step_ns / 1e6  # emulated round trip of 10 ms plus processing time
    assert "0 ms in the host's file is" in found.line()


def test_the_best_match_of_similar_sessions_is_taken_and_equal_ones_are_named(tmp_path: Path) -> None:
    """The first capture has two similar sessions that differ in their times. The second capture has one session twice."""
    first, _, _ = read_recordings(LOGS / "0.9.1.jsonl.gz")
    slow = replace(first, events=tuple(_later(each, first.events, 40_000_000) for each in first.events))
    browser = read_capture(har(tmp_path / "a.har", frames(slow, "s")))
    write_recordings(tmp_path / "a.jsonl", [first, slow])
    (found,) = pairs_of(browser, read_capture(tmp_path / "a.jsonl"))
    assert (found.consistent, found.proxy.connection, found.could_be) == (True, "recording 2", ())
    write_recordings(tmp_path / "b.jsonl", [slow, slow])
    (found,) = pairs_of(browser, read_capture(tmp_path / "b.jsonl"))
    assert found.could_be == ("recording 2",)
    assert found.line().endswith("it could be recording 2 as well")


def _later(event: Event, events: tuple[Event, ...], by_ns: int) -> Event:
    """Return the event, delayed by `by_ns` unless it precedes the first result. The delay emulates a slower tool."""
    result = next(each for each in events if each.type == "FunctionCallResponse")
    delayed = (event.at_ns("proxy") or 0) >= (result.at_ns("proxy") or 0)
    return event if not delayed else replace(
        event,
        sent_ns=None if event.sent_ns is None else event.sent_ns + by_ns,
        received_ns=None if event.received_ns is None else event.received_ns + by_ns,
    )  # fmt: skip


def test_the_order_of_the_two_files_does_not_matter(capsys: pytest.CaptureFixture[str]) -> None:
    browser, log = (str(DATA / f"devtools-chromium.{end}") for end in ("har", "proxy.log"))
    lines = []
    for first, second in ((browser, log), (log, browser)):
        assert main(["inspect", first, "--with", second]) == 0
        lines.append(capsys.readouterr().out.splitlines()[-1])
    assert lines[0] == lines[1]
    assert "the proxy's clock minus the host's" in lines[0]


def test_files_of_two_sessions_are_refused(tmp_path: Path) -> None:
    wire = read_recordings(LOGS / "0.9.1.jsonl.gz")[0]
    other = [each for each in frames(wire, "s") if '"InjectUserMessage"' not in each["data"]]
    with pytest.raises(InputError, match="no session"):
        pairs_of(read_capture(har(tmp_path / "a.har", other)), read_capture(LOGS / "0.9.1.log.gz"))


def view(clock: str, *events: Event) -> CapturedSession:
    """Return a stand-in for a captured session that has only the attributes read by the alignment."""
    recording = Recording(events, clock=clock)
    return SimpleNamespace(connection="c1", recording=recording, completed=recording)  # type: ignore[return-value]


def test_bounds_and_times_follow_from_the_messages() -> None:
    """The proxy's clock is 1000 ms ahead. A message takes 10 or 12 ms to the proxy and 5 ms to the host."""
    up, down = Link("component", "proxy"), Link("proxy", "component")

    def at(seq: int, link: Link, kind: str, sent_ms: int | None, received_ms: int | None) -> Event:
        times = [None if each is None else each * 1_000_000 for each in (sent_ms, received_ms)]
        return Event(seq, link, "message", times[0], times[1], {"type": kind})

    host = view(
        "monotonic",
        at(0, up, "Settings", 0, None),
        at(1, down, "SettingsApplied", None, 27),
        at(2, up, "FunctionCallResponse", 50, None),
        at(3, up, "KeepAlive", 60, None),
    )
    proxy = view(
        "log",
        at(0, up, "Settings", None, 1012),
        at(1, down, "SettingsApplied", 1022, None),
        at(2, up, "FunctionCallResponse", None, 1060),
        at(3, up, "KeepAlive", None, 1061),
        at(4, up, "KeepAlive", None, 1062),
    )
    found = aligned(host, proxy)
    assert found.shared == 3, "one KeepAlive of two has no unique counterpart"
    # The upper bound follows from the fastest message to the proxy, plus 1 ms because the log has whole milliseconds.
    # The lower bound follows from the fastest message to the host.
    assert (found.low_ms, found.high_ms, found.offset_ms, found.uncertainty_ms) == (995, 1011, 1003, 8)
    sent = {event.type: (event.sent_ns, event.received_ns) for event in found.recording.events[:3]}
    assert sent["FunctionCallResponse"] == (1_053_000_000, 1_060_000_000)
    assert sent["SettingsApplied"] == (1_022_000_000, 1_030_000_000)
    exact = aligned(host, view("monotonic", *proxy.recording.events))
    assert (exact.low_ms, exact.high_ms) == (995, 1010)
    # The browser rounds its times to whole milliseconds, up or down.
    coarse = aligned(view("log", *host.recording.events), proxy)
    assert (coarse.low_ms, coarse.high_ms) == (994, 1012)
