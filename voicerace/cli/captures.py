"""The verbs that read captures."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from tqdm import tqdm

from voicerace.captures import Capture, TimeProfile, inspect_lines, read_capture
from voicerace.captures.align import Aligned, pairs_of
from voicerace.captures.compare import compare_captures, compare_lines, partly_kept
from voicerace.captures.conclusion import conclusion_lines
from voicerace.captures.copies import FORMATS, exported, redacted
from voicerace.captures.reader import HAR
from voicerace.captures.show import inspect_json_text
from voicerace.cli import options
from voicerace.cli.printing import new_file, print_json, print_lines, writing
from voicerace.errors import InputError
from voicerace.experiments.checksums import listed, refuse_damaged
from voicerace.experiments.sweep.folder import RECORDINGS, RUN, read_run
from voicerace.files import takes_a_file, write_pieces
from voicerace.scrubber import printable

__all__ = ["compare", "export", "inspect", "reading", "redact"]

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="Console log of a proxy, HAR file, WebSocket cassette, or recording of voicerace."),
]
GivenRelease = Annotated[
    str | None,
    typer.Option("--release", metavar="TAG", help="Release of the proxy.", show_default="from the capture"),
]

#: Stage of reading -> unit of the stage's progress bar.
_UNITS: Final = {"reading": "B", "deriving": " sessions"}


def reading(file: Path, release: str | None = None) -> Capture:
    """Read a capture. Progress is shown on standard error if it is a terminal."""
    with ExitStack() as open_now:
        bars: dict[str, tqdm] = {}  # type: ignore[type-arg]

        def progress(what: str, done: int, of: int) -> None:
            if what not in bars:
                open_now.close()
                unit = _UNITS[what]
                made = tqdm(desc=what, total=of, file=sys.stderr, unit=unit, unit_scale=unit == "B", disable=None, leave=False)
                bars[what] = open_now.enter_context(made)
            bars[what].update(done - bars[what].n)

        return read_capture(file, release, progress)


def inspect(
    file: File,
    release: GivenRelease = None,
    host: Annotated[
        Path | None, typer.Option("--with", metavar="HAR", help="HAR file of the same sessions, recorded in the browser.")
    ] = None,
    times: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the measured times, which a sweep can use.")
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Show what a capture contains, session by session.

    The first three lines state what happened, why, and what to do.

    With --with, sessions in both files are aligned on the proxy's clock; the offset has an uncertainty.
    With --times, each measured time becomes a CSV file, and the options for a sweep that draws from them are printed.
    """
    capture = reading(file, release)
    found = [] if host is None else _pairs(capture, reading(host))
    profile = TimeProfile.of(capture) if times is not None else None
    given = profile.write(times) if profile is not None and times is not None else {}
    words = " ".join(f"--{name.replace('_', '-')} {text}" for name, text in given.items())
    if as_json:
        aligned = {} if host is None else {"aligned": [each.to_json() for each in found]}
        sweep = {} if profile is None else {"sweep_times": given, "sweep_notes": list(profile.notes)}
        for piece in inspect_json_text(capture, {**aligned, **sweep}):
            print(piece, end="")
    else:
        print_lines([*conclusion_lines(capture), ""])
        print_lines(inspect_lines(capture))
        print_lines(_choice(file, capture))
        print_lines(printable(each.line(), 400) for each in found)
        if profile is not None:
            print_lines([f"For a sweep: --trials 100 {words}", *(f"  {each}" for each in profile.notes)])
    return 0


def _choice(file: Path, capture: Capture) -> list[str]:
    """Return a list with a warning if a run's recordings are a biased sample of its sessions, else an empty list."""
    if (file / RUN).is_file() and read_run(file).get("end") is None:
        return ["The run has not ended: these are the recordings written so far; of a sweep, bad sessions before others."]
    if (run := partly_kept(file)) is None:
        return []
    kept = f"{len(capture.sessions)} of {len(run.table)} trials"
    return [f"Recordings of {kept}: bad sessions are kept before others, so shares are in the run's table."]


def _pairs(capture: Capture, other: Capture) -> list[Aligned]:
    """Return the aligned sessions of two captures. A HAR file in either position is the host's capture."""
    swapped = capture.format == HAR and other.format != HAR
    return pairs_of(capture, other) if swapped else pairs_of(other, capture)


def redact(
    file: File,
    out: options.Out = None,
    force: options.Force = False,
    keep_text: Annotated[
        bool,
        typer.Option(
            "--keep-text", help="Keep the texts of messages; secrets, headers, cookies and queries are removed all the same."
        ),
    ] = False,
) -> int:
    """Write a copy of a capture that is safe to share.

    It keeps times and known message types, fields and values.

    All other texts, numbers and keys become tokens; equal values become equal tokens. docs/capture-formats.md has the list.
    Without --out the copy is printed.
    """
    _put(redacted(file, keep_text=keep_text), file, out, force=force)
    if out is not None and takes_a_file(out):
        copy = reading(out)
        messages = sum(event.kind == "message" for each in copy.sessions for event in each.recording.events)
        print_lines([f"wrote {printable(str(out))}; sessions: {len(copy.sessions)}, messages: {messages}"])
    return 0


def export(
    file: File,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help=f"Output format: {' | '.join(FORMATS)}.")] = "perfetto",
    session: Annotated[int, typer.Option(metavar="N", min=1, help="Number of the session in the file, from 1.")] = 1,
    release: GivenRelease = None,
    out: options.Out = None,
    force: options.Force = False,
) -> int:
    """Convert one session to a Chrome trace or a Mermaid diagram.

    ui.perfetto.dev shows Chrome traces. The output has types of messages and no texts.
    """
    _put([exported(reading(file, release), to, session)], file, out, force=force)
    return 0


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Capture, or folder of a run.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Capture or folder to compare with A.")],
    release_a: Annotated[
        str | None, typer.Option(metavar="TAG", help="Release of the proxy in A.", show_default="from the capture")
    ] = None,
    release_b: Annotated[
        str | None, typer.Option(metavar="TAG", help="Release of the proxy in B.", show_default="from the capture")
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Compare two captures or runs: outcomes and times.

    Shares of sessions have confidence intervals.
    """
    for each in (a, b):
        if (each / RUN).is_file():
            refuse_damaged(each, listed(each), RECORDINGS)
    found = compare_captures(partly_kept(a) or reading(a, release_a), partly_kept(b) or reading(b, release_b))
    if as_json:
        print_json(found)
    else:
        print_lines(compare_lines(found))
    return 0


def _put(lines: Iterable[str], file: Path, out: Path | None, *, force: bool) -> None:
    """Print lines, or write them to `out`. The capture `file` is never overwritten, even with `force`."""
    if out is None:
        print_lines(lines)
        return
    if out.is_file() and file.exists() and out.samefile(file):
        raise InputError("out", f"{out} is the capture itself", "a new file")
    new_file(out, force=force)
    writing(out, lambda: write_pieces(out, (f"{line}\n".encode() for line in lines)))
