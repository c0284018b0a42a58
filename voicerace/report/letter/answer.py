"""The section that answers the customer's question, in three paragraphs and one picture."""

from __future__ import annotations

from functools import partial

import pandas as pd

from voicerace.captures.reader import HAR
from voicerace.report.blocks import Block, Claim, Picture, Support, Text, joined
from voicerace.report.context import ReportContext, bad_outcomes
from voicerace.report.letter import recorded
from voicerace.report.letter import submitted_twice as twice
from voicerace.report.letter.workaround_statistics import best_workaround
from voicerace.report.measured import gap_range_ms
from voicerace.report.phrasing import HEARS, Side, bad_of, how, means, range_of, times_text, wrong_of
from voicerace.report.plots.overview import OverviewLine, alt_overview, plot_overview

__all__ = ["blocks", "lines"]

_TERMS = (
    "Terms used here: between your **app** and the **API** (OpenAI's Realtime API) stand our two programs: the **component** "
    "(voice-agent-react, in the browser) and the **proxy** (voice-agent-backend). The API works on one **response** at a time. "
    "When the model wants a function called, your app sends the **result**, and the proxy then **requests** the next response "
    "(`response.create`). If that request arrives while a response is active, the API refuses it with the error that you see. "
    "The **gap** is the time from the call to the `response.done` of its response."
)


def blocks(context: ReportContext) -> list[Block]:
    own = _of_capture(context)
    context = context.at_gap
    shown = lines(context)
    found: list[Block] = [
        *([own] if own else []),
        Text(_TERMS),
        *recorded.blocks(context),
        _first(context),
        _second(context),
        _third(context),
        Text(_how_sure(context)),
    ]
    if shown:
        found.append(Picture(partial(plot_overview, shown), alt_overview(shown), _caption(shown)))
    return found


def _of_capture(context: ReportContext) -> Claim | None:
    """Return a claim about the races in the capture; None without a capture."""
    capture = context.capture
    if capture is None:
        return None
    refused = sum(bool(each.refusals.value) for each in capture.sessions)
    seen = [
        Support("real proxy", refused, len(capture.sessions), "sessions of the capture have a refusal", source=capture.name)
    ]
    text = f"**In your capture {refused} of {len(capture.sessions)} sessions had a refusal"
    gaps = gap_range_ms(context.capture)
    if gaps is None:
        text += (
            ".** It has no gap (no call with its `response.done`, both seen at the proxy), so what follows is computed at gaps "
            "that we chose."
        )
        return Claim("answer-capture", text, tuple(seen), quiet=True)
    count, least, median, most = gaps
    where = "browser" if capture.format == HAR else "proxy"
    span = f"was {median:g} ms" if least == most else f"had a median of {median:g} ms ({count} gaps, {least:g} to {most:g} ms)"
    text += f", and the gap {span}**, as the {where} saw it."
    races = [race for of in capture.sessions for race in of.races]
    for before, words in ((True, "before"), (False, "at or after")):
        mine = pd.Series([race.outcome for race in races if (race.result_delay_ms < race.gap_ms) == before], dtype="str")
        if len(mine):
            bad, judged = bad_outcomes(mine)
            what = f"races of the capture with a result {words} response.done"
            seen.append(Support("real proxy", len(mine), len(races), what, source=capture.name))
            seen.append(Support("real proxy", bad, judged, f"{what} went wrong", source=capture.name))
            text += (
                f" The result came {words} `response.done` in {len(mine)} of {len(races)} calls with one result; "
                + (f"{bad} of {judged} of them went wrong." if judged else "their outcome is not in the capture.")
            )  # fmt: skip
    text += f" **What follows is computed at this gap{'' if least == most else chr(39) + 's median'} and with your network.**"
    return Claim("answer-capture", text, tuple(seen), quiet=True)


def _how_sure(context: ReportContext) -> str:
    sure = (
        "**How sure this is**: counts are of computed sessions, with models that were compared with the running programs (see *How it was "
        "tested*). No session used the real API"
    )
    if gap_range_ms(context.capture) is None:
        return f"{sure}. Only your own log shows which of the two problems you have, and how often."
    return f"{sure}; gap and network are those of your capture, other times are assumed."


def _first(context: ReportContext) -> Claim:
    twice_sent, cases = twice.twice_counts(context)
    styles = context.part("styles")
    seen: list[Support] = []
    if cases:
        what = "recorded cases with such a handler: two results for one call"
        seen.append(Support("real component", twice_sent, cases, what, source="conformance/component-*.json"))
    found = (
        f" the running component did so in {twice_sent} of {cases} recorded cases with such handlers"
        if cases
        else " there is no recording of the running component"
    )
    text = (
        "**First, your own handler may make the component answer one call twice**: when the handler sends its result through "
        "`ref.sendFunctionCallResponse`, or returns before it has one, the component adds a result of its own, an error. The proxy then "
        f"requests two replies to one call, and the second request may arrive during the first reply;{found}"
    )
    for release in context.in_use:
        if styles is None or release not in set(styles["release"]):
            continue
        own = styles[styles["release"] == release]
        uncured, cured = own[own["handler"].isin(twice.FAULTY_HANDLERS)], own[own["handler"].isin(twice.CORRECT_HANDLERS)]
        (bad, judged), (well, well_of) = bad_of(uncured), bad_of(cured)
        wrong = wrong_of(uncured)
        refused = int((wrong["refusals"].fillna(0) > 0).sum())
        kinds = f": {how(wrong)}; in {refused} of {bad} of them a request was refused" if bad else ""
        text += (
            f". On {release}, at a gap of {range_of(own['gap_ms'])} and with tools of {range_of(own['tool_ms'])}, {bad} of {judged} computed "
            f"sessions with such handlers went wrong{kinds}. With a handler that returns its result {well} of {well_of} went wrong at these times"
        )
        seen += [
            Support("model", bad, judged, f"computed sessions with such a handler go wrong ({release})", source="the run, part styles"),
            Support("model", refused, bad, f"of these had a refusal ({release})", source="the run, part styles"),
            Support("model", well, well_of, f"computed sessions with the corrected handler go wrong ({release})", source="the run, part styles"),
        ]  # fmt: skip
    return Claim("answer-first", text + ".", tuple(seen), context.in_use, quiet=True)


def _second(context: ReportContext) -> Claim:
    clauses, seen, failing = [], [], []
    for release in context.releases:
        wrong = context.bad_sides[release]
        failing += [release] if wrong else []
        bad, of = bad_of(context.delay[context.delay["release"] == release])
        seen.append(Support("model", bad, of, f"computed delays go wrong ({release})", source="the run"))
        clauses.append(
            f"{release} fails with {joined([_short(side) for side in wrong])}, {bad} of {of} computed delays"
            if wrong
            else f"{release} fails at none of {of} computed delays"
        )
    which = "every release fails at some delays" if len(failing) == len(context.releases) else (
        f"{joined(failing)} {'fails' if len(failing) == 1 else 'fail'} at some delays" if failing
        else "no failure was seen at any delay"
    )  # fmt: skip
    text = (
        f"**Second, with a longer gap the proxy may send its request too early or never, even for one result, and {which}**: at {times_text(context.delay)}, "
        + "; ".join(clauses) + "."
    )  # fmt: skip
    return Claim("answer-second", text, tuple(seen), context.releases, quiet=True)


def _short(side: Side) -> str:
    return f"{side.words} ({side.outcome}: {means(side.outcome)})"


def _third(context: ReportContext) -> Claim:
    parts = ["**Today: return `{id, result}` from the handler, and nothing else, on every release**"]
    seen: list[Support] = []
    for release in context.in_use:
        workaround = best_workaround(context, release)
        if release not in context.releases:
            parts.append(f"this run has no sessions of {release}")
        elif not context.bad_sides[release]:
            parts.append(f"on {release} nothing more is needed for the delays computed here")
        elif workaround is None:
            parts.append(f"on {release} no workaround improves the proxy's timing")
        else:
            counts = f"{workaround.bad} of {workaround.of} computed sessions with one call and one result"
            left = sum(bool(each.bad) for each in workaround.stories.values())
            for count, of, what in (
                (workaround.bad, workaround.of, f"sessions go wrong with {workaround.name}"),
                (workaround.without, workaround.of, "sessions go wrong without it"),
                (left, len(workaround.stories), "other scenarios have sessions that go wrong with it"),
            )[: 2 if workaround.bad else 3]:
                seen.append(Support("model", count, of, f"{what} ({release})", source="the run, part cures"))
            if workaround.bad:
                parts.append(f"on {release} no workaround removed the other failures: with the best, `{workaround.name}`, {counts} still went wrong, "
                             f"without it {workaround.without} of {workaround.of}")  # fmt: skip
                continue
            beyond = (
                ""
                if workaround.holds_ms is None or workaround.holds_ms <= workaround.gaps_ms[1]
                else f", shorter than the {workaround.holds_ms / 1000:g} s that it waits"
            )
            rest = f"; {left} of {len(workaround.stories)} other scenarios still went wrong with it (below)" if left else ""
            parts.append(
                f"then, on {release}, `{workaround.name}` (below): with it {counts} went wrong, without it {workaround.without} of {workaround.of}, at "
                f"gaps of {range_of(pd.Series(workaround.gaps_ms))}{beyond}{rest}"
            )
    return Claim("answer-third", "; ".join(parts) + ".", tuple(seen), context.in_use, quiet=True)


def lines(context: ReportContext) -> list[OverviewLine]:
    """Return the rows of the picture: each outcome of the first release in use, then the bad outcomes of other releases."""
    found: list[OverviewLine] = []
    first = context.in_use[0]
    for release in dict.fromkeys((first, *context.releases)):
        wrong = {side.outcome for side in context.bad_sides[release]}
        for side in context.sides[release]:
            if release != first and side.outcome not in wrong:
                continue
            if release != first and any(
                same.title.endswith(_title(side)) and same.means == HEARS[side.outcome] for same in found
            ):
                continue  # the picture already contains this failure
            if (one := context.delay_recording(release, side.outcome)) is not None:
                row, recording = one
                title = f"Proxy {release}, one result, {_title(side)}"
                found.append(OverviewLine(title, recording, HEARS[str(row["outcome"])]))
        if release == first:
            found += twice.overview_lines(context, release)[:1]
    return found


def _title(side: Side) -> str:
    return side.words.removeprefix("a ")


def _caption(shown: list[OverviewLine]) -> str:
    times: dict[str, list[str]] = {}
    for number, line in enumerate(shown, start=1):
        own = line.recording.provenance["times"]
        words = times_text(pd.DataFrame([{name: float(own[name]) for name in ("gap_ms", "host_rtt_ms", "upstream_rtt_ms")}]))
        times.setdefault(words, []).append(str(number))
    lines_at = "; ".join(
        f"{'line' if len(those) == 1 else 'lines'} {joined(those)} at {words}" for words, those in times.items()
    )
    return (
        f"One line is one computed session, true to scale: {lines_at}. A request that arrives during a bar is refused. "
        "For a range of tool times, one is drawn. A failure that two releases share is drawn once."
    )
