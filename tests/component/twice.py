"""Plays `twice_cases` to running components, keeps what they sent, and makes the table of docs/component.md from it.

``python -m tests.component.twice CHECKOUT...`` writes data/conformance/component-twice.json. Each checkout has its dependencies
installed (``npm ci --ignore-scripts``); temporary files in it are removed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from tests.component.runner import run_scripts, source_of
from tests.component.twice_cases import CALLED, CAUSES, TwiceCase, twice_cases
from voicerace.analysis.verdict import judge
from voicerace.engine.given_results import GivenResult, with_results
from voicerace.engine.live.source import backend_version, source_hash
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.files import shipped, write_text
from voicerace.model.catalog.releases import proxy_of_source
from voicerace.model.catalog.scenarios import REPRO
from voicerace.model.protocol import agent

__all__ = ["FILE", "Seen", "outcome", "read", "results_of", "scripts_hash", "section"]

Seen = list[dict[str, Any]]

FILE: Final = "data/conformance/component-twice.json"
#: Types of events that are kept.
_KEPT: Final = frozenset(
    {"(open)", "(close)", "(mounted)", "(unmounted)", "(thrown)", "Settings", "InjectUserMessage", "FunctionCallResponse",
     "onFunctionCallRequest", "onError"}
)  # fmt: skip
#: Fields that are kept; others are the same in every script.
_FIELDS: Final = ("at", "to", "socket", "component", "handler", "type", "id", "content", "code", "by")
#: Times in ms of the table: as in the browser (docs/repro-app.md), where a message takes about 15 ms each way.
TIMES: Final = {"gap_ms": 8, "reply_ms": 1500, "host_rtt_ms": 30}


def scripts_hash() -> str:
    """Return a hash of the scripts. A record with another hash is outdated."""
    return hashlib.sha256(json.dumps([each.script() for each in twice_cases()], sort_keys=True).encode()).hexdigest()[:12]


def record(checkouts: Sequence[Path]) -> dict[str, Any]:
    """Play every script in every checkout, and return the record: programs, and per case the tags that sent the same.

    Raises:
        InputError: a component or its dependencies are missing, its proxy is unknown, or Jest failed.
    """
    programs: dict[str, str] = {}
    cases: dict[str, dict[str, list[str]]] = {each.name: {} for each in twice_cases()}
    for checkout in checkouts:
        tag = _tag_of(checkout)
        programs[tag] = source_of(checkout)
        for name, seen in run_scripts(checkout, [each.script() for each in twice_cases()]).items():
            kept = [
                {field: event[field] for field in _FIELDS if field in event} for event in seen if event.get("type") in _KEPT
            ]
            cases[name].setdefault(json.dumps(kept, separators=(",", ":")), []).append(tag)
    found = {name: [{"tags": tags, "seen": json.loads(seen)} for seen, tags in each.items()] for name, each in cases.items()}
    return {"scripts": scripts_hash(), "programs": programs, "cases": found}


def _tag_of(checkout: Path) -> str:
    source = source_hash(checkout)
    row = proxy_of_source(source, backend_version(checkout))
    if row is None:
        raise InputError(str(checkout), f"the proxy {source} is unknown", "a checkout at a tag")
    return row.tag


def read() -> Mapping[str, Any]:
    """Return the record."""
    found: Mapping[str, Any] = json.loads(shipped(FILE).read_text("utf-8"))
    return found


def results_of(seen: Seen, call: str = "call_1") -> dict[int, list[GivenResult]]:
    """Return number of a connection -> results of a call on it, in order, with the ms since the request."""
    found: dict[int, list[GivenResult]] = {}
    for event in seen:
        if event.get("type") == "FunctionCallResponse" and event["id"] == call:
            result = GivenResult(event["at"] - CALLED, agent.is_default_error(event["content"]))
            found.setdefault(event["socket"], []).append(result)
    return found


def outcome(tag: str, results: Sequence[GivenResult]) -> str:
    """Return the outcome of a release's models if the host sends these results."""
    session = SessionConfig.of(release=tag, times=TIMES)
    return judge(with_results(replace(session, scenario=REPRO), results)).outcome


# -- the table -----------------------------------------------------------------------------------------------------------

_HEAD: Final = """\
## Could the app's own code answer twice?

What an app can do besides, each with every handler style, on running components of {tags}: the real component under
Jest (`tests/component/twice_cases.py`; the record is `{file}`). The tool takes 300 ms. A remount or a hot reload
happens 100 ms after the request, a retry 200 ms after the result. "error" is the component's default error, and times are in ms
from the request. "2nd" is a result on a second connection, whose session does not know the call. The outcomes are those of each
release's models with the results of the first connection (gap 8 ms, host round trip 30 ms, reply 1500 ms).

| cause | handler styles | connections, Settings | results of one call | {columns} |
|---|---|---|---|{lines}|
"""

_TAIL: Final = """
- **`<StrictMode>` doubles nothing by itself**, in any release: React mounts, unmounts and mounts the app, and the component
  keeps its one connection, its one Settings and its one handler. It doubles an effect of the app that has no cleanup.
- The style `return` sends one result in each case except an explicit retry: a handler returns one value.
- **After a real unmount the component does not close its connection.** 100 ms after the unmount its cleanup returns early,
  because it takes the unmount for one of StrictMode (`isMountedRef` is never set to false before). So after a remount there are
  two sessions. The old one goes on, and its reply is passed to the old callbacks. It was still open after 20 s, although the
  idle timeout is 10 s.
- **The new connection sends no Settings**, because a flag on the window says that they were sent. So its session has no
  functions and no instructions, and the user's next text goes there.
- A result through a ref that outlives the remount goes to the new connection, where the call id is unknown. A ref inside the
  remounted part is null: the call throws, or with `?.` nothing is sent. The old connection then gets no result of the app.
- A hot reload that keeps the state (React Fast Refresh) changes nothing: the old handler ends, and its result is the only one.
- Two components that start together have two connections. Up to 0.9.8 only the first sends Settings, in 0.10.2 and later both
  do. Neither answers the other's call.
"""


def section() -> str:
    """Return the text of the section in docs/component.md."""
    kept = read()
    tags = list(kept["programs"])
    columns = " | ".join(tags)
    text = _HEAD.format(tags=", ".join(tags), file=FILE, columns=columns, lines="---|" * (len(tags) - 1) + "---")
    return text + "".join(_rows(kept["cases"], tags)) + _TAIL


def _rows(cases: Mapping[str, Sequence[Mapping[str, Any]]], tags: Sequence[str]) -> Iterator[str]:
    """Yield a row per cause and sequence of results, for handler styles and releases with the same."""
    for cause in CAUSES:
        found: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
        for handler in CAUSES[cause].handlers:
            for key, alike in groupby(_cells(cases[TwiceCase(cause, handler).name], tags), lambda cell: cell[:2]):
                outcomes = tuple(cell[2] for cell in alike)
                found.setdefault((*key, outcomes), []).append(f"`{handler}`")
        for (connections, results, outcomes), handlers in found.items():
            yield f"| {cause} | {', '.join(handlers)} | {connections} | {results} | {' | '.join(outcomes)} |\n"


def _cells(programs: Sequence[Mapping[str, Any]], tags: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return (connections and Settings, results, outcome) per tag. What differs between tags is written with both values."""
    by_tag = {tag: each["seen"] for each in programs for tag in each["tags"]}
    connections = " or ".join(dict.fromkeys(_connections(by_tag[tag]) for tag in tags))
    shown = " or ".join(dict.fromkeys(_results(results_of(by_tag[tag])) for tag in tags))
    return [(connections, shown, outcome(tag, results_of(by_tag[tag])[0])) for tag in tags]


def _connections(seen: Seen) -> str:
    count = {kind: sum(event["type"] == kind for event in seen) for kind in ("(open)", "Settings")}
    return f"{count['(open)']}, {count['Settings']}"


def _results(found: Mapping[int, Sequence[GivenResult]]) -> str:
    shown = [
        f"{'error' if each.default_error else 'result'} {each.after_ms:g}" + (" (2nd)" if socket else "")
        for socket, results in found.items()
        for each in results
    ]
    return f"{len(shown)}: {', '.join(shown)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.component.twice", description="Answers of the component and the app."
    )
    parser.add_argument("checkouts", nargs="+", type=Path, metavar="CHECKOUT", help="its dependencies installed")
    parser.add_argument("--out", type=Path, default=Path(FILE), metavar="FILE")
    given = parser.parse_args(arguments)
    try:
        found = record(given.checkouts)
    except (InputError, OSError) as error:
        sys.stderr.write(f"voicerace: error: {error}\n")
        return 2
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(each, separators=(',', ':'))}" for name, each in found["cases"].items())
    head = "".join(f"{json.dumps(name)}:{json.dumps(found[name])},\n" for name in ("scripts", "programs"))
    write_text(given.out, "{" + head + '"cases":{\n' + lines + "\n}}\n")
    sys.stdout.write(f"{len(found['cases'])} cases of {len(found['programs'])} programs written to {given.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
