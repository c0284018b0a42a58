"""A finding once more, in the virtual engine, by its schedule: the same verdict, or the exploration is wrong."""

from __future__ import annotations

from dataclasses import replace

from voicerace.engines.session import Session
from voicerace.engines.virtual import VirtualEngine
from voicerace.errors import InputError
from voicerace.explore.finding import Finding
from voicerace.explore.signature import Signature, signatures
from voicerace.explore.stories import STORIES, session_of, stories
from voicerace.parameters import Times
from voicerace.recording import Recording

__all__ = ["replayed", "session_for"]


def session_for(finding: Finding) -> Session:
    """The session that a finding is about.

    Raises:
        InputError: its story, handler, release or times are unknown.
    """
    if finding.story not in STORIES:
        raise InputError("story", f"{finding.story!r} is unknown", f"allowed are {', '.join(STORIES)}")
    stories([finding.story], [finding.handler])
    session = session_of(finding.story, finding.handler, finding.release, finding.component, finding.workaround)
    return replace(session, times=Times.of(finding.times))


def replayed(finding: Finding) -> tuple[Recording, tuple[Signature, ...]]:
    """What its schedule gives in virtual time: the recording, and the bad paths in it."""
    session = session_for(finding)
    recording = VirtualEngine(session, schedule=finding.schedule).run()
    return recording, signatures(recording, session.release)
