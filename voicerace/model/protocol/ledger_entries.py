"""Entries of the ledger: results, creates, responses and user inputs, with the keys of their events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = ["Create", "Decision", "Output", "Response", "UserInput"]


class Decision(NamedTuple):
    """The moment at which the server decides to begin a response itself.

    Attributes:
        key: the event.
        outputs: number of outputs before it.
    """

    key: int
    outputs: int


@dataclass
class Output:
    """The result of a function call, sent to the upstream.

    Attributes:
        key: the event that carried it.
        call_id: id of the call.
        placeholder: sender of a placeholder (`model.protocol.results`); None for a result of the app.
        confirmed: the event that confirmed it, or None.
        refused: the upstream did not accept it.
        lost: the event that began the next connection, if the result was not confirmed before.
    """

    key: int
    call_id: str
    placeholder: str | None = None
    confirmed: int | None = None
    refused: bool = False
    lost: int | None = None

    @property
    def own(self) -> bool:
        """Whether it is a result of the app, not a placeholder."""
        return self.placeholder is None

    @property
    def waits(self) -> bool:
        """Whether it is neither confirmed, lost nor refused yet."""
        return self.settled is None and not self.refused

    @property
    def settled(self) -> int | None:
        """The event that confirmed it, or that began the next connection."""
        return self.lost if self.confirmed is None else self.confirmed


@dataclass
class Create:
    """A `response.create`.

    Attributes:
        key: the event that carried it.
        outputs_before: number of outputs before it.
        answer: ``none`` if there is no answer yet; ``closed`` if its connection closed before.
        answered: the event that answered it.
        names: the response that it began, or that held the slot.
        error_type: type of another error that answered it; the client causes an ``invalid_request_error``.
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
        id: its id.
        created: the event that announced it.
        create: index in `Ledger.creates` of the create that began it; None if the server began it.
        outputs_before: number of outputs before it began; `known_from`: the first of these on its connection.
        decided: decision of the server to begin it. A response paired with a create has it too, because the pairing can
            turn out to be wrong.
        calls: ids of its function calls, in order; `calls_done`: the events that completed their arguments.
        message: it has a message item.
        heard: the first event with any of its text or audio.
        done: the event that ended it.
        status: final status; None if `response.done` had none.
        reason: from the status details (``turn_detected``, ``client_cancelled``, the code of an error, ...), or
            ``connection_closed`` if its connection closed before it ended.
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
        key: the event that completed it.
        text: its text; None for speech.
        began: the event with which the server detected the begin of speech; else `key`.
    """

    key: int
    text: str | None
    began: int
