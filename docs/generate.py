"""Write the pages that are made from tables: docs/commands.md, docs/times.md, docs/outcomes.md. `make docs` calls it.

In docs/release-facts.md it writes the parts between `<!-- generated: NAMES -->` and `<!-- end -->`: the output of `voicerace
releases`, or a table with a row per field of `ProxyRelease`, which lists the releases that have each value. In docs/fix.md it
writes the rules of the gate and the evidence in data/fix, in docs/clients.md the groups of cases, the outcomes in data/field,
and the rules and findings of the models of clients, in docs/explore.md the sizes and findings of data/explore, in
docs/vendor-tests.md the results in data/vendor-tests.csv.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from voicerace.analysis.outcomes import TABLE
from voicerace.cli import main
from voicerace.cli.app import VERBS
from voicerace.cli.verbs import load
from voicerace.conformance.fix.evidence import Played
from voicerace.experiments.client_checks import GROUPS
from voicerace.experiments.explore import matrix
from voicerace.experiments.explore.stories import ALL_STORIES
from voicerace.model.catalog.clients import CLIENTS, ClientRelease
from voicerace.model.catalog.gate_rules import RULES
from voicerace.model.catalog.profiles import PROFILES, TIMES
from voicerace.model.catalog.releases import PROXIES, ProxyRelease
from voicerace.report.notebook import field_tables

_HEAD = """# Every command

Made from the help of the commands by `make docs`. The option `--help` of a command prints the same. Options named `…-ms` are
times in milliseconds: `50`, one value per function call `50,80`, or a distribution ([how to write it](one-session.md#times)).
"""
_TIMES = """# The times of a session

Each is an option of `run` and `sweep` (`gap_ms` is `--gap-ms`) and a key of `times` in Python; all in milliseconds. The
profile (`--profile`) gives those that are not given: `loopback` has short fixed times for tests, `observed-2025` those of
one published log, `recorded-2026` those of the recordings in `data/api`. The source of each value is in
`voicerace/model/catalog/profiles.py`. [How to write a value](one-session.md#times). Made by `make docs`.
"""

_OUTCOMES = """# Outcomes

A tool turn has one outcome: the first row, from the top, whose rule matches. The rules are in
`voicerace/analysis/rules.py`, the texts in `voicerace/analysis/outcomes.py`. `unknown` has no rule: a turn is unknown if
the recording stops, or a required link was not observed, before another row is certain. A session has the outcome of its
turn with the highest severity.

| outcome | in pictures | severity | bad | meaning |
|---|---|---|---|---|
{rows}

`wedged`: the user's next input gets no reply either. `margin_ms`: the first request after the result arrives at the API,
minus the end of the active response. `lead_ms`: the result arrives at the proxy, minus `response.done` arrives there.

Made by `make docs`.
"""


def outcomes() -> str:
    """The text of docs/outcomes.md."""
    rows = []
    for row in TABLE.values():
        bad = "yes" if row.bad else "no"
        if row.unless_by:
            bad += f", unless by the {' or the '.join(row.unless_by)}"
        rows.append(f"| `{row.name}` | {row.glyph} | {row.severity} | {bad} | {row.meaning} |")
    return _OUTCOMES.format(rows="\n".join(rows))


def times() -> str:
    """The text of docs/times.md."""
    rows = [f"| time | meaning | {' | '.join(PROFILES)} |", "|---|---|" + "---|" * len(PROFILES)]
    for name, time in TIMES.items():
        values = (f"`{each.values[name]}`" if each.values[name] is not None else "not set" for each in PROFILES.values())
        rows.append(f"| `{name}` | {time.meaning} | {' | '.join(values)} |")
    return "\n".join([_TIMES, *rows, ""])


def commands() -> str:
    """The text of docs/commands.md."""
    parts, panel = [_HEAD], ""
    for name, verb in VERBS.items():
        if verb.panel != panel:
            panel = verb.panel
            parts.append(f"## {panel}\n")
        parts += _command(f"voicerace {name}", load(VERBS, name))
    return "\n".join(parts)


def _command(name: str, command: Any) -> Iterator[str]:
    for sub, each in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {sub}", each)
    if hasattr(command, "commands"):
        return
    context = typer.Context(command)
    usage = f"{name} {' '.join(each for each in command.collect_usage_pieces(context) if each != '[OPTIONS]')}".strip()
    yield f"### `{usage}`\n"
    yield " ".join((command.help or "").split()) + "\n"
    options = [each for each in command.get_params(context) if each.param_type_name == "option" and each.name != "help"]
    plain = [each for each in options if getattr(each, "rich_help_panel", None) != "Times"]
    if plain:
        yield "| option | meaning |\n|---|---|"
        for each in plain:
            text, meaning = each.get_help_record(context) or ("", "")
            yield f"| `{text}` | {meaning.replace('|', '·')} |"
        yield ""
    if len(plain) < len(options):
        yield "Every time of a session is an option, too: see [times](one-session.md#times).\n"


_HERE = Path(__file__).parent
_PART = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", flags=re.S)
#: Numbers of issues in the titles of the vendor's tests.
_ISSUE = re.compile(r" ?\(Issue #\d+\)|Issue #\d+( real-API)?: ")
#: Letters of the events in the table, in the order of a response.
_LETTERS = "TRAI"


def filled(page: str) -> str:
    """Return a page of docs/ with new generated parts. A name that is not in `_PARTS` is a field of `ProxyRelease`."""

    def part(found: re.Match[str]) -> str:
        names = found[2].split()
        return f"{found[1]}{_PARTS[names[0]]() if names[0] in _PARTS else _settings(names)}{found[3]}"

    return _PART.sub(part, (_HERE / page).read_text("utf-8"))


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    head, *body = (f"| {' | '.join(map(str, row))} |\n" for row in (heads, *rows))
    return "".join((head, "|---" * len(heads), "|\n", *body))


def _field() -> str:
    frame = field_tables.outcomes()
    return _table([*frame.columns], frame.itertuples(index=False, name=None))


def _client_rules() -> str:
    """Return a Markdown table with a row per client and a column per setting of `ClientRelease`."""
    names = [each.name for each in fields(ClientRelease) if each.name not in ("tag", "program", "source", "updates")]
    yes = {True: "yes", False: "no"}

    def text(value: Any) -> str:
        return yes[value] if isinstance(value, bool) else ", ".join(sorted(value)) if isinstance(value, frozenset) else value

    rows = ([row.tag, *(text(getattr(row, name)) or "nothing" for name in names)] for row in CLIENTS.values())
    return _table(("client", *(f"`{name}`" for name in names)), rows)


def _client_sources() -> str:
    return _table(("client", "version", "source of the rules"), ((r.tag, r.program, f"`{r.source}`") for r in CLIENTS.values()))


def _client_findings() -> str:
    """Return a Markdown table with a row per finding of data/explore/clients."""
    folder, rows = _HERE.parent / "data" / "explore" / "clients", []
    for path in sorted(folder.glob("*.json")):
        live = path.with_name(f"{path.stem}-live.csv")
        played = {row["name"]: row for row in csv.DictReader(live.read_text("utf-8").splitlines())} if live.exists() else {}
        for each in json.loads(path.read_text("utf-8"))["findings"]:
            row = played.get(each["name"])
            seen = "not played" if row is None else "yes" if row["confirmed"] == "true" else row["came_to"]
            rows.append((path.stem, each["story"], f"`{each['name']}`", f"{each['room_ms']:g}", seen))
    return _table(("file", "scenario", "finding", "room, ms", "confirmed on the running client"), rows)


def _formulas() -> str:
    """Return a Markdown table with a row per outcome of each formula in data/formulas."""
    rows = []
    for file in sorted((_HERE.parent / "data" / "formulas").glob("*.json")):
        for each in json.loads(file.read_text("utf-8"))["formulas"]:
            usual = PROFILES["loopback"].values
            story = (each["release"], each["scenario"], f"`{each['handler']}`")
            fixed = ", ".join(f"`{n}` {value}" for n, value in each["constants"].items() if usual.get(n) != value)
            rows += [(*story, f"`{outcome}`", f"`{text}`", fixed) for outcome, text in each["formulas"].items()]
    return _table(("release", "scenario", "handler", "outcome", "exactly if", "other constants"), rows)


def _gate_rules() -> str:
    return _table(("rule", "meaning"), ((f"`{name}`", text) for name, text in RULES.items()))


def _fixes() -> str:
    """Return a Markdown table with a row per release in data/fix."""
    rows = []
    for file in sorted((_HERE.parent / "data" / "fix").glob("*.json")):
        record = json.loads(file.read_text("utf-8"))
        before, after, cost = Played(**record["before"]), Played(**record["after"]), record["cost"]
        failed = f"{before.failed} ({before.words})", after.failed
        patch, latency = f"+{record['added']} -{record['removed']}", f"{cost['before_ms']:.0f}, {cost['after_ms']:.0f}"
        rows.append((record["release"], after.sessions, *failed, patch, latency))
    return _table(("release", "sessions", "failed before", "failed after", "patch, lines", "latency, ms"), rows)


def _vendor_rows() -> list[dict[str, str]]:
    return list(csv.DictReader((_HERE.parent / "data" / "vendor-tests.csv").read_text("utf-8").splitlines()))


def _vendor_counts() -> str:
    """Return a Markdown table with the number of tests and sessions per suite in data/vendor-tests.csv."""
    shown = []
    for suite, rows in groupby(_vendor_rows(), key=lambda row: row["suite"]):
        own = list(rows)
        results = [
            " / ".join(str(sum(row[run] == status for row in own)) for run in ("before", "captured"))
            for status in ("passed", "failed", "skipped")
        ]
        sessions = [outcome for row in own for outcome in row["sessions"].split(", ") if outcome]
        called = [outcome for outcome in sessions if not outcome.startswith("unknown")]
        shown.append((suite, *results, len(sessions), len(called), sum(int(row["refusals"]) for row in own)))
    return _table(("suite", "passed", "failed", "skipped", "sessions", "with a function call", "refusals"), shown)


def _vendor_tests() -> str:
    """Return a Markdown table with a row per test in data/vendor-tests.csv that was not skipped."""
    shown = []
    for row in _vendor_rows():
        if row["captured"] == "skipped":
            continue
        same = row["before"] == row["captured"]
        result = row["captured"] if same else f"{row['before']}, then {row['captured']}"
        refused = f" ({row['refusals']} refused)" if int(row["refusals"]) else ""
        sessions = row["sessions"].replace("unknown", "no call") + refused
        shown.append((row["suite"], _ISSUE.sub("", row["test"]), result, sessions, row["why"]))
    return _table(("suite", "test", "result", "sessions", "first line of the reason"), shown)


def _explorations() -> str:
    """Return a Markdown table with a row per file of data/explore."""
    heads = ("release", "pairs", "explored whole", "states", "findings", "seconds", "memory of the largest process")
    rows = []
    for each in matrix.stored():
        record = each.record
        sizes = f"{record['states']:,}", len(record["findings"]), f"{record['seconds']:.0f}", f"{record['peak_rss_mb']} MB"
        rows.append((each.release, len(each.cells), each.whole, *sizes))
    return _table(heads, rows)


#: Handlers of a cell in the table of what was found.
_HANDLERS = ("return", "async_ref", "void_ref", "ref_now")


def _explored() -> str:
    """Return a Markdown table with a row per scenario and a column per release."""

    def cell(each: matrix.Exploration, story: str) -> str:
        found = [each.cells.get((story, handler)) for handler in _HANDLERS]
        return " · ".join("–" if one is None else f"{one.findings}{'' if one.whole else '*'}" for one in found)

    explorations = matrix.stored()
    rows = ((f"`{story}`", row.sentence, *(cell(each, story) for each in explorations)) for story, row in ALL_STORIES.items())
    return _table(("scenario", "what happens", *(each.release for each in explorations)), rows)


def _printed_releases() -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(["releases"])
    return f"```\n$ .venv/bin/voicerace releases\n{out.getvalue()}```\n"


def _settings(fields: list[str]) -> str:
    """Return a table with a row per field: each value with the releases that have it, in the order of the catalog."""
    return _table(("setting", "value, releases"), map(_row, fields))


def _row(field: str) -> tuple[str, str]:
    runs = groupby(PROXIES.values(), key=lambda release: _value(release, field))
    ranges = [(value, [release.tag for release in releases]) for value, releases in runs]
    cells = [f"`{value}` {tags[0] if len(tags) == 1 else f'{tags[0]} to {tags[-1]}'}" for value, tags in ranges]
    return f"`{field}`", "; ".join(cells)


def _value(release: ProxyRelease, field: str) -> str:
    value = getattr(release, field)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return " ".join(sorted(value, key=lambda each: (_LETTERS.find(each), each)))
    return str(value)


#: Name of a generated part -> function that returns its text.
_PARTS: dict[str, Callable[[], str]] = {
    "releases": _printed_releases,
    "gate_rules": _gate_rules,
    "fix": _fixes,
    "field": _field,
    "vendor_counts": _vendor_counts,
    "vendor_tests": _vendor_tests,
    "explorations": _explorations,
    "explored": _explored,
    "client_rules": _client_rules,
    "client_sources": _client_sources,
    "client_findings": _client_findings,
    "formulas": _formulas,
    "groups": lambda: _table(("group", "what it tests"), GROUPS.items()),
}


#: Pages with generated parts.
_FILLED = ("release-facts.md", "fix.md", "clients.md", "explore.md", "formula.md", "vendor-tests.md")


def pages() -> dict[str, str]:
    """Return the text of each generated page in docs/, by name."""
    return {
        "commands.md": commands(),
        "times.md": times(),
        "outcomes.md": outcomes(),
        **{name: filled(name) for name in _FILLED},
    }


if __name__ == "__main__":
    for name, text in pages().items():
        Path(__file__).with_name(name).write_text(text, "utf-8")
