"""Report the state of packages and tools. No connection is opened, and the results contain no keys.

Each row of the result names the verbs that need the tool. `run`, `sweep` and `report` need only the first five rows.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from voicerace.engine.live.source import backend_version, package_of, source_hash
from voicerace.errors import InputError
from voicerace.files import shipped
from voicerace.model.catalog.releases import proxy_of_source

__all__ = ["SystemCheck", "ToolState", "examine"]

ToolState: TypeAlias = Literal["good", "missing", "wrong"]

#: Minimum and maximum version of Python, equal to `requires-python` of pyproject.toml.
_PYTHON: Final = ((3, 11), (3, 13))
_NODE: Final = 20
_KEY: Final = "OPENAI_API_KEY"
#: Default ports of `serve upstream` and `serve proxy`.
_PORTS: Final = (8181, 8182)
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_TIMEOUT_S: Final = 10


@dataclass(frozen=True)
class SystemCheck:
    """The state of one tool.

    Attributes:
        name: name of the tool.
        state: ``good`` (usable), ``missing``, or ``wrong`` (present but not usable).
        found: details of the state, without keys and paths.
        needed_for: the verbs that need the tool.
    """

    name: str
    state: ToolState
    found: str
    needed_for: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def examine(
    checkouts: Sequence[Path] = (), out: Path = Path("runs"), environment: Mapping[str, str] | None = None
) -> list[SystemCheck]:
    """Return the state of every tool.

    Args:
        checkouts: checkouts of the proxy, as in `--proxy backend:DIR`.
        out: the folder for runs.
        environment: environment variables; None for those of the process.
    """
    known = os.environ if environment is None else environment
    return [
        _python(),
        _packages(),
        _data(),
        _written(out),
        _port(0, "live runs, `capture`, `contract`"),
        *(_port(port, f"`serve {verb}` without --listen") for port, verb in zip(_PORTS, ("upstream", "proxy"), strict=True)),
        _program("Node", ("node",), "--proxy backend:DIR, `repro --app`", _node_fits),
        _program("Chromium", _BROWSERS, "`repro --app`, the tests of the page, `.ci/run`", lambda _: True),
        _program("git", ("git",), "the commit in a run's run.json", lambda _: True),
        _key(known),
        *(_checkout(each) for each in checkouts),
    ]


def _python() -> SystemCheck:
    found = sys.version_info[:2]
    allowed = _PYTHON[0] <= found <= _PYTHON[1]
    return SystemCheck("Python", "good" if allowed else "wrong", platform.python_version(), "everything; 3.11 to 3.13")


def _packages() -> SystemCheck:
    """Compare packages with the lock file of a checkout, or with the minimum versions of a wheel."""
    lock = Path(__file__).parents[2] / "requirements" / "runtime.lock"
    if lock.is_file():
        # The lock file covers all versions of Python, so it can list several versions of a package.
        pinned: dict[str, list[str]] = {}
        for name, number in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", lock.read_text("utf-8"), flags=re.M):
            pinned.setdefault(name, []).append(number)
        present = {name: _version(name) for name in pinned}
        # Only direct requirements must be installed. Other packages are needed only on some systems.
        required = {name for line in requires("voicerace") or () if "extra" not in line and (name := _name(line))}
        other = [
            f"{name} {found}, locked {' or '.join(pinned[name])}"
            for name, found in present.items()
            if found is not None and found not in pinned[name]
        ]
        absent = [name for name in sorted(required) if present.get(name) is None]
        return _compared("the lock's packages", sum(found is not None for found in present.values()), other, absent)
    needed = [line for line in requires("voicerace") or () if "extra" not in line]
    least = {_name(line): match.group(1) for line in needed if (match := re.search(r">=([0-9.]+)", line))}
    old = [
        f"{name} {found}, at least {least[name]}" for name in least if (found := _version(name)) and _less(found, least[name])
    ]
    return _compared("packages", len(needed), old, [_name(line) for line in needed if _version(_name(line)) is None])


def _compared(what: str, count: int, other: Sequence[str], absent: Sequence[str]) -> SystemCheck:
    wrong = [*(f"{each} is not installed" for each in absent), *other]
    details = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    return SystemCheck(
        "packages", "wrong" if wrong else "good", details or f"{count} of {what} as they should be", "everything"
    )


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~\[;( ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _less(found: str, least: str) -> bool:
    def numbers(text: str) -> list[int]:
        return [int(each) for each in re.findall(r"\d+", text)]

    return numbers(found) < numbers(least)


def _data() -> SystemCheck:
    try:
        names = ("notebooks/2-delay-sweep.ipynb", "data/conformance/0.9.1.csv", "data/logs/0.9.1.log.gz")
        missing = [name for name in names if not shipped(name).is_file()]
    except InputError as error:
        missing = [error.found]
    return SystemCheck("data and notebooks", "wrong" if missing else "good", ", ".join(missing) or "there", "`report`")


def _written(out: Path) -> SystemCheck:
    """Check with a temporary file that a run's folder, or the nearest existing parent folder, is writable."""
    parent = next((each for each in (out, *out.absolute().parents) if each.exists()), Path())
    try:
        with tempfile.NamedTemporaryFile(dir=parent) as file:
            file.write(b"x" * 65_536)
            file.flush()
    except OSError as error:
        return SystemCheck("write access", "wrong", f"{out.name or out}: {error.strerror}", "everything that keeps a recording")
    free = shutil.disk_usage(parent).free // 2**20
    return SystemCheck(
        "write access", "good", f"{out.name or out} can be written, {free:,} MiB are free", "everything that keeps a recording"
    )


def _port(number: int, needed_for: str) -> SystemCheck:
    name = f"port {number}" if number else "a port of 127.0.0.1"
    try:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(("127.0.0.1", number))
    except OSError as error:
        return SystemCheck(name, "wrong", error.strerror or "cannot be bound", needed_for)
    return SystemCheck(name, "good", "free", needed_for)


def _program(name: str, commands: Iterable[str], needed_for: str, fits: Callable[[str], bool]) -> SystemCheck:
    path = next((found for each in commands if (found := shutil.which(each))), None)
    if path is None:
        return SystemCheck(name, "missing", "not on the PATH", needed_for)
    try:
        done = subprocess.run(  # noqa: S603  # a program from the PATH, one fixed argument
            [path, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, errors="replace"
        )
        found = (done.stdout.strip().splitlines() or ["says no version"])[0][:40]
    except (OSError, subprocess.TimeoutExpired):
        return SystemCheck(name, "wrong", "does not start", needed_for)
    return SystemCheck(name, "good" if fits(found) else "wrong", found, needed_for)


def _node_fits(found: str) -> bool:
    match = re.match(r"v(\d+)", found)
    return match is not None and int(match.group(1)) >= _NODE


def _key(environment: Mapping[str, str]) -> SystemCheck:
    """Check whether an API key is set. The result contains no part of the key."""
    found: Any = environment.get(_KEY)
    state = "not set" if found is None else "set, and empty" if not found.strip() else "set"
    return SystemCheck(_KEY, "good" if state == "set" else "missing", state, "--upstream openai")


def _checkout(directory: Path) -> SystemCheck:
    """Check whether a checkout of the proxy is a known release, by the hash of its source."""
    name = f"backend:{directory.name or directory}"
    try:
        package, source = package_of(directory), source_hash(directory)
    except (InputError, OSError) as error:
        reason = f"{error.found}; {error.allowed}" if isinstance(error, InputError) else str(error.strerror)
        return SystemCheck(name, "wrong", reason, "--proxy")
    installed = any((each / "node_modules").is_dir() for each in (package, *package.parents[:2]))
    row = proxy_of_source(source, backend_version(directory))
    known = f"release {row.tag}" if row is not None else "no release of the table: outcomes only, no comparison with a model"
    if not installed:
        return SystemCheck(name, "wrong", f"{source}: {known}; its dependencies are not installed", "--proxy")
    return SystemCheck(name, "good", f"{source}: {known}", "--proxy")
