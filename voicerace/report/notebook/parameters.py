"""Define the parameters of the notebooks, validated in their first code cell.

papermill passes lists as text and accepts misspelt names as new globals. A notebook therefore reads its parameters with
``Params.from_namespace(globals())``, which raises InputError for an unknown name or an invalid value.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError, first_of, one_of
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.stories import STORIES
from voicerace.model.catalog.profiles import FIXED_NETWORK, RECORDED, TIMES
from voicerace.model.names import name_of, names_of, words_of
from voicerace.model.parameters import Fixed, Uniform, parse
from voicerace.report.notebook.field_tables import CLIENTS
from voicerace.units import ms

__all__ = [
    "DelaySweepParameters",
    "EveryPathParameters",
    "FieldParameters",
    "NotebookParameters",
    "OneSessionParameters",
    "SuspicionsParameters",
    "YourSessionsParameters",
]

_EARLIER_MS = 40.0
#: Names that IPython adds to the globals of a notebook.
_IPYTHON = frozenset({"In", "Out", "exit", "quit", "open", "get_ipython"})


class NotebookParameters(BaseModel):
    """Base class of the parameters of all notebooks."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def from_namespace(cls, namespace: Mapping[str, Any]) -> Self:
        """Return the parameters among a notebook's globals.

        Raises:
            InputError: a global is not a parameter, or a value is not valid. The error contains the name.
        """
        given = {
            name: value
            for name, value in namespace.items()
            if not (name.startswith("_") or name in _IPYTHON or isinstance(value, (ModuleType, type)) or callable(value))
        }
        try:
            return cls(**given)
        except ValidationError as error:
            raise first_of(error, "this notebook", cls.model_fields) from None

    @field_validator("release", "scenario", "handler", "modality", "profile", check_fields=False, mode="before")
    @classmethod
    def _name(cls, value: object, info: Any) -> Any:
        return name_of(info.field_name, value)

    @field_validator("releases", check_fields=False, mode="before")
    @classmethod
    def _releases(cls, value: object) -> tuple[str, ...]:
        return names_of("release", value, "releases")


class _Shared(NotebookParameters):
    """Parameters of several notebooks.

    Times are numbers in ms, or texts in the syntax of `model.parameters`. An empty time has the value of the profile.
    """

    scenario: str = "single"
    handler: str = "return"
    modality: str = "session"
    profile: str = RECORDED
    seed: int = Field(default=0, ge=0)
    gap_ms: str = ""
    host_rtt_ms: str = ""
    upstream_rtt_ms: str = ""
    ack_ms: str = ""

    @field_validator(*TIMES, mode="before", check_fields=False)
    @classmethod
    def _time(cls, value: object, info: Any) -> str:
        if value == "":
            return ""
        parse(info.field_name, value)
        return str(value)

    @property
    def given(self) -> dict[str, str]:
        """Return the times that are not empty, by name."""
        return {name: value for name in type(self).model_fields if name in TIMES and (value := getattr(self, name))}


class OneSessionParameters(_Shared):
    """Parameters of ``1-one-session.ipynb``.

    Attributes:
        earlier_ms: time in ms by which the second session's tool is faster, at most the shortest tool time. None selects 40 or,
            if less, the shortest tool time.
    """

    release: str = "0.9.1"
    tool_ms: str = "50"
    calls: int | None = Field(default=None, ge=1, le=8)
    earlier_ms: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.earlier_ms is not None and self.earlier_ms > (least := self._least_tool_ms):
            raise InputError("earlier_ms", f"{self.earlier_ms:g} is more than tool_ms, {least:g}", "at most the tool time")
        return self

    @property
    def _least_tool_ms(self) -> float:
        tool = parse("tool_ms", self.tool_ms)
        if isinstance(tool, Fixed):
            return ms(min(tool.values_ns))
        return tool.low if isinstance(tool, Uniform) else 0.0

    @property
    def earlier(self) -> float:
        """Return `earlier_ms`, or the default if `earlier_ms` is None."""
        return min(_EARLIER_MS, self._least_tool_ms) if self.earlier_ms is None else self.earlier_ms


class DelaySweepParameters(_Shared):
    """Parameters of ``2-delay-sweep.ipynb``. The delay sweep includes `start_ms` and `stop_ms`.

    Attributes:
        releases: tags, as a list, a JSON list in text, or text with commas.
        trials: number of sessions per release and delay if a time is random.
        map_step_ms: step in ms of the map of tool time against gap, from 0 to `map_stop_ms`.
        capture: a file with sessions to display, or an empty text.
        out: folder of the run. If empty, a new folder in ``runs`` is created.
    """

    releases: tuple[str, ...] = ("0.9.1", "0.9.4", "0.11.1")
    start_ms: float = Field(default=0, ge=0)
    stop_ms: float = Field(default=400, ge=0)
    step_ms: float = Field(default=25, gt=0)
    trials: int = Field(default=20, ge=1)
    map_stop_ms: float = Field(default=400, gt=0)
    map_step_ms: float = Field(default=20, gt=0)
    capture: str = ""
    out: str = ""

    @property
    def story(self) -> dict[str, str]:
        """Return the fields of `SweepSpec` other than releases and times."""
        return {"scenarios": self.scenario, "handlers": self.handler, "modalities": self.modality}

    @property
    def spec(self) -> dict[str, Any]:
        """Return the fields of `SweepSpec` for the sweep of the notebook."""
        drawn = {"profile": self.profile, "trials": self.trials, "seed": self.seed}
        return {"releases": self.releases, **self.story, **drawn, "times": self.times}

    @property
    def times(self) -> dict[str, str]:
        """The times of the delay sweep: a grid of tool times, and the other times as given."""
        return {**self.given, "tool_ms": f"{self.start_ms:g}:{self.stop_ms:g}:{self.step_ms:g}"}

    @property
    def map_times(self) -> dict[str, str]:
        """The times of the map: grids of delay and gap, and fixed network times, so that each cell has one session."""
        grid = f"0:{self.map_stop_ms:g}:{self.map_step_ms:g}"
        return {**FIXED_NETWORK, **self.given, "tool_ms": grid, "gap_ms": grid}

    def map_session(self, release: str) -> SessionConfig:
        """Return the session of the map of a release at the origin of both grids."""
        times = {**self.map_times, "tool_ms": 0, "gap_ms": 0}
        return SessionConfig.of(
            release=release, scenario=self.scenario, handler=self.handler, modality=self.modality, times=times
        )


class YourSessionsParameters(NotebookParameters):
    """Parameters of ``5-your-sessions.ipynb``.

    Attributes:
        capture: a file or the folder of a run, or an empty text.
        release: release of the proxy. If empty, the release is inferred from the capture.
        most: maximum number of simulated races. A larger capture is sampled with `seed`.
    """

    capture: str = ""
    release: str = ""
    most: int = Field(default=200, ge=1, le=100_000)
    seed: int = 0

    @field_validator("release", mode="before")
    @classmethod
    def _name(cls, value: object, info: Any) -> Any:
        return name_of(info.field_name, value) if value else ""


class FieldParameters(NotebookParameters):
    """Parameters of ``7-the-field.ipynb``.

    Attributes:
        client: name of a client in data/field.
        case: name of a case, or its beginning.
        drawn: clients whose sessions are drawn, one per group; ``all`` for every client. A list, a JSON list in text, or text
            with commas.
    """

    client: str = "livekit-agents"
    case: str = "server turn"
    drawn: tuple[str, ...] = ()

    @field_validator("drawn", mode="before")
    @classmethod
    def _drawn(cls, value: object) -> tuple[str, ...]:
        names = () if value in ((), [], "") else words_of("drawn", value)
        return tuple(CLIENTS) if names == ("all",) else tuple(one_of("drawn", each, CLIENTS) for each in names)


class SuspicionsParameters(NotebookParameters):
    """Parameters of ``3-suspicions.ipynb``.

    Attributes:
        releases: tags, as a list, a JSON list in text, or text with commas; ``all`` for every release.
    """

    releases: tuple[str, ...] = ("all",)

    @field_validator("releases", mode="before")
    @classmethod
    def _releases(cls, value: object) -> tuple[str, ...]:
        return names_of("release", value, "releases", every=("all",))


class EveryPathParameters(NotebookParameters):
    """Parameters of ``4-every-path.ipynb``.

    Attributes:
        release: the release to explore in addition to the reference gate.
        stories: names of explored scenarios, as a list, a JSON list in text, or text with commas.
        handlers: names of handler styles.
        bounds: intervals that replace intervals of `workarounds.BOUNDS`, as ``name=low:high`` in ms.
        max_states: maximum number of states per scenario.
        workaround_stories: scenarios in which each workaround is explored.
        pictures: number of findings with a picture, starting with the shortest finding.
    """

    release: str = "0.9.1"
    stories: tuple[str, ...] = ("single", "parallel", "double", "chained")
    handlers: tuple[str, ...] = ("return",)
    bounds: tuple[str, ...] = ()
    max_states: int = Field(default=5_000, ge=1, le=10_000_000)
    workaround_stories: tuple[str, ...] = ("single",)
    pictures: int = Field(default=2, ge=0, le=20)

    @field_validator("stories", "workaround_stories", mode="before")
    @classmethod
    def _stories(cls, value: object, info: Any) -> tuple[str, ...]:
        return tuple(one_of(info.field_name, each, STORIES) for each in words_of(info.field_name, value))

    @field_validator("handlers", mode="before")
    @classmethod
    def _handlers(cls, value: object) -> tuple[str, ...]:
        return names_of("handler", value, "handlers")

    @field_validator("bounds", mode="before")
    @classmethod
    def _bounds(cls, value: object) -> tuple[str, ...]:
        names = () if value in ((), [], "") else words_of("bounds", value)
        Bounds.of(names)
        return names
