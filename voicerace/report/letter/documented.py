"""Build the section that compares the models with documented, unrecorded runs against the real API."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pandas as pd

from voicerace.conformance.reported import GAPS, Fit, Retrodiction, summary
from voicerace.conformance.reported_runs import DOCUMENTS, Reported
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.report.blocks import Block, Claim, Support, Table, Text, joined, many
from voicerace.report.context import ReportContext
from voicerace.report.parts import retrodictions

__all__ = ["HEADING", "blocks", "blocks_of"]

HEADING: Final = "Documented runs against the real API"
_RECORDED: Final = next(iter(GAPS))
#: Range of the recorded gaps as text.
_SPAN: Final = " to ".join(re.findall(r"[\d.]+", GAPS[_RECORDED]))
_WORDS: Final = ("fits", "possible", "does not fit")


def blocks(_: ReportContext) -> list[Block]:
    return blocks_of(retrodictions())


def blocks_of(found: Sequence[Retrodiction]) -> list[Block]:
    """Return the blocks of the section for the given retrodictions."""
    counts = summary(found)
    decided = [each for each in found if each.run.decides]
    others = [each for each in decided if each.fits[_RECORDED].word != "fits"]
    fits = {gap: words.get("fits", 0) for gap, words in counts.items()}
    longer = joined([f"{fits[gap]} with a gap of {gap}" for gap in GAPS if gap != _RECORDED])
    numbers = {name: number for number, name in enumerate(dict.fromkeys(_documents(found)), start=1)}
    rows = [
        {"gap": f"recorded, {_SPAN} ms" if gap == _RECORDED else gap, **{word: words.get(word, 0) for word in _WORDS},
         "undecided": words.get("undecided", 0)}
        for gap, words in counts.items()
    ]  # fmt: skip
    text = (
        f"**With the recorded gap, the models reproduce {fits[_RECORDED]} of {len(decided)} documented runs against the real "
        f"API; {longer}.** The proxy's maintainers did these runs and documented them in their repository. They are not our "
        "recordings: a document states what its author saw, without times. Each run is repeated here with its program, handler and "
        f"client ({sum(not each.run.exact for each in found)} with the nearest known program), "
        f"{many(_draws(found), 'draw')} per gap."
    )
    seen = [
        Support("documented run", fits[gap], len(decided), f"documented runs have the same outcome in the models (gap {gap})",
             source="docs/issues of Signal-Meaning/dg_react_agent")
        for gap in counts
    ]  # fmt: skip
    return [
        Claim("documented-runs", text, tuple(seen), tuple(dict.fromkeys(each.run.row for each in found)), quiet=True),
        Table(pd.DataFrame(rows), "Runs by how the models fit them: *fits* in half of the draws or more, *possible* in one of 20 or "
              "more, else *does not fit*; *undecided* where the document does not say enough."),
        Text(_misfits(others)),
        Table(_runs(found, numbers), "Every documented run, oldest first, with the models' outcomes and how many draws agree with what was "
              "seen. A number in brackets is the document in the list below."),
        Text("Documents: " + " · ".join(f"[{number}] [{name}]({DOCUMENTS}{name})" for name, number in numbers.items())),
    ]  # fmt: skip


def _draws(found: Sequence[Retrodiction]) -> int:
    return found[0].fits[_RECORDED].draws if found else 0


def _documents(found: Sequence[Retrodiction]) -> list[str]:
    return [name for each in found for name in each.run.documents]


def _misfits(others: Sequence[Retrodiction]) -> str:
    """Describe the runs whose computed outcome at the recorded gap differs from the documented outcome."""
    if not others:
        return "With the recorded gap every decided run fits."
    runs = [
        f"{each.run.what} of {each.run.date} at `{each.run.revision}` (seen: {each.run.seen}; computed: "
        f"{_outcomes(each.fits[_RECORDED])})"
        for each in others
    ]
    return f"With the recorded gap {many(len(others), 'run does', 'runs do')} not fit, or only in few draws: {'; '.join(runs)}."


def _runs(found: Sequence[Retrodiction], numbers: dict[str, int]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "run": f"{run.date}, {run.what}, `{run.revision}`",
                "proxy": run.row if run.exact else f"{run.row} (the nearest release, from its source)",
                "handler": _handler(run),
                "seen": f"{run.seen} ({', '.join(str(numbers[name]) for name in run.documents)})"
                + (f"; not compared: {run.why_not}" if run.why_not else ""),
                **{f"models, gap {gap}": _fit_text(each.fits[gap]) for gap in GAPS},
            }
            for each in found
            for run in (each.run,)
        ]
    )


def _handler(run: Reported) -> str:
    return HANDLERS[run.handler].sentence if run.client == "app" else "no app: a test client that sends one result"


def _fit_text(fit: Fit) -> str:
    agree = "" if fit.agree is None else f", {fit.agree} of {fit.draws} draws"
    return f"{fit.word}{agree}: {_outcomes(fit)}"


def _outcomes(fit: Fit) -> str:
    return ", ".join(f"{outcome} {count}" for outcome, count in fit.found.items())
