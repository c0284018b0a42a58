"""Build the section with advice for today, per release in use. All advice is based on the sessions of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from voicerace.model.catalog.profiles import WORKAROUND_TIMES
from voicerace.model.catalog.releases import component_for, proxy_release
from voicerace.model.catalog.workarounds import WORKAROUNDS, why_not
from voicerace.report.blocks import Block, Claim, Code, Fold, Support, Table, Text, joined, many
from voicerace.report.context import ReportContext
from voicerace.report.letter import patch
from voicerace.report.letter.failure_paths import scenario_text
from voicerace.report.letter.submitted_twice import CORRECTED, result_advice
from voicerace.report.letter.workaround_statistics import WorkaroundResult, best_workaround, workaround_results, worsened
from voicerace.report.measured import gap_range_ms
from voicerace.report.phrasing import bad_of, means, name_of, phrase, times_text

__all__ = ["blocks"]


def blocks(context: ReportContext) -> list[Block]:
    found: list[Block] = [
        Text("### 1. Every release: let the handler return its result"),
        Text(
            "Do this first. It needs no new release and removes the second result (finding 1). Use one of the two forms, and let no other "
            "code send a result for the same call."
        ),
        Code(CORRECTED),
        *map(Text, result_advice(context)),
    ]
    for number, release in enumerate(context.in_use, start=2):
        found += _release(context.at_gap, release, number)
    found.append(_upgrade(context))
    found.append(_sanitised(context))
    return [*found, *patch.blocks(context)]


def _release(context: ReportContext, release: str, number: int) -> list[Block]:
    found: list[Block] = [Text(f"### {number}. If you run {name_of(release)}")]
    if release not in context.releases:
        found.append(Text(f"**This run has no sessions of {release}**, so this page gives no advice for it."))
        return found
    wrong = context.bad_sides[release]
    own = context.delay[context.delay["release"] == release]
    bad, of = bad_of(own)
    if not wrong:
        real, recorded = context.real_bad(release)
        sentence = (
            f"**The model of {release} does not fail, and the running proxy does**: {real} of {recorded} recorded sessions at these times went "
            "wrong. Do not rely on the model here; this page gives no other advice."
            if real
            else f"**With the corrected handler nothing went wrong** on {release} ({bad} of {of} computed delays). Nothing more to change."
        )
        seen = (
            Support("model", bad, of, "computed delays go wrong"),
            Support("real proxy", real, recorded, "recorded sessions go wrong"),
        )
        found.append(Claim(f"today-{release}", sentence, seen, (release,), quiet=True))
        return found
    user = joined(list(dict.fromkeys(f"{side.outcome} ({means(side.outcome)})" for side in wrong)))
    sentence = (
        f"**With the corrected handler the proxy's timing still fails on {release}**: at {times_text(context.delay)}, "
        f"{phrase(context.sides[release])}. What fails: {user}; {bad} of {of} computed delays."
    )
    found.append(
        Claim(f"today-{release}", sentence, (Support("model", bad, of, "computed delays go wrong"),), (release,), quiet=True)
    )
    found += _workarounds(context, release)
    return found


def _workarounds(context: ReportContext, release: str) -> list[Block]:
    tried = workaround_results(context, release)
    if not tried:
        return [Text("This run tried no workarounds: `voicerace report` without `--run` does.")]
    best = best_workaround(context, release)
    proxy = proxy_release(release)
    component = component_for(proxy).tag
    impossible = {name: reason for name in WORKAROUNDS if (reason := why_not(name, proxy, component, "return"))}
    effects = _effects(context, release)
    rows = []
    for option in tried:
        row = {
            "workaround": option.name + (" (best of these)" if best is not None and option.name == best.name else ""),
            "what the app does": _plain(WORKAROUNDS[option.name].sentence),
            "goes wrong": f"{option.bad} of {option.of} (without: {option.without})",
            "answer heard": f"{option.heard} of {option.of} (without: {option.heard_without})",
            "time to the answer, median": f"{_seconds(option.air_ms)} (without: {_seconds(option.air_without_ms)})",
        }
        if effects:
            row["by exploration"] = _explored(effects.get(option.name))
        rows.append({**row, "costs": _plain(WORKAROUNDS[option.name].costs)})
    found: list[Block] = []
    if best is None:
        sentence = f"**No workaround made {release} better** in the sessions computed here ({tried[0].without} of {tried[0].of} go wrong without)."
        seen = Support(
            "model", tried[0].without, tried[0].of, "computed sessions go wrong without one", source="the run, part cures"
        )
        found.append(Claim(f"cure-{release}", sentence, (seen,), (release,), quiet=True))
    else:
        found += _best(context, release, best, tried, effects.get(best.name))
    caption = (
        f"Workarounds on {release}, one call with one result: gaps of {_span(tried[0].gaps_ms)}, tools of {_span(tried[0].tools_ms)}, the "
        "network as above; computed. A session that goes wrong can still have an answer: with a refusal, late, or before the session gets stuck."
        + (_EXPLORED if effects else "")
    )
    found.append(Table(pd.DataFrame(rows), caption))
    found += _other_scenarios(release, tried)
    others = [option.name for option in tried if best is None or option.name != best.name]
    codes = tuple(Code(_typescript(name), f"{name}: {_plain(WORKAROUNDS[name].sentence)}") for name in others)
    found.append(Fold(f"TypeScript of the others ({', '.join(others)})", codes))
    found += [Text(f"Not possible on {release}: `{name}` ({reason}).") for name, reason in impossible.items()]
    return found


_EXPLORED: Final = (
    " By exploration: how many failure paths of the release, in the explored scenarios (named above), the workaround removes, leaves and "
    "adds (data/workarounds.json)."
)


def _best(
    context: ReportContext,
    release: str,
    best: WorkaroundResult,
    tried: list[WorkaroundResult],
    effect: Mapping[str, Any] | None,
) -> list[Block]:
    """Describe the best workaround: effect, evidence, remaining failures, and the releases on which it is harmful."""
    sentence = (
        f"**{'Do' if best.bad == 0 else 'Best available'}: {_plain(WORKAROUNDS[best.name].sentence)}** (`{best.name}`). With one call "
        f"and one result it went wrong in {best.bad} of {best.of} computed sessions, against {best.without} of {best.of} without it; the "
        f"user waits {_seconds(best.air_ms)} for the answer (median); without it {_seconds(best.air_without_ms)}, where an answer "
        f"comes. Cost: {_plain(WORKAROUNDS[best.name].costs)}."
    )
    seen = [
        Support("model", best.bad, best.of, "computed sessions go wrong with it", source="the run, part cures"),
        Support("model", best.without, best.of, "computed sessions go wrong without it", source="the run, part cures"),
    ]
    found: list[Block] = [Claim(f"cure-{release}", sentence, tuple(seen), (release,), quiet=True), Code(_typescript(best.name))]
    limits: list[str] = []
    if best.holds_ms is not None and best.gaps_ms[1] < best.holds_ms:
        limits.append(
            f"**That count follows from the setting**: the tested gaps were {_span(best.gaps_ms)}, all shorter than the "
            f"{_seconds(best.holds_ms)} that it waits. We chose these {best.holds_ms:,g} ms (`hold_ms`); they are no evidence that your gap is "
            "shorter."
        )
    if best.beyond is not None and best.beyond_ms is not None:
        limits.append(
            f"At a gap of {best.beyond_ms:,g} ms it went wrong in {best.beyond.bad} of {best.beyond.of} sessions "
            f"(without it {best.beyond.without})."
        )
    if best.holds_ms is not None and (gaps := gap_range_ms(context.capture)) is not None:
        limits.append(
            f"**Choose the time by your own gap**: the longest of the {gaps[0]} in your capture is {gaps[3]:g} ms. Wait longer than the "
            "longest you expect; `voicerace inspect proxy.log` computes it from further logs."
        )
    elif best.holds_ms is not None:
        limits.append(
            "**Choose the time by your own gap**: in the proxy's log (`LOG_LEVEL=debug`) it is the difference of the `timestamp` (µs) of two "
            "`upstream → client` lines of one response: the last `response.function_call_arguments.done` and the `response.done`. "
            "`voicerace inspect proxy.log` computes it. Wait longer than the longest you find."
        )
    left = {name: each for name, each in best.stories.items() if each.bad}
    if left:
        lines = "; ".join(
            f"{scenario_text(name)}: {each.bad} of {each.of} ({each.without} without)" for name, each in left.items()
        )
        limits.append(
            f"**It does not help in every scenario.** What still goes wrong with it, at the same gaps and tools: {lines}."
        )
        if helpless := [name for name in left if all(each.stories[name].bad for each in tried if name in each.stories)]:
            limits.append(
                f"**No workaround on this page prevents {'this' if len(helpless) == 1 else 'these'}**: {'; '.join(map(scenario_text, helpless))}. "
                "Avoid it where your app can; otherwise the proxy has to change."
            )
    harmed = {tag: each for tag, each in worsened(context, best.name).items() if tag != release}
    if harmed:
        lines = joined(
            [f"{tag} ({each.bad} of {each.of} go wrong with it, {each.without} without)" for tag, each in harmed.items()]
        )
        limits.append(f"**It makes {lines} worse**: remove it before you change to such a release.")
    if effect is not None:
        limits.append(_of_effect(effect, _explored_scenarios(context), best))
    seen = [
        Support(
            "model", each.bad, each.of, f"computed sessions with {best.name} go wrong: {name}", source="the run, part cures"
        )
        for name, each in (*left.items(), *harmed.items())
    ]
    if best.beyond is not None:
        seen.append(Support("model", best.beyond.bad, best.beyond.of, f"computed sessions with {best.name} go wrong at the long gap",
                         source="the run, part cures"))  # fmt: skip
    if limits:
        found.append(
            Claim(f"cure-limits-{release}", "\n".join(f"- {each}" for each in limits), tuple(seen), (release,), quiet=True)
        )
    return found


def _other_scenarios(release: str, tried: list[WorkaroundResult]) -> list[Block]:
    names = list(dict.fromkeys(name for each in tried for name in each.stories))
    if not names:
        return []
    rows = []
    for name in names:
        first = tried[0].stories[name]
        row: dict[str, object] = {"scenario": scenario_text(name), "without": f"{first.without} of {first.of}"}
        rows.append(row | {each.name: f"{each.stories[name].bad} of {each.stories[name].of}" for each in tried})
    caption = (
        f"The same workarounds on {release} in other scenarios, at the same gaps and tools: sessions that go wrong; computed."
    )
    return [Table(pd.DataFrame(rows), caption)]


def _effects(context: ReportContext, release: str) -> dict[str, Mapping[str, Any]]:
    """Return the explored effects of workarounds on a release by workaround name, empty without an exploration."""
    return {str(each.get("workaround")): each for each in context.evidence.workarounds if each.get("release") == release}


def _explored(effect: Mapping[str, Any] | None) -> str:
    if effect is None:
        return "not explored"
    parts = [f"removes {len(effect['removed'])}, leaves {len(effect['left'])}, adds {len(effect['new'])}"]
    if effect.get("incomplete"):
        parts.append(f"not every order of {', '.join(effect['incomplete'])}")
    return "; ".join(parts)


def _explored_scenarios(context: ReportContext) -> list[str]:
    """Return the scenarios in which the explorations of workarounds found a failure path."""
    lists = [each.get(name) for each in context.evidence.workarounds for name in ("removed", "left", "new", "not_met")]
    return list(dict.fromkeys(str(path["story"]) for paths in lists for path in paths or ()))


def _of_effect(effect: Mapping[str, Any], explored: list[str], best: WorkaroundResult) -> str:
    """Describe the failure paths that a workaround removes, leaves and adds."""
    removed, left, new = (list(effect[name]) for name in ("removed", "left", "new"))
    text = (
        f"**In every order of {many(len(explored), 'scenario')}** (`data/workarounds.json`: {'; '.join(map(scenario_text, explored))}) "
        f"it removes {many(len(removed), 'failure path')}, leaves {len(left)} and adds {len(new)}"
    )
    if effect.get("incomplete"):
        text += f" (not every order of {joined(list(effect['incomplete']))} was explored)"
    text += "."
    for name, those in (("Left", left), ("Added", new)):
        counts = Counter(str(each["story"]) for each in those)
        listed = "; ".join(f"{scenario_text(scenario)} ({count})" for scenario, count in counts.items())
        text += f" {name} (paths): {listed}." if listed else ""
    if others := [scenario for scenario in best.stories if scenario not in explored]:
        text += f" Computed above, but not explored and so in none of these counts: {'; '.join(map(scenario_text, others))}."
    return text


def _typescript(name: str) -> str:
    """Return the TypeScript source of a workaround, with numbers in place of the names of times."""
    text = WORKAROUNDS[name].typescript
    for time, value in WORKAROUND_TIMES.items():
        text = text.replace(time.upper(), value)
    return f"// tool(call) is your tool, ref is the component's ref, sleep(ms) waits.\n{text}"


def _plain(text: str) -> str:
    """Return the description of a workaround, with numbers in place of the names of times."""
    for time, value in WORKAROUND_TIMES.items():
        text = text.replace(time, f"{float(value) / 1000:g} s")
    return text


def _span(values: tuple[float, float]) -> str:
    return f"{values[0]:,g} to {values[1]:,g} ms"


def _upgrade(context: ReportContext) -> Claim:
    """Return a claim that compares the releases by the number of bad cells in their maps."""
    maps = context.part("map")
    if maps is None:
        return Claim("upgrade", "This run has no map, so it does not compare releases.")
    counts = [(tag, *bad_of(maps[maps["release"] == tag])) for tag in context.releases if tag in set(maps["release"])]
    clean = [tag for tag, bad, _ in counts if not bad]
    cells = ", ".join(f"{tag} {bad} of {of}" for tag, bad, of in counts)
    lead = (
        f"**{joined(clean)} had no failure on the map: prefer it.**" if clean
        else "**Another release alone is no fix**: it changes which tools fail, and who is notified."
    )  # fmt: skip
    failing = {tag: wrong for tag, _, _ in counts if (wrong := context.bad_sides[tag])}
    kinds = joined([f"{tag} {joined(sorted({side.outcome for side in wrong}))}" for tag, wrong in failing.items()])
    sentence = f"{lead} On the map of gaps and tools (finding 2) the cells that fail are: {cells}." + (
        f" How they fail: {kinds}." if kinds else ""
    )
    seen = tuple(
        Support("model", bad, of, f"cells of the map fail on {tag}", source="the run, part map") for tag, bad, of in counts
    )
    return Claim("upgrade", sentence, seen, tuple(tag for tag, _, _ in counts), quiet=True)


def _sanitised(context: ReportContext) -> Claim:
    """Return a claim on the sessions with a refusal and no reply. A log that omits the error does not show them."""
    maps = context.part("map")
    frame = maps if maps is not None else context.delay
    own = _refused(context, frame)
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
    drawn = context.part("drawn")
    others = None if drawn is None else _refused(context, drawn[drawn["scenario"] != "single"])
    if others is not None and len(others):
        what = "drawn sessions of the other scenarios with a refusal have no reply"
        seen.append(Support("model", _silent(others), len(others), what, True, source="the run, part drawn"))
    alias = context.customer.log_alias
    lead = f"**Your log sanitization** (the error written as `{alias}`)" if alias else "**Hiding this error in a log**"
    if not len(own):
        sentence = f"{lead}: no refusal was seen in sessions of one message, one call and one result."
    else:
        sentence = (
            f"{lead} can hide a turn without a reply. In sessions of one "
            f"message, one call and one result on {joined(context.in_use)} (every gap and tool of finding 2), the user heard no reply in "
            f"{silent} of {len(own)} computed sessions with a refusal."
        )
        if others is not None and len(others):
            sentence += (
                f" In the other scenarios of finding 3 (several calls, further user input, a second result) it was {_silent(others)} of {len(others)}: "
                "there a reply mostly comes anyway."
                if 2 * _silent(others) < len(others)
                else f" In the other scenarios of finding 3 it was {_silent(others)} of {len(others)}."
            )
        sentence += " Keep counting these lines: each may be a question without an answer."
    return Claim("sanitised-log", sentence, tuple(seen), context.in_use, quiet=True)


def _refused(context: ReportContext, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the sessions of the releases in use in which a request was refused."""
    return frame[(frame["release"].isin(context.in_use)) & (frame["refusals"].fillna(0) > 0)]


def _silent(frame: pd.DataFrame) -> int:
    return int((frame["replies"].fillna(0) == 0).sum())


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value / 1000:.1f} s"
