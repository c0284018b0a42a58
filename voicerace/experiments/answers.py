"""Computes how often each outcome occurs with times recorded at the real API, per release and handler style.

The sessions have the scenario `single` (one function call, one tool result), the profile `recorded-2026` and independent
draws. A cell is a combination of release, handler style and modality. All cells use the draws of a sweep with the same seed, so
they can be compared draw by draw. Releases whose proxies have the same settings share a cell, and so do handler styles for
which the component sends the same messages at the same times.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from tqdm import tqdm

from voicerace.analysis.outcomes import OUTCOMES
from voicerace.analysis.verdict import judge
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError, one_of
from voicerace.experiments.executors import Executor
from voicerace.experiments.rates import wilson
from voicerace.experiments.sweep.chunks import uncollected
from voicerace.experiments.sweep.spec import Plan, SweepSpec
from voicerace.files import shipped, write_text
from voicerace.model.catalog.profiles import RECORDED, RECORDED_TEXT_TIMES
from voicerace.model.catalog.releases import PROXIES, REFERENCE, component_for, proxy_release

__all__ = [
    "HANDLERS_ASKED",
    "Answer",
    "Cell",
    "cells",
    "draw",
    "markdown",
    "play",
    "program_of",
    "programs",
    "read",
    "shipped_answers",
]

#: Handler styles in the order of the table: styles with one result per call, then styles with two results.
HANDLERS_ASKED: Final = ("return", "async_send", "async_ref", "void_ref", "void_send")
MODALITIES: Final = ("audio", "text")
#: Handler style -> another style with the same messages at the same times on every connection.
SAME_MESSAGES: Final = {"async_send": "return", "void_send": "void_ref"}
#: Number of first draws whose outcomes are stored separately. They are replayed to detect a change of the models.
FIRST: Final = 20
_BLOCK: Final = 500
_COLUMNS: Final = ("release", "handler", "modality", "outcome", "count", "draws", "share", "low", "high", f"first_{FIRST}")


class Cell(NamedTuple):
    """Combination of release, handler style and modality."""

    release: str
    handler: str
    modality: str

    @property
    def spec(self) -> SweepSpec:
        """Spec of a sweep that consists of this cell's sessions."""
        return SweepSpec(
            releases=(self.release,),
            handlers=(self.handler,),
            modalities=(self.modality,),
            profile=RECORDED,
            times=RECORDED_TEXT_TIMES if self.modality == "text" else {},
            trials=10_000_000,
            ties=False,
        )


@dataclass
class Answer:
    """Outcomes of one cell.

    Attributes:
        counts: outcome -> number of draws.
        first: outcome -> number of draws among the first `FIRST`.
    """

    counts: Counter[str] = field(default_factory=Counter)
    first: Counter[str] = field(default_factory=Counter)

    @property
    def draws(self) -> int:
        return self.counts.total()

    def shares(self) -> Iterator[tuple[str, int, float, float, float]]:
        """Yield (outcome, count, share, low, high) of each observed outcome, with Wilson's 95 % interval."""
        for outcome in OUTCOMES:
            if count := self.counts[outcome]:
                yield outcome, count, count / self.draws, *wilson(count, self.draws)


def programs() -> dict[str, tuple[str, ...]]:
    """Return all tags of each program, by the first of these tags. The reference gate is last.

    Tags have the same program if all settings of their proxies and `default_error` of their components are equal. Other
    component settings (idle timeout, microphone, new connections) do not affect these sessions.
    """
    found: dict[object, list[str]] = {}
    for row in (*PROXIES.values(), REFERENCE):
        knobs = replace(row, tag="", backend="", published=None, source="", generation="")
        found.setdefault((knobs, component_for(row).default_error), []).append(row.tag)
    return {tags[0]: tuple(tags) for tags in found.values()}


def program_of() -> dict[str, str]:
    """Return, for each tag, the first tag with the same program (see `programs`). Answers are stored under the first tag."""
    return {tag: first for first, tags in programs().items() for tag in tags}


def cells(releases: Sequence[str] = (), handlers: Sequence[str] = (), modalities: Sequence[str] = ()) -> list[Cell]:
    """Return the cells of releases, handler styles and modalities. An empty argument selects all values.

    Raises:
        InputError: a name is unknown.
    """
    for name, given, allowed in (("handlers", handlers, HANDLERS_ASKED), ("modalities", modalities, MODALITIES)):
        for each in given:
            one_of(name, each, allowed)
    same = program_of()
    tags = dict.fromkeys(same[proxy_release(each, "releases").tag] for each in (releases or same))
    styles = dict.fromkeys(SAME_MESSAGES.get(each, each) for each in (handlers or HANDLERS_ASKED))
    return [Cell(tag, style, modality) for modality in (modalities or MODALITIES) for style in styles for tag in tags]


def draw(cell: Cell, start: int, stop: int) -> list[str]:
    """Return the outcomes of draws `start` to `stop` (exclusive), in order."""
    with uncollected():
        return [judge(simulate(session)).outcome for _, session in Plan.of(cell.spec).part(start, stop)]


@dataclass(frozen=True)
class _Work:
    """Function for `Executor.map` that plays one block of draws, given the block's index."""

    blocks: tuple[tuple[Cell, int, int], ...]

    def __call__(self, number: int) -> tuple[int, list[str]]:
        return number, draw(*self.blocks[number])


def play(
    found: dict[Cell, Answer], wanted: Sequence[Cell], draws: int, executor: Executor, progress: bool = True
) -> Iterator[Cell]:
    """Play blocks of draws until each cell has `draws` draws. Add outcomes to `found`, and yield the cell of each block.

    Raises:
        InputError: the first draws of a cell no longer have the outcomes stored in `found`.
    """
    blocks = []
    for cell in wanted:
        answer = found.setdefault(cell, Answer())
        if answer.draws and Counter(draw(cell, 0, min(FIRST, answer.draws))) != answer.first:
            raise InputError("out", f"{' '.join(cell)}: the models give other outcomes now", "a new file")
        blocks += [(start, (cell, start, min(start + _BLOCK, draws))) for start in range(answer.draws, draws, _BLOCK)]
    # Sorted by the first draw, so that an interrupted run has answers for all cells.
    blocks.sort(key=lambda each: each[0])
    work = _Work(tuple(block for _, block in blocks))
    waiting: dict[Cell, dict[int, list[str]]] = {}
    with (
        closing(executor.map(work, range(len(blocks)))) as done,
        tqdm(total=sum(stop - start for _, start, stop in work.blocks), unit="draw", disable=None if progress else True) as bar,
    ):
        for number, outcomes in done:
            cell, start, _ = work.blocks[number]
            waiting.setdefault(cell, {})[start] = outcomes
            answer = found[cell]
            while (following := waiting[cell].pop(answer.draws, None)) is not None:
                answer.first.update(following[: max(0, FIRST - answer.draws)])
                answer.counts.update(following)
            bar.update(len(outcomes))
            yield cell


def write(found: Mapping[Cell, Answer], path: Path) -> None:
    """Write the answers as CSV, with one row per cell and observed outcome."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_COLUMNS)
    for cell in cells():
        if (answer := found.get(cell)) is not None and answer.draws:
            for outcome, count, *numbers in answer.shares():
                shares = (f"{number:.6f}" for number in numbers)
                table.writerow([*cell, outcome, count, answer.draws, *shares, answer.first[outcome]])
    write_text(path, file.getvalue())


def read(path: Path) -> dict[Cell, Answer]:
    """Return the answers in a file that `write` has written.

    Raises:
        InputError: the file cannot be read, or has another format.
    """
    found: dict[Cell, Answer] = {}
    known = set(cells())
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                cell = Cell(row["release"], row["handler"], row["modality"])
                if cell not in known or row["outcome"] not in OUTCOMES:
                    raise InputError(
                        f"{path}:{number}", f"{' '.join(cell)} {row['outcome']}", "a cell and an outcome of this version"
                    )
                answer = found.setdefault(cell, Answer())
                answer.counts[row["outcome"]] += int(row["count"])
                answer.first[row["outcome"]] += int(row[f"first_{FIRST}"])
    except OSError as error:
        raise InputError(str(path), error.strerror or str(error), "a file of answers") from None
    except (KeyError, TypeError, ValueError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(str(path), f"{type(error).__name__}: {error}", f"columns {', '.join(_COLUMNS)}") from None
    return {cell: replace(answer, first=+answer.first) for cell, answer in found.items()}


def shipped_answers() -> dict[Cell, Answer]:
    """Return the answers in ``data/answers.csv``.

    Raises:
        InputError: the file is not part of this installation.
    """
    return read(shipped("data/answers.csv"))


def rows_of(found: Mapping[Cell, Answer]) -> Iterator[tuple[str, str, str, str, Answer]]:
    """Yield (tags of the program, first of these tags, handler, modality, answer) for every answer."""
    tags = programs()
    for modality in MODALITIES:
        for release, all_tags in tags.items():
            for handler in HANDLERS_ASKED:
                answer = found.get(Cell(release, SAME_MESSAGES.get(handler, handler), modality))
                if answer is not None:
                    yield ", ".join(all_tags), release, handler, modality, answer


def to_json(found: Mapping[Cell, Answer]) -> list[dict[str, Any]]:
    """Return one JSON object per row of `rows_of`: the tags, and the outcomes with shares and intervals."""
    return [
        {
            "releases": tags.split(", "),
            "handler": handler,
            "modality": modality,
            "draws": answer.draws,
            "outcomes": [
                {"outcome": outcome, "count": count, "share": share, "low": low, "high": high}
                for outcome, count, share, low, high in answer.shares()
            ],
        }
        for tags, _, handler, modality, answer in rows_of(found)
    ]


def outcome_text(answer: Answer) -> str:
    """Return the outcomes as text, most frequent first, with shares and intervals in percent and the number of draws."""
    parts = sorted(answer.shares(), key=lambda each: -each[1])
    words = (f"{outcome} {_percent(share)} [{_percent(low)}, {_percent(high)}]" for outcome, _, share, low, high in parts)
    return f"{', '.join(words)}, n = {answer.draws:,}"


def _percent(share: float) -> str:
    """Return a share in percent with two decimals, or with more decimals if it would be rounded to 0 or 100."""
    if share in (0, 1):
        return f"{share:.0%}"
    digits = 2
    while round(share, digits + 2) in (0, 1):
        digits += 1
    return f"{share:.{digits}%}"


def markdown(found: Mapping[Cell, Answer]) -> str:
    """Return the tables of docs/answers.md, one per modality, with a row per program and a column per group of handlers."""
    groups: dict[str, list[str]] = {}
    for handler in HANDLERS_ASKED:
        groups.setdefault(SAME_MESSAGES.get(handler, handler), []).append(handler)
    parts: list[str] = []
    for modality in MODALITIES:
        names = [" and ".join(f"`{each}`" for each in group) for group in groups.values()]
        parts += [f"## Replies in {modality}", "", f"| release | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
        for release, tags in programs().items():
            answers = [found.get(Cell(release, handler, modality)) for handler in groups]
            parts.append(f"| {', '.join(tags)} | {' | '.join('not played' if not a else outcome_text(a) for a in answers)} |")
        parts.append("")
    return "\n".join(parts)
