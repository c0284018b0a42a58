"""Compare the counts in the letter with counts computed here from the same tables, for every release in use."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from voicerace.analysis.verdict import BAD, OUTCOMES
from voicerace.conformance.suspicions import SUSPICIONS
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import WORKAROUND_TIMES
from voicerace.model.catalog.releases import PROXIES
from voicerace.report import parts
from voicerace.report.blocks import Block, Claim, Picture, Table, Text, claims_of
from voicerace.report.context import ReportContext
from voicerace.report.letter import answer, section, submitted_twice, timing
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
    monkeypatch.setattr(answer, "lines", lambda _: [])
    monkeypatch.setattr(timing, "_bands", lambda _: Text(""))
    monkeypatch.setattr(timing, "_map", lambda _: [])
    monkeypatch.setattr(timing, "_trace", lambda *_: [])
    monkeypatch.setattr(submitted_twice, "overview_lines", lambda *_: [])
    monkeypatch.setattr(submitted_twice, "_trace", lambda _: [])


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
    rows = [row for row in submitted_twice.component_counts(_ANY[0]) if row.style in TWICE]
    return sum(row.results == 2 and row.errors == 1 for row in rows), len(rows)


_ANY: list[ReportContext] = []


def expected(name: str, material: ReportContext) -> list[Pair]:
    """Return the counts that a claim's sentence must contain, in order, computed from the run's tables."""
    (release,) = material.in_use
    delay, maps = material.delay, material.part("map")
    about = re.sub(r"^(today|cure|cure-limits|gate)-(?=[0-9])", "", name)
    if name == "answer-first":
        twice = own(material.part("styles"), release, handler=TWICE)
        bad = twice[twice["bad"].astype(bool)]
        refused = (int((bad["refusals"] > 0).sum()), len(bad))
        once = wrong(own(material.part("styles"), release, handler=ONCE))
        return [refused_cases(), wrong(twice), *([refused] if len(bad) else []), once]
    if name == "answer-second":
        return [wrong(own(delay, tag)) for tag in material.releases]
    if name.startswith("today-"):
        count, of = wrong(own(delay, release))
        recorded = material.real[material.real["release"] == release]["outcome"]
        if not count and recorded.isin(BAD).any():
            return [(int(recorded.isin(BAD).sum()), len(recorded))]
        return [(count, of)]
    if name == "upgrade":
        return [wrong(own(maps, tag)) for tag in material.releases]
    if name == "sanitised-log":
        drawn = material.part("drawn")
        assert drawn is not None
        refused = [own(maps, release), own(drawn[drawn["scenario"] != "single"], release)]
        pairs = [(int((mine["replies"] == 0).sum()), len(mine)) for each in refused if len(mine := each[each["refusals"] > 0])]
        return pairs if len(own(maps, release).query("refusals > 0")) else []
    best = Best(material, release)
    if name == "answer-third":
        if not wrong(own(delay, release))[0] or best.name is None:
            return []
        without = (best.without, best.of)
        left = sum(bool(count) for count, _ in best.stories.values())
        return [best.near, without, *([(left, len(best.stories))] if left and not best.near[0] else [])]
    if name == f"cure-{about}" and about in PROXIES:
        return [best.near, (best.without, best.of)] if best.name else [(best.without, best.of)]
    if name.startswith("cure-limits-"):
        assert best.name is not None
        left_over = [pair for pair in best.stories.values() if pair[0]]
        return [*([best.beyond] if best.beyond[1] else []), *left_over, *harmed(material, release, best.name)]
    if name == "gate-reference":
        reference = material.part("reference")
        assert reference is not None
        return [wrong(reference)]
    if name.startswith("gate-"):
        mine = own(delay, about)
        bad = mine[mine["bad"].astype(bool)]
        silent = int(bad["wedged"].fillna(False).sum())
        return [(silent, len(bad))] if silent else []
    if name.startswith("patch-"):
        record = json.loads((ROOT / "data" / "fix" / f"{name.removeprefix('patch-')}.json").read_text("utf-8"))
        return [(record[side]["failed"], record[side]["sessions"]) for side in ("before", "after")]
    if name == "stories":
        drawn = material.part("drawn")
        return [wrong(own(drawn, str(tag))) for tag in dict.fromkeys(drawn["release"])]  # type: ignore[index]
    if name == "cure-return":
        styles = material.part("styles")
        assert styles is not None
        return [wrong(styles[styles["handler"].isin(ONCE)])]
    return []


def check(blocks: list[Block], material: ReportContext) -> int:
    """Assert that the counts of every claim are correct; return the number of counts."""
    assert claim_faults(claims_of(blocks)) == []
    checked = 0
    for block in blocks:
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


@pytest.mark.parametrize("release", PROXIES)
def test_counts_for_a_release_in_use_equal_the_tables(every: ReportContext, release: str) -> None:
    _ANY[:] = [every]
    material = of_release(every, release)
    found = section("answer", material)
    assert check(found, material) >= 4
    first = next(block.sentence for block in found if isinstance(block, Claim) and block.name == "answer-first")
    twice = own(material.part("styles"), release, handler=TWICE)
    named = Counter({name: int(count) for count, name in re.findall(rf"(\d+) ({'|'.join(OUTCOMES)}|wedged) \(", first)})
    bad = twice[twice["bad"].astype(bool)]
    assert named == Counter(bad["outcome"].replace("answered", "wedged")), "an outcome that is not bad is among the bad ones"
    advice = section("today", material)
    check(advice, material)
    for block in advice:
        if isinstance(block, Table):
            check_table(block.frame, material, release)


def check_table(frame: pd.DataFrame, material: ReportContext, release: str) -> None:
    """Assert that the tables of workarounds are correct, for one call with one result and for the other scenarios."""
    rows = own(material.part("cures"), release, possible=True)
    near = rows[(rows["scenario"] == "single") & (rows["gap_ms"] <= LONGEST_WAIT_MS)]
    bare = near[near["workaround"] == "none"]
    if "goes wrong" in frame:
        for row in frame.to_dict("records"):
            mine = near[near["workaround"] == str(row["workaround"]).removesuffix(" (best of these)")]
            count, of = wrong(mine)
            assert row["goes wrong"] == f"{count} of {of} (without: {wrong(bare)[0]})"
            heard, without = int(mine["heard_ms"].notna().sum()), int(bare["heard_ms"].notna().sum())
            assert row["answer heard"] == f"{heard} of {of} (without: {without})"
    elif "without" in frame:
        others = rows[rows["scenario"] != "single"]
        assert len(frame) == others["scenario"].nunique()
        for column in frame.columns[1:]:
            mine = others[others["workaround"] == ("none" if column == "without" else column)]
            counts = [f"{count} of {of}" for _, group in mine.groupby("scenario", sort=False) for count, of in [wrong(group)]]
            assert list(frame[column]) == counts


def test_counts_of_the_other_sections_equal_the_tables(every: ReportContext) -> None:
    _ANY[:] = [every]
    few = ["0.9.1", "0.10.3"]
    material = of_release(replace(every, delay=every.delay[every.delay["release"].isin(few)]), "0.10.3")
    for name in ("asked", "how_tested", "submitted_twice", "paths", "limits", "appendix"):
        check([block for block in section(name, material) if not isinstance(block, Picture)], material)
    (table,) = [block.frame for block in section("asked", material) if isinstance(block, Table) and "suspicion" in block.frame]
    for row, name in zip(table.to_dict("records"), SUSPICIONS, strict=True):
        for release in material.releases:
            found: Any = material.suspicions.answer(release, name)
            seen, looked = found.model.seen + found.real.seen, found.model.sessions + found.real.sessions
            assert row[release] == f"{'yes' if seen else 'no'}, {seen} of {looked}"


def test_counts_of_each_release_in_the_findings_equal_the_tables(every: ReportContext) -> None:
    _ANY[:] = [every]
    material = of_release(every, "0.10.3")
    found = section("gate", material)
    check(found, material)
    for release in PROXIES:
        (claim,) = [block for block in found if isinstance(block, Claim) and block.name == f"gate-{release}"]
        told = [(seen.count, seen.of) for seen in claim.seen if seen.target == "model"]
        assert told[:2] == [wrong(own(material.delay, release)), wrong(own(material.part("map"), release))]
    frame = next(block.frame for block in section("paths", material) if isinstance(block, Table) and "scenario" in block.frame)
    drawn = material.part("drawn")
    for column in frame.columns[1:]:
        tag = "reference" if column == "the reference gate" else column
        stories = [group for _, group in own(drawn, tag).groupby("scenario", sort=False)]
        for cell, group in zip(frame[column], stories, strict=True):
            count, of = wrong(group)
            assert cell.startswith(f"{count} of {of} (") if of else cell == "not judged"
            assert sum(map(int, re.findall(r"(\d+) \S+ (?:" + "|".join(OUTCOMES) + ")", cell))) == count


def test_a_claim_with_an_unsupported_count_is_a_fault() -> None:
    claim = {"name": "a", "claim": "12 of 28 went wrong, none of 3", "seen": [{"count": 12, "of": 28}, {"count": 0, "of": 3}]}
    assert claim_faults([claim]) == []
    assert claim_faults([{**claim, "claim": "16 of 28 went wrong"}]) == [
        "the claim 'a' says 16 of 28, which is not among what was seen"
    ]
