"""Compare the counts in the letter with counts computed here from the same tables, for every release in use."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from voicerace.analysis.verdict import BAD
from voicerace.conformance.suspicions import SUSPICIONS
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import WORKAROUND_TIMES
from voicerace.model.catalog.releases import PROXIES
from voicerace.report import parts
from voicerace.report.blocks import Block, Box, Claim, Fold, Picture, Table, Text, claims_of
from voicerace.report.context import ReportContext
from voicerace.report.letter import longer_gap, pages, second_result, section
from voicerace.report.letter.decision import Decision
from voicerace.report.page_check import claim_faults, counts_in
from voicerace.report.parameters import LetterParameters

ROOT = Path(__file__).parents[1]
Pair = tuple[int, int]
TWICE = [name for name, row in HANDLERS.items() if row.submissions > 1]
ONCE = [name for name in HANDLERS if name not in TWICE]
LONGEST_WAIT_MS = max(float(value) for value in WORKAROUND_TIMES.values())

#: All tests run in one process, so that the tables are computed once.
pytestmark = pytest.mark.xdist_group("letter counts")


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> ReportContext:
    """Return the context of a coarse run of all releases."""
    out = tmp_path_factory.mktemp("letter") / "run"
    coarse = {"step_ms": 100, "map_step_ms": 200, "draws": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_TOOLS_MS", (50, 1000))
        patch.setattr(parts, "_GAPS_MS", (8, 300))
        return ReportContext.of(LetterParameters(out=str(out), releases=",".join(PROXIES), release="0.9.1", **coarse))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_picture", lambda _: Text(""))
    monkeypatch.setattr(longer_gap, "_bands", lambda _: Text(""))
    monkeypatch.setattr(longer_gap, "_map", lambda *_: None)
    monkeypatch.setattr(longer_gap, "_traces", lambda *_: ())
    monkeypatch.setattr(second_result, "_trace", lambda _: None)


def of_release(every: ReportContext, release: str) -> ReportContext:
    """Return the letter's context with `release` in use. It shares the parts that do not depend on the release."""
    found = replace(every, parameters=every.parameters.model_copy(update={"release": (release,)}))
    vars(found)["real"] = every.real
    return found


def wrong(trials: pd.DataFrame) -> Pair:
    """Return (bad, all) counts of sessions with a known outcome; assert that `bad` follows from outcome and `wedged`."""
    judged = trials[trials["outcome"] != "unknown"]
    bad = judged["bad"].astype(bool)
    wedged = (
        judged["wedged"].fillna(False).astype(bool) if "wedged" in judged else judged["outcome"].isin(["answered", "no_result"])
    )
    named = judged["outcome"].isin(BAD)
    assert not (bad & ~named & ~wedged).any()
    assert not (~bad & judged["outcome"].isin(BAD - {"interrupted", "failed"})).any()
    return int(bad.sum()), len(judged)


def own(trials: pd.DataFrame | None, release: str, **fits: object) -> pd.DataFrame:
    assert trials is not None
    found = trials[trials["release"] == release]
    for name, value in fits.items():
        found = found[found[name].isin(value) if isinstance(value, list) else found[name] == value]
    return found


class Best:
    """The workaround of a release with the fewest bad sessions, counted in the table of the run."""

    def __init__(self, material: ReportContext, release: str) -> None:
        rows = own(material.part("cures"), release, possible=True)
        near = rows[(rows["scenario"] == "single") & (rows["gap_ms"] <= LONGEST_WAIT_MS)]
        bare = near[near["workaround"] == "none"]
        self.without, self.of = wrong(bare)
        tried = []
        for place, name in enumerate(dict.fromkeys(rows["workaround"])):
            mine = near[near["workaround"] == name]
            heard = mine["heard_ms"].median()
            if name != "none" and wrong(mine)[0] < self.without:
                tried.append((wrong(mine)[0], 1e9 if pd.isna(heard) else heard, place, name))
        self.name: str | None = min(tried)[3] if tried else None
        mine = rows[rows["workaround"] == self.name]
        self.near = wrong(near[near["workaround"] == self.name])
        self.beyond = wrong(mine[(mine["scenario"] == "single") & (mine["gap_ms"] > LONGEST_WAIT_MS)])
        others = mine[mine["scenario"] != "single"]
        self.stories = {str(story): wrong(group) for story, group in others.groupby("scenario", sort=False)}


def harmed(material: ReportContext, release: str, name: str) -> list[Pair]:
    found = []
    for other in material.releases:
        rows = own(material.part("cures"), other, possible=True, scenario="single")
        rows = rows[rows["gap_ms"] <= LONGEST_WAIT_MS]
        with_it, without = wrong(rows[rows["workaround"] == name]), wrong(rows[rows["workaround"] == "none"])
        if other != release and with_it[0] > without[0]:
            found.append(with_it)
    return found


@cache
def refused_cases() -> Pair:
    """Return (n, all): of all cases whose handlers submit twice, n have two results, one of them the default error."""
    rows = [row for row in second_result.component_counts(_ANY[0]) if row.style in TWICE]
    return sum(row.results == 2 and row.errors == 1 for row in rows), len(rows)


_ANY: list[ReportContext] = []


def expected(name: str, material: ReportContext) -> list[Pair]:
    """Return the counts that a claim's sentence must contain, in order, computed from the run's tables."""
    (release,) = material.in_use
    delay = material.delay
    about = re.sub(r"^(hold|gate)-(?=[0-9])", "", name)
    if name == "cause":
        return [refused_cases()]
    if name == "fix" or name.startswith("patch-"):
        tags = [release] if release in ("0.9.1", "0.11.1") else ["0.11.1"] if release == "0.11.0" else ["0.9.1", "0.11.1"]
        tags = tags if name == "fix" else [name.removeprefix("patch-")]
        records = [json.loads((ROOT / "data" / "fix" / f"{tag}.json").read_text("utf-8")) for tag in tags]
        return [(record[side]["failed"], record[side]["sessions"]) for record in records for side in ("before", "after")]
    if name == "basis":
        return [(14, 16)]  # compared with the retrodictions in test_reported
    if name == "documented-runs":
        return [(14, 16)]
    if name == "explored":
        live = material.evidence.confirmed
        return [(int(live["confirmed"].sum()), len(live))]
    if name.startswith("hold-"):
        best = Best(material, release)
        return [best.near]
    if name == "gate-reference":
        reference = material.part("reference")
        assert reference is not None
        return [wrong(reference)]
    if name.startswith("gate-"):
        mine = own(delay, about)
        bad = mine[mine["bad"].astype(bool)]
        silent = int(bad["wedged"].fillna(False).sum())
        return [(silent, len(bad))] if silent else []
    if name == "cure-return":
        styles = material.part("styles")
        assert styles is not None
        count, of = wrong(styles[styles["handler"].isin(ONCE)])
        return [(count, of)] if count else []
    return []


def check(blocks: list[Block], material: ReportContext) -> int:
    """Assert that the counts of every claim are correct; return the number of counts."""
    assert claim_faults(claims_of(blocks)) == []
    checked = 0
    for block in [*(each for each in blocks if not isinstance(each, Claim)), *claims_in(blocks)]:
        if isinstance(block, Claim):
            counts = counts_in(block.sentence.replace("**", ""))
            assert counts == expected(block.name, material), block.sentence
            checked += len(counts)
            for seen in block.seen:
                assert 0 <= seen.count <= seen.of, (block.name, seen)
        elif isinstance(block, Text):
            # Outside claims, text may contain only counts from recordings of the component.
            assert not counts_in(block.markdown) or "recorded cases the component then sent" in block.markdown, block.markdown
    return checked


def claims_in(blocks: list[Block]) -> list[Claim]:
    found = [block for block in blocks if isinstance(block, Claim)]
    return found + [value for block in blocks if isinstance(block, Box) for _, value in block.rows if isinstance(value, Claim)]


@pytest.mark.parametrize("release", PROXIES)
def test_counts_for_a_release_in_use_equal_the_tables(every: ReportContext, release: str) -> None:
    _ANY[:] = [every]
    material = of_release(every, release)
    assert check([*section("happens", material), *section("decide", material), *section("longer_gap", material)], material) >= 4
    drawn = material.part("drawn")
    assert drawn is not None
    row = Decision(material).shares[release]
    for share, scenario in ((row.parallel, "parallel"), (row.text, "inject")):
        assert share is not None
        assert (share.wrong, share.of) == wrong(own(drawn, release, scenario=scenario))
    table = next(block.frame for block in section("decide", material) if isinstance(block, Table))
    first = table.iloc[0]
    assert first.iloc[0] == row.name
    assert list(first.iloc[1:]) == [share.percent for share in (row.awaited, row.returned, row.parallel, row.text) if share]
    check_workarounds(section("longer_gap", material), material, release)


def check_workarounds(blocks: list[Block], material: ReportContext, release: str) -> None:
    """Assert that the table of workarounds is correct, for one call with one result."""
    frames = [each.frame for block in blocks if isinstance(block, Fold) for each in block.blocks if isinstance(each, Table)]
    rows = own(material.part("cures"), release, possible=True)
    near = rows[(rows["scenario"] == "single") & (rows["gap_ms"] <= LONGEST_WAIT_MS)]
    names = [name for name in dict.fromkeys(rows["workaround"]) if name != "none"]
    bare = wrong(near[near["workaround"] == "none"])[0]
    for frame in frames:
        assert len(frame) == len(names)
        for row, name in zip(frame.to_dict("records"), names, strict=True):
            count, of = wrong(near[near["workaround"] == name])
            assert row["goes wrong"] == f"{count} of {of} (without: {bare})"


def test_counts_of_the_other_sections_equal_the_tables(every: ReportContext) -> None:
    _ANY[:] = [every]
    few = ["0.9.1", "0.10.3"]
    material = of_release(replace(every, delay=every.delay[every.delay["release"].isin(few)]), "0.10.3")
    for name in ("asked", "evidence", "second_result", "other_paths", "limits", "appendix", "next", "basis"):
        check([block for block in section(name, material) if not isinstance(block, Picture)], material)
    folded = [each for block in section("asked", material) if isinstance(block, Fold) for each in block.blocks]
    (table,) = [each.frame for each in folded if isinstance(each, Table)]
    for row, name in zip(table.to_dict("records"), SUSPICIONS, strict=True):
        for release in material.releases:
            found: Any = material.suspicions.answer(release, name)
            sides = [each for each in (found.model, found.real) if each.sessions]
            assert row[release] == " and ".join(f"{each.seen} of {each.sessions}" for each in sides)


def test_counts_of_each_release_in_the_findings_equal_the_tables(every: ReportContext) -> None:
    _ANY[:] = [every]
    material = of_release(every, "0.10.3")
    found = section("longer_gap", material)
    check(found, material)
    for release in PROXIES:
        (claim,) = [block for block in found if isinstance(block, Claim) and block.name == f"gate-{release}"]
        told = [(seen.count, seen.of) for seen in claim.seen if seen.target == "model" and "next input" not in seen.what]
        assert told[:2] == [wrong(own(material.delay, release)), wrong(own(material.part("map"), release))]
    frame = next(
        block.frame for block in section("other_paths", material) if isinstance(block, Table) and "scenario" in block.frame
    )
    drawn = material.part("drawn")
    for column in frame.columns[1:]:
        tag = "reference" if column == "the reference gate" else column
        stories = [group for _, group in own(drawn, tag).groupby("scenario", sort=False)]
        for cell, group in zip(frame[column], stories, strict=True):
            count, of = wrong(group)
            assert cell.startswith(f"{count / of:.0%} (") if of else cell == "not judged"


def test_a_claim_with_an_unsupported_count_is_a_fault() -> None:
    claim = {"name": "a", "claim": "12 of 28 went wrong, none of 3", "seen": [{"count": 12, "of": 28}, {"count": 0, "of": 3}]}
    assert claim_faults([claim]) == []
    assert claim_faults([{**claim, "claim": "16 of 28 went wrong"}]) == [
        "the claim 'a' says 16 of 28, which is not among what was seen"
    ]
