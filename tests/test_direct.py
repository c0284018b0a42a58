"""Test sessions of a client program without a proxy: the contract, the verdict, faults of the program, and the command."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from voicerace.analysis.verdict import Verdict, judge
from voicerace.cli.app import main
from voicerace.engine.live import direct
from voicerace.engine.live.direct import DirectClient
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.client_checks import GROUPS, client_cases, group_of
from voicerace.model.actors.actor import Send
from voicerace.model.actors.user import User
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.report.notebook import field_tables
from voicerace.trace.recording import Recording

ROOT = Path(__file__).parents[1]
#: The gap exceeds the tool's time by more than a busy machine delays a message.
TIMES: dict[str, Any] = {"gap_ms": 1_000, "reply_ms": 50, "upstream_rtt_ms": 20, "deadline_ms": 2_000}

pytestmark = pytest.mark.real_clock


def play(kind: str, scenario: str = "single", calls: int | None = None, **times: Any) -> tuple[Recording, Verdict]:
    session = SessionConfig.of(scenario=scenario, calls=calls, times={**TIMES, **times})

    async def one() -> Recording:
        async with DirectClient([sys.executable, "-m", "tests.support.direct_client", kind]) as client:
            return await client.play(session)

    recording = asyncio.run(one())
    return recording, judge(recording)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_an_early_request_is_refused_and_the_client_counts_as_notified() -> None:
    recording, verdict = play("naive", tool_ms=10)
    assert (verdict.outcome, verdict.turns[0].host_errors, verdict.fault) == ("rejected", 1, None)
    assert recording.provenance["topology"] == "direct"
    assert recording.provenance["client"]["path"] == "/v1/realtime"


@pytest.mark.long
def test_a_client_that_waits_for_the_response_is_answered() -> None:
    _, verdict = play("waits", tool_ms=10)
    assert (verdict.outcome, verdict.wedged, verdict.turns[0].refusals) == ("answered", False, 0)
    assert verdict.turns[0].dead_air_ms is not None


@pytest.mark.long
def test_two_results_after_the_response_cause_two_replies() -> None:
    _, verdict = play("waits", "parallel", 2, gap_ms=20, tool_ms="50,900")
    assert verdict.outcome == "duplicated"


@pytest.mark.long
def test_a_response_of_the_server_refuses_the_request_and_does_not_know_the_result() -> None:
    _, verdict = play("naive", gap_ms=20, tool_ms=600, server_turn_ms=300, create_ms=1_000, reply_ms=500)
    assert verdict.turns[0].refusals == 1
    assert verdict.outcome == "stale"


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "fault"),
    [("leaves", "ended with status 0"), ("silent", "did not connect"), ("stays", "did not end")],
)
def test_a_program_that_breaks_the_contract_ends_its_session_with_a_fault(
    kind: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "_START_S", 5.0)
    _, verdict = play(kind, tool_ms=10)
    assert verdict.fault is not None
    assert fault in verdict.fault


def test_a_program_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="is no program"):
        DirectClient(["no-such-program-at-all"])


def test_every_group_has_cases_with_distinct_names() -> None:
    cases = client_cases(2)
    assert {group_of(each) for each in cases} == set(GROUPS)
    assert len({each.name for each in cases}) == len(cases)


@pytest.mark.long
def test_the_command_prints_a_row_per_session_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from voicerace.conformance import acceptance
    from voicerace.experiments import client_checks

    few = tuple(each for each in client_cases(0) if each.name in ("one call: tool=10", "one call: tool=1500"))
    monkeypatch.setattr(client_checks, "client_cases", lambda seeds: few)
    assert acceptance.check_client is not None
    command = f"{sys.executable} -m tests.support.direct_client naive"
    files = ["--junit", str(tmp_path / "junit.xml"), "--out", str(tmp_path / "failed.jsonl"), "--log", str(tmp_path / "log")]
    assert main(["check", "--client", command, *files]) == 1
    printed = capsys.readouterr().out
    assert "client: 1 of 2 sessions passed" in printed
    assert "conversation_already_has_active_response" in printed
    assert judge(Recording.read(tmp_path / "failed.jsonl")).outcome == "rejected"
    assert main(["check", "--client", command, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == 1


def test_a_client_is_not_combined_with_a_proxy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--client", "python x.py", "--proxy", "model:0.9.1"]) == 2
    assert "given with --client" in capsys.readouterr().err


@pytest.mark.parametrize("at_client", [False, True])
def test_the_user_waits_if_a_result_crossed_the_servers_decision(at_client: bool) -> None:
    """The client sent the result before the commit arrived, and the API got the result after it: the reply does not know it."""
    recording = field_tables.recording("openai-naive", "server turn: tool=400 create=60 server_turn=120")
    user = User(SCENARIOS["single"].inputs, 0, at_client=at_client)
    user.observe("component", "app", {"type": "onSettingsApplied"}, 0)
    seen = [each for each in recording.events if each.kind == "message" and "upstream" in each.link]
    said = []
    for event in sorted(seen, key=lambda each: each.at_ns("proxy") or 0):
        effects = user.observe(event.link.sender, event.link.receiver, event.payload, event.seq)
        said += [event.type for each in effects if isinstance(each, Send)]
        if [each.type for each in seen[: seen.index(event) + 1]].count("response.done") == 2:
            break
    assert said == ([] if at_client else ["response.done"])
