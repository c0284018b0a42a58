"""Compare a proxy's log with the traffic that was recorded on its sockets at the same time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from voicerace.analysis.verdict import judge
from voicerace.captures import read_capture
from voicerace.trace.recording import Link, Recording

__all__ = ["CAME", "SENT", "differences_from_wire", "types"]

SENT, CAME = Link("proxy", "upstream"), Link("upstream", "proxy")


def types(recording: Recording, link: Link) -> list[str]:
    """Return the types of the messages that arrived on a link, in their order at the proxy."""
    events = [e for e in recording.on(link) if e.kind == "message" and e.arrived]
    return [e.type for e in recording.ordered("proxy", events)]


def differences_from_wire(log: Path, wire: list[Recording], release: str | None = None) -> tuple[Counter[str], list[str]]:
    """Return the counts on the wire, and the differences between the wire and the log.

    A session is paired with the recording that has the same events from the upstream. Among several such recordings, one
    with the same messages to the upstream is preferred.
    """
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    capture, left = read_capture(log, release), list(wire)
    if capture.unread:
        wrong.append(f"{capture.unread_records} records not read")
    for of in capture.sessions:
        same = [each for each in left if types(each, CAME) == types(of.recording, CAME)]
        same.sort(key=lambda each: types(each, SENT) != types(of.completed, SENT))
        if not same:
            wrong.append(f"{of.connection}: no such session on the wire")
            continue
        passed = same[0]
        left = [each for each in left if each is not passed]
        truth, sent = judge(passed), types(passed, SENT)
        outcomes = [] if of.inference is None else [*of.inference.outcomes]
        true = {
            "refusals": sum(turn.refusals for turn in truth.turns),
            "response_creates": sent.count("response.create"),
            "session_updates": sent.count("session.update"),
            "submissions": types(passed, Link("component", "proxy")).count("FunctionCallResponse"),
        }
        for name, number in true.items():
            count = of.counts[name]
            if (count.value, count.kind) not in ((number, "observed"), (number, "derived")):
                wrong.append(f"{of.connection}: {name} {count.kind} {count.value}, on the wire {number}")
        if types(of.completed, SENT) != sent:
            wrong.append(f"{of.connection}: what the proxy sent, or its order, differs")
        if of.inference is None or of.inference.contradictions:
            wrong.append(f"{of.connection}: log and model contradict each other")
        if of.outcome != truth.outcome and not (of.outcome == "unknown" and truth.outcome in outcomes):
            wrong.append(f"{of.connection}: {of.outcome}, on the wire {truth.outcome}")
        counts.update(
            true | {"sessions": 1, "outcomes told": of.outcome == truth.outcome, "outcomes left open": of.outcome == "unknown"}
        )
    wrong += [f"{len(left)} sessions of the wire are not in the log"] * bool(left)
    return counts, wrong
