"""Build the section on other failure paths: scenarios with drawn times, and an exploration of every order of events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from voicerace.experiments.rates import wilson
from voicerace.model.catalog.releases import REFERENCE
from voicerace.report.blocks import Block, Claim, Fold, Support, Table, Text, joined, many
from voicerace.report.context import ReportContext
from voicerace.report.letter import failure_paths
from voicerace.report.letter.submitted_twice import FAULTY_HANDLERS
from voicerace.report.phrasing import bad_of, faults_of, wrong_of
from voicerace.report.plots.style import STYLES, glyph

__all__ = ["blocks", "heading"]


def heading(context: ReportContext) -> str:
    names = _names(context, reference=False)
    frame = context.part("drawn")
    if names:
        return f"Finding 3: {many(len(names), 'failure path')} found in the releases"
    if frame is not None and bad_of(frame)[0]:
        return "Finding 3: other scenarios fail too"
    return "Finding 3: other failure paths"


def _names(context: ReportContext, *, reference: bool) -> set[tuple[str, str]]:
    """Return (outcome, name) of each failure path: of the reference gate if `reference` is True, else of the releases."""
    return {
        (str(each["outcome"]), str(each["name"]))
        for tag, record in context.evidence.explored.items()
        for each in record.get("findings") or ()
        if (tag == REFERENCE.tag) == reference
    }


def blocks(context: ReportContext) -> list[Block]:
    return [*_drawn(context), *_explored(context)]


# -- drawn times -----------------------------------------------------------------------------------------------------


def _drawn(context: ReportContext) -> list[Block]:
    frame = context.part("drawn")
    heading = Text("### Other scenarios than one call and one result")
    if frame is None:
        return [heading, Text("This run has no other scenarios: `voicerace report` without `--run` plays them.")]
    releases = [str(tag) for tag in dict.fromkeys(frame["release"])]
    rows = []
    claims: list[Block] = []
    for scenario in map(str, dict.fromkeys(frame["scenario"])):
        own = frame[frame["scenario"] == scenario]
        row: dict[str, object] = {"scenario": failure_paths.scenario_text(scenario)}
        for release in releases:
            row[failure_paths.called(release)] = _share(own[own["release"] == release])
        rows.append(row)
        seen = tuple(
            Support(
                "model", *bad_of(own[own["release"] == release]), f"sessions ({release}) go wrong", True, "the run, part drawn"
            )
            for release in releases
        )
        # The table already contains these numbers. The claim is for `report.json` only.
        claims.append(Claim(f"story-{scenario}", "", seen, tuple(releases), quiet=True))
    first = frame.iloc[0]
    sessions = len(frame) // (len(releases) * frame["scenario"].nunique())
    text = (
        f"The handler is the corrected one. Each scenario has {sessions} sessions per release, with the same draws for all"
        f"{_drawn_from(context)}. The API's times are drawn from its recordings (profile {first['profile']}); tool and network times are "
        "assumed. **The shares depend on these times and are not those of your traffic.** They show that a scenario goes wrong, and on "
        "which release it does so less often. Intervals are Wilson's, 95 %."
    )
    table = Table(pd.DataFrame(rows), "Sessions that go wrong, of those drawn, with their intervals, and how.")
    return [heading, Text(text), table, _totals(context, frame, releases), *claims]


def _drawn_from(context: ReportContext) -> str:
    """Describe the ranges of drawn times that the run's parameters set in place of the profile's ranges."""
    spec: Mapping[str, Any] = next(iter(context.record.get("parts", {}).get("drawn", [])), {})
    ranges = []
    for name, what in (("tool_ms", "tools"), ("gap_ms", "gaps")):
        found = re.fullmatch(r"uniform\(([\d.]+),\s*([\d.]+)\)", str(spec.get("times", {}).get(name, "")))
        if found:
            ranges.append(f"{what} of {float(found[1]):,g} to {float(found[2]):,g} ms, evenly")
    return f": {', '.join(ranges)}" if ranges else ""


def _totals(context: ReportContext, frame: pd.DataFrame, releases: list[str]) -> Claim:
    counts = [(*bad_of(frame[frame["release"] == release]), release) for release in releases]
    clean = [release for bad, _, release in counts if not bad]
    listed = "; ".join(f"{failure_paths.called(release)} {bad} of {of}" for bad, of, release in counts)
    end = (
        f" None of these drawn sessions went wrong with {joined([failure_paths.called(each) for each in clean])}."
        if clean
        else " Every release has bad sessions."
    )
    left = {
        tag: len(record["findings"]) for tag, record in context.evidence.explored.items() if tag in clean and record["findings"]
    }
    if left:
        more = joined([f"{many(count, 'failure path')} with {failure_paths.called(tag)}" for tag, count in left.items()])
        end += f" That holds for these draws only: **exploring every order found {more}** (below)."
    return Claim("stories", f"**Over all these scenarios** the sessions that go wrong are: {listed}.{end}",
                 tuple(Support("model", bad, of, f"drawn sessions ({release}) go wrong", True) for bad, of, release in counts),
                 tuple(releases), quiet=True)  # fmt: skip


def _share(own: pd.DataFrame) -> str:
    bad, of = bad_of(own)
    unknown = len(own) - of
    if not of:
        return "not judged"
    low, high = wilson(bad, of)
    wrong = faults_of(wrong_of(own)).value_counts()
    how = ", ".join(
        f"{count} {glyph(str(name))} {name}" if name in STYLES else f"{count} {name}" for name, count in wrong.items()
    )
    left = f"; {unknown} not judged" if unknown else ""
    return f"{bad} of {of} ({low:.0%} to {high:.0%})" + (f": {how}" if how else "") + left


# -- exploration -----------------------------------------------------------------------------------------------------


def _explored(context: ReportContext) -> list[Block]:
    explored = {tag: record for tag, record in context.evidence.explored.items() if record.get("findings") is not None}
    heading = Text("### Every order that the times allow")
    if not explored:
        return [heading, Text("**There is no exploration** (data/explore is empty), so this page lists no other failure paths. "
                              "`voicerace explore --release TAG --out data/explore/TAG.json` finds them.")]  # fmt: skip
    wanted = [tag for tag in dict.fromkeys((*context.in_use, *context.releases, *explored)) if tag in explored]
    found: list[Block] = [heading, Text(_how(explored, wanted)), Table(_sizes(context, explored, wanted), _SIZES)]
    found += _of_reference(explored)
    findings = [finding for tag in wanted for finding in explored[tag]["findings"]]
    if findings:
        found.append(Text(_count(context)))
    for outcome, those in failure_paths.family(findings).items():
        found += _family(context, outcome, those)
    missing = [tag for tag in context.releases if tag not in explored]
    if missing:
        found.append(Text(f"Not explored: {joined(missing)}."))
    return found


def _count(context: ReportContext) -> str:
    """Return a sentence with the numbers of failure paths: in total, in the releases, and only in the reference gate."""
    mine, other = _names(context, reference=False), _names(context, reference=True)
    alone = len(other - mine)
    text = f"By outcome, {many(len(mine | other), 'failure path')} follow: {len(mine)} found in the releases"
    if other:
        text += f", and {alone} only with {failure_paths.called(REFERENCE.tag)}, which is no release and is not in the heading's count"
    return f"{text}."


_SIZES = (
    "What was explored. A scenario is what user, model and app do, with one handler style. A state is a moment at which events may "
    "happen in more than one order. Failure paths differ in the cause of the request, in what released it, or in the active response. "
    "Confirmed: repeated with the running proxy, with the same failure."
)
_BOUNDS_SHOWN: Final = {
    "tool_ms": "tools of", "gap_ms": "gaps of", "host_ms": "each way between browser and proxy", "upstream_ms": "each way between proxy "
    "and API", "reply_ms": "replies of", "ack_ms": "confirmations within",
}  # fmt: skip


def _how(explored: Mapping[str, Any], wanted: list[str]) -> str:
    bounds = explored[wanted[0]].get("bounds", {})
    ranges = [f"{what} {low:,g} to {high:,g} ms" for name, what in _BOUNDS_SHOWN.items()
            if name in bounds and (low := bounds[name][0]) != (high := bounds[name][1])]  # fmt: skip
    return (
        "Random sessions find frequent failures. Here the models ran through **every order** of messages, tools and timers that these "
        f"times allow ({', '.join(ranges)}). Each failure path has its shortest trace and concrete times, and was played again "
        "before it is listed. This does not show how likely a path is in your traffic. Handlers that make the component answer twice "
        "are included; the tables name them."
    )


def _sizes(context: ReportContext, explored: Mapping[str, Any], wanted: list[str]) -> pd.DataFrame:
    live = context.evidence.confirmed
    rows = []
    for tag in wanted:
        record = explored[tag]
        mine = live[live["release"] == tag]
        cut = [f"{each['story']}/{each['handler']}" for each in record.get("stories", ()) if not each.get("complete")]
        tried = f"{int(mine['confirmed'].sum())} of {len(mine)}" if len(mine) else "none tried"
        if tag == REFERENCE.tag:
            tried = "no such program"
        rows.append(
            {
                "release": failure_paths.called(tag),
                "scenarios": len(record.get("stories", ())),
                "states": f"{record.get('states', 0):,}",
                "failure paths": len(record["findings"]),
                "confirmed on the running proxy": tried,
                "every order explored": "yes" if not cut else f"not of {', '.join(cut)}",
            }
        )
    return pd.DataFrame(rows)


def _of_reference(explored: Mapping[str, Any]) -> list[Block]:
    """Return a claim with the failure paths of the reference gate, empty without its exploration."""
    if REFERENCE.tag not in explored:
        return []
    record = explored[REFERENCE.tag]
    left = record["findings"]
    scenarios = many(len(record.get("stories", ())), "scenario")
    if not left:
        text = f"**The reference gate has no failure path** in any order of its {scenarios}."
        return [Claim("reference-explored", text, (), (REFERENCE.tag,), quiet=True)]
    listed = "".join(
        f"\n- {failure_paths.ends(str(each['outcome']))}: {failure_paths.scenario_text(str(each['story']))}; the handler: "
        f"{failure_paths.handler_text(str(each['handler']))}. {failure_paths.sentence(each)}"
        for each in left
    )
    twice = sum(str(each["handler"]) in FAULTY_HANDLERS for each in left)
    needing = (
        f" {twice} of them {'needs' if twice == 1 else 'need'} a handler that makes the component answer twice (finding 1)."
        if twice
        else ""
    )
    text = (
        f"**A gate that sends its request at the right moment leaves {many(len(left), 'failure path')}**, in {scenarios}."
        f"{needing} They are:\n{listed}"
    )
    seen = (
        Support("model", len(left), len(left), "failure paths of the reference gate", source=f"explore/{REFERENCE.tag}.json"),
    )
    return [Claim("reference-explored", text, seen, (REFERENCE.tag,), quiet=True)]


def _family(context: ReportContext, outcome: str, groups: list[list[Mapping[str, Any]]]) -> list[Block]:
    releases = list(dict.fromkeys(str(each["release"]) for those in groups for each in those))
    live = context.evidence.confirmed
    names = {str(those[0]["name"]) for those in groups}
    tried = live[live["name"].isin(names) & live["release"].isin(releases)]
    user = failure_paths.ends(outcome)
    mark = f"{STYLES[outcome].glyph} " if outcome in STYLES else ""
    shown = failure_paths.best_of(context, groups)
    count = sum(len(those) for those in groups)
    more = f" ({count}, counted release by release)" if count != len(groups) else ""
    sentence = (
        f"**{mark}{many(len(groups), 'failure path')}**{more}, on {joined([failure_paths.called(tag) for tag in releases])}. "
        f"{'It' if len(groups) == 1 else 'One of them'}, on {failure_paths.called(str(shown['release']))}, in the scenario “"
        f"{failure_paths.scenario_text(str(shown['story']))}” (the handler: {failure_paths.handler_text(str(shown['handler']))}): {failure_paths.sentence(shown)}"
    )
    seen = [Support("model", count, count, "were played again with their times, with the same failure",
                 source="explore/RELEASE.json")]  # fmt: skip
    if len(tried):
        seen.append(Support("real proxy", int(tried["confirmed"].sum()), len(tried), "of those tried on the running proxy were confirmed", source="explore/RELEASE-live.csv"))  # fmt: skip
    else:
        seen.append(Support("real proxy", 0, 0, "not yet tried on a running proxy"))
    rows = [_path_row(context, those) for those in groups]
    caption = f"The failure paths with the outcome {outcome}. * = confirmed on the running proxy."
    return [
        Text(f"#### {outcome[0].upper() + outcome[1:]}: {user}"),
        Claim(f"explored-{outcome}", sentence, tuple(seen), tuple(releases)),
        Fold(
            f"Every failure path to {outcome}, and one of them step by step",
            (Table(pd.DataFrame(rows), caption), failure_paths.trace(shown)),
        ),
    ]


def _path_row(context: ReportContext, those: list[Mapping[str, Any]]) -> dict[str, object]:
    live = context.evidence.confirmed
    yes = set(live[live["confirmed"] & (live["name"] == those[0]["name"])]["release"])
    tags = [f"{failure_paths.called(str(each['release']))}{'*' if each['release'] in yes else ''}" for each in those]
    return {
        "what happens": failure_paths.sentence(those[0]),
        "releases": ", ".join(tags),
        "shortest in": joined(list(dict.fromkeys(failure_paths.scenario_text(str(each["story"])) for each in those)), "or"),
        "the handler": joined(list(dict.fromkeys(failure_paths.handler_text(str(each["handler"])) for each in those)), "or"),
    }
