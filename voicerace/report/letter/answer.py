"""The answer in three sentences, and one picture."""

from __future__ import annotations

from functools import partial

import pandas as pd

from voicerace.captures.reader import HAR
from voicerace.report.blocks import Block, Claim, Picture, Support, Text, joined
from voicerace.report.context import ReportContext, bad_outcomes
from voicerace.report.letter import recorded
from voicerace.report.letter import submitted_twice as twice
from voicerace.report.letter.workaround_statistics import best_cure
from voicerace.report.measured import gap_range_ms
from voicerace.report.phrasing import HEARS, Side, bad_of, gap_words, how, means, range_of, wrong_of
from voicerace.report.plots.overview import Glance, alt_glance, plot_glance

__all__ = ["blocks", "lines"]

_KNOWS = (
    "A few words first. Between your **app** and the **API** (OpenAI's Realtime API) stand our two programs: the **component** "
    "(voice-agent-react, in the browser) and the **proxy** (voice-agent-backend). The API works on one **response** at a time. "
    "When the model wants a function called, your app sends the **result**, and the proxy then **asks** for the next response "
    "(`response.create`). If it asks while the API is still busy with a response, the API refuses with the error that you see. "
    "The **gap** is how long the API stays busy after it has sent the call, until its `response.done`."
)


def blocks(material: ReportContext) -> list[Block]:
    own = _of_capture(material)
    material = material.at_gap
    shown = lines(material)
    found: list[Block] = [
        *([own] if own else []),
        Text(_KNOWS),
        *recorded.blocks(material),
        _first(material),
        _second(material),
        _third(material),
        Text(_how_sure(material)),
    ]
    if shown:
        found.append(Picture(partial(plot_glance, shown), alt_glance(shown), _caption(shown)))
    return found


def _of_capture(material: ReportContext) -> Claim | None:
    """What the capture shows of the race, before anything is computed; None without a capture."""
    capture = material.capture
    if capture is None:
        return None
    refused = sum(bool(each.refusals.value) for each in capture.sessions)
    seen = [
        Support("real proxy", refused, len(capture.sessions), "sessions of the capture have a refusal", source=capture.name)
    ]
    text = f"**In your capture {refused} of {len(capture.sessions)} sessions had a refusal"
    gaps = gap_range_ms(material.capture)
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
                + (f"{bad} of {judged} of them went wrong." if judged else "what became of them the capture does not show.")
            )  # fmt: skip
    text += f" **What follows is computed at this gap{'' if least == most else chr(39) + 's median'} and with your network.**"
    return Claim("answer-capture", text, tuple(seen), quiet=True)


def _how_sure(material: ReportContext) -> str:
    sure = (
        "**How sure this is**: counts are of computed sessions, with models that were compared with the running programs (see *How it was "
        "tested*). None met the real API"
    )
    if gap_range_ms(material.capture) is None:
        return f"{sure}, so which of the two you are in, and how often, your own log must tell."
    return f"{sure}; gap and network are those of your capture, other times are assumed."


def _first(material: ReportContext) -> Claim:
    twice_sent, cases = twice.twice_counts(material)
    styles = material.part("styles")
    seen: list[Support] = []
    if cases:
        what = "recorded cases with such a handler: two results for one call"
        seen.append(Support("real component", twice_sent, cases, what, source="conformance/component-*.json"))
    found = (
        f" the running component did so in {twice_sent} of {cases} recorded cases with such handlers"
        if cases
        else " no recording of the running component is at hand"
    )
    text = (
        "**First, your own handler may make the component answer one call twice**: when the handler sends its result through "
        "`ref.sendFunctionCallResponse`, or returns before it has one, the component adds a result of its own, an error, and "
        f"the proxy then asks for two replies to one call, and the second request may meet the reply to the first;{found}"
    )
    for release in material.in_use:
        if styles is None or release not in set(styles["release"]):
            continue
        own = styles[styles["release"] == release]
        uncured, cured = own[own["handler"].isin(twice.UNCURED)], own[own["handler"].isin(twice.CURED)]
        (bad, judged), (well, well_of) = bad_of(uncured), bad_of(cured)
        wrong = wrong_of(uncured)
        refused = int((wrong["refusals"].fillna(0) > 0).sum())
        kinds = f": {how(wrong)}; in {refused} of {bad} of them a request was refused" if bad else ""
        text += (
            f". On {release}, at {range_of(own['gap_ms'])} for the gap and tools of {range_of(own['tool_ms'])}, {bad} of {judged} computed "
            f"sessions with them went wrong{kinds}. With a handler that returns its result {well} of {well_of} went wrong at these times"
        )
        seen += [
            Support("model", bad, judged, f"computed sessions with such a handler go wrong ({release})", source="the run, part styles"),
            Support("model", refused, bad, f"of these had a refusal ({release})", source="the run, part styles"),
            Support("model", well, well_of, f"computed sessions with the cured handler go wrong ({release})", source="the run, part styles"),
        ]  # fmt: skip
    return Claim("answer-first", text + ".", tuple(seen), material.in_use, quiet=True)


def _second(material: ReportContext) -> Claim:
    told, seen, failing = [], [], []
    for release in material.releases:
        wrong = material.bad_sides[release]
        failing += [release] if wrong else []
        bad, of = bad_of(material.delay[material.delay["release"] == release])
        seen.append(Support("model", bad, of, f"computed delays go wrong ({release})", source="the run"))
        told.append(
            f"{release} fails with {joined([_short(side) for side in wrong])}, {bad} of {of} computed delays"
            if wrong
            else f"{release} fails at none of {of} computed delays"
        )
    which = "no release is right for every delay" if len(failing) == len(material.releases) else (
        f"{joined(failing)} {'is' if len(failing) == 1 else 'are'} not right for every delay" if failing
        else "no failure was seen at any delay"
    )  # fmt: skip
    text = (
        f"**Second, with a longer gap the proxy may ask at the wrong moment even for one result, and {which}**: at {gap_words(material.delay)}, "
        + "; ".join(told) + "."
    )  # fmt: skip
    return Claim("answer-second", text, tuple(seen), material.releases, quiet=True)


def _short(side: Side) -> str:
    return f"{side.words} ({side.outcome}: {means(side.outcome)})"


def _third(material: ReportContext) -> Claim:
    parts = ["**Today: return `{id, result}` from the handler, and nothing else, on every release**"]
    seen: list[Support] = []
    for release in material.in_use:
        cure = best_cure(material, release)
        if release not in material.releases:
            parts.append(f"this run has no sessions of {release}")
        elif not material.bad_sides[release]:
            parts.append(f"on {release} nothing more is needed for the delays computed here")
        elif cure is None:
            parts.append(f"on {release} the proxy's own timing stays as it is")
        else:
            counts = f"{cure.bad} of {cure.of} computed sessions with one call and one result"
            seen += [
                Support(
                    "model", cure.bad, cure.of, f"sessions go wrong with {cure.name} ({release})", source="the run, part cures"
                ),
                Support(
                    "model", cure.without, cure.of, f"sessions go wrong without it ({release})", source="the run, part cures"
                ),
            ]
            if cure.bad:
                parts.append(f"on {release} no workaround took the rest away: with the best, `{cure.name}`, {counts} still went wrong, "
                             f"without it {cure.without} of {cure.of}")  # fmt: skip
                continue
            beyond = (
                ""
                if cure.holds_ms is None or cure.holds_ms <= cure.gaps_ms[1]
                else f", shorter than the {cure.holds_ms / 1000:g} s that it waits"
            )
            left = sum(bool(each.bad) for each in cure.stories.values())
            rest = f"; {left} of {len(cure.stories)} other stories still went wrong with it (below)" if left else ""
            seen.append(Support("model", left, len(cure.stories), f"other stories have sessions that go wrong with it ({release})",
                             source="the run, part cures"))  # fmt: skip
            parts.append(
                f"then, on {release}, `{cure.name}` (below): with it {counts} went wrong, without it {cure.without} of {cure.of}, at "
                f"{range_of(pd.Series(cure.gaps_ms))} for the gap{beyond}{rest}"
            )
    return Claim("answer-third", "; ".join(parts) + ".", tuple(seen), material.in_use, quiet=True)


def lines(material: ReportContext) -> list[Glance]:
    """The lines of the picture: what is right and wrong on the release in use, then what is wrong on the others."""
    found: list[Glance] = []
    first = material.in_use[0]
    for release in dict.fromkeys((first, *material.releases)):
        wrong = {side.outcome for side in material.bad_sides[release]}
        for side in material.sides[release]:
            if release != first and side.outcome not in wrong:
                continue
            if release != first and any(
                same.title.endswith(_title(side)) and same.means == HEARS[side.outcome] for same in found
            ):
                continue  # it fails as one above does
            if (one := material.delay_recording(release, side.outcome)) is not None:
                row, recording = one
                title = f"Proxy {release}, one result, {_title(side)}"
                found.append(Glance(title, recording, HEARS[str(row["outcome"])]))
        if release == first:
            found += twice.glances(material, release)[:1]
    return found


def _title(side: Side) -> str:
    return side.words.removeprefix("a ")


def _caption(shown: list[Glance]) -> str:
    times: dict[str, list[str]] = {}
    for number, line in enumerate(shown, start=1):
        own = line.recording.provenance["times"]
        words = gap_words(pd.DataFrame([{name: float(own[name]) for name in ("gap_ms", "host_rtt_ms", "upstream_rtt_ms")}]))
        times.setdefault(words, []).append(str(number))
    told = "; ".join(f"{'line' if len(those) == 1 else 'lines'} {joined(those)} at {words}" for words, those in times.items())
    return (
        f"One line is one computed session, true to scale: {told}. A request that meets a bar is refused. "
        "Of a range of tools one is drawn. Where the same thing happens in two releases it is drawn once."
    )
