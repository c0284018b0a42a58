"""A run's folder: locked while it is written, every file complete or absent, the newest run findable.

Raw first: recordings, then `run.json`, then tables, then pictures. Nothing here knows what a trial is.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from voicerace.errors import InputError

__all__ = [
    "PICTURES",
    "RECORDINGS",
    "RUN",
    "TABLE",
    "commit",
    "new_folder",
    "old_folder",
    "point_latest",
    "read_run",
    "resumed",
    "untouched",
    "utc_now",
    "versions",
]

RUN: Final = "run.json"
PICTURES: Final = "pictures"
RECORDINGS: Final = "recordings"
TABLE: Final = "table"
_LOCK: Final = ".lock"
_VERSIONS_OF: Final = ("voicerace", "matplotlib", "pandas", "pyarrow", "pydantic")


def utc_now() -> str:
    """The time, UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def new_folder(
    out: Path | str | None, parameters: Mapping[str, Any], root: Path | str = "runs", *, resumable: bool = False
) -> Iterator[Path]:
    """A locked, empty run folder: `out`, or ``<root>/<UTC time>-<hash of the parameters>``.

    Args:
        resumable: the caller can go on with what was stopped, and the error says so.

    Raises:
        InputError: `out` holds a run already, somebody writes one there, or it cannot be made.
    """
    if out is not None and not str(out).strip("."):
        raise InputError("out", f"{str(out)!r} is no folder of its own", "the name of a folder")
    folder = Path(out) if out is not None else fresh_folder(Path(root), parameters)
    try:
        for name in (RECORDINGS, TABLE):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("out", f"{folder}: {error.strerror}", "a folder that can be made") from None
    with _locked(folder):
        if (folder / RUN).exists():
            if resumable and not read_run(folder).get("complete"):
                allowed = "the same command with --resume, which goes on with it, or another folder"
                raise InputError("out", f"{folder} holds a run that was stopped", allowed)
            raise InputError("out", f"{folder} holds a run already", "another folder: what a run recorded never changes")
        if foreign := sorted({each.name for each in folder.iterdir()} - {_LOCK, RECORDINGS, TABLE, f".{RUN}.part"}):
            raise InputError("out", f"{folder} holds {foreign[0]!r} and is no run's", "a new or an empty folder")
        yield folder


@contextmanager
def old_folder(out: Path | str | None, info: Mapping[str, Any]) -> Iterator[Path]:
    """The locked folder of a sweep that was stopped, to go on with.

    Args:
        out: the folder.
        info: `run.json` as the sweep would begin it now; parameters, clock and targets have to be the same.

    Raises:
        InputError: no folder, no run in it, one that is complete, being written, or of something else.
    """
    if out is None:
        newest = next((f" ({each} is one)" for each in sorted(Path("runs").glob("[0-9]*"), reverse=True) if _stopped(each)), "")
        raise InputError("resume", "no folder", f"--out with the folder of the sweep that was stopped{newest}")
    folder = Path(out)
    before = read_run(folder)
    with _locked(folder):
        if before.get("complete"):
            raise InputError(str(folder), "the sweep is complete", "one that was stopped")
        for name in ("voicerace_run", "clock", "parameters", "targets"):
            if before.get(name) != json.loads(json.dumps(info[name])):
                raise InputError(str(folder), f"{name} differ from those of the sweep there", "the same command as before")
        yield folder


def _stopped(folder: Path) -> bool:
    try:
        info = read_run(folder)
    except InputError:
        return False
    return "trials" in info and not info.get("complete")


def resumed(folder: Path) -> dict[str, Any]:
    """What a sweep that goes on keeps of its `run.json`: when it began, and every time it went on."""
    before = read_run(folder)
    return {"start": before["start"], "resumed": [*before.get("resumed", ()), utc_now()]}


def untouched(folder: Path) -> bool:
    """Whether a sweep was killed in the folder before it had written anything: going on is to begin."""
    return (folder / _LOCK).exists() and not (folder / RUN).exists()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        lock = (folder / _LOCK).open("a", encoding="utf-8")
    except OSError as error:
        raise InputError("out", f"{folder}: {error.strerror}", "a folder that can be written") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError("out", f"{folder} is being written by another run", "another folder") from None
        yield


def fresh_folder(root: Path, parameters: Mapping[str, Any]) -> Path:
    """Make `<root>/<UTC time>-<hash of the parameters>`.

    Raises:
        InputError: it cannot be made.
    """
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:8]
    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{digest}"
    number = 1
    while True:
        folder = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise InputError("out", f"{root} is no folder", "a folder") from None
            number += 1
        except OSError as error:
            raise InputError("out", f"{root}: {error.strerror}", "a folder that can be written") from None
        else:
            return folder


def point_latest(folder: Path) -> None:
    """Let `latest`, beside the run folder, point to it."""
    link = folder.parent / "latest"
    temporary = folder.parent / f".latest-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name, target_is_directory=True)
    temporary.replace(link)


def read_run(folder: Path) -> dict[str, Any]:
    """What `run.json` of a folder says.

    Raises:
        InputError: there is none, or it is broken.
    """
    try:
        info = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(folder), f"{RUN}: {error.strerror}", "a folder made by a sweep") from None
    except ValueError as error:
        raise InputError(str(folder), f"{RUN}: {error}", "a folder made by a sweep") from None
    if not isinstance(info, dict) or "voicerace_run" not in info:
        raise InputError(str(folder), f"{RUN} is of something else", "a folder made by a sweep")
    return info


def versions() -> dict[str, str]:
    """Versions of what computed the run."""
    found = {"python": platform.python_version()}
    for name in _VERSIONS_OF:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str | None:
    """The commit of this program when it runs from its own repository, with ``+`` when files differ from it."""
    here = Path(__file__).parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603  # fixed words, no shell
                ["git", "-C", str(here), *words],  # noqa: S607
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # Installed below somebody else's repository, the files are not that repository's.
    if git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    head = git("rev-parse", "--short=12", "HEAD")
    return f"{head}+" if head and git("status", "--porcelain", "--untracked-files=no", ".") else head
