"""voicerace: when does a Realtime API refuse a response around a function call?

Drive a session, record every message with its time, judge it, sweep it, draw it.
"""

from voicerace.engines.session import Session
from voicerace.engines.virtual import simulate
from voicerace.errors import InputError
from voicerace.recording import Event, Link, Recording, read_recordings
from voicerace.sweep import Run
from voicerace.verdict import Turn, Verdict, judge

__all__ = [
    "Event",
    "InputError",
    "Link",
    "Recording",
    "Run",
    "Session",
    "Turn",
    "Verdict",
    "judge",
    "read_recordings",
    "simulate",
]
