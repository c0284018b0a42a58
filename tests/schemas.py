"""The JSON of `voicerace run` and `inspect` as pydantic models; ``python -m tests.schemas`` writes their schemas into docs/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from voicerace.analysis.outcomes import OUTCOMES
from voicerace.analysis.summary import SCHEMA as RUN
from voicerace.captures.show import SCHEMA as INSPECT

DOCS: Final = Path(__file__).parents[1] / "docs"

Outcome = Literal[*OUTCOMES]  # type: ignore[valid-type]
Kind = Literal["observed", "derived", "at least", "unknown"]
Count = Annotated[int, Field(ge=0)]
Lines = list[Count]


class Shape(BaseModel):
    """An object with exactly these keys; keys with a default are optional."""

    model_config = ConfigDict(extra="forbid")


class Turn(Shape):
    outcome: Outcome
    why: str
    calls: list[str]
    user_inputs: Count
    submissions: Annotated[int, Field(ge=0, description="results that reached the upstream link")]
    own_submissions: Annotated[int, Field(ge=0, description="those sent by the app")]
    response_creates: Annotated[int, Field(ge=0, description="response.create events from the first result on")]
    refusals: Count
    host_errors: Count | None
    replies: Count
    margin_ms: float | None
    lead_ms: float | None
    dead_air_ms: float | None
    by: Annotated[
        Literal["user", "client", "api"] | None,
        Field(description="which side ended or prevented the reply, when it was not the proxy"),
    ]
    events: Annotated[list[int], Field(description="seqs of the events that decide the outcome")]


class Earlier(Shape):
    by_ms: Annotated[float, Field(description="how much earlier the result is")]
    outcome: Outcome
    why: str
    wedged: bool | None
    response_creates: Count | None
    refusals: Count | None
    host_errors: Count | None
    replies: Count | None
    margin_ms: float | None
    lead_ms: float | None
    dead_air_ms: float | None


class Run(Shape):
    """voicerace run --json"""

    schema_: Annotated[Literal[RUN], Field(alias="schema")]  # type: ignore[valid-type]
    release: str | None
    component: str | None
    scenario: str | None
    handler: str | None
    modality: str | None
    calls: Count | None
    proxy: str | None
    upstream: str | None
    seed: int | None
    times: Annotated[dict[str, str] | None, Field(description="every named time, in the parameters' grammar")]
    outcome: Annotated[Outcome, Field(description="the worst outcome of a tool turn; unknown without one")]
    why: str
    fault: Annotated[
        str | None, Field(description="an unintended failure: a connection that did not open or was dropped, silence")
    ]
    wedged: Annotated[bool | None, Field(description="the last user input got no reply; null when there was no further input")]
    tie_outcome: Annotated[
        Outcome | None,
        Field(description="the outcome if two simultaneous events came in the other order; null without such a pair"),
    ]
    response_creates: Annotated[int | None, Field(ge=0, description="of the worst tool turn, from the first result on")]
    refusals: Annotated[int | None, Field(ge=0, description="of the worst tool turn, with the active-response code")]
    host_errors: Annotated[int | None, Field(ge=0, description="Errors with that code sent to the host")]
    replies: Annotated[int | None, Field(ge=0, description="replies heard")]
    session_updates: Annotated[int | None, Field(ge=0, description="session.update events of the whole session")]
    margin_ms: Annotated[
        float | None,
        Field(description="arrival at the upstream of the first create after the app's first own result, minus the slot's end"),
    ]
    lead_ms: Annotated[float | None, Field(description="that result reaching the proxy minus response.done reaching it")]
    dead_air_ms: Annotated[
        float | None,
        Field(description="from the calls' response.done to the informed reply's first output at the host"),
    ]
    counts: Annotated[dict[str, Kind], Field(description="certainty of each count")]
    turns: list[Turn]
    earlier: Annotated[Earlier, Field(description="with --earlier: the session whose result is earlier")] | None = None


class Sure(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"value": {"type": "null"}}},
            "then": {"properties": {"kind": {"const": "unknown"}}},
        }
    )

    value: Count | None
    kind: Kind


class Counts(Shape):
    host_messages: Sure
    upstream_events: Sure
    user_texts: Sure
    calls: Sure
    submissions: Sure
    repeated_results: Sure
    default_errors: Sure
    responses: Sure
    refusals: Sure
    refusals_hidden: Sure
    other_errors: Sure
    session_updates: Sure
    response_creates: Sure
    commits: Sure
    audio_bytes: Annotated[Sure, Field(description="size of the API's audio")]


class Placed(Shape):
    line: Count
    what: str


class Ordered(Placed):
    at_ms: float | None
    derived: bool


class RefusedAge(Shape):
    line: Count
    response_age_s: Annotated[int, Field(ge=0, description="age of the active response when the create was refused")]


class ServerSeconds(Shape):
    basis: Literal["from ids, ±1 s"]
    start: str
    end: str
    ids: Annotated[int, Field(ge=2, description="number of ids that agree")]
    clock_offset_s: Annotated[
        float | None, Field(description="the capture's clock minus that of the ids; null without an absolute time")
    ]
    refused: list[RefusedAge]


class ToolTurn(Shape):
    outcome: Outcome
    why: str
    calls: Count
    results: Count
    response_creates: Count
    refusals: Count
    lines: Lines


class SubmittedTwice(Shape):
    call: Count
    results: Annotated[int, Field(ge=2)]
    by: str
    lines: Lines
    delays_ms: list[float]


class FlagCleared(Shape):
    by: str
    line: Count
    done_line: Count | None
    updates: Count


Number = Annotated[int | None, Field(ge=0, description="null if the count's kind is unknown")]


class Session(Shape):
    connection: str
    release: Annotated[
        str | None, Field(description="the tag, if one program remains; else null, and release_candidates lists them")
    ]
    release_given: Annotated[bool, Field(description="the user named it")]
    outcome: Outcome
    why: str
    start: Annotated[str | None, Field(description="ISO 8601, UTC; null without an absolute time")]
    duration_ms: Annotated[float | None, Field(ge=0)]
    server_time: Annotated[
        ServerSeconds | None,
        Field(
            description="times from the seconds in the API's ids, each within one second; null if the ids disagree "
            "or have none. Undocumented by the API: docs/capture-formats.md"
        ),
    ]
    refusals: Number
    session_updates: Number
    response_creates: Number
    counts: Counts
    result_delay_ms: list[float | None]
    gap_ms: list[float]
    submissions: Number
    unread_records: Count
    cannot_say: list[str]
    refused_at_ms: list[float]
    release_candidates: list[str]
    evidence: list[Placed]
    contradictions: list[Placed]
    session_update_lines: Lines
    turns: list[ToolTurn]
    submitted_twice: list[SubmittedTwice]
    flag_cleared_early: list[FlagCleared] | None
    order: Annotated[list[Ordered], Field(max_length=200)]


class Unread(Shape):
    first_line: Count
    last_line: Count
    reason: str
    records: Annotated[int, Field(ge=1)]


class Quantiles(Shape):
    count: Count
    min: float | None
    p10: float | None
    median: float | None
    p90: float | None
    max: float | None


class Times(Shape):
    result_delay_ms: Quantiles
    gap_ms: Quantiles


class Aligned(Shape):
    host_session: str
    proxy_session: str
    offset_ms: float | None
    uncertainty_ms: float | None
    low_ms: float | None
    high_ms: float | None
    shared_messages: Count
    consistent: bool
    of_machines: Annotated[bool, Field(description="false: each file's time counts from its own zero")]
    could_be: Annotated[list[str], Field(description="other sessions of the proxy that also match")]


class Inspect(Shape):
    """voicerace inspect --json. Places are lines of the file (of a HAR: numbers of its frames), 0 if unknown."""

    schema_: Annotated[Literal[INSPECT], Field(alias="schema")]  # type: ignore[valid-type]
    file: str
    format: Literal["console log", "jsonl recording", "har", "websocket cassette"]
    records: Count
    sessions: list[Session]
    unread: list[Unread]
    times: Times
    aligned: Annotated[list[Aligned], Field(default=[], description="with --with")]
    sweep_times: Annotated[dict[str, str], Field(default={}, description="with --times: options of a sweep")]
    sweep_notes: Annotated[list[str], Field(default=[])]


def document(model: type[Shape]) -> dict[str, Any]:
    """Return a model's schema without titles that repeat the names of fields."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_untitled(model.model_json_schema())}


def _untitled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untitled(each) for key, each in value.items() if key != "title" or not isinstance(each, str)}
    return [_untitled(each) for each in value] if isinstance(value, list) else value


def text(model: type[Shape]) -> str:
    """Return a model's schema as in docs/."""
    return json.dumps(document(model), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for each in (Run, Inspect):
        (DOCS / f"{each.__name__.lower()}.schema.json").write_text(text(each), "utf-8")
