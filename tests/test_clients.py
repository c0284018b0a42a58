"""Models of clients without a proxy: rules, sessions in virtual time, and comparison with the running clients."""

import csv
from pathlib import Path

import pytest

from voicerace import SessionConfig, simulate
from voicerace.analysis.verdict import judge
from voicerace.errors import InputError
from voicerace.experiments.client_checks import client_cases
from voicerace.model.catalog.clients import CLIENTS

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
