"""What the ledger of the upstream link holds: results, creates, responses and user inputs, each with the events it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = ["Create", "Decision", "Output", "Response", "UserInput"]


class Decision(NamedTuple):
    """The moment at which the server decides on a response of its own.

    Attributes:
        key: the event.
        outputs: how many outputs had passed before it.
    """

    key: int
    outputs: int


@dataclass
class Output:
    """A function call's result on its way to the upstream.

    Attributes:
        key: the event that carried it.
        call_id: whose result it is.
        placeholder: who sent it in the app's place (`model.protocol.results`); None for the app's own.
        confirmed: the event that confirmed it, or None.
        refused: the upstream did not accept it.
        lost: the event that began the next connection, when nothing had confirmed it until then.
    """

    key: int
    call_id: str
    placeholder: str | None = None
    confirmed: int | None = None
    refused: bool = False
    lost: int | None = None

    @property
    def own(self) -> bool:
        """It is the app's, not a placeholder."""
        return self.placeholder is None

    @property
    def waits(self) -> bool:
        """Nothing has been heard of it yet."""
        return self.settled is None and not self.refused

    @property
    def settled(self) -> int | None:
        """The event that confirmed it, or with which its connection went."""
        return self.lost if self.confirmed is None else self.confirmed


@dataclass
class Create:
    """A `response.create`.

    Attributes:
        key: the event that carried it.
        outputs_before: how many outputs had passed before it.
        answer: what became of it; ``none`` until something did; ``closed`` when its connection went before.
        answered: the event that answered it.
        names: the response that it began, or that was in its way.
        error_type: of another error that answered it: ``invalid_request_error`` is the client's own doing.
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
        create: the create that began it, as an index into `Ledger.creates`; None for the server's own.
        outputs_before: outputs that had passed before it began; `known_from`: of these, the first of its connection.
        decided: the event at which the server decided on it, and the outputs that had passed until then. It counts for
            the server's own responses; a response paired with a create keeps it, as the pairing may turn out wrong.
        calls: ids of its function calls, in order; `calls_done` those whose arguments are complete.
        message: it has a message item.
        heard: the first event with any of its text or audio.
        done: the event that ended it; `status` is the final one, `reason` what its details say (``turn_detected``,
            ``client_cancelled``, an error's code, ...; ``connection_closed`` when its connection went before it ended).
            A `status` of None with a `done` says that `response.done` named none.
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
    """Something the user said, as the upstream got it.

    Attributes:
        key: the event with which it was complete.
        text: None where it was spoken.
        began: the event with which the server heard it begin; `key` for what it did not hear itself.
    """

    key: int
    text: str | None
    began: int
