"""Test the lines of `inspect`: repeated counts have the same number and certainty."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from voicerace.analysis.trace_index import TraceIndex
from voicerace.captures import Capture, inspect_lines, read_capture
from voicerace.captures.conclusion import conclusion_lines
from voicerace.captures.derive import flag_cleared
from voicerace.captures.export import mermaid
from voicerace.captures.questions import answers
from voicerace.captures.show import inspect_json
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.model.catalog.releases import PROXIES
from voicerace.report.notebook import field_tables
from voicerace.trace.recording import Event, Link, Recording, read_recordings, write_recordings

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "data" / "logs"
HOST = (Link("component", "proxy"), Link("proxy", "component"))
UPSTREAM = (Link("proxy", "upstream"), Link("upstream", "proxy"))
SILENT = ("0.11.1-error.log.gz", "0.9.1-unset.log.gz")
FILES = [
    *(path for path in sorted(LOGS.glob("**/*.gz")) if path.name not in SILENT),
    *sorted((ROOT / "tests" / "data").glob("*.log")),
    *sorted((ROOT / "tests" / "data").glob("*.har")),
]
_NUMBER = r"(?:(at least|derived|possibly) )?(\d+)"


def seen_from(recording: Recording, *links: Link) -> Recording:
    """Return the part of a recording that a relay on the given links would record."""
    events = [each for each in recording.events if each.link in links]
    kept = tuple(replace(each, seq=seq) for seq, each in enumerate(events))
    return replace(recording, events=kept, observed=links)


def disagreements(capture: Capture) -> list[str]:
    """Return the lines with inconsistent counts.

    A turn's count must not be higher or more certain than its session's. A file's count must be as certain as its sessions'.
    """
    lines = [*inspect_lines(capture)]
    found = []
    for what in ("result", "refusal"):
        session: tuple[str, int] | None = None
        for line in lines[1:]:
            if line[:1] != " ":
                session = ("", 0)
            count = re.search(rf"{_NUMBER} {what}s?\b", line)
            if count is None or session is None:
                continue
            one = (count[1] or "", int(count[2]))
            if line.startswith("  turn "):
                if one[0] != session[0] or one[1] > session[1]:
                    found.append(f"{capture.name}: {what}s {session}, but {line}")
            elif line.startswith("  ") and " beyond one per call" not in line and not line.startswith("  c"):
                session = one
    head = re.search(rf"{_NUMBER} refusals?", lines[0])
    own = {of.refusals.kind for of in capture.sessions}
    assert head is not None
    if (head[1] == "at least") != bool(own & {"at least", "unknown"}):
        found.append(f"{lines[0]}: its sessions' refusals are {own}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_repeated_counts_agree(path: Path) -> None:
    capture = read_capture(path)
    if any(of.refusals.value == 0 for of in capture.sessions):
        # A session without a refusal has no line about refusals, and its turns have none either.
        assert all(t.refusals == 0 for of in capture.sessions if of.refusals.value == 0 for t in of.answers.turns)
    assert [each for each in disagreements(capture) if "refusals ('', 0)" not in each] == []


@pytest.mark.parametrize("links", [HOST, UPSTREAM], ids=["host", "upstream"])
def test_a_recording_of_one_side_has_the_counts_of_that_side(tmp_path: Path, links: tuple[Link, Link]) -> None:
    whole = read_capture(LOGS / "0.9.1.jsonl.gz")
    path = tmp_path / "a.jsonl"
    write_recordings(path, [seen_from(each, *links) for each in read_recordings(LOGS / "0.9.1.jsonl.gz")])
    capture = read_capture(path)
    assert disagreements(capture) == []
    for of, truth in zip(capture.sessions, whole.sessions, strict=True):
        assert of.submissions.value == truth.submissions.value
        assert of.submissions.kind == ("observed" if links == HOST else "at least")
        assert of.counts["repeated_results"].value == truth.counts["repeated_results"].value
        assert len(of.result_delay_ms) == len(truth.result_delay_ms)
        assert None not in of.result_delay_ms
        assert [(s.call, s.results, s.by) for s in of.answers.submissions] == [
            (s.call, s.results, s.by) for s in truth.answers.submissions
        ]
        # The flag can be derived only if both links were captured.
        assert truth.answers.cleared
        assert of.answers.cleared is None
        assert inspect_json(capture)["sessions"][0]["flag_cleared_early"] is None
    said = "The host's messages were not captured"
    assert any(said in line for line in inspect_lines(capture)) == (links == UPSTREAM)


def test_an_uncaptured_call_has_no_number(tmp_path: Path) -> None:
    recording = read_recordings(LOGS / "0.9.1.jsonl.gz")[1]
    gone = tuple(e for e in recording.events if e.type not in ("FunctionCallRequest", "response.function_call_arguments.done"))
    path = tmp_path / "a.jsonl"
    replace(recording, events=tuple(replace(e, seq=seq) for seq, e in enumerate(gone))).write(path)
    text = "\n".join(inspect_lines(read_capture(path)))
    assert "a call that was not captured has 2 results" in text
    assert "call 0" not in text


def test_tags_of_one_program_are_shown_as_the_same_program() -> None:
    """0.11.0 and 0.11.1 are the same program. 0.9.0 to 0.9.3 are different programs that write the same log."""
    one = "\n".join(inspect_lines(read_capture(LOGS / "0.11.1.log.gz")))
    assert "0.11.0, 0.11.1 are the same program: no log distinguishes them." in one
    assert "does not identify the release" not in one
    several = "\n".join(inspect_lines(read_capture(LOGS / "0.9.1.log.gz")))
    assert "The log does not identify the release: 0.9.0, 0.9.1, 0.9.2, 0.9.3 write the same log." in several


def test_a_log_keeps_the_order_of_its_records_if_its_clock_is_set_back() -> None:
    """The clock is set back by 1 s in the middle of a session. Every reader uses the same order of events."""
    recording = read_recordings(LOGS / "0.9.1.jsonl.gz")[0]
    middle = len(recording.events) // 2

    def moved(event: Event) -> Event:
        back = 1_000_000_000 if event.seq >= middle else 0
        times = [None if at is None else at - back for at in (event.sent_ns, event.received_ns)]
        return replace(event, sent_ns=times[0], received_ns=times[1])

    ordered = tuple(replace(e, seq=seq) for seq, e in enumerate(recording.ordered("proxy")))
    log = replace(recording, events=ordered, clock="log")
    set_back = replace(log, events=tuple(map(moved, ordered)))
    assert [e.seq for e in set_back.ordered("proxy")] == [*range(len(ordered))]
    assert [e.seq for e in replace(set_back, clock="monotonic").ordered("proxy")] != [*range(len(ordered))]
    row = PROXIES["0.9.1"]
    assert flag_cleared(set_back, row) == flag_cleared(log, row) != ()
    assert [_untimed(line) for line in mermaid(set_back)] == [_untimed(line) for line in mermaid(log)]
    assert [each[2] for each in answers(set_back, None, int, None).order] == [
        each[2] for each in answers(log, None, int, None).order
    ]
    assert [*TraceIndex(set_back).order] == [*TraceIndex(log).order]


def concluded(path: Path) -> dict[str, str]:
    """Return the lines of the conclusion by name."""
    lines = [*conclusion_lines(read_capture(path))]
    assert len(lines) == 3
    return {line[:15].strip(): line[15:] for line in lines}


def test_the_conclusion_advises_what_the_model_of_the_release_plays_best() -> None:
    early = concluded(LOGS / "0.9.1.log.gz")
    assert early["what happened"].startswith("3 of 3 sessions went wrong (rejected 3); 5 refusals; rejected: ")
    assert early["why"].startswith("in 2 of 2 turns the result reached the proxy before response.done (up to 92 ms)")
    assert early["what to do"].startswith("return the result no earlier than 242 ms after the call (1.5 times the longest gap)")
    assert "in the model of 0.9.0, with your times, 0 of 2 turns then go wrong" in early["what to do"]
    later = concluded(LOGS / "0.11.1.log.gz")
    assert later["what to do"].startswith("return the result when the component reports that the agent is idle: ")
    twice = concluded(LOGS / "0.9.4.log.gz")
    assert "before response.done" not in twice["why"], "the early results of 0.9.4 were answered"
    assert twice["what to do"].startswith("let the handler await the tool and return {id, result} once: ")


def test_an_advice_that_does_not_help_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold of half the gap does not help on 0.9.1, whose component does not report the end of the response."""
    monkeypatch.setattr("voicerace.captures.conclusion._HOLD", 0.5)
    assert concluded(LOGS / "0.9.1.log.gz")["what to do"].startswith("no change of the handler helps: in the model of 0.9.0")


def test_the_conclusion_without_a_bad_outcome(tmp_path: Path) -> None:
    unknown = concluded(ROOT / "tests" / "data" / "devtools-chromium.har")
    assert unknown["what happened"] == "0 of 1 session went wrong (unknown 1); 1 refusal"
    assert unknown["what to do"].startswith("capture both links of the proxy")
    simulate(SessionConfig.of(times={"gap_ms": 8, "tool_ms": 50})).write(tmp_path / "good.jsonl")
    good = concluded(tmp_path / "good.jsonl")
    assert good["what happened"] == "0 of 1 session went wrong (answered 1); 0 refusals"
    assert good["why"] == "one informed reply, nothing refused"
    assert good["what to do"].startswith("nothing for these times")


def _untimed(line: str) -> str:
    return re.sub(r": -?[\d.]+ ms ", ": ", line)


def test_a_client_without_a_proxy_has_times_at_the_client_and_equal_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    field_tables.recording("openai-naive", "two calls: tool=10,900").write(path)
    text = "\n".join(inspect_lines(read_capture(path)))
    assert "2 function calls, 2 results (after " in text
    assert "turn 1: noisy; 2 results" in text
    assert "Delay, result after its call, at the client: " in text
    assert "proxy" not in text
