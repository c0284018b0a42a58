"""Compare response-gate.ts with the reference gate, decision by decision, on drawn sequences of results, inputs and events."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support import typescript
from voicerace.conformance.fix.apply import MODULES
from voicerace.model.actors.reference_gate import Gate, GateState
from voicerace.model.catalog.gate_rules import RULES
from voicerace.model.protocol import realtime

COMPILER: Final = typescript.compiler()
RUNNER: Final = Path(__file__).parent / "support" / "gate_runner.cjs"
SEQUENCES: Final = 10_000

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(COMPILER is None, reason="no TypeScript compiler (VOICERACE_CHECKOUTS or VOICERACE_TYPESCRIPT)"),
]

#: Ids are few, so that drawn events often refer to each other.
RESPONSES: Final = ("r1", "r2", "r3")
CALLS: Final = ("c1", "c2", "c3")


def run_node(*arguments: str, lines: str = "") -> str:
    command = ["node", str(RUNNER), str(MODULES / "response-gate.ts"), str(COMPILER), *arguments]
    return subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout


def refusal(random_: random.Random) -> dict[str, Any]:
    holder = random_.choice([*RESPONSES, ""])
    text = f"Conversation already has an active response in progress: {holder}. Wait." if holder else "active response"
    error: dict[str, Any] = {"code": realtime.ACTIVE_RESPONSE, "message": text}
    if random_.random() < 0.7:
        error["event_id"] = realtime.CREATE_ID
    return {"type": "error", "error": error}


def event(random_: random.Random) -> Any:
    """Draw an event of the server: mostly events that the gate handles, sometimes events with missing or odd fields."""
    response, call = random_.choice(RESPONSES), random_.choice(CALLS)
    call_item = {"type": "function_call", "call_id": call}
    messages = [{"type": "message", "role": role} for role in ("user", "assistant")]
    item = random_.choice([{"type": "function_call_output", "call_id": call}, *messages, call_item])
    error = {"code": "unknown_item", "message": f"no call {call}", "event_id": random_.choice([None, "create", "x"])}
    odd = [
        {"type": "error"},
        {"type": "response.created"},
        {"type": 7},
        [],
        "text",
        None,
        {"type": "response.done", "response": 1},
    ]
    return random_.choice([
        {"type": "response.created", "response": {"id": response}},
        {"type": "response.created", "response": {"id": response, "conversation_id": random_.choice(["conv", None])}},
        {"type": "response.done", "response": {"id": response}},
        {"type": "response.output_text.done", "response_id": response},
        {"type": "response.output_audio.done", "response_id": response},
        {"type": "response.output_item.added", "response_id": response, "item": item},
        {"type": "response.output_item.added", "response_id": response, "item": call_item},
        {"type": "response.function_call_arguments.done", "response_id": response, "call_id": call},
        {"type": f"conversation.item.{random_.choice(['added', 'created', 'done'])}", "item": item},
        {"type": f"input_audio_buffer.{random_.choice(['committed', 'timeout_triggered'])}"},
        refusal(random_),
        {"type": "error", "error": error},
        {"type": "error", "error": {"message": "user text is too long"}},
        {"type": "rate_limits.updated"},
        random_.choice(odd),
    ])  # fmt: skip


def sequence(random_: random.Random) -> list[tuple[str, Any]]:
    return [
        random_.choices(
            [
                ("event", event(random_)),
                ("result", random_.choice(CALLS)),
                ("userInput", random_.choice(["text", "audio"])),
                ("resume", None),
            ],
            weights=[12, 4, 2, 1],
        )[0]
        for _ in range(random_.randrange(1, 40))
    ]


def decisions(rules: frozenset[Any], steps: list[tuple[str, Any]]) -> list[int]:
    gate = Gate(rules, GateState())
    found = []
    for name, argument in steps:
        if name == "event":
            found.append(gate.event(argument if isinstance(argument, dict) else {}))
        elif name == "resume":
            found.append(gate.resume())
        else:
            found.append(gate.result(argument) if name == "result" else gate.user_input(argument))
    return found


def test_the_module_has_the_rules_of_the_reference_gate() -> None:
    table = json.loads(run_node("table"))
    assert table == {"rules": RULES, "id": realtime.CREATE_ID}


def test_module_and_reference_gate_decide_alike_on_drawn_sequences() -> None:
    random_ = random.Random(1)
    drawn = []
    for number in range(SEQUENCES):
        # Half of the sequences are played with all rules, the others without some of them.
        rules = frozenset(RULES) if number % 2 else frozenset(each for each in RULES if random_.random() < 0.8)
        drawn.append((rules, sequence(random_)))
    lines = "".join(json.dumps({"rules": sorted(rules), "steps": steps}) + "\n" for rules, steps in drawn)
    found = [json.loads(line) for line in run_node(lines=lines).splitlines()]
    expected = [decisions(rules, steps) for rules, steps in drawn]
    different = [number for number in range(SEQUENCES) if found[number] != expected[number]]
    assert len(found) == SEQUENCES
    assert different == [], drawn[different[0]]
    assert sum(map(sum, expected)) > SEQUENCES  # the sequences contain requests


@pytest.fixture(scope="module")
def all_rules() -> tuple[list[list[tuple[str, Any]]], list[list[int]]]:
    """Return (sequences, decisions of the reference gate with all rules)."""
    random_ = random.Random(2)
    drawn = [sequence(random_) for _ in range(SEQUENCES)]
    return drawn, [decisions(frozenset(RULES), steps) for steps in drawn]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_module_without_a_rule_decides_differently(all_rules: tuple[list[Any], list[list[int]]], rule: str) -> None:
    drawn, expected = all_rules
    lines = "".join(json.dumps({"rules": sorted(set(RULES) - {rule}), "steps": steps}) + "\n" for steps in drawn)
    assert [json.loads(line) for line in run_node(lines=lines).splitlines()] != expected
