"""Tables of the clients in data/field: what each does in each group of cases, for ``7-the-field.ipynb``."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, NamedTuple

import pandas as pd

from voicerace.analysis.verdict import judge
from voicerace.errors import InputError, one_of
from voicerace.experiments.client_checks import GROUPS
from voicerace.files import shipped
from voicerace.trace.recording import Recording, read_recordings

__all__ = ["CLIENTS", "FIXES", "Client", "Fix", "clients", "failures", "fixes", "groups", "outcomes", "recording", "refusals"]
__all__ += ["checked_on", "sessions", "shown"]


class Client(NamedTuple):
    """A checked client.

    Attributes:
        package: name and version of the package.
        driver: file of the program that was checked.
        kind: what the client does to avoid a refusal.
        refused: what it does after a refusal.
    """

    package: str
    driver: str
    kind: str
    refused: str


#: Name of a client -> the client, in the order of the table.
CLIENTS: Final[dict[str, Client]] = {
    "openai-naive": Client("openai 3.57.0", "openai_naive.py", "none: a request after each result", "nothing"),
    "openai-well": Client(
        "openai 3.57.0", "openai_well.py", "waits for the slot and for all results of a response", "requests again after 100 ms"
    ),
    "openai-agents": Client("openai-agents 0.24.0", "openai_agents.py", "waits for response.done", "reports an error"),
    "openai-agents-js": Client(
        "@openai/agents-realtime 0.20.0", "openai_agents_js.mjs", "waits for response.done", "reports an error"
    ),
    "pydantic-ai": Client(
        "pydantic-ai-slim 2.68.0",
        "pydantic_ai_realtime.py",
        "waits for response.done and all results",
        "requests after the response",
    ),
    "livekit-agents": Client(
        "livekit-agents 1.8.9", "livekit_agents.py", "waits for response.done and all results", "writes a log record"
    ),
    "pipecat": Client("pipecat-ai 1.14.0", "pipecat_realtime.py", "waits for response.done", "nothing"),
}


class Fix(NamedTuple):
    """A kind of fix that clients have published.

    Attributes:
        kind: its name.
        does: what it does.
        clients: checked clients that have it.
        leaves: which failures it does not prevent.
        published: threads with the fix.
    """

    kind: str
    does: str
    clients: tuple[str, ...]
    leaves: str
    published: str


FIXES: Final[tuple[Fix, ...]] = (
    Fix(
        "queue until done",
        "holds the request until `response.done`",
        ("openai-agents", "openai-agents-js"),
        "two replies to two calls; a refusal if the server begins a response by itself or frees the slot late",
        "openai-agents-python #2763, openai-agents-js #1127, reachy_mini #204",
    ),
    Fix(
        "fail fast",
        "matches the refusal by its `event_id` and ends the wait with an error",
        ("livekit-agents",),
        "the turn has no reply; a refusal without `event_id` is not matched",
        "livekit/agents #6817, #6818",
    ),
    Fix("swallow", "ignores the refusal", ("pipecat",), "the turn has no reply, and the app sees no error", "pipecat #3960"),
    Fix(
        "one output per call",
        "sends exactly one result per call, and one request after the last result of a response",
        ("pydantic-ai", "livekit-agents"),
        "a refusal if the server begins a response by itself or frees the slot late",
        "livekit/agents #6785",
    ),
)


def sessions() -> pd.DataFrame:
    """Return all sessions. Columns: client, group, case, outcome, wedged, result, why."""
    folder = shipped("data/field")
    frames = [
        pd.read_csv(folder / f"{name}.csv", dtype={"why": str}).assign(client=name)
        for name in CLIENTS
        if (folder / f"{name}.csv").is_file()
    ]
    if not frames:
        raise InputError("data/field", "has no tables", "benchmarks/field.py makes them")
    return pd.concat(frames, ignore_index=True)


def clients() -> pd.DataFrame:
    """Return one row per client. Columns: client, package, how it avoids a refusal, after a refusal, driver."""
    rows = [(name, each.package, each.kind, each.refused, f"clients/{each.driver}") for name, each in CLIENTS.items()]
    return pd.DataFrame(rows, columns=["client", "package", "to avoid a refusal", "after a refusal", "driver"])


def groups() -> pd.DataFrame:
    """Return one row per group of cases. Columns: group, what it tests."""
    return pd.DataFrame([*GROUPS.items()], columns=["group", "what it tests"])


def outcomes() -> pd.DataFrame:
    """Return one row per client and one column per group, with the number of sessions of each outcome.

    ``stuck`` counts sessions in which the last user text got no reply. Sessions with times from the recordings are counted too.
    """
    frame = sessions()
    found = []
    for name in frame["client"].unique():
        own = frame[frame["client"] == name]
        cells = {group: _cell(own[own["group"] == group]) for group in GROUPS}
        found.append({"client": name, **cells})
    return pd.DataFrame(found)


def _cell(rows: pd.DataFrame) -> str:
    counts = Counter(rows["outcome"])
    texts = [f"{outcome} {count}" for outcome, count in counts.most_common()]
    if stuck := int(rows["wedged"].sum()):
        texts.append(f"stuck {stuck}")
    return f"{', '.join(texts)} (of {len(rows)})" if texts else ""


def refusals() -> pd.DataFrame:
    """Return one row per client, from its recordings.

    Columns: client, what it does after a refusal, sessions with a refusal, those with an informed reply, those that are stuck.
    """
    rows = []
    for name, each in CLIENTS.items():
        verdicts = [judge(found) for found in _recordings(name)]
        refused = [verdict for verdict in verdicts if any(turn.refusals for turn in verdict.turns)]
        informed = sum(verdict.outcome in ("answered", "noisy") for verdict in refused)
        rows.append((name, each.refused, len(refused), informed, sum(verdict.wedged is True for verdict in refused)))
    return pd.DataFrame(rows, columns=["client", "after a refusal", "sessions with one", "then one informed reply", "stuck"])


def fixes() -> pd.DataFrame:
    """Return one row per kind of fix. Columns: fix, what it does, leaves, failed sessions by group, published in."""
    frame = sessions()
    rows = []
    for fix in FIXES:
        own = frame[frame["client"].isin(fix.clients)]
        failed = {group: own[own["group"] == group]["result"].ne("passed") for group in GROUPS}
        counts = "; ".join(f"{group} {each.sum()} of {len(each)}" for group, each in failed.items() if each.any())
        rows.append((fix.kind, fix.does, fix.leaves, f"{', '.join(fix.clients)}: {counts}", fix.published))
    return pd.DataFrame(rows, columns=["fix", "the client", "leaves", "failed sessions", "published in"])


def failures() -> pd.DataFrame:
    """Return one row per client. Columns: client, sessions, passed, failed, share of failed sessions with recorded times."""
    frame = sessions()
    rows = []
    for name in frame["client"].unique():
        own = frame[frame["client"] == name]
        drawn = own[own["case"].str.contains("seed=")]
        failed = (own["result"] != "passed").sum()
        rows.append(
            {
                "client": name,
                "sessions": len(own),
                "failed": int(failed),
                "failed, with recorded times": f"{int((drawn['result'] != 'passed').sum())} of {len(drawn)}",
            }
        )
    return pd.DataFrame(rows)


def checked_on() -> str:
    """Return the day, or the first and the last day, on which the clients were checked."""
    days = sorted({str(each.provenance["start"])[:10] for name in CLIENTS for each in _recordings(name)})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def shown(client: str) -> dict[str, Recording]:
    """Return one recording per group: the first failed one, else the first."""
    frame = sessions()
    failed = set(frame[(frame["client"] == client) & (frame["result"] != "passed")]["case"])
    found: dict[str, Recording] = {}
    for each in _recordings(client):
        case = str(each.provenance["case"])
        group = case.partition(":")[0]
        if group not in found or (case in failed and found[group].provenance["case"] not in failed):
            found[group] = each
    return found


def recording(client: str, case: str) -> Recording:
    """Return the recording of a case.

    Args:
        client: a name of `CLIENTS`.
        case: name of a case, or its beginning.

    Raises:
        InputError: there is no such client or no recording of the case.
    """
    one_of("client", client, CLIENTS)
    names = []
    for each in _recordings(client):
        names.append(name := str(each.provenance.get("case")))
        if re.match(re.escape(case), name):
            return each
    raise InputError("case", case, f"one of {', '.join(names)}")


def _recordings(client: str) -> list[Recording]:
    return read_recordings(shipped("data/field") / f"{client}.jsonl.gz")
