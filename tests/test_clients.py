"""Models of clients without a proxy: rules, sessions in virtual time, and comparison with the running clients."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from voicerace import SessionConfig, simulate
from voicerace.analysis.verdict import judge
from voicerace.cli import main
from voicerace.conformance.clients import compare_client
from voicerace.errors import InputError
from voicerace.experiments.client_checks import client_cases
from voicerace.model.catalog.clients import CLIENTS
from voicerace.trace.recording import Recording, read_recordings

ROOT = Path(__file__).resolve().parents[1]
TIMES = {"gap_ms": 300, "item_done_ms": 5, "upstream_rtt_ms": 60, "create_ms": 5, "reply_ms": 300, "deadline_ms": 6000}


def play(client: str, scenario: str = "single", knobs: dict[str, str] | None = None, **times: object):
    session = SessionConfig.of(release=f"client:{client}", scenario=scenario, times={**TIMES, **times}, knobs_given=knobs)
    return simulate(session)


#: Sessions in which the running client was later than its tool's time, so that the slot was free again, or the user's text and
#: the result came in another order (tests below compare each message with the model at the recorded times).
LATE = {
    ("openai-agents", "slot lag: tool=400 slot_lag=200"),
    ("openai-agents-js", "slot lag: tool=400 slot_lag=200"),
    ("openai-agents-js", "no event id: tool=400 slot_lag=200"),
    ("openai-agents-js", "user text: recorded-2026 seed=12"),
}


@pytest.mark.parametrize("tag", CLIENTS)
def test_a_model_has_the_outcomes_of_the_running_client(tag: str) -> None:
    name = tag.removeprefix("client:")
    cases = {case.name: case for case in client_cases(20)}
    different = set()
    with (ROOT / "data/field" / f"{name}.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["group"] != "reconnect"]
    for row in rows:
        verdict = judge(simulate(SessionConfig.of(release=tag, **cases[row["case"]].settings)))
        if (verdict.outcome, str(verdict.wedged)) != (row["outcome"], row["wedged"]):
            different.add((name, row["case"]))
    assert len(rows) == 80
    assert different == {each for each in LATE if each[0] == name}


def test_a_session_of_a_client_has_the_links_and_provenance_of_a_live_one() -> None:
    recording = play("openai-agents")
    assert {str(link) for link in recording.observed} == {"proxy>upstream", "upstream>proxy", "user>app"}
    assert recording.provenance["topology"] == "direct"
    assert recording.provenance["release"] == "client:openai-agents"
    assert not {"component", "handler", "proxy"} & set(recording.provenance)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"scenario": "voice"}, "scenario"),
        ({"scenario": "reconnect"}, "scenario"),
        ({"handler": "void_ref"}, "handler"),
        ({"tool_end": "none"}, "tool_end"),
        ({"component_tag": "0.9.1"}, "component"),
        ({"forwarder": "F1"}, "forwarder"),
        ({"workaround": "placeholder"}, "workaround"),
        ({"idle_close": True}, "idle_close"),
    ],
)
def test_a_client_takes_nothing_that_only_a_proxy_has(given: dict, named: str) -> None:
    with pytest.raises(InputError) as caught:
        SessionConfig.of(release="client:openai-agents", **given)
    assert caught.value.where == named


def test_an_unknown_client_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="client:pipecat"):
        SessionConfig.of(release="client:openai-agent")


def field(name: str) -> list[Recording]:
    return list(read_recordings(ROOT / "data/field" / f"{name}.jsonl.gz"))


#: Sessions with a message at another time than the model's. The process of openai-agents-js was stopped for 200 ms (it answered
#: a confirmed item so late), so that it had not read response.created. livekit-agents holds the result of a tool that the
#: user's speech interrupted until the server's response is over, which the model does not do (docs/clients.md).
OTHER_TIME = {
    ("openai-agents-js", "server turn: tool=400 create=60 server_turn=60", "280 ms before"),
    ("openai-agents-js", "server turn: tool=400 create=60 server_turn=80", "192 ms before"),
    ("livekit-agents", "server turn: tool=400 create=60 server_turn=60", "330 ms after"),
    ("livekit-agents", "server turn: tool=400 create=60 server_turn=80", "351 ms after"),
}


def test_the_messages_of_the_running_clients_are_those_of_their_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--clients"]) == 1
    printed = capsys.readouterr().out
    named = re.findall(r"^(\S+), (server turn: .*): message \d: the client sent \S.* (\d+ ms \w+) the model$", printed, re.M)
    assert set(named) == OTHER_TIME
    assert main(["conformance", "--clients", "--json"]) == 1
    rows = {row["client"]: row for row in json.loads(capsys.readouterr().out)["clients"]}
    assert list(rows) == list(CLIENTS)
    assert all(row["sessions"] == 26 and row["messages"] > 100 for row in rows.values())
    assert sum(row["different"] for row in rows.values()) == len(OTHER_TIME)


@pytest.mark.parametrize(
    ("client", "changed"),
    [
        ("openai-naive", {"waits_for": frozenset({"response"})}),
        ("openai-naive", {"refused": "retried"}),
        ("openai-well", {"refused": "lost"}),
        ("openai-well", {"waits_for": frozenset({"response"})}),
        ("openai-agents", {"waits_for": frozenset()}),
        ("openai-agents", {"asks": "last"}),
        ("openai-agents", {"named": False}),
        ("openai-agents", {"refused": "none"}),
        ("openai-agents", {"text": "held"}),
        ("openai-agents-js", {"tagged": True, "refused": "waits"}),
        ("pydantic-ai", {"asks": "each"}),
        ("pydantic-ai", {"refused": "lost"}),
        ("pydantic-ai", {"tagged": False}),
        ("livekit-agents", {"results": "each"}),
        ("livekit-agents", {"at_speech": "nothing"}),
        ("livekit-agents", {"gives_up": False}),
        ("livekit-agents", {"text": "sent"}),
        ("pipecat", {"text": "sent"}),
        ("pipecat", {"at_speech": "nothing"}),
        ("pipecat", {"waits_for": frozenset()}),
    ],
)
def test_a_wrong_rule_differs_from_the_running_client(client: str, changed: dict) -> None:
    wrong = replace(CLIENTS[f"client:{client}"], **changed)
    compared = [compare_client(recording, wrong) for recording in field(client)]
    known = {case for name, case, _ in OTHER_TIME if name == client}
    assert any(each.differences for each in compared if each is not None and each.case not in known)


def test_a_result_before_the_end_of_its_tool_is_a_difference() -> None:
    naive = next(each for each in field("openai-naive") if each.provenance["case"] == "one call: tool=1500")
    slow = {**naive.provenance, "times": {**naive.provenance["times"], "tool_ms": "1800"}}
    compared = compare_client(replace(naive, provenance=slow))
    assert "before its tool's end" in compared.differences[0]
