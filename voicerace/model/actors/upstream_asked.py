"""The mock upstream for a client that says what each response shall be, as a model on a real API would be told.

A plan decides what the model does in a scenario; here `tool_choice` and `tools` of `response.create` and
`output_modalities` of `session.update` decide it, so that one client's words mean the same to the mock and to a real
API. Everything else is the mock's: the slot, the order of events, the knobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicerace.model.actors.upstream import Upstream
from voicerace.model.actors.upstream_state import Knobs
from voicerace.model.catalog.scenarios import Step

__all__ = ["AskedUpstream"]


class AskedUpstream(Upstream):
    """One Realtime session whose client asks for calls and replies; without a wish it replies.

    A response that is given tools of its own calls each of them once.

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
