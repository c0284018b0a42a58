"""How an app's handler answers a function call, and what the component makes of it.

Source: `src/components/DeepgramVoiceInteraction/index.tsx` of the component, the branch of its #355; read at every tag
from 0.9.0 to 0.11.1 (the branch is the same text in all of them) and seen on the running component at 0.9.1 and 0.11.1.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Handler(NamedTuple):
    """A style of `onFunctionCallRequest(call, sendResponse)`.

    Attributes:
        returns: what the handler gives back at once: a promise or nothing.
        answers_by: how the result leaves the app: as the promise's value, by the `sendResponse` the handler was
            given, or by `sendFunctionCallResponse` of the component's ref.
        at_once: the answer is given inside the handler, before any tool time has passed.
        submissions: results the component sends for one call that the tool answers once.
        sentence: what an engineer would say of it.
    """

    returns: Literal["promise", "nothing"]
    answers_by: Literal["value", "send_response", "ref"]
    at_once: bool
    submissions: int
    sentence: str


HANDLERS: Final[dict[str, Handler]] = {
    "return": Handler("promise", "value", False, 1, "async, awaits the tool, returns {id, result}"),
    "async_send": Handler("promise", "send_response", False, 1, "async, awaits the tool, calls the sendResponse it was given"),
    "async_ref": Handler("promise", "ref", False, 2, "async, awaits the tool, calls ref.sendFunctionCallResponse"),
    "void_ref": Handler("nothing", "ref", False, 2, "returns nothing; later ref.sendFunctionCallResponse"),
    "void_send": Handler("nothing", "send_response", False, 2, "returns nothing; later the sendResponse it was given"),
    "ref_now": Handler("nothing", "ref", True, 2, "returns nothing; ref.sendFunctionCallResponse at once"),
}  # fmt: skip
