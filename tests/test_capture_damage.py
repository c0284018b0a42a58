"""Is anything called certain that a damaged log no longer shows? Every sample cut, thinned, doubled, mixed up, flipped."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.played import play

from voicerace.captures import Capture, inspect_json, inspect_lines, read_capture
from voicerace.errors import InputError
from voicerace.recording import write_recordings
from voicerace.verdict import judge

LOGS = Path(__file__).parents[1] / "data" / "logs"
TAGS = ("0.9.1", "0.9.4", "0.10.0", "0.10.5", "0.11.1")
CERTAIN = ("observed", "derived")


def read(path: Path, data: bytes) -> Capture | None:
    """What is left; nothing when that is no capture. It can be shown either way."""
    path.write_bytes(data)
    try:
        capture = read_capture(path)
    except InputError as error:
        return None if str(error).isprintable() else pytest.fail("an error that does not print")
    json.dumps(inspect_json(capture), allow_nan=False)
    assert all(line.isprintable() for line in inspect_lines(capture))
    return capture


def counts(capture: Capture) -> dict[str, dict[str, tuple[int | None, str]]]:
    return {of.connection: {name: (c.value, c.kind) for name, c in of.counts.items()} for of in capture.sessions}


def wrong(capture: Capture, truth: Capture) -> list[str]:
    """Counts and outcomes that are called certain and are not those of the whole log."""
    true, found = counts(truth), []
    outcomes = {of.connection: of.outcome for of in truth.sessions}
    for of in capture.sessions:
        for name, (value, kind) in counts(capture)[of.connection].items():
            expected = true.get(of.connection, {}).get(name)
            if kind in CERTAIN and (expected is None or value != expected[0]):
                found.append(f"{of.connection} {name}: {kind} {value}, but {expected}")
        if of.outcome not in ("unknown", outcomes.get(of.connection)):
            found.append(f"{of.connection}: {of.outcome}, but {outcomes.get(of.connection)}")
    return found


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


def dropped(lines: list[bytes], rng: random.Random) -> list[bytes]:
    gone = set(rng.sample(range(len(lines)), 3))
    return [line for at, line in enumerate(lines) if at not in gone]


def doubled(lines: list[bytes], rng: random.Random) -> list[bytes]:
    twice = set(rng.sample(range(len(lines)), 3))
    return [each for at, line in enumerate(lines) for each in [line] * (1 + (at in twice))]


def reordered(lines: list[bytes], rng: random.Random) -> list[bytes]:
    a, b = rng.sample(range(len(lines)), 2)
    moved = [*lines]
    moved.insert(b, moved.pop(a))
    return moved


def flipped(lines: list[bytes], rng: random.Random) -> list[bytes]:
    data = bytearray(b"\n".join(lines))
    for _ in range(3):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data).split(b"\n")


@pytest.mark.parametrize("damage", [dropped, doubled, reordered, flipped])
def test_is_nothing_wrong_called_certain_in_a_damaged_log(
    sample: tuple[bytes, Capture], tmp_path: Path, damage: Callable[[list[bytes], random.Random], list[bytes]]
) -> None:
    data, truth = sample
    rng = random.Random(7)
    for _ in range(10):
        capture = read(tmp_path / "a.log", b"\n".join(damage(data.split(b"\n"), rng)))
        assert capture is not None
        assert wrong(capture, truth) == []


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
