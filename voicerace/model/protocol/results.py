"""Placeholders: results of function calls that a component or framework sends instead of the app.

A reply is not informed if only a placeholder preceded its request. Results are compared by JSON value, so whitespace in their
text does not matter.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from voicerace.model.protocol.agent import DEFAULT_ERROR, has_value

__all__ = ["COMPONENT", "PLACEHOLDERS", "Placeholder", "placeholder_in"]


class Placeholder(NamedTuple):
    """A result that a program sends instead of the app.

    Attributes:
        sender: name of the program.
        value: JSON value of the result.
        mark: part of the result's text. A result is parsed only if its text contains the mark.
        when: condition under which the program sends the result.
        source: source of these facts.
    """

    sender: str
    value: Any
    mark: str
    when: str
    source: str


COMPONENT: Final = Placeholder(
    "component",
    {"error": DEFAULT_ERROR},
    DEFAULT_ERROR,
    "a handler has ended and has sent no result",
    "voice-agent-react, its issue #355; recorded in data/conformance/component-*.json",
)

PLACEHOLDERS: Final = (
    COMPONENT,
    Placeholder(
        "pipecat",
        "CANCELLED",
        "CANCELLED",
        "the user speaks while a tool runs that is registered with cancel_on_interruption (the default)",
        "pipecat-ai/pipecat: src/pipecat/processors/aggregators/llm_response_universal.py (`_handle_function_call_cancel`), "
        "and src/pipecat/services/openai/realtime/llm.py (`_send_tool_result` encodes it as JSON once more; IN_PROGRESS is "
        "never sent; COMPLETED means that the tool ended without a value, and is the app's)",
    ),
)


def placeholder_in(content: object) -> Placeholder | None:
    """Return the placeholder that equals a result's content, or None if the app sent the result."""
    return next((row for row in PLACEHOLDERS if has_value(content, row.value, row.mark)), None)
