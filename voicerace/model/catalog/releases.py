"""The releases of the proxy: one setting per rule, one code path per setting.

Read at each tag of Signal-Meaning/dg_react_agent (`packages/voice-agent-backend/scripts/openai-proxy`) and compared with the
running proxy message by message (`voicerace conformance`). Some version numbers name several programs, so each row has a
hash of its program's source.
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

#: Letters of upstream events in the table (docs/release-facts.md#event-letters); `result` is the tool result itself.
T, R, A, I = "T", "R", "A", "I"  # noqa: E741


@dataclass(frozen=True)
class ProxyRelease:
    """One release: the settings in which the releases differ.

    Attributes:
        tag: the repository's tag; with `-published` if the published program differs from the tagged one.
        backend: version of voice-agent-backend in the tag.
        published: its published version, if it differs.
        generation: rows with the same letter have the same gate.
        source: `engine.live.source.source_hash` of the program.
        create_on: when the create after a result is sent: ``result`` at once, or at the next of these events
            (T text done, R response done, I a function_call_output confirmed).
        recovery: a waiting create is sent after 20 s without such an event.
        flag_set_by: the creates that set the flag `responseInProgress`: audio, result, text; with ``server`` also a
            response that the server begins under server VAD.
        flag_cleared_by: the events that clear it.
        settings_wait: while the flag is set or a create waits, the first Settings send no session.update.
        text_queued: user text waits for session.updated.
        audio: the user's turn is ended by the proxy when the user is ``quiet``, or by the server's ``vad`` (by the proxy
            only if Settings has `agent.useOpenAIManualAudioCommit`).
        resampled: the host's 16 kHz audio is resampled to 24 kHz; else it is appended unchanged.
        commit_on: when the proxy commits user audio: ``quiet`` 400 ms after the last frame; ``most`` 600 ms after the
            buffer has enough bytes; ``flag`` the wait restarts when the flag is cleared, and the audio is padded;
            ``close`` when the host disconnects, padded.
        first_commit_bytes: minimum size of the first commit; later ones need 4,800.
        transcripts: the host gets the transcript in ``pieces``, or each time the ``whole`` text with the times and channels
            of the event.
        refusal_hidden: the active-response error is not sent to the host.
        unknown_event: an unknown event is sent to the host raw or as an Error, or written to the log only.
        text_delta_known: response.output_text.delta is a known event.
        done_raw: response.done is sent to the host.
        agent: AgentStartedSpeaking, AgentDone etc. to the host: none, some, all, or all but those at T after audio.
        reply_text: source of assistant text: T, S and the call (``done``), items (``item``), or the first of them (``any``).
        other_json_raw: other JSON of the host is sent upstream unchanged, else the host gets an Error.
        context_in: earlier conversation is sent as items or in the instructions.
        session_options: tool choice, modalities, tokens, managed prompt and the output's format, speed and voice are copied
            from Settings to the session.
        error_code_from: the error code for the host is derived from the ``message`` for two known texts, or that of the ``api``.
        idle_timeout_waits: an idle_timeout error waits while the flag is set.
        gate: the rules of the reference gate; None for the releases, whose gate the settings above describe.
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
        """Whether the create after a result waits for an event."""
        return "result" not in self.create_on


def _rows() -> tuple[ProxyRelease, ...]:
    """The table, each row by its changes from an earlier one."""
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

#: Suffix of the tag of a release whose proxy `voicerace fix` has changed.
FIXED: Final = "+gate"


def fixed(row: ProxyRelease) -> ProxyRelease:
    """Return the row of a release with the reference gate (`model.actors.reference_gate`), as `voicerace fix` changes it."""
    return replace(
        row, tag=row.tag + FIXED, backend="", published=None, source="", generation="G", create_on=frozenset({"result"}),
        recovery=False, text_queued=True, gate=frozenset(RULES),
    )  # fmt: skip


#: Not a release: the newest one with the reference gate.
REFERENCE: Final = replace(fixed(PROXIES["0.11.1"]), tag="reference")


def reference_without(rule: Rule) -> ProxyRelease:
    """The reference gate without one of its rules."""
    return replace(REFERENCE, tag=f"reference-without-{rule}", gate=frozenset(RULES) - {rule})


def proxy_release(name: str, where: str = "release") -> ProxyRelease:
    """Find the row of a tag (``0.9.1`` or ``v0.9.1``) or of a backend version that names one program.

    Args:
        name: the tag or version.
        where: the parameter that an error names.

    Raises:
        InputError: the name is unknown, or names several programs, which the error lists.
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
    """Find the row with a source hash; None for an unknown program.

    If several tags have the program, the first one with the backend version `backend` is returned, else the first.
    """
    same = [row for row in PROXIES.values() if row.source == source]
    return next((row for row in same if row.backend == backend), same[0] if same else None)


#: Program that was published without a tag -> the tag of its component (`src/` is the same).
_COMPONENT_OF: Final = {"0.10.2-published": "0.10.3", "50420ee": "0.10.3"}


def component_for(release: ProxyRelease) -> ComponentRelease:
    """Find the component that was published with a proxy."""
    tag = "0.11.1" if release.tag.startswith(REFERENCE.tag) else release.tag.removesuffix(FIXED)
    return component(_COMPONENT_OF.get(tag, tag))
