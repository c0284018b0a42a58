"""The proxy's rules for user audio: what it appends, when it commits, and which frame ends its process.

Each rule is a function that changes the state and yields effects. After each commit the proxy requests a response. Source:
docs/release-facts.md#user-audio. `voicerace conformance` compares every rule with the running proxies (cases ``audio-…``).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from voicerace.model.actors.actor import Cancel, Effect, Send, SetTimer
from voicerace.model.actors.javascript import at, key, or_else, string, text, truthy
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.protocol import input_audio

__all__ = [
    "AudioState", "CannotAppendError", "can_commit", "close", "commit", "flag_cleared", "flush", "receive", "response_done",
    "stop", "timer_expired", "transcript",
]  # fmt: skip

#: Minimum size of a commit in bytes: 100 ms of 16-bit samples at 24 kHz.
COMMIT_BYTES: Final = 4_800
#: Maximum size of one append in bytes, from the API reference. The proxies do not split a larger frame.
APPEND_MAX: Final = 15 * 2**20
#: Input samples (16 kHz) per output sample (24 kHz).
_STEP: Final = 16_000 / 24_000
#: Maximum length, in input samples, of a frame whose resampled form is cached: 0.5 s at 16 kHz.
_SHORT: Final = 8_000
#: Maximum number of characters of a transcript in the proxy's log.
_LOGGED: Final = 60


class CannotAppendError(Exception):
    """The proxy's code throws for a frame.

    After session.updated the proxy does not catch the exception, which ends the process with all its sessions. While the
    proxy handles session.updated and appends the queued frames, it treats the exception as an error of session.updated.
    """


@dataclass
class AudioState:
    """The state of the user's audio for one connection. Names in parentheses are variables in the proxy's source.

    Attributes:
        kept: frames queued until session.updated (`pendingAudioQueue`).
        vad: whether the server detects the end of speech and commits, not the proxy (`micInputUsesOpenAIServerVad`).
        pending: number of bytes appended since the last commit (`pendingAudioBytes`), unused with `vad`.
        committed: whether the first commit was sent (`hasCompletedFirstUserAudioCommit`).
        most_set: whether the timer of the rule `most` runs (`audioCommitMaxCoalesceTimer`).
        sample: last input sample that the resampler used, or None before the first frame.
        position: distance from `sample` to the next output sample, in input samples.
        words: transcript so far, by item id (`transcriptionDeltaAccumulator`).
    """

    kept: tuple[bytes, ...] = ()
    vad: bool = False
    pending: int = 0
    committed: bool = False
    most_set: bool = False
    sample: int | None = None
    position: float = 0.0
    words: dict[Hashable, str] = field(default_factory=dict)


def receive(state: AudioState, release: ProxyRelease, frame: bytes, *, flag: bool) -> Iterator[Effect]:
    """Append a frame that arrived after session.updated, and restart the commit timers.

    Raises:
        CannotAppendError: the frame ends the proxy's process.
    """
    appended = _append(state, release, frame)
    if appended is not None:
        yield appended
        yield from _wait(state, release, flag=flag)


def flush(state: AudioState, release: ProxyRelease, *, flag: bool) -> Iterator[Effect]:
    """Append the frames queued until session.updated, and restart the commit timers if audio is pending.

    Raises:
        CannotAppendError: a frame cannot be appended and is lost. Later frames stay in `kept`, and no timer starts.
    """
    while state.kept:
        frame, *rest = state.kept
        state.kept = tuple(rest)
        appended = _append(state, release, frame)
        if appended is not None:
            yield appended
    if state.pending:
        yield from _wait(state, release, flag=flag)


def timer_expired(state: AudioState, name: str) -> None:
    if name == "audio_most":
        state.most_set = False


def can_commit(state: AudioState, release: ProxyRelease, *, flag: bool) -> bool:
    """Return whether the proxy may commit the pending audio, whether or not the mark is set.

    Source: docs/release-facts.md#user-audio.
    """
    return not state.vad and not flag and state.pending >= _commit_bytes(state, release)


def commit(state: AudioState) -> Iterator[Effect]:
    """Commit the pending audio as a user item."""
    state.pending = 0
    state.committed = True
    yield Send("upstream", {"type": input_audio.COMMIT})
    yield from stop(state)


def flag_cleared(state: AudioState, release: ProxyRelease) -> Iterator[Effect]:
    """Pad pending audio to `COMMIT_BYTES`, even before the first commit, and restart the commit timers."""
    if "flag" in release.commit_on and state.pending and not state.vad:
        yield from _pad(state, COMMIT_BYTES)
        yield from _wait(state, release, flag=False)


def response_done(state: AudioState, release: ProxyRelease) -> Iterator[Effect]:
    """Restart the commit timers for pending audio. Used by fixed releases without the rule `flag`."""
    if "flag" not in release.commit_on and state.pending:
        yield from _wait(state, release, flag=False)


def close(state: AudioState, release: ProxyRelease, *, flag: bool) -> Iterator[Effect]:
    """Pad the pending audio to the minimum commit size when the host disconnects, unless the flag is set."""
    if "close" in release.commit_on and state.pending and not state.vad and not flag:
        yield from _pad(state, _commit_bytes(state, release))


def stop(state: AudioState) -> Iterator[Effect]:
    """Cancel both commit timers."""
    state.most_set = False
    yield Cancel("audio_quiet")
    yield Cancel("audio_most")


def transcript(state: AudioState, release: ProxyRelease, event: Mapping[str, Any]) -> Any:
    """Return the text that the host gets for a transcription event: the piece, the item's text so far, or the final text.

    Raises:
        ThrownError: the final transcript is neither text nor an array.
    """
    item = key(or_else(at(event, "item_id"), ""))
    if event["type"] == input_audio.TRANSCRIBED:
        if truthy(at(event, "item_id")):
            state.words.pop(item, None)
        final = or_else(at(event, "transcript"), "")
        if isinstance(final, list):
            string(final[:_LOGGED])
            return final
        return text(final)
    piece = string(or_else(at(event, "delta"), ""))
    if release.transcripts == "pieces":
        return piece
    so_far = state.words.get(item, "") + piece
    if item is not None:
        state.words[item] = so_far
    return so_far


# -- parts of the rules ----------------------------------------------------------------------------------------------


def _commit_bytes(state: AudioState, release: ProxyRelease) -> int:
    """Return the minimum size of the next commit in bytes."""
    return COMMIT_BYTES if state.committed else release.first_commit_bytes


def _wait(state: AudioState, release: ProxyRelease, *, flag: bool) -> Iterator[Effect]:
    """Restart the timer of the rule `quiet`. Start the timer of the rule `most` when a commit first becomes possible."""
    if state.vad:
        return
    if "quiet" in release.commit_on:
        yield SetTimer("audio_quiet", "audio_quiet_ms")
    if "most" in release.commit_on and not state.most_set and can_commit(state, release, flag=flag):
        state.most_set = True
        yield SetTimer("audio_most", "audio_most_ms")


def _append(state: AudioState, release: ProxyRelease, frame: bytes) -> Send | None:
    """Return the message that appends a frame, or None if the frame is too short for one output sample."""
    pcm = _resampled(state, frame) if release.resampled else frame
    if len(pcm) > APPEND_MAX:
        raise CannotAppendError(f"{len(pcm)} bytes in one append")
    if not pcm:
        return None
    state.pending += len(pcm)
    return Send("upstream", input_audio.append(pcm))


def _pad(state: AudioState, size: int) -> Iterator[Effect]:
    """Append silence until `size` bytes are pending."""
    missing = size - state.pending
    if missing > 0:
        state.pending += missing
        yield Send("upstream", input_audio.append(bytes(missing)))


def _resampled(state: AudioState, frame: bytes) -> bytes:
    """Resample 16-bit samples from 16 to 24 kHz by linear interpolation. Keep the last input sample for the next frame.

    The position is a sum of doubles, as in the proxy. Exact thirds would give one sample more or less in some frames.
    """
    if len(frame) % 2:
        raise CannotAppendError(f"{len(frame)} bytes are not samples of 16 bits")
    samples = struct.unpack(f"<{len(frame) // 2}h", frame)
    if state.sample is not None:
        samples = (state.sample, *samples)
    interpolate = _interpolated_cached if len(samples) <= _SHORT else _interpolated
    pcm, state.sample, state.position = interpolate(samples, state.position)
    return pcm


def _interpolated(samples: tuple[int, ...], position: float) -> tuple[bytes, int, float]:
    """Return (output samples from `position` on, last used input sample, next position relative to that sample)."""
    last = len(samples) - 1
    found: list[int] = []
    while (left := int(position)) < last:
        share = position - left
        found.append(math.floor(samples[left] * (1 - share) + samples[left + 1] * share + 0.5))
        position += _STEP
    return struct.pack(f"<{len(found)}h", *found), samples[left], position - left


# The cache is effective because all sessions of a sweep send the same few frames.
_interpolated_cached = lru_cache(maxsize=256)(_interpolated)
