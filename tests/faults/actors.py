"""Plays sessions with damaged messages to the mock upstream and to the proxy model of every release.

The sessions were recorded at running proxies (data/conformance). Some of their messages are mutated, lost, doubled, or sent
in a frame of the other kind. The actor's timers end at random points between the messages, in any order.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.faults.mutate import binary_for_text, deep, mutated_json
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.model.actors.actor import Effects, SetTimer
from voicerace.model.actors.effects import Interpreter
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.protocol.frames import frame_of, payload_of
from voicerace.trace.recording import Payload, read_recordings

__all__ = ["proxy", "upstream"]

ROOT = Path(__file__).parents[2]
_TAGS: Final = ("0.9.1", "0.9.4", "0.11.1")
#: Valid codes of a close frame, and the two values for a close without a code (None and 1006).
_CODES: Final = {None, 1000, 1001, 1002, 1003, 1006, 1007, 1008, 1009, 1011}
_KNOBS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"function_output": "item_done"},
    {"function_output": "response_done", "session_update_active": "refuse"},
    {"binary_frames": "refuse", "item_before_output": "no", "server_turn_taken": "waits"},
    {"reply_status": "failed"},
    {"error_after_create": "server_error"},
)


@cache
def sessions() -> tuple[tuple[tuple[str, str, Payload], ...], ...]:
    """Return (sender, receiver, payload) of every message, grouped by recorded case."""
    found = []
    for tag in _TAGS:
        for recording in read_recordings(ROOT / "data" / "conformance" / f"{tag}.jsonl.gz"):
            passed = [(*_ends(event.link), event.payload) for event in recording.events if event.kind == "message"]
            found.append(tuple(passed))
    return tuple(found)


def _ends(link: Any) -> tuple[str, str]:
    return link.sender, link.receiver


@cache
def said() -> tuple[Any, ...]:
    """Return one message of each sender and type. Mutations copy parts of these messages into other messages."""
    kinds = {(sender, str(payload.get("type"))): payload for each in sessions() for sender, _, payload in each
             if isinstance(payload, dict)}  # fmt: skip
    return tuple(kinds.values())


class Table(Interpreter):
    """Runs one actor without the other actors, checks each effect, and keeps the names of the running timers.

    Args:
        session: configuration with the actors and the durations of their timers.
        name: name of the actor.
    """

    def __init__(self, session: SessionConfig, name: str) -> None:
        self.session = session
        self.name = name
        self.actor = session.actors()[name]
        self.timers: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.closed = False

    def do(self, effects: Effects) -> None:
        self.apply(self.name, effects)

    def send(self, actor: str, to: str, payload: Payload) -> None:
        """Check that a socket can send the message, and count the message."""
        frame = frame_of(payload)
        frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
        kind = payload.get("type") if isinstance(payload, dict) else None
        self.counts["error" if kind in ("error", "Error") else "sent"] += 1

    def set_timer(self, actor: str, timer: SetTimer) -> None:
        """Check that the duration has a value, and keep the timer's name."""
        assert self.session.times.ns(timer.after, timer.index, 0) >= 0
        self.timers.add(timer.name)

    def cancel_timer(self, actor: str, name: str) -> None:
        self.timers.discard(name)

    def close(self, actor: str, to: str, code: int | None) -> None:
        """Check that the close code is valid, and set `closed`."""
        assert code in _CODES, f"close code {code}"
        self.closed = True

    def ring(self, rng: random.Random) -> None:
        name = rng.choice(sorted(self.timers))
        self.timers.discard(name)
        self.do(self.actor.timer(name))


def damaged(payload: Payload, rng: random.Random) -> list[Payload]:
    """Return the messages that arrive in place of a message, in the form that an engine passes to an actor."""
    turn = rng.randrange(100)
    if turn < 50:
        return [payload]
    if turn < 53:
        return []
    if turn < 56:
        return [payload] * rng.choice((2, 3))
    if turn < 57:
        return [payload_of(deep(rng))]
    if turn < 60:
        return [rng.randbytes(rng.choice((0, 1, 2, 3, 4_801, 9_600, 70_000)))]
    if not isinstance(payload, dict):
        return [payload_of(rng.choice(("", "[1]", "null", '"x"', "7", "{}", "NaN", '{"type":{}}', "\x00")))]
    if turn < 72:
        return [payload_of(binary_for_text(payload, rng))]
    # The message is encoded and decoded as on a socket. Python's JSON preserves NaN and lone surrogates.
    return [payload_of(json.dumps(mutated_json(payload, rng, said())))]


def _play(rng: random.Random, name: str, session: SessionConfig) -> str:
    table = Table(session, name)
    table.do(table.actor.start())
    try:
        for sender, receiver, payload in rng.choice(sessions()):
            while table.timers and rng.random() < 0.4:
                table.ring(rng)
            if receiver == name:
                for each in damaged(payload, rng):
                    table.do(table.actor.message(sender, each))
            if table.closed:
                return "closed by it"
        for _ in range(100):
            if not table.timers or table.closed:
                break
            table.ring(rng)
        neighbours = {"upstream": ("proxy",), "proxy": ("component", "upstream")}[name]
        table.do(table.actor.closed(rng.choice(neighbours), rng.choice((None, 1000, 1006, 1011))))
    except InputError as error:
        # An unsupported input ends the model's session with a one-line error.
        return "ended by it, with a reason" if "\n" not in str(error) else f"ended with {str(error)!r}"
    return "played, errors sent" if table.counts["error"] else "played"


def upstream(rng: random.Random, folder: Path) -> str:
    return _play(rng, "upstream", SessionConfig.of(modality=rng.choice(("text", "audio")), knobs_given=rng.choice(_KNOBS)))


def proxy(rng: random.Random, folder: Path) -> str:
    return _play(rng, "proxy", SessionConfig.of(release=rng.choice([*PROXIES])))
