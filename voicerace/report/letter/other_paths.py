"""Finding 3: other scenarios with recorded times, and every order of events that given times allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from voicerace.experiments.rates import wilson
from voicerace.model.catalog.releases import REFERENCE
from voicerace.report.blocks import Block, Claim, Support, Table, joined, many
from voicerace.report.context import ReportContext
from voicerace.report.letter import failure_paths as text
from voicerace.report.letter.decision import Decision
from voicerace.report.letter.render import render
from voicerace.report.letter.second_result import FAULTY_HANDLERS
from voicerace.report.phrasing import bad_of, faults_of, wrong_of

__all__ = ["Family", "blocks", "families", "heading"]

_BOUNDS_SHOWN: Final = {"tool_ms": "tool", "gap_ms": "gap", "host_ms": "browser to proxy", "upstream_ms": "proxy to API"}


@dataclass(frozen=True)
class Family:
    """The failure paths with one outcome, of all explored releases.

    Attributes:
        outcome: the outcome.
        names: number of paths; paths of several releases with one name count once.
        paths: number of paths, counted release by release.
        releases: releases with such a path.
        confirmed: number of paths confirmed on a running proxy.
        tried: number of paths tried on a running proxy.
        by_handler: number of `names` that need a handler that makes the component answer twice.
        by_release: number of `names` that the recommended release does not have.
        by_patch: number of `names` that the patched proxy does not have.
        shown: the path shown as an example.
        groups: the paths, grouped by name.
    """

    outcome: str
    names: int
    paths: int
    releases: tuple[str, ...]
    confirmed: int
    tried: int
    by_handler: int
    by_release: int
    by_patch: int
    shown: Mapping[str, Any]
    groups: list[list[Mapping[str, Any]]]

    @property
    def meaning(self) -> str:
        return text.ends(self.outcome)


def families(context: ReportContext) -> list[Family]:
    """Return the failure paths of all explored releases, without those that only the reference gate has."""
    explored = context.evidence.explored
    findings = [each for tag, record in explored.items() if tag != REFERENCE.tag for each in record.get("findings") or ()]
    best = Decision(context).best
    recommended, patched = (_names(explored, tag) for tag in (best.tag if best else "", REFERENCE.tag))
    live = context.evidence.confirmed
    found = []
    for outcome, groups in text.family(findings).items():
        names = [str(those[0]["name"]) for those in groups]
        tags = tuple(dict.fromkeys(str(each["release"]) for those in groups for each in those))
        tried = live[live["name"].isin(names) & live["release"].isin(tags)]
        found.append(
            Family(
                outcome,
                len(groups),
                sum(map(len, groups)),
                tags,
                int(tried["confirmed"].sum()),
                len(tried),
                sum(all(str(each["handler"]) in FAULTY_HANDLERS for each in those) for those in groups),
                sum(name not in recommended for name in names) if best else 0,
                sum(name not in patched for name in names),
                text.best_of(context, groups),
                groups,
            )
        )
    return found


def _names(explored: Mapping[str, Any], tag: str) -> set[str]:
    return {str(each["name"]) for each in explored.get(tag, {}).get("findings") or ()}


def heading(context: ReportContext) -> str:
    count = sum(family.names for family in families(context))
    if count:
        return f"D. Finding 3: {many(count, 'failure path')} found in the releases"
    frame = context.part("drawn")
    return (
        "D. Finding 3: other scenarios fail too"
        if frame is not None and bad_of(frame)[0]
        else "D. Finding 3: other failure paths"
    )


def blocks(context: ReportContext) -> list[Block]:
    parts: dict[str, Block] = {}
    found = families(context)
    explored = {tag: record for tag, record in context.evidence.explored.items() if record.get("findings") is not None}
    frame = context.part("drawn")
    if frame is not None:
        parts |= _drawn(frame)
    if explored:
        parts["sizes"] = Table(
            _sizes(context, explored), "What was explored. Confirmed: repeated with the running proxy, with the same failure."
        )
        parts["fates"] = _fates(context, found)
        parts["explored"] = Claim("explored", "", tuple(_seen(found)), tuple(explored), quiet=True)
    for family in found:
        rows = [_path_row(context, those) for those in family.groups]
        parts[f"paths-{family.outcome}"] = Table(
            pd.DataFrame(rows), f"The failure paths with the outcome {family.outcome}. * = confirmed on the running proxy."
        )
        parts[f"trace-{family.outcome}"] = text.trace(family.shown)
    reference = explored.get(REFERENCE.tag)
    left = [] if reference is None else reference["findings"]
    return render(
        "other_paths", parts, drawn=frame is not None, families=found, explored=bool(explored), bounds=_bounds(explored),
        best=Decision(context).best, left=[_left(each) for each in left],
        twice=sum(str(each["handler"]) in FAULTY_HANDLERS for each in left),
        confirmed=sum(each.confirmed for each in found), tried=sum(each.tried for each in found),
        missing=[tag for tag in context.releases if tag not in explored],
    )  # fmt: skip


def _seen(found: list[Family]) -> list[Support]:
    paths = sum(each.paths for each in found)
    seen = [
        Support(
            "model",
            paths,
            paths,
            "paths were played again with their times, with the same failure",
            source="explore/RELEASE.json",
        )
    ]
    if tried := sum(each.tried for each in found):
        what = "paths tried on the running proxy were confirmed"
        seen.append(
            Support("real proxy", sum(each.confirmed for each in found), tried, what, source="explore/RELEASE-live.csv")
        )
    return seen


def _left(finding: Mapping[str, Any]) -> str:
    return f"{text.scenario_text(str(finding['story']))}: {text.sentence(finding)}"


def _drawn(frame: pd.DataFrame) -> dict[str, Block]:
    """Return the table of drawn scenarios and its claim."""
    releases = [str(tag) for tag in dict.fromkeys(frame["release"])]
    rows, seen = [], []
    for scenario in map(str, dict.fromkeys(frame["scenario"])):
        row: dict[str, object] = {"scenario": text.scenario_text(scenario)}
        for release in releases:
            own = frame[(frame["scenario"] == scenario) & (frame["release"] == release)]
            row[text.called(release)] = _share(own)
            what = f"sessions go wrong ({release}, {scenario})"
            seen.append(Support("model", *bad_of(own), what, True, "the run, part drawn"))
        rows.append(row)
    caption = "Share of sessions that go wrong with one result per call, its 95 % interval (Wilson), and how; recorded times, assumed tool and networks."
    return {
        "stories": Claim("stories", "", tuple(seen), tuple(releases), quiet=True),
        "drawn": Table(pd.DataFrame(rows), caption),
    }


def _share(own: pd.DataFrame) -> str:
    bad, of = bad_of(own)
    if not of:
        return "not judged"
    low, high = wilson(bad, of)
    how = joined([str(name) for name in faults_of(wrong_of(own)).value_counts().index])
    return f"{bad / of:.0%} ({low:.0%} to {high:.0%})" + (f" {how}" if how else "")


def _bounds(explored: Mapping[str, Any]) -> str:
    if not explored:
        return ""
    bounds = next(iter(explored.values())).get("bounds", {})
    return joined(
        [f"{what} {bounds[name][0]:,g} to {bounds[name][1]:,g} ms" for name, what in _BOUNDS_SHOWN.items()
         if name in bounds and bounds[name][0] != bounds[name][1]]
    )  # fmt: skip


def _sizes(context: ReportContext, explored: Mapping[str, Any]) -> pd.DataFrame:
    live = context.evidence.confirmed
    rows = []
    for tag, record in explored.items():
        mine = live[live["release"] == tag]
        pairs = record.get("stories", ())
        tried = "no such program" if tag == REFERENCE.tag else "none tried"
        rows.append(
            {
                "release": text.called(tag),
                "pairs of scenario and handler": len(pairs),
                "explored whole": sum(bool(each.get("complete")) for each in pairs),
                "states": f"{record.get('states', 0):,}",
                "failure paths": len(record["findings"]),
                "confirmed on the running proxy": f"{int(mine['confirmed'].sum())} of {len(mine)}" if len(mine) else tried,
            }
        )
    return pd.DataFrame(rows)


def _fates(context: ReportContext, found: list[Family]) -> Table:
    best = Decision(context).best
    rows = [
        {
            "outcome": f"{each.outcome}: {each.meaning}",
            "paths": each.names,
            "on": ", ".join(map(text.called, each.releases)),
            "cured by the handler": each.by_handler,
            f"not in {best.tag}" if best else "not in a release": each.by_release,
            "not with the patch": each.by_patch,
            "example": text.sentence(each.shown),
        }
        for each in found
    ]
    return Table(pd.DataFrame(rows), "Failure paths by outcome, what the user experiences, and how many are gone with the corrected handler (step 1), "
                 "with the recommended release, and with the patch (its model).")  # fmt: skip


def _path_row(context: ReportContext, those: list[Mapping[str, Any]]) -> dict[str, object]:
    live = context.evidence.confirmed
    yes = set(live[live["confirmed"] & (live["name"] == those[0]["name"])]["release"])
    tags = [f"{text.called(str(each['release']))}{'*' if each['release'] in yes else ''}" for each in those]
    return {
        "what happens": text.sentence(those[0]),
        "releases": ", ".join(tags),
        "shortest in": joined(list(dict.fromkeys(text.scenario_text(str(each["story"])) for each in those)), "or"),
        "the handler": joined(list(dict.fromkeys(text.handler_text(str(each["handler"])) for each in those)), "or"),
    }
