"""Entries of the ledger: results, requests, responses and user inputs, with the keys of their events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = ["Create", "Decision", "Output", "Response", "UserInput"]


class Decision(NamedTuple):
    """The server's decision to start a response without a request.

    Attributes:
        key: key of the event at which the server decides.
        outputs: number of outputs before this event.
    """

    key: int
    outputs: int


@dataclass
class Output:
    """The result of a function call, sent to the upstream.

    Attributes:
        key: key of the event with the result.
        call_id: id of the call.
        placeholder: sender of a placeholder (`model.protocol.results`); None for a result of the app.
        confirmed: key of the event that confirmed the result, or None.
        refused: whether the upstream refused the result.
        lost: key of the event that started the next connection, if the result was not confirmed before.
    """

    key: int
    call_id: str
    placeholder: str | None = None
    confirmed: int | None = None
    refused: bool = False
    lost: int | None = None

    @property
    def own(self) -> bool:
        """Whether the result is the app's, not a placeholder."""
        return self.placeholder is None

    @property
    def waits(self) -> bool:
        """Whether the result is not confirmed, lost or refused yet."""
        return self.settled is None and not self.refused

    @property
    def settled(self) -> int | None:
        """The key of the event that confirmed the result or started the next connection, or None."""
        return self.lost if self.confirmed is None else self.confirmed


@dataclass
class Create:
    """A `response.create`.

    Attributes:
        key: key of the event.
        outputs_before: number of outputs before the request.
        answer: kind of the answer. ``none``: no answer yet; ``closed``: the connection closed before an answer.
        answered: key of the answer, or None.
        names: id of the response that the request started or, for a refusal, of the response that held the slot.
        error_type: type of another error that answered the request. The client causes an ``invalid_request_error``.
    """

    key: int
    outputs_before: int
    answer: Literal["none", "response", "refused", "error", "closed"] = "none"
    answered: int | None = None
    names: str | None = None
    error_type: str | None = None


@dataclass
class Response:
    """A response in the default conversation.

    Attributes:
        id: id of the response.
        created: key of the event that announced the response.
        create: index in `Ledger.creates` of the request that started the response; None if the server started it.
        outputs_before: number of outputs before the response started.
        decided: the server's decision to start the response. It is also set for a response that is paired with a request,
            because the pairing can turn out to be wrong.
        known_from: index in `Ledger.outputs` of the first output on the response's connection.
        calls: ids of the function calls, in order.
        calls_done: keys of the events that completed the arguments of the calls.
        message: whether the response has a message item.
        heard: key of the first event with text or audio, or None.
        done: key of the event that ended the response, or None.
        status: final status; None if `response.done` had none.
        reason: reason in the status details (``turn_detected``, ``client_cancelled``, the code of an error, ...), or
            ``connection_closed`` if the connection closed before the response ended.
    """

    id: str
    created: int
    create: int | None
    outputs_before: int
    decided: Decision
    known_from: int
    calls: list[str] = field(default_factory=list)
    calls_done: list[int] = field(default_factory=list)
    message: bool = False
    heard: int | None = None
    done: int | None = None
    status: str | None = None
    reason: str | None = None


@dataclass
class UserInput:
    """An input of the user at the upstream.

    Attributes:
        key: key of the event that completed the input.
        text: text of the input; None for speech.
        began: key of the event with which the server detected the start of speech; for text equal to `key`.
    """

    key: int
    text: str | None
    began: int
