"""Clients that connect to the API without a proxy. Each difference between clients is a setting (docs/clients.md).

Read in the source of each version, and compared message by message with recordings of the running clients in data/field
(`voicerace conformance --clients`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from voicerace.errors import unknown
from voicerace.model.catalog.releases import ProxyRelease, proxy_release

__all__ = ["CLIENTS", "PREFIX", "ClientRelease", "Release", "release_named"]

#: Prefix of a client's tag.
PREFIX: Final = "client:"


@dataclass(frozen=True)
class ClientRelease:
    """The rules of one version of a client.

    A request is pending from its sending until it is accepted or given up. Waiting requests are sent as one, except by a client
    that holds texts back.

    Attributes:
        tag: name of the client, with `PREFIX`.
        program: name and version of the package.
        source: file of the package, or of `clients/`, that contains the rules.
        updates: number of session.update events at the start.
        tool_starts: event that starts a tool: ``arguments`` (response.function_call_arguments.done) or ``item``
            (response.output_item.done).
        results: whether a result is sent when its tool ends (``each``), or all results of a response are sent ``together``
            when the tools have ended, no response is active and no text waits.
        asks: whether each result needs a request (``each``), or the results of a response need one (``last``).
        waits_for: what delays a request: an active ``response``, which includes a pending request, and ``calls`` without result.
        text: whether a user text is sent at once (``sent``), is ``held`` until no response is active, or is never sent except
            the first (``dropped``). A client that holds texts sends a request when its items are confirmed.
        named: whether requests have an event id, so that only a refusal with this id is recognised.
        tagged: whether requests have metadata, so that a response that the server began itself is recognised.
        refused: effect of a recognised refusal. ``none``; ``lost``: the request is not repeated; ``rest``: as lost, but waiting
            requests that were sent as one are repeated without the first; ``waits``: it is repeated after the next
            response.done; ``retried``: it is repeated after `client_retry_ms`.
        created_takes: whether any response.created also cancels the waiting requests.
        gives_up: whether a pending request is given up after `client_timeout_ms`.
        at_speech: what the start of the user's speech does: ``nothing``; ``cancels`` the waiting requests and the running tools,
            whose result is then "CANCELLED" and needs no request; ``unasks``: the results of running tools need no request.
    """

    tag: str
    program: str
    source: str
    updates: int = 1
    tool_starts: Literal["arguments", "item"] = "item"
    results: Literal["each", "together"] = "each"
    asks: Literal["each", "last"] = "each"
    waits_for: frozenset[str] = frozenset({"response"})
    text: Literal["sent", "held", "dropped"] = "sent"
    named: bool = True
    tagged: bool = False
    refused: Literal["none", "lost", "rest", "waits", "retried"] = "lost"
    created_takes: bool = False
    gives_up: bool = False
    at_speech: Literal["nothing", "cancels", "unasks"] = "nothing"


#: A row that can play the part between the user and the API.
Release = ProxyRelease | ClientRelease


def _rows() -> tuple[ClientRelease, ...]:
    naive = ClientRelease(
        "client:openai-naive", "openai 3.57.0", "clients/openai_naive.py",
        tool_starts="arguments", waits_for=frozenset(), named=False, refused="none",
    )  # fmt: skip
    agents = ClientRelease(
        "client:openai-agents",
        "openai-agents 0.24.0",
        "agents/realtime/openai_realtime.py, _ResponseCreateSequencer",
        updates=2,
    )
    return (
        naive,
        replace(
            naive, tag="client:openai-well", source="clients/openai_well.py",
            waits_for=frozenset({"response", "calls"}), refused="retried",
        ),
        agents,
        replace(
            agents, tag="client:openai-agents-js", program="@openai/agents-realtime 0.20.0",
            source="dist/responseCreateSequencer.mjs", refused="rest",
        ),
        ClientRelease(
            "client:pydantic-ai", "pydantic-ai-slim 2.68.0", "pydantic_ai/realtime/openai.py",
            tool_starts="arguments", asks="last", tagged=True, refused="waits",
        ),
        ClientRelease(
            "client:livekit-agents", "livekit-agents 1.8.9", "livekit/agents/voice/agent_activity.py",
            updates=3, results="together", asks="last", text="held", tagged=True, gives_up=True,
            at_speech="unasks",
        ),
        ClientRelease(
            "client:pipecat", "pipecat-ai 1.14.0", "pipecat/services/openai/realtime/llm.py",
            updates=2, tool_starts="arguments", text="dropped", refused="none", created_takes=True, at_speech="cancels",
        ),
    )  # fmt: skip


CLIENTS: Final[dict[str, ClientRelease]] = {row.tag: row for row in _rows()}


def release_named(name: str, where: str = "release") -> Release:
    """Return the client with a tag that starts with `PREFIX`, or the proxy's release.

    Args:
        name: tag, or backend version of the proxy.
        where: name of the parameter for error messages.

    Raises:
        InputError: the name is unknown.
    """
    if isinstance(name, str) and name.startswith(PREFIX):
        if name not in CLIENTS:
            raise unknown(where, name, tuple(CLIENTS))
        return CLIENTS[name]
    return proxy_release(name, where)
