"""Build the section on timing: when each release sends its request, when it fails, and maps with recorded sessions."""

from __future__ import annotations

from functools import partial
from typing import Final

import pandas as pd

from voicerace.model.catalog.releases import REFERENCE
from voicerace.report.blocks import Block, Claim, Picture, Support, Text, joined, many
from voicerace.report.context import ReportContext
from voicerace.report.evidence import Real
from voicerace.report.letter.submitted_twice import LANES, bar_begins
from voicerace.report.phrasing import bad_of, means, name_of, phrase, range_of, request_rule, same_program, times_text, wrong_of
from voicerace.report.plots.gap_map import observed_gap_ms
from voicerace.report.plots.map_grid import CLAIMED_MS, alt_maps, plot_maps
from voicerace.report.plots.outcome import alt_outcome, plot_outcome
from voicerace.report.plots.swimlane import alt_swimlane, plot_swimlane

__all__ = ["blocks", "heading"]

#: Settings of sessions with one call, one result and the corrected handler.
_PLAIN: Final = {"scenario": "single", "handler": "return", "tool_end": "result", "modality": "text"}


def heading(context: ReportContext) -> str:
    failing = [release for release in context.releases if context.bad_sides[release]]
    right = [release for release in context.releases if release not in failing]
    if not failing:
        return "Finding 2: with one result, no release fails at the tested delays"
    if not right:
        return "Finding 2: even with one result, every release fails at some delays"
    return f"Finding 2: even with one result, {joined(failing)} fail{'s' if len(failing) == 1 else ''} at some delays"


def blocks(context: ReportContext) -> list[Block]:
    found: list[Block] = [
        Text(
            "Here the handler is the corrected one: one call, one result. The proxy's request can still come at the wrong moment. Two times "
            "decide: the time of your tool (`tool_ms`), and the gap (`gap_ms`) from the call to its `response.done`."
        )
    ]
    for release in context.releases:
        found.append(_claim(context, release))
    found += [Text("### One gap, every tool time"), _bands(context), Text("### Every gap, every tool time"), *_map(context)]
    found.append(_reference(context))
    found.append(Text("### The shortest recorded session of each failure"))
    traces = [trace for release in context.releases for trace in _trace(context, release)]
    if traces:
        found.append(Text(LANES))
    found += traces or [Text("No recording of a running proxy shows a failure of these releases.")]
    return found


def _claim(context: ReportContext, release: str) -> Claim:
    own = context.delay[context.delay["release"] == release]
    wrong = context.bad_sides[release]
    bad, of = bad_of(own)
    further: list[Support] = []
    if wrong:
        user = joined(list(dict.fromkeys(means(side.outcome) for side in wrong)))
        silent = int(wrong_of(own)["wedged"].fillna(False).sum())
        end = f" To the user: {user}." + _after_failure(own, silent)
        further = (
            [Support("model", silent, bad, "of these leave the next user input without a reply", source="the run")]
            if silent
            else []
        )
    else:
        real, recorded = context.real_bad(release)
        end = (
            f" Nothing went wrong in the model. **The running proxy behaves differently**: {real} of {recorded} recorded sessions went wrong."
            if real
            else " Nothing went wrong."
        )
    sentence = f"**{name_of(release)}** {request_rule(release)}. At {times_text(context.delay)}, {phrase(context.sides[release])}.{end}"
    return Claim(f"gate-{release}", sentence, (*_seen(context, release, bad, of), *further), (release,))


def _after_failure(own: pd.DataFrame, silent: int) -> str:
    """Describe the effects of a failure: turns without a reply, and `silent` sessions that ignore the next user input."""
    wrong = wrong_of(own)
    text = ""
    if (wrong["outcome"] == "stalled").any():
        text += " Stalled: no `response.create` is ever sent for the result, so it never gets a reply."
    if silent:
        text += f" In {silent} of {len(wrong)} of these the next user input got no reply either."
    return text


def _seen(context: ReportContext, release: str, bad: int, of: int) -> tuple[Support, ...]:
    found = [Support("model", bad, of, "computed delays at this gap go wrong", source="the run")]
    maps = context.part("map")
    if maps is not None and release in set(maps["release"]):
        cells = maps[maps["release"] == release]
        high = cells["gap_ms"].max()
        found.append(Support("model", *bad_of(cells), f"cells of the map go wrong (gaps and tools of 0 to {high:g} ms)",
                          source="the run, part map"))  # fmt: skip
    real = context.real[context.real["release"] == release]
    if len(real):
        same = int((real["outcome"] == real["model_outcome"]).sum())
        what = (
            f"recorded sessions of the running proxy at this gap go wrong (other tool times: {range_of(real['tool_ms'])}, unevenly spaced, "
            f"so their share has no meaning); at the same times the model has the same outcome in {same} of {len(real)}"
        )
        found.append(Support("real proxy", *context.real_bad(release), what, source=f"conformance/{release}.csv"))
    elif mine := [each for each in context.evidence.of_program(release) if each.had(**_PLAIN) and each.outcome != "unknown"]:
        wrong = sum(each.bad for each in mine)
        times = joined(list(dict.fromkeys(_times(each) for each in mine)))
        under = same_program(release, context.evidence.recorded_as(release))
        go = "session goes" if len(mine) == 1 else "sessions go"
        what = f"recorded {go} wrong with the running proxy, at other times ({times})"
        found.append(Support("real proxy", wrong, len(mine), f"{what}; {under}" if under else what, source=mine[0].source))
    else:
        found.append(Support("real proxy", 0, 0, "no session of the running program was recorded at these times"))
    return tuple(found)


def _bands(context: ReportContext) -> Picture:
    real = context.real if len(context.real) else None
    points = "No session of a running proxy was recorded at these times."
    if real is not None:
        inside = _within(real, context.delay)
        same = int((inside["outcome"] == inside["model_outcome"]).sum())
        points = f"Points are {len(inside)} recorded sessions of the running proxies; {same} have the model's outcome"
        points += "." if len(inside) == len(real) else f"; {_beyond(real, inside)} not in the picture."
    return Picture(
        partial(plot_outcome, context.delay, real=real),
        alt_outcome(context.delay, real=real),
        f"The outcome by the time of the tool, at {times_text(context.delay)}; computed, so without an error bar. {points} The upper axis "
        "is the margin: how long after the slot became free the request reached the API; below 0 it is refused.",
    )


def _map(context: ReportContext) -> list[Block]:
    maps = context.part("map")
    if maps is None:
        return [Text("This run has no map of other gaps: `voicerace report` without `--run` plays one.")]
    tags = [tag for tag in context.releases if tag in set(maps["release"])]
    real = _within(context.real, maps) if len(context.real) else None
    lead = Text(
        "**The gap of today's API is not published**, so the maps show many gaps. Two marks are known: "
        f"the dashed line is the only gap ever published ({observed_gap_ms():g} ms, livekit/agents #1056, January 2025, beta "
        f"API); the dotted lines are tools of {CLAIMED_MS[0]:g} to {CLAIMED_MS[1]:g} ms that, by an integrator's report, still came before "
        "`response.done`, so the gap was longer there. The two contradict each other: the gap is not one number. Several function "
        "calls in one response lengthen it. Your own log shows yours (see below)."
    )
    caption = "Each field is one computed session, the network as above."
    if real is not None:
        caption += f" Points are {len(real)} recorded sessions of the running proxies at the gap of {context.gap_ms:g} ms"
        caption += "." if len(real) == len(context.real) else f"; {_beyond(context.real, real)} not in the picture."
    return [lead, Picture(partial(plot_maps, maps, tags, real), alt_maps(maps, tags, real), caption)]


def _within(real: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Return the recorded sessions whose tool time is in the range of the trials."""
    return real[real["tool_ms"].between(trials["tool_ms"].min(), trials["tool_ms"].max())]


def _beyond(real: pd.DataFrame, inside: pd.DataFrame) -> str:
    """Return the number and the tool times of the recorded sessions outside the range of a picture, as text."""
    out = real.drop(inside.index)
    return f"{len(out)} more, with tools of {range_of(out['tool_ms'])}, {'is' if len(out) == 1 else 'are'}"


def _times(real: Real) -> str:
    times = real.recording.provenance["times"]
    return f"a tool of {times['tool_ms']} ms, a gap of {times['gap_ms']} ms"


def _reference(context: ReportContext) -> Claim:
    frame = context.part("reference")
    if frame is None:
        return Claim("gate-reference", "This run has no sessions with a gate that follows the API's events.")
    bad, of = bad_of(frame)
    verdict = (
        "**A proxy can send its request at the right moment**"
        if not bad
        else "**Even a gate that follows the API's events fails**"
    )
    left = len(context.evidence.explored.get(REFERENCE.tag, {}).get("findings", ()))
    more = f" In other scenarios it still has {many(left, 'failure path')} (finding 3)." if left else ""
    sentence = (
        f"{verdict}: one that treats the slot as free at the `response.done` of the active response, sends its request as soon as the "
        f"slot is free, and repeats it after a refusal, went wrong in {bad} of {of} cells of the same map (one call, one result).{more} "
        "It is a model, not a release; `voicerace check --proxy …` tests a proxy in the same way."
    )
    return Claim("gate-reference", sentence, (Support("model", bad, of, "cells of the map go wrong", source="the run, part reference"),),
                 ("reference",), quiet=True)  # fmt: skip


def _trace(context: ReportContext, release: str) -> list[Block]:
    """Return one picture per failure of a release: its shortest recorded session."""
    found: list[Block] = []
    for outcome in dict.fromkeys(side.outcome for side in context.bad_sides[release]):
        fits = [each for each in context.evidence.of_program(release) if each.outcome == outcome and each.had(**_PLAIN)]
        if fits:
            best = min(fits, key=lambda each: (len(each.recording.events), each.source))
            under = same_program(release, (best.release,))
            caption = (
                f"The running proxy {release}{f' ({under})' if under else ''}, {_times(best)} ({best.source}): {means(outcome)}. "
                f"{bar_begins(best.recording)}"
            )
            found.append(Picture(partial(plot_swimlane, best.recording), alt_swimlane(best.recording), caption))
    return found
