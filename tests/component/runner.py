"""Runs the scripts in a checkout of the component with the checkout's Jest, and compares the results with the model."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.component.cases import APPLIED, Case, cases
from tests.component.play import differences, play
from voicerace.errors import InputError
from voicerace.model.catalog.components import COMPONENTS, component

__all__ = ["ComponentConformance", "conform_component", "read_seen", "scripts_hash", "source_of"]

_HARNESS: Final = Path(__file__).with_name("harness.test.tsx")
_ENTRY: Final = Path("src/components/DeepgramVoiceInteraction/index.tsx")
#: Prefixes of the names of cases whose record keeps Settings. In all other cases Settings are the same.
_ABOUT_SETTINGS: Final = ("Settings", "a second connection", "a result of one")
_LIMIT_S: Final = 900


@dataclass
class ComponentConformance:
    """The result for one program.

    Attributes:
        tag: tag of the release whose model the program was compared with.
        source: hash of the program.
        seen: name of a case -> messages and callbacks of the running component.
        found: name of a case -> differences of the model.
        compared: number of cases that the model covers.
    """

    tag: str
    source: str
    seen: dict[str, list[dict[str, Any]]]
    found: dict[str, list[str]] = field(default_factory=dict)
    compared: int = 0

    def write(self, folder: Path) -> Path:
        """Write `component-<tag>.json` with one case per line, and return its path."""
        path = folder / f"component-{self.tag}.json"
        lines = [f"{json.dumps(name)}:{json.dumps(seen, separators=(',', ':'))}" for name, seen in self.seen.items()]
        head = {"tag": self.tag, "source": self.source, "scripts": scripts_hash()}
        text = "".join(f"{json.dumps(name)}:{json.dumps(value)},\n" for name, value in head.items())
        path.write_text("{" + text + '"cases":{\n' + ",\n".join(lines) + "\n}}\n", "utf-8")
        return path


def source_of(directory: Path | str) -> str:
    """Return the first 12 hex digits of SHA-256 over the file names and normalised lines in the checkout's `src/`.

    Raises:
        InputError: the directory has no component.
    """
    root = Path(directory)
    if not (root / _ENTRY).is_file():
        raise InputError(str(directory), f"no {_ENTRY} there", "a checkout's root")
    digest = hashlib.sha256()
    for file in sorted(each for each in (root / "src").rglob("*") if each.is_file()):
        content = file.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{file.relative_to(root / 'src').as_posix()}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def scripts_hash() -> str:
    """Return a hash of the scripts. A record with another hash is outdated."""
    return hashlib.sha256(json.dumps([each.script() for each in cases()], sort_keys=True).encode()).hexdigest()[:12]


def conform_component(directory: Path | str, tag: str | None = None) -> ComponentConformance:
    """Play every script to the component of a checkout and to its model, and return the result.

    Args:
        directory: the checkout, with its dependencies installed. Temporary files in it are removed.
        tag: tag of the release; by default the release with the hash of the checkout's source. If several releases have
            this hash, the default is the release with the checkout's version.

    Raises:
        InputError: component or dependencies are missing, the program is unknown, or Jest failed.
    """
    source = source_of(directory)
    chosen = component(tag).tag if tag else _tag_of(Path(directory), source)
    played = list(cases())
    seen = run_scripts(Path(directory), [each.script() for each in played])
    result = ComponentConformance(chosen, source, {each.name: _kept(each, seen[each.name]) for each in played})
    for case in played:
        if case.modelled:
            result.compared += 1
            if found := compare(chosen, case, result.seen[case.name]):
                result.found[case.name] = found
    return result


def _tag_of(root: Path, source: str) -> str:
    same = [row.tag for row in COMPONENTS.values() if row.source == source]
    if not same:
        raise InputError("component", f"the program {source} is unknown", "name the row to compare it with")
    try:
        version = json.loads((root / "package.json").read_text("utf-8")).get("version")
    except (OSError, ValueError, AttributeError):
        version = None
    return version if version in same else same[0]


def compare(tag: str, case: Case, seen: list[dict[str, Any]]) -> list[str]:
    """Return the differences between the model of a release and the record of a case."""
    return differences(seen, _kept(case, play(tag, case)))


def read_seen(path: Path) -> Mapping[str, Any]:
    """Return the record in a file as an object with tag, source, hash of the scripts and cases."""
    content: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def _kept(case: Case, seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events without those of the opening, except in cases about Settings."""
    if case.name.startswith(_ABOUT_SETTINGS):
        return seen
    first = {"at": APPLIED, "to": "app", "type": "onSettingsApplied"}
    opening = ("connecting", "connected")
    return [each for each in seen if each.get("type") != "Settings" and each.get("state") not in opening and each != first]


def run_scripts(root: Path, scripts: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    jest = root / "node_modules" / ".bin" / "jest"
    if not jest.exists():
        raise InputError(str(root), "its dependencies are not installed", "run npm ci --ignore-scripts there")
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "cases.json", Path(folder) / "seen.json"
        given.write_text(json.dumps(scripts), "utf-8")
        test = root / "tests" / f"voicerace-{os.getpid()}.test.tsx"
        shutil.copyfile(_HARNESS, test)
        environment = {**os.environ, "CI": "true", "VOICERACE_CASES": str(given), "VOICERACE_RESULTS": str(made)}
        try:
            run = subprocess.run(  # the user chose this checkout, so its programs may run
                [str(jest.resolve()), f"tests/{test.name}", "--silent"],
                cwd=root, env=environment, capture_output=True, text=True, timeout=_LIMIT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(str(root), f"Jest did not run: {error}", "Node 20") from None
        finally:
            test.unlink(missing_ok=True)
        if run.returncode != 0 or not made.exists():
            said = [line for line in run.stderr.splitlines() if "Error" in line or "●" in line]
            raise InputError(
                str(root), f"Jest failed: {said[-1].strip() if said else run.returncode}", "its own tests run there"
            )
        return {each["name"]: each["seen"] for each in json.loads(made.read_text("utf-8"))}
