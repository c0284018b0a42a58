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
from voicerace.model.catalog.releases import PROXIES, proxy_of_source
from voicerace.model.catalog.scenarios import REPRO
from voicerace.model.protocol import agent

__all__ = ["FILE", "Seen", "outcome", "read", "results_of", "scripts_hash", "section", "tag_of"]

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
#: Name of the cause without anything besides.
_NOTHING: Final = "nothing else"


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
        tag = tag_of(checkout)
        programs[tag] = source_of(checkout)
        for name, seen in run_scripts(checkout, [each.script() for each in twice_cases()]).items():
            kept = [
                {field: event[field] for field in _FIELDS if field in event} for event in seen if event.get("type") in _KEPT
            ]
            cases[name].setdefault(json.dumps(kept, separators=(",", ":")), []).append(tag)
    found = {name: [{"tags": tags, "seen": json.loads(seen)} for seen, tags in each.items()] for name, each in cases.items()}
    return {"scripts": scripts_hash(), "programs": programs, "cases": found}


def tag_of(checkout: Path) -> str:
    """Return the tag of a checkout: the name of its folder if that tag has this proxy, else the first tag that has it.

    Raises:
        InputError: no release has its proxy.
    """
    source, name = source_hash(checkout), checkout.resolve().name.removeprefix("v")
    if name in PROXIES and PROXIES[name].source == source:
        return name
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

What an app can do besides, each with every handler style, on the running components of
{tags} under Jest (`tests/component/twice_cases.py`; the record is
`{file}`). The tool takes 300 ms. A remount or a hot reload happens 100 ms after
the request, a retry 200 ms after the result. The user writes again 2 s after the remount.

| cause | what the app does | connections | Settings | calls of the handler |
|---|---|---|---|---|
"""

_RESULTS: Final = """
A "result" is sent by the app, an "error" is the component's default error, each with the ms from the request. "2nd" is a
result on a second connection, whose session does not know the call. The outcomes are those of each release's models with the
results of the first connection (gap 8 ms, host round trip 30 ms, reply 1500 ms). `no_result`: the reply is about the
component's error.

"nothing else" stands for these causes too: {nothing}.

| cause | handler styles | results of one call | {columns} |
|---|---|---|{lines}|
"""

_TAIL: Final = """
From 0.10.3 on, two results at the same time cause one request, because the proxy waits for the confirmation of an item. If the
first item is confirmed before the second result comes, the outcome is that of a retry ([in the browser](repro-app.md)).

- **`<StrictMode>` doubles nothing by itself**, in any release: React mounts, unmounts and mounts the app, and the component
  keeps its one connection, its one Settings and its one handler. It doubles an effect of the app that has no cleanup.
- The style `return` sends one result in each case except an explicit retry: a handler returns one value.
- **After a real unmount the component does not close its connection.** 100 ms after the unmount its cleanup returns early,
  because it takes the unmount for one of StrictMode (`isMountedRef` is never set to false before). So after a remount there are
  two sessions. The old one goes on, and its reply is passed to the old callbacks. It was still open after 20 s, although the
  idle timeout is 10 s.
- **The new connection sends no Settings**, because a flag on the window says that they were sent. So its session has no
  functions and no instructions, and the user's next text goes there.
- A result through a ref that outlives the remount goes to the new connection, where the call id is unknown: the API answers
  with an error. The request of 0.9.1 begins a response there all the same, so two agents speak, and neither knows the result.
  A ref inside the remounted part is null: the call throws, or with `?.` nothing is sent. In both cases the old connection gets
  no result of the app, and its reply is about the component's error.
- A hot reload that keeps the state (React Fast Refresh) changes nothing: the old handler ends, and its result is the only one.
- Two components that start together have two connections. On 0.9.1 to 0.9.4 only the first sends Settings, on 0.10.2 and later
  both do. Neither answers the other's call.
"""


def section() -> str:
    """Return the text of the section in docs/component.md."""
    kept = read()
    tags = list(kept["programs"])
    cases = {name: {tag: each["seen"] for each in programs for tag in each["tags"]} for name, programs in kept["cases"].items()}
    shared = _shared(cases, tags)
    nothing = next(causes for causes in shared.values() if _NOTHING in causes)
    results = _RESULTS.format(columns=" | ".join(tags), lines="---|" * (len(tags) - 1) + "---", nothing="; ".join(nothing[1:]))
    return (
        _HEAD.format(tags=f"{', '.join(tags[:-1])} and {tags[-1]}", file=FILE)
        + "".join(_cause_row(cause, cases, tags) for cause in CAUSES)
        + results
        + "".join(_result_rows(shared))
        + _TAIL
    )


def _cause_row(cause: str, cases: Mapping[str, Mapping[str, Seen]], tags: Sequence[str]) -> str:
    """Return the row of a cause: connections, Settings and calls of the handler, with the tags if a value differs."""
    seen = cases[TwiceCase(cause, CAUSES[cause].handlers[0]).name]
    cells = [
        _by_tag({tag: _count(seen[tag], kind) for tag in tags}) for kind in ("(open)", "Settings", "onFunctionCallRequest")
    ]
    return f"| {cause} | {CAUSES[cause].sentence} | {' | '.join(cells)} |\n"


def _count(seen: Seen, kind: str) -> int:
    return sum(event["type"] == kind for event in seen)


def _by_tag(counts: Mapping[str, int]) -> str:
    """Return the value of all tags, or each value with the first tag that has it."""
    firsts: dict[int, str] = {}
    for tag, count in counts.items():
        firsts.setdefault(count, tag)
    return str(next(iter(firsts))) if len(firsts) == 1 else ", ".join(f"{count} from {tag}" for count, tag in firsts.items())


def _shared(cases: Mapping[str, Mapping[str, Seen]], tags: Sequence[str]) -> dict[tuple[tuple[str, ...], ...], list[str]]:
    """Return rows of results and outcomes -> the causes that have them, in order."""
    shared: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for cause in CAUSES:
        rows: dict[tuple[str, ...], list[str]] = {}
        for handler in CAUSES[cause].handlers:
            by_tag = cases[TwiceCase(cause, handler).name]
            sent = " or ".join(dict.fromkeys(_results(results_of(by_tag[tag])) for tag in tags))
            rows.setdefault((sent, *(outcome(tag, results_of(by_tag[tag])[0]) for tag in tags)), []).append(f"`{handler}`")
        shared.setdefault(tuple((", ".join(handlers), *row) for row, handlers in rows.items()), []).append(cause)
    return shared


def _result_rows(shared: Mapping[tuple[tuple[str, ...], ...], Sequence[str]]) -> Iterator[str]:
    for found, causes in shared.items():
        yield from (f"| {_NOTHING if _NOTHING in causes else '; '.join(causes)} | {' | '.join(row)} |\n" for row in found)


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
