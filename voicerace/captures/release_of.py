"""Infer the release that wrote a log from fingerprints and replays, and derive values from the release's model.

Unless the user names the release, every program in the release table is tested. A program is excluded if a fingerprint does not
fit, or if the log contradicts the program's model. The remaining candidates are one program, or several that this log cannot
distinguish. A value is derived if all candidates agree on it in every interpretation. Otherwise it is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from voicerace.analysis.verdict import judge
from voicerace.captures.derive import Contradiction, Derived, derive, derive_all
from voicerace.captures.fingerprints import FINGERPRINTS
from voicerace.captures.logged import LoggedSession
from voicerace.model.catalog.releases import PROXIES, ProxyRelease
from voicerace.trace.recording import Recording

__all__ = ["ReleaseEvidence", "ReleaseInference", "fitting_releases", "infer_release"]

#: Maximum number of sessions per file that are replayed to infer the release.
_DECIDING: Final = 40


@dataclass(frozen=True, slots=True)
class ReleaseEvidence:
    """Evidence for or against a release, and its line number (0 if the evidence concerns several lines)."""

    what: str
    line: int


@dataclass(frozen=True)
class ReleaseInference:
    """The release that wrote a log's session, and values derived from the release's model.

    Attributes:
        release: tag of the release; None unless one program is the only candidate.
        given: whether the user named the release.
        candidates: tags of the candidates, including all tags of one program.
        evidence: evidence for the candidates.
        contradictions: differences between a complete log and the model of the given release, else of the first candidate, else
            of the release with the fewest differences.
        derived: result of the replay of the first candidate in the simplest interpretation; None without a candidate.
        interpretations: number of interpretations of the log that the first candidate's model allows.
        creates: number of `response.create`; None unless all candidates agree on it in every interpretation.
        updates: number of `session.update`; None unless all candidates agree on it in every interpretation.
        outcomes: outcome -> reason, over all candidates and interpretations.
        flag_agreed: whether the same events cleared the flag early in the models of all candidates.
        lost: differences between an incomplete log and the model, which missing records may explain.
        missed: whether the log contradicts the model of every release, so that a record may be missing.
    """

    release: str | None
    given: bool
    candidates: tuple[str, ...]
    evidence: tuple[ReleaseEvidence, ...]
    contradictions: tuple[ReleaseEvidence, ...]
    derived: Derived | None
    interpretations: int
    creates: int | None
    updates: int | None
    outcomes: dict[str, str]
    flag_agreed: bool = True
    lost: tuple[ReleaseEvidence, ...] = ()
    missed: bool = False


def fitting_releases(marks: Iterable[str], sessions: Iterable[LoggedSession]) -> list[ProxyRelease]:
    """Return the releases, one per program, that no fingerprint and no session excludes.

    Args:
        marks: fingerprints in all sessions of one file.
        sessions: sessions of the file. An incomplete session does not exclude a release.
    """
    left = [row for row in _programs() if all(FINGERPRINTS[mark].fits(row) for mark in marks)]
    for session in islice((each for each in sessions if each.recording.observed), _DECIDING):
        left = [row for row in left if not derive(session.recording, row).contradictions]
    return left


def infer_release(session: LoggedSession, rows: list[ProxyRelease], given: ProxyRelease | None) -> ReleaseInference:
    """Infer the release that wrote one session of a log, and derive values from the release's model.

    Args:
        session: the session.
        rows: result of `fitting_releases` for the file. If empty, the release is inferred from this session alone.
        given: release that the user named. Only its model is replayed; None infers the release.
    """
    if given is None:
        found = _inference(session, rows or fitting_releases(session.marks, [session]), None, alone=not rows)
        return replace(found, missed=bool(found.contradictions))
    found = _inference(session, [given], given, alone=False)
    # If the log fits another release, the log is complete and the user named the wrong release.
    return replace(found, missed=bool(found.contradictions) and not fitting_releases(session.marks, [session]))


def _programs() -> list[ProxyRelease]:
    """Return one row of the release table per program, in the order of the table."""
    return list({row.source: row for row in reversed(PROXIES.values())}.values())[::-1]


def _inference(
    session: LoggedSession, rows: list[ProxyRelease], given: ProxyRelease | None, *, alone: bool
) -> ReleaseInference:
    marks = [
        ReleaseEvidence(FINGERPRINTS[mark].what, line) for mark, line in sorted(session.marks.items(), key=lambda each: each[1])
    ]
    if not rows:
        return _no_release(session, marks)
    every = [derive_all(session.recording, row) for row in rows]
    first = every[0]
    differs = [ReleaseEvidence(each.what, _line(session, each.seq)) for each in first[0].contradictions]
    complete = bool(session.recording.observed)
    against = differs if complete else []
    if given is not None:
        against += [
            ReleaseEvidence(f"{FINGERPRINTS[mark].what}: not {given.tag}", line)
            for mark, line in session.marks.items()
            if not FINGERPRINTS[mark].fits(given)
        ]
    evidence = marks
    if given is None:
        tried = "this session alone" if alone else "the file's sessions"
        evidence = [
            *marks,
            ReleaseEvidence(f"of the programs with these fingerprints, {tried} contradict all but the candidates", 0),
        ]
    replays = [each for one in every for each in one]
    creates = {len(each.creates) for each in replays}
    updates = {sum(e.type == "session.update" for e in each.recording.events) for each in replays}
    outcomes = _outcomes(replays)
    return ReleaseInference(
        rows[0].tag if len(rows) == 1 else None,
        given is not None,
        (given.tag,) if given is not None else _tags(rows),
        tuple(evidence),
        tuple(against),
        first[0],
        len(first),
        creates.pop() if len(creates) == 1 else None,
        updates.pop() if len(updates) == 1 else None,
        outcomes,
        len({one[0].cleared_early for one in every}) == 1,
        () if complete else tuple(differs),
    )


def _outcomes(replays: Sequence[Derived]) -> dict[str, str]:
    """Judge the replays, and return each outcome with its reason. Replays with equal events are judged once."""
    judged: list[Recording] = []
    found: dict[str, str] = {}
    for each in replays:
        own = each.recording
        if not any(own.events == other.events and own.observed == other.observed for other in judged):
            judged.append(own)
            verdict = judge(own)
            found.setdefault(verdict.outcome, verdict.why)
    return found


def _no_release(session: LoggedSession, marks: list[ReleaseEvidence]) -> ReleaseInference:
    """Return an inference without candidates, with the contradictions of the release that has the fewest contradictions."""
    marked = {
        row.tag: [
            ReleaseEvidence(f"{FINGERPRINTS[m].what}: not {row.tag}", at)
            for m, at in session.marks.items()
            if not FINGERPRINTS[m].fits(row)
        ]
        for row in _programs()
    }
    fewest = min(map(len, marked.values()))
    found: list[tuple[ReleaseEvidence, ...]] = []
    for tag, against in marked.items():
        # Only releases that the fewest fingerprints exclude are replayed.
        if len(against) == fewest:
            differs: tuple[Contradiction, ...] = derive(session.recording, PROXIES[tag]).contradictions
            found.append((*against, *(ReleaseEvidence(each.what, _line(session, each.seq)) for each in differs)))
    return ReleaseInference(None, False, (), tuple(marks), min(found, key=len), None, 0, None, None, {})


def _tags(rows: Sequence[ProxyRelease]) -> tuple[str, ...]:
    sources = {row.source for row in rows}
    return tuple(tag for tag, row in PROXIES.items() if row.source in sources)


def _line(session: LoggedSession, seq: int) -> int:
    return session.event_lines[seq][0] if seq < len(session.event_lines) else 0
