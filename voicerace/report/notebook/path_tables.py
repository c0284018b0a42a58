"""What an exploration, the gate and the workarounds came to, as the tables of the notebook about every path."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import pandas as pd

from voicerace.errors import InputError
from voicerace.experiments.explore.explorer import ExplorationResult
from voicerace.experiments.explore.finding import Finding, sentence_of
from voicerace.experiments.workarounds import Effect
from voicerace.files import shipped

__all__ = ["at_length", "effects", "effects_at_length", "findings", "kept_workarounds", "shortest", "stories"]

_T = TypeVar("_T")
_FINDINGS = ["path", "what happens", "outcome", "story", "handler", "steps", "room_ms"]


def findings(found: Iterable[Finding]) -> pd.DataFrame:
    """Paths to a bad outcome, one row each, the shortest first.

    Columns: path, what happens, outcome, story, handler, steps, room_ms (how far steps that meet are apart).
    """
    rows = [
        [
            each.name,
            sentence_of(each.signature),
            each.signature.outcome,
            each.story,
            each.handler,
            len(each.trace),
            each.slack_ms,
        ]
        for each in shortest(found)
    ]
    return pd.DataFrame(rows, columns=_FINDINGS)


def shortest(found: Iterable[Finding], most: int | None = None) -> list[Finding]:
    """The findings with the fewest steps, `most` of them at most."""
    return sorted(found, key=lambda each: (len(each.trace), each.name))[:most]


def stories(*explored: ExplorationResult) -> pd.DataFrame:
    """What was explored, one row per story: release, story, handler, states, whether every order was met, findings."""
    rows: list[dict[str, Any]] = [
        {
            "release": each.release,
            "story": told.story,
            "handler": told.handler,
            "states": told.states,
            "every order": "yes" if told.complete else "no",
            "paths": told.findings,
        }
        for each in explored
        for told in each.stats
    ]
    return pd.DataFrame(rows)


def effects(found: Sequence[Effect]) -> pd.DataFrame:
    """What workarounds do to a release; dead air is from the calls' response.done to the reply's first output."""
    rows = []
    for each in found:
        if each.why_not is not None:
            rows.append([each.workaround, f"not possible: {each.why_not}", *[""] * 5])
            continue
        pairs = [", ".join(sorted({name for _, name in pairs})) for pairs in (each.removed, each.left, each.new)]
        air, bare = ("none" if ms is None else f"{ms:.0f} ms" for ms in (each.air_ms, each.air_without_ms))
        heard = f"{each.heard_without} to {each.heard} of {each.sessions}"
        open_ = ", ".join(each.incomplete)
        rows.append([each.workaround, *pairs, open_, f"{bare} to {air}", heard])
    columns = ["workaround", "removed", "left", "new", "not all orders of", "dead air, median", "results heard"]
    return pd.DataFrame(rows, columns=columns)


def at_length(release: str) -> list[Finding]:
    """The findings of a longer exploration with wider bounds, where one is kept in data/explore; else none.

    Raises:
        InputError: the file cannot be read.
    """
    return _kept(f"explore/{release}.json", "explore", lambda told: [Finding.from_json(each) for each in told["findings"]])


def effects_at_length(release: str) -> list[Effect]:
    """What workarounds do to a release in a longer exploration, of more stories, where data/workarounds.json has it; else none.

    Raises:
        InputError: the file cannot be read.
    """
    return [each for _, found in kept_workarounds() for each in found if each.release == release]


def kept_workarounds() -> list[tuple[dict[str, Any], list[Effect]]]:
    """What data/workarounds.json holds, where it is there: its parameters, and every effect; else an empty list.

    Raises:
        InputError: the file cannot be read.
    """
    return _kept(
        "workarounds.json", "workarounds --again",
        lambda told: [(
            {name: value for name, value in told.items() if name != "effects"},
            [Effect.from_json(each) for each in told["effects"]],
        )],
    )  # fmt: skip


def _kept(name: str, verb: str, reader: Callable[[Any], list[_T]]) -> list[_T]:
    try:
        path = shipped(f"data/{name}")
    except InputError:
        return []
    try:
        return reader(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(path.name, str(error), f"as `voicerace {verb} --out` writes it") from None
