"""The mock upstream without a plan: the client's requests decide what each response contains, as on a real API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicerace.model.actors.upstream import Upstream
from voicerace.model.actors.upstream_state import Knobs
from voicerace.model.catalog.scenarios import Step

__all__ = ["AskedUpstream"]


class AskedUpstream(Upstream):
    """One Realtime session. A response with `tool_choice` "required" calls each tool of its request once; others reply.

    Args: those of `Upstream`.
    """

    def __init__(
        self,
        *,
        knobs: Knobs | None = None,
        item_done_early: bool = False,
        slot_lags: bool = False,
        limits_lag: bool = False,
    ) -> None:
        super().__init__(
            (("reply",),), knobs=knobs, item_done_early=item_done_early, slot_lags=slot_lags, limits_lag=limits_lag
        )

    def _step(self, asked: Mapping[str, Any]) -> Step:
        super()._step(asked)
        return "calls" if asked.get("tool_choice") == "required" else "reply"

    def _call_count(self, asked: Mapping[str, Any]) -> int:
        tools = asked.get("tools")
        return max(1, len(tools)) if isinstance(tools, list) else 1
