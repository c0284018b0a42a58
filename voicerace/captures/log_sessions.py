"""The sessions of a console log: read whole, then completed one by one through the model of its release.

Only what cannot be known before the log's end waits for it: which release wrote it, and where something was not read. So
the sessions lie on disk meanwhile (`captures.disk_list`), and memory holds a few of them, whatever the file's size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TextIO

from voicerace.captures.disk_list import DiskBackedList
from voicerace.captures.log_scanner import Record, read_lines, scan
from voicerace.captures.logged import LoggedSession
from voicerace.captures.proxy_log import ProxyLog
from voicerace.captures.release_of import ReleaseInference, fitting, told
from voicerace.captures.session_summary import CapturedSession, Names, capture_session
from voicerace.model.catalog.releases import ProxyRelease

__all__ = ["log_sessions", "read_log"]

_LISTED: Final = 5


def read_log(stream: TextIO) -> ProxyLog:
    """The log's records, taken in."""
    log = ProxyLog()
    for each in scan(read_lines(stream)):
        if isinstance(each, Record):
            log.feed(each)
        else:
            log.miss(each)
    return log


def log_sessions(
    log: ProxyLog, release: ProxyRelease | None, progress: Callable[[int, int], object] | None = None
) -> DiskBackedList[CapturedSession]:
    """The sessions of a log that was read.

    Args:
        log: all of it.
        release: the one that the user names.
        progress: is told how many sessions are done, and of how many.
    """
    rows = [] if release is not None else fitting(log.marks, log.sessions())
    names = Names()
    found: DiskBackedList[CapturedSession] = DiskBackedList()
    for each in log.sessions():
        said = told(each, rows, release)
        found.append(
            capture_session(
                names.unique(each.connection),
                each.recording,
                cannot_say=_unsaid(each, said),
                unread_records=each.unread,
                hidden=each.hidden,
                updates_logged=each.updates_logged,
                told=said,
                line=partial(_line, each.places),
            )
        )
        if progress is not None:
            progress(len(found), len(log))
    return found


def _line(places: Sequence[tuple[int, int]], seq: int) -> int:
    return places[seq][0] if 0 <= seq < len(places) else 0


def _unsaid(of: LoggedSession, said: ReleaseInference) -> list[str]:
    """What the proxy's log never shows, and what this one does not."""
    unsaid = [
        "The response.create behind results and user texts is not logged: their number is derived from the release's model.",
        "What the proxy sends to the host is not logged: what the host was told is derived from the release's model.",
    ]
    if not said.candidates:
        unsaid.append("No release's model fits this log: nothing is derived from one.")
    elif len(said.candidates) > 1:
        named = ", ".join(said.candidates)
        same = f"The log does not name the release: {named} would have written the same."
        unsaid.append(f"{named} are the same program: no log tells them apart." if said.release is not None else same)
    if not said.flag_agreed:
        unsaid.append("Whether the flag was cleared before response.done depends on which of these it is: give --release.")
    if said.derived is not None:
        unsaid += [f"Taken for granted: {each}." for each in said.derived.assumed]
    if not of.updates_logged:
        unsaid.append("Call ids and results are not logged: a result sent twice shows only where there are more than calls.")
    if of.elided:
        unsaid.append(f"{of.elided} payloads were cut in the log.")
    if not of.begun:
        unsaid.append("The log does not have the connection's beginning.")
    if said.lost and of.begun and not of.quiet:
        lines = ", ".join(str(each.line) for each in said.lost[:_LISTED]) + (", ..." if len(said.lost) > _LISTED else "")
        word = "line" if len(said.lost) == 1 else "lines"
        unsaid.append(f"The model cannot follow the log at {word} {lines}: what the log lacks may be why.")
    if said.missed:
        unsaid.append("No release's model can follow the log: a record may be missing, and no count is certain.")
    if of.quiet:
        unsaid.append("Only errors are logged: messages are not, and from 0.10.3 on a refusal is no error to the log.")
    unsaid += [f"Damaged, or mixed up: {each}. No count is certain." for each in of.doubts]
    if of.unread:
        unsaid.append(f"{of.unread} unread records are, or may be, this connection's: what is not seen may have happened.")
    return unsaid
