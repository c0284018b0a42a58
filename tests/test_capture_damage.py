"""Is anything called certain that a damaged log no longer shows? Every sample cut, thinned, doubled, mixed up, flipped."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from support.played import play

from tests.faults.damage import CERTAIN, DAMAGES, Sample, counts, read, silent, try_all, wrong
from voicerace.analysis.verdict import judge
from voicerace.captures import Capture, inspect_json, inspect_lines, read_capture
from voicerace.trace.recording import write_recordings

LOGS = Path(__file__).parents[1] / "data" / "logs"
TAGS = ("0.9.1", "0.9.4", "0.10.0", "0.10.5", "0.11.1")


@pytest.fixture(scope="module", params=TAGS)
def sample(request: pytest.FixtureRequest) -> tuple[bytes, Capture]:
    path = LOGS / f"{request.param}.log.gz"
    return gzip.decompress(path.read_bytes()), read_capture(path)


def test_is_every_count_of_a_whole_log_certain_or_said_to_be_unknown(sample: tuple[bytes, Capture]) -> None:
    for each in counts(sample[1]).values():
        assert {kind for _, kind in each.values()} <= {*CERTAIN, "unknown", "at least"}
        sure = ("refusals", "submissions", "calls", "responses", "session_updates", "response_creates", "user_texts")
        assert all(each[name][1] in CERTAIN for name in sure)


def test_is_nothing_wrong_called_certain_in_a_log_that_is_cut(sample: tuple[bytes, Capture], tmp_path: Path) -> None:
    data, truth = sample
    for number in range(40):  # 200 over the samples
        capture = read(tmp_path / "a.log", data[: len(data) * (number + 1) // 41])
        if capture is not None:
            assert wrong(capture, truth) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_is_nothing_wrong_called_certain_in_a_damaged_log(sample: tuple[bytes, Capture], tmp_path: Path, damage: str) -> None:
    data, truth = sample
    rng = random.Random(7)
    for _ in range(10):
        left = DAMAGES[damage](data, rng)
        capture = read(tmp_path / "a.log", left)
        assert capture is not None
        assert wrong(capture, truth) == []
        assert silent(capture, Sample("a", data, truth), damage, left) == []


@pytest.mark.parametrize("name", ["0.9.7.jsonl.gz", "levels/0.10.2-info.log.gz", "0.10.2-published.log.gz"])
def test_does_a_share_of_the_campaign_find_nothing(name: str, tmp_path: Path) -> None:
    """`python -m tests.faults.damage` tries every sample at 200 places."""
    came = try_all(Sample.of(LOGS / name), cuts=12, others=2, folder=tmp_path)
    assert came.found == []
    assert (came.counts["cut"], came.counts["evil"], came.counts["reordered"]) == (12, 6, 2)
    assert came.counts["with gaps"] + came.counts["read"] > 8


def test_would_the_campaign_find_a_count_that_is_wrong_and_a_record_that_is_gone(tmp_path: Path) -> None:
    whole = Sample.of(LOGS / "0.9.1.log.gz")
    true = counts(whole.truth)
    # A whole record taken out of which nothing else tells.
    block = next(each for each in whole.data.split(b"\n{\n") if b"'rate_limits.updated'" in each and b"'c1'" in each)
    capture = read(tmp_path / "a.log", whole.data.replace(b"\n{\n" + block, b"", 1))
    assert capture is not None
    assert silent(capture, whole, "dropped", b"") == ["1 records are missing and not reported"]
    assert counts(capture) != true
    assert wrong(capture, whole.truth)


@pytest.mark.parametrize(
    "gone",
    ["'Settings'", "'InjectUserMessage'", "'FunctionCallResponse'", "'response.created'", "'response.done'", "error.code",
     "'response.function_call_arguments.done'", "'session.updated'", "'error'"],
)  # fmt: skip
def test_is_a_whole_record_missed_that_decides(sample: tuple[bytes, Capture], tmp_path: Path, gone: str) -> None:
    """A log counts nothing; but what a session comes to, and what is counted of it, rests on records that others rest on."""
    data, truth = sample
    block = next((each for each in data.split(b"\n{\n") if gone.encode() in each and b"'c1'" in each), None)
    if block is None:
        pytest.skip("no such record in this log")
    capture = read(tmp_path / "a.log", data.replace(b"\n{\n" + block, b"", 1))
    assert capture is not None
    assert [each for each in wrong(capture, truth) if "host_messages" not in each and "upstream_events" not in each] == []


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", "\\x1B[2J\\x1B]0;x\\x07", "\u202e", "{", "}", "'"])
def test_does_no_text_of_a_log_reach_what_is_shown(sample: tuple[bytes, Capture], tmp_path: Path, evil: str) -> None:
    data, _ = sample
    text = data.decode().replace("connection_id: 'c1'", f"connection_id: `c1{evil}`").replace("Lisbon", evil)
    capture = read(tmp_path / "a.log", text.encode())
    assert capture is not None
    shown = json.dumps(inspect_json(capture)) + "\n".join(inspect_lines(capture))
    assert "\x1b" not in shown
    assert "Lisbon" not in shown


@pytest.mark.parametrize("tag", ["0.9.1", "0.10.2", "0.11.1"])
def test_is_a_refused_session_that_stops_before_its_result_comes_again_not_called_rejected(tag: str, tmp_path: Path) -> None:
    """Behind a refusal, with the connection open, a repeated result may still make the turn noisy: nobody knows yet."""
    whole = play(release=tag, scenario="double", times={"tool_ms": "50", "repeat_ms": "400"})
    assert judge(whole).outcome == "noisy"
    path, seen = tmp_path / "a.jsonl", set()
    for events in range(1, len(whole.events)):
        write_recordings(path, [replace(whole, events=whole.events[:events], complete=False)])
        (session,) = read_capture(path).sessions
        assert session.outcome in ("unknown", "noisy")
        seen.add(session.why)
    assert any("so far; the recording stops" in why for why in seen)
