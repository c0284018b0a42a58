"""Load the data of a letter: the run, the evidence in data/ and the customer's capture. Sections use no other data."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from voicerace.analysis.verdict import BAD
from voicerace.captures import Capture, read_capture
from voicerace.conformance.evidence import real_sessions
from voicerace.conformance.hypotheses import Suspicions, suspicions
from voicerace.errors import InputError
from voicerace.experiments.rates import outcomes_at
from voicerace.experiments.sweep.result import SweepResult
from voicerace.model.catalog.releases import PROXIES, REFERENCE
from voicerace.report.customer import Customer, customer_of
from voicerace.report.evidence import Evidence
from voicerace.report.measured import at_capture
from voicerace.report.parameters import LetterParameters
from voicerace.report.parts import PARTS, again, make, read_part, read_record
from voicerace.report.phrasing import Side, bad_sides, sides
from voicerace.trace.recording import Recording

__all__ = ["ReportContext", "bad_outcomes", "capture_of"]


@dataclass(frozen=True)
class ReportContext:
    """The data of a letter.

    Attributes:
        parameters: the parameters of the notebook; `release` contains the releases in use.
        info: the parsed `run.json` of the run.
        delay: trials of the delay sweep over releases and tool times, with all other settings fixed.
        parts: name of a part of the run (see `parts.PARTS`) -> its trials.
        record: the parsed `letter.json`, with the parameters of each part.
        run: the sweep, for its recordings.
        evidence: the recordings and results in data/.
        capture: the customer's capture, or None.
        capture_hash: hash of the capture's file; empty for a folder or without a capture.
        in_use_known: whether the parameters, the capture or the customer name the releases in use. If false, they are from
            the run.
    """

    parameters: LetterParameters
    info: Mapping[str, Any]
    delay: pd.DataFrame
    parts: Mapping[str, pd.DataFrame]
    record: Mapping[str, Any]
    run: SweepResult
    evidence: Evidence = field(default_factory=Evidence)
    capture: Capture | None = None
    capture_hash: str = ""
    in_use_known: bool = True

    @classmethod
    def of(cls, parameters: LetterParameters, tick: Callable[[str], object] = lambda _: None) -> ReportContext:
        """Compute a new run, or open `parameters.run`, and read its data.

        Args:
            parameters: the parameters of the notebook.
            tick: function that is called with the name of each part before the part is computed.

        Raises:
            InputError: the run does not exist or does not fit a letter, or the capture cannot be read.
        """
        customer = customer_of(parameters.to, parameters.customer)
        capture, capture_hash = capture_of(parameters), ""  # raises before the run
        if capture is not None:
            capture_hash = _hash_of(Path(parameters.capture))
        in_use = (
            parameters.release or _captured_releases(capture, (*customer.reported, *parameters.releases)) or customer.reported
        )
        parameters = parameters.model_copy(update={"release": in_use})
        folder = Path(parameters.run) if parameters.run else make(parameters, tick)
        run = SweepResult.open(folder)
        parts = {name: frame for name in PARTS if (frame := read_part(folder, name)) is not None}
        delay = _delay(run)
        if not in_use:
            parameters = parameters.model_copy(update={"release": tuple(dict.fromkeys(map(str, delay["release"])))})
        return cls(
            parameters, run.info, delay, parts, read_record(folder), run, Evidence(), capture, capture_hash, bool(in_use)
        )  # fmt: skip

    @cached_property
    def customer(self) -> Customer:
        """Return the addressee of the letter."""
        return customer_of(self.parameters.to, self.parameters.customer)

    @property
    def releases(self) -> tuple[str, ...]:
        """The releases of the delay sweep, in the order of its trials."""
        return tuple(dict.fromkeys(str(tag) for tag in self.delay["release"]))

    @property
    def in_use(self) -> tuple[str, ...]:
        return self.parameters.release

    @property
    def gap_ms(self) -> float:
        """Return the gap of the delay sweep in ms."""
        return float(self.delay["gap_ms"].iloc[0])

    @cached_property
    def real(self) -> pd.DataFrame:
        """Return recorded sessions of running proxies with the settings of the delay sweep, see `real_sessions`."""
        root = self.evidence.root
        found = real_sessions(self.delay, folder=None if root is None else root / "conformance")
        return found.assign(gap_ms=self.gap_ms)

    def real_bad(self, release: str) -> tuple[int, int]:
        """Return (number of bad sessions, number of sessions with a known outcome) of a release in `real`."""
        return bad_outcomes(self.real.loc[self.real["release"] == release, "outcome"])

    @cached_property
    def at_gap(self) -> ReportContext:
        """Return this context with the gap and the network times of the capture, see `measured.at_capture`."""
        return at_capture(self)

    @cached_property
    def suspicions(self) -> Suspicions:
        """Return the suspected causes, tested on every release of the run."""
        return suspicions(self.releases, cached=True)

    @cached_property
    def sides(self) -> Mapping[str, list[Side]]:
        """Map each release to its ranges of tool times with equal outcomes. Releases outside the sweep have no ranges."""
        return defaultdict(list, {release: sides(self.delay, release) for release in self.releases})

    @cached_property
    def bad_sides(self) -> Mapping[str, list[Side]]:
        """Map each release to the ranges in `sides` that contain bad sessions."""
        return defaultdict(list, {release: bad_sides(self.delay, release, found) for release, found in self.sides.items()})

    def part(self, name: str) -> pd.DataFrame | None:
        return self.parts.get(name)

    def played_again(self, name: str, row: int) -> Recording:
        """Simulate row `row` of the part `name` again and return the recording."""
        return again(self.record, name, row)

    def delay_recording(self, release: str, outcome: str) -> tuple[pd.Series[Any], Recording] | None:
        """Return (trial, recording) of the middle trial with `outcome` in the delay sweep; None if there is none."""
        own = self.delay[(self.delay["release"] == release) & (self.delay["outcome"] == outcome)].sort_values("tool_ms")
        if own.empty:
            return None
        row = own.iloc[len(own) // 2]
        number = int(str(row.name))
        played_here = "delay" in self.record.get("parts", {})
        return row, self.played_again("delay", number) if played_here else self.run.recording_of(number)


def capture_of(parameters: LetterParameters) -> Capture | None:
    """Return the capture of a letter, read for the release in use if exactly one is in use; None without a capture.

    Raises:
        InputError: the capture cannot be read.
    """
    if not parameters.capture:
        return None
    return read_capture(parameters.capture, parameters.release[0] if len(parameters.release) == 1 else None)


def bad_outcomes(outcomes: pd.Series[str]) -> tuple[int, int]:
    """Return (number of bad outcomes, number of known outcomes)."""
    judged = outcomes[outcomes != "unknown"]
    return int(judged.isin(BAD).sum()), len(judged)


def _captured_releases(capture: Capture | None, preferred: tuple[str, ...]) -> tuple[str, ...]:
    """Return the distinct releases of a capture's sessions: of several candidates, the first in `preferred`."""
    found: dict[str, None] = {}
    for of in capture.sessions if capture is not None else ():
        tags = of.inference.candidates if of.inference is not None else (of.release,)
        programs = {PROXIES[tag].source for tag in tags if tag in PROXIES}
        if programs:
            found[next(tag for tag in (*preferred, *tags) if tag in PROXIES and PROXIES[tag].source in programs)] = None
    return tuple(found)


def _delay(run: SweepResult) -> pd.DataFrame:
    """Return the trials of a run, without the trials of the reference gate.

    Raises:
        InputError: the run is incomplete, or its trials differ in settings other than release and tool time.
    """
    allowed = "a run of `voicerace report`, or a sweep over --tool-ms with all other times fixed"
    trials = run.trials
    if trials.empty or not run.complete:
        raise InputError(str(run.folder), "the run is not complete", allowed)
    for name in ("scenario", "handler", "modality", "gap_ms"):
        if trials[name].nunique(dropna=False) > 1:
            raise InputError(str(run.folder), f"{name} differs between its trials", allowed)
    if trials["tool_ms"].nunique() < 2:
        raise InputError(str(run.folder), "it has one tool_ms only", allowed)
    if REFERENCE.tag in set(trials["release"]):
        trials = trials[trials["release"] != REFERENCE.tag]
    outcomes_at(trials)  # raises for drawn times
    return trials


def _hash_of(path: Path) -> str:
    if path.is_dir():
        return ""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError as error:
        raise InputError(str(path), error.strerror or "cannot be read", "a capture") from None
