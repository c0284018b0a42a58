"""Read the sessions of a console log, and complete each session with the model of the log's release.

The release and the unread lines are known only after the last line. Until then the sessions are stored on disk
(`captures.disk_list`) to limit memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TextIO

from voicerace.captures.disk_list import DiskBackedList
from voicerace.captures.log_scanner import Record, read_lines, scan
from voicerace.captures.logged import LoggedSession
from voicerace.captures.proxy_log import ProxyLog
from voicerace.captures.release_of import ReleaseInference, fitting_releases, infer_release
from voicerace.captures.session_summary import CapturedSession, Names, capture_session
from voicerace.model.catalog.releases import ProxyRelease

__all__ = ["log_sessions", "read_log"]

_LISTED: Final = 5


def read_log(stream: TextIO) -> ProxyLog:
    """Read all records of a log into a `ProxyLog`."""
    log = ProxyLog()
    for item in scan(read_lines(stream)):
        if isinstance(item, Record):
            log.feed(item)
        else:
            log.miss(item)
    return log


def log_sessions(
    log: ProxyLog, release: ProxyRelease | None, progress: Callable[[int, int], object] | None = None
) -> DiskBackedList[CapturedSession]:
    """Return the sessions of a log, completed with derived messages.

    Args:
        log: the log with all its records.
        release: release that the user named; None infers it.
        progress: function that is called with the number of completed sessions and the number of all sessions.
    """
    rows = [] if release is not None else fitting_releases(log.marks, log.sessions())
    names = Names()
    sessions: DiskBackedList[CapturedSession] = DiskBackedList()
    for each in log.sessions():
        inference = infer_release(each, rows, release)
        sessions.append(
            capture_session(
                names.unique(each.connection),
                each.recording,
                cannot_say=_limitations(each, inference),
                unread_records=each.unread,
                hidden=each.hidden,
                updates_logged=each.updates_logged,
                inference=inference,
                line=partial(_line, each.event_lines),
                audio=each.audio,
            )
        )
        if progress is not None:
            progress(len(sessions), len(log))
    return sessions


def _line(event_lines: Sequence[tuple[int, int]], seq: int) -> int:
    return event_lines[seq][0] if 0 <= seq < len(event_lines) else 0


def _limitations(session: LoggedSession, inference: ReleaseInference) -> list[str]:
    """Return the limitations of proxy logs and of this session's log, one sentence each."""
    limits = [
        "The response.create after a result or a user text is not logged: the number is derived from the release's model.",
        "Messages from the proxy to the host are not logged: they are derived from the release's model.",
    ]
    if not inference.candidates:
        limits.append("No release's model fits this log: nothing is derived.")
    elif len(inference.candidates) > 1:
        named = ", ".join(inference.candidates)
        same = f"The log does not identify the release: {named} write the same log."
        limits.append(f"{named} are the same program: no log distinguishes them." if inference.release is not None else same)
    if not inference.flag_agreed:
        limits.append("Whether the flag was cleared before response.done depends on the release: give --release.")
    if inference.derived is not None:
        limits += [f"Assumption: {each}." for each in inference.derived.assumed]
    if not session.updates_logged:
        limits.append(
            "Call ids and results are not logged: a result sent twice is visible only if there are more results than calls."
        )
    if session.elided:
        limits.append(f"{session.elided} payloads were cut in the log.")
    if not session.begun:
        limits.append("The log lacks the connection's beginning.")
    if inference.lost and session.begun and not session.errors_only:
        lines = ", ".join(str(each.line) for each in inference.lost[:_LISTED]) + (
            ", ..." if len(inference.lost) > _LISTED else ""
        )
        word = "line" if len(inference.lost) == 1 else "lines"
        limits.append(f"The model cannot follow the log at {word} {lines}; records missing from the log may be the reason.")
    if inference.missed:
        limits.append("No release's model can follow the log: a record may be missing, and no count is certain.")
    if session.errors_only:
        limits.append("Only errors are logged: no messages, and from 0.10.3 on no refusals.")
    limits += [f"The log may be damaged or mixed with another: {each}. No count is certain." for each in session.doubts]
    if session.unread:
        limits.append(f"{session.unread} unread records may belong to this connection: events may be missing.")
    return limits
