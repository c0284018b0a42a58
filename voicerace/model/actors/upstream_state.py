"""What one mock Realtime session remembers, and the knobs for the facts that no recording decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from voicerace.model.actors.response_plan import Plan, Stage, Status
from voicerace.model.catalog.slot import SlotState

__all__ = ["PHASES", "Knobs", "Response", "UpstreamState"]

#: How far a call is, in order; an output is accepted from the phase on that the knob `function_output` names.
PHASES: Final = ("unknown", "at_once", "open", "item_done", "response_done")


@dataclass(frozen=True)
class Knobs:
    """One knob per fact of the API that could be otherwise; the defaults are what recordings or most evidence say.

    docs/open-facts has a page for each, with the recordings.

    Attributes:
        function_output: when the output of a call is accepted: ``at_once``; after its ``item_done``; after
            ``response_done``. Before that it is refused with ``invalid_tool_call_id`` (claim).
        session_update_active: session.update during a response: ``accept`` (doc) or ``refuse`` with the
            active-response code (what the fix for #459 assumed; no evidence).
        item_before_output: conversation.item.done comes before response.output_item.done (recorded, 8 of 8), or
            after it.
        binary_frames: JSON in a binary frame is read, or refused with ``invalid_request`` (open).
        reply_status: how replies end.
        server_turn_taken: server VAD's turn ends while a client's response has the slot: its own response is
            ``dropped``, or ``waits`` for response.done (open).
        items_close: the items of one response end each by itself as it is complete (``singly``), or ``together``, in
            their order, when the last of them is complete; ``provider``: as the row of `model.catalog.providers` says.
        cancel_before_created: response.cancel after a create was accepted and before its response.created: it does
            ``nothing`` but an error (reported by a client's authors), or ``ends`` the response.
        error_after_create: a create in a free slot is answered with this error code instead of a response.
    """

    function_output: Literal["at_once", "item_done", "response_done"] = "at_once"
    session_update_active: Literal["accept", "refuse"] = "accept"
    item_before_output: Literal["yes", "no"] = "yes"
    binary_frames: Literal["read", "refuse"] = "read"
    reply_status: Status = "completed"
    server_turn_taken: Literal["dropped", "waits"] = "dropped"
    items_close: Literal["provider", "together", "singly"] = "provider"
    cancel_before_created: Literal["nothing", "ends"] = "nothing"
    error_after_create: str = ""


@dataclass
class Response:
    """A response on its way: its plan, the next stage, its items as last sent, and the item before each of them.

    `streamed`: those whose deltas are complete; `finished`: whose content is; `done_items`: that are confirmed.
    `metadata` is what the client gave with its response.create; response.created and response.done repeat it.
    """

    id: str
    number: int
    plan: Plan
    line: Sequence[Stage]
    modality: Literal["text", "audio"]
    in_band: bool = True
    metadata: Any = None
    next: int = 0
    created: bool = False
    items: list[dict[str, Any]] = field(default_factory=list)
    before: list[str | None] = field(default_factory=list)
    streamed: set[int] = field(default_factory=set)
    finished: set[int] = field(default_factory=set)
    done_items: set[int] = field(default_factory=set)


@dataclass
class UpstreamState:
    """One session.

    Attributes:
        slot: the state of `model.catalog.slot`.
        responses: those not done yet, by id; at most one of them in band.
        holder: the id of the one that holds the slot.
        calls: call id -> whether its item is ``open``, ``item_done``, or its response done (``response_done``).
        outputs: call id -> results accepted for it, in order.
        acks: items accepted and not yet confirmed, by id; `items`: those that are done.
        inputs: user inputs accepted; `earlier`: those of the sessions before; `steps_taken`: responses begun for the newest.
        counts: how many ids of each kind were given out.
        last_item: the newest item's id; `first_item`: the first's.
        session: the session object.
        spoke: audio was output, so the voice is settled.
        audio: bytes in the input audio buffer; `appended`: bytes of the whole session.
        speech: the user item that the speech being heard will become, or empty; `pausing`: silence has begun in it.
        server_waits: a response of the server's own follows when the slot is free.
        ended: the connection is closed.
    """

    slot: SlotState = "free"
    responses: dict[str, Response] = field(default_factory=dict)
    holder: str = ""
    calls: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    acks: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    inputs: int = 0
    earlier: int = 0
    steps_taken: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    last_item: str | None = None
    first_item: str | None = None
    session: dict[str, Any] = field(default_factory=dict)
    spoke: bool = False
    audio: int = 0
    appended: int = 0
    speech: str = ""
    pausing: bool = False
    server_waits: bool = False
    ended: bool = False
