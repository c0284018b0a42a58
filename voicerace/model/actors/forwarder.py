"""The forwarder, which relays frames between component and proxy (docs/forwarder.md).

It begins its connection to the proxy when the browser connects. The connection is open after `forwarder_open_ms`; the effect
`Open` tells the engine to start the proxy and its upstream. `model.catalog.forwarders` has the differences between releases.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voicerace.model.actors.actor import Cancel, Close, Effects, Open, Send, SetTimer
from voicerace.model.actors.stateful import StatefulActor
from voicerace.model.catalog.forwarders import ForwarderRelease
from voicerace.trace.recording import Payload

__all__ = ["Forwarder", "ForwarderState"]


@dataclass
class ForwarderState:
    """Attributes:
    opened: whether the connection to the proxy was opened.
    proxy_gone: whether the connection to the proxy was closed or could not be opened.
    browser_gone: whether the browser closed its connection.
    queue: messages of the browser that wait for the connection to the proxy.
    dropped: number of messages of the browser that were dropped.
    """

    opened: bool = False
    proxy_gone: bool = False
    browser_gone: bool = False
    queue: list[Payload] = field(default_factory=list)
    dropped: int = 0


class Forwarder(StatefulActor[ForwarderState]):
    """The relay of one connection of the browser. `release` is the row of its generation."""

    def __init__(self, release: ForwarderRelease) -> None:
        super().__init__(ForwarderState())
        self.release = release

    def start(self) -> Effects:
        return (SetTimer("open", "forwarder_open_ms"),)

    def message(self, sender: str, payload: Payload) -> Effects:
        state = self.state
        if sender == "proxy":
            return () if state.browser_gone else (Send("component", payload),)
        if state.opened and not state.proxy_gone:
            return (Send("proxy", payload),)
        if self.release.queues and not state.proxy_gone:
            state.queue.append(payload)
        else:
            state.dropped += 1
        return ()

    def timer(self, name: str) -> Effects:
        """Handle the open connection to the proxy."""
        state = self.state
        if state.proxy_gone:
            return ()
        state.opened = True
        queued, state.queue = state.queue, []
        return (Open("proxy"), *(Send("proxy", payload) for payload in queued))

    def closed(self, sender: str, code: int | None) -> Effects:
        """Close the other connection, without the code."""
        state = self.state
        if sender == "proxy":
            state.proxy_gone = True
            return (Cancel("open"),) if state.browser_gone else (Cancel("open"), Close("component"))
        state.browser_gone = True
        if state.proxy_gone:
            return ()
        if state.opened:
            state.proxy_gone = True
            return (Close("proxy"),)
        if self.release.leaves:
            state.proxy_gone = True
            return (Cancel("open"),)
        # This generation does not notice the close: its connection to the proxy opens and stays open.
        return ()
