"""The visible messages of explored scenarios (`experiments.explore.stepper`), so that a search need not find them again.

A search that treats more messages as visible than necessary is slower, and its findings are the same. A search that treats too
few as visible finds that out and begins anew. Therefore the table changes the duration of an exploration only. It is made from
the files of explorations: ``python -m voicerace.experiments.explore.visible FILE.json ...`` replaces the rows of their pairs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Hashable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from voicerace.trace.recording import Link

__all__ = ["as_rows", "known_visible", "likely_visible", "main"]

_TABLE: Final = Path(__file__).with_suffix(".json")


def known_visible(release: str, story: str, handler: str) -> set[tuple[Link, Hashable]]:
    """Return the messages that an exploration of this pair found to be visible, or an empty set for an unknown pair."""
    messages, numbers = _table()
    return {messages[each] for each in numbers.get((release, story, handler), ())}


def likely_visible(story: str) -> set[tuple[Link, Hashable]]:
    """Return the messages that are visible in all known pairs of a scenario or, if none is known, in all known pairs."""
    messages, numbers = _table()
    rows = [set(each) for pair, each in numbers.items() if pair[1] == story] or [set(each) for each in numbers.values()]
    return {messages[each] for each in set.intersection(*rows)} if rows else set()


def as_rows(visible: Iterable[tuple[Link, Hashable]]) -> list[list[Any]]:
    """Return messages as [sender, receiver, key] in a fixed order."""
    return sorted(([*link, key] for link, key in visible), key=str)


@cache
def _table() -> tuple[list[tuple[Link, Hashable]], dict[tuple[str, str, str], Sequence[int]]]:
    """Return all messages, and the numbers of those of each release, scenario and handler style."""
    if not _TABLE.exists():
        return [], {}
    read = json.loads(_TABLE.read_text("utf-8"))
    messages: list[tuple[Link, Hashable]] = [(Link(sender, to), _hashable(key)) for sender, to, key in read["messages"]]
    return messages, {(tag, story, handler): numbers for tag, story, handler, numbers in read["pairs"]}


def _hashable(key: Any) -> Hashable:
    return tuple(map(_hashable, key)) if isinstance(key, list) else key


def main(files: Sequence[str]) -> None:
    """Replace the rows of the pairs that the files of explorations contain.

    Args:
        files: paths of files of ``voicerace explore --out``.
    """
    messages, numbers = _table()
    pairs = {pair: {messages[each] for each in found} for pair, found in numbers.items()}
    for file in files:
        read = json.loads(Path(file).read_text("utf-8"))
        for row in read["stories"]:
            if row["complete"] and "visible" in row:
                pairs[read["release"], row["story"], row["handler"]] = {
                    (Link(sender, to), _hashable(key)) for sender, to, key in row["visible"]
                }
    every = as_rows({each for found in pairs.values() for each in found})
    rows = [[*pair, [every.index(each) for each in as_rows(found)]] for pair, found in sorted(pairs.items())]
    table = {"messages": every, "pairs": rows}
    lines = [f'"{name}":[\n' + ",\n".join(json.dumps(each) for each in value) + "\n]" for name, value in table.items()]
    _TABLE.write_text("{" + ",\n".join(lines) + "}\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
