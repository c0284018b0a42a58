"""Tables of the clients in data/field: what each does in each group of cases, for ``7-the-field.ipynb``."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

from voicerace.errors import InputError, one_of
from voicerace.experiments.client_checks import GROUPS
from voicerace.files import shipped
from voicerace.trace.recording import Recording, read_recordings

__all__ = ["CLIENTS", "Client", "clients", "groups", "outcomes", "recording", "refusals"]


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


def _rows() -> pd.DataFrame:
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
    frame = _rows()
    found = []
    for name in frame["client"].unique():
        own = frame[frame["client"] == name]
        cells = {group: _cell(own[own["group"] == group]) for group in GROUPS}
        found.append({"client": name, **cells})
    return pd.DataFrame(found)


def _cell(sessions: pd.DataFrame) -> str:
    counts = Counter(sessions["outcome"])
    texts = [f"{outcome} {count}" for outcome, count in counts.most_common()]
    if stuck := int(sessions["wedged"].sum()):
        texts.append(f"stuck {stuck}")
    return f"{', '.join(texts)} (of {len(sessions)})" if texts else ""


def refusals() -> pd.DataFrame:
    """Return one row per client. Columns: client, sessions, passed, failed, share of failed sessions with recorded times."""
    frame = _rows()
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


def recording(client: str, case: str) -> Recording:
    """Return the recording of a case.

    Args:
        client: a name of `CLIENTS`.
        case: name of a case, or its beginning.

    Raises:
        InputError: there is no such client or no recording of the case.
    """
    one_of("client", client, CLIENTS)
    path: Path = shipped("data/field") / f"{client}.jsonl.gz"
    names = []
    for each in read_recordings(path):
        names.append(name := str(each.provenance.get("case")))
        if re.match(re.escape(case), name):
            return each
    raise InputError("case", case, f"one of {', '.join(names)}")
