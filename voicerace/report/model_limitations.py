"""The limitations of the models, listed in the report and in docs/limits.md."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["LEFT_OUT", "LeftOut"]


class LeftOut(NamedTuple):
    """A limitation of the model `part`: what it leaves out, and the effect on results."""

    part: str
    what: str
    effect: str


LEFT_OUT: Final = (
    LeftOut(
        "upstream",
        "It is a mock of the behaviour in recordings (`data/api`); behaviour that no recording decides is a knob (`docs/open-facts`).",
        "Every refusal is the mock's: no recording has one. Only a run with a key shows the API's own (`voicerace contract`).",
    ),
    LeftOut(
        "upstream",
        "Rate limits, the limit of 60 minutes, truncated audio, concurrent out-of-band responses, and content filters.",
        "The kinds of errors and endings.",
    ),
    LeftOut(
        "upstream",
        "Server VAD decides by energy, `vad_ms` after silence begins, without padding, threshold and the semantic variant.",
        "The start of the server's own response, by some tens of milliseconds.",
    ),
    LeftOut(
        "links",
        "A link's delay is drawn once per session, without jitter between messages, loss or bursts.",
        "The order of two close messages on different links.",
    ),
    LeftOut(
        "proxy",
        "Its event loop takes no time; only a live run shows the delays of a busy process.",
        "Results within 2 ms of a boundary.",
    ),
    LeftOut(
        "proxy",
        "Logging, OpenTelemetry, TLS, authentication of hosts and limits on their number.",
        "Nothing that decides a race.",
    ),
    LeftOut(
        "component",
        "The model sends Settings of the first connection without the 50 ms delay, and closes at `stop()` without the delay of 1 s.",
        "Nothing after SettingsApplied.",
    ),
    LeftOut(
        "component",
        "Its idle timeout is off without `--idle-close`; the component closes an idle connection after 10 s.",
        "Handlers that return nothing, with a tool of more than 10 s: the result is never sent, `stale` instead of `noisy`.",
    ),
    LeftOut(
        "component",
        "React commits state changes about 1 ms later; two components on one page; the path to Deepgram instead of OpenAI.",
        "The order of two callbacks within a millisecond.",
    ),
    LeftOut(
        "component",
        "A conversation in `conversationStorage`, which from 0.10.0 is sent on a new connection.",
        "The content of replies after a reconnect, not their times.",
    ),
    LeftOut(
        "app",
        "A tool answers each call once, or repeats its answer. Calls are answered out of order only with `tool_ms` per call.",
        "Handlers that mix styles within one session.",
    ),
)
