"""What a log's records give away of the program that wrote them: each mark with the releases that can have left it.

Read in `server.ts` and `logger.ts` at the tags 0.9.0 to 0.11.1 and seen in the logs of the running proxies
(`data/logs`). A mark rests on a knob of `model.catalog.releases`, because what the record tells of is that knob.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from voicerace.captures.log_records import record_of
from voicerace.captures.node_inspect import Mark, Value
from voicerace.model.catalog.releases import ProxyRelease

__all__ = ["MARKS", "LogMark", "marks_of"]


@dataclass(frozen=True, slots=True)
class LogMark:
    """One thing a record shows.

    Attributes:
        what: in words, for the evidence.
        fits: whether a release can have written it.
    """

    what: str
    fits: Callable[[ProxyRelease], bool]


def _from_0_10(row: ProxyRelease) -> bool:
    return row.context_in == "instructions"


def _from_0_10_5(row: ProxyRelease) -> bool:
    return row.text_queued


MARKS: Final[Mapping[str, LogMark]] = {
    "sends": LogMark("session.update or a result's item is logged as it is sent (0.10.0 on)", _from_0_10),
    "items": LogMark("payloads of items are logged (0.10.0 on)", _from_0_10),
    "no items": LogMark("items come without their payloads (before 0.10.0)", lambda row: not _from_0_10(row)),
    "call text": LogMark("a call is told as ConversationText, too (before 0.10.0)", lambda row: row.reply_text == "done"),
    "call only": LogMark("a call is told as FunctionCallRequest only (0.10.0 on)", lambda row: row.reply_text != "done"),
    "error": LogMark("an unknown event becomes an Error (0.10.0 to 0.10.2)", lambda row: row.unknown_event == "error"),
    "log": LogMark(
        "an unknown event goes into the log only (0.10.2 as published, and later)", lambda row: row.unknown_event == "log"
    ),
    "hidden": LogMark("the refusal is kept from the host (50420ee, 0.10.3 on)", lambda row: row.refusal_hidden),
    "told": LogMark("the refusal is told to the host (up to 0.10.2)", lambda row: not row.refusal_hidden),
    "timer": LogMark("the 20 s timer sent a create (0.10.3 on)", lambda row: row.recovery),
    "queued": LogMark("a user text waits for session.updated (0.10.5 on)", _from_0_10_5),
    "keepalive": LogMark("other JSON of the host is not passed on (0.10.5 on)", lambda row: not row.other_json_raw),
    "host close": LogMark("the host's own close is logged (0.10.5 on)", _from_0_10_5),
    "deltas": LogMark("text deltas are gathered (0.10.6 on)", lambda row: row.text_delta_known),
    "control only": LogMark("a text's end is control only (0.10.0 to 0.10.5)", lambda row: row.reply_text == "item"),
    "trace": LogMark("records have trace ids (0.11 on)", lambda row: row.resampled),
    "no trace": LogMark("trace ids are undefined (before 0.11)", lambda row: not row.resampled),
}  # fmt: skip


def marks_of(fields: Mapping[str, Value], body: str, attributes: Mapping[str, Value]) -> Iterator[str]:
    """The marks of one record that was understood."""
    trace = fields.get("traceId")
    if trace is Mark.UNDEFINED:
        yield "no trace"
    elif isinstance(trace, str) and trace:
        yield "trace"
    if "error.message" in attributes:
        if attributes.get("error.code") == "conversation_already_has_active_response":
            yield "hidden" if body.endswith("not forwarded to client") else "told"
        return  # the text is the API's
    row = record_of(body)
    if row is not None and (mark := row.variant(body)[0]):
        yield mark
