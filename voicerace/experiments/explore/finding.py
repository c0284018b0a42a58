"""Finding: path to a bad outcome, with its name, sentence, trace and times."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from voicerace.analysis.outcomes import TABLE
from voicerace.engine.schedule import Schedule
from voicerace.errors import InputError
from voicerace.experiments.explore.signature import Signature

__all__ = ["Finding", "name_of", "read_findings", "sentence_of"]

_EVENTS: Final = {
    "T": "response.output_text.done",
    "R": "response.done",
    "A": "response.output_audio.done",
    "I": "the output's conversation.item.done",
    "item": "the next item event",
    "result": "the result itself",
    "text": "the text itself",
    "recovery": "the 20 s timer",
    "audio_quiet": "400 ms of silence",
    "server": "the end of speech",
    "refusal": "the refusal of the request before it",
    "gate": "the end of the gate's pause after a refusal",
    "not applied": "the host never gets SettingsApplied, and the API replies",
}
_ENDS: Final = {
    **{name: row.ending for name, row in TABLE.items() if row.ending},
    "wedged": "the session answers nothing any more",
    "unconfigured": "no session.update is ever sent",
}


def name_of(signature: Signature) -> str:
    """Return a stable name made of the signature's fields."""
    parts = [signature.outcome, signature.writer, signature.cleared_by, signature.holder and f"in {signature.holder}"]
    if signature.results:
        parts.append(f"{signature.results} results" if signature.results > 1 else "1 result")
    return re.sub(r"[^a-z0-9]+", "-", " ".join(filter(None, parts)).lower()).strip("-")


def sentence_of(signature: Signature) -> str:
    """Describe the finding in one sentence."""
    event = _EVENTS.get(signature.cleared_by, signature.cleared_by)
    count = f" ({signature.results} results)" if signature.results > 1 else ""
    end = _ENDS.get(signature.outcome, signature.outcome)
    if signature.outcome == "stalled":
        passed = f"{event} had passed" if event else "nothing that it waits for came"
        return f"The {signature.writer} waits for its create, {passed}: {end}{count}."
    if signature.outcome in ("wedged", "unconfigured") and not signature.holder:
        return f"The {signature.writer}: {event or 'nothing follows'}; {end}."
    if signature.holder:
        return (
            f"The create for the {signature.writer}, sent at {event}, meets an active response ({signature.holder}): "
            f"refused, {end}{count}."
        )
    return f"The create for the {signature.writer}, sent at {event}: {end}{count}."


@dataclass(frozen=True)
class Finding:
    """Path to a bad outcome.

    Attributes:
        signature: identifies the finding.
        story: name of the explored scenario.
        handler: handler style.
        trace: shortest path to the outcome, with the time in ms, the actor and a description of each step.
        slack_ms: minimum time in ms between two steps whose order matters.
        schedule: durations of all timers and messages.
        times: other times of the session, as text.
        workaround: name of the app's workaround, or None.
    """

    signature: Signature
    release: str
    component: str
    story: str
    handler: str
    trace: tuple[Mapping[str, Any], ...]
    slack_ms: float
    schedule: Schedule
    times: Mapping[str, str]
    workaround: str | None = None

    @property
    def name(self) -> str:
        return name_of(self.signature)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values, for `from_json`."""
        signature = self.signature
        return {
            "name": self.name,
            "outcome": signature.outcome,
            "sentence": sentence_of(signature),
            "writers": signature.writer.split("+"),
            "cleared_by": signature.cleared_by,
            "holder": signature.holder,
            "results": signature.results,
            "release": self.release,
            "component": self.component,
            "story": self.story,
            "handler": self.handler,
            **({"workaround": self.workaround} if self.workaround else {}),
            "room_ms": self.slack_ms,
            "times_ms": [step["ms"] for step in self.trace],
            "trace": [dict(step) for step in self.trace],
            "schedule": self.schedule.to_json(),
            "times": dict(self.times),
        }

    @classmethod
    def from_json(cls, record: object) -> Finding:
        """Convert a `record` from `to_json` to a finding.

        Raises:
            InputError: a field is missing or of the wrong type.
        """
        try:
            if not isinstance(record, Mapping):
                raise TypeError("no object")
            if record["outcome"] not in _ENDS:
                raise ValueError(f"outcome {record['outcome']!r}, allowed are {', '.join(_ENDS)}")
            signature = Signature(
                str(record["outcome"]), str(record["holder"]), "+".join(record["writers"]), str(record["cleared_by"]),
                int(record["results"]),
            )  # fmt: skip
            return cls(
                signature,
                str(record["release"]),
                str(record["component"]),
                str(record["story"]),
                str(record["handler"]),
                tuple(record["trace"]),
                float(record["room_ms"]),
                Schedule.from_json(record["schedule"]),
                {str(name): str(text) for name, text in record["times"].items()},
                str(record["workaround"]) if record.get("workaround") else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            raise InputError("finding", reason, "one of `voicerace explore --json`") from None


def read_findings(path: Path, name: str | None = None) -> list[Finding]:
    """Read the findings in a file from `voicerace explore --out`, or only the findings with a name.

    Raises:
        InputError: the file is not from `voicerace explore --out`, or no finding has this name.
    """
    try:
        record = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(str(path), error.strerror or "cannot be read", "a file of `voicerace explore --out`") from None
    except ValueError as error:
        raise InputError(str(path), f"no JSON ({error})", "a file of `voicerace explore --out`") from None
    listed = record.get("findings") if isinstance(record, dict) else None
    records = listed if isinstance(listed, list) else [record]
    try:
        found = [Finding.from_json(each) for each in records]
    except InputError as error:
        raise InputError(str(path), error.found, "a file of `voicerace explore --out`") from None
    if not found:
        raise InputError(str(path), "no findings in it", "a file of `voicerace explore --out` with findings")
    if name is not None:
        names = [each.name for each in found]
        found = [each for each in found if each.name == name]
        if not found:
            raise InputError("name", f"{name!r} is not in {path}", f"allowed are {', '.join(names) or 'none'}")
    return found
