"""The styles in which an app's handler answers a function call.

Source: `src/components/DeepgramVoiceInteraction/index.tsx` of the component, in the branch added for issue #355. The branch
is the same at every tag from 0.9.0 to 0.11.1. It was observed in the running components 0.9.1 and 0.11.1.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Handler(NamedTuple):
    """A style of `onFunctionCallRequest(call, sendResponse)`.

    Attributes:
        returns: what the handler returns.
        answers_by: channel of the result: the promise's value, the `sendResponse` argument of the handler, or
            `sendFunctionCallResponse` of the component's ref.
        at_once: whether the handler sends the result before it returns, without tool time.
        submissions: number of results that the component sends for one result of the tool.
        sentence: description for tables and help texts.
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
