"""Test by random play that no finding is missing: of the files in data/explore, and of an explorer that was weakened."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support.random_sessions import missed

from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.explorer import explore
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.signature import Signature
from voicerace.experiments.explore.state import Turn
from voicerace.experiments.explore.stories import bounds_of

DATA = Path(__file__).parents[1] / "data" / "explore"
#: Number of random sessions per release. docs/explore.md names the command for more.
SESSIONS = int(os.environ.get("VOICERACE_RANDOM_SESSIONS", "300"))


def bounds_in(record: Mapping[str, tuple[float, float]]) -> Bounds:
    return Bounds({name: (round(low * 1000), round(high * 1000)) for name, (low, high) in record.items()})


@pytest.mark.long
@pytest.mark.parametrize("release", sorted(path.stem for path in DATA.glob("*.json")))
def test_random_sessions_within_the_bounds_of_a_file_have_only_signatures_that_are_stored(release: str) -> None:
    record = json.loads((DATA / f"{release}.json").read_text("utf-8"))
    found = {Finding.from_json(each).signature for each in record["findings"]}
    pairs = [(each["story"], each["handler"], bounds_in(each["bounds"])) for each in record["stories"] if each["complete"]]
    assert list(missed(release, pairs, found, SESSIONS)) == []


def found(release: str, story: str) -> set[Signature]:
    explored = explore(release, [(story, "return")])
    assert explored.stats[0].complete
    return set(explored.findings)


def without_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the explorer take two turns with different ledgers as one."""
    monkeypatch.setattr(Turn, "key", lambda self, base: ())


def without_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the explorer drop the upper part of one interval."""
    whole = Bounds.of
    monkeypatch.setattr(Bounds, "of", lambda given=(), story=None: whole(("gap_ms=0:5", *given), story))


@pytest.mark.parametrize(
    ("weaken", "story"), [(without_ledger, "slow-confirmation"), (without_gap, "single")], ids=["ledger", "interval"]
)
def test_a_weakened_explorer_is_caught_by_random_play(
    weaken: Callable[[pytest.MonkeyPatch], None], story: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = [(story, "return", Bounds.of((), bounds_of(story, "return")))]
    assert list(missed("0.11.1", pair, found("0.11.1", story), 200)) == []
    weaken(monkeypatch)
    assert list(missed("0.11.1", pair, found("0.11.1", story), 200))
