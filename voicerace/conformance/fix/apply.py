"""Applies the fix to a copy of a checkout: edits the proxy, the component and the forwarder, and makes a patch.

The edits run under Node.js with the checkout's TypeScript compiler. They find their positions by the source's structure. If
the structure differs from the expected one, the error names the position.
"""

from __future__ import annotations

import difflib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicerace.engine.live.source import package_of, source_hash
from voicerace.errors import InputError

__all__ = ["MODULES", "PARTS", "Fix", "apply", "patch_of"]

#: Folder with the edit programs, and with the modules that they add beside the edited sources.
MODULES: Final = Path(__file__).parent / "node"
#: Part -> (edit program, (edited file, added file if any)). Paths are relative to the checkout's root.
PARTS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "proxy": (
        "proxy.mjs",
        (
            "packages/voice-agent-backend/scripts/openai-proxy/server.ts",
            "packages/voice-agent-backend/scripts/openai-proxy/response-gate.ts",
        ),
    ),
    "component": (
        "component.mjs",
        ("src/components/DeepgramVoiceInteraction/index.tsx", "src/utils/call-answers.ts"),
    ),
    "forwarder": ("forwarder.mjs", ("packages/voice-agent-backend/src/attach-upgrade.js",)),
}
#: Exit status of an edit program that refuses a source.
_REFUSED: Final = 3
#: Folders that are linked instead of copied, because they are large and not edited.
_LINKED: Final = ("node_modules",)
_SKIPPED: Final = (".git", "dist", "test-results", "playwright-report")


@dataclass(frozen=True)
class Fix:
    """An applied fix.

    Attributes:
        directory: root of the fixed copy.
        source: hash of the proxy's source before the fix (`engine.live.source.source_hash`).
        changed: part -> the changed files of the part; empty if the checkout already has the behaviour.
        patch: text of the patch, for `git apply` in the checkout's root.
    """

    directory: Path
    source: str
    changed: dict[str, tuple[str, ...]]
    patch: str

    @property
    def lines(self) -> tuple[int, int]:
        """(Number of added lines, number of removed lines) in the patch."""
        body = [line for line in self.patch.splitlines() if not line.startswith(("+++", "---"))]
        return sum(line.startswith("+") for line in body), sum(line.startswith("-") for line in body)


def apply(checkout: Path, out: Path) -> Fix:
    """Copy a checkout into `out` and fix the copy. The checkout is not changed.

    Args:
        checkout: root of a checkout of the proxy's repository, with the backend's dependencies installed.
        out: a new or empty folder.

    Raises:
        InputError: the checkout has no proxy, no compiler or an unexpected structure; Node.js is missing; `out` is not
            empty, or is inside the checkout.
    """
    root = _root(checkout)
    node = shutil.which("node")
    if node is None:
        raise InputError("fix", "no node on the PATH", "the edits run under Node.js 20")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("--out", f"{out} is not an empty folder", "a new folder")
    if out.resolve().is_relative_to(root.resolve()):
        raise InputError("--out", f"{out} is inside the checkout", "a folder outside")
    added = PARTS["proxy"][1][1]
    if (root / added).exists():
        raise InputError(str(checkout), f"it has {added}, so it is fixed already", "an original checkout")
    changed = {}
    try:
        _copy(root, out)
        for part, (program, files) in PARTS.items():
            _edit(node, program, out)
            changed[part] = tuple(each for each in files if _text(root / each) != _text(out / each))
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return Fix(out, source_hash(root), changed, "".join(patch_of(root, out)))


def patch_of(old: Path, new: Path) -> Iterator[str]:
    """Yield the lines of a patch from folder `old` to folder `new`, for the files that the fix can change."""
    for name in sorted(name for _, files in PARTS.values() for name in files):
        before, after = _text(old / name), _text(new / name)
        if before == after:
            continue
        yield f"diff --git a/{name} b/{name}\n"
        if before is None:
            yield "new file mode 100644\n"
        yield from difflib.unified_diff(
            (before or "").splitlines(keepends=True),
            (after or "").splitlines(keepends=True),
            "/dev/null" if before is None else f"a/{name}",
            f"b/{name}",
        )


def _root(checkout: Path) -> Path:
    """Return the root of the repository that contains the proxy's package."""
    package = package_of(checkout)
    root = package.parent.parent
    component = root / PARTS["component"][1][0]
    if not component.is_file():
        raise InputError(str(checkout), f"no {PARTS['component'][1][0]} there", "the root of a checkout, not its package alone")
    return root


def _copy(root: Path, out: Path) -> None:
    """Copy a checkout. Folders of installed packages become links."""
    links: list[tuple[Path, Path]] = []

    def leave_out(folder: str, names: list[str]) -> set[str]:
        here = Path(folder)
        links.extend((here / name, out / here.relative_to(root) / name) for name in names if name in _LINKED)
        return {name for name in names if name in (*_LINKED, *_SKIPPED)}

    shutil.copytree(root, out, symlinks=True, ignore=leave_out, dirs_exist_ok=True)
    for target, link in links:
        link.symlink_to(target.resolve())


def _edit(node: str, program: str, copy: Path) -> None:
    command = [node, str(MODULES / program), str(copy.resolve())]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a program of this package
    if ended.returncode == _REFUSED:
        place = ended.stderr.strip().replace(f"{copy.resolve()}/", "")
        raise InputError("fix", place, "a checkout whose source has the structure of a known release")
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no output"])[-1]
        raise InputError("fix", f"{program} ended with status {ended.returncode}", last)


def _text(file: Path) -> str | None:
    return file.read_text("utf-8") if file.is_file() else None
