"""Stores SHA-256 checksums of a run's parts and recordings in a file that `sha256sum --check` reads.

The checksum of a file is written before the file, so every complete file of a killed sweep can be verified. The list can
therefore contain a file that was never written. If a file has several checksums, the last one applies.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from voicerace.errors import InputError
from voicerace.files import write_bytes, write_text

__all__ = ["CHECKSUMS", "Checksums", "changed", "existing", "listed", "refuse_damaged"]

CHECKSUMS: Final = "checksums.sha256"
#: Folders of a run for whose files checksums are stored.
_FOLDERS: Final = ("recordings", "table")
_LINE: Final = re.compile(rf"([0-9a-f]{{64}})  ((?:{'|'.join(_FOLDERS)})/[^/]+)")


class Checksums:
    """Writes files of a run, and their checksums.

    Args:
        folder: folder of the run.
        known: checksums of existing files by path in the folder, or None for a new run.
    """

    def __init__(self, folder: Path, known: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._known = dict(known or {})
        if known is not None:
            self.finish()

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write the checksums of files, then the files in order. Each file is written completely or not at all.

        Args:
            files: path in the folder -> content.

        Raises:
            OSError: a file cannot be written; later files are not written.
        """
        found = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        with (self._folder / CHECKSUMS).open("ab") as file:
            file.write(_text(found).encode())
            file.flush()
            os.fsync(file.fileno())
        self._known |= found
        for name, content in files.items():
            write_bytes(self._folder / name, content)

    def finish(self) -> None:
        """Keep one line per existing file, sorted by name, so that equal runs have equal checksum files."""
        present = {*existing(self._folder)}
        self._known = {name: found for name, found in sorted(self._known.items()) if name in present}
        if self._known or (self._folder / CHECKSUMS).exists():
            write_text(self._folder / CHECKSUMS, _text(self._known))


def listed(folder: Path) -> dict[str, str] | None:
    """Return checksums by path in the folder, or None for a run without checksums.

    Raises:
        InputError: the checksums cannot be read.
    """
    try:
        text = (folder / CHECKSUMS).read_text("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(str(folder / CHECKSUMS), error.strerror or "cannot be read", "a file as the sweep wrote it") from None
    # A truncated line is skipped, because the file that it names was not written.
    return {found[2]: found[1] for line in text.split("\n") if (found := _LINE.fullmatch(line))}


def changed(folder: Path, known: Mapping[str, str], inside: Collection[str] = _FOLDERS) -> Iterator[tuple[str, str]]:
    """Read every file, and yield (path in the folder, fault) for each file that is not as the run wrote it.

    Args:
        folder: folder of the run.
        known: see `listed`.
        inside: folders, or single files, to read.
    """
    folders = [each for each in inside if "/" not in each]
    files = {*existing(folder, folders), *(name for name in known if name.partition("/")[0] in folders)}
    for name in sorted(files | ({*inside} - {*folders})):
        wrong = _wrong(folder / name, known[name]) if name in known else "not a file of this run: it has no checksum"
        if wrong is not None:
            yield name, wrong


def refuse_damaged(folder: Path, known: Mapping[str, str] | None, *inside: str) -> None:
    """Verify the files of a run that has ended.

    Args:
        folder, inside: see `changed`.
        known: see `listed`; None skips the verification.

    Raises:
        InputError: a file was changed or added, or is missing; the error names the first such file.
    """
    for name, wrong in changed(folder, known, inside) if known is not None else ():
        raise InputError(str(folder / name), wrong, "the sweep's command with --resume replays the damaged trials")


def _wrong(file: Path, checksum: str) -> str | None:
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return error.strerror or "cannot be read"
    return None if found == checksum else "damaged: its content is not what the sweep wrote (SHA-256 differs)"


def existing(folder: Path, inside: Collection[str] = _FOLDERS) -> list[str]:
    """Return the sorted paths of the files in `inside`. Unfinished files, whose names begin with a dot, are left out."""
    return sorted(
        f"{name}/{each.name}"
        for name in inside
        if (folder / name).is_dir()
        for each in (folder / name).iterdir()
        if not each.name.startswith(".")
    )


def _text(found: Mapping[str, str]) -> str:
    return "".join(f"{checksum}  {name}\n" for name, checksum in found.items())
