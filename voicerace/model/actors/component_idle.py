"""The component's idle timeout: ten seconds in which nothing happens, and it closes the connection, code 1000.

Off by default in a session, as an app can set `agentOptions.idleTimeoutMs` as high as it likes: what it does by itself
is no race. Its rules are a knob, `model.catalog.components.Idle`; each is compared with the running component.
What is not modelled: ``forgets`` and ``message`` forget the agent's state within 200 ms of its change, at a poll whose
phase nobody controls; here they forget it at once. In ``runs_on`` an AgentAudioDone right behind AgentDone begins the
ten seconds anew or does not, as React has committed between them or not; here it does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voicerace.model.actors.actor import Cancel, Effect, SetTimer
from voicerace.model.catalog.components import Component

__all__ = ["Idle", "IdleState"]


@dataclass
class IdleState:
    """Attributes:
    user_seen: it begins to count only after the first activity.
    busy: what the component last saw keeps it from counting.
    counts: the ten seconds run.
    running: the calls that are not answered, as the component sees it: a result by the ref answers none.
    awaits: a result was sent, and no message has come since.
    """

    user_seen: bool = False
    busy: bool = False
    counts: bool = False
    running: set[str] = field(default_factory=set)
    awaits: bool = False


class Idle:
    """Applies the idle rules of one release.

    Args:
        release: the row with the rules.
        state: the state, which the methods change.
    """

    def __init__(self, release: Component, state: IdleState) -> None:
        self.release = release
        self.state = state
        self._out: list[Effect] = []

    def effects(self) -> list[Effect]:
        """What the calls before asked for."""
        out, self._out = self._out, []
        return out

    # -- what happens ------------------------------------------------------------------------------------------------

    def changed(self, *, agent_rests: bool, silent: bool, agent_acts: bool) -> None:
        """The agent's, the playback's or the user's state changed: `agent_rests` idle or listening; `silent` nobody
        speaks and nothing plays; `agent_acts` it has begun to think or to speak."""
        if agent_acts and self.release.idle in ("runs_on", "rests"):
            self._stop_awaiting()
        rests = agent_rests and silent
        if rests:
            self.state.busy = False
        self._weigh(rests=rests)

    def activity(self, *, rests: bool) -> None:
        """The user wrote, or the agent sent word of its doings: the ten seconds begin anew."""
        self.state.user_seen = True
        if self._believes(rests):
            self.state.busy = False
            self._stop()
            self._start()
        else:
            self._weigh(rests=False)

    def user_spoke(self) -> None:
        self.state.user_seen = True

    def message(self, *, rests: bool) -> None:
        """Any JSON message of the proxy."""
        if self.release.idle != "forgets":
            self._stop_awaiting()
            self._weigh(rests=self._believes(rests))

    def call_started(self, call_id: str) -> None:
        self.state.running.add(call_id)
        if self.release.chained:
            self._stop_awaiting()
        self._block(stops=True)

    def call_answered(self, call_id: str, *, rests: bool) -> None:
        """The component holds the call answered: by the passed function, the promise, or its default error."""
        if call_id not in self.state.running:
            return
        self.state.running.discard(call_id)
        if self.state.running:
            return
        if self.release.idle != "forgets":
            self.state.awaits = True
            if self.release.idle != "message":
                self._out.append(SetTimer("awaits", "agent_reply_wait_ms"))
        self._weigh(rests=self._believes(rests))

    def waited(self, *, rests: bool) -> None:
        """Timer `awaits`: no message came behind the result for half a second."""
        self.state.awaits = False
        self._weigh(rests=rests)

    # -- the rules ---------------------------------------------------------------------------------------------------

    def _believes(self, rests: bool) -> bool:
        """Whether the component takes the session to be at rest: the older ones have forgotten that it is not."""
        return rests or self.release.idle in ("forgets", "message")

    def _weigh(self, *, rests: bool) -> None:
        held = bool(self.state.running) or self.state.awaits
        if held or not rests:
            self._block(stops=held or self.release.idle != "runs_on")
        else:
            self.state.busy = False
            if not self.state.counts:
                self._start()

    def _block(self, *, stops: bool) -> None:
        if not self.state.busy:
            self.state.busy = True
            if stops:
                self._stop()

    def _start(self) -> None:
        if self.state.user_seen and not self.state.running and not self.state.awaits:
            self.state.counts = True
            self._out.append(SetTimer("idle", "component_idle_ms"))

    def _stop(self) -> None:
        if self.state.counts:
            self.state.counts = False
            self._out.append(Cancel("idle"))

    def _stop_awaiting(self) -> None:
        if self.state.awaits:
            self.state.awaits = False
            self._out.append(Cancel("awaits"))
