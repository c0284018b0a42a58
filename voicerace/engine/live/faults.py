"""Injects faults: `serve upstream --fault` changes messages of the mock upstream before they are sent.

The form of a fault is ``KIND[=VALUE][@TYPE][#N]``. The fault applies to the N-th message of type ``TYPE``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from voicerace.errors import InputError
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Payload

__all__ = ["Fault", "Tampering"]

_GRAMMAR: Final = (
    "drop, delay=MS, withhold, duplicate or garble, each with [@TYPE][#N] (the first response.done; drop: the first "
    "response.output_item.added; #all for every one), or refuse=STATUS"
)
_WORD: Final = re.compile(r"(drop|delay|withhold|duplicate|garble|refuse)(?:=([^@#]*))?(?:@([\w.]+))?(?:#(\d+|all))?")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        kind: ``drop`` drops the connection instead of sending the message; ``delay``, ``withhold`` and ``duplicate`` do
            this to the message; ``garble`` sends half of the message; ``refuse`` refuses the handshake.
        value: delay in ms, or HTTP status of a refusal; 0 for other kinds.
        type: message type to which the fault applies.
        number: position of the affected message among the messages of its type, from 1; None for all.
        word: the fault as the user wrote it.
    """

    kind: str
    value: float
    type: str
    number: int | None
    word: str = ""

    @classmethod
    def of(cls, word: str) -> Self:
        """Parse a fault.

        Raises:
            InputError: `word` does not follow the grammar.
        """
        found = _WORD.fullmatch(word)
        if found is None:
            raise InputError("fault", repr(word), f"allowed are {_GRAMMAR}")
        kind, value, type_, number = found.groups()
        unfit = (kind in ("delay", "refuse")) != (value is not None) or (kind == "refuse" and (type_ or number))
        if unfit or (number is not None and number.isdigit() and int(number) == 0):
            raise InputError("fault", repr(word), f"allowed are {_GRAMMAR}")
        default = "response.output_item.added" if kind == "drop" else realtime.RESPONSE_DONE
        count = None if number == "all" else int(number or 1)
        return cls(kind, _value(word, kind, value), type_ or default, count, word)


def _value(word: str, kind: str, text: str | None) -> float:
    if text is None:
        return 0.0
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    low, high, unit = (400, 599, "a status of") if kind == "refuse" else (0, 86_400_000, "ms,")
    if not low <= number <= high or (kind == "refuse" and number != int(number)):
        raise InputError("fault", repr(word), f"{kind} takes {unit} {low} to {high}")
    return number


class Tampering:
    """Applies faults to the messages of one connection (`voicerace.engine.live.connection.Tamper`)."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(fault for fault in faults if fault.kind != "refuse")
        self._seen: Counter[str] = Counter()

    def __call__(self, payload: Payload) -> Sequence[tuple[float, Payload]] | None:
        kind = str(payload.get("type")) if isinstance(payload, Mapping) else ""
        self._seen[kind] += 1
        for fault in self.faults:
            if fault.type != kind or fault.number not in (None, self._seen[kind]):
                continue
            match fault.kind:
                case "drop":
                    return None
                case "withhold":
                    return ()
                case "delay":
                    return ((fault.value / 1000, payload),)
                case "duplicate":
                    return ((0.0, payload), (0.0, payload))
                case "garble":
                    text = json.dumps(payload, separators=(",", ":"))
                    return ((0.0, text[: len(text) // 2]),)
        return ((0.0, payload),)
