"""Answers each suspicion of the letter (docs/background.md#suspicions) with yes or no per release.

`voicerace.conformance.detectors` finds the suspicions in recordings. The recordings are sessions of
`conformance.suspicions` played with the model, and sessions of running proxies in data/. A no only means that none of these
recordings shows the suspicion.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd

from voicerace.analysis.verdict import Verdict, judge
from voicerace.conformance.detectors import HeldAction, Sighting, held_actions, sightings
from voicerace.conformance.suspicions import PROBES, SUSPICIONS
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError, one_of
from voicerace.experiments.executors import Executor
from voicerace.experiments.result_cache import cached_map
from voicerace.files import shipped
from voicerace.model.catalog.releases import PROXIES, ProxyRelease, proxy_release
from voicerace.model.protocol import agent
from voicerace.trace.recording import Event, Recording, read_recordings
from voicerace.units import ms

__all__ = ["HypothesisAnswer", "SeenRecording", "Suspicions", "TargetEvidence", "answers_from", "real_recordings", "suspicions"]

#: Names of the folders in data/ with recordings of running proxies.
_RECORDED: Final = ("conformance", "logs", "suspicions")
_HELD: Final = {"session.update": "update-while-active", "commit": "commit-while-active"}


@dataclass(frozen=True)
class SeenRecording:
    """A recording that shows a suspicion.

    Attributes:
        how: the kind of evidence; see `Sighting`.
        recording: the recording.
        verdict: verdict of the recorded session.
        refused: whether the API refused the sent event (see `Sighting`).
        events: seqs of the messages that show the suspicion, in order.
    """

    how: str
    recording: Recording
    verdict: Verdict
    refused: bool
    events: tuple[int, ...]

    def rows(self) -> pd.DataFrame:
        """Return a table with one row per message that shows the suspicion. Columns: ms, from, to, message."""
        events = {event.seq: event for event in self.recording.events}
        rows = [_row(events[seq]) for seq in self.events if seq in events]
        return pd.DataFrame(rows, columns=["ms", "from", "to", "message"]).sort_values("ms", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class TargetEvidence:
    """The sessions of one target (a model or a running proxy) that show one suspicion.

    Attributes:
        sessions: number of examined sessions.
        seen: number of sessions that show the suspicion.
        refused: number of `seen` sessions in which the API refused the sent event.
        ways: `SeenRecording.how` -> number of sessions.
        shortest: the recording with the fewest messages among the recordings of the most frequent kind; None if `seen` is
            0.
        held: for ``flag-early``, a recording in which the proxy held the same action back earlier in the response.
    """

    sessions: int = 0
    seen: int = 0
    refused: int = 0
    ways: Mapping[str, int] = field(default_factory=dict)
    shortest: SeenRecording | None = None
    held: SeenRecording | None = None


@dataclass(frozen=True)
class HypothesisAnswer:
    """The answer to one suspicion about one release.

    Attributes:
        release: tag of the release.
        suspicion: a key of `SUSPICIONS`.
        model: evidence from sessions of the model.
        real: evidence from recordings of the running proxy in data/.
    """

    release: str
    suspicion: str
    model: TargetEvidence
    real: TargetEvidence

    @property
    def yes(self) -> bool:
        """Whether at least one session of either target shows the suspicion."""
        return bool(self.model.seen or self.real.seen)

    @property
    def target(self) -> Literal["model and real proxy", "model", "real proxy", ""]:
        """The targets whose sessions show the suspicion; empty if no session does."""
        if self.model.seen and self.real.seen:
            return "model and real proxy"
        return "model" if self.model.seen else "real proxy" if self.real.seen else ""

    @property
    def evidence(self) -> TargetEvidence:
        """The evidence of the real proxy if it shows the suspicion, else the model's."""
        return self.real if self.real.seen else self.model

    @property
    def trace(self) -> SeenRecording | None:
        """The shortest recording that shows the suspicion, from the real proxy if possible; None without one."""
        return self.evidence.shortest

    @property
    def ways(self) -> dict[str, int]:
        """Kind of evidence -> number of sessions over both targets, with the most frequent kind first."""
        both = Counter(self.model.ways) + Counter(self.real.ways)
        return dict(sorted(both.items(), key=lambda each: (-each[1], each[0])))

    @property
    def sentence(self) -> str:
        """The answer as one sentence that contains the numbers of sessions."""
        model = f"{self.model.seen} of {self.model.sessions} sessions of the model"
        real = f"{self.real.seen} of {self.real.sessions} recorded of the running proxy" if self.real.sessions else ""
        counts = " and ".join(filter(None, [model, real or "no recording of the running proxy"]))
        if not self.yes:
            return f"No: seen in {counts}."
        refused = self.model.refused + self.real.refused
        return f"Yes: seen in {counts} ({', '.join(self.ways)}); in {refused} of these the API refused what was sent."


class Suspicions:
    """The answers for some releases, ordered by release and suspicion."""

    def __init__(self, answers: Iterable[HypothesisAnswer]) -> None:
        self.answers = tuple(answers)

    def answer(self, release: str, suspicion: str) -> HypothesisAnswer:
        """Return the answer to a suspicion about a release.

        Raises:
            InputError: a name is unknown, or the release has no answers.
        """
        one_of("suspicion", suspicion, SUSPICIONS)
        tag = proxy_release(release).tag
        for each in self.answers:
            if (each.release, each.suspicion) == (tag, suspicion):
                return each
        raise InputError("release", f"{tag} was not examined", f"allowed are {', '.join(dict.fromkeys(self.releases))}")

    def asked(self, suspicion: str) -> pd.DataFrame:
        """Return a table of the answers to a suspicion, with one row per release.

        The columns are release, answer (yes, no), how, the numbers of sessions (model, running proxy), and refused.
        """
        rows = []
        for tag in self.releases:
            each = self.answer(tag, suspicion)
            rows.append(
                {
                    "release": tag,
                    "answer": "yes" if each.yes else "no",
                    "how": "; ".join(each.ways),
                    "model": f"{each.model.seen} of {each.model.sessions}",
                    "running proxy": f"{each.real.seen} of {each.real.sessions}" if each.real.sessions else "not recorded",
                    "refused": each.model.refused + each.real.refused,
                }
            )
        return pd.DataFrame(rows)

    def shown_by(self, suspicion: str) -> TargetEvidence | None:
        """Return the evidence with the shortest recording of a suspicion, or None. Running proxies take precedence."""
        found = [each for tag in self.releases if (each := self.answer(tag, suspicion).evidence).shortest is not None]
        return min(found, key=_rank, default=None)

    def example(self, suspicion: str) -> SeenRecording | None:
        """Return the shortest recording in `shown_by`, or None."""
        evidence = self.shown_by(suspicion)
        return None if evidence is None else evidence.shortest

    @property
    def releases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.release for each in self.answers))

    @property
    def frame(self) -> pd.DataFrame:
        """Table with one row per answer: release, suspicion, answer (yes, no), how, target, and session counts per target."""
        return pd.DataFrame([_answer_row(each) for each in self.answers])

    @property
    def table(self) -> pd.DataFrame:
        """Table with one row per release and one column per suspicion.

        A cell is, for example, ``yes, 3 of 40``, counted in sessions.
        """
        rows: dict[str, dict[str, str]] = {}
        for each in self.answers:
            seen, sessions = each.model.seen + each.real.seen, each.model.sessions + each.real.sessions
            row = rows.setdefault(each.release, {"release": each.release})
            row[each.suspicion] = f"{'yes' if each.yes else 'no'}, {seen} of {sessions}"
        return pd.DataFrame(list(rows.values()))


def suspicions(
    releases: Sequence[str] = ("all",),
    probes: Iterable[Mapping[str, Any]] = PROBES,
    tick: Callable[[str], object] = lambda _: None,
    cached: bool = False,
    executor: Executor | None = None,
) -> Suspicions:
    """Return the answers to every suspicion for some releases.

    Args:
        releases: tags; ``all`` means every release.
        probes: sessions to play, as settings of `SessionConfig.of`.
        tick: called with the tag of each finished release.
        cached: whether to read from and write to `result_cache`.
        executor: plays the sessions, with one task per release; by default in this process.

        Raises:
            InputError: a release is unknown, or settings are invalid.
    """
    names = [name for each in releases for name in (PROXIES if each == "all" else (each,))]
    tags = tuple(dict.fromkeys(proxy_release(name, "releases").tag for name in names))
    settings = tuple(probes)
    data = _hash_of_recorded() if cached else ""
    requests = {number: ["suspicions", tag, settings, data] if cached else None for number, tag in enumerate(tags)}
    found: dict[int, list[HypothesisAnswer]] = {}
    for number, answers in cached_map(partial(_answers_of, tags, settings), requests, executor):
        found[number] = answers
        tick(tags[number])
    return Suspicions(answer for number in sorted(found) for answer in found[number])


def _answers_of(tags: Sequence[str], settings: Sequence[Mapping[str, Any]], number: int) -> list[HypothesisAnswer]:
    """Return the answers for the release ``tags[number]``."""
    played = [simulate(SessionConfig.of(release=tags[number], **each)) for each in settings]
    return answers_from(tags[number], played, real_recordings(proxy_release(tags[number])))


def answers_from(release: str, model: Iterable[Recording], real: Iterable[Recording] = ()) -> list[HypothesisAnswer]:
    """Return the answers to every suspicion, from recordings of the model and of the running proxy."""
    by_model, by_real = _read(model), _read(real)
    return [HypothesisAnswer(release, name, _evidence(by_model, name), _evidence(by_real, name)) for name in SUSPICIONS]


def real_recordings(release: ProxyRelease) -> tuple[Recording, ...]:
    """Return the recordings in data/ of running proxies whose program has the hash of the release's program.

    Recordings of sessions with knobs are omitted, and of scripted exchanges, which have no component and no API.
    """
    return tuple(each for source, each in _recorded() if release.source and source == release.source)


@lru_cache(maxsize=1)
def _recorded() -> tuple[tuple[str, Recording], ...]:
    """Return (hash of the proxy's program, recording) for every recorded session in data/."""
    return tuple(
        (PROXIES[tag].source, recording)
        for path in _recorded_files()
        for recording in read_recordings(path)
        if (tag := str(recording.provenance.get("release"))) in PROXIES
        and recording.provenance.get("scenario") not in (None, "script", "drawn")
        and not recording.provenance.get("knobs")
    )


def _hash_of_recorded() -> str:
    digest = hashlib.sha256()
    for path in _recorded_files():
        content = path.read_bytes()
        digest.update(f"{path.parent.name}/{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _recorded_files() -> list[Path]:
    return [path for name in _RECORDED for path in _folder(name)]


def _folder(name: str) -> list[Path]:
    try:
        return sorted(shipped(f"data/{name}").glob("*.jsonl.gz"))
    except InputError:
        return []  # a wheel contains only some folders of a checkout


# -- from recordings to evidence -------------------------------------------------------------------------------------

_Read = list[tuple[Recording, Verdict, tuple[Sighting, ...], tuple[HeldAction, ...]]]


def _read(recordings: Iterable[Recording]) -> _Read:
    read = []
    for recording in recordings:
        verdict = judge(recording)
        read.append((recording, verdict, sightings(recording, verdict), held_actions(recording)))
    return read


def _evidence(read: _Read, suspicion: str) -> TargetEvidence:
    held = None
    if suspicion == "flag-early":
        seen, held = _flag(read)
    else:
        seen = list(_seen(read, suspicion))
    ways = Counter(each.how for each in seen)
    return TargetEvidence(len(read), len(seen), sum(each.refused for each in seen), dict(ways), _shortest(seen), held)


def _seen(read: _Read, suspicion: str) -> Iterator[SeenRecording]:
    """Yield each recording that shows a suspicion, with the first sighting in the recording."""
    for recording, verdict, found, _ in read:
        if mine := [each for each in found if each.suspicion == suspicion]:
            yield SeenRecording(mine[0].how, recording, verdict, any(each.refused for each in mine), mine[0].events)


def _flag(read: _Read) -> tuple[list[SeenRecording], SeenRecording | None]:
    """Return (recordings with an action sent after a response's text or audio, recording with this action held earlier).

    An action does not count if the proxy also sends it before the text or audio is done, because then no flag holds it back.
    """
    found: list[SeenRecording] = []
    held: SeenRecording | None = None
    for what in _HELD:
        mine = [(r, v, action) for r, v, _, actions in read for action in actions if action.what == what]
        before = [(r, v, action) for r, v, action in mine if action.span == "before"]
        held_back = [(r, v, action) for r, v, action in before if not action.sent]
        after = {
            id(r): SeenRecording(what, r, v, action.refused, action.events)
            for r, v, action in mine
            if action.span == "after" and action.sent
        }
        if held_back and after and len(held_back) == len(before):
            found += after.values()
            held = held or _shortest([SeenRecording(what, r, v, action.refused, action.events) for r, v, action in held_back])
    return found, held


def _shortest(seen: Iterable[SeenRecording]) -> SeenRecording | None:
    """Return the recording with the fewest messages among those recordings whose kind is most frequent, or None."""
    found = list(seen)
    ways = Counter(each.how for each in found)
    return min(found, key=lambda each: (-ways[each.how], len(each.recording.events)), default=None)


def _rank(evidence: TargetEvidence) -> tuple[bool, int]:
    recording = evidence.shortest.recording if evidence.shortest is not None else Recording(())
    return str(recording.provenance.get("proxy")).startswith("model"), len(recording.events)


# -- rows ------------------------------------------------------------------------------------------------------------


def _answer_row(answer: HypothesisAnswer) -> dict[str, Any]:
    return {
        "release": answer.release,
        "suspicion": answer.suspicion,
        "answer": "yes" if answer.yes else "no",
        "how": "; ".join(f"{how} ({count})" for how, count in answer.ways.items()),
        "target": answer.target,
        "model_sessions": answer.model.sessions,
        "model_seen": answer.model.seen,
        "model_refused": answer.model.refused,
        "real_sessions": answer.real.sessions,
        "real_seen": answer.real.seen,
        "real_refused": answer.real.refused,
    }


def _row(event: Event) -> dict[str, Any]:
    at = event.at_ns("proxy")
    fields = event.payload if isinstance(event.payload, Mapping) else {}
    error = fields.get("error")
    note = error.get("code") if isinstance(error, Mapping) else None
    if event.type == "FunctionCallResponse":
        note = "the component's own error" if agent.is_default_error(fields.get("content")) else "the app's result"
    return {
        "ms": None if at is None else ms(at),
        "from": event.link.sender,
        "to": event.link.receiver,
        "message": event.type if note is None else f"{event.type} ({note})",
    }
