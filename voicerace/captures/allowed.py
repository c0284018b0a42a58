"""Allow list of the texts from a capture that `redact`, `export`, `inspect` and the report may output.

It contains the allowed values of a recording's header settings, the attributes of log records, and the notes and fault reasons
that voicerace writes. Any other text of a capture is untrusted. `voicerace.captures.known_fields` has the allow list of
messages. `voicerace.captures.log_records` has the allow list of log record bodies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, get_args, get_type_hints

from voicerace.captures.known_fields import LONGEST_WAIT_MS, ROLES, Kind, Rule
from voicerace.model.actors.upstream_state import Knobs
from voicerace.model.catalog.components import COMPONENTS
from voicerace.model.catalog.forwarders import FORWARDERS
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import FORWARDER_TIMES, PROFILES, TIMES, WORKAROUND_TIMES
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.model.catalog.workarounds import WORKAROUNDS
from voicerace.trace.recording import CUT

__all__ = [
    "ATTRIBUTES", "PROVENANCE", "UNKNOWN_NOTE", "UNKNOWN_REASON", "Setting", "is_own_error", "is_start", "is_time_text",
    "known_note", "known_place", "known_reason", "without_fault",
]  # fmt: skip


class Setting(Enum):
    """Kinds of header settings without a fixed set of values."""

    TIME = "time"  # a time as `voicerace.model.parameters` parses it, of at most ten minutes
    START = "start"  # a point in time in ISO 8601
    CLOCK_US = "clock_us"  # a point in time in microseconds since 1970


_FLAG: Final = Kind.FLAG
_SOURCES: Final = frozenset(row.source for row in PROXIES.values())
_KNOBS: Final[dict[str, Any]] = {
    name: frozenset(get_args(hint)) if get_args(hint) else Kind.CODE for name, hint in get_type_hints(Knobs).items()
}
#: Key of a recording's provenance -> rule of its value.
PROVENANCE: Final[Mapping[str, Any]] = {
    "release": frozenset(PROXIES),
    "component": frozenset(COMPONENTS),
    "scenario": frozenset({*SCENARIOS, "script", "drawn"}),
    "handler": frozenset(HANDLERS),
    "modality": frozenset({"text", "audio"}),
    "calls": Kind.INDEX,
    "preamble": _FLAG,
    "idle_close": _FLAG,
    "derived": _FLAG,
    "tool_end": frozenset({"result", "error", "none", "reject"}),
    "workaround": frozenset(WORKAROUNDS),
    "forwarder": frozenset(FORWARDERS),
    "forwarder_source": frozenset(source for row in FORWARDERS.values() for source in row.sources),
    "profile": frozenset(PROFILES),
    "times": dict.fromkeys((*TIMES, *WORKAROUND_TIMES, *FORWARDER_TIMES), Setting.TIME),
    "knobs": _KNOBS,
    "proxy": frozenset({f"{kind}:{name}" for kind in ("model", "backend") for name in (*PROXIES, *_SOURCES)}),
    "upstream": frozenset({"mock", "openai", "unseen", "script"}),
    "source": _SOURCES,
    "engine": frozenset({"live", "virtual", "serve", "relay", "contract"}),
    "made_by": frozenset({"console log", "har", "cassette"}),
    "side": frozenset({"host", "upstream"}),
    "connection": Kind.ID,
    "start": Setting.START,
    "file_start_us": Setting.CLOCK_US,
    "start_us": Setting.CLOCK_US,
    "end_us": Setting.CLOCK_US,
}

_DIRECTIONS: Final = frozenset({"client", "upstream", "proxy", "client→upstream", "upstream→client"})
_TRUTH: Final = frozenset({"true", "false"})
#: Attribute of a log record -> rule of its value.
ATTRIBUTES: Final[Mapping[str, Rule]] = {
    "connection_id": Kind.ID,
    "trace_id": Kind.ID,
    "direction": _DIRECTIONS,
    "message_type": Kind.TYPE,
    "error.code": Kind.CODE,
    "error.message": Kind.ERROR_TEXT,
    "upstream.close_code": Kind.CLOSE,
    "client.close_code": Kind.CLOSE,
    "itemId": Kind.ID,
    "itemRole": ROLES,
    "mapped": _TRUTH,
    "sent": _TRUTH,
}
UNKNOWN_NOTE: Final = "a note of the recording is not shown"
UNKNOWN_REASON: Final = "a fault whose reason is not shown"
#: Notes that `captures.live.record` and the readers of HAR files and cassettes write.
_NOTES: Final = re.compile(
    r"no connection to the (?:upstream|host) relay belongs to this session"
    r"|the connection's beginning is not in the file: no Settings was sent|the frames have no times"
    r"|The cassette has no times: the order of the messages is known, and nothing of how long anything took\."
    r"|Some messages of the cassette have no time\."
)
_ACTOR: Final = "(?:user|app|component|forwarder|proxy|upstream)"
_REASONS: Final = re.compile(
    rf"{_ACTOR} dropped the connection (?:on purpose \(--fault\)|without closing it \(1006\))"
    rf"|{_ACTOR} left before the handshake was answered|{_ACTOR} sent a frame of more than 16 MiB"
    rf"|the handshake was refused with HTTP [45]\d\d \(--fault\)"
)
#: Values of `Event.observed_at`.
_OBSERVERS: Final = frozenset({"engine", "socket", "relay", "log", "har", "cassette", "derived", "proxy"})
_START: Final = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,6}(?:\.\d{1,3})?", re.ASCII)
_TIME: Final = re.compile(
    r"(?:uniform|lognormal)\({0}, ?{0}\)|{0}(?:[,:] ?{0}){0,19}".replace("{0}", _NUMBER.pattern), re.ASCII
)
#: Error messages from voicerace's readers that quote no text from the file.
_ERRORS: Final = re.compile(
    r"more than \d{1,6} MB when it is unpacked|a compressed file that cannot be unpacked|missing"
    r"|damaged: its content is not what the sweep wrote \(SHA-256 differs\)"
)


def is_own_error(found: str) -> bool:
    """Return whether voicerace wrote an error message that quotes no text from the file."""
    return _ERRORS.fullmatch(found) is not None


def known_place(observed_at: str) -> str:
    """Return `observed_at` if it is in `_OBSERVERS`, else ``other``."""
    return observed_at if observed_at in _OBSERVERS else "other"


def known_reason(reason: object) -> str:
    """Return the reason of a fault if voicerace wrote it, else `UNKNOWN_REASON`."""
    return reason if isinstance(reason, str) and _REASONS.fullmatch(reason) else UNKNOWN_REASON


def known_note(note: str) -> str:
    """Return a note if voicerace wrote it, a fixed sentence for a note about a cut line, else `UNKNOWN_NOTE`."""
    if CUT in note:
        return f"a line {CUT} its beginning and is dropped"
    return note if _NOTES.fullmatch(note) else UNKNOWN_NOTE


def without_fault(why: str, fault: str | None) -> str:
    """Return a verdict's explanation, with a fault's reason at its end replaced by `known_reason(reason)`."""
    return why if fault is None else f"{why.removesuffix(fault)}{known_reason(fault)}" if why.endswith(f": {fault}") else why


def is_start(value: object) -> bool:
    """Return whether a value is an ISO 8601 string with date, time and UTC offset, from 2000 to 2099."""
    return isinstance(value, str) and _START.fullmatch(value) is not None


def is_time_text(value: object) -> bool:
    """Return whether a value is a time, a grid or a distribution whose numbers are at most ten minutes in ms."""
    text = str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return False
    return all(float(each) <= LONGEST_WAIT_MS for each in _NUMBER.findall(text))
