"""The component's idle timeout: the component closes the connection with code 1000 after ten seconds without activity.

The timeout is off by default in a session, because an app can set `agentOptions.idleTimeoutMs` to any value. The rules
differ by release (`model.catalog.components.Idle`). `tests/component` compares each rule with the running component.

Simplifications: with ``forgets`` and ``message`` the component resets the agent's state at a poll every 200 ms, but this
model resets it at once. With ``runs_on``, an AgentAudioDone right after AgentDone always restarts the model's timeout. It
restarts the component's timeout only if React has rendered between the two messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voicerace.model.actors.actor import Cancel, Effect, SetTimer
from voicerace.model.catalog.components import ComponentRelease

__all__ = ["Idle", "IdleState"]


@dataclass
class IdleState:
    """Attributes:
    user_seen: whether any activity has happened. The timeout does not run before the first activity.
    busy: whether the last observed state of the session blocks the timeout.
    counts: whether the timeout runs.
    running: ids of the unanswered calls. A result through the ref does not count as an answer.
    awaits: whether no message has arrived since the last result was sent.
    """

    user_seen: bool = False
    busy: bool = False
    counts: bool = False
    running: set[str] = field(default_factory=set)
    awaits: bool = False


class Idle:
    """Applies the idle rules of one release to `state`."""

    def __init__(self, release: ComponentRelease, state: IdleState) -> None:
        self.release = release
        self.state = state
        self._out: list[Effect] = []

    def effects(self) -> list[Effect]:
        """Return and clear the collected effects."""
        out, self._out = self._out, []
        return out

    def changed(self, *, agent_rests: bool, silent: bool, agent_acts: bool) -> None:
        """Handle a change in the state of the agent, the playback or the user.

        Args:
            agent_rests: whether the agent is idle or listening.
            silent: whether no audio plays and the user does not speak.
            agent_acts: whether the agent's state has changed to thinking or speaking.
        """
        if agent_acts and self.release.idle in ("runs_on", "rests"):
            self._stop_awaiting()
        rests = agent_rests and silent
        if rests:
            self.state.busy = False
        self._update(rests=rests)

    def activity(self, *, rests: bool) -> None:
        """Handle a user text or reported agent activity. Restart the timeout unless the session is active."""
        self.state.user_seen = True
        if self._assumes_rest(rests):
            self.state.busy = False
            self._stop()
            self._start()
        else:
            self._update(rests=False)

    def user_spoke(self) -> None:
        self.state.user_seen = True

    def message(self, *, rests: bool) -> None:
        """Handle a JSON message from the proxy."""
        if self.release.idle != "forgets":
            self._stop_awaiting()
            self._update(rests=self._assumes_rest(rests))

    def call_started(self, call_id: str) -> None:
        self.state.running.add(call_id)
        if self.release.chained:
            self._stop_awaiting()
        self._block(stops=True)

    def call_answered(self, call_id: str, *, rests: bool) -> None:
        """Handle an answer to a call: through `sendResponse`, by the promise, or by the default error."""
        if call_id not in self.state.running:
            return
        self.state.running.discard(call_id)
        if self.state.running:
            return
        if self.release.idle != "forgets":
            self.state.awaits = True
            if self.release.idle != "message":
                self._out.append(SetTimer("awaits", "agent_reply_wait_ms"))
        self._update(rests=self._assumes_rest(rests))

    def waited(self, *, rests: bool) -> None:
        """Handle the expired timer `awaits`: no message arrived within `agent_reply_wait_ms` after the last result."""
        self.state.awaits = False
        self._update(rests=rests)

    def _assumes_rest(self, rests: bool) -> bool:
        """Return whether the component treats the session as at rest. With ``forgets`` and ``message`` it always does."""
        return rests or self.release.idle in ("forgets", "message")

    def _update(self, *, rests: bool) -> None:
        waits = bool(self.state.running) or self.state.awaits
        if waits or not rests:
            self._block(stops=waits or self.release.idle != "runs_on")
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
