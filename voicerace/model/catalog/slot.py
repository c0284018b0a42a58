"""The slot, the one active response of a conversation, as a table (state, event) -> state with evidence.

The upstream actor, the explorer and the state diagram use this table. If you change a row, update its evidence. Marks:
``doc`` the API reference (docstrings of `openai.types.realtime`, openai 3.54), ``trace`` observed in a real log, ``claim``
claimed without a log, ``open`` unknown. Out-of-band responses (``conversation: "none"``) do not use the slot (doc).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

SlotState: TypeAlias = Literal["free", "taken", "active", "draining"]
Occurrence: TypeAlias = Literal["create", "server_begins", "created", "done", "done_lagging", "lag_over", "cancel"]


class Transition(NamedTuple):
    """One transition of the slot.

    Attributes:
        next: state after the event.
        refused: whether the API answers the event with an error. The state then does not change.
        mark: kind of evidence: doc, trace, claim or open.
        evidence: text of the evidence.
    """

    next: SlotState
    refused: bool
    mark: Literal["doc", "trace", "claim", "open"]
    evidence: str


#: Transition for each (state, event). ``free``: no response. ``taken``: a response was accepted but not announced yet.
#: ``active``: `response.created` announced it. ``draining``: `response.done` was sent, and `slot_lag_ms`, by default 0, runs.
SLOT: Final[dict[tuple[SlotState, Occurrence], Transition]] = {
    ("free", "create"): Transition("taken", False, "trace", "response.create in an idle conversation is answered by response.created"),
    ("free", "server_begins"): Transition("taken", False, "doc", "turn_detection.create_response, idle_timeout_ms: the server begins a response itself"),
    ("free", "cancel"): Transition("free", True, "doc", "response.cancel with nothing active: error response_cancel_not_active, session unharmed"),
    ("taken", "create"): Transition("taken", True, "trace", "conversation_already_has_active_response; the slot is taken at acceptance, not at response.created"),
    ("taken", "created"): Transition("active", False, "doc", "response.created announces the response"),
    ("active", "create"): Transition("active", True, "trace", "conversation_already_has_active_response; neither response.created nor response.done follows a refusal"),
    ("active", "done"): Transition("free", False, "doc", "only response.done frees the slot; it is always sent, whatever the final status"),
    ("active", "done_lagging"): Transition("draining", False, "open", "nobody has shown whether the slot is free at the moment response.done leaves"),
    ("draining", "create"): Transition("draining", True, "open", "as above: with slot_lag_ms > 0 a create right behind response.done is refused"),
    ("draining", "lag_over"): Transition("free", False, "open", "as above"),
    ("draining", "cancel"): Transition("draining", True, "doc", "nothing is active any more: response_cancel_not_active"),
}  # fmt: skip
