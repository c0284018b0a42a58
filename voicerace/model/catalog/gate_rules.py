"""The rules of the reference gate (`model.actors.reference_gate`)."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

__all__ = ["RULES", "Rule"]

Rule: TypeAlias = Literal["server_events", "when_free", "at_once", "coalesce", "every_call", "once", "retry", "unless_known"]

#: Description of each rule, by rule. `--release reference-without-RULE` selects the gate without a rule.
RULES: Final[dict[Rule, str]] = {
    "server_events": "the slot is free when response.done of the response that held it arrives, not when its text is done",
    "when_free": "a request waits until the slot is free and no other request is unanswered",
    "at_once": "a request after a result is sent at once if the slot is free, because the event that it waits for can be over",
    "coalesce": "the results of one response, and user text that waits with them, are covered by one request",
    "every_call": "the request after a result waits for the results of all calls of the same response",
    "once": "a second result for a call is passed on without a second request",
    "retry": "a refused request is sent again when the active response is done",
    "unless_known": "a refused request is not sent again if the active response started after all sent items were confirmed",
}
