"""The component's idle timeout: after ten seconds without activity it closes the connection with code 1000.

It is off by default in a session, because an app can set `agentOptions.idleTimeoutMs` to any value. The rules differ by
release (`model.catalog.components.Idle`); `tests/component` compares each with the running component.

Not modelled: ``forgets`` and ``message`` forget the agent's state at a poll every 200 ms; here they forget it at once. With
``runs_on``, an AgentAudioDone right after AgentDone restarts the timeout only if React has rendered between them; here it
always does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voicerace.model.actors.actor import Cancel, Effect, SetTimer
from voicerace.model.catalog.components import ComponentRelease

__all__ = ["Idle", "IdleState"]


@dataclass
class IdleState:
    """Attributes:
    user_seen: an activity has happened; the timeout never runs before the first.
    busy: the last observed state blocks the timeout.
    counts: the timeout runs.
    running: unanswered calls; a result through the ref answers none.
    awaits: a result was sent, and no message has arrived since.
    """

    user_seen: bool = False
    busy: bool = False
    counts: bool = False
    running: set[str] = field(default_factory=set)
    awaits: bool = False


class Idle:
    """The idle rules of one release, applied to `state`."""

    def __init__(self, release: ComponentRelease, state: IdleState) -> None:
        self.release = release
        self.state = state
        self._out: list[Effect] = []

    def effects(self) -> list[Effect]:
        """Return the effects of the calls since the last one, and forget them."""
        out, self._out = self._out, []
        return out

    def changed(self, *, agent_rests: bool, silent: bool, agent_acts: bool) -> None:
        """The state of the agent, the playback or the user changed.

        Args:
            agent_rests: the agent is idle or listening.
            silent: nothing plays and the user does not speak.
            agent_acts: the agent has begun to think or to speak.
        """
        if agent_acts and self.release.idle in ("runs_on", "rests"):
            self._stop_awaiting()
        rests = agent_rests and silent
        if rests:
            self.state.busy = False
        self._update(rests=rests)

    def activity(self, *, rests: bool) -> None:
        """The user sent text, or the proxy reported an activity of the agent: restart the timeout."""
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
        """A JSON message of the proxy arrived."""
        if self.release.idle != "forgets":
            self._stop_awaiting()
            self._update(rests=self._assumes_rest(rests))

    def call_started(self, call_id: str) -> None:
        self.state.running.add(call_id)
        if self.release.chained:
            self._stop_awaiting()
        self._block(stops=True)

    def call_answered(self, call_id: str, *, rests: bool) -> None:
        """A call was answered by the passed function, the promise, or the default error."""
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
        """Timer `awaits`: no message arrived within half a second after the result."""
        self.state.awaits = False
        self._update(rests=rests)

    def _assumes_rest(self, rests: bool) -> bool:
        """Whether the component takes the session to be at rest; the older releases always do."""
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
