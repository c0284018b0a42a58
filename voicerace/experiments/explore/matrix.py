"""Matrix of stored explorations: what was found per scenario, handler style and release."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicerace.errors import InputError
from voicerace.experiments.explore.stories import ALL_STORIES
from voicerace.files import shipped
from voicerace.model.catalog.handlers import HANDLERS

__all__ = ["Cell", "Exploration", "rows", "stored"]


@dataclass(frozen=True)
class Cell:
    """Result of one pair of scenario and handler style.

    Attributes:
        findings: number of findings with this pair.
        outcomes: their outcomes.
        whole: whether every order was explored.
    """

    findings: int
    outcomes: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        end = "" if self.whole else ", not whole"
        return f"{self.findings}{': ' if self.outcomes else ''}{' '.join(self.outcomes)}{end}"


@dataclass(frozen=True)
class Exploration:
    """Stored exploration of one release. `cells`: results by (scenario, handler). `record`: content of the file."""

    release: str
    cells: Mapping[tuple[str, str], Cell]
    record: Mapping[str, Any]

    @property
    def whole(self) -> int:
        """Number of pairs explored whole."""
        return sum(each.whole for each in self.cells.values())


def stored(releases: Sequence[str] = ()) -> list[Exploration]:
    """Return the explorations in data/explore, or those of some releases.

    Raises:
        InputError: a release has no file, or a file is not from `voicerace explore --out`.
    """
    folder = shipped("data/explore")
    files = {path.stem: path for path in sorted(folder.glob("*.json"), key=_order)}
    if missing := [each for each in releases if each not in files]:
        raise InputError("release", f"{missing[0]} has no file in data/explore", f"allowed are {', '.join(files)}")
    return [_read(files[each]) for each in releases or files]


def _order(path: Path) -> tuple[bool, list[int], str]:
    numbers = [int(part) for part in path.stem.split(".") if part.isdigit()]
    return not numbers, numbers, path.stem


def _read(path: Path) -> Exploration:
    try:
        record = json.loads(path.read_text("utf-8"))
        cells = {
            (str(each["story"]), str(each["handler"])): Cell(
                int(each["findings"]), tuple(each.get("outcomes", ())), bool(each["complete"])
            )
            for each in record["stories"]
        }
        return Exploration(str(record["release"]), cells, record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(path.name, str(error), "a file of `voicerace explore --out`") from None


def rows(explorations: Sequence[Exploration]) -> Iterator[tuple[str, str, list[Cell | None]]]:
    """Yield (scenario, handler, one cell per exploration) for each pair that an exploration has. None: not explored."""
    for story in ALL_STORIES:
        for handler in HANDLERS:
            cells = [each.cells.get((story, handler)) for each in explorations]
            if any(cells):
                yield story, handler, cells
