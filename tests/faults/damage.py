"""Tests that a damaged capture has no wrong count that is marked as certain: `python -m tests.faults.damage`.

Each sample is cut at 200 places. Its lines are dropped, doubled and moved, its bytes are flipped, and `<script>` and terminal
escapes are inserted in its names and texts. The reader must read the rest or refuse the file with an error of one line. Every
count and outcome that is marked as certain must equal that of the complete file. The reader must report unread parts. `make
faults` runs every sample, and `tests/test_capture_damage.py` runs some.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from voicerace.captures import Capture, inspect_json, inspect_lines, read_capture
from voicerace.captures.reader import CONSOLE
from voicerace.errors import InputError

__all__ = ["DAMAGES", "EVIL", "Sample", "damaged", "read", "samples", "wrong"]

ROOT: Final = Path(__file__).parents[2]
CERTAIN: Final = ("observed", "derived")
EVIL: Final = ("<script>alert(1)</script>", "\\x1B[2J\\x1B]0;x\\x07", "\u202e", "{", "}", "'")


@dataclass(frozen=True)
class Sample:
    """A complete capture.

    Attributes:
        name: name of its file.
        data: its uncompressed bytes.
        truth: the result of reading it.
    """

    name: str
    data: bytes
    truth: Capture

    @classmethod
    def of(cls, path: Path) -> Sample:
        data = path.read_bytes()
        return cls(path.name, gzip.decompress(data) if path.suffix == ".gz" else data, read_capture(path))


def samples() -> Iterator[Path]:
    """Yield the path of every capture in the repository, and in the folder of shared captures if this folder exists."""
    yield from sorted((ROOT / "data" / "logs").glob("**/*.gz"))
    yield from sorted(each for each in (ROOT / "tests" / "data").iterdir() if each.suffix in (".log", ".har"))
    yield from sorted((ROOT.parent / "shared" / "captures").glob("*.log"))


# -- damage ------------------------------------------------------------------------------------------------------------


def dropped(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    gone = set(rng.sample(range(len(lines)), min(3, len(lines))))
    return b"\n".join(line for at, line in enumerate(lines) if at not in gone)


def doubled(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    twice = set(rng.sample(range(len(lines)), min(3, len(lines))))
    return b"\n".join(each for at, line in enumerate(lines) for each in [line] * (1 + (at in twice)))


def reordered(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines.insert(b, lines.pop(a))
    return b"\n".join(lines)


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(3):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


DAMAGES: Final[dict[str, Callable[[bytes, random.Random], bytes]]] = {
    "dropped": dropped, "doubled": doubled, "reordered": reordered, "flipped": flipped,
}  # fmt: skip


def evil(data: bytes, word: str) -> bytes:
    """Return the data with `word` in connection names and in place of message texts."""
    text = data.decode()
    for name in ("c1", "c2", "c3"):
        text = text.replace(f"connection_id: '{name}'", f"connection_id: `{name}{word}`")
    quoted = json.dumps(word)[1:-1] if text.startswith('{"') else word
    return text.replace("Lisbon", quoted).replace("weather", quoted).encode()


def damaged(sample: Sample, cuts: int, others: int) -> Iterator[tuple[str, bytes]]:
    """Yield (kind of damage, damaged bytes) of one sample. The sample's name determines the random choices."""
    rng = random.Random(sample.name)
    for number in range(cuts):
        yield "cut", sample.data[: len(sample.data) * (number + 1) // (cuts + 1)]
    # A flipped byte in a recording or a HAR file can give another valid message, which no reader can detect.
    kinds = [name for name in DAMAGES if name != "flipped" or sample.truth.format == CONSOLE]
    for name in kinds:
        for _ in range(others):
            yield name, DAMAGES[name](sample.data, rng)
    for word in EVIL if others else ():
        yield "evil", evil(sample.data, word)


# -- checks on the damaged capture --------------------------------------------------------------------------------------


def read(path: Path, data: bytes) -> Capture | None:
    """Read a file with these bytes and check that the result is printable. Return the capture, or None for a refused file."""
    path.write_bytes(data)
    try:
        capture = read_capture(path)
    except InputError as error:
        if not str(error).isprintable():
            raise AssertionError("an error that does not print") from None
        return None
    shown = json.dumps(inspect_json(capture), allow_nan=False)
    assert all(line.isprintable() for line in inspect_lines(capture)), "a line that does not print"
    assert "\x1b" not in shown
    return capture


def counts(capture: Capture) -> dict[str, dict[str, tuple[int | None, str]]]:
    return {of.connection: {name: (c.value, c.kind) for name, c in of.counts.items()} for of in capture.sessions}


def wrong(capture: Capture, truth: Capture) -> list[str]:
    """Return a description of each count or outcome that is marked as certain but differs from the complete file."""
    true, found = counts(truth), []
    outcomes = {of.connection: of.outcome for of in truth.sessions}
    for of in capture.sessions:
        for name, count in of.counts.items():
            expected = true.get(of.connection, {}).get(name)
            if count.kind in CERTAIN and (expected is None or count.value != expected[0]):
                found.append(f"{of.connection} {name}: {count.kind} {count.value}, but {expected}")
        if of.outcome not in ("unknown", outcomes.get(of.connection)):
            found.append(f"{of.connection}: {of.outcome}, but {outcomes.get(of.connection)}")
    return found


def silent(capture: Capture, sample: Sample, kind: str, data: bytes) -> list[str]:
    """Return a description of records that are missing without a report of unread records in the capture."""
    if sample.truth.format != CONSOLE or capture.unread_records:
        return []
    if kind == "cut":
        begun = b"\n{\n" in data.rpartition(b"\n}\n")[2] and not data.endswith(b"\n}")
        return ["a record that is cut is not reported"] if begun else []
    gone = sample.truth.records - capture.records
    return [f"{gone} records are missing and not reported"] if gone > 0 else []


@dataclass
class DamageResult:
    """The results of the damaged versions of a sample. `found` contains descriptions of the failures."""

    counts: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)


def try_all(sample: Sample, cuts: int, others: int, folder: Path) -> DamageResult:
    """Read a sample with every kind of damage and return the results."""
    result = DamageResult()
    path = folder / sample.name.removesuffix(".gz")
    for number, (kind, data) in enumerate(damaged(sample, cuts, others)):
        try:
            capture = read(path, data)
            said = [] if capture is None else silent(capture, sample, kind, data)
            # With replaced names, connections differ from those of the complete file, so their counts are not compared.
            said += [] if capture is None or kind == "evil" else wrong(capture, sample.truth)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            capture, said = None, [f"{type(error).__name__}: {error} at {Path(where.filename).name}:{where.lineno}"]
        result.counts[kind] += 1
        result.counts["refused" if capture is None else "with gaps" if capture.unread else "read"] += 1
        result.found += [f"{sample.name} {kind} {number}: {each}" for each in said]
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.damage", description=__doc__)
    parser.add_argument("--cuts", type=int, default=200, help="cut positions per sample [200]")
    parser.add_argument("--others", type=int, default=15, help="of each other kind, per sample [15]")
    parser.add_argument("--only", action="append", help="part of a sample's name, repeatable [all]")
    given = parser.parse_args()
    total, bad, began = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for path in samples():
            if given.only and not any(each in path.name for each in given.only):
                continue
            try:
                sample = Sample.of(path)
            except InputError:
                continue  # the log has no records, and other tests check that the reader refuses it
            result = try_all(sample, given.cuts, given.others, Path(folder))
            kinds = sum(result.counts[each] for each in ("cut", "evil", *DAMAGES))
            total, bad = total + kinds, bad + len(result.found)
            said = ", ".join(f"{count} {name}" for name, count in result.counts.items())
            print(f"{path.name:<28}{kinds:>5} damages  {len(result.found)} wrong  {said}", flush=True)
            for each in result.found[:10]:
                print(f"  {each}", flush=True)
    print(f"{total} damages, {bad} wrong, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
