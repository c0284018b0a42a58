"""Identifies a checkout's proxy by a hash of its source, because different programs can share a version number."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from voicerace.errors import InputError

__all__ = ["backend_version", "package_of", "source_hash"]

_ENTRY = Path("scripts/openai-proxy/server.ts")
_PACKAGE = Path("packages/voice-agent-backend")
#: Matches `import … from './x'`, `export … from './x'` and `require('./x')`.
_RELATIVE_IMPORT = re.compile(r"""(?:from|require\()\s*['"](\.{1,2}/[^'"]+)['"]""")


def package_of(directory: Path | str) -> Path:
    """Return the folder of the proxy's package in a checkout.

    Args:
        directory: the package's folder, or the root of the repository.

    Raises:
        InputError: the directory is neither of these.
    """
    root = Path(directory)
    for candidate in (root, root / _PACKAGE):
        if (candidate / _ENTRY).is_file():
            return candidate
    raise InputError(str(directory), f"no {_ENTRY} there or in {_PACKAGE}", "a checkout's root or its package folder")


def backend_version(directory: Path | str) -> str | None:
    """Return the version in `package.json`, or None. Only the version and the hash together identify a program."""
    try:
        manifest = json.loads((package_of(directory) / "package.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    version = manifest.get("version") if isinstance(manifest, dict) else None
    return version if isinstance(version, str) else None


def source_hash(directory: Path | str) -> str:
    """Return the first 12 hex digits of the SHA-256 of the proxy's `server.ts` and the package files that `server.ts` imports.

    The hash includes file names. Line ends are normalised.
    """
    package = package_of(directory)
    seen: dict[str, bytes] = {}
    waiting = [package / _ENTRY]
    while waiting:
        file = waiting.pop()
        name = file.relative_to(package).as_posix()
        if name in seen:
            continue
        seen[name] = file.read_bytes().replace(b"\r\n", b"\n")
        for target in _RELATIVE_IMPORT.findall(seen[name].decode("utf-8", "replace")):
            path = (file.parent / target).resolve()
            found = next((each for each in (path, Path(f"{path}.ts"), path / "index.ts") if each.is_file()), None)
            if found is not None and found.is_relative_to(package.resolve()):
                waiting.append(package / found.relative_to(package.resolve()))
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(f"{name}\n{len(seen[name])}\n".encode())
        digest.update(seen[name])
    return digest.hexdigest()[:12]
