"""The named times, and the profiles that give each a value with its source.

Every time is in milliseconds and has the name it has everywhere: in a party's timers, on the command line and in a
notebook. Profiles are text in the grammar of `voicerace.parameters`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple


class Time(NamedTuple):
    """A named duration: what it lasts from and to, and whether there is one value per function call."""

    meaning: str
    per_call: bool = False
    optional: bool = False


#: REALTIME's times, in the order in which a session meets them.
TIMES: Final[dict[str, Time]] = {
    "host_rtt_ms": Time("round trip between host and proxy; one way is half"),
    "upstream_rtt_ms": Time("round trip between proxy and upstream; one way is half"),
    "tool_ms": Time("from the request at the app to its result", per_call=True),
    "create_ms": Time("response.create accepted -> response.created"),
    "first_item_ms": Time("response.created -> its first item"),
    "preamble_ms": Time("a spoken preamble's item -> its end, before the first call"),
    "arguments_ms": Time("a call's item added -> response.function_call_arguments.done", per_call=True),
    "call_gap_ms": Time("between the calls of one response", per_call=True),
    "gap_ms": Time("the last response.function_call_arguments.done -> response.done"),
    "item_done_ms": Time("where in that gap the call items are done; without it, at its end", optional=True),
    "slot_lag_ms": Time("response.done leaving -> the slot being free"),
    "reply_ms": Time("a reply's first item -> its response.output_text.done or response.output_audio.done"),
    "reply_gap_ms": Time("from there to response.done"),
    "ack_ms": Time("an item created -> confirmed"),
    "repeat_ms": Time("scenario double: a result -> the same result again"),
    "deadline_ms": Time("the end of waiting: from the last result, else from the last call, else from the user's words"),
}

#: Decided by the upstream; a real one has its own.
SERVER_TIMES: Final = (
    "create_ms",
    "first_item_ms",
    "preamble_ms",
    "arguments_ms",
    "call_gap_ms",
    "gap_ms",
    "item_done_ms",
    "slot_lag_ms",
    "reply_ms",
    "reply_gap_ms",
    "ack_ms",
)

#: Times written into the proxy's source: named like the others, but nobody's to choose.
PROXY_TIMES_MS: Final[dict[str, int]] = {
    # DEFERRED_RESPONSE_CREATE_TIMEOUT_MS of the proxy's server.ts, 0.10.3 on.
    "recovery_ms": 20_000,
}


@dataclass(frozen=True)
class Profile:
    """A set of values for every time, each with where it comes from.

    Attributes:
        sentence: what the profile stands for.
        values: time name -> text in the parameters' grammar; None for an optional time that is not set.
        sources: time name -> what was measured, and how "with rtt" was split.
    """

    sentence: str
    values: dict[str, str | None]
    sources: dict[str, str]


_FIXED: Final[dict[str, str | None]] = {
    "preamble_ms": "200",
    "item_done_ms": None,
    "slot_lag_ms": "0",
    "repeat_ms": "0",
    "deadline_ms": "30000",
}

PROFILES: Final[dict[str, Profile]] = {
    "loopback": Profile(
        "everything on one machine: no network, items confirmed at once, small fixed server times",
        {
            **_FIXED,
            "host_rtt_ms": "0",
            "upstream_rtt_ms": "0",
            "tool_ms": "50",
            "create_ms": "5",
            "first_item_ms": "5",
            "arguments_ms": "5",
            "call_gap_ms": "5",
            "gap_ms": "150",
            "reply_ms": "500",
            "reply_gap_ms": "5",
            "ack_ms": "0",
        },
        {
            "gap_ms": "chosen: the gap at which the releases were first compared on the wire (RELEASES)",
            "tool_ms": "chosen: faster than the gap, so that the race is on",
        },
    ),
    "observed-2025": Profile(
        "the only published millisecond trace: livekit/agents #1056, January 2025, beta API",
        {
            **_FIXED,
            "host_rtt_ms": "20",
            "upstream_rtt_ms": "40",
            "tool_ms": "300",
            "create_ms": "40",
            "first_item_ms": "uniform(216,271)",
            "arguments_ms": "50",
            "call_gap_ms": "50",
            "gap_ms": "8",
            "reply_ms": "1500",
            "reply_gap_ms": "8",
            "ack_ms": "55",
        },
        {
            "upstream_rtt_ms": "chosen: 40; a user item was confirmed 48 ms after it was sent (with rtt), so it is at most 48",
            "ack_ms": "measured with rtt: output sent -> confirmed 95 ms; 95 - 40 = 55 (a user item: 48 - 40 = 8, not used)",
            "create_ms": "measured with rtt: response.create -> response.created 96 and 65 ms; mean 80.5 - 40, rounded to 40",
            "first_item_ms": "measured: response.created -> first item 216-271 ms; no rtt in it",
            "gap_ms": "measured: call item -> response.done 8 ms, one call",
            "reply_gap_ms": "chosen: as the call's gap; not measured",
            "host_rtt_ms": "chosen: not measured",
            "tool_ms": "chosen: an integrator's claim that tools of 300-500 ms still beat response.done",
            "arguments_ms": "chosen: not measured",
            "call_gap_ms": "chosen: not measured",
            "reply_ms": "chosen: not measured",
        },
    ),
}  # fmt: skip
