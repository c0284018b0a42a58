"""What a sweep is asked to do, checked word by word; and the sessions that follow from it, in their fixed order."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from voicerace.engine.session import MODALITIES, SessionConfig, knobs
from voicerace.errors import InputError, one_of
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import PROFILES, TIMES, WORKAROUND_TIMES
from voicerace.model.catalog.providers import DEFAULT_PROVIDER, PROVIDERS
from voicerace.model.catalog.releases import PROXIES, component, proxy_release
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.model.parameters import (
    MAX_CALLS,
    MAX_WHOLE,
    Fixed,
    Grid,
    Sampled,
    Times,
    Value,
    assumed_times,
    continuous,
    grammar_text,
    parse,
    parse_times,
    plain_value,
    whole_number,
)

__all__ = ["Plan", "SweepSpec", "assumed_of", "axes_of", "continuous_draws", "looks_for_ties", "request_of", "sessions"]

MAX_TRIALS: Final = 10_000_000
_ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "scenarios": tuple(SCENARIOS),
    "handlers": tuple(HANDLERS),
    "modalities": MODALITIES,
}
#: Whole number of a spec -> the smallest and the largest that is allowed.
_WHOLE: Final = {"trials": (1, MAX_TRIALS), "seed": (0, MAX_WHOLE), "keep": (0, MAX_WHOLE)}


class SweepSpec(BaseModel):
    """A Cartesian grid of sessions. Lists may be given as one text with commas; ``all`` names every release, handler, ...

    Attributes:
        releases: tags of the proxy, or backend versions that name one program.
        scenarios: names of `model.catalog.scenarios`.
        handlers: names of `model.catalog.handlers`.
        modalities: ``text``, ``audio``, ``session`` (as the session asks).
        calls: function calls per response, for scenarios that leave it open (``parallel``); empty for their default.
        component: the component's tag; without one, each proxy's own.
        times: time name -> text of the parameters' grammar, or numbers as `SessionConfig.of` takes them; every grid in it is an
            axis of the sweep. So is a list of values for a time that has no value per call.
        profile: where the other times come from.
        knobs: the upstream's open facts.
        provider: whose API the mock is (`model.catalog.providers`).
        trials: sessions per cell, when a time is drawn; with fixed times every session of a cell would be the same,
            and one is run.
        seed: of all draws. A trial's seed follows from it and the trial's number in its cell alone, so releases,
            handlers and cells meet the same draws.
        ties: look for pairs of simultaneous events whose swap changes the outcome (several sessions per trial). None: only
            where no time is drawn from a continuous distribution, of which two draws never meet in one instant.
        keep: recordings kept; see `voicerace.experiments.sweep.sweep.sweep`.

    Raises (on making one):
        InputError: an unknown field, or a value that does not fit its field; it names the field or the time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    releases: tuple[str, ...] = ("0.9.1",)
    scenarios: tuple[str, ...] = ("single",)
    handlers: tuple[str, ...] = ("return",)
    modalities: tuple[str, ...] = ("session",)
    calls: tuple[int, ...] = ()
    component: str | None = None
    times: dict[str, str] = Field(default_factory=dict)
    profile: str = "loopback"
    knobs: dict[str, str] = Field(default_factory=dict)
    provider: str = DEFAULT_PROVIDER
    trials: int = 1
    seed: int = 0
    ties: bool | None = None
    keep: int = 200

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise _input_error(error, type(self)) from None

    @classmethod
    def of(cls, given: SweepSpec | Mapping[str, Any]) -> SweepSpec:
        """The spec itself, or the one with these fields.

        Raises:
            InputError: neither, or as on making one.
        """
        if isinstance(given, cls):
            return given
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise InputError("sweep", f"{given!r:.60} is a {type(given).__name__}", "a SweepSpec, or a mapping of its fields")
        return cls(**given)

    @field_validator("releases", "scenarios", "handlers", "modalities", "calls", mode="before")
    @classmethod
    def _list(cls, value: Any, info: ValidationInfo) -> Any:
        value = plain_value(value)
        if isinstance(value, str):
            value = [word.strip() for word in value.split(",")]
            return [_from_text(word) for word in value] if info.field_name == "calls" else value
        found = [value] if isinstance(value, int) else value
        return [plain_value(each) for each in found] if isinstance(found, (list, tuple)) else found

    @field_validator("calls", mode="before")
    @classmethod
    def _whole_numbers(cls, value: Any) -> Any:
        return [whole_number("calls", each, 1, MAX_CALLS) for each in value] if isinstance(value, list) else value

    @field_validator("trials", "seed", "keep", mode="before")
    @classmethod
    def _whole(cls, value: Any, info: ValidationInfo) -> Any:
        return whole_number(str(info.field_name), _from_text(value), *_WHOLE[str(info.field_name)])

    @field_validator("times", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {str(name): grammar_text(str(name), text) for name, text in value.items() if text is not None}

    @field_validator("releases")
    @classmethod
    def _releases(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(PROXIES) if value == ("all",) else value
        return _some("releases", tuple(proxy_release(name, "releases").tag for name in names))

    @field_validator("scenarios", "handlers", "modalities")
    @classmethod
    def _names(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        field = str(info.field_name)
        if value == ("all",):
            # What a session asks for is one of the other two.
            return tuple(name for name in _ALLOWED[field] if name != "session")
        for name in value:
            one_of(field, name, _ALLOWED[field])
        return _some(field, value)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.component is not None:
            component(self.component)
        knobs(self.knobs)
        one_of("profile", self.profile, PROFILES)
        one_of("provider", self.provider, PROVIDERS)
        if self.calls and not any(SCENARIOS[name].calls is None for name in self.scenarios):
            raise InputError("calls", f"given, but {', '.join(self.scenarios)} has its own number", "parallel takes 1 to 8")
        for name in self.times:
            if name in WORKAROUND_TIMES:
                raise InputError(name, "given without a workaround", f"a sweep has none; allowed are {', '.join(TIMES)}")
        parse_times(self.times, self.profile)
        return self

    def to_json(self) -> dict[str, Any]:
        """The parameters as `run.json` keeps them: a file of values by its name and hash, never by its path."""
        without = {"provider"} if self.provider == DEFAULT_PROVIDER else None
        looks = looks_for_ties(self, parse_times(self.times, self.profile))
        found = self.model_dump(mode="json", exclude=without) | {"ties": looks}
        found["times"] = {name: _without_path(text) for name, text in self.times.items()}
        return found


def request_of(spec: SweepSpec) -> dict[str, Any] | None:
    """All that decides the trials of a spec, as JSON; None where a time is drawn from a file, whose values are not in it."""
    return None if any(text.startswith("@") for text in spec.times.values()) else spec.to_json()


def _from_text(value: Any) -> Any:
    """A whole number that is given as text, as papermill and the command line do; everything else as it is."""
    return int(value) if isinstance(value, str) and re.fullmatch(r" *[0-9]{1,19} *", value) else value


def _some(field: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Every name once, in the order given."""
    if not names:
        raise InputError(field, "empty", "at least one")
    return tuple(dict.fromkeys(names))


def _without_path(text: str) -> str:
    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    return f"@{path.name} (SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]})"


def _input_error(error: ValidationError, model: type[BaseModel]) -> InputError:
    """The first thing pydantic found, in our words."""
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause
    where = ".".join(str(part) for part in first["loc"] if part != "__key__") or "sweep"
    if first["type"] == "extra_forbidden":
        return InputError(where, "is no parameter of a sweep", f"allowed are {', '.join(model.model_fields)}")
    return InputError(where, f"{first['input']!r}", first["msg"][0].lower() + first["msg"][1:])


def looks_for_ties(spec: SweepSpec, values: Mapping[str, Value]) -> bool:
    """Whether ties are looked for: as the spec says, else unless a time is drawn from a continuous distribution."""
    return not continuous_draws(values) if spec.ties is None else spec.ties


def continuous_draws(values: Mapping[str, Value]) -> list[str]:
    """The times that are drawn from a continuous distribution."""
    return [name for name, value in values.items() if continuous(value)]


def axes_of(times: Mapping[str, str], profile: str) -> list[str]:
    """The times that are grids, of parameters as `run.json` keeps them."""
    read = {name: text for name, text in times.items() if not text.startswith("@")}
    return [name for name, value in parse_times(read, profile).items() if isinstance(value, Grid)]


def assumed_of(spec: SweepSpec) -> dict[str, str]:
    """The times that neither the spec nor all of its scenarios give: those that its profile assumes."""
    own = set.intersection(*(set(SCENARIOS[name].times) for name in spec.scenarios))
    return assumed_times({*spec.times, *own}, spec.profile)


@dataclass(frozen=True)
class Plan:
    """The trials of a sweep by number, each made when it is asked for: a million of them cost nothing until then.

    A cell is a story (release, scenario, handler, modality, calls) at one point of every grid; its trials stand together.
    It can be pickled, values of files included, so that whoever gets it needs nothing else.

    Attributes:
        spec: what was asked for.
        values: every time of the profile, with the given ones in place.
        stories: in the order of the spec's fields.
        per_cell: trials of each cell.
        ties: whether ties are looked for.
    """

    spec: SweepSpec
    values: Mapping[str, Value]
    stories: tuple[tuple[str, str, str, str, int | None], ...]
    per_cell: int
    ties: bool

    @classmethod
    def of(cls, spec: SweepSpec, repeat: bool = False) -> Self:
        """The plan of a spec.

        With fixed times every session of a cell would be the same in virtual time, and one is enough; `repeat` asks for
        all `spec.trials` of them, which differ on a real clock.

        Raises:
            InputError: too many trials, or times that do not fit each other.
        """
        values = parse_times(spec.times, spec.profile)
        stories = tuple(
            (release, scenario, handler, modality, calls)
            for release, scenario, handler, modality in product(spec.releases, spec.scenarios, spec.handlers, spec.modalities)
            for calls in (spec.calls or (None,) if SCENARIOS[scenario].calls is None else (None,))
        )
        per_cell = spec.trials if repeat or any(_drawn(value) for value in values.values()) else 1
        plan = cls(spec, values, stories, per_cell, looks_for_ties(spec, values))
        if len(plan) > MAX_TRIALS:
            raise InputError("times", f"{len(plan)} trials", f"at most {MAX_TRIALS}: coarser grids or fewer trials")
        # What does not fit does so at a corner of the grids: gap_ms and item_done_ms are held against each other.
        for story in range(len(stories)):
            for corner in product(*({0, len(axis) - 1} for axis in plan.axes)):
                plan._cell(story, corner)
        return plan

    @cached_property
    def axes(self) -> list[list[Any]]:
        """The values of each time along the cells."""
        return [_cells_of(value) for value in self.values.values()]

    def __len__(self) -> int:
        return len(self.stories) * math.prod(len(axis) for axis in self.axes) * self.per_cell

    def __iter__(self) -> Iterator[tuple[int, SessionConfig]]:
        return self.part(0, len(self))

    def part(self, start: int, stop: int) -> Iterator[tuple[int, SessionConfig]]:
        """Trials `start` to `stop`, without it, as (number in its cell, session)."""
        cell, session = -1, None
        for number in range(start, min(stop, len(self))):
            if session is None or number // self.per_cell != cell:
                cell = number // self.per_cell
                session = self._cell(*self._place(cell))
            trial = number % self.per_cell
            yield trial, replace(session, seed=_seed(self.spec.seed, trial))

    @property
    def further_columns(self) -> list[str]:
        """The columns of per-call times of the second call on: the same for every part (see `trials.frame_of`)."""
        most = max((SCENARIOS[scenario].calls or calls or 2 for _, scenario, _, _, calls in self.stories), default=1)
        several = [
            name
            for name, value in self.values.items()
            if TIMES[name].per_call
            and not (isinstance(value, Grid) or (isinstance(value, Fixed) and len(value.values_ns) == 1))
        ]
        return sorted(f"{name}_{call}" for name in several for call in range(2, most + 1))

    def _place(self, cell: int) -> tuple[int, tuple[int, ...]]:
        """A cell's story, and where it is on each axis; the last axis runs fastest."""
        places = []
        for axis in reversed(self.axes):
            cell, place = divmod(cell, len(axis))
            places.append(place)
        return cell, tuple(reversed(places))

    def _cell(self, story: int, places: tuple[int, ...]) -> SessionConfig:
        release, scenario, handler, modality, calls = self.stories[story]
        chosen = [axis[place] for axis, place in zip(self.axes, places, strict=True)]
        # A scenario's own times make the scenario, unless others are given.
        own = {name: parse(name, text) for name, text in SCENARIOS[scenario].times.items() if name not in self.spec.times}
        times = Times(dict(zip(self.values, chosen, strict=True)) | own)
        session = SessionConfig.of(
            release=release,
            component_tag=self.spec.component,
            scenario=scenario,
            handler=handler,
            # Only for the checks; a file of values is not read again for every cell.
            times={name: _word(value) for name, value in times.values.items()},
            profile=self.spec.profile,
            modality=modality,
            calls=calls,
            knobs_given=self.spec.knobs,
            provider=self.spec.provider,
        )
        return replace(session, times=times)


def sessions(spec: SweepSpec, repeat: bool = False) -> Iterator[tuple[int, SessionConfig]]:
    """Every trial of `Plan.of` as (its number in its cell, its session), cells in the order of the spec's fields."""
    yield from Plan.of(spec, repeat)


def _seed(seed: int, trial: int) -> int:
    """Neighbouring seeds of a sweep share no draws; what fits a float survives every file format."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{trial}".encode()).digest()[:6])


def _drawn(value: Value) -> bool:
    return not isinstance(value, (Fixed, Grid))


def _cells_of(value: Value) -> list[Any]:
    """One entry per cell along this time: a grid's values, or the value itself."""
    if isinstance(value, Grid):
        return [Fixed((each,)) for each in value.values_ns]
    return [value]


def _word(value: Value) -> str:
    """The value in the grammar, exactly."""
    if isinstance(value, Fixed):
        return ",".join(f"{Decimal(each) / 1_000_000:f}" for each in value.values_ns)
    return "uniform(0,0)" if isinstance(value, Sampled) else str(value)
