"""Which release wrote a log, told by its marks and by which model's creates fit the API's answers; and what follows.

The release is given, or every program that the releases name is tried: those that a mark excludes fall out, then those
whose model contradicts the log. What is left are the candidates; they are the same program, or programs that no log of
this kind can tell apart. What all of them agree on, in every reading of the log, is derived; the rest is left open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from voicerace.analysis.verdict import judge
from voicerace.captures.derive import Contradiction, Derived, derive, derive_all
from voicerace.captures.fingerprints import MARKS
from voicerace.captures.logged import LoggedSession
from voicerace.model.catalog.releases import PROXIES, ProxyRelease
from voicerace.trace.recording import Recording

__all__ = ["ReleaseEvidence", "ReleaseInference", "fitting", "told"]

#: So many sessions decide about the release; the others are only completed by it.
_ENOUGH: Final = 40


@dataclass(frozen=True, slots=True)
class ReleaseEvidence:
    """Why a release is, or is not, that of a log: what was seen, and the line of the file."""

    what: str
    line: int


@dataclass(frozen=True)
class ReleaseInference:
    """What a log tells through the model of its release.

    Attributes:
        release: the tag of the program; None when several programs are left, or none.
        given: the release was named by the user.
        candidates: tags that are left; those of one program stand for each other.
        evidence: what speaks for it.
        contradictions: where a whole log and the model differ, with the line; of the release given, else of the nearest.
        lost: where the model cannot follow a log that is not whole: what the log lacks may be why.
        missed: a log that looks whole and that no release's model can follow: a record may be missing.
        derived: the recording completed, in the plainest reading, by the first candidate's model; None without one.
        readings: in how many ways that model can read the log; they differ in what is not logged.
        creates: `response.create` on which candidates and readings agree; None when they do not.
        updates: the same of `session.update`.
        outcomes: outcome -> why, of every candidate and reading.
        flag_agreed: the candidates agree on where the flag was cleared.
    """

    release: str | None
    given: bool
    candidates: tuple[str, ...]
    evidence: tuple[ReleaseEvidence, ...]
    contradictions: tuple[ReleaseEvidence, ...]
    derived: Derived | None
    readings: int
    creates: int | None
    updates: int | None
    outcomes: dict[str, str]
    flag_agreed: bool = True
    lost: tuple[ReleaseEvidence, ...] = ()
    missed: bool = False


def fitting(marks: Iterable[str], sessions: Iterable[LoggedSession]) -> list[ProxyRelease]:
    """The releases, one per program, that no mark and no session excludes; damaged sessions exclude none.

    Args:
        marks: of all sessions of one file.
        sessions: of the file; some of them decide.
    """
    left = [row for row in _programs() if all(MARKS[mark].fits(row) for mark in marks)]
    for session in islice((each for each in sessions if each.recording.observed), _ENOUGH):
        left = [row for row in left if not derive(session.recording, row).contradictions]
    return left


def told(session: LoggedSession, rows: list[ProxyRelease], given: ProxyRelease | None) -> ReleaseInference:
    """What one session of a log tells.

    Args:
        session: of one file.
        rows: those of `fitting` for the whole file; none of them: the session is asked alone.
        given: the release that the user names; then only its model is asked.
    """
    if given is None:
        said = _told(session, rows or fitting(session.marks, [session]), None, alone=not rows)
        return replace(said, missed=bool(said.contradictions))
    said = _told(session, [given], given, alone=False)
    # Where another release fits, it is the one given that is wrong, and not the log.
    return replace(said, missed=bool(said.contradictions) and not fitting(session.marks, [session]))


def _programs() -> list[ProxyRelease]:
    """One row per program, in the order of the releases."""
    return list({row.source: row for row in reversed(PROXIES.values())}.values())[::-1]


def _told(session: LoggedSession, rows: list[ProxyRelease], given: ProxyRelease | None, *, alone: bool) -> ReleaseInference:
    marks = [ReleaseEvidence(MARKS[mark].what, line) for mark, line in sorted(session.marks.items(), key=lambda each: each[1])]
    if not rows:
        return _without(session, marks)
    every = [derive_all(session.recording, row) for row in rows]
    first = every[0]
    differs = [ReleaseEvidence(each.what, _line(session, each.seq)) for each in first[0].contradictions]
    whole = bool(session.recording.observed)
    against = differs if whole else []
    if given is not None:
        against += [
            ReleaseEvidence(f"{MARKS[mark].what}: not {given.tag}", line)
            for mark, line in session.marks.items()
            if not MARKS[mark].fits(given)
        ]
    evidence = marks
    if given is None:
        tried = "this session alone" if alone else "the file's sessions"
        evidence = [*marks, ReleaseEvidence(f"of the programs that leave these marks, {tried} contradict all but these", 0)]
    readings = [each for one in every for each in one]
    creates = {len(each.creates) for each in readings}
    updates = {sum(e.type == "session.update" for e in each.recording.events) for each in readings}
    outcomes = _outcomes(readings)
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
        () if whole else tuple(differs),
    )


def _outcomes(readings: Sequence[Derived]) -> dict[str, str]:
    """Outcome -> why. Programs that do the same in a session have the same events: judged once."""
    judged: list[Recording] = []
    found: dict[str, str] = {}
    for each in readings:
        own = each.recording
        if not any(own.events == other.events and own.observed == other.observed for other in judged):
            judged.append(own)
            verdict = judge(own)
            found.setdefault(verdict.outcome, verdict.why)
    return found


def _without(session: LoggedSession, marks: list[ReleaseEvidence]) -> ReleaseInference:
    """No program fits: what speaks against the nearest is the result."""
    marked = {
        row.tag: [
            ReleaseEvidence(f"{MARKS[m].what}: not {row.tag}", at) for m, at in session.marks.items() if not MARKS[m].fits(row)
        ]
        for row in _programs()
    }
    fewest = min(map(len, marked.values()))
    found: list[tuple[ReleaseEvidence, ...]] = []
    for tag, against in marked.items():
        # What a record says of its program outweighs what does not follow.
        if len(against) == fewest:
            differs: tuple[Contradiction, ...] = derive(session.recording, PROXIES[tag]).contradictions
            found.append((*against, *(ReleaseEvidence(each.what, _line(session, each.seq)) for each in differs)))
    return ReleaseInference(None, False, (), tuple(marks), min(found, key=len), None, 0, None, None, {})


def _tags(rows: Sequence[ProxyRelease]) -> tuple[str, ...]:
    sources = {row.source for row in rows}
    return tuple(tag for tag, row in PROXIES.items() if row.source in sources)


def _line(session: LoggedSession, seq: int) -> int:
    return session.places[seq][0] if seq < len(session.places) else 0
