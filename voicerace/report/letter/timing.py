"""Finding 2: when each release asks, on which side of which time it fails, on the map with what was observed."""

from __future__ import annotations

from functools import partial
from typing import Final

import pandas as pd

from voicerace.model.catalog.releases import REFERENCE
from voicerace.report.blocks import Block, Claim, Picture, Support, Text, joined, many
from voicerace.report.context import ReportContext
from voicerace.report.evidence import Real
from voicerace.report.letter.submitted_twice import LANES, bar_begins
from voicerace.report.phrasing import asks, bad_of, gap_words, means, name_of, phrase, range_of, same_program, wrong_of
from voicerace.report.plots.gap_map import observed_gap_ms
from voicerace.report.plots.map_grid import CLAIMED_MS, alt_maps, plot_maps
from voicerace.report.plots.outcome import alt_outcome, plot_outcome
from voicerace.report.plots.swimlane import alt_swimlane, plot_swimlane

__all__ = ["blocks", "heading"]

#: One call, one result, the cured handler, nothing unusual.
_PLAIN: Final = {"scenario": "single", "handler": "return", "tool_end": "result", "modality": "text"}


def heading(material: ReportContext) -> str:
    failing = [release for release in material.releases if material.bad_sides[release]]
    right = [release for release in material.releases if release not in failing]
    if not failing:
        return "Finding 2: with one result, every release asks at a right moment"
    if not right:
        return "Finding 2: even with one result, every release fails at some delays"
    return f"Finding 2: even with one result, {joined(failing)} fail{'s' if len(failing) == 1 else ''} at some delays"


def blocks(material: ReportContext) -> list[Block]:
    found: list[Block] = [
        Text(
            "Here the handler is the cured one: one call, one result. What is left is the moment at which the proxy asks. Two times "
            "decide: how long your tool takes (`tool_ms`), and the gap (`gap_ms`), the time the API stays busy after the call."
        )
    ]
    for release in material.releases:
        found.append(_claim(material, release))
    found += [Text("### One gap, every tool time"), _bands(material), Text("### Every gap, every tool time"), *_map(material)]
    found.append(_reference(material))
    found.append(Text("### The shortest recorded session of each failure"))
    traces = [trace for release in material.releases for trace in _trace(material, release)]
    if traces:
        found.append(Text(LANES))
    found += traces or [Text("No recording of a running proxy shows a failure of these releases.")]
    return found


def _claim(material: ReportContext, release: str) -> Claim:
    own = material.delay[material.delay["release"] == release]
    wrong = material.bad_sides[release]
    bad, of = bad_of(own)
    further: list[Support] = []
    told = phrase(material.sides[release])
    if wrong:
        user = joined(list(dict.fromkeys(means(side.outcome) for side in wrong)))
        silent = int(wrong_of(own)["wedged"].fillna(False).sum())
        end = f" To the user: {user}." + _behind(own, silent)
        further = (
            [Support("model", silent, bad, "of these leave the user's next words without a reply", source="the run")]
            if silent
            else []
        )
    else:
        real, recorded = material.real_bad(release)
        end = (
            f" Nothing went wrong in the model. **The running proxy was recorded otherwise**: {real} of {recorded} sessions went wrong."
            if real
            else " Nothing went wrong."
        )
    sentence = f"**{name_of(release)}** {asks(release)}. At {gap_words(material.delay)}, {told}.{end}"
    return Claim(f"gate-{release}", sentence, (*_seen(material, release, bad, of), *further), (release,))


def _behind(own: pd.DataFrame, silent: int) -> str:
    """What becomes of a result that is never asked for, and of the user's next words behind a failure."""
    wrong = wrong_of(own)
    words = ""
    if (wrong["outcome"] == "stalled").any():
        words += " Stalled: no `response.create` is ever sent for the result, so no reply to it ever comes."
    if silent:
        words += f" In {silent} of {len(wrong)} of these the user's next words got no reply either."
    return words


def _seen(material: ReportContext, release: str, bad: int, of: int) -> tuple[Support, ...]:
    found = [Support("model", bad, of, "computed delays at this gap go wrong", source="the run")]
    maps = material.part("map")
    if maps is not None and release in set(maps["release"]):
        cells = maps[maps["release"] == release]
        high = cells["gap_ms"].max()
        found.append(Support("model", *bad_of(cells), f"cells of the map go wrong (gaps and tools of 0 to {high:g} ms)",
                          source="the run, part map"))  # fmt: skip
    real = material.real[material.real["release"] == release]
    if len(real):
        same = int((real["outcome"] == real["model_outcome"]).sum())
        what = (
            f"recorded sessions of the running proxy at this gap go wrong (other tools than those computed: of {range_of(real['tool_ms'])}, "
            f"not evenly, so their share says nothing); at the same times the model has {same} of {len(real)} the same"
        )
        found.append(Support("real proxy", *material.real_bad(release), what, source=f"conformance/{release}.csv"))
    elif mine := [each for each in material.evidence.of_program(release) if each.had(**_PLAIN) and each.outcome != "unknown"]:
        wrong = sum(each.bad for each in mine)
        times = joined(list(dict.fromkeys(_times(each) for each in mine)))
        under = same_program(release, material.evidence.recorded_as(release))
        go = "session goes" if len(mine) == 1 else "sessions go"
        what = f"recorded {go} wrong with the running proxy, at other times ({times})"
        found.append(Support("real proxy", wrong, len(mine), f"{what}; {under}" if under else what, source=mine[0].source))
    else:
        found.append(Support("real proxy", 0, 0, "no session of the running program was recorded at these times"))
    return tuple(found)


def _bands(material: ReportContext) -> Picture:
    real = material.real if len(material.real) else None
    words = "No session of a running proxy was recorded at these times."
    if real is not None:
        inside = _within(real, material.delay)
        same = int((inside["outcome"] == inside["model_outcome"]).sum())
        words = f"Points are {len(inside)} recorded sessions of the running proxies, {same} of them as the model has them"
        words += "." if len(inside) == len(real) else f"; {_beyond(real, inside)} not in the picture."
    return Picture(
        partial(plot_outcome, material.delay, real=real),
        alt_outcome(material.delay, real=real),
        f"What a result after so many ms comes to, at {gap_words(material.delay)}; computed, so without an error bar. {words} The upper "
        "axis is the margin: how long after the API became free the request reached it; below 0 it is refused.",
    )


def _map(material: ReportContext) -> list[Block]:
    maps = material.part("map")
    if maps is None:
        return [Text("This run has no map of other gaps: `voicerace report` without `--run` plays one.")]
    tags = [tag for tag in material.releases if tag in set(maps["release"])]
    real = _within(material.real, maps) if len(material.real) else None
    words = Text(
        "**Nobody has published the gap of today's API**, so one number would be invented. The maps show them all. Two marks are "
        f"known: the dashed line is the only gap ever published ({observed_gap_ms():g} ms, livekit/agents #1056, January 2025, beta "
        f"API); the dotted lines are tools of {CLAIMED_MS[0]:g} to {CLAIMED_MS[1]:g} ms, which an integrator says still came before "
        "`response.done`, so that the gap was longer than that. They contradict each other: the gap is not one number. Several "
        "function calls in one response lengthen it. Your own log shows yours (see below)."
    )
    caption = (
        "Each field is one computed session, the network as above."
        + (
            ""
            if real is None
            else f" Points are {len(real)} recorded sessions of the running proxies at the gap of {material.gap_ms:g} ms"
        )
        + (
            ""
            if real is None
            else "."
            if len(real) == len(material.real)
            else f"; {_beyond(material.real, real)} not in the picture."
        )
    )
    return [words, Picture(partial(plot_maps, maps, tags, real), alt_maps(maps, tags, real), caption)]


def _within(real: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The sessions that lie in a picture of these trials."""
    return real[real["tool_ms"].between(trials["tool_ms"].min(), trials["tool_ms"].max())]


def _beyond(real: pd.DataFrame, inside: pd.DataFrame) -> str:
    """How many recorded sessions a picture has no place for, and why."""
    out = real.drop(inside.index)
    return f"{len(out)} more, with tools of {range_of(out['tool_ms'])}, {'is' if len(out) == 1 else 'are'}"


def _times(real: Real) -> str:
    times = real.recording.provenance["times"]
    return f"a tool of {times['tool_ms']} ms, a gap of {times['gap_ms']} ms"


def _reference(material: ReportContext) -> Claim:
    frame = material.part("reference")
    if frame is None:
        return Claim("gate-reference", "This run has no sessions with a gate that follows the API's own events.")
    bad, of = bad_of(frame)
    verdict = (
        "**A proxy can ask at the right moment**" if not bad else "**Even a gate that follows the API's own events fails**"
    )
    left = len(material.evidence.explored.get(REFERENCE.tag, {}).get("findings", ()))
    more = (
        f" Beyond one call and one result it is not free of failures: {many(left, 'way')} to one remain (finding 3)."
        if left
        else ""
    )
    sentence = (
        f"{verdict}: one that counts the API as free at `response.done` of the response that held it, asks at once when it is free, "
        f"and asks again after a refusal, went wrong in {bad} of {of} cells of the same map (one call, one "
        f"result).{more} It is a model, no release; `voicerace check --proxy …` tells whether a proxy does as well."
    )
    return Claim("gate-reference", sentence, (Support("model", bad, of, "cells of the map go wrong", source="the run, part reference"),),
                 ("reference",), quiet=True)  # fmt: skip


def _trace(material: ReportContext, release: str) -> list[Block]:
    """The shortest recorded session of the running program with one of its failures."""
    found: list[Block] = []
    for outcome in dict.fromkeys(side.outcome for side in material.bad_sides[release]):
        fits = [each for each in material.evidence.of_program(release) if each.outcome == outcome and each.had(**_PLAIN)]
        if fits:
            best = min(fits, key=lambda each: (len(each.recording.events), each.source))
            under = same_program(release, (best.release,))
            caption = (
                f"The running proxy {release}{f' ({under})' if under else ''}, {_times(best)} ({best.source}): {means(outcome)}. "
                f"{bar_begins(best.recording)}"
            )
            found.append(Picture(partial(plot_swimlane, best.recording), alt_swimlane(best.recording), caption))
    return found
