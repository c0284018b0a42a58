"""Formulas as plain text, as LaTeX and in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from voicerace.experiments.formula.formula import Formula
from voicerace.experiments.formula.linear import CONSTANT, SCALE, Condition
from voicerace.experiments.formula.setting import constants
from voicerace.model.catalog.profiles import TIMES
from voicerace.units import ms

__all__ = ["in_words", "latex", "lines", "record_of"]


#: Times in the order of a sum. The constant is last.
_ORDER: Final = ("tool_ms", *(name for name in TIMES if name != "tool_ms"))


def _ms(scaled_ns: int) -> str:
    return f"{(Decimal(scaled_ns) / SCALE / 1_000_000).normalize():f}"


def _sides(condition: Condition) -> tuple[list[tuple[str, int]], list[tuple[str, int]], bool]:
    """Return the smaller and the greater side of a condition as (name, twice the coefficient), and whether they differ."""
    form, strict = condition
    named = sorted(form, key=lambda each: _ORDER.index(each[0]) if each[0] in _ORDER else len(_ORDER))
    return [(n, -v) for n, v in named if v < 0], [(n, v) for n, v in named if v > 0], strict


def _sum(side: Iterable[tuple[str, int]], name_of: Callable[[str], str], times: str = " ") -> str:
    parts = []
    for name, value in side:
        count = f"{Decimal(value) / SCALE:f}{times}" if value != SCALE else ""
        parts.append(_ms(value) if name == CONSTANT else f"{count}{name_of(name)}")
    return " + ".join(parts) or "0"


def _plain(condition: Condition) -> str:
    smaller, greater, strict = _sides(condition)
    return f"{_sum(smaller, str)} {'<' if strict else '<='} {_sum(greater, str)}"


def lines(formula: Formula) -> list[str]:
    """Return one line per outcome: ``rejected <=> tool_ms + host_rtt_ms + upstream_rtt_ms < gap_ms``."""
    found = []
    width = max(map(len, formula.outcomes))
    for outcome, terms in formula.terms.items():
        several = len(terms) > 1
        shown = [" and ".join(map(_plain, term)) for term in terms]
        whole = " or ".join(f"({each})" if several and len(term) > 1 else each for each, term in zip(shown, terms, strict=True))
        found.append(f"{outcome:{width}} <=> {whole or 'always'}")
    return found


def record_of(formula: Formula) -> dict[str, Any]:
    """Return a formula as a JSON object. A condition is the coefficients by time, and whether it is strict.

    The weighted sum of the times in ms and of the constant (name ``""``) is above 0, or, if it is not strict, 0 or above.
    """
    session = formula.session
    return {
        "release": session.release.tag,
        "scenario": session.scenario.name,
        "handler": session.handler,
        "box": {name: [ms(low), ms(high)] for name, (low, high) in formula.box.items()},
        "constants": constants(session, formula.box),
        "regions": formula.regions,
        "formulas": {outcome: line.split(" <=> ", 1)[1] for outcome, line in zip(formula.terms, lines(formula), strict=True)},
        "conditions": {
            outcome: [
                [
                    {"sum": {n: v / SCALE / (1_000_000 if n == CONSTANT else 1) for n, v in form}, "strict": strict}
                    for form, strict in term
                ]
                for term in terms
            ]
            for outcome, terms in formula.terms.items()
        },
    }


def latex(formula: Formula) -> str:
    r"""Return the formulas as LaTeX, in an ``aligned`` environment."""

    def name_of(name: str) -> str:
        word = name.removesuffix("_ms").replace("_", r"\_")
        return rf"\mathit{{{word}}}"

    def condition(each: Condition) -> str:
        smaller, greater, strict = _sides(each)
        sums = [_sum(side, name_of, r"\,") for side in (smaller, greater)]
        return (" < " if strict else r" \le ").join(sums)

    rows = []
    for outcome, terms in formula.terms.items():
        shown = [r" \wedge ".join(map(condition, term)) or r"\text{always}" for term in terms]
        rows.append(
            rf"\text{{{outcome}}} &\iff " + r" \;\vee\; ".join(f"({each})" if len(shown) > 1 else each for each in shown)
        )
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


#: Names of times in a sentence.
_WORDS: Final = {
    "tool_ms": "the tool's time",
    "gap_ms": "the gap",
    "host_rtt_ms": "the round trip between browser and proxy",
    "upstream_rtt_ms": "the round trip between proxy and API",
    "ack_ms": "the time until an item is confirmed",
    "repeat_ms": "the time until the result is sent again",
    "inject_ms": "the time until the user writes",
    "call_gap_ms": "the time between two calls",
    "create_ms": "the time until a response begins",
    "first_item_ms": "the time until its first item",
    "reply_ms": "the duration of the reply",
    "reply_gap_ms": "the time from the reply's end to its response.done",
}


def in_words(formula: Formula, outcome: str) -> str:
    """Return the condition of an outcome as part of a sentence: ``the tool's time plus … is shorter than the gap``."""

    def side(parts: list[tuple[str, int]]) -> str:
        words = []
        for name, value in parts:
            count = {SCALE: "", 2 * SCALE: "twice ", SCALE // 2: "half "}.get(value, f"{Decimal(value) / SCALE:f} times ")
            words.append(f"{_ms(value)} ms" if name == CONSTANT else f"{count}{_WORDS.get(name, name)}")
        if {"host_rtt_ms", "upstream_rtt_ms"} <= {name for name, value in parts if value == SCALE}:
            trips = {_WORDS["host_rtt_ms"], _WORDS["upstream_rtt_ms"]}
            words = [each for each in words if each not in trips] + ["the two round trips"]
        return " plus ".join(words) or "nothing"

    def condition(each: Condition) -> str:
        smaller, greater, strict = _sides(each)
        return f"{side(smaller)} is {'shorter' if strict else 'not longer'} than {side(greater)}"

    terms = [" and ".join(map(condition, term)) for term in formula.terms[outcome]]
    return ", or ".join(terms) or "always"
