"""Prepare the folder of the reproduction's React app: its files, its npm packages, and the checkout of the component.

The app's sources are data of this package (`voicerace/repro_app`). An existing folder is used unchanged, so that a user can
change the app and run it again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicerace.engine.live.source import package_of
from voicerace.errors import InputError

__all__ = ["BROWSERS", "Programs", "built_checkout", "install", "make_folder", "programs"]

SOURCES: Final = Path(__file__).parents[2] / "repro_app"
#: Names of Chromium's program, in the order in which `programs` looks for them. `run.mjs` of the app has the same list.
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_COMPONENT: Final = Path("dist/index.esm.js")
_FORWARDER: Final = Path("src/attach-upgrade.js")
_PACKAGES: Final = ("esbuild", "react", "react-dom")
_INSTALL: Final = ("ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund")
_INSTALL_LIMIT_S: Final = 300


@dataclass(frozen=True)
class Programs:
    """Paths of the programs that run the app."""

    node: str
    npm: str
    chromium: str


def programs() -> Programs:
    """Find Node.js, npm and Chromium.

    Raises:
        InputError: one of them is not on the PATH.
    """
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    for name, found in (("node", shutil.which("node")), ("npm", shutil.which("npm")), ("chromium", chromium)):
        if found is None:
            needs = f"install it as one of {', '.join(BROWSERS)}" if name == "chromium" else "install Node.js 20, which has npm"
            raise InputError("app", f"no {name} on the PATH", needs)
    return Programs(shutil.which("node") or "", shutil.which("npm") or "", chromium or "")


def built_checkout(directory: Path) -> Path:
    """Return the absolute path of a checkout with the built component, the forwarder and the forwarder's dependencies.

    Raises:
        InputError: one of them is missing.
    """
    root = directory.absolute()
    if not (root / _COMPONENT).is_file():
        raise InputError("checkout", f"no {_COMPONENT} in {directory}", "build the component there: npm ci, npm run build")
    package = package_of(root)
    if not (package / _FORWARDER).is_file():
        raise InputError("checkout", f"no {_FORWARDER} in {package}", "a release from 0.9.0 on")
    if not (package / "node_modules" / "ws").is_dir():
        raise InputError("checkout", "its backend's dependencies are not installed", f"npm ci in {package}")
    return root


def make_folder(folder: Path) -> bool:
    """Write the app's files to `folder` and return True; return False if the folder already contains an app.

    Raises:
        InputError: the folder contains other files, or cannot be written.
    """
    if (folder / "run.mjs").is_file():
        return False
    if folder.exists() and any(folder.iterdir()):
        raise InputError("out", f"{folder} holds no app", "a new or an empty folder")
    try:
        shutil.copytree(SOURCES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "__pycache__", ".*"))
    except (OSError, shutil.Error) as error:
        raise InputError("out", f"{folder}: {getattr(error, 'strerror', None) or 'cannot be written'}") from None
    return True


def install(folder: Path, npm: str) -> bool:
    """Install the packages of the lock file and return True; return False if they are already installed.

    Raises:
        InputError: npm failed.
    """
    if all((folder / "node_modules" / name).is_dir() for name in _PACKAGES):
        return False
    try:
        run = subprocess.run(  # noqa: S603  # npm of the PATH
            [npm, *_INSTALL],
            cwd=folder,
            env={**os.environ, "CI": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_INSTALL_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError("npm", f"npm ci did not end within {_INSTALL_LIMIT_S} s", "a reachable registry") from None
    except OSError as error:
        raise InputError("npm", f"cannot be started: {error.strerror}") from None
    if run.returncode != 0:
        raise InputError("npm", f"npm ci failed: {_reason(run.stderr)}", f"see npm ci in {folder}")
    return True


def _reason(output: str) -> str:
    """Return the first line of npm's errors that contains more than a code."""
    lines = [line.partition("error")[2].strip() for line in output.splitlines() if line.startswith("npm error")]
    told = [line for line in lines if line and not line.startswith(("code ", "errno ", "A complete log"))]
    return (told or lines or ["no reason given"])[0][:200]
