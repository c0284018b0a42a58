"""Make tables of findings, explored scenarios and effects of workarounds for ``4-every-path.ipynb``."""

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

__all__ = ["at_length", "effects", "effects_at_length", "findings", "fixes", "kept_workarounds", "shortest", "stories"]

_T = TypeVar("_T")
_FINDINGS = ["finding", "what happens", "outcome", "scenario", "handler", "steps", "slack_ms"]


def findings(found: Iterable[Finding]) -> pd.DataFrame:
    """Return one row per finding, starting with the shortest finding.

    Columns: finding, what happens, outcome, scenario, handler, steps, slack_ms (smallest time between two steps).
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


def fixes() -> pd.DataFrame:
    """Return one row per fixed release. Columns: release, sessions, failed before, failed after, lines added, latencies in ms.

    Source: data/fix. Sessions are of running proxies; latencies are medians over drawn sessions of the models.
    """
    records = [json.loads(file.read_text("utf-8")) for file in sorted(shipped("data/fix").glob("*.json"))]
    return pd.DataFrame(
        {
            "release": each["release"],
            "sessions": each["after"]["sessions"],
            "failed before": each["before"]["failed"],
            "failed after": each["after"]["failed"],
            "lines added": each["added"],
            "latency before, ms": each["cost"]["before_ms"],
            "latency after, ms": each["cost"]["after_ms"],
        }
        for each in records
    )


def shortest(found: Iterable[Finding], most: int | None = None) -> list[Finding]:
    """Return at most `most` findings, sorted by the number of steps."""
    return sorted(found, key=lambda each: (len(each.trace), each.name))[:most]


def stories(*explored: ExplorationResult) -> pd.DataFrame:
    """Return one row per explored scenario. Columns: release, scenario, handler, states, every order (yes or no), findings."""
    rows: list[dict[str, Any]] = [
        {
            "release": each.release,
            "scenario": stats.story,
            "handler": stats.handler,
            "states": stats.states,
            "every order": "yes" if stats.complete else "no",
            "findings": stats.findings,
        }
        for each in explored
        for stats in each.stats
    ]
    return pd.DataFrame(rows)


def effects(found: Sequence[Effect]) -> pd.DataFrame:
    """Return one row per workaround. Response latency is the time from the call's `response.done` to the reply's start."""
    rows = []
    for each in found:
        if each.why_not is not None:
            rows.append([each.workaround, f"not possible: {each.why_not}", *[""] * 5])
            continue
        pairs = [", ".join(sorted({name for _, name in pairs})) for pairs in (each.removed, each.left, each.new)]
        air, bare = ("none" if ms is None else f"{ms:.0f} ms" for ms in (each.air_ms, each.air_without_ms))
        heard = f"{each.heard_without} to {each.heard} of {each.sessions}"
        incomplete = ", ".join(each.incomplete)
        rows.append([each.workaround, *pairs, incomplete, f"{bare} to {air}", heard])
    columns = ["workaround", "removed", "left", "added", "not all orders of", "response latency, median", "results heard"]
    return pd.DataFrame(rows, columns=columns)


def at_length(release: str) -> list[Finding]:
    """Return the findings of the release's exploration with wider bounds in data/explore; empty without the file.

    Raises:
        InputError: the file cannot be read.
    """
    return _kept(f"explore/{release}.json", "explore", lambda record: [Finding.from_json(each) for each in record["findings"]])


def effects_at_length(release: str) -> list[Effect]:
    """Return the effects of workarounds on a release from data/workarounds.json, or an empty list without the file.

    Raises:
        InputError: the file cannot be read.
    """
    return [each for _, found in kept_workarounds() for each in found if each.release == release]


def kept_workarounds() -> list[tuple[dict[str, Any], list[Effect]]]:
    """Return (parameters, effects) of each record in data/workarounds.json, or an empty list without the file.

    Raises:
        InputError: the file cannot be read.
    """
    return _kept(
        "workarounds.json", "workarounds --again",
        lambda record: [(
            {name: value for name, value in record.items() if name != "effects"},
            [Effect.from_json(each) for each in record["effects"]],
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
