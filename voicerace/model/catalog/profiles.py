"""The named times in milliseconds, and profiles with a value and a source for each time.

A time has the same name in actors' timers, on the command line and in notebooks. Values are text in the grammar of
`voicerace.model.parameters`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple


class Time(NamedTuple):
    """A named duration: where it starts and ends, whether it has one value per function call, and whether it is optional."""

    meaning: str
    per_call: bool = False
    optional: bool = False


#: Times by name: those of docs/protocol-facts.md#times, and those of the app and the user, in the order of a session.
TIMES: Final[dict[str, Time]] = {
    "host_rtt_ms": Time("round trip between host and proxy; one direction takes half of it"),
    "upstream_rtt_ms": Time("round trip between proxy and API; one direction takes half of it"),
    "tool_ms": Time("from the request at the app to its result", per_call=True),
    "reader_ms": Time(
        "pause in reading after each function call, as in a host that awaits its tool in the read loop",
        per_call=True,
        optional=True,
    ),
    "create_ms": Time("from the API's acceptance of response.create to response.created"),
    "first_item_ms": Time("from response.created to the first item of the response"),
    "preamble_ms": Time("from the item of a spoken preamble to its end, before the first function call"),
    "arguments_ms": Time("from the item of a function call to response.function_call_arguments.done", per_call=True),
    "call_gap_ms": Time("between two function calls of one response", per_call=True),
    "gap_ms": Time("from the last response.function_call_arguments.done to response.done"),
    "item_done_ms": Time(
        "from the start of the gap to the calls' output_item.done; not set: the end of the gap", optional=True
    ),
    "slot_lag_ms": Time("from sending response.done until the API accepts another response"),
    "rate_limits_ms": Time("from response.done to rate_limits.updated; not set: both at once", optional=True),
    "reply_ms": Time("from the first item of a reply to response.output_text.done or response.output_audio.done"),
    "reply_gap_ms": Time("from the end of a reply's text or audio to response.done"),
    "ack_ms": Time("from the creation of an item to its confirmation"),
    "repeat_ms": Time("from a result to the same result again (scenario double)"),
    "inject_ms": Time("from the call, or the reply's first output, to the user's next input or the loss of the connection"),
    "offline_ms": Time("from the loss of the connection to the user's next text, which reconnects (scenario reconnect)"),
    "settings_ms": Time("from the open connection to Settings, and from there to the second Settings (late-settings)"),
    "speech_ms": Time("duration of the user's speech"),
    "frame_ms": Time("between two frames of the microphone"),
    "mic_tail_ms": Time("from the end of the speech to the end of the microphone's audio"),
    "vad_ms": Time("from the beginning of silence to the detected end of the speech (server VAD)"),
    "idle_timeout_ms": Time(
        "silence after a response until the API begins one by itself, if Settings asks for it (server VAD)", optional=True
    ),
    "server_turn_ms": Time(
        "from response.done of the first function call until the API begins a response by itself, as after speech (server VAD)",
        optional=True,
    ),
    "session_end_ms": Time(
        "from the first function call until the API ends the session, as after its 60 minutes; not set: the session does not end",
        optional=True,
    ),
    "deadline_ms": Time("maximum wait for a reply, from the last result, else the last call, else the user's input"),
}

#: Default values in ms of the times of an app with a workaround (`model.catalog.workarounds`).
WORKAROUND_TIMES: Final[dict[str, str]] = {
    # From the function call to the earliest result. Chosen: longer than the gap and two link delays in every exploration.
    "hold_ms": "2000",
    # Maximum wait of an app for a callback. Chosen: longer than hold_ms, and too short to make a reply late.
    "fallback_ms": "4000",
}

#: Times of a session with a forwarder, with their defaults.
FORWARDER_TIMES: Final[dict[str, str]] = {
    # From the browser's connection to the forwarder until the forwarder's connection to the proxy is open; chosen: one machine.
    "forwarder_open_ms": "20",
}

#: Times of the mock upstream; a real one has its own.
SERVER_TIMES: Final = (
    "create_ms", "first_item_ms", "preamble_ms", "arguments_ms", "call_gap_ms", "gap_ms", "item_done_ms", "slot_lag_ms",
    "rate_limits_ms", "reply_ms", "reply_gap_ms", "ack_ms",
)  # fmt: skip

#: Times in ms that are constants in the proxy's source.
PROXY_TIMES_MS: Final[dict[str, int]] = {
    # DEFERRED_RESPONSE_CREATE_TIMEOUT_MS of the proxy's server.ts, from 0.10.3 on: from a result to its request.
    "recovery_ms": 20_000,
    # INPUT_AUDIO_COMMIT_DEBOUNCE_MS, in every release: from the user's last audio frame to the commit.
    "audio_quiet_ms": 400,
    # INPUT_AUDIO_COMMIT_MAX_COALESCE_MS, from 0.11 on: from the moment at which a commit becomes possible to the commit.
    "audio_most_ms": 600,
    # RETRY_MS of the fix's response-gate.ts: from a refusal that names a finished response to the next request.
    "gate_retry_ms": 50,
}

#: Times in ms that are constants in the component's source (`src/` of each tag).
COMPONENT_TIMES_MS: Final[dict[str, int]] = {
    # sendAudioData: from Settings to the first user audio that is sent. Earlier audio is dropped.
    "settings_wait_ms": 500,
    # checkAndSend: from an opened connection to its Settings. On the first connection the model sends Settings at once.
    "settings_open_ms": 50,
    # Chosen: from the start of the session to the user's first input if SettingsApplied does not arrive.
    "unapplied_ms": 1_000,
    # waitForSettings: interval at which a text that has opened the connection checks whether they were sent.
    "settings_poll_ms": 100,
    # TEXT_ONLY_AGENT_DONE_DEFER_MS, from 0.10.0 on: from the agent's last text to the assumed end of its turn.
    "text_done_ms": 200,
    # From the assumed end of a text turn to the restart of the idle timeout.
    "text_counts_ms": 50,
    # DEFAULT_MAX_WAIT_FOR_AGENT_REPLY_MS, from 0.10.0 on: from a result until the idle timeout no longer waits for a message.
    "agent_reply_wait_ms": 500,
    # DEFAULT_IDLE_TIMEOUT_MS: idle timeout if `agentOptions.idleTimeoutMs` is not set.
    "component_idle_ms": 10_000,
    # Chosen: from the agent's last audio frame to the end of playback, for frames that arrive at playback speed.
    "playback_ms": 100,
}

#: Times in ms that are constants in the source of a client (`model.catalog.clients`).
CLIENT_TIMES_MS: Final[dict[str, int]] = {
    # RETRY_S of clients/openai_well.py: from a refusal to the next request.
    "client_retry_ms": 100,
    # generate_reply in livekit/agents/llm/_realtime/openai.py: from a request to its response.
    "client_timeout_ms": 10_000,
}


@dataclass(frozen=True)
class Profile:
    """A value for each time.

    Attributes:
        sentence: description for tables and help texts.
        values: value as text in the grammar, by time name. None means that an optional time is not set.
        sources: origin of the value, by time name.
    """

    sentence: str
    values: dict[str, str | None]
    sources: dict[str, str]


#: Name of the profile with times from recordings of the real API.
RECORDED: Final = "recorded-2026"

_FIXED: Final[dict[str, str | None]] = {
    "reader_ms": None, "preamble_ms": "200", "item_done_ms": None, "slot_lag_ms": "0", "rate_limits_ms": None,
    "repeat_ms": "0", "inject_ms": "20", "offline_ms": "300", "settings_ms": "200",
    "speech_ms": "1500", "frame_ms": "100", "mic_tail_ms": "700", "vad_ms": "500",
    "idle_timeout_ms": None, "server_turn_ms": None, "session_end_ms": None, "deadline_ms": "30000",
}  # fmt: skip

PROFILES: Final[dict[str, Profile]] = {
    "loopback": Profile(
        "everything on one machine: no network, items confirmed at once, small fixed server times",
        {
            **_FIXED,
            "host_rtt_ms": "0", "upstream_rtt_ms": "0", "tool_ms": "50", "create_ms": "5", "first_item_ms": "5",
            "arguments_ms": "5", "call_gap_ms": "5", "gap_ms": "150", "reply_ms": "500", "reply_gap_ms": "5", "ack_ms": "0",
        },
        {
            "gap_ms": "chosen: the gap at which the releases were first compared on the wire (docs/release-facts.md#effect-of-the-gap)",
            "tool_ms": "chosen: faster than the gap, so that the race is on",
        },
    ),
    "observed-2025": Profile(
        "the only published millisecond trace: livekit/agents #1056, January 2025, beta API",
        {
            **_FIXED,
            "host_rtt_ms": "20", "upstream_rtt_ms": "40", "tool_ms": "300", "create_ms": "40", "first_item_ms": "uniform(216,271)",
            "arguments_ms": "50", "call_gap_ms": "50", "gap_ms": "8", "reply_ms": "1500", "reply_gap_ms": "8", "ack_ms": "55",
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
    RECORDED: Profile(
        "what recordings of the real API show (data/api): realtime models of OpenAI, Azure and xAI, 2024 to 2026; audio replies",
        {
            **_FIXED,
            "host_rtt_ms": "uniform(5,80)",
            "upstream_rtt_ms": "uniform(40,110)",
            "tool_ms": "lognormal(5.5,0.6)",
            "create_ms": "choice(24,25,27,53,61,72,77,88)",
            "first_item_ms": "choice(112,140,190,194,216,224,252,271,271,303,316,342,354,368,447)",
            "arguments_ms": "choice(0,106)",
            "call_gap_ms": "50",
            "gap_ms": "uniform(1,12)",
            "item_done_ms": "1",
            "rate_limits_ms": "choice(29,33)",
            "reply_ms": "choice(155,352,387,931,1003,2271)",
            "reply_gap_ms": "choice(0,0,1,4,5)",
            "ack_ms": "choice(20,21,22,22,22,22,23,26,27,37,53,59,72)",
        },
        {
            "gap_ms": "recorded: 1 (xAI, rows 26-28), 4 (Voice Live tool_call_round, rows 22-24), at most 8 (livekit/agents #1056, "
            "rows 3-4), 12 (Azure Foundry, rows 6-7); any value between the smallest and the largest is taken as likely",
            "item_done_ms": "recorded: 1 (xAI, rows 26-27) and 1 (Voice Live tool_call_round, rows 22-23)",
            "rate_limits_ms": "recorded: 29 and 33 (OpenAI GA idle_timeout, rows 22-24 and 127-128); in 4 of 4 recordings with a function call "
            "the client's response.create before it was accepted",
            "create_ms": "recorded with the round trip, 64 to 128 (8 values: OpenAI GA, Voice Live, xAI), less RECORDED_RTT_MS",
            "ack_ms": "recorded with the round trip, 60 to 112 (13 values: OpenAI GA, Voice Live, xAI), less RECORDED_RTT_MS",
            "first_item_ms": "recorded: 112 to 447, of which OpenAI GA 303 and 354 (15 values); no round trip in it",
            "arguments_ms": "recorded: 106 (Voice Live tool_call_round, rows 8-22) and 0 (xAI, rows 23-26)",
            "reply_ms": "recorded: audio replies, 155 and 387 OpenAI GA, 2271 OpenAI beta, 352 to 1003 xAI; text replies took 37 to "
            "104 (RECORDED_TEXT_TIMES)",
            "reply_gap_ms": "recorded: audio replies, 5 and 4 OpenAI GA, 1 OpenAI beta, 0 and 0 xAI; text replies 1 to 6",
            "host_rtt_ms": "chosen: from a host in the same city to one on another continent; not in the recordings",
            "upstream_rtt_ms": "chosen: the recordings' own is at most 47 (the fastest session.update -> session.updated)",
            "tool_ms": "chosen: median 245 ms, nine of ten from 91 to 657 ms; an app's own time",
            "call_gap_ms": "chosen: no recording has two calls in one response",
        },
    ),
}  # fmt: skip

#: Network times of maps and plots with fixed times. All releases have the same ones, so their boundaries are comparable.
FIXED_NETWORK: Final = {"host_rtt_ms": "20", "upstream_rtt_ms": "60", "ack_ms": "35"}

#: Round trip in ms that is subtracted from recorded times that include one. It is below 47 ms, the shortest recorded time
#: from session.update to session.updated.
RECORDED_RTT_MS: Final = 40

#: Times that replace those of `recorded-2026` for text replies. Source: three recorded replies of Voice Live.
RECORDED_TEXT_TIMES: Final[dict[str, str]] = {"reply_ms": "choice(37,42,104)", "reply_gap_ms": "choice(1,2,3,6)"}
