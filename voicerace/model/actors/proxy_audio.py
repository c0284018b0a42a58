"""The user's audio in the proxy: what of it is appended, when it is committed, and what ends the whole process.

Rules over a small state; each gives effects, and the proxy adds the create behind a commit. Where the releases differ a
knob says so; nothing here knows a release by name. Facts: docs/release-facts.md#user-audio; every rule was
seen on the running proxy of every row (`voicerace conformance`, the scripts ``audio-…``).
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

__all__ = ["AudioState", "CannotAppendError", "close", "commit", "due", "flush", "freed", "rang", "receive", "stop", "words"]

#: 100 ms of 24 kHz, 16 bits: the least that the API commits.
COMMIT_BYTES: Final = 4_800
#: The most that one append may hold (15 MiB, the API's reference). The proxies do not split a frame that is larger.
APPEND_MAX: Final = 15 * 2**20
#: 16 kHz in, 24 kHz out: how far one sample of the output is from the next, in samples of the input.
_STEP: Final = 16_000 / 24_000
#: Frames of up to so many samples (0.5 s) are kept with what became of them.
_SHORT: Final = 8_000
#: So much of a transcript goes into the log.
_LOGGED: Final = 60


class CannotAppendError(Exception):
    """A frame that the proxy's code throws at.

    After session.updated nothing catches it, and the whole process ends with every session in it; in the frames that
    waited for session.updated it is taken for a fault of that event.
    """


@dataclass
class AudioState:
    """What one connection of the proxy remembers of the user's audio. Names in brackets are those of its source.

    Attributes:
        kept: frames that wait for session.updated (`pendingAudioQueue`).
        vad: the server listens for the end of speech, so nothing is committed (`micInputUsesOpenAIServerVad`).
        pending: bytes appended since the last commit (`pendingAudioBytes`); means nothing under `vad`.
        committed: the first commit has been (`hasCompletedFirstUserAudioCommit`).
        most_set: the longest wait is running (`audioCommitMaxCoalesceTimer`).
        sample, position: where the resampler stands: the last sample it got, and how far behind it the next one of
            the output lies.
        words: item -> what was transcribed of it so far (`transcriptionDeltaAccumulator`).
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
    """A frame behind session.updated: appended, and the wait begins anew.

    Raises:
        CannotAppendError: this frame ends the process.
    """
    appended = _append(state, release, frame)
    if appended is not None:
        yield appended
        yield from _wait(state, release, flag=flag)


def flush(state: AudioState, release: ProxyRelease, *, flag: bool) -> Iterator[Effect]:
    """session.updated: the frames that waited for it, then one wait. What is pending from before waits anew, too.

    Raises:
        CannotAppendError: a frame that cannot be appended is lost, those behind it stay where they are, and no wait begins.
    """
    while state.kept:
        frame, *rest = state.kept
        state.kept = tuple(rest)
        appended = _append(state, release, frame)
        if appended is not None:
            yield appended
    if state.pending:
        yield from _wait(state, release, flag=flag)


def rang(state: AudioState, name: str) -> None:
    """One of the two waits is over."""
    if name == "audio_most":
        state.most_set = False


def due(state: AudioState, release: ProxyRelease, *, flag: bool) -> bool:
    """Whether what is pending may be committed. The mark is not checked (docs/release-facts.md#user-audio)."""
    return not state.vad and not flag and state.pending >= _least(state, release)


def commit(state: AudioState) -> Iterator[Effect]:
    """What is pending becomes a user item; its create follows."""
    state.pending = 0
    state.committed = True
    yield Send("upstream", {"type": input_audio.COMMIT})
    yield from stop(state)


def freed(state: AudioState, release: ProxyRelease) -> Iterator[Effect]:
    """The flag was cleared: what it held back waits anew, padded to what later commits need (not to the first's)."""
    if "flag" in release.commit_on and state.pending and not state.vad:
        yield from _pad(state, COMMIT_BYTES)
        yield from _wait(state, release, flag=False)


def close(state: AudioState, release: ProxyRelease, *, flag: bool) -> Iterator[Effect]:
    """The host has left: what is pending is padded until it can be committed, unless the flag is set."""
    if "close" in release.commit_on and state.pending and not state.vad and not flag:
        yield from _pad(state, _least(state, release))


def stop(state: AudioState) -> Iterator[Effect]:
    """No wait goes on."""
    state.most_set = False
    yield Cancel("audio_quiet")
    yield Cancel("audio_most")


def words(state: AudioState, release: ProxyRelease, event: Mapping[str, Any]) -> Any:
    """The user's words in an event of the transcription: the piece, or all of the item's so far.

    Raises:
        ThrownError: what is said to be all the words is neither text nor an array.
    """
    item = key(or_else(at(event, "item_id"), ""))
    if event["type"] == input_audio.TRANSCRIBED:
        if truthy(at(event, "item_id")):
            state.words.pop(item, None)
        whole = or_else(at(event, "transcript"), "")
        if isinstance(whole, list):
            string(whole[:_LOGGED])
            return whole
        return text(whole)
    piece = string(or_else(at(event, "delta"), ""))
    if release.transcripts == "pieces":
        return piece
    all_words = state.words.get(item, "") + piece
    if item is not None:
        state.words[item] = all_words
    return all_words


# -- the rules' parts ------------------------------------------------------------------------------------------------


def _least(state: AudioState, release: ProxyRelease) -> int:
    """How many bytes the next commit needs."""
    return COMMIT_BYTES if state.committed else release.first_commit_bytes


def _wait(state: AudioState, release: ProxyRelease, *, flag: bool) -> Iterator[Effect]:
    """Begin the wait for silence anew; the longest wait runs from the first moment in which a commit is possible."""
    if state.vad:
        return
    if "quiet" in release.commit_on:
        yield SetTimer("audio_quiet", "audio_quiet_ms")
    if "most" in release.commit_on and not state.most_set and due(state, release, flag=flag):
        state.most_set = True
        yield SetTimer("audio_most", "audio_most_ms")


def _append(state: AudioState, release: ProxyRelease, frame: bytes) -> Send | None:
    """A frame as the API gets it; None when it is too short to give a sample."""
    pcm = _resampled(state, frame) if release.resampled else frame
    if len(pcm) > APPEND_MAX:
        raise CannotAppendError(f"{len(pcm)} bytes in one append")
    if not pcm:
        return None
    state.pending += len(pcm)
    return Send("upstream", input_audio.append(pcm))


def _pad(state: AudioState, least: int) -> Iterator[Effect]:
    """Silence up to `least` pending bytes, as an append of its own."""
    missing = least - state.pending
    if missing > 0:
        state.pending += missing
        yield Send("upstream", input_audio.append(bytes(missing)))


def _resampled(state: AudioState, frame: bytes) -> bytes:
    """16 kHz to 24 kHz, 16 bits, on the straight line between neighbours; the last sample waits for the next frame.

    The position is a sum of doubles, as the proxy's: counting in thirds would be more exact, and at the end of some frames
    one sample off from what the proxy sends.
    """
    if len(frame) % 2:
        raise CannotAppendError(f"{len(frame)} bytes are not samples of 16 bits")
    samples = struct.unpack(f"<{len(frame) // 2}h", frame)
    if state.sample is not None:
        samples = (state.sample, *samples)
    between = _known_between if len(samples) <= _SHORT else _between
    pcm, state.sample, state.position = between(samples, state.position)
    return pcm


def _between(samples: tuple[int, ...], position: float) -> tuple[bytes, int, float]:
    """Samples on the straight line from `position` on; the one that waits, and where the next begins from there."""
    last = len(samples) - 1
    found: list[int] = []
    while (left := int(position)) < last:
        share = position - left
        found.append(math.floor(samples[left] * (1 - share) + samples[left + 1] * share + 0.5))
        position += _STEP
    return struct.pack(f"<{len(found)}h", *found), samples[left], position - left


#: Every session of a sweep, and every move of a slider, has the same few frames.
_known_between = lru_cache(maxsize=256)(_between)
