"""The answer in three sentences, and one picture."""

from __future__ import annotations

import pandas as pd

from voicerace.plots.glance import Glance, alt_glance, plot_glance
from voicerace.report.blocks import Block, Claim, Picture, Text, joined
from voicerace.report.letter import submitted_twice as twice
from voicerace.report.letter.cures import best_cure
from voicerace.report.material import Material
from voicerace.report.telling import HEARS, Side, bad_of, bad_sides, gap_words, how, means, range_of, sides

__all__ = ["blocks", "lines"]

_KNOWS = (
    "A few words first. Between your **app** and the **API** (OpenAI's Realtime API) stand our two programs: the **component** "
    "(voice-agent-react, in the browser) and the **proxy** (voice-agent-backend). The API works on one **response** at a time. "
    "When the model wants a function called, your app sends the **result**, and the proxy then **asks** for the next response "
    "(`response.create`). If it asks while the API is still busy with a response, the API refuses with the error that you see. "
    "The **gap** is how long the API stays busy after it has sent the call, until its `response.done`."
)


def blocks(material: Material) -> list[Block]:
    shown = lines(material)
    found: list[Block] = [
        Text(_KNOWS),
        Claim("answer-first", _first(material), twice.seen_twice(material), material.in_use, quiet=True),
        Claim("answer-second", _second(material), (), material.releases, quiet=True),
        Claim("answer-third", _third(material), (), material.in_use, quiet=True),
    ]
    found.append(
        Text(
            "**How sure this is**: counts are of computed sessions, with models that were held against the running programs (see *How it was "
            "tested*). None met the real API, so which of the two you are in, and how often, your own log must tell."
        )
    )
    if shown:
        found.append(Picture(plot_glance(shown), alt_glance(shown), _caption(shown)))
    return found


def _first(material: Material) -> str:
    rows = twice.component_counts(material)
    styles = material.part("styles")
    release = material.in_use[0]
    sent = sum(row.results == 2 for row in rows if not row.cured)
    of = sum(not row.cured for row in rows)
    seen = (
        f" the running component did so in {sent} of {of} recorded cases with such handlers"
        if of
        else " no recording of the running component is at hand"
    )
    text = (
        "**First, your own handler may make the component answer one call twice**: when the handler sends its result through "
        "`ref.sendFunctionCallResponse`, or returns before it has one, the component adds a result of its own, an error, and "
        f"the proxy then asks for two replies to one call, and the second request may meet the reply to the first;{seen}"
    )
    if styles is not None and release in set(styles["release"]):
        own = styles[styles["release"] == release]
        bad, judged = bad_of(own[own["handler"].isin(twice.UNCURED)])
        well, well_of = bad_of(own[own["handler"].isin(twice.CURED)])
        wrong = own[own["handler"].isin(twice.UNCURED)]
        refused = int((wrong["refusals"].fillna(0) > 0).sum())
        text += (
            f". On {release}, at {range_of(own['gap_ms'])} for the gap and tools of {range_of(own['tool_ms'])}, {bad} of {judged} computed "
            f"sessions with them went wrong: {how(wrong)}; {refused} of them had a refusal. With a handler that returns its result "
            f"{well} of {well_of} went wrong at these times"
        )
    return text + "."


def _second(material: Material) -> str:
    told = []
    for release in material.releases:
        wrong = bad_sides(material.delay, release)
        if wrong:
            bad, of = bad_of(material.delay[material.delay["release"] == release])
            told.append(f"{release} fails with {joined([_short(side) for side in wrong])}, {bad} of {of} computed delays")
        else:
            cells = sum(side.cells for side in sides(material.delay, release))
            told.append(f"{release} fails at none of {cells} computed delays")
    failing = [release for release in material.releases if bad_sides(material.delay, release)]
    which = "no release is right for every delay" if len(failing) == len(material.releases) else (
        f"{joined(failing)} {'is' if len(failing) == 1 else 'are'} not right for every delay" if failing
        else "no failure was seen at any delay"
    )  # fmt: skip
    return (
        f"**Second, even with one result the proxy may ask at the wrong moment, and {which}**: at {gap_words(material.delay)}, "
        + "; ".join(told) + "."
    )  # fmt: skip


def _short(side: Side) -> str:
    return f"{side.words} ({side.outcome}: {means(side.outcome)})"


def _third(material: Material) -> str:
    parts = ["**Today: return `{id, result}` from the handler, and nothing else, on every release**"]
    for release in material.in_use:
        cure = best_cure(material, release)
        if not bad_sides(material.delay, release):
            parts.append(f"on {release} nothing more is needed for the delays computed here")
        elif cure is None:
            parts.append(f"on {release} the proxy's own timing stays as it is")
        elif cure.bad == 0:
            beyond = "" if cure.holds_ms is None else f", all shorter than the {cure.holds_ms / 1000:g} s that it waits"
            left = sum(bool(each.bad) for each in cure.stories.values())
            rest = f"; of {len(cure.stories)} other stories {left} still went wrong with it (below)" if left else ""
            parts.append(
                f"then, on {release}, `{cure.name}` (below): of {cure.of} computed sessions with one call and one result {cure.bad} went "
                f"wrong with it and {cure.without} without, at gaps of {cure.gaps_ms[0]:g} to {cure.gaps_ms[1]:g} ms{beyond}{rest}"
            )
        else:
            parts.append(f"on {release} no workaround took the rest away: with the best, `{cure.name}`, {cure.bad} of {cure.of} "
                         f"computed sessions still went wrong, {cure.without} of {cure.of} without")  # fmt: skip
    return "; ".join(parts) + "."


def lines(material: Material) -> list[Glance]:
    """The lines of the picture: what is right and wrong on the release in use, then what is wrong on the others."""
    found: list[Glance] = []
    first = material.in_use[0]
    for release in dict.fromkeys((first, *material.releases)):
        wrong = {side.outcome for side in bad_sides(material.delay, release)}
        for side in sides(material.delay, release):
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
