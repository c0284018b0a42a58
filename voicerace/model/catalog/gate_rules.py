"""The rules of the reference gate (`model.actors.reference_gate`)."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

__all__ = ["RULES", "Rule"]

Rule: TypeAlias = Literal["server_events", "when_free", "at_once", "coalesce", "every_call", "once", "retry", "unless_known"]

#: Rule -> its text. `--release reference-without-RULE` is the gate without a rule.
RULES: Final[dict[Rule, str]] = {
    "server_events": "the slot is free when response.done of the response that held it has come, not when its text is done",
    "when_free": "a create waits until the slot is free and no other create is unanswered",
    "at_once": "the create behind a result goes out at once where the slot is free: an event it waited for may have passed",
    "coalesce": "the results of one response, and the user's words beside them, are one request",
    "every_call": "a result's request waits for the results of all calls of its response",
    "once": "a second result for a call is passed on, and is no second request",
    "retry": "a create that was refused is sent again when the response in its way is done",
    "unless_known": "but not where that response was announced after everything sent had been confirmed: it knows it",
}
