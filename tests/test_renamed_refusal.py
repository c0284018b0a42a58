"""Test captures in which the app's own sanitizing wrote `active_response_state_conflict` for the refusal."""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voicerace.analysis.verdict import judge
from voicerace.captures import inspect_json, inspect_lines, read_capture
from voicerace.captures.copies import redacted
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Recording, read_recordings

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "data" / "logs"
TEXT = r"Conversation already has an active response in progress: [\w-]+\. Wait[^.]*\."
STATED = "active_response_state_conflict is counted as conversation_already_has_active_response"
FILES = [
    LOGS / "0.9.1.log.gz",
    LOGS / "0.9.4.log.gz",
    LOGS / "0.10.3.log.gz",  # hides the refusal
    LOGS / "0.11.1.log.gz",
    LOGS / "audio" / "0.9.1.log.gz",
    LOGS / "levels" / "0.9.1-error.log.gz",  # errors only
    LOGS / "0.9.1.jsonl.gz",
    ROOT / "tests" / "data" / "playwright-chromium.har",
]


def test_the_name_is_that_of_the_customer() -> None:
    customer = tomllib.loads((ROOT / "voicerace" / "report" / "customers" / "voice-commerce.toml").read_text("utf-8"))
    assert customer["log_alias"] == realtime.RENAMED_ACTIVE_RESPONSE


def code_renamed(text: str) -> str:
    return text.replace(realtime.ACTIVE_RESPONSE, realtime.RENAMED_ACTIVE_RESPONSE)


def code_and_text_renamed(text: str) -> str:
    return re.sub(TEXT, realtime.RENAMED_ACTIVE_RESPONSE, code_renamed(text))


def summary(path: Path) -> list[dict[str, Any]]:
    """Return the sessions that `inspect --json` prints, without the statement about the name."""
    sessions: list[dict[str, Any]] = inspect_json(read_capture(path))["sessions"]
    for each in sessions:
        each["cannot_say"] = [limit for limit in each["cannot_say"] if STATED not in limit]
    return sessions


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("rename", [code_renamed, code_and_text_renamed])
def test_a_renamed_refusal_is_the_same_refusal(tmp_path: Path, path: Path, rename: Callable[[str], str]) -> None:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    changed = tmp_path / path.name.removesuffix(".gz")
    changed.write_text(rename(text), "utf-8")
    assert realtime.ACTIVE_RESPONSE not in changed.read_text("utf-8")
    assert summary(changed) == summary(path)
    assert any(each["refusals"] for each in summary(changed))
    lines = "\n".join(inspect_lines(read_capture(changed)))
    assert STATED in lines
    assert "The app changed the name of the refusal" in lines
    assert STATED not in "\n".join(inspect_lines(read_capture(path)))


@pytest.mark.parametrize("path", [FILES[0], FILES[-1]], ids=lambda path: path.name)
def test_a_redacted_copy_keeps_the_changed_name(tmp_path: Path, path: Path) -> None:
    raw = path.read_bytes()
    changed, copy = tmp_path / "changed", tmp_path / "copy"
    changed.write_text(code_renamed((gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")), "utf-8")
    copy.write_text("".join(f"{line}\n" for line in redacted(changed)), "utf-8")
    assert STATED in "\n".join(inspect_lines(read_capture(copy)))
    assert [each["refusals"] for each in summary(copy)] == [each["refusals"] for each in summary(path)]


def test_the_verdict_of_a_renamed_recording_is_that_of_the_recording() -> None:
    recordings = read_recordings(LOGS / "0.9.1.jsonl.gz")
    refused = 0
    for each in recordings:
        events = [json.loads(code_renamed(json.dumps(event.to_json()))) for event in each.events]
        changed = type(each.events[0])
        renamed = Recording(
            tuple(changed.from_json(event) for event in events), each.provenance, each.clock, each.observed, each.complete
        )
        assert renamed.events != each.events
        before, after = judge(each), judge(renamed)
        assert (after.outcome, after.turns) == (before.outcome, before.turns)
        refused += sum(turn.refusals for turn in after.turns)
    assert refused > 0
