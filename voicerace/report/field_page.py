"""Blocks of ``7-the-field.ipynb``: the checked clients, their outcomes, and one drawn session per client and group."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import pandas as pd

from voicerace.analysis.verdict import judge
from voicerace.experiments.checks import GAP_MS
from voicerace.report.blocks import Block, Fold, Head, Picture, Table, Text
from voicerace.report.notebook import field_tables
from voicerace.report.notebook.display import Linked, verdict_frame
from voicerace.report.plots.swimlane import alt_swimlane, plot_swimlane
from voicerace.trace.recording import Recording

__all__ = ["client_blocks", "fix_blocks", "head", "one_session", "outcome_blocks", "refusal_blocks", "session_blocks"]


def head() -> list[Block]:
    """Return the title and the facts of the page."""
    frame = field_tables.sessions()
    drawn = frame["case"].str.contains("seed=")
    facts = (
        ("Clients", str(frame["client"].nunique())),
        ("Sessions", f"{len(frame)}, of which {drawn.sum()} with recorded times"),
        ("Checked on", field_tables.checked_on()),
        ("API", f"the mock of voicerace, gap {GAP_MS} ms or as recorded"),
    )
    return [Head("The race in clients of the Realtime API", facts, source="data/field")]


def outcome_blocks(drawn: Collection[str] = ()) -> list[Block]:
    """Return the table of outcomes and the table of groups.

    Args:
        drawn: the clients of `session_blocks`. Their cells are links to the sessions.
    """
    frame = field_tables.outcomes().astype(object)
    for group in frame.columns[1:]:
        frame[group] = pd.Series(
            [
                Linked(text, _target(name, group)) if name in drawn and text else text
                for name, text in zip(frame["client"], frame[group], strict=True)
            ],
            dtype=object,
        )
    links = " Each linked cell leads to one of its sessions, a failed one if there is one." if drawn else ""
    caption = f"Sessions by outcome. The gap is {GAP_MS} ms, except in sessions with recorded times.{links}"
    return [Table(frame, caption), Table(field_tables.groups(), "The groups of sessions.")]


def refusal_blocks() -> list[Block]:
    """Return the tables of refusals and of failed sessions."""
    return [
        Table(field_tables.refusals(), "The recorded sessions with a refusal, and how they continued."),
        Table(field_tables.failures(), "Failed sessions per client."),
    ]


def fix_blocks() -> list[Block]:
    """Return the table of the kinds of fix."""
    return [Table(field_tables.fixes(), "Kinds of fix, and the failed sessions of the checked clients that have them.")]


def client_blocks() -> list[Block]:
    """Return the table of the clients with their versions."""
    return [Table(field_tables.clients(), f"The checked clients. Their versions were current on {field_tables.checked_on()}.")]


def one_session(client: str, case: str) -> list[Block]:
    """Return the picture and the verdict of one session; arguments as for `field_tables.recording`."""
    recording = field_tables.recording(client, case)
    return [_picture(recording), Table(*verdict_frame(judge(recording)))]


def session_blocks(drawn: Collection[str]) -> list[Block]:
    """Return a heading and one folded session per group of each client in `drawn`; nothing if `drawn` is empty."""
    blocks: list[Block] = [Text("## The sessions")] if drawn else []
    for name in field_tables.CLIENTS:
        if name not in drawn:
            continue
        blocks.append(Text(f"### {name}"))
        for group, recording in field_tables.shown(name).items():
            summary = f"{name}, {recording.provenance['case']}: **{judge(recording).outcome}**"
            blocks.append(Fold(summary, (_picture(recording, _target(name, group)),)))
    return blocks


def _picture(recording: Recording, target: str = "") -> Picture:
    caption = f"{recording.provenance['checked_client']}, {recording.provenance['case']}; {recording.provenance['start'][:10]}."
    return Picture(partial(plot_swimlane, recording), alt_swimlane(recording), caption, target)


def _target(client: str, group: str) -> str:
    return f"session-{client}-{group}".replace(" ", "-")
