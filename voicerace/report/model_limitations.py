"""List of behaviour that the models omit. The limits in the report and docs/limits.md are generated from this list."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["MODEL_LIMITATIONS", "ModelLimitation"]


class ModelLimitation(NamedTuple):
    """A behaviour of one part of the real system that the models omit, and its possible effect."""

    part: str
    what: str
    effect: str


MODEL_LIMITATIONS: Final = (
    ModelLimitation(
        "upstream",
        "It is a mock that does what recordings of the API show (`data/api`); other behaviour is configurable (`docs/open-facts`).",
        "Every refusal here is the mock's: no recording has one. Only a run with a key shows the API's own (`voicerace contract`).",
    ),
    ModelLimitation(
        "upstream",
        "Rate limits, a session's 60 minutes, truncated audio, out-of-band responses beside others, and content filters.",
        "Other errors and outcomes than the ones shown here.",
    ),
    ModelLimitation(
        "upstream",
        "Server VAD decides by energy, `vad_ms` after silence begins; its padding, threshold and semantic variant are missing.",
        "When the server's own response begins, by some tens of milliseconds.",
    ),
    ModelLimitation(
        "links",
        "A link's delay is drawn once per session: no jitter from message to message, no loss, no bursts.",
        "Two messages close in time may change places, but never the order on one link.",
    ),
    ModelLimitation(
        "proxy",
        "Its event loop takes no time; only a live run shows the delay of a busy process.",
        "Results within a millisecond or two of a boundary.",
    ),
    ModelLimitation(
        "proxy", "Logging, OpenTelemetry, TLS, authentication of hosts and limits on their number.", "None on a race."
    ),
    ModelLimitation(
        "component",
        "Settings of the first connection are sent at once (really 50 ms later), `stop()` closes at once (really a second later).",
        "None after SettingsApplied.",
    ),
    ModelLimitation(
        "component",
        "Its idle timeout is off unless `--idle-close` is given: the real component closes an idle connection after 10 s.",
        "With a handler that returns nothing and a tool slower than that, the result is never sent: `stale` instead of `noisy`.",
    ),
    ModelLimitation(
        "component",
        "React commits state changes about 1 ms later; two components on one page; the path to Deepgram instead of OpenAI.",
        "The order of two callbacks within a millisecond.",
    ),
    ModelLimitation(
        "component",
        "A conversation in `conversationStorage`, which is sent on a new connection from 0.10.0 on.",
        "What the model knows after a reconnect, but not when it may speak.",
    ),
    ModelLimitation(
        "app",
        "A tool answers each call once (or repeats its answer); calls are answered out of order only through `tool_ms` per call.",
        "Handlers that mix styles within one session.",
    ),
)
