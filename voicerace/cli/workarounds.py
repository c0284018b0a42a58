"""The verb `workarounds`: show the effects and the costs of workarounds in an app."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from voicerace.cli import options
from voicerace.cli.printing import Steps, print_json, print_lines, writable, writing
from voicerace.cli.tables import print_table
from voicerace.cli.targets import Targets, takes_targets
from voicerace.engine.live.play import upstream_of
from voicerace.errors import InputError
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.workarounds import BOUNDS, Effect, effect_of
from voicerace.experiments.workarounds_live import COLUMNS, Tried, cells_of, tried
from voicerace.files import write_text
from voicerace.model.catalog.releases import proxy_release
from voicerace.model.catalog.workarounds import WORKAROUNDS
from voicerace.model.catalog.workarounds import workaround as row_of
from voicerace.report.notebook.path_tables import kept_workarounds

__all__ = ["workarounds"]

#: Default of --release: one release per generation.
_RELEASES = ("0.9.1", "0.9.4", "0.10.2", "0.11.1")


@takes_targets
def workarounds(
    targets: Targets,
    release: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG", help="Release of the proxy (repeatable).", show_default=", ".join(_RELEASES)),
    ] = None,
    workaround: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Workaround (repeatable): {' | '.join(WORKAROUNDS)}.", show_default="all"),
    ] = None,
    bounds: options.BoundsOption = None,
    max_states: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="With --again: maximum number of states per scenario.", show_default="20000"),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Explore anew, which takes minutes, instead of showing the stored result.")
    ] = False,
    tries: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=100, help="With --live: maximum number of tries per session.", show_default="3"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write the result: JSON, or with --live CSV with a row per session."),
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Show which workarounds an app can use, per release, and their cost.

    All of them need only the public API of the component.

    The result of an exploration is stored in data/workarounds.json; --again explores with other bounds or releases.
    With --live it plays sessions in which an app without workaround may fail, with each workaround, on real sockets, and
    compares them with the models. --proxy is repeatable.
    """
    names = options.names_given(workaround) or list(WORKAROUNDS)
    releases = options.names_given(release)
    for name in names:
        row_of(name)
    if targets.live:
        for name, given in {"bounds": bounds, "json": as_json, "again": again, "max_states": max_states}.items():
            if given:
                raise InputError(name, "given with --live", "only without --live")
        return _tried(targets, releases, names, tries or 3, out)
    targets.refuse_in_virtual_time(tries=tries)
    tags = [proxy_release(each).tag for each in releases or _RELEASES]
    Bounds.of((*BOUNDS, *(bounds or ())))
    for name, given in {"bounds": bounds, "max_states": max_states}.items():
        if given and not again:
            raise InputError(name, "given without --again", "add --again, which explores instead of showing the stored result")
    writable(out)
    record, effects = _explored(tags, names, bounds or [], max_states or 20_000, out) if again else _kept(tags, names, out)
    if as_json:
        print_json({**record, "effects": [each.to_json() for each in effects]})
        return 0
    kept = "explored now" if again else "kept in data/workarounds.json (--again explores anew)"
    line = f"{kept}: at most {record['max_states']} states per story, bounds {', '.join(record['bounds'])} ms"
    print_lines(textwrap.wrap(line, 100, subsequent_indent="  "))
    print_lines([""])
    for tag in tags:
        _show(tag, [each for each in effects if each.release == tag])
    for name in names:
        row = WORKAROUNDS[name]
        print_lines([f"{name}: {row.sentence}", f"costs: {row.costs}", "", row.typescript, ""])
    return 0


_Found = tuple[dict[str, Any], list[Effect]]


def _kept(tags: list[str], names: list[str], out: Path | None) -> _Found:
    """Return (parameters, effects) of the stored exploration, and write them to `out` if it is given.

    Raises:
        InputError: an effect is not stored.
    """
    found = kept_workarounds()
    if not found:
        raise InputError("data/workarounds.json", "is not part of this installation", "add --again, which explores")
    ((record, effects),) = found
    stored = {(each.release, each.workaround): each for each in effects}
    for tag in tags:
        for name in names:
            if (tag, name) not in stored:
                kept = ", ".join(dict.fromkeys(each.release for each in effects))
                raise InputError(
                    "release", f"no result for {tag} with {name} is kept", f"kept are {kept}; --again explores others"
                )
    chosen = [stored[tag, name] for tag in tags for name in names]
    if out is not None:
        _write_json(out, record, chosen)
    return record, chosen


def _explored(tags: list[str], names: list[str], bounds: list[str], max_states: int, out: Path | None) -> _Found:
    """Explore every workaround on every release; return (parameters, effects). Each effect is written to `out`."""
    effects: list[Effect] = []
    record: dict[str, Any] = {"schema": 1, "max_states": max_states, "bounds": [*BOUNDS, *bounds]}
    with Steps(len(tags) * len(names), "workaround") as steps:
        for tag in tags:
            for name in names:
                steps.begin(f"{tag} {name}")
                effects.append(effect_of(tag, name, times=bounds, limit=max_states))
                steps.done()
                if out is not None:
                    # Write each effect at once, so that an interrupted exploration keeps its effects.
                    _write_json(out, record, effects)
    return record, effects


def _write_json(path: Path, record: dict[str, Any], effects: list[Effect]) -> None:
    content = {**record, "effects": [each.to_json() for each in effects]}
    writing(path, lambda: write_text(path, json.dumps(content, indent=1) + "\n"))


def _tried(targets: Targets, releases: list[str], names: list[str], tries: int, out: Path | None) -> int:
    """Play sessions with the workarounds on each proxy in turn, print and write the rows, and return 0.

    Raises:
        InputError: the release of a proxy is unknown, or the upstream is not the mock.
    """
    if len(releases) > 1:
        raise InputError("release", f"{len(releases)} given with --live", "allowed is one; --proxy is repeatable")
    proxies = targets.proxies(releases[0] if releases else None)
    rows: list[dict[str, Any]] = []
    for proxy in proxies:
        if upstream_of(proxy, targets.upstream_target()).kind != "mock":
            raise InputError("upstream", "is not the mock", "the mock; with a proxy at ws://... add --listen")
        if proxy.release is None:
            raise InputError("release", f"the release of {proxy.name} is unknown", "add --release TAG")
        tag, source = proxy.release.tag, proxy.source
        cells = cells_of(tag, names)
        done: dict[int, Tried] = {}
        try:
            with (
                Steps(len(cells), "session") as steps,
                closing(tried(cells, lambda: targets.engine(proxy), tries)) as playing,  # noqa: B023  # called in this iteration
            ):
                for number, each in playing:
                    done[number] = each
                    steps.begin(proxy.name)
                    steps.done()
        finally:
            rows += [done[number].row(tag, source) for number in sorted(done)]
            if out is not None:
                writing(out, lambda: _write(out, rows))  # noqa: B023  # called in this iteration
        _show_tried(proxy.name, [done[number].row(tag, source) for number in sorted(done)])
    return 0


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    file = io.StringIO()
    table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows({k: str(v).lower() if isinstance(v, bool) else v for k, v in row.items()} for row in rows)
    write_text(path, file.getvalue())


def _show_tried(name: str, rows: list[dict[str, Any]]) -> None:
    heads = ("workaround", "scenario", "handler", "tool ms", "model", "seen", "result heard after ms", "as the model")
    shown = []
    for row in rows:
        words = (
            f"{row[outcome]}{', wedged' if row[wedged] else ''}"
            for outcome, wedged in (("model_outcome", "model_wedged"), ("outcome", "wedged"))
        )
        heard, model = ("never" if row[ms] is None else str(row[ms]) for ms in ("heard_ms", "model_heard_ms"))
        alike = "yes" if row["as_the_model"] else f"no: there {model}"
        shown.append((row["workaround"], row["scenario"], row["handler"], row["tool_ms"], *words, heard, alike))
    print_table(heads, shown, f"{name}: sessions on real sockets", right=("tool ms", "result heard after ms"))
    print_lines([f"{sum(row['as_the_model'] for row in rows)} of {len(rows)} sessions as the model says", ""])


def _show(tag: str, effects: list[Effect]) -> None:
    heads = ("workaround", "removed", "left", "new", "not met", "air ms", "added ms", "heard")
    rows: list[tuple[str, ...]] = []
    for each in effects:
        if each.why_not is not None:
            rows.append((each.workaround, "not possible", *[""] * 6))
            continue
        air, bare = ("none" if value is None else f"{value:.0f}" for value in (each.air_ms, each.air_without_ms))
        counts = [str(len(pairs)) for pairs in (each.removed, each.left, each.new, each.not_met)]
        heard = f"{each.heard_without} -> {each.heard}/{each.sessions}"
        added = each.added_ms
        more = f"{added['median']:.0f}, at most {added['max']:.0f}" if added.get("pairs") else "-"
        rows.append((each.workaround, *counts, f"{bare} -> {air}", more, heard))
    print_table(heads, rows, f"{tag}: findings by story")
    print_lines([f"{each.workaround}: {each.why_not}" for each in effects if each.why_not is not None])
    print_lines([f"{each.workaround}: not all explored: {', '.join(each.incomplete)}" for each in effects if each.incomplete])
    for each in effects:
        for word, pairs in (("left", each.left), ("new", each.new)):
            print_lines(f"{each.workaround}: {word}: {story}: {name}" for story, name in pairs)
    print_lines([""])
