"""Print a page as PDF with an installed Chromium, headless and without network."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from voicerace.errors import InputError
from voicerace.files import write_bytes

__all__ = ["browser", "print_pdf"]

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_TIMEOUT_S: Final = 120


def browser() -> str:
    """Return the path of an installed Chromium.

    Raises:
        InputError: no Chromium is installed.
    """
    for name in _NAMES:
        if (found := shutil.which(name)) is not None:
            return found
    raise InputError(
        "pdf", "no Chromium on this machine", f"one of {', '.join(_NAMES)} on the PATH; or print the page from a browser"
    )


def print_pdf(chromium: str, page: Path, pdf: Path) -> None:
    """Print a page to a PDF file. No file is written if the browser fails.

    Raises:
        InputError: the browser failed. The error contains the last line of the browser's output.
    """
    try:
        pdf.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="voicerace-", dir=pdf.parent) as folder:
            made = Path(folder) / "page.pdf"
            command = [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--no-pdf-header-footer",
                f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}", page.resolve().as_uri(),
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603  # no shell
            if done.returncode or not made.is_file():
                last = (done.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
                raise InputError("pdf", f"{Path(chromium).name} failed: {last[:200]}", "print the page from a browser")
            content = made.read_bytes()
            # on a full disk, Chromium exits with code 0 but writes an incomplete file
            if not (content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")):
                raise InputError("pdf", f"{pdf}: cut off after {len(content)} bytes", "a folder with enough free space")
            write_bytes(pdf, content)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError("pdf", f"{pdf}: {error}", "a writable file") from None
