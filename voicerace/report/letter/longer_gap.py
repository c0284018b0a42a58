"""Finding 2: one result per call, and gaps longer than the recorded ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import pandas as pd

from voicerace.model.catalog.profiles import WORKAROUND_TIMES
from voicerace.model.catalog.releases import REFERENCE
from voicerace.model.catalog.workarounds import WORKAROUNDS
from voicerace.report.blocks import Block, Claim, Code, Picture, Stack, Support, Table, joined
from voicerace.report.context import ReportContext
from voicerace.report.evidence import Real
from voicerace.report.letter.render import render
from voicerace.report.letter.second_result import LANES, bar_begins
from voicerace.report.letter.workaround_statistics import best_workaround, workaround_results, worsened
from voicerace.report.phrasing import bad_of, means, name_of, phrase, range_of, request_rule, same_program, times_text, wrong_of
from voicerace.report.plots.gap_map import observed_gap_ms
from voicerace.report.plots.map_grid import alt_maps, plot_maps
from voicerace.report.plots.outcome import alt_outcome, plot_outcome
from voicerace.report.plots.swimlane import alt_swimlane, plot_swimlane

__all__ = ["blocks", "heading"]

#: Settings of sessions with one call, one result and the corrected handler. Recordings have either modality.
_PLAIN: Final = {"scenario": "single", "handler": "return", "tool_end": "result"}
#: Width of a map in inches.
_MAP_WIDTH: Final = 4.1
_MODALITIES: Final = ("session", "text")


@dataclass(frozen=True)
class ReleaseGap:
    """What a release does at the gap of the delay sweep, one result per call.

    Attributes:
        tag: the release.
        rule: when it sends its request.
        ranges: ranges of tool times with their outcomes, as text.
        meaning: meaning of its failures for the user; empty without a failure.
        stuck: number of bad sessions in which the next user input gets no reply either.
        bad: number of bad sessions.
        real: (bad, all) recorded sessions of the running proxy at these times.
    """

    tag: str
    rule: str
    ranges: str
    meaning: str
    stuck: int
    bad: int
    real: tuple[int, int]

    @property
    def name(self) -> str:
        return name_of(self.tag)


def heading(context: ReportContext) -> str:
    context = context.at_gap
    failing = [release for release in context.releases if context.bad_sides[release]]
    if not failing:
        return "C. Finding 2: with one result, no release fails at the tested delays"
    every = len(failing) == len(context.releases)
    which = "every release" if every else joined(failing)
    return f"C. Finding 2: with one result, {which} {'fails' if every or len(failing) == 1 else 'fail'} at some longer gaps"


def blocks(context: ReportContext) -> list[Block]:
    context = context.at_gap
    rows = [_row(context, release) for release in context.releases]
    parts: dict[str, Block] = {
        f"gate-{row.tag}": Claim(f"gate-{row.tag}", "", _seen(context, row), (row.tag,), quiet=True) for row in rows
    }
    parts["bands"] = _bands(context)
    reference = context.part("reference")
    counted = bad_of(reference) if reference is not None else None
    if counted is not None:
        support = Support("model", *counted, "cells of the map go wrong", source="the run, part reference")
        parts["gate-reference"] = Claim("gate-reference", "", (support,), (REFERENCE.tag,), quiet=True)
    traces = [trace for release in context.in_use for trace in _traces(context, release)]
    links = {
        release: {
            side.outcome: f"#{anchor}"
            for side in context.bad_sides[release]
            if (anchor := _anchor(release, side.outcome)) in drawn
        }
        for drawn in ({trace.target for trace in traces},)
        for release in context.releases
    }
    if (picture := _map(context, links)) is not None:
        parts["map"] = picture
    parts |= {f"trace-{number}": trace for number, trace in enumerate(traces)}
    hold = _hold(context, parts)
    return render(
        "longer_gap", parts, rows=rows, times=times_text(context.delay), recorded=f"{observed_gap_ms():g}", map=picture,
        reference=counted, left=len(context.evidence.explored.get(REFERENCE.tag, {}).get("findings", ())), traces=len(traces), hold=hold,
    )  # fmt: skip


def _row(context: ReportContext, release: str) -> ReleaseGap:
    own = context.delay[context.delay["release"] == release]
    meaning = joined(list(dict.fromkeys(means(side.outcome) for side in context.bad_sides[release])))
    wrong = wrong_of(own)
    stuck = int(wrong["wedged"].fillna(False).sum())
    ranges = phrase(context.sides[release])
    return ReleaseGap(release, request_rule(release), ranges, meaning, stuck, len(wrong), context.real_bad(release))


def _seen(context: ReportContext, row: ReleaseGap) -> tuple[Support, ...]:
    own = context.delay[context.delay["release"] == row.tag]
    found = [Support("model", *bad_of(own), "computed delays at this gap go wrong", source="the run")]
    if row.stuck:
        found.append(Support("model", row.stuck, row.bad, "of these leave the next input without a reply", source="the run"))
    maps = context.part("map")
    if maps is not None and row.tag in set(maps["release"]):
        found.append(
            Support("model", *bad_of(maps[maps["release"] == row.tag]), "cells of the map go wrong", source="the run, part map")
        )
    if row.real[1]:
        what = "recorded sessions of the running proxy at these times go wrong"
        found.append(Support("real proxy", *row.real, what, source=f"conformance/{row.tag}.csv"))
    return tuple(found)


def _bands(context: ReportContext) -> Picture:
    real = context.real if len(context.real) else None
    points = "No session of a running proxy was recorded at these times."
    if real is not None:
        inside = real[real["tool_ms"].between(context.delay["tool_ms"].min(), context.delay["tool_ms"].max())]
        same = int((inside["outcome"] == inside["model_outcome"]).sum())
        points = f"Points are {len(inside)} recorded sessions of the running proxies; {same} have the model's outcome."
    caption = (
        f"The outcome by the time of the tool, at {times_text(context.delay)}; computed, so without an error bar. {points}"
    )
    return Picture(partial(plot_outcome, context.delay, real=real), alt_outcome(context.delay, real=real), caption)


def _map(context: ReportContext, links: Mapping[str, Mapping[str, str]]) -> Stack | None:
    """Return one map per release. A field links to the drawn session in `links`, by release and outcome."""
    maps = context.part("map")
    if maps is None:
        return None
    tags = [tag for tag in context.releases if tag in set(maps["release"])]
    real = None
    if len(context.real):
        real = context.real[context.real["tool_ms"].between(maps["tool_ms"].min(), maps["tool_ms"].max())]
    caption = "Each field is one computed session, the network as above. The dashed line is the recorded gap."
    if real is not None:
        caption += f" Points are {len(real)} recorded sessions of the running proxies."
    pictures = [
        Picture(partial(plot_maps, maps, [tag], real, _MAP_WIDTH, dict(links.get(tag, {}))), alt_maps(maps, [tag], real), "")
        for tag in tags
    ]
    if any(links.values()):
        caption += " A field with a failure links to a session drawn below."
    return Stack(tuple(pictures), caption)


def _anchor(release: str, outcome: str) -> str:
    return f"session-{release.replace('.', '-')}-{outcome}"


def _traces(context: ReportContext, release: str) -> Iterator[Picture]:
    """Yield a picture of the shortest recorded session with each failure of a release."""
    for outcome in dict.fromkeys(side.outcome for side in context.bad_sides[release]):
        fits = [
            each
            for each in context.evidence.of_program(release)
            if each.outcome == outcome and any(each.had(**_PLAIN, modality=name) for name in _MODALITIES)
        ]
        if not fits:
            continue
        best: Real = min(fits, key=lambda each: (len(each.recording.events), each.source))
        times = best.recording.provenance["times"]
        under = same_program(release, (best.release,))
        caption = (
            f"The shortest recorded failure of the running proxy {release}{f' ({under})' if under else ''}, a tool of {times['tool_ms']} ms, a "
            f"gap of {times['gap_ms']} ms ({best.source}): {means(best.outcome)}. {LANES} {bar_begins(best.recording)}"
        )
        recording = best.recording
        yield Picture(partial(plot_swimlane, recording), alt_swimlane(recording), caption, _anchor(release, outcome))


def _hold(context: ReportContext, parts: dict[str, Block]) -> list[dict[str, object]]:
    """Return one row per release in use that a workaround improves, and add its claim, table and code to `parts`."""
    found: list[dict[str, object]] = []
    for release in context.in_use:
        best = best_workaround(context, release)
        tried = workaround_results(context, release)
        if best is None or not tried:
            continue
        rows = [
            {
                "the app": _plain(WORKAROUNDS[each.name].sentence),
                "goes wrong": f"{each.bad} of {each.of} (without: {each.without})",
                "median wait for the reply": f"{_seconds(each.air_ms)} (without: {_seconds(each.air_without_ms)})",
                "costs": _plain(WORKAROUNDS[each.name].costs),
            }
            for each in tried
        ]
        gaps = range_of(pd.Series(tried[0].gaps_ms))
        parts[f"hold-table-{release}"] = Table(
            pd.DataFrame(rows),
            f"Workarounds on {release} at gaps of {gaps} and tools of {range_of(pd.Series(tried[0].tools_ms))}; computed.",
        )
        parts[f"hold-code-{release}"] = Code(_typescript(best.name), _plain(WORKAROUNDS[best.name].sentence))
        harmed = {tag: each for tag, each in worsened(context, best.name).items() if tag != release}
        seen = [
            Support("model", best.bad, best.of, "computed sessions go wrong with it", source="the run, part cures"),
            Support("model", best.without, best.of, "computed sessions go wrong without it", source="the run, part cures"),
            *(Support("model", each.bad, each.of, f"computed sessions go wrong with it ({tag})", source="the run, part cures")
              for tag, each in harmed.items()),
        ]  # fmt: skip
        parts[f"hold-{release}"] = Claim(f"hold-{release}", "", tuple(seen), (release,), quiet=True)
        found.append(
            {
                "tag": release,
                "best": best,
                "what": _plain(WORKAROUNDS[best.name].sentence),
                "gaps": gaps,
                "harmed": list(harmed),
            }
        )
    return found


def _typescript(name: str) -> str:
    """Return the TypeScript of a workaround, with numbers in place of the names of times."""
    text = WORKAROUNDS[name].typescript
    for time, value in WORKAROUND_TIMES.items():
        text = text.replace(time.upper(), value)
    return "// tool(call) is your tool, ref is the component's ref, sleep(ms) waits.\n" + text


def _plain(text: str) -> str:
    """Return the sentence of a workaround, with numbers in place of the names of times."""
    for time, value in WORKAROUND_TIMES.items():
        text = text.replace(time, f"{float(value) / 1000:g} s")
    return text


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value / 1000:.1f} s"
