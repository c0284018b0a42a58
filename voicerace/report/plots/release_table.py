"""Tables with the rules of each release, and with the outcomes in a sweep."""

from __future__ import annotations

from typing import Final

import pandas as pd

from voicerace.experiments.rates import drawn_times, outcomes_at
from voicerace.model.catalog.releases import PROXIES, ProxyRelease
from voicerace.report.plots.style import glyph

__all__ = ["glyphs_along", "release_rows", "release_table"]

_EVENTS: Final = (("T", "text done"), ("R", "response.done"), ("A", "audio done"), ("I", "result confirmed"))


def release_table(trials: pd.DataFrame | None = None, axis: str = "tool_ms") -> pd.DataFrame:
    """Return one row per release.

    Args:
        trials: trials of `sweep`. The table lists only their releases. Unless times are drawn, each scenario adds a column.
        axis: time along which the columns of the scenarios list the outcomes.

    Returns:
        Columns: release, backend (a different published version in brackets), generation, create (when the release
        requests a response after a result), refusal (whether the host is notified), and one column per scenario.
    """
    tags = [str(tag) for tag in trials["release"].unique()] if trials is not None else list(PROXIES)
    rows = [PROXIES[tag] for tag in tags]
    frame = pd.DataFrame(
        {
            "release": tags,
            "backend": [row.backend + (f" ({row.published})" if row.published else "") for row in rows],
            "generation": [row.generation for row in rows],
            "create": [_create(row) for row in rows],
            "refusal": ["hidden" if row.refusal_hidden else "reported" for row in rows],
        }
    )
    if trials is None or drawn_times(trials):
        return frame
    for name, found in glyphs_along(trials, axis).items():
        frame[name] = [found.get(tag, "") for tag in tags]
    return frame


def glyphs_along(trials: pd.DataFrame, axis: str = "tool_ms") -> dict[str, dict[str, str]]:
    """Return the outcomes along the axis by scenario and release, such as ``✗ rejected | 150 | ✓ answered``."""
    frame = outcomes_at(trials, axis)
    settings = [name for name in frame.columns[: frame.columns.get_loc(axis)] if name != "release"]
    found: dict[str, dict[str, str]] = {}
    for keys, group in frame.groupby([*settings, "release"], sort=False, dropna=False):
        *names, release = keys
        label = ", ".join(f"{column} {value}" for column, value in zip(settings, names, strict=True)) or f"outcome over {axis}"
        found.setdefault(label, {})[str(release)] = _along(group, axis)
    return found


def _along(group: pd.DataFrame, axis: str) -> str:
    parts: list[str] = []
    before: tuple[str, float, object] | None = None
    for outcome, at, tie in zip(group["outcome"], group[axis], group["tie_outcome"], strict=True):
        if before is None or outcome != before[0]:
            if before is not None:
                exact = at if tie == before[0] else before[1] if before[2] == outcome else None
                parts.append(f"{exact:g}" if exact is not None else f"{before[1]:g}–{at:g}")
            parts.append(f"{glyph(outcome)} {outcome}")
        before = (outcome, at, tie)
    return " | ".join(parts)


def release_rows(row: ProxyRelease) -> list[tuple[str, str]]:
    """Return the rules of one release as (rule, behaviour) pairs."""
    reaction = {"raw": "passed on as it is", "error": "an Error", "log": "in the proxy's log only"}
    ends = {"quiet": "by the proxy, after 400 ms of silence", "vad": "by the server's voice detection"}
    held = "held back while the flag is set" + (" or a request waits" if row.defers else "")
    return [
        ("response.create after a result", "by the gate's rules" if row.gate is not None else _create(row)),
        ("a refusal", "hidden from the host" if row.refusal_hidden else "sent to the host as an Error"),
        ("the flag is set by", ", ".join(sorted(row.flag_set_by)) + " creates"),
        ("the flag is cleared at", ", ".join(event for letter, event in _EVENTS if letter in row.flag_cleared_by)),
        ("the first Settings", held if row.settings_wait else "become session.update at once"),
        ("user text before session.updated", "waits for it" if row.text_queued else "goes out at once"),
        ("the user's spoken turn is ended", ends[row.audio]),
        ("response.done to the host", "raw" if row.done_raw else "never"),
        ("an event that the proxy does not know", reaction[row.unknown_event]),
    ]


def _create(row: ProxyRelease) -> str:
    if not row.defers:
        return "at once"
    events = [event for letter, event in _EVENTS if letter in row.create_on]
    return f"at {' or '.join(events)}" + (", or after 20 s" if row.recovery else "")
