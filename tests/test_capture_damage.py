"""Test damaged logs: a count is reported as certain only if the remaining log proves it."""

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


def test_counts_of_an_undamaged_log_are_certain_or_marked(sample: tuple[bytes, Capture]) -> None:
    for each in counts(sample[1]).values():
        assert {kind for _, kind in each.values()} <= {*CERTAIN, "unknown", "at least"}
        sure = ("refusals", "submissions", "calls", "responses", "session_updates", "response_creates", "user_texts")
        assert all(each[name][1] in CERTAIN for name in sure)


def test_a_truncated_log_has_no_wrong_certain_count(sample: tuple[bytes, Capture], tmp_path: Path) -> None:
    data, truth = sample
    for number in range(40):  # 200 truncations over all samples
        capture = read(tmp_path / "a.log", data[: len(data) * (number + 1) // 41])
        if capture is not None:
            assert wrong(capture, truth) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_log_has_no_wrong_certain_count(sample: tuple[bytes, Capture], tmp_path: Path, damage: str) -> None:
    data, truth = sample
    rng = random.Random(7)
    for _ in range(10):
        left = DAMAGES[damage](data, rng)
        capture = read(tmp_path / "a.log", left)
        assert capture is not None
        assert wrong(capture, truth) == []
        assert silent(capture, Sample("a", data, truth), damage, left) == []


@pytest.mark.parametrize("name", ["0.9.7.jsonl.gz", "levels/0.10.2-info.log.gz", "0.10.2-published.log.gz"])
def test_a_part_of_the_damage_campaign_finds_no_error(name: str, tmp_path: Path) -> None:
    """The full campaign, `python -m tests.faults.damage`, damages every sample at 200 positions."""
    came = try_all(Sample.of(LOGS / name), cuts=12, others=2, folder=tmp_path)
    assert came.found == []
    assert (came.counts["cut"], came.counts["evil"], came.counts["reordered"]) == (12, 6, 2)
    assert came.counts["with gaps"] + came.counts["read"] > 8


def test_the_campaign_detects_a_wrong_count_and_a_missing_record(tmp_path: Path) -> None:
    whole = Sample.of(LOGS / "0.9.1.log.gz")
    true = counts(whole.truth)
    # Remove a record that no other record implies.
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
def test_a_missing_decisive_record_leaves_no_wrong_certain_count(
    sample: tuple[bytes, Capture], tmp_path: Path, gone: str
) -> None:
    """A log has no record numbers. A missing record can only be detected from other records."""
    data, truth = sample
    block = next((each for each in data.split(b"\n{\n") if gone.encode() in each and b"'c1'" in each), None)
    if block is None:
        pytest.skip("no such record in this log")
    capture = read(tmp_path / "a.log", data.replace(b"\n{\n" + block, b"", 1))
    assert capture is not None
    assert [each for each in wrong(capture, truth) if "host_messages" not in each and "upstream_events" not in each] == []


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", "\\x1B[2J\\x1B]0;x\\x07", "\u202e", "{", "}", "'"])
def test_text_of_a_log_is_not_shown(sample: tuple[bytes, Capture], tmp_path: Path, evil: str) -> None:
    data, _ = sample
    text = data.decode().replace("connection_id: 'c1'", f"connection_id: `c1{evil}`").replace("Lisbon", evil)
    capture = read(tmp_path / "a.log", text.encode())
    assert capture is not None
    shown = json.dumps(inspect_json(capture)) + "\n".join(inspect_lines(capture))
    assert "\x1b" not in shown
    assert "Lisbon" not in shown


@pytest.mark.parametrize("tag", ["0.9.1", "0.10.2", "0.11.1"])
def test_a_refused_session_that_stops_before_a_repeated_result_is_unknown(tag: str, tmp_path: Path) -> None:
    """The connection stays open after the refusal, so a repeated result can still make the turn noisy."""
    whole = play(release=tag, scenario="double", times={"tool_ms": "50", "repeat_ms": "400"})
    assert judge(whole).outcome == "noisy"
    path, seen = tmp_path / "a.jsonl", set()
    for events in range(1, len(whole.events)):
        write_recordings(path, [replace(whole, events=whole.events[:events], complete=False)])
        (session,) = read_capture(path).sessions
        assert session.outcome in ("unknown", "noisy")
        seen.add(session.why)
    assert any("so far; the recording stops" in why for why in seen)
