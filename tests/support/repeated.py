"""Build a proxy's log of any length by repetition of a real log with other connections, trace ids and times."""

from __future__ import annotations

import re

__all__ = ["repeated"]

_CHANGES = re.compile(r"timestamp: \d{16}|connection_id: 'c\d+'|\b[0-9a-f]{32}\b")


def repeated(log: str, times: int) -> str:
    """Return `log` repeated `times` times. Each repetition has its own connection ids, trace ids and times."""
    stamps = [int(each) for each in re.findall(r"timestamp: (\d{16})", log)]
    span = max(stamps) - min(stamps) + 1_000_000
    most = max(int(each) for each in re.findall(r"connection_id: 'c(\d+)'", log))
    rounds = []
    for number in range(times):

        def other(found: re.Match[str], number: int = number) -> str:
            text = found[0]
            if text.startswith("timestamp: "):
                return f"timestamp: {int(text[11:]) + number * span}"
            if text.startswith("connection_id: "):
                return f"connection_id: 'c{int(text[17:-1]) + number * most}'"
            return f"{(int(text, 16) + number) % (1 << 128):032x}"

        rounds.append(_CHANGES.sub(other, log))
    return "".join(rounds)
