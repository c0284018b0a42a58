"""Finding 3: the other ways into a failure: stories with drawn times, and every order that times allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from voicerace.plots.style import STYLES
from voicerace.report.blocks import Block, Claim, Fold, Seen, Table, Text, joined, many
from voicerace.report.material import Material
from voicerace.report.telling import bad_of, means
from voicerace.statistics import wilson
from voicerace.tables.handlers import HANDLERS
from voicerace.tables.releases import REFERENCE
from voicerace.tables.scenarios import SCENARIOS

__all__ = ["blocks", "family", "heading"]

#: Endings of an exploration that are no outcome of a turn.
_ENDINGS: Final = {
    "wedged": "the session answers nothing any more",
    "unconfigured": "the session is never set up: no `session.update` is ever sent",
}
_STORIES: Final = {
    "two-turns": "two questions, one after the other",
    "preamble": "the model speaks before it calls",
    "audio": "replies are spoken",
    "no-result": "the app gives no result",
    "text-at-call": "the user writes while the tool runs",
    "text-at-reply": "the user writes into the reply",
    "voice-at-call": "the user speaks while the tool runs",
    "spoken-last": "the user's last words are spoken",
}


def heading(material: Material) -> str:
    names = {
        (str(each["outcome"]), str(each["name"]))
        for record in material.evidence.explored.values()
        for each in record["findings"]
    }
    frame = material.part("drawn")
    if names:
        return f"Finding 3: the other ways: {len(names)} of them were found"
    if frame is not None and bad_of(frame)[0]:
        return "Finding 3: other stories fail too"
    return "Finding 3: other ways into it"


def blocks(material: Material) -> list[Block]:
    return [*_drawn(material), *_explored(material)]


# -- drawn times -----------------------------------------------------------------------------------------------------


def _drawn(material: Material) -> list[Block]:
    frame = material.part("drawn")
    heading = Text("### Other stories than one call and one result")
    if frame is None:
        return [heading, Text("This run has no other stories: `voicerace report` without `--run` plays them.")]
    releases = [str(tag) for tag in dict.fromkeys(frame["release"])]
    rows = []
    claims: list[Block] = []
    for story in dict.fromkeys(frame["scenario"]):
        own = frame[frame["scenario"] == story]
        row: dict[str, object] = {"story": SCENARIOS[str(story)].sentence}
        for release in releases:
            row[_column(release)] = _share(own[own["release"] == release])
        rows.append(row)
        seen = tuple(
            Seen(
                "model", *bad_of(own[own["release"] == release]), f"sessions ({release}) go wrong", True, "the run, part drawn"
            )
            for release in releases
        )
        claims.append(Claim(f"story-{story}", SCENARIOS[str(story)].sentence, seen, tuple(releases), quiet=True))
    first = frame.iloc[0]
    sessions = len(frame) // (len(releases) * frame["scenario"].nunique())
    words = (
        f"The handler is the cured one. In each story {sessions} sessions per release, the same draws for all: tools of 0 to 1,000 ms, "
        f"gaps of 0 to 600 ms, evenly; the rest as in the published trace (profile {first['profile']}). **The shares are those of "
        "these ranges and not of your traffic**; what they show is that a story goes wrong, and on which release it does so less. "
        "Intervals are Wilson's, 95 %."
    )
    table = Table(pd.DataFrame(rows), "Sessions that go wrong, of those drawn, with their intervals, and how.")
    worst = _worst(frame, releases)
    return [heading, Text(words), table, worst, *_json_only(claims)]


def _json_only(claims: list[Block]) -> list[Block]:
    """The claims of the table's rows, for `report.json`: the table says them to people."""
    return [Claim(each.name, "", each.seen, each.releases, quiet=True) for each in claims if isinstance(each, Claim)]


def _worst(frame: pd.DataFrame, releases: list[str]) -> Claim:
    told = []
    for release in releases:
        bad, of = bad_of(frame[frame["release"] == release])
        told.append((bad / of if of else 0.0, bad, of, release))
    clean = [release for share, _, _, release in told if share == 0]
    words = "; ".join(f"{_column(release)} {bad} of {of}" for _, bad, of, release in told)
    end = f" Nothing went wrong with {joined([_column(each) for each in clean])}." if clean else " None was free of it."
    return Claim("stories", f"**Over all these stories** the sessions that go wrong are: {words}.{end}",
                 tuple(Seen("model", bad, of, f"drawn sessions ({release}) go wrong", True) for _, bad, of, release in told),
                 tuple(releases), quiet=True)  # fmt: skip


def _share(own: pd.DataFrame) -> str:
    bad, of = bad_of(own)
    unknown = len(own) - of
    if not of:
        return "not to be judged"
    low, high = wilson(bad, of)
    wrong = own[own["bad"].astype(bool)]["outcome"].value_counts()
    how = ", ".join(f"{count} {STYLES[str(name)].glyph} {name}" for name, count in wrong.items())
    left = f"; {unknown} not to be judged" if unknown else ""
    return f"{bad} of {of} ({low:.0%} to {high:.0%})" + (f": {how}" if how else "") + left


def _column(release: str) -> str:
    return "the reference gate" if release == REFERENCE.tag else release


# -- explored --------------------------------------------------------------------------------------------------------


def _explored(material: Material) -> list[Block]:
    explored = {tag: record for tag, record in material.evidence.explored.items() if record.get("findings") is not None}
    heading = Text("### Every order that the times allow")
    if not explored:
        return [heading, Text("**No exploration is at hand** (data/explore is empty): this page does not say which other ways "
                              "exist. `voicerace explore --release TAG --out data/explore/TAG.json` finds them.")]  # fmt: skip
    wanted = [tag for tag in dict.fromkeys((*material.in_use, *material.releases, *explored)) if tag in explored]
    found: list[Block] = [heading, Text(_how(explored, wanted)), Table(_sizes(material, explored, wanted), _SIZES)]
    findings = [finding for tag in wanted for finding in explored[tag]["findings"]]
    for outcome, those in family(findings).items():
        found += _family(material, outcome, those)
    missing = [tag for tag in material.releases if tag not in explored]
    if missing:
        found.append(Text(f"Not explored: {joined(missing)}."))
    return found


_SIZES = (
    "What was explored. A way is a path to a failure that differs from the others in who asked, what released the request, or who "
    "was in its way; confirmed means played once more against the running proxy, with the same failure."
)


def _how(explored: Mapping[str, Any], wanted: list[str]) -> str:
    bounds = explored[wanted[0]].get("bounds", {})
    told = [f"{name} {low:g} to {high:g}" for name, (low, high) in bounds.items() if low != high and name in _BOUNDS_SHOWN]
    return (
        "Sessions by chance find what is frequent. Here the models were driven through **every order** of messages, tools and timers "
        f"that these times allow ({', '.join(told)}, in ms), and every failure is a way into it, with its shortest trace and concrete "
        "times, played again before it is listed. Handlers that make the component answer twice are among them; the table says which."
    )


_BOUNDS_SHOWN: Final = ("host_ms", "upstream_ms", "tool_ms", "gap_ms", "reply_ms", "ack_ms")


def _sizes(material: Material, explored: Mapping[str, Any], wanted: list[str]) -> pd.DataFrame:
    live = material.evidence.confirmed
    rows = []
    for tag in wanted:
        record = explored[tag]
        mine = live[live["release"] == tag]
        cut = [f"{each['story']}/{each['handler']}" for each in record.get("stories", ()) if not each.get("complete")]
        rows.append(
            {
                "release": _column(tag),
                "stories": len(record.get("stories", ())),
                "states": f"{record.get('states', 0):,}",
                "ways to a failure": len(record["findings"]),
                "confirmed on the running proxy": f"{int(mine['confirmed'].sum())} of {len(mine)} tried"
                if len(mine)
                else "none tried",
                "every order explored": "yes" if not cut else f"not of {', '.join(cut)}",
            }
        )
    return pd.DataFrame(rows)


def family(findings: list[Mapping[str, Any]]) -> dict[str, list[list[Mapping[str, Any]]]]:
    """Findings by outcome, and in it by name; within a name, a finding per release."""
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for each in findings:
        found.setdefault(str(each["outcome"]), {}).setdefault(str(each["name"]), []).append(each)
    return {
        outcome: sorted(names.values(), key=lambda those: (-len(those), len(those[0]["trace"])))
        for outcome, names in found.items()
    }


def _family(material: Material, outcome: str, groups: list[list[Mapping[str, Any]]]) -> list[Block]:
    releases = list(dict.fromkeys(str(each["release"]) for those in groups for each in those))
    live = material.evidence.confirmed
    names = {str(those[0]["name"]) for those in groups}
    tried = live[live["name"].isin(names) & live["release"].isin(releases)]
    user = _ENDINGS.get(outcome) or (means(outcome) if outcome in STYLES else outcome)
    mark = f"{STYLES[outcome].glyph} " if outcome in STYLES else ""
    sentence = (
        f"**{mark}{outcome}: {user}.** {many(len(groups), 'way')} into it, met on {joined([_column(tag) for tag in releases])}."
    )
    count = sum(len(those) for those in groups)
    seen = [Seen("model", count, count, "ways found (release by release) were played again with their times, with the same failure",
                 source="explore/RELEASE.json")]  # fmt: skip
    if len(tried):
        seen.append(Seen("real proxy", int(tried["confirmed"].sum()), len(tried), "of them that were tried on the running proxy were "
                         "confirmed", source="explore/RELEASE-live.csv"))  # fmt: skip
    else:
        seen.append(Seen("real proxy", 0, 0, "these were not yet tried on a running proxy"))
    rows = [_way(material, those) for those in groups]
    shortest = min((each for those in groups for each in those), key=lambda each: len(each["trace"]))
    return [
        Text(f"#### {outcome[0].upper() + outcome[1:]}: {user.replace('`', '')}"),
        Claim(f"explored-{outcome}", sentence, tuple(seen), tuple(releases)),
        Table(pd.DataFrame(rows), f"The ways to {outcome}; releases with * were confirmed on the running proxy."),
        Fold(f"The shortest trace of these: {_column(str(shortest['release']))}, {_story(shortest)}", (_trace(shortest),)),
    ]


def _way(material: Material, those: list[Mapping[str, Any]]) -> dict[str, object]:
    live = material.evidence.confirmed
    yes = set(live[live["confirmed"] & (live["name"] == those[0]["name"])]["release"])
    tags = [f"{_column(str(each['release']))}{'*' if each['release'] in yes else ''}" for each in those]
    handlers = list(dict.fromkeys(str(each["handler"]) for each in those))
    return {
        "what happens": str(those[0]["sentence"]),
        "releases": ", ".join(tags),
        "story": joined(list(dict.fromkeys(_story(each) for each in those)), "or"),
        "the handler": joined([HANDLERS[name].sentence if name in HANDLERS else name for name in handlers], "or"),
        "steps": min(len(each["trace"]) for each in those),
    }


def _story(finding: Mapping[str, Any]) -> str:
    name = str(finding["story"])
    return _STORIES.get(name) or (SCENARIOS[name].sentence if name in SCENARIOS else name)


def _trace(finding: Mapping[str, Any]) -> Table:
    steps = [
        {"ms": f"{step['ms']:g}", "at": str(step["party"]), "what": str(step["what"])}
        for step in finding["trace"]
        if not str(step["what"]).startswith("Settings")
    ]
    return Table(
        pd.DataFrame(steps, columns=["ms", "at", "what"]), f"Step by step, model of {finding['release']}: {finding['sentence']}"
    )
