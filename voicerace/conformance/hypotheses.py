"""The letter's suspicions (docs/background.md#suspicions), each yes or no per release, from sessions of models and programs.

Every answer is read off recordings (`voicerace.conformance.detectors`): those of the sessions in `conformance.suspicions`,
played here, and those of running proxies that lie in data/. A no says how many sessions were looked at and shows no more than
that.
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
from voicerace.conformance.detectors import HeldAction, Sighting, acts, sightings
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

__all__ = ["Answer", "SeenRecording", "Suspicions", "TargetEvidence", "answers_from", "real_recordings", "suspicions"]

#: What lies in data/ and was recorded of running proxies.
_RECORDED: Final = ("conformance", "logs", "suspicions")
_HELD: Final = {"session.update": "update-while-active", "commit": "commit-while-active"}


@dataclass(frozen=True)
class SeenRecording:
    """One recording in which a suspicion was seen.

    Attributes:
        how: what kind of it, in words.
        recording, verdict: of the session.
        refused: the API refused what was sent (see `Sighting`).
        events: seqs of what shows it, in order.
    """

    how: str
    recording: Recording
    verdict: Verdict
    refused: bool
    events: tuple[int, ...]

    def rows(self) -> pd.DataFrame:
        """What shows it, one row per message: ms, from, to, message."""
        events = {event.seq: event for event in self.recording.events}
        rows = [_row(events[seq]) for seq in self.events if seq in events]
        return pd.DataFrame(rows, columns=["ms", "from", "to", "message"]).sort_values("ms", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class TargetEvidence:
    """What one target showed of one suspicion.

    Attributes:
        sessions: looked at.
        seen: of these, in which it was seen; `refused`: and the API refused what was sent.
        ways: how -> sessions.
        shortest: the one with the fewest messages, or None. Of the flag, the one in which something went through; `held` is
            the one in which the same was held back earlier in the response.
    """

    sessions: int = 0
    seen: int = 0
    refused: int = 0
    ways: Mapping[str, int] = field(default_factory=dict)
    shortest: SeenRecording | None = None
    held: SeenRecording | None = None


@dataclass(frozen=True)
class Answer:
    """One suspicion about one release.

    Attributes:
        release: its tag.
        suspicion: a name of `conformance.suspicions`.
        model: evidence of its model; `real` of its program, from recordings in data/.
    """

    release: str
    suspicion: str
    model: TargetEvidence
    real: TargetEvidence

    @property
    def yes(self) -> bool:
        """Seen at least once, on either target."""
        return bool(self.model.seen or self.real.seen)

    @property
    def target(self) -> Literal["model and real proxy", "model", "real proxy", ""]:
        """Where it was seen; empty for a no."""
        if self.model.seen and self.real.seen:
            return "model and real proxy"
        return "model" if self.model.seen else "real proxy" if self.real.seen else ""

    @property
    def evidence(self) -> TargetEvidence:
        """That of the real proxy where it was seen there, else the model's."""
        return self.real if self.real.seen else self.model

    @property
    def trace(self) -> SeenRecording | None:
        """The shortest recording that shows it: of the real proxy where there is one. None for a no."""
        return self.evidence.shortest

    @property
    def ways(self) -> dict[str, int]:
        """How it was seen -> sessions, of both targets together, the most frequent first."""
        both = Counter(self.model.ways) + Counter(self.real.ways)
        return dict(sorted(both.items(), key=lambda each: (-each[1], each[0])))

    @property
    def sentence(self) -> str:
        """The answer in one sentence, with its counts."""
        of = f"{self.model.seen} of {self.model.sessions} sessions of the model"
        real = f"{self.real.seen} of {self.real.sessions} recorded of the running proxy" if self.real.sessions else ""
        counts = " and ".join(filter(None, [of, real or "no recording of the running proxy"]))
        if not self.yes:
            return f"No: seen in {counts}."
        refused = self.model.refused + self.real.refused
        return f"Yes: seen in {counts} ({', '.join(self.ways)}); in {refused} of these the API refused what was sent."


class Suspicions:
    """The answers of some releases, in the order of releases and suspicions."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self.answers = tuple(answers)

    def answer(self, release: str, suspicion: str) -> Answer:
        """One of them.

        Raises:
            InputError: an unknown name, or a release that was not asked.
        """
        one_of("suspicion", suspicion, SUSPICIONS)
        tag = proxy_release(release).tag
        for each in self.answers:
            if (each.release, each.suspicion) == (tag, suspicion):
                return each
        raise InputError("release", f"{tag} was not asked", f"allowed are {', '.join(dict.fromkeys(self.releases))}")

    def asked(self, suspicion: str) -> pd.DataFrame:
        """One suspicion, a row per release: release, answer, how, and of each target the sessions in which it was seen."""
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
        """The evidence with the shortest recording that shows a suspicion, a running proxy's before a model's; None if nothing
        does."""
        found = [each for tag in self.releases if (each := self.answer(tag, suspicion).evidence).shortest is not None]
        return min(found, key=_rank, default=None)

    def example(self, suspicion: str) -> SeenRecording | None:
        """That recording."""
        evidence = self.shown_by(suspicion)
        return None if evidence is None else evidence.shortest

    @property
    def releases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.release for each in self.answers))

    @property
    def frame(self) -> pd.DataFrame:
        """One row per answer: release, suspicion, answer (yes, no), how, target, and counts of sessions for each target."""
        return pd.DataFrame([_answer_row(each) for each in self.answers])

    @property
    def table(self) -> pd.DataFrame:
        """Releases down, suspicions across: ``yes`` or ``no``, with sessions seen of sessions looked at."""
        rows: dict[str, dict[str, str]] = {}
        for each in self.answers:
            seen, looked = each.model.seen + each.real.seen, each.model.sessions + each.real.sessions
            row = rows.setdefault(each.release, {"release": each.release})
            row[each.suspicion] = f"{'yes' if each.yes else 'no'}, {seen} of {looked}"
        return pd.DataFrame(list(rows.values()))


def suspicions(
    releases: Sequence[str] = ("all",),
    probes: Iterable[Mapping[str, Any]] = PROBES,
    tick: Callable[[str], object] = lambda _: None,
    cached: bool = False,
    executor: Executor | None = None,
) -> Suspicions:
    """Ask every suspicion of some releases.

    Args:
        releases: tags; ``all`` stands for every row of the table.
        probes: sessions to play, as settings of `SessionConfig.of`.
        tick: called with the tag of every release that is done.
        cached: take from `result_cache` what is there, and keep the rest there.
        executor: plays the sessions, release by release; without one, this process.

    Raises:
        InputError: an unknown release, or settings that do not fit.
    """
    names = [name for each in releases for name in (PROXIES if each == "all" else (each,))]
    tags = tuple(dict.fromkeys(proxy_release(name, "releases").tag for name in names))
    settings = tuple(probes)
    data = _hash_of_recorded() if cached else ""
    requests = {number: ["suspicions", tag, settings, data] if cached else None for number, tag in enumerate(tags)}
    found: dict[int, list[Answer]] = {}
    for number, answers in cached_map(partial(_answers_of, tags, settings), requests, executor):
        found[number] = answers
        tick(tags[number])
    return Suspicions(answer for number in sorted(found) for answer in found[number])


def _answers_of(tags: Sequence[str], settings: Sequence[Mapping[str, Any]], number: int) -> list[Answer]:
    """Those of one release."""
    played = [simulate(SessionConfig.of(release=tags[number], **each)) for each in settings]
    return answers_from(tags[number], played, real_recordings(proxy_release(tags[number])))


def answers_from(release: str, model: Iterable[Recording], real: Iterable[Recording] = ()) -> list[Answer]:
    """Every suspicion, answered from recordings alone."""
    by_model, by_real = _read(model), _read(real)
    return [Answer(release, name, _evidence(by_model, name), _evidence(by_real, name)) for name in SUSPICIONS]


def real_recordings(release: ProxyRelease) -> tuple[Recording, ...]:
    """What was recorded of running proxies of a release's program, under whatever tag, from data/.

    Recordings of sessions only, with an API that does nothing unusual: a scripted exchange has no component, and no API.
    """
    return tuple(each for source, each in _recorded() if release.source and source == release.source)


@lru_cache(maxsize=1)
def _recorded() -> tuple[tuple[str, Recording], ...]:
    """Every recorded session of data/, with the hash of its program."""
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
        return []  # a wheel has less than a checkout


# -- from recordings to evidence -------------------------------------------------------------------------------------

_Read = list[tuple[Recording, Verdict, tuple[Sighting, ...], tuple[HeldAction, ...]]]


def _read(recordings: Iterable[Recording]) -> _Read:
    read = []
    for recording in recordings:
        verdict = judge(recording)
        read.append((recording, verdict, sightings(recording, verdict), acts(recording)))
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
    """One for every recording that shows it."""
    for recording, verdict, found, _ in read:
        if mine := [each for each in found if each.suspicion == suspicion]:
            yield SeenRecording(mine[0].how, recording, verdict, any(each.refused for each in mine), mine[0].events)


def _flag(read: _Read) -> tuple[list[SeenRecording], SeenRecording | None]:
    """Where something went through behind a response's text or audio that is held back, and never sent, before it.

    A proxy that sends it in the midst of a response too does not hold it back at all: that is no flag cleared early.
    """
    found: list[SeenRecording] = []
    held: SeenRecording | None = None
    for what in _HELD:
        mine = [(r, v, act) for r, v, _, found_acts in read for act in found_acts if act.what == what]
        before = [(r, v, act) for r, v, act in mine if act.span == "before"]
        kept = [(r, v, act) for r, v, act in before if not act.sent]
        behind = {
            id(r): SeenRecording(what, r, v, act.refused, act.events) for r, v, act in mine if act.span == "behind" and act.sent
        }
        if kept and behind and len(kept) == len(before):
            found += behind.values()
            held = held or _shortest([SeenRecording(what, r, v, act.refused, act.events) for r, v, act in kept])
    return found, held


def _shortest(seen: Iterable[SeenRecording]) -> SeenRecording | None:
    """The fewest messages, of the most frequent kind: what is rare is seldom the point."""
    found = list(seen)
    ways = Counter(each.how for each in found)
    return min(found, key=lambda each: (-ways[each.how], len(each.recording.events)), default=None)


def _rank(evidence: TargetEvidence) -> tuple[bool, int]:
    recording = evidence.shortest.recording if evidence.shortest is not None else Recording(())
    return str(recording.provenance.get("proxy")).startswith("model"), len(recording.events)


# -- rows ------------------------------------------------------------------------------------------------------------


def _answer_row(answer: Answer) -> dict[str, Any]:
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
