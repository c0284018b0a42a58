"""Caches model results on disk.

An entry's name is a hash of its request. Its folder's name is a hash of all files of this package and of the versions of Python
and the libraries, so a changed program never reads old results. The first line of an entry is a checksum of the rest. Results
are computed if an entry is missing or damaged.

The environment variable ``VOICERACE_CACHE`` sets the folder; ``off`` disables the cache. The default is ``runs/cache`` in a
checkout, else the user's cache folder. Entries are pickles, which can execute code, so all files in the folder must be trusted.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from voicerace.errors import InputError
from voicerace.experiments.executors import Executor
from voicerace.experiments.sweep.folder import versions
from voicerace.files import write_bytes

__all__ = ["VARIABLE", "cached_map", "folder_of_cache"]

VARIABLE: Final = "VOICERACE_CACHE"
_PACKAGE: Final = Path(__file__).parents[1]
#: Number of program versions whose entries are kept. Entries of older versions are deleted.
_PROGRAMS: Final = 4

_Result = TypeVar("_Result")


def cached_map(
    work: Callable[[int], _Result],
    requests: Mapping[int, Any],
    executor: Executor | None = None,
) -> Generator[tuple[int, _Result]]:
    """Yield (number, result of `work`) for every request, in any order, without computing cached results again.

    Args:
        work: returns the result for a number. Results must be picklable. With several processes, `work` must be picklable, too.
        requests: by number, everything that determines the result, as JSON. None disables the cache for that number.
        executor: computes missing results; None for this process.

    Raises:
        InputError: see `Executor.map`.
    """
    folder = folder_of_cache()
    entries = {number: _entry(folder, request) for number, request in requests.items()}
    missing = []
    for number, entry in entries.items():
        if (found := _read(entry)) is None:
            missing.append(number)
        else:
            yield number, found.result
    for number, result in (executor or Executor()).map(_Numbered(work), missing):
        if (entry := entries[number]) is not None and folder_of_cache() == folder:
            _write(entry, result)
        yield number, result


def folder_of_cache() -> Path | None:
    """Return the folder for entries of this program, or None if the cache is off or a file of the package has changed."""
    given = os.environ.get(VARIABLE, "")
    if given == "off" or _files() != _LOADED:
        return None
    if given:
        return Path(given) / _PROGRAM
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        return _PACKAGE.parent / "runs" / "cache" / _PROGRAM
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voicerace" / _PROGRAM


@dataclass(frozen=True)
class _Numbered(Generic[_Result]):
    work: Callable[[int], _Result]

    def __call__(self, number: int) -> tuple[int, _Result]:
        return number, self.work(number)


@dataclass(frozen=True)
class _Found:
    """Wraps a result from the cache, because a result can be None."""

    result: Any


def _entry(folder: Path | None, request: Any) -> Path | None:
    if folder is None or request is None:
        return None
    return folder / hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def _read(entry: Path | None) -> _Found | None:
    if entry is None:
        return None
    try:
        checksum, _, content = entry.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest().encode() != checksum:
        return None
    return _Found(pickle.loads(content))  # noqa: S301  # written by this program, see the module's docstring


def _write(entry: Path, result: Any) -> None:
    content = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    with suppress(OSError, InputError):
        if not entry.parent.is_dir():
            entry.parent.mkdir(parents=True)
            programs = [each for each in entry.parent.parent.iterdir() if _is_program(each)]
            for old in sorted(programs, key=lambda each: each.stat().st_mtime, reverse=True)[_PROGRAMS:]:
                shutil.rmtree(old, ignore_errors=True)
        write_bytes(entry, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def _is_program(folder: Path) -> bool:
    return len(folder.name) == len(_PROGRAM) and not set(folder.name) - set("0123456789abcdef")


def _files() -> list[tuple[str, int, int]]:
    """Return the sorted (path, size in bytes, time of modification in ns) of every file of the package."""
    found = []
    for folder, folders, names in os.walk(_PACKAGE):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = os.path.join(folder, name)
            with suppress(FileNotFoundError):  # a temporary file that was deleted in the meantime
                stat = os.stat(path)
                found.append((os.path.relpath(path, _PACKAGE), stat.st_size, stat.st_mtime_ns))
    return sorted(found)


def _hash_of_program() -> str:
    libraries = versions() | {name: version(name) for name in ("numpy", "scipy")}
    digest = hashlib.sha256(json.dumps(libraries, sort_keys=True).encode())
    for name, _, _ in _LOADED:
        content = (_PACKAGE / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:32]


#: Files when this module was imported. If they change, the cache is off, because later imports could load other code.
_LOADED: Final = _files()
_PROGRAM: Final = _hash_of_program()
