"""Read the evidence in data/: recordings of running programs, and results of long computations.

A missing file is not an error, because the letter states missing evidence. An invalid file is an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import pandas as pd

from voicerace.analysis.verdict import judge
from voicerace.errors import InputError
from voicerace.experiments.answers import Answer, Cell
from voicerace.experiments.answers import read as read_answers
from voicerace.experiments.result_cache import cached_map
from voicerace.files import shipped
from voicerace.model.catalog.profiles import TIMES
from voicerace.model.catalog.releases import PROXIES, proxy_release
from voicerace.trace.recording import Recording, read_recordings

__all__ = ["DEFAULT_ERROR", "Evidence", "Real"]

#: Text of the component's own error. A result with this text is the component's, not the app's.
DEFAULT_ERROR: Final = "Handler completed without sending a response"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Real:
    """A recorded session of a running proxy.

    Attributes:
        recording: the recorded messages at the proxy.
        release: the tag under which the session was recorded.
        outcome: the verdict's outcome.
        bad: whether the verdict is bad.
        source: path of the file, relative to data/.
    """

    recording: Recording
    release: str
    outcome: str
    bad: bool
    source: str

    def had(self, **given: object) -> bool:
        """Return whether the settings and times of the session have the given values. Times are text."""
        provenance = self.recording.provenance
        times = provenance.get("times", {})
        return all(str(times.get(name) if name in TIMES else provenance.get(name)) == str(each) for name, each in given.items())


@dataclass
class Evidence:
    """Recordings and results in the evidence folder. Each property reads its files on first use.

    Attributes:
        root: the folder; None for the project's `data`.
        hashes: path of a file that was read -> first 12 hexadecimal digits of its SHA-256.
    """

    root: Path | None = None
    hashes: dict[str, str] = field(default_factory=dict)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per case in which a running proxy was compared with its model (data/conformance/TAG.csv)."""
        frames = [
            self._read(path, lambda p: pd.read_csv(p, dtype=dict.fromkeys(TIMES, "str"))).assign(
                file=f"conformance/{path.name}"
            )
            for path in self._files("conformance", "*.csv")
            if not (path.stem.endswith("-drawn") or path.stem.startswith("forwarder-"))
        ]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    @cached_property
    def real(self) -> tuple[Real, ...]:
        """Return the recorded sessions of running proxies, without scripted or drawn sessions and changed API behaviour."""
        files = {
            f"{name}/{path.name}": path
            for name in ("conformance", "logs")
            for path in self._files(name, "*.jsonl.gz")
            if not path.name.endswith("-drawn.jsonl.gz")
        }
        named = list(files.items())
        requests = {number: ["real", source, self._read(path, self._hash)] for number, (source, path) in enumerate(named)}
        found = dict(cached_map(lambda number: self._real(*named[number]), requests))
        return tuple(each for number in requests for each in found[number])

    def _real(self, source: str, path: Path) -> list[Real]:
        found = []
        for recording in self._read(path, read_recordings):
            provenance = recording.provenance
            if provenance.get("scenario") in (None, "script", "drawn") or provenance.get("knobs") or provenance.get("preamble"):
                continue
            tag = str(provenance.get("release"))
            if tag in PROXIES:
                verdict = judge(recording)
                found.append(Real(recording, tag, verdict.outcome, verdict.bad, source))
        return found

    def of_program(self, release: str) -> tuple[Real, ...]:
        """Return the recorded sessions of a release's program, under all tags of the program."""
        source = proxy_release(release).source
        return tuple(each for each in self.real if source and PROXIES[each.release].source == source)

    def recorded_as(self, release: str) -> tuple[str, ...]:
        """Return the tags under which a release's program was recorded, empty without recordings."""
        return tuple(dict.fromkeys(each.release for each in self.of_program(release)))

    @cached_property
    def components(self) -> dict[str, dict[str, Any]]:
        """Tag -> case -> record with the messages of the running component (data/conformance/component-TAG.json)."""
        found = {}
        for path in self._files("conformance", "component-[0-9]*.json"):
            record = self._read(path, _json)
            found[str(record["tag"])] = record["cases"]
        return found

    @cached_property
    def component_programs(self) -> dict[str, Any]:
        """Map each tag to the record of the comparison between the running component and its model."""
        for path in self._files("conformance", "component-programs.json"):
            return dict(self._read(path, _json)["programs"])
        return {}

    @cached_property
    def fixes(self) -> dict[str, dict[str, Any]]:
        """Release -> evidence for its fix, from running proxies (data/fix/TAG.json)."""
        return {str(record["release"]): record for path in self._files("fix", "*.json") if (record := self._read(path, _json))}

    @cached_property
    def explored(self) -> dict[str, dict[str, Any]]:
        """Map each release to the content of its exploration file (data/explore/RELEASE.json)."""
        found = {}
        for path in self._files("explore", "*.json"):
            record = self._read(path, _json)
            if isinstance(record, dict) and "findings" in record and "release" in record:
                found[str(record["release"])] = record
        return found

    @cached_property
    def confirmed(self) -> pd.DataFrame:
        """One row per finding tried on a running proxy: release, name, outcome, story, handler, confirmed, tries, file."""
        frames = []
        for path in self._files("explore", "*-live.csv"):
            frame = self._read(path, lambda p: pd.read_csv(p, dtype=str, keep_default_na=False))
            if missing := {"name", "confirmed"} - set(frame.columns):
                raise InputError(str(path), f"no column {', '.join(sorted(missing))}", "a table of live confirmations")
            yes = frame["confirmed"].str.lower().isin(("true", "yes", "1"))
            release = path.name.removesuffix("-live.csv")
            frames.append(frame.assign(release=release, confirmed=yes, file=f"explore/{path.name}"))
        columns = ["release", "name", "outcome", "story", "handler", "confirmed", "tries", "file"]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)

    @cached_property
    def workarounds(self) -> list[Mapping[str, Any]]:
        """Explored effects, one per workaround and release, from data/workarounds.json; empty without the file."""
        for path in self._files("", "workarounds.json"):
            record = self._read(path, _json)
            if not isinstance(record, dict) or not isinstance(record.get("effects"), list):
                raise InputError(str(path), "no effects", "the output of `voicerace workarounds --json`")
            return list(record["effects"])
        return []

    @cached_property
    def answers(self) -> dict[Cell, Answer]:
        """Return shares of outcomes with recorded times (data/answers.csv), empty without the file."""
        for path in self._files("", "answers.csv"):
            return self._read(path, read_answers)
        return {}

    def _files(self, name: str, pattern: str) -> list[Path]:
        try:
            root = self.root or shipped("data")
        except InputError:
            return []
        folder = root / name if name else root
        return sorted(folder.glob(pattern), key=_release_order) if folder.is_dir() else []

    def _read(self, path: Path, reader: Callable[[Path], _T]) -> _T:
        try:
            self._hash(path)
            return reader(path)
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(str(path), str(error).splitlines()[0], "as the command in data/README.md writes it") from None

    def _hash(self, path: Path) -> str:
        """Return the SHA-256 of a file. Its first 12 digits are added to `hashes`."""
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        self.hashes[path.relative_to(self.root or shipped("data")).as_posix()] = found[:12]
        return found


def _release_order(path: Path) -> tuple[int, str]:
    """Return the sort key of a file: the position of its release in the catalogue, then the file name."""
    tags = list(PROXIES)
    name = path.name.removeprefix("component-")
    fits = [tag for tag in tags if name.startswith(tag)]
    return (tags.index(max(fits, key=len)) if fits else len(tags), path.name)


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
