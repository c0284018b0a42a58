"""Creates, locks and reads the folder of a run, with recordings, `run.json`, tables and pictures.

The folder itself is locked while it is written, because a second writer could replace a lock file. Every file is complete or
absent. The link `latest` points to the newest run.
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
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError
from pydantic_core import from_json

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
    "read_sweep",
    "resumed",
    "set_aside",
    "untouched",
    "utc_now",
    "versions",
]

RUN: Final = "run.json"
PICTURES: Final = "pictures"
RECORDINGS: Final = "recordings"
TABLE: Final = "table"
#: Name of the folder for files that were changed after they were written, or that the run did not write.
_DAMAGED: Final = "damaged"
#: Name of the lock file on file systems that cannot lock a folder. Earlier versions always created this file.
_LOCK: Final = ".lock"
_VERSIONS_OF: Final = ("voicerace", "matplotlib", "pandas", "pyarrow", "pydantic")


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _RunInfo(_Strict):
    """Fields that are read from the `run.json` of any verb."""

    voicerace_run: int
    start: str | None = None
    end: str | None = None
    complete: bool = False


class _Trials(_Strict):
    planned: NonNegativeInt
    done: NonNegativeInt


class _Kept(_Strict):
    kept: NonNegativeInt


class _Parameters(_Strict):
    times: dict[str, str]
    trials: NonNegativeInt = 1


class _SweepInfo(_RunInfo):
    """Fields that are read from the `run.json` of a sweep."""

    parameters: _Parameters
    seed: int
    clock: Literal["virtual", "monotonic"]
    targets: dict[str, Any]
    recordings: _Kept
    trials: _Trials
    start: str
    resumed: list[str] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    commit: str | None = None


def utc_now() -> str:
    """Return the current time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def new_folder(
    out: Path | str | None, parameters: Mapping[str, Any], root: Path | str = "runs", *, resumable: bool = False
) -> Iterator[Path]:
    """Create and lock a run folder and yield it: `out`, or ``<root>/<UTC time>-<hash of the parameters>``.

    Args:
        resumable: whether the caller can resume an interrupted run. The error then suggests resuming it.

    Raises:
        InputError: `out` contains a run or other files, another run is writing to `out`, or `out` cannot be created.
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
    """Lock the folder of a stopped sweep to resume it, and yield the folder.

    Args:
        out: the folder.
        info: initial `run.json` of the resumed sweep. Parameters, clock and targets must be equal to those in the folder.

    Raises:
        InputError: the folder is not given or has no sweep, another run is writing to the folder, or the sweep is different.
    """
    if out is None:
        newest = next((f" ({each} is one)" for each in sorted(Path("runs").glob("[0-9]*"), reverse=True) if _stopped(each)), "")
        raise InputError("resume", "no folder", f"--out with the folder of the sweep that was stopped{newest}")
    folder = Path(out)
    with _locked(folder):
        before = read_sweep(folder)
        for name in ("voicerace_run", "clock", "parameters", "targets"):
            if before[name] != json.loads(json.dumps(info[name])):
                raise InputError(str(folder), f"{name} differ from those of the sweep there", "the same command as before")
        yield folder


def _stopped(folder: Path) -> bool:
    try:
        return not read_sweep(folder)["complete"]
    except InputError:
        return False


def resumed(folder: Path) -> dict[str, Any]:
    """Return the fields of `run.json` that a resumed sweep keeps: its start time, and the times at which it was resumed."""
    before = read_sweep(folder)
    return {"start": before["start"], "resumed": [*before.get("resumed", ()), utc_now()]}


def set_aside(folder: Path, name: str) -> None:
    """Move a file of a run to the folder of damaged files."""
    to = folder / _DAMAGED / name
    to.parent.mkdir(parents=True, exist_ok=True)
    (folder / name).replace(to)


def untouched(folder: Path) -> bool:
    """Return whether a sweep was killed before it wrote `run.json`. Such a sweep is started again, not resumed."""
    return (folder / RECORDINGS).is_dir() and not (folder / RUN).exists()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptors: list[int] = []
    try:
        _lock(folder, descriptors)
        yield
    finally:
        for each in descriptors:
            os.close(each)


def _lock(folder: Path, descriptors: list[int]) -> None:
    try:
        descriptors.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
        try:
            fcntl.flock(descriptors[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a network file system that cannot lock folders
            descriptors.append(os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT, 0o644))
            fcntl.flock(descriptors[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError("out", f"{folder} is being written by another run", "another folder") from None
    except OSError as error:
        raise InputError("out", f"{folder}: {error.strerror}", "a folder that can be written") from None


def fresh_folder(root: Path, parameters: Mapping[str, Any]) -> Path:
    """Create `<root>/<UTC time>-<hash of the parameters>`, with a number if the folder exists, and return it.

    Raises:
        InputError: the folder cannot be created.
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
    """Set the link `latest` in the parent folder to the run folder."""
    link = folder.parent / "latest"
    temporary = folder.parent / f".latest-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name, target_is_directory=True)
    temporary.replace(link)


def read_run(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's `run.json`.

    Raises:
        InputError: the file does not exist, it is not JSON, or a value has the wrong type.
    """
    return _read(folder, _RunInfo)


def read_sweep(folder: Path) -> dict[str, Any]:
    """Return the content of the `run.json` of a sweep.

    Raises:
        InputError: as `read_run`, or the run is not a sweep.
    """
    return _read(folder, _SweepInfo)


def _read(folder: Path, of: type[_RunInfo]) -> dict[str, Any]:
    try:
        info = from_json((folder / RUN).read_bytes())
        of.model_validate(info)
    except OSError as error:
        found = str(error.strerror)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        value = "" if first["type"] == "missing" else f"{first['input']!r:.60}: "
        found = f"{'.'.join(map(str, first['loc']))}: {value}{first['msg']}" if first["loc"] else "no JSON object"
    except ValueError as error:
        found = str(error)
    else:
        return dict(info)
    raise InputError(str(folder), f"{RUN}: {found}", "a folder made by a sweep")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute a run, by name."""
    found = {"python": platform.python_version()}
    for name in _VERSIONS_OF:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str | None:
    """Return the commit of this program, with ``+`` if files were changed, or None outside its own repository."""
    here = Path(__file__).parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603  # fixed arguments, no shell
                ["git", "-C", str(here), *words],  # noqa: S607
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # The package can be installed inside another repository, which does not track the package's files.
    if git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    head = git("rev-parse", "--short=12", "HEAD")
    return f"{head}+" if head and git("status", "--porcelain", "--untracked-files=no", ".") else head
