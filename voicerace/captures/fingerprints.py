"""Find fingerprints in log records: properties of the records of some releases only.

Each fingerprint depends on one setting in `model.catalog.releases`. Source: `server.ts` and `logger.ts` at the tags 0.9.0 to
0.11.1, and logs of the running proxies (`data/logs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from voicerace.captures.log_records import record_of
from voicerace.captures.node_inspect import NoValue, Value
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.protocol import realtime

__all__ = ["FINGERPRINTS", "Fingerprint", "fingerprints_of"]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One property of a log record that depends on the release.

    Attributes:
        what: description of the property.
        fits: function that returns whether a release can write a record with the property.
    """

    what: str
    fits: Callable[[ProxyRelease], bool]


def _from_0_10(row: ProxyRelease) -> bool:
    return row.context_in == "instructions"


def _from_0_10_5(row: ProxyRelease) -> bool:
    return row.text_queued


FINGERPRINTS: Final[Mapping[str, Fingerprint]] = {
    "sends": Fingerprint("session.update or a result's item is logged as it is sent (0.10.0 on)", _from_0_10),
    "items": Fingerprint("payloads of items are logged (0.10.0 on)", _from_0_10),
    "no items": Fingerprint("items come without their payloads (before 0.10.0)", lambda row: not _from_0_10(row)),
    "call text": Fingerprint("a call is also sent as ConversationText (before 0.10.0)", lambda row: row.reply_text == "done"),
    "call only": Fingerprint("a call is sent as FunctionCallRequest only (0.10.0 on)", lambda row: row.reply_text != "done"),
    "error": Fingerprint("an unknown event is sent as an Error (0.10.0 to 0.10.2)", lambda row: row.unknown_event == "error"),
    "log": Fingerprint("an unknown event is only logged (published 0.10.2 and later)", lambda row: row.unknown_event == "log"),
    "hidden": Fingerprint("the refusal is not sent to the host (50420ee, 0.10.3 on)", lambda row: row.refusal_hidden),
    "forwarded": Fingerprint("the refusal is sent to the host (up to 0.10.2)", lambda row: not row.refusal_hidden),
    "timer": Fingerprint("the 20 s timer sent a response.create (0.10.3 on)", lambda row: row.recovery),
    "queued": Fingerprint("a user text waits for session.updated (0.10.5 on)", _from_0_10_5),
    "keepalive": Fingerprint("other JSON of the host is not forwarded (0.10.5 on)", lambda row: not row.other_json_raw),
    "host close": Fingerprint("the host's own close is logged (0.10.5 on)", _from_0_10_5),
    "deltas": Fingerprint("text deltas are accumulated (0.10.6 on)", lambda row: row.text_delta_known),
    "control only": Fingerprint("the end of a text is control only (0.10.0 to 0.10.5)", lambda row: row.reply_text == "item"),
    "trace": Fingerprint("records have trace ids (0.11 on)", lambda row: row.resampled),
    "no trace": Fingerprint("trace ids are undefined (before 0.11)", lambda row: not row.resampled),
}  # fmt: skip


def fingerprints_of(fields: Mapping[str, Value], body: str, attributes: Mapping[str, Value]) -> Iterator[str]:
    """Yield the keys of the `FINGERPRINTS` that one parsed record has."""
    trace = fields.get("traceId")
    if trace is NoValue.UNDEFINED:
        yield "no trace"
    elif isinstance(trace, str) and trace:
        yield "trace"
    if "error.message" in attributes:
        if realtime.is_refusal_code(attributes.get("error.code")):
            yield "hidden" if body.endswith("not forwarded to client") else "forwarded"
        return  # the body contains text from the API, which can look like another record
    row = record_of(body)
    if row is not None and (mark := row.variant(body)[0]):
        yield mark
