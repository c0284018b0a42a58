"""Make invalid inputs from valid inputs: values of other types, huge and deep values, lost or doubled pieces, flipped bits."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

__all__ = ["binary_for_text", "deep", "mutated_bytes", "mutated_json"]

#: Functions that return a new value of a wrong type, size or depth.
_WRONG: Final[tuple[Callable[[random.Random], Any], ...]] = (
    lambda rng: None,
    lambda rng: rng.random() < 0.5,
    lambda rng: rng.choice((0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 10**30)),
    lambda rng: rng.choice((0.5, -0.0, 1e-300, 1e308, float("inf"), float("-inf"), float("nan"))),
    lambda rng: "",
    lambda rng: rng.choice(("\x00", "\ud800", "\x1b[2J", "\u202e", "\r\n", "\ufeff", "__proto__", "constructor", "NaN")),
    lambda rng: rng.choice(("../../etc/passwd", "/etc/passwd", "..", "con", "a/b", "x" * 300, "file:///etc/passwd")),
    lambda rng: "y" * rng.choice((1_000, 100_000)),
    lambda rng: [],
    lambda rng: {},
    lambda rng: [None, 1, "x", {}, []],
    lambda rng: {"type": rng.choice(("error", "response.done", "session.update", "Settings", ""))},
    lambda rng: {"": {"": {"": ""}}},
    lambda rng: [{"type": "function_call"}] * rng.choice((2, 3_000)),
    lambda rng: nested(rng.choice((10, 100, 200)), rng.random() < 0.5),
)
#: Byte sequences with a special meaning in JSON, JavaScript, YAML, terminals or text encodings.
_TOKENS: Final = (
    b"{", b"}", b"[", b"]", b'"', b"'", b"`", b"\\", b"\\u", b"\\x", b",", b":", b"null", b"NaN", b"-Infinity", b"1e999",
    b"9" * 5_000, b"0x1n", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\r\n", b"\n\n", b"\x1b[31m", b"{\n",
    b"}\n", b"<ref *1> [Circular *1]", b"[Object: null prototype]", b"... 7 more items", b"Symbol(x)", b"\n  at f (x.js:1:1)",
    b'{"voicerace_recording":1}\n', b'{"end":0}\n', b'{"log":{"entries":[]}}', b"\x1f\x8b\x08", b"data:;base64,", b"-1",
)  # fmt: skip


def nested(depth: int, lists: bool = False) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value] if lists else {"a": value}
    return value


def deep(rng: random.Random) -> str:
    """Return JSON text that is deeper than the stack of any parser. The brackets are sometimes left open."""
    depth = rng.choice((1_500, 20_000, 100_000))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}"), ('{"type":"x","item":', "}")))
    return opening * depth + "1" + closing * (depth if rng.random() < 0.5 else 0)


def _paths(value: Any, limit: int = 400) -> list[tuple[Any, Any]]:
    """Return (container, key) of about `limit` nodes below a value at most."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting and len(found) < limit:
        each = waiting.pop()
        items = each.items() if isinstance(each, dict) else enumerate(each) if isinstance(each, list) else ()
        for key, inner in items:
            found.append((each, key))
            waiting.append(inner)
    return found


def mutated_json(value: Any, rng: random.Random, others: Sequence[Any] = (), most: int = 3) -> Any:
    """Return a copy of a JSON value in which one to `most` nodes are removed, renamed, doubled, exchanged or replaced."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, most)):
        paths = _paths(value)
        if not paths:
            return rng.choice(_WRONG)(rng)
        container, key = rng.choice(paths)
        match rng.randrange(8):
            case 0:
                del container[key]
            case 1 if isinstance(container, dict):
                container[rng.choice((key.upper(), key + "s", "", "type", "id"))] = container.pop(key)
            case 2:
                other, its = rng.choice(paths)
                container[key], other[its] = copy.deepcopy(other[its]), copy.deepcopy(container[key])
            case 3 if others:
                given = _paths(rng.choice(others))
                if given:
                    taken, its = rng.choice(given)
                    container[key] = copy.deepcopy(taken[its])
            case 4 if isinstance(container, list):
                container[key:key] = [copy.deepcopy(container[key])] * rng.choice((1, 2, 50))
            case _:
                container[key] = rng.choice(_WRONG)(rng)
    return value


def mutated_bytes(data: bytes, rng: random.Random, others: Sequence[bytes] = (), most: int = 4) -> bytes:
    """Return a copy of the bytes in which one to `most` pieces are flipped, lost, doubled, moved, cut off or replaced."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, most)):
        size = len(changed)
        at = rng.randrange(size + 1)
        to = min(size, at + rng.choice((1, 1, 2, 8, 60, 400, 5_000)))
        match rng.randrange(9):
            case 0 if size:
                changed[rng.randrange(size)] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at:to]
            case 2:
                changed[at:at] = changed[at:to] * rng.choice((1, 2, 20))
            case 3:
                piece = bytes(changed[at:to])
                del changed[at:to]
                there = rng.randrange(len(changed) + 1)
                changed[there:there] = piece
            case 4 if rng.random() < 0.3:
                del changed[at:]
            case 5:
                changed[at:at] = rng.choice(_TOKENS) * rng.choice((1, 1, 1, 3, 3_000 if rng.random() < 0.05 else 1))
            case 6 if others:
                other = rng.choice(others)
                start = rng.randrange(len(other) + 1)
                changed[at:to] = other[start : start + rng.choice((10, 300, 4_000))]
            case 7:
                lines = bytes(changed).split(b"\n")
                a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
                lines[a], lines[b] = lines[b], lines[a]
                changed = bytearray(b"\n".join(lines))
            case _:
                changed[at:to] = rng.randbytes(to - at)
    return bytes(changed)


def binary_for_text(message: Any, rng: random.Random) -> str | bytes:
    """Return the JSON of a message as binary, cut off, as invalid UTF-8, or as a string in a string."""
    text = json.dumps(message)
    match rng.randrange(5):
        case 0:
            return text.encode()
        case 1:
            return text[: rng.randrange(len(text) + 1)]
        case 2:
            return json.dumps(text)
        case 3:
            return mutated_bytes(text.encode(), rng)
        case _:
            return mutated_bytes(text.encode(), rng).decode("utf-8", "replace")
