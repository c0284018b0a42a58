"""Entries of the ledger: results, requests, responses and user inputs. The caller of the ledger assigns keys to events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = ["Create", "Decision", "Output", "Response", "UserInput"]


class Decision(NamedTuple):
    """The server's decision to start a response without a request.

    Attributes:
        key: key of the event at which the server decided.
        outputs: number of outputs sent before this event.
    """

    key: int
    outputs: int


@dataclass
class Output:
    """The result of a function call, sent to the upstream.

    Attributes:
        key: key of the event that sent the result.
        call_id: id of the call.
        placeholder: sender of the placeholder (`model.protocol.results`), or None if the app sent the result.
        confirmed: key of the event that confirmed the result, or None.
        refused: whether the upstream refused the result.
        lost: key of the event that started the next connection if the result was unconfirmed until then, else None.
    """

    key: int
    call_id: str
    placeholder: str | None = None
    confirmed: int | None = None
    refused: bool = False
    lost: int | None = None

    @property
    def own(self) -> bool:
        """Whether the app sent the result. Otherwise the result is a placeholder."""
        return self.placeholder is None

    @property
    def waits(self) -> bool:
        """Whether the result is neither confirmed nor lost nor refused."""
        return self.settled is None and not self.refused

    @property
    def settled(self) -> int | None:
        """Key of the event that confirmed the result or started the next connection, or None."""
        return self.lost if self.confirmed is None else self.confirmed


@dataclass
class Create:
    """A `response.create`.

    Attributes:
        key: key of the event.
        outputs_before: number of outputs sent before the request.
        answer: kind of the answer. ``none`` means no answer yet. ``closed`` means that the connection closed without an answer.
        answered: key of the event that answered the request, or None.
        names: id of the response that the request started. For a refusal, id of the response that held the slot.
        error_type: type of another error that answered the request, or None. The client causes an ``invalid_request_error``.
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
        create: index in `Ledger.creates` of the request that started the response, or None if the server started it.
        outputs_before: number of outputs sent before the request or before the server's decision.
        decided: the server's decision to start the response. It is also set for a response that is paired with a request,
            because the pairing can turn out to be wrong.
        known_from: index in `Ledger.outputs` of the first output on the response's connection.
        calls: ids of the function calls, in order.
        calls_done: keys of the events that completed the calls' arguments, in order.
        message: whether the response has a message item.
        heard: key of the first event with text or audio, or None.
        done: key of the event that ended the response, or None.
        status: final status, or None if the response is not done or `response.done` has no status.
        reason: reason in the status details (``turn_detected``, ``client_cancelled``, the code of an error, ...), or
            ``connection_closed`` if the connection closed before the response ended. None if there is no reason.
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
        text: text of the input, or None for speech.
        began: key of the event that announced the start of speech. For text it equals `key`.
    """

    key: int
    text: str | None
    began: int
