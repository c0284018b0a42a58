"""What to do today, per release in use: made from what the run's sessions came to, never from what a release is known for."""

from __future__ import annotations

import pandas as pd

from voicerace.report.blocks import Block, Claim, Code, Fold, Seen, Table, Text, joined
from voicerace.report.letter.cures import best_cure, cures_of
from voicerace.report.letter.submitted_twice import CURE
from voicerace.report.material import Material
from voicerace.report.telling import bad_of, bad_sides, gap_words, means, name_of, phrase, sides
from voicerace.tables.profiles import WORKAROUND_TIMES
from voicerace.tables.releases import component_for, proxy_release
from voicerace.tables.workarounds import WORKAROUNDS, why_not

__all__ = ["blocks"]


def blocks(material: Material) -> list[Block]:
    found: list[Block] = [
        Text("### 1. Every release: let the handler return its result"),
        Text(
            "Whatever else you do, do this first. It costs nothing, needs no new release, and removes the second result (finding 1). "
            "Use one of the two; let no other code of yours send a result for the same call."
        ),
        Code(CURE),
    ]
    for number, release in enumerate(material.in_use, start=2):
        found += _release(material, release, number)
    found.append(_upgrade(material))
    found.append(_sanitised(material))
    return found


def _release(material: Material, release: str, number: int) -> list[Block]:
    found: list[Block] = [Text(f"### {number}. If you run {name_of(release)}")]
    if release not in material.releases:
        found.append(Text(f"**This run has no sessions of {release}**, so nothing is advised for it."))
        return found
    wrong = bad_sides(material.delay, release)
    own = material.delay[material.delay["release"] == release]
    bad, of = bad_of(own)
    if not wrong:
        real, recorded = material.real_bad(release)
        sentence = (
            f"**The model of {release} does not fail, and the running proxy does**: {real} of {recorded} recorded sessions at these times went "
            "wrong. Do not rely on the model here; nothing else is advised."
            if real
            else f"**With the cured handler nothing went wrong** on {release}, in {bad} of {of} computed delays: nothing more to change."
        )
        seen = (
            Seen("model", bad, of, "computed delays go wrong"),
            Seen("real proxy", real, recorded, "recorded sessions go wrong"),
        )
        found.append(Claim(f"today-{release}", sentence, seen, (release,), quiet=True))
        return found
    user = joined(list(dict.fromkeys(f"{side.outcome} ({means(side.outcome)})" for side in wrong)))
    sentence = (
        f"**With the cured handler the proxy's timing still fails on {release}**: at {gap_words(material.delay)}, "
        f"{phrase(sides(material.delay, release))}. What fails: {user}; {bad} of {of} computed delays."
    )
    found.append(
        Claim(f"today-{release}", sentence, (Seen("model", bad, of, "computed delays go wrong"),), (release,), quiet=True)
    )
    found += _cures(material, release)
    return found


def _cures(material: Material, release: str) -> list[Block]:
    tried = cures_of(material, release)
    if not tried:
        return [Text("This run tried no workarounds: `voicerace report` without `--run` does.")]
    best = best_cure(material, release)
    row = proxy_release(release)
    impossible = {name: reason for name in WORKAROUNDS if (reason := why_not(name, row, component_for(row).tag, "return"))}
    rows = [
        {
            "workaround": cure.name + (" (best of these)" if best is not None and cure.name == best.name else ""),
            "what the app does": _plain(WORKAROUNDS[cure.name].sentence),
            "goes wrong": f"{cure.bad} of {cure.of} (without: {cure.without})",
            "answer heard": f"{cure.heard} of {cure.of} (without: {cure.heard_without})",
            "silence, median": f"{_seconds(cure.air_ms)} (without: {_seconds(cure.air_without_ms)})",
            "explored": _explored(material, release, cure.name),
            "costs": _plain(WORKAROUNDS[cure.name].costs),
        }
        for cure in tried
    ]
    found: list[Block] = []
    if best is None:
        words = f"**No workaround made {release} better** in the sessions computed here ({tried[0].without} of {tried[0].of} go wrong without)."
        found.append(Claim(f"cure-{release}", words, (), (release,), quiet=True))
    else:
        words = (
            f"**{'Do' if best.bad == 0 else 'The best there is'}: {_plain(WORKAROUNDS[best.name].sentence)}** (`{best.name}`). It went wrong in "
            f"{best.bad} of {best.of} computed sessions, against {best.without} of {best.of} without it; the user waits "
            f"{_seconds(best.air_ms)} for the answer (median), against {_seconds(best.air_without_ms)} where it comes at all without. "
            f"Its cost: {_plain(WORKAROUNDS[best.name].costs)}. These times are ours; your own log has the gap they must outlast."
        )
        seen = (
            Seen("model", best.bad, best.of, "computed sessions go wrong with it", source="the run, part cures"),
            Seen("model", best.without, best.of, "computed sessions go wrong without it", source="the run, part cures"),
        )
        found += [Claim(f"cure-{release}", words, seen, (release,), quiet=True), Code(_typescript(best.name))]
    found.append(
        Table(
            pd.DataFrame(rows),
            f"Workarounds on {release}: gaps of 8 to 600 ms, tools of 50 to 1,000 ms, the network as above; computed.",
        )
    )
    others = [cure.name for cure in tried if best is None or cure.name != best.name]
    codes = tuple(Code(_typescript(name), f"{name}: {_plain(WORKAROUNDS[name].sentence)}") for name in others)
    found.append(Fold(f"TypeScript of the others ({', '.join(others)})", codes))
    found += [Text(f"Not possible on {release}: `{name}` ({reason}).") for name, reason in impossible.items()]
    return found


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


def _explored(material: Material, release: str, name: str) -> str:
    """What exploration says of a workaround."""
    for each in material.evidence.workarounds:
        if (each.get("release"), each.get("workaround")) == (release, name):
            words = [f"removes {len(each['removed'])}, leaves {len(each['left'])}, brings {len(each['new'])} ways"]
            if each.get("incomplete"):
                words.append(f"not every order of {', '.join(each['incomplete'])}")
            return "; ".join(words)
    return "not at hand"


def _upgrade(material: Material) -> Claim:
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
    kinds = joined(
        [
            f"{tag} {joined(sorted({side.outcome for side in bad_sides(material.delay, tag)}))}"
            for tag, _, _ in told
            if bad_sides(material.delay, tag)
        ]
    )
    sentence = f"{lead} On the map of gaps and tools (finding 2) the cells that fail are: {words}." + (
        f" How they fail: {kinds}." if kinds else ""
    )
    seen = tuple(Seen("model", bad, of, f"cells of the map fail on {tag}", source="the run, part map") for tag, bad, of in told)
    return Claim("upgrade", sentence, seen, tuple(tag for tag, _, _ in told), quiet=True)


def _sanitised(material: Material) -> Claim:
    """What hiding the error in a log hides."""
    maps = material.part("map")
    frame = maps if maps is not None else material.delay
    own = frame[(frame["release"].isin(material.in_use)) & (frame["refusals"].fillna(0) > 0)]
    silent = int((own["replies"].fillna(0) == 0).sum())
    if not len(own):
        sentence = "**Your log sanitization**: no refusal was seen in these sessions."
    else:
        sentence = (
            "**Your log sanitization** (the error written as `active_response_state_conflict`) hides more than noise: with one result, in "
            f"{silent} of {len(own)} computed sessions with a refusal the user heard no reply. Keep the count of these lines; each may "
            "be a question that got no answer."
        )
    seen = (Seen("model", silent, len(own), "sessions with a refusal have no reply", source="the run"),)
    return Claim("sanitised-log", sentence, seen, material.in_use, quiet=True)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value / 1000:.1f} s"
