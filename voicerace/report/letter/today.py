"""What to do today, per release in use: made from what the run's sessions came to, never from what a release is known for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from voicerace.model.catalog.profiles import WORKAROUND_TIMES
from voicerace.model.catalog.releases import component_for, proxy_release
from voicerace.model.catalog.workarounds import WORKAROUNDS, why_not
from voicerace.report.blocks import Block, Claim, Code, Fold, Support, Table, Text, joined, many
from voicerace.report.context import ReportContext
from voicerace.report.letter.failure_paths import story_words
from voicerace.report.letter.submitted_twice import CURE, result_words
from voicerace.report.letter.workaround_statistics import Cure, best_cure, cures_of, worsened
from voicerace.report.measured import gap_range_ms
from voicerace.report.phrasing import bad_of, gap_words, means, name_of, phrase

__all__ = ["blocks"]


def blocks(material: ReportContext) -> list[Block]:
    found: list[Block] = [
        Text("### 1. Every release: let the handler return its result"),
        Text(
            "Whatever else you do, do this first. It costs nothing, needs no new release, and removes the second result (finding 1). "
            "Use one of the two; let no other code of yours send a result for the same call."
        ),
        Code(CURE),
        *(Text(words) for words in result_words(material)),
    ]
    for number, release in enumerate(material.in_use, start=2):
        found += _release(material.at_gap, release, number)
    found.append(_upgrade(material))
    found.append(_sanitised(material))
    return found


def _release(material: ReportContext, release: str, number: int) -> list[Block]:
    found: list[Block] = [Text(f"### {number}. If you run {name_of(release)}")]
    if release not in material.releases:
        found.append(Text(f"**This run has no sessions of {release}**, so nothing is advised for it."))
        return found
    wrong = material.bad_sides[release]
    own = material.delay[material.delay["release"] == release]
    bad, of = bad_of(own)
    if not wrong:
        real, recorded = material.real_bad(release)
        sentence = (
            f"**The model of {release} does not fail, and the running proxy does**: {real} of {recorded} recorded sessions at these times went "
            "wrong. Do not rely on the model here; nothing else is advised."
            if real
            else f"**With the cured handler nothing went wrong** on {release} ({bad} of {of} computed delays): nothing more to change."
        )
        seen = (
            Support("model", bad, of, "computed delays go wrong"),
            Support("real proxy", real, recorded, "recorded sessions go wrong"),
        )
        found.append(Claim(f"today-{release}", sentence, seen, (release,), quiet=True))
        return found
    user = joined(list(dict.fromkeys(f"{side.outcome} ({means(side.outcome)})" for side in wrong)))
    sentence = (
        f"**With the cured handler the proxy's timing still fails on {release}**: at {gap_words(material.delay)}, "
        f"{phrase(material.sides[release])}. What fails: {user}; {bad} of {of} computed delays."
    )
    found.append(
        Claim(f"today-{release}", sentence, (Support("model", bad, of, "computed delays go wrong"),), (release,), quiet=True)
    )
    found += _cures(material, release)
    return found


def _cures(material: ReportContext, release: str) -> list[Block]:
    tried = cures_of(material, release)
    if not tried:
        return [Text("This run tried no workarounds: `voicerace report` without `--run` does.")]
    best = best_cure(material, release)
    row = proxy_release(release)
    impossible = {name: reason for name in WORKAROUNDS if (reason := why_not(name, row, component_for(row).tag, "return"))}
    effects = _effects(material, release)
    rows = []
    for cure in tried:
        told = {
            "workaround": cure.name + (" (best of these)" if best is not None and cure.name == best.name else ""),
            "what the app does": _plain(WORKAROUNDS[cure.name].sentence),
            "goes wrong": f"{cure.bad} of {cure.of} (without: {cure.without})",
            "answer heard": f"{cure.heard} of {cure.of} (without: {cure.heard_without})",
            "silence, median": f"{_seconds(cure.air_ms)} (without: {_seconds(cure.air_without_ms)})",
        }
        if effects:
            told["by exploration"] = _explored(effects.get(cure.name))
        rows.append({**told, "costs": _plain(WORKAROUNDS[cure.name].costs)})
    found: list[Block] = []
    if best is None:
        words = f"**No workaround made {release} better** in the sessions computed here ({tried[0].without} of {tried[0].of} go wrong without)."
        seen = Support(
            "model", tried[0].without, tried[0].of, "computed sessions go wrong without one", source="the run, part cures"
        )
        found.append(Claim(f"cure-{release}", words, (seen,), (release,), quiet=True))
    else:
        found += _best(material, release, best, tried, effects.get(best.name))
    caption = (
        f"Workarounds on {release}, one call with one result: gaps of {_span(tried[0].gaps_ms)}, tools of {_span(tried[0].tools_ms)}, the "
        "network as above; computed. An answer can be heard in a session that goes wrong: beside a refusal, late, or as the last that the session gives."
        + (_EXPLORED if effects else "")
    )
    found.append(Table(pd.DataFrame(rows), caption))
    found += _stories(release, tried)
    others = [cure.name for cure in tried if best is None or cure.name != best.name]
    codes = tuple(Code(_typescript(name), f"{name}: {_plain(WORKAROUNDS[name].sentence)}") for name in others)
    found.append(Fold(f"TypeScript of the others ({', '.join(others)})", codes))
    found += [Text(f"Not possible on {release}: `{name}` ({reason}).") for name, reason in impossible.items()]
    return found


_EXPLORED: Final = (
    " By exploration: of the ways into a failure that the release has in the stories explored (named above), how many the workaround removes, leaves and "
    "brings (data/workarounds.json)."
)


def _best(
    material: ReportContext, release: str, best: Cure, tried: list[Cure], effect: Mapping[str, Any] | None
) -> list[Block]:
    """The workaround to take: what it did, what that rests on, what it does not cure, where it does harm."""
    words = (
        f"**{'Do' if best.bad == 0 else 'The best there is'}: {_plain(WORKAROUNDS[best.name].sentence)}** (`{best.name}`). With one call "
        f"and one result it went wrong in {best.bad} of {best.of} computed sessions, against {best.without} of {best.of} without it; the "
        f"user waits {_seconds(best.air_ms)} for the answer (median), against {_seconds(best.air_without_ms)} where it comes at all "
        f"without. Its cost: {_plain(WORKAROUNDS[best.name].costs)}."
    )
    seen = [
        Support("model", best.bad, best.of, "computed sessions go wrong with it", source="the run, part cures"),
        Support("model", best.without, best.of, "computed sessions go wrong without it", source="the run, part cures"),
    ]
    found: list[Block] = [Claim(f"cure-{release}", words, tuple(seen), (release,), quiet=True), Code(_typescript(best.name))]
    told: list[str] = []
    if best.holds_ms is not None and best.gaps_ms[1] < best.holds_ms:
        told.append(
            f"**That count is so by construction**: the gaps tried were of {_span(best.gaps_ms)}, all shorter than the "
            f"{_seconds(best.holds_ms)} that it waits. These {best.holds_ms:,g} ms (`hold_ms`) were chosen by us and are not derived from your "
            "gap: it is no evidence that your gap is shorter."
        )
    if best.beyond is not None and best.beyond_ms is not None:
        told.append(
            f"At a gap of {best.beyond_ms:,g} ms it went wrong in {best.beyond.bad} of {best.beyond.of} sessions "
            f"(without it {best.beyond.without})."
        )
    if best.holds_ms is not None and (gaps := gap_range_ms(material.capture)) is not None:
        told.append(
            f"**Choose the time by your own gap**: the longest of the {gaps[0]} in your capture is {gaps[3]:g} ms. Wait longer than the "
            "longest you expect; `voicerace inspect proxy.log` computes it of further logs."
        )
    elif best.holds_ms is not None:
        told.append(
            "**Choose the time by your own gap**: in the proxy's log (`LOG_LEVEL=debug`) it lies between two `upstream → client` lines of one "
            "response, that of the call (`response.function_call_arguments.done`; of several calls the last) and that of its "
            "`response.done`: the difference of their `timestamp` (µs). `voicerace inspect proxy.log` computes it. Wait longer than the longest you find."
        )
    left = {story: each for story, each in best.stories.items() if each.bad}
    if left:
        lines = "; ".join(
            f"{story_words(story)}: {each.bad} of {each.of} ({each.without} without)" for story, each in left.items()
        )
        told.append(f"**It does not cure every story.** What still goes wrong with it, at the same gaps and tools: {lines}.")
        if helpless := [story for story in left if all(cure.stories[story].bad for cure in tried if story in cure.stories)]:
            told.append(
                f"**No workaround of this page cures {'this' if len(helpless) == 1 else 'these'}**: {'; '.join(map(story_words, helpless))}. "
                "Where it is yours to choose, avoid it; else the proxy has to change."
            )
    harmed = {tag: each for tag, each in worsened(material, best.name).items() if tag != release}
    if harmed:
        lines = joined(
            [f"{tag} ({each.bad} of {each.of} go wrong with it, {each.without} without)" for tag, each in harmed.items()]
        )
        told.append(f"**It does harm on {lines}**: take it out before you change to such a release.")
    if effect is not None:
        told.append(_of_effect(effect, _told_stories(material), best))
    seen = [
        Support(
            "model", each.bad, each.of, f"computed sessions with {best.name} go wrong: {name}", source="the run, part cures"
        )
        for name, each in (*left.items(), *harmed.items())
    ]
    if best.beyond is not None:
        seen.append(Support("model", best.beyond.bad, best.beyond.of, f"computed sessions with {best.name} go wrong at the long gap",
                         source="the run, part cures"))  # fmt: skip
    if told:
        found.append(
            Claim(f"cure-limits-{release}", "\n".join(f"- {each}" for each in told), tuple(seen), (release,), quiet=True)
        )
    return found


def _stories(release: str, tried: list[Cure]) -> list[Block]:
    """The same workarounds in the other stories."""
    names = list(dict.fromkeys(story for cure in tried for story in cure.stories))
    if not names:
        return []
    rows = []
    for story in names:
        first = tried[0].stories[story]
        row: dict[str, object] = {"story": story_words(story), "without": f"{first.without} of {first.of}"}
        rows.append(row | {cure.name: f"{cure.stories[story].bad} of {cure.stories[story].of}" for cure in tried})
    caption = (
        f"The same workarounds on {release} in other stories, at the same gaps and tools: sessions that go wrong; computed."
    )
    return [Table(pd.DataFrame(rows), caption)]


def _effects(material: ReportContext, release: str) -> dict[str, Mapping[str, Any]]:
    """What exploration says of a release's workarounds, by name; empty where it is not at hand."""
    return {str(each.get("workaround")): each for each in material.evidence.workarounds if each.get("release") == release}


def _explored(effect: Mapping[str, Any] | None) -> str:
    """What exploration says of a workaround."""
    if effect is None:
        return "not explored"
    words = [f"removes {len(effect['removed'])}, leaves {len(effect['left'])}, brings {len(effect['new'])}"]
    if effect.get("incomplete"):
        words.append(f"not every order of {', '.join(effect['incomplete'])}")
    return "; ".join(words)


def _told_stories(material: ReportContext) -> list[str]:
    """The stories in which the explorations of workarounds met anything."""
    lists = [each.get(name) for each in material.evidence.workarounds for name in ("removed", "left", "new", "not_met")]
    return list(dict.fromkeys(str(way["story"]) for ways in lists for way in ways or ()))


def _of_effect(effect: Mapping[str, Any], explored: list[str], best: Cure) -> str:
    """The ways that a workaround leaves or brings, in words."""
    removed, left, new = (list(effect[name]) for name in ("removed", "left", "new"))
    words = (
        f"**In every order of {many(len(explored), 'story', 'stories')}** (`data/workarounds.json`: {'; '.join(map(story_words, explored))}) "
        f"it removes {many(len(removed), 'way')} into a failure, leaves {len(left)} and brings {len(new)}"
    )
    if effect.get("incomplete"):
        words += f" (not every order of {joined(list(effect['incomplete']))} was explored)"
    words += "."
    for name, those in (("Left", left), ("New", new)):
        stories = list(dict.fromkeys(str(each["story"]) for each in those))
        told = [f"{story_words(story)} ({sum(each['story'] == story for each in those)})" for story in stories]
        words += f" {name} (ways): {'; '.join(told)}." if told else ""
    if others := [story for story in best.stories if story not in explored]:
        words += f" Computed above, but not explored and so in none of these counts: {'; '.join(map(story_words, others))}."
    return words


def _typescript(name: str) -> str:
    """The lines of a workaround, its times as numbers."""
    text = WORKAROUNDS[name].typescript
    for time, value in WORKAROUND_TIMES.items():
        text = text.replace(time.upper(), value)
    return f"// tool(call) is yours, ref is the component's, sleep(ms) waits.\n{text}"


def _plain(words: str) -> str:
    """A workaround's words with its times as numbers."""
    for time, value in WORKAROUND_TIMES.items():
        words = words.replace(f"{time} have passed", f"{float(value) / 1000:g} s have passed").replace(
            time, f"{float(value) / 1000:g} s"
        )
    return words


def _span(values: tuple[float, float]) -> str:
    return f"{values[0]:,g} to {values[1]:,g} ms"


def _upgrade(material: ReportContext) -> Claim:
    """Whether another release would be better, from the map."""
    maps = material.part("map")
    if maps is None:
        return Claim("upgrade", "Whether another release would do better this run does not say: it has no map.")
    told = [(tag, *bad_of(maps[maps["release"] == tag])) for tag in material.releases if tag in set(maps["release"])]
    clean = [tag for tag, bad, _ in told if not bad]
    words = ", ".join(f"{tag} {bad} of {of}" for tag, bad, of in told)
    lead = (
        f"**{joined(clean)} had no failure on the map: prefer it.**" if clean
        else "**Another release alone is no cure**: it changes which tools fail, and how loudly."
    )  # fmt: skip
    failing = {tag: wrong for tag, _, _ in told if (wrong := material.bad_sides[tag])}
    kinds = joined([f"{tag} {joined(sorted({side.outcome for side in wrong}))}" for tag, wrong in failing.items()])
    sentence = f"{lead} On the map of gaps and tools (finding 2) the cells that fail are: {words}." + (
        f" How they fail: {kinds}." if kinds else ""
    )
    seen = tuple(
        Support("model", bad, of, f"cells of the map fail on {tag}", source="the run, part map") for tag, bad, of in told
    )
    return Claim("upgrade", sentence, seen, tuple(tag for tag, _, _ in told), quiet=True)


def _sanitised(material: ReportContext) -> Claim:
    """What hiding the error in a log hides."""
    maps = material.part("map")
    frame = maps if maps is not None else material.delay
    own = _refused(material, frame)
    silent = _silent(own)
    seen = [
        Support(
            "model",
            silent,
            len(own),
            "sessions (one message, one call, one result) with a refusal have no reply",
            source="the run",
        )
    ]
    drawn = material.part("drawn")
    others = None if drawn is None else _refused(material, drawn[drawn["scenario"] != "single"])
    if others is not None and len(others):
        what = "drawn sessions of the other stories with a refusal have no reply"
        seen.append(Support("model", _silent(others), len(others), what, True, source="the run, part drawn"))
    alias = material.customer.log_alias
    lead = f"**Your log sanitization** (the error written as `{alias}`)" if alias else "**Hiding this error in a log**"
    if not len(own):
        sentence = f"{lead}: no refusal was seen in sessions of one message, one call and one result."
    else:
        sentence = (
            f"{lead} hides more than noise. In sessions of one "
            f"message, one call and one result on {joined(material.in_use)} (every gap and tool of finding 2), the user heard no reply in "
            f"{silent} of {len(own)} computed sessions with a refusal."
        )
        if others is not None and len(others):
            sentence += (
                f" In the other stories of finding 3 (several calls, further words, a second result) it was {_silent(others)} of {len(others)}: "
                "there a reply mostly comes all the same."
                if 2 * _silent(others) < len(others)
                else f" In the other stories of finding 3 it was {_silent(others)} of {len(others)}."
            )
        sentence += " Keep the count of these lines; each may be a question that got no answer."
    return Claim("sanitised-log", sentence, tuple(seen), material.in_use, quiet=True)


def _refused(material: ReportContext, frame: pd.DataFrame) -> pd.DataFrame:
    """Sessions of a release in use in which a request was refused."""
    return frame[(frame["release"].isin(material.in_use)) & (frame["refusals"].fillna(0) > 0)]


def _silent(frame: pd.DataFrame) -> int:
    return int((frame["replies"].fillna(0) == 0).sum())


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value / 1000:.1f} s"
