"""Test the formulas of data/formulas: the virtual engine agrees, and those of the closed forms are there."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from voicerace.analysis.verdict import judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate

FILES = sorted((Path(__file__).parents[1] / "data" / "formulas").glob("*.json"))


def holds(condition: dict[str, Any], times: dict[str, float]) -> bool:
    value = round(sum(weight * (times[name] if name else 1) for name, weight in condition["sum"].items()), 6)
    return value > 0 if condition["strict"] else value >= 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_engine_has_the_outcome_of_the_stored_formula(file: Path) -> None:
    """Times are multiples of 5 ms, so that some sessions have ties."""
    (each,) = json.loads(file.read_text("utf-8"))["formulas"]
    rng = random.Random(file.stem)
    for _ in range(40):
        times = {name: float(rng.randrange(5, int(high) + 1, 5)) for name, (_, high) in each["box"].items()}
        found = [
            outcome
            for outcome, terms in each["conditions"].items()
            if any(all(holds(condition, times) for condition in term) for term in terms)
        ]
        session = SessionConfig.of(
            release=each["release"], scenario=each["scenario"], handler=each["handler"], times={**each["constants"], **times}
        )
        assert found == [judge(simulate(session)).outcome], times


@pytest.mark.parametrize(
    ("release", "outcome", "text"),
    [
        ("0.9.1", "rejected", "tool_ms + host_rtt_ms + upstream_rtt_ms < gap_ms"),
        ("0.9.4", "stalled", "gap_ms <= tool_ms + host_rtt_ms"),
        ("0.10.3", "lost", "tool_ms + host_rtt_ms + 2 upstream_rtt_ms + ack_ms < gap_ms"),
        ("0.11.1", "lost", "tool_ms + host_rtt_ms + 2 upstream_rtt_ms + ack_ms < gap_ms"),
    ],
)
def test_the_stored_formulas_are_the_closed_forms(release: str, outcome: str, text: str) -> None:
    """docs/protocol-facts.md#closed-forms."""
    (file,) = [file for file in FILES if file.stem == f"{release}-single-return"]
    (each,) = json.loads(file.read_text("utf-8"))["formulas"]
    assert each["formulas"][outcome] == text
