"""Runs `voicerace repro --app` with many options, and makes the tables of docs/repro-app.md from the results.

``python -m tests.component.app_runs CHECKOUT...`` writes data/repro-app.csv, and replaces the rows of these checkouts. Each has
its built component and its backend's packages. Chromium, Node.js 20 and npm are needed. ``--page docs/repro-app.md`` makes the
tables of the page again.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.component.twice import tag_of
from voicerace.captures.live.app_run import CAUSES
from voicerace.cli import main as voicerace
from voicerace.files import shipped, write_text
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import PROXIES

__all__ = ["FILE", "OPTIONS", "filled", "plan", "read", "tables"]

FILE: Final = "data/repro-app.csv"
#: Times of every run: the gap of a published log, and a tool behind HTTP.
OPTIONS: Final = ("--gap-ms", "8", "--tool-ms", "300", "--reply-ms", "1500", "--repeat-ms", "200")
_HEADS: Final = (
    "release", "cause", "handler", "strict", "connections", "settings", "results", "errors", "outcome", "models",
    "gap_ms", "room_ms", "dropped",
)  # fmt: skip
#: Handler styles of the runs with a cause: results that are returned, sent by `sendResponse`, and by the ref.
_SOME: Final = ("return", "async_send", "async_ref", "void_ref")

#: Number of runs after which Settings are no longer awaited.
_TRIES: Final = 4

Row = Mapping[str, str]


def plan() -> Iterator[tuple[str, str, bool]]:
    """Yield (cause, handler style, StrictMode) of each run."""
    for handler in HANDLERS:
        for strict in (True, False):
            yield "none", handler, strict
    for cause in CAUSES:
        if cause != "none":
            for handler in _SOME:
                yield cause, handler, True
    yield "leaky_effect", "async_send", False


def run(checkout: Path, tag: str, cause: str, handler: str, strict: bool, out: Path) -> Row:
    """Run the app once and return its row."""
    words = ["repro", "--app", "--checkout", str(checkout), *OPTIONS, "--handler", handler, "--cause", cause]
    words += ["--strict" if strict else "--no-strict", "--out", str(out), "--json"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = voicerace(words)
    if status != 0:
        raise RuntimeError(f"{tag} {cause} {handler}: exit status {status}")
    return _row(tag, json.loads(printed.getvalue()))


def _configured(checkout: Path, tag: str, cause: str, handler: str, strict: bool, out: Path) -> Row:
    """Run the app until the proxy gets Settings, at most `_TRIES` times: on a busy machine some forwarders drop them.

    The column ``dropped`` is the number of runs before.
    """
    dropped, row = 0, run(checkout, tag, cause, handler, strict, out)
    while row["settings"][0] == "0" and dropped < _TRIES - 1:
        dropped, row = dropped + 1, run(checkout, tag, cause, handler, strict, out)
    return {**row, "dropped": str(dropped)}


def _row(tag: str, found: Mapping[str, Any]) -> Row:
    # The session with the call is the first; later connections follow.
    sessions = found["sessions"]
    first = next((each for each in sessions if each["turns"] or each["results"]), sessions[0])
    return {
        "release": tag,
        "cause": found["cause"],
        "handler": found["handler"],
        "strict": "yes" if found["strict"] else "no",
        "connections": str(len(sessions)),
        "settings": " ".join(str(each["settings"]) for each in sessions),
        "results": " / ".join(_results(each["results"], bool(each["model_outcomes"])) for each in sessions),
        "errors": " ".join(each.partition(":")[0] for each in found["errors"]) or "none",
        "outcome": first["outcome"],
        "models": " ".join(first["model_outcomes"] or ()) or "none",
        "gap_ms": "" if first["gap_ms"] is None else f"{first['gap_ms']:.1f}",
        "room_ms": "" if first["room_ms"] is None else f"{first['room_ms']:.1f}",
    }


def _results(results: Sequence[Mapping[str, Any]], called: bool) -> str:
    """Return the results of a session with their times; without a call there is no time to count from."""
    names = ("error" if each["default_error"] else "result" for each in results)
    times = (f" {each['after_ms']:.0f}" if called else "" for each in results)
    return ", ".join(name + time for name, time in zip(names, times, strict=True)) or "none"


def read() -> list[Row]:
    """Return the kept rows, by release."""
    releases = list(PROXIES)
    rows = csv.DictReader(shipped(FILE).read_text("utf-8").splitlines())
    return sorted(rows, key=lambda row: releases.index(row["release"]))


def tables() -> dict[str, str]:
    """Return the generated parts of docs/repro-app.md by name."""
    rows = read()
    counts: dict[str, list[int]] = {}
    for row in rows:
        runs = counts.setdefault(row["release"], [0, 0])
        runs[0], runs[1] = runs[0] + int(row["dropped"]), runs[1] + 1 + int(row["dropped"])
    dropped = "; ".join(f"{tag}: {lost} of {runs} runs" for tag, (lost, runs) in counts.items())
    names = "".join(f"| `{name}` | {sentence} |\n" for name, sentence in CAUSES.items())
    return {
        "handlers": _table(_paired([row for row in rows if row["cause"] == "none"]), ("release", "handler")),
        "agreement": _agreement(rows),
        "dropped": f"{dropped}.\n",
        "names": f"| cause | what the app does |\n|---|---|\n{names}",
        "causes": _table([_cells(row) for row in rows if row["cause"] != "none"], ("release", "cause", "handler", "strict")),
    }


def _agreement(rows: Sequence[Row]) -> str:
    same = sum(row["outcome"] == row["models"].split()[0] for row in rows)
    near = sum(row["outcome"] in row["models"].split()[1:] for row in rows)
    other = len(rows) - same - near
    return (
        f"Of the {len(rows)} runs of this page, {same} have the models' outcome with the measured times, {near} one that the\n"
        f"models have with times a few ms away, {other} another one.\n"
    )


def _paired(rows: Sequence[Row]) -> list[Row]:
    """Return a row per release and handler style, with "A / B" for different values with and without StrictMode."""
    pairs: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["strict"], reverse=True):
        pairs.setdefault((row["release"], row["handler"]), []).append(row)
    order = list(dict.fromkeys((row["release"], row["handler"]) for row in rows))
    return [
        {name: " / ".join(dict.fromkeys(_cell(name, row) for row in pairs[key])) for name in pairs[key][0]} for key in order
    ]


def filled(page: str) -> str:
    """Return docs/repro-app.md with the current tables between its marks."""
    for name, table in tables().items():
        mark = re.escape(f"<!-- generated: {name} -->\n")
        page = re.sub(f"({mark}).*?(<!-- end -->)", lambda found, table=table: f"{found[1]}{table}{found[2]}", page, flags=re.S)
    return page


def _table(rows: Sequence[Row], keys: Sequence[str]) -> str:
    heads = {"strict": "StrictMode", "connections": "connections", "settings": "Settings per connection",
             "results": "results, ms from the request", "errors": "`onError`", "models": "models"}  # fmt: skip
    shown = (*keys, "connections", "settings", "results", "errors", "outcome", "models")
    lines = ["| " + " | ".join(heads.get(name, name) for name in shown) + " |", "|" + "---|" * len(shown)]
    lines += ["| " + " | ".join(row[name] for name in shown) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> Row:
    return {name: _cell(name, row) for name in row}


def _cell(name: str, row: Row) -> str:
    value = row[name]
    if name in ("handler", "cause"):
        return f"`{value}`"
    if name == "models":
        first, *others = value.split()
        return first + (f" (or {', '.join(others)})" if others else "")
    return value.replace("conversation_already_has_active_response", "refused") if name == "errors" else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.component.app_runs", description="Runs of the React app.")
    parser.add_argument("checkouts", nargs="*", type=Path, metavar="CHECKOUT", help="with the built component")
    parser.add_argument("--only", metavar="CAUSE", action="append", help="only these causes (repeatable)")
    parser.add_argument("--out", type=Path, default=Path(FILE), metavar="FILE")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="keep the runs here [removed at the end]")
    parser.add_argument("--page", type=Path, metavar="FILE", help="docs/repro-app.md, whose tables are made again")
    given = parser.parse_args(arguments)
    if given.page is not None:
        write_text(given.page, filled(given.page.read_text("utf-8")))
        return 0
    rows: dict[tuple[str, ...], Row] = {}
    if given.out.exists():
        rows = {_key(row): row for row in csv.DictReader(given.out.read_text("utf-8").splitlines())}
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.runs or Path(temporary)
        for checkout in given.checkouts:
            tag = tag_of(checkout)
            for cause, handler, strict in plan():
                if given.only is None or cause in given.only:
                    row = _configured(checkout, tag, cause, handler, strict, folder / tag)
                    rows[_key(row)] = row
                    _write(given.out, rows.values())
                    sys.stdout.write(f"{row}\n")
    return 0


def _key(row: Row) -> tuple[str, ...]:
    return row["release"], row["cause"], row["handler"], row["strict"]


def _write(path: Path, rows: Any) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, _HEADS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


if __name__ == "__main__":
    sys.exit(main())
