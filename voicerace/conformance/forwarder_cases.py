"""Scripted exchanges of the forwarder: what browser and proxy do, step by step."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = ["CASES", "Act", "ForwarderStep"]

Act: TypeAlias = Literal[
    "connect", "text", "binary", "invalid", "leave", "drop", "open", "refuse", "reply", "reply_binary", "end", "cut"
]


class ForwarderStep(NamedTuple):
    """One step of an exchange.

    Attributes:
        act: of the browser: ``connect``, ``text``, ``binary``, an ``invalid`` frame, ``leave`` with a close frame, ``drop``
            the connection. Of the proxy: ``open`` accept the forwarder's connection, ``refuse`` it, ``reply`` and
            ``reply_binary`` send a frame, ``end`` with a close frame, ``cut`` the connection.
        value: content of the frame, or the close code; None for a close frame without a code.
        browser: number of the browser.
    """

    act: Act
    value: str | int | None = None
    browser: int = 0


def _step(word: str) -> ForwarderStep:
    """Return the step of a word ``ACT``, ``ACT=VALUE`` or ``ACT=VALUE@BROWSER``."""
    rest, _, browser = word.partition("@")
    act, _, value = rest.partition("=")
    closes = act in ("leave", "end") and value
    return ForwarderStep(act, int(value) if closes else value or None, int(browser or 0))  # type: ignore[arg-type]


#: Name of a case -> its steps. The proxy that is not up has no steps of its own: its port is closed.
CASES: Final[dict[str, tuple[ForwarderStep, ...]]] = {
    name: tuple(map(_step, words.split()))
    for name, words in {
        "frames after the opening": "connect open text=one binary=two text={} reply=three reply_binary=four leave=1000",
        "frames before the opening": "connect text=Settings binary=audio text=KeepAlive open text=after reply=five leave=1000",
        "a reply right after the opening": "connect open reply=first text=one leave=1000",
        "browser leaves before the opening, 1000": "connect text=Settings leave=1000 open",
        "browser leaves before the opening, 4000": "connect leave=4000 open",
        "browser is lost before the opening": "connect text=Settings drop open reply=late",
        "browser leaves, no code": "connect open leave",
        "browser leaves, 1001": "connect open leave=1001",
        "browser leaves, 4000": "connect open text=one leave=4000",
        "browser is lost": "connect open text=one drop",
        "proxy ends, no code": "connect open reply=one end",
        "proxy ends, 1000": "connect open end=1000",
        "proxy ends, 1011": "connect open end=1011",
        "proxy ends, 4001": "connect open text=one end=4001 text=two",
        "proxy is lost": "connect open reply=one cut",
        "proxy refuses": "connect text=Settings refuse text=more",
        "invalid frame before the opening": "connect invalid",
        "invalid frame": "connect open invalid",
        "two browsers": "connect=@0 connect=@1 text=a@0 text=b@1 open=@1 text=c@1 open=@0 text=d@0 reply=e@1 leave=1000@1 "
        "text=f@0 reply=g@0 leave=1000@0",
        "proxy is not up": "connect text=Settings",
    }.items()
}
