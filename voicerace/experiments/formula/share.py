"""Shares of the outcomes when times are drawn, computed from formulas, and how much each time changes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from voicerace.errors import InputError
from voicerace.experiments.formula.formula import UNDECIDED, Formula
from voicerace.experiments.formula.linear import Box
from voicerace.experiments.rates import wilson
from voicerace.model.parameters import Choice, Fixed, LogNormal, Sampled, Uniform, parse

__all__ = ["Shares"]


@dataclass(frozen=True)
class Shares:
    """Draws of some times.

    Attributes:
        values_ns: array with a value in ns per draw, by name of a time.
    """

    values_ns: Mapping[str, np.ndarray[Any, Any]]

    @classmethod
    def drawn(cls, given: Mapping[str, str], draws: int, seed: int = 0) -> Shares:
        """Draw times from distributions in the grammar of `voicerace.model.parameters`.

        Raises:
            InputError: a value is not a distribution.
        """
        rng = np.random.default_rng(seed)
        found = {}
        for name, text in given.items():
            match parse(name, text):
                case Uniform(low, high):
                    drawn = rng.uniform(low * 1e6, high * 1e6, draws)
                case LogNormal(mu, sigma):
                    drawn = rng.lognormal(mu, sigma, draws) * 1e6
                case Choice(values) | Sampled(values):
                    drawn = rng.choice(np.array(values), draws)
                case Fixed((value,)):
                    drawn = np.full(draws, value)
                case other:
                    raise InputError(name, f"{other} is no distribution", "uniform, lognormal, choice, @file.csv or one value")
            found[name] = np.rint(drawn).astype(np.int64)
        return cls(found)

    @property
    def box(self) -> Box:
        """Intervals that contain all draws."""
        return {name: (int(each.min()), max(int(each.max()), int(each.min()) + 1_000)) for name, each in self.values_ns.items()}

    def of(self, formula: Formula) -> dict[str, Any]:
        """Return the share of each outcome, and the share of bad outcomes with one time at its 10 % or 90 % quantile.

        A draw that the formula does not decide counts for no outcome; ``undecided`` is their number.
        """
        codes = formula.codes(self.values_ns)
        decided = int((codes != UNDECIDED).sum())
        shares = {}
        for code, outcome in enumerate(formula.outcomes):
            count = int((codes == code).sum())
            low, high = wilson(count, max(decided, 1))
            shares[outcome] = {"share": count / max(decided, 1), "low": low, "high": high}
        sensitivity = {}
        for name, values in self.values_ns.items():
            low, high = (self._bad(formula, name, int(np.quantile(values, q, method="nearest"))) for q in (0.1, 0.9))
            sensitivity[name] = {"low": low, "high": high, "change": high - low}
        ordered = dict(sorted(sensitivity.items(), key=lambda each: -abs(each[1]["change"])))
        return {"draws": len(codes), "undecided": len(codes) - decided, "shares": shares, "sensitivity": ordered}

    def _bad(self, formula: Formula, name: str, value_ns: int) -> float:
        codes = formula.codes({**self.values_ns, name: value_ns})
        bad = [code for code, outcome in enumerate(formula.outcomes) if formula.bad[outcome]]
        decided = codes[codes != UNDECIDED]
        return float(np.isin(decided, bad).mean()) if len(decided) else float("nan")
