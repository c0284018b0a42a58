"""A mock upstream without a plan: as on a real API, the client's request determines the content of each response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicerace.model.actors.upstream import Upstream
from voicerace.model.catalog.scenarios import Step

__all__ = ["AskedUpstream"]


class AskedUpstream(Upstream):
    """The API's side of one session. A response with `tool_choice` "required" calls each tool of its request once.

    Any other response is a reply. The arguments are those of `Upstream` without the plan.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__((("reply",),), **settings)

    def _step(self, asked: Mapping[str, Any]) -> Step:
        super()._step(asked)
        return "calls" if asked.get("tool_choice") == "required" else "reply"

    def _call_count(self, asked: Mapping[str, Any]) -> int:
        tools = asked.get("tools")
        return max(1, len(tools)) if isinstance(tools, list) else 1
