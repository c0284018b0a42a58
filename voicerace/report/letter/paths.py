"""Finding 3: the other ways into a failure: stories with drawn times, and every order that times allow."""

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
from voicerace.report.letter.submitted_twice import UNCURED
from voicerace.report.phrasing import bad_of, faults_of, wrong_of
from voicerace.report.plots.style import STYLES, glyph

__all__ = ["blocks", "heading"]


def heading(material: ReportContext) -> str:
    names = _names(material, reference=False)
    frame = material.part("drawn")
    if names:
        return f"Finding 3: the other ways: {len(names)} of them were found in the releases"
    if frame is not None and bad_of(frame)[0]:
        return "Finding 3: other stories fail too"
    return "Finding 3: other ways into it"


def _names(material: ReportContext, *, reference: bool) -> set[tuple[str, str]]:
    """The ways that were found: in the releases, or with the reference gate."""
    return {
        (str(each["outcome"]), str(each["name"]))
        for tag, record in material.evidence.explored.items()
        for each in record.get("findings") or ()
        if (tag == REFERENCE.tag) == reference
    }


def blocks(material: ReportContext) -> list[Block]:
    return [*_drawn(material), *_explored(material)]


# -- drawn times -----------------------------------------------------------------------------------------------------


def _drawn(material: ReportContext) -> list[Block]:
    frame = material.part("drawn")
    heading = Text("### Other stories than one call and one result")
    if frame is None:
        return [heading, Text("This run has no other stories: `voicerace report` without `--run` plays them.")]
    releases = [str(tag) for tag in dict.fromkeys(frame["release"])]
    rows = []
    claims: list[Block] = []
    for story in dict.fromkeys(frame["scenario"]):
        own = frame[frame["scenario"] == story]
        row: dict[str, object] = {"story": failure_paths.story_words(str(story))}
        for release in releases:
            row[failure_paths.called(release)] = _share(own[own["release"] == release])
        rows.append(row)
        seen = tuple(
            Support(
                "model", *bad_of(own[own["release"] == release]), f"sessions ({release}) go wrong", True, "the run, part drawn"
            )
            for release in releases
        )
        claims.append(Claim(f"story-{story}", failure_paths.story_words(str(story)), seen, tuple(releases), quiet=True))
    first = frame.iloc[0]
    sessions = len(frame) // (len(releases) * frame["scenario"].nunique())
    words = (
        f"The handler is the cured one. In each story {sessions} sessions per release, the same draws for all{_drawn_from(material)}; "
        f"the times of the API are drawn from what its recordings show (profile {first['profile']}), those of the tool and of the networks "
        "are assumed. **The shares are those of these times and not of your traffic**; what they show is that a story goes wrong, and on "
        "which release it does so less. Intervals are Wilson's, 95 %."
    )
    table = Table(pd.DataFrame(rows), "Sessions that go wrong, of those drawn, with their intervals, and how.")
    worst = _worst(material, frame, releases)
    return [heading, Text(words), table, worst, *_json_only(claims)]


def _json_only(claims: list[Block]) -> list[Block]:
    """The claims of the table's rows, for `report.json`: the table says them to people."""
    return [Claim(each.name, "", each.seen, each.releases, quiet=True) for each in claims if isinstance(each, Claim)]


def _drawn_from(material: ReportContext) -> str:
    """The ranges of the draws that the run's own parameters set apart from the profile."""
    spec: Mapping[str, Any] = next(iter(material.record.get("parts", {}).get("drawn", [])), {})
    told = []
    for name, what in (("tool_ms", "tools"), ("gap_ms", "gaps")):
        found = re.fullmatch(r"uniform\(([\d.]+),\s*([\d.]+)\)", str(spec.get("times", {}).get(name, "")))
        if found:
            told.append(f"{what} of {float(found[1]):,g} to {float(found[2]):,g} ms, evenly")
    return f": {', '.join(told)}" if told else ""


def _worst(material: ReportContext, frame: pd.DataFrame, releases: list[str]) -> Claim:
    told = [(*bad_of(frame[frame["release"] == release]), release) for release in releases]
    clean = [release for bad, _, release in told if not bad]
    words = "; ".join(f"{failure_paths.called(release)} {bad} of {of}" for bad, of, release in told)
    end = (
        f" None of these drawn sessions went wrong with {joined([failure_paths.called(each) for each in clean])}."
        if clean
        else " None was free of it."
    )
    left = {
        tag: len(record["findings"])
        for tag, record in material.evidence.explored.items()
        if tag in clean and record["findings"]
    }
    if left:
        more = joined([f"{many(count, 'way')} to a failure with {failure_paths.called(tag)}" for tag, count in left.items()])
        end += f" That holds for these draws of these stories and for no more: **exploring every order found {more}** (below)."
    return Claim("stories", f"**Over all these stories** the sessions that go wrong are: {words}.{end}",
                 tuple(Support("model", bad, of, f"drawn sessions ({release}) go wrong", True) for bad, of, release in told),
                 tuple(releases), quiet=True)  # fmt: skip


def _share(own: pd.DataFrame) -> str:
    bad, of = bad_of(own)
    unknown = len(own) - of
    if not of:
        return "not to be judged"
    low, high = wilson(bad, of)
    wrong = faults_of(wrong_of(own)).value_counts()
    how = ", ".join(
        f"{count} {glyph(str(name))} {name}" if name in STYLES else f"{count} {name}" for name, count in wrong.items()
    )
    left = f"; {unknown} not to be judged" if unknown else ""
    return f"{bad} of {of} ({low:.0%} to {high:.0%})" + (f": {how}" if how else "") + left


# -- explored --------------------------------------------------------------------------------------------------------


def _explored(material: ReportContext) -> list[Block]:
    explored = {tag: record for tag, record in material.evidence.explored.items() if record.get("findings") is not None}
    heading = Text("### Every order that the times allow")
    if not explored:
        return [heading, Text("**No exploration is at hand** (data/explore is empty): this page does not say which other ways "
                              "exist. `voicerace explore --release TAG --out data/explore/TAG.json` finds them.")]  # fmt: skip
    wanted = [tag for tag in dict.fromkeys((*material.in_use, *material.releases, *explored)) if tag in explored]
    found: list[Block] = [heading, Text(_how(explored, wanted)), Table(_sizes(material, explored, wanted), _SIZES)]
    found += _of_reference(explored)
    findings = [finding for tag in wanted for finding in explored[tag]["findings"]]
    if findings:
        found.append(Text(_count(material)))
    for outcome, those in failure_paths.family(findings).items():
        found += _family(material, outcome, those)
    missing = [tag for tag in material.releases if tag not in explored]
    if missing:
        found.append(Text(f"Not explored: {joined(missing)}."))
    return found


def _count(material: ReportContext) -> str:
    """How the counts of the outcomes below add up."""
    mine, other = _names(material, reference=False), _names(material, reference=True)
    alone = len(other - mine)
    words = f"By outcome, {many(len(mine | other), 'way')} follow: {len(mine)} found in the releases"
    if other:
        words += f", and {alone} met only with {failure_paths.called(REFERENCE.tag)}, which is no release and is not in the heading's count"
    return f"{words}."


_SIZES = (
    "What was explored. A story is what user, model and app do, with one style of handler; a state is a moment at which something may "
    "happen in more than one order. A way is a path to a failure that differs from the others in who asked, what released the request, "
    "or who was in its way. Confirmed: played once more against the running proxy, with the same failure."
)
_BOUNDS_SHOWN: Final = {
    "tool_ms": "tools of", "gap_ms": "gaps of", "host_ms": "each way between browser and proxy", "upstream_ms": "each way between proxy "
    "and API", "reply_ms": "replies of", "ack_ms": "confirmations within",
}  # fmt: skip


def _how(explored: Mapping[str, Any], wanted: list[str]) -> str:
    bounds = explored[wanted[0]].get("bounds", {})
    told = [f"{words} {low:,g} to {high:,g} ms" for name, words in _BOUNDS_SHOWN.items()
            if name in bounds and (low := bounds[name][0]) != (high := bounds[name][1])]  # fmt: skip
    return (
        "Sessions by chance find what is frequent. Here the models were driven through **every order** of messages, tools and timers "
        f"that these times allow ({', '.join(told)}), and every failure is a way into it, with its shortest trace and concrete "
        "times, played again before it is listed. How likely a way is in your traffic this does not say. Handlers that make the "
        "component answer twice are among them; the tables say which."
    )


def _sizes(material: ReportContext, explored: Mapping[str, Any], wanted: list[str]) -> pd.DataFrame:
    live = material.evidence.confirmed
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
                "stories": len(record.get("stories", ())),
                "states": f"{record.get('states', 0):,}",
                "ways to a failure": len(record["findings"]),
                "confirmed on the running proxy": tried,
                "every order explored": "yes" if not cut else f"not of {', '.join(cut)}",
            }
        )
    return pd.DataFrame(rows)


def _of_reference(explored: Mapping[str, Any]) -> list[Block]:
    """What is left with a proxy that asks at the right moment."""
    if REFERENCE.tag not in explored:
        return []
    record = explored[REFERENCE.tag]
    left = record["findings"]
    stories = len(record.get("stories", ()))
    if not left:
        words = f"**The reference gate has no way to a failure** in any order of its {many(stories, 'story', 'stories')}."
        return [Claim("reference-explored", words, (), (REFERENCE.tag,), quiet=True)]
    told = "".join(
        f"\n- {failure_paths.ends(str(each['outcome']))}: {failure_paths.story_words(str(each['story']))}; the handler: "
        f"{failure_paths.handler_words(str(each['handler']))}. {failure_paths.sentence(each)}"
        for each in left
    )
    twice = sum(str(each["handler"]) in UNCURED for each in left)
    cured = (
        f" {twice} of them {'needs' if twice == 1 else 'need'} a handler that makes the component answer twice (finding 1)."
        if twice
        else ""
    )
    words = (
        f"**A gate that asks at the right moment leaves {many(len(left), 'way')} to a failure**, in {many(stories, 'story', 'stories')}."
        f"{cured} They are:\n{told}"
    )
    seen = (Support("model", len(left), len(left), "ways of the reference gate", source=f"explore/{REFERENCE.tag}.json"),)
    return [Claim("reference-explored", words, seen, (REFERENCE.tag,), quiet=True)]


def _family(material: ReportContext, outcome: str, groups: list[list[Mapping[str, Any]]]) -> list[Block]:
    releases = list(dict.fromkeys(str(each["release"]) for those in groups for each in those))
    live = material.evidence.confirmed
    names = {str(those[0]["name"]) for those in groups}
    tried = live[live["name"].isin(names) & live["release"].isin(releases)]
    user = failure_paths.ends(outcome)
    mark = f"{STYLES[outcome].glyph} " if outcome in STYLES else ""
    shown = failure_paths.best_of(material, groups)
    count = sum(len(those) for those in groups)
    more = f" ({count}, counted release by release)" if count != len(groups) else ""
    sentence = (
        f"**{mark}{many(len(groups), 'way')} into it**{more}, met on {joined([failure_paths.called(tag) for tag in releases])}. "
        f"{'It' if len(groups) == 1 else 'One of them'}, on {failure_paths.called(str(shown['release']))}, in the story “"
        f"{failure_paths.story_words(str(shown['story']))}” (the handler: {failure_paths.handler_words(str(shown['handler']))}): {failure_paths.sentence(shown)}"
    )
    seen = [Support("model", count, count, "of these were played again with their times, with the same failure",
                 source="explore/RELEASE.json")]  # fmt: skip
    if len(tried):
        seen.append(Support("real proxy", int(tried["confirmed"].sum()), len(tried), "of them that were tried on the running proxy were "
                         "confirmed", source="explore/RELEASE-live.csv"))  # fmt: skip
    else:
        seen.append(Support("real proxy", 0, 0, "these were not yet tried on a running proxy"))
    rows = [_way(material, those) for those in groups]
    caption = f"The ways to {outcome}; releases with * were confirmed on the running proxy."
    return [
        Text(f"#### {outcome[0].upper() + outcome[1:]}: {user}"),
        Claim(f"explored-{outcome}", sentence, tuple(seen), tuple(releases)),
        Fold(
            f"Every way to {outcome}, and one of them step by step",
            (Table(pd.DataFrame(rows), caption), failure_paths.trace(shown)),
        ),
    ]


def _way(material: ReportContext, those: list[Mapping[str, Any]]) -> dict[str, object]:
    live = material.evidence.confirmed
    yes = set(live[live["confirmed"] & (live["name"] == those[0]["name"])]["release"])
    tags = [f"{failure_paths.called(str(each['release']))}{'*' if each['release'] in yes else ''}" for each in those]
    return {
        "what happens": failure_paths.sentence(those[0]),
        "releases": ", ".join(tags),
        "shortest when": joined(list(dict.fromkeys(failure_paths.story_words(str(each["story"])) for each in those)), "or"),
        "the handler": joined(list(dict.fromkeys(failure_paths.handler_words(str(each["handler"])) for each in those)), "or"),
    }
