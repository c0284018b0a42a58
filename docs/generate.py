"""Write the pages that are made from tables: docs/commands.md, docs/times.md, docs/outcomes.md. `make docs` calls it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from voicerace.analysis.outcomes import markdown as outcomes
from voicerace.cli.app import VERBS
from voicerace.cli.verbs import load
from voicerace.model.catalog.profiles import PROFILES, TIMES

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
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    plain = [each for each in options if getattr(each, "rich_help_panel", None) != "Times"]
    if plain:
        yield "| option | meaning |\n|---|---|"
        for each in plain:
            text, meaning = each.get_help_record(context) or ("", "")
            yield f"| `{text}` | {meaning.replace('|', '·')} |"
        yield ""
    if len(plain) < len(options):
        yield "Every time of a session is an option, too: see [times](one-session.md#times).\n"


def pages() -> dict[str, str]:
    """Name of a page in docs/ -> its text."""
    return {"commands.md": commands(), "times.md": times(), "outcomes.md": outcomes()}


if __name__ == "__main__":
    for name, text in pages().items():
        Path(__file__).with_name(name).write_text(text, "utf-8")
