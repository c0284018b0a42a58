"""Test that the TypeScript of each workaround compiles with the component's types.

The tests need checkouts with a TypeScript compiler.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from voicerace.model.catalog.workarounds import PUBLIC_API, WORKAROUNDS

RELEASES = ("0.9.1", "0.11.1")
#: Template of a file with the component's types, the app's declarations, the workaround, and the props it defines.
FRAME = """\
import type {{
  AgentState, DeepgramError, DeepgramVoiceInteractionHandle, DeepgramVoiceInteractionProps, FunctionCallRequest,
  FunctionCallResponse,
}} from '{types}';
declare const ref: {{ current: DeepgramVoiceInteractionHandle | null }};
declare const tool: (call: FunctionCallRequest) => Promise<unknown>;
declare const sleep: (ms: number) => Promise<void>;
declare const HOLD_MS: number, FALLBACK_MS: number;
{code}
export const props: Partial<DeepgramVoiceInteractionProps> = {{ {props} }};
"""


def checkout(release: str) -> Path:
    """Return the checkout of a release in VOICERACE_CHECKOUTS; skip the test if it has no TypeScript compiler."""
    found = Path(os.environ.get("VOICERACE_CHECKOUTS", "/nonexistent")) / f"v{release}"
    if compiler(found) is None or shutil.which("node") is None:
        pytest.skip("no checkout of the component with a TypeScript compiler here")
    return found


def compiler(root: Path) -> Path | None:
    places = (root / "node_modules", root / "packages/voice-agent-backend/node_modules")
    return next((place / "typescript/bin/tsc" for place in places if (place / "typescript/bin/tsc").is_file()), None)


def handed_over(code: str) -> str:
    """Return the names of the component's props that a workaround defines, separated by commas."""
    return ", ".join(name for name in PUBLIC_API if name.startswith("on") and re.search(rf"\bconst {name}\b", code))


@cache
def compiler_errors(root: Path, folder: Path) -> str:
    """Return the compiler's output for the workarounds and for three broken ones, one error per line."""
    tsc = compiler(root)
    assert tsc is not None
    good = {name: row.typescript for name, row in WORKAROUNDS.items()}
    cure = good["await-and-return"]
    bad = {
        "bad-result": cure.replace("result: await", "reslt: await"),
        "bad-call": cure.replace("call.id", "call.call_id"),
        "bad-ref": cure + "\nvoid ref.current?.sendResult();",
    }
    files = []
    for name, code in {**good, **bad}.items():
        file = folder / f"{name}.ts"
        file.write_text(FRAME.format(types=(root / "src/types").as_posix(), code=code, props=handed_over(code)), "utf-8")
        files.append(str(file))
    options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2020", "--lib", "es2020,dom"]
    words = ["node", str(tsc), *options, "--module", "esnext", "--moduleResolution", "node", *files]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300, cwd=folder).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("types")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", WORKAROUNDS)
def test_a_workaround_fits_the_components_types(release: str, name: str, folder: Path) -> None:
    assert handed_over(WORKAROUNDS[name].typescript)
    errors = [line for line in compiler_errors(checkout(release), folder).splitlines() if f"{name}.ts" in line]
    assert not errors


@pytest.mark.parametrize("release", RELEASES)
def test_the_compiler_finds_the_broken_workarounds(release: str, folder: Path) -> None:
    errors = compiler_errors(checkout(release), folder)
    for name in ("bad-result", "bad-call", "bad-ref"):
        assert f"{name}.ts" in errors, name
