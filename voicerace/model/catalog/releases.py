"""The releases of the proxy. Each difference between releases is a setting.

Source: each tag of Signal-Meaning/dg_react_agent (`packages/voice-agent-backend/scripts/openai-proxy`).
`voicerace conformance` compares the model with the running proxies message by message. Some version numbers name several
programs, so each release has a hash of its program's source.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from voicerace.errors import InputError, unknown
from voicerace.model.catalog.components import COMPONENTS, ComponentRelease, component
from voicerace.model.catalog.gate_rules import RULES, Rule

__all__ = [
    "COMPONENTS", "FIXED", "PROXIES", "REFERENCE", "ComponentRelease", "ProxyRelease", "component", "component_for", "fixed",
    "proxy_of_source", "proxy_release", "reference_without",
]  # fmt: skip

#: Letters of the release events (docs/release-facts.md#event-letters). `result` is the tool result itself.
T, R, A, I = "T", "R", "A", "I"  # noqa: E741


@dataclass(frozen=True)
class ProxyRelease:
    """The settings of one release of the proxy.

    Attributes:
        tag: tag in the repository, with the suffix `-published` if the published program differs from the tagged program.
        backend: version of voice-agent-backend in the tag.
        published: published version of voice-agent-backend if it differs from `backend`, else None.
        generation: letter that releases with the same gate share.
        source: `engine.live.source.source_hash` of the program.
        create_on: when the proxy sends the request after a result: at the ``result``, or at the next of these events
            (T text done, R response done, I a function_call_output confirmed).
        recovery: whether the proxy sends a deferred request after 20 s without an event in `create_on`.
        flag_set_by: requests that set the flag `responseInProgress`: audio, result, text. With ``server``, a response that
            the server starts under server VAD sets it too.
        flag_cleared_by: events that clear the flag.
        settings_wait: whether the first Settings send no session.update while the flag or the mark is set.
        text_queued: whether user text is queued until session.updated.
        audio: how the user's turn ends: the proxy ends it when the user is ``quiet``, or the server ends it by ``vad``
            unless Settings sets `agent.useOpenAIManualAudioCommit`.
        resampled: whether the proxy resamples the host's 16 kHz audio to 24 kHz. Otherwise it appends the audio unchanged.
        commit_on: when the proxy commits user audio: ``quiet`` 400 ms after the last frame, ``most`` 600 ms after the
            buffer has enough bytes, ``close`` when the host disconnects, padded. With ``flag``, the proxy pads the audio
            and restarts these timers when the flag is cleared.
        first_commit_bytes: minimum size of the first commit in bytes. Later commits need 4,800 bytes.
        transcripts: whether the host gets each transcript in ``pieces``, or each time the ``whole`` text so far with the
            event's times and channels.
        refusal_hidden: whether the proxy hides the active-response error from the host.
        unknown_event: whether the proxy sends an unknown event to the host ``raw`` or as an ``error``, or only to its ``log``.
        text_delta_known: whether response.output_text.delta is a known event.
        done_raw: whether the proxy sends response.done to the host.
        agent: how many of AgentStartedSpeaking, AgentDone etc. the host gets: none, some, all, or all but those at T after audio.
        reply_text: source of assistant text: T, S and the call (``done``), items (``item``), or whichever is first (``any``).
        other_json_raw: whether the proxy sends other JSON from the host to the API unchanged. Otherwise it returns an Error.
        context_in: whether the proxy sends the earlier conversation as ``items`` or in the ``instructions``.
        session_options: whether the proxy copies tool choice, modalities, token limit, managed prompt and the output's
            format, speed and voice from Settings to the session.
        error_code_from: source of the host's error code: ``message`` recognises two known texts, ``api`` copies the API's code.
        idle_timeout_waits: whether the proxy withholds an idle_timeout error while the flag is set.
        gate: rules of the reference gate, or None for a release without it. The other settings then describe the gate.
    """

    tag: str
    backend: str
    published: str | None
    generation: str
    source: str
    create_on: frozenset[str] = frozenset({"result"})
    recovery: bool = False
    flag_set_by: frozenset[str] = frozenset({"audio"})
    flag_cleared_by: frozenset[str] = frozenset({T})
    settings_wait: bool = False
    text_queued: bool = False
    audio: Literal["quiet", "vad"] = "quiet"
    resampled: bool = False
    commit_on: frozenset[str] = frozenset({"quiet"})
    first_commit_bytes: int = 4_800
    transcripts: Literal["pieces", "whole"] = "pieces"
    refusal_hidden: bool = False
    unknown_event: Literal["raw", "error", "log"] = "raw"
    text_delta_known: bool = False
    done_raw: bool = True
    agent: Literal["none", "some", "all", "all_but_text_after_audio"] = "none"
    reply_text: Literal["done", "item", "any"] = "done"
    other_json_raw: bool = True
    context_in: Literal["items", "instructions"] = "items"
    session_options: bool = False
    error_code_from: Literal["message", "api"] = "message"
    idle_timeout_waits: bool = False
    gate: frozenset[Rule] | None = None

    @property
    def defers(self) -> bool:
        """Whether the proxy defers the request after a result to a later event."""
        return "result" not in self.create_on


def _rows() -> tuple[ProxyRelease, ...]:
    """Return all releases in order. Each release is defined by its differences from an earlier release."""
    a0 = ProxyRelease("0.9.0", "0.2.0", None, "A0", "98ba30bd14db")
    a1 = replace(
        a0, tag="0.9.1", backend="0.2.1", generation="A1", source="c19f51aae23f",
        flag_set_by=frozenset({"audio", "result", "text"}), flag_cleared_by=frozenset({T, A}), settings_wait=True,
    )  # fmt: skip
    a2 = replace(a1, tag="0.9.2", backend="0.2.2", generation="A2", source="dd15de02656b", flag_cleared_by=frozenset({T}))
    b = replace(
        a2, tag="0.9.4", backend="0.2.4", generation="B", source="904f68a03748",
        create_on=frozenset({T, R}), flag_cleared_by=frozenset({T, R}), done_raw=False,
    )  # fmt: skip
    b_agent = replace(b, tag="0.9.7", backend="0.2.5", source="2d15423ecc7f", agent="some", idle_timeout_waits=True)
    a3 = replace(
        b_agent, tag="0.10.0", backend="0.2.6", generation="A3", source="c373a455d34b",
        create_on=frozenset({"result"}), unknown_event="error", agent="all", reply_text="item",
        context_in="instructions", error_code_from="api", transcripts="whole",
    )  # fmt: skip
    a3_log = replace(a3, tag="0.10.2-published", backend="0.2.7", source="f1420fcdc318", unknown_event="log")
    c = replace(
        a3_log, tag="50420ee", backend="0.2.8", generation="C", source="4798512fa0c5",
        create_on=frozenset({T, R}), refusal_hidden=True,
    )  # fmt: skip
    d = replace(c, tag="0.10.3", generation="D", source="af80a2e772d9", create_on=frozenset({T, R, I}), recovery=True)
    d4 = replace(d, tag="0.10.4", published="0.2.9", source="7e74d8fc9b60", agent="all_but_text_after_audio")
    d5 = replace(
        d4, tag="0.10.5", backend="0.2.9", published="0.2.10", source="760e91c05c1f",
        text_queued=True, other_json_raw=False, session_options=True,
    )  # fmt: skip
    d6 = replace(
        d5, tag="0.10.6", backend="0.2.11", published=None, source="9315553fbfe0", reply_text="any", text_delta_known=True
    )
    d11 = replace(
        d6, tag="0.11.0", published="0.2.12", source="e27cfa81bef0", audio="vad", resampled=True,
        flag_set_by=frozenset({"audio", "result", "text", "server"}),
        commit_on=frozenset({"quiet", "most", "flag", "close"}), first_commit_bytes=48_000,
    )  # fmt: skip
    return (
        a0, a1, a2, replace(a2, tag="0.9.3", backend="0.2.3"),
        b, replace(b, tag="0.9.5", published="0.2.5"), replace(b, tag="0.9.6", backend="0.2.5"),
        b_agent, replace(b_agent, tag="0.9.8"),
        a3, replace(a3, tag="0.10.1"), replace(a3, tag="0.10.2"), a3_log,
        c, d, d4, d5, d6, d11, replace(d11, tag="0.11.1", backend="0.2.13", published=None),
    )  # fmt: skip


PROXIES: Final[dict[str, ProxyRelease]] = {row.tag: row for row in _rows()}

#: Tag suffix of a release whose proxy `voicerace fix` has changed.
FIXED: Final = "+gate"


def fixed(row: ProxyRelease) -> ProxyRelease:
    """Return a release's settings after `voicerace fix`, which adds the reference gate (`model.actors.reference_gate`)."""
    return replace(
        row, tag=row.tag + FIXED, backend="", published=None, source="", generation="G", create_on=frozenset({"result"}),
        recovery=False, text_queued=True, gate=frozenset(RULES),
    )  # fmt: skip


#: Settings of the newest release with the reference gate. This program was never released.
REFERENCE: Final = replace(fixed(PROXIES["0.11.1"]), tag="reference")


def reference_without(rule: Rule) -> ProxyRelease:
    """Return `REFERENCE` without one rule of its gate."""
    return replace(REFERENCE, tag=f"reference-without-{rule}", gate=frozenset(RULES) - {rule})


def proxy_release(name: str, where: str = "release") -> ProxyRelease:
    """Return the release with a tag (``0.9.1`` or ``v0.9.1``) or with a backend version that names only one program.

    Args:
        name: tag or backend version.
        where: name of the parameter for error messages.

    Raises:
        InputError: the name is unknown, or it names several programs. The error lists their tags.
    """
    if not isinstance(name, str):
        raise InputError(where, f"{name!r:.60} is a {type(name).__name__}", f"a tag as text, {', '.join(PROXIES)}")
    wanted = name.strip().removeprefix("v")
    if wanted in PROXIES:
        return PROXIES[wanted]
    if wanted.endswith(FIXED) and (base := wanted.removesuffix(FIXED)) in PROXIES:
        return fixed(PROXIES[base])
    if wanted == REFERENCE.tag:
        return REFERENCE
    for rule in RULES:
        if wanted == f"{REFERENCE.tag}-without-{rule}":
            return reference_without(rule)
    candidates = [row for row in PROXIES.values() if wanted in (row.backend, row.published)]
    if len({row.source for row in candidates}) == 1:
        return candidates[0]
    if candidates:
        names = ", ".join(row.tag for row in candidates)
        raise InputError(where, f"backend {wanted} names several programs", f"say which tag: {names}")
    raise unknown(where, name, (*PROXIES, REFERENCE.tag), ", or a backend version")


def proxy_of_source(source: str, backend: str | None = None) -> ProxyRelease | None:
    """Return the release with a source hash, or None if the program is unknown.

    If several tags have the program, return the first one whose backend version is `backend`, else the first one.
    """
    same = [row for row in PROXIES.values() if row.source == source]
    return next((row for row in same if row.backend == backend), same[0] if same else None)


#: Tag of the component whose `src/` is the same, by name of a program that was published without a tag.
_COMPONENT_OF: Final = {"0.10.2-published": "0.10.3", "50420ee": "0.10.3"}


def component_for(release: ProxyRelease) -> ComponentRelease:
    """Return the component release that was published with a proxy release."""
    tag = "0.11.1" if release.tag.startswith(REFERENCE.tag) else release.tag.removesuffix(FIXED)
    return component(_COMPONENT_OF.get(tag, tag))
