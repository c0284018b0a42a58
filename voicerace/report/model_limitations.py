"""What the models leave out: said in the report's limits and in docs/limits.md, from this one list."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["LEFT_OUT", "LeftOut"]


class LeftOut(NamedTuple):
    """A fact about the real thing that no model has, and what that can change."""

    party: str
    what: str
    matters: str


LEFT_OUT: Final = (
    LeftOut(
        "upstream",
        "It is a mock that does what recordings of the API show (`data/api`); what none of them decides is a knob (`docs/open-facts`).",
        "Every refusal here is the mock's: no recording has one. Only a run with a key shows the API's own (`voicerace contract`).",
    ),
    LeftOut(
        "upstream",
        "Rate limits, a session's 60 minutes, truncated audio, out-of-band responses beside others, and content filters.",
        "Other errors and endings than the ones shown here.",
    ),
    LeftOut(
        "upstream",
        "Server VAD decides by energy, `vad_ms` after silence begins; its padding, threshold and semantic variant are not there.",
        "When the server's own response begins, by some tens of milliseconds.",
    ),
    LeftOut(
        "links",
        "A link's delay is drawn once per session: no jitter from message to message, no loss, no bursts.",
        "Two messages that are near each other may change places in time, never in order of one link.",
    ),
    LeftOut(
        "proxy",
        "Its event loop takes no time; what a busy process adds, only a live run shows.",
        "Results within a millisecond or two of a boundary.",
    ),
    LeftOut(
        "proxy",
        "Logging, OpenTelemetry, TLS, authentication of hosts and limits on their number.",
        "Nothing that decides a race.",
    ),
    LeftOut(
        "component",
        "Settings of the first connection go out at once (50 ms later in truth), `stop()` closes at once (a second later).",
        "Nothing behind SettingsApplied.",
    ),
    LeftOut(
        "component",
        "Its idle timeout is off unless `--idle-close`: in truth a connection on which nothing happens is closed after 10 s.",
        "With a handler that returns nothing and a tool slower than that, the result is never sent: `stale` instead of `noisy`.",
    ),
    LeftOut(
        "component",
        "React commits state changes about a millisecond later; two components on one page; the Deepgram (not OpenAI) path.",
        "The order of two callbacks within a millisecond.",
    ),
    LeftOut(
        "component",
        "A conversation kept in `conversationStorage`, which from 0.10.0 is sent along when it connects again.",
        "What the model knows after a reconnect, not when it may speak.",
    ),
    LeftOut(
        "app",
        "A tool answers each call once (or repeats its answer); a call that is answered out of order only through `tool_ms` per call.",
        "Handlers that mix styles within one session.",
    ),
)
