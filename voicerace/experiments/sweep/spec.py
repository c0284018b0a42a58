"""Validates the parameters of a sweep, and lists its sessions in their fixed order."""

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

from voicerace.engine.session import SessionConfig, knobs
from voicerace.errors import InputError, first_of
from voicerace.model.catalog.forwarders import forwarder as forwarder_named
from voicerace.model.catalog.profiles import FORWARDER_TIMES, TIMES, WORKAROUND_TIMES
from voicerace.model.catalog.providers import DEFAULT_PROVIDER
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.model.names import name_of, names_of
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
#: Kind of the names in each field of a spec.
_KINDS: Final = {"releases": "release", "scenarios": "scenario", "handlers": "handler", "modalities": "modality"}
#: (minimum, maximum) of each integer field of a spec.
_WHOLE: Final = {"trials": (1, MAX_TRIALS), "seed": (0, MAX_WHOLE), "keep": (0, MAX_WHOLE)}


class SweepSpec(BaseModel):
    """The parameters of a Cartesian grid of sessions.

    A list can be given as one text with commas. ``all`` selects every release, scenario, handler or modality.

    Attributes:
        releases: tags of the proxy, or backend versions that identify one program.
        scenarios: names of `model.catalog.scenarios`.
        handlers: names of `model.catalog.handlers`.
        modalities: ``text``, ``audio``, or ``session`` (as configured by `session.update`).
        calls: function calls per response, for scenarios without a fixed number (``parallel``); empty for the default.
        component: tag of the component; None for the default component of each proxy.
        times: time name -> text as in `model.parameters`, or numbers as in `SessionConfig.of`. A grid is an axis of the
            sweep, and so is a list of values if the time has no values per call.
        profile: source of the times that are not given.
        knobs: name -> value of an undocumented behaviour of the API.
        provider: the API that the mock imitates (`model.catalog.providers`).
        forwarder: forwarder between component and proxy, as in `SessionConfig.of`; None for none.
        trials: sessions per cell if a time is drawn. With fixed times all sessions of a cell are equal, so one is played.
        seed: seed of all draws. The seed of a trial depends only on this seed and the trial's number in its cell, so all
            cells use the same draws.
        ties: whether to look for pairs of simultaneous events whose order changes the outcome, with several sessions per
            trial. None: only if no time has a continuous distribution, with which events are not simultaneous.
        keep: maximum number of trials of which all recordings are kept; see `experiments.sweep.sweep.sweep`.

    Raises (on creation):
        InputError: a field is unknown, or a value is invalid; the error names the field or the time.
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
    forwarder: str | None = None
    trials: int = 1
    seed: int = 0
    ties: bool | None = None
    keep: int = 200

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise first_of(error, "a sweep", type(self).model_fields) from None

    @classmethod
    def of(cls, given: SweepSpec | Mapping[str, Any]) -> SweepSpec:
        """Return `given` if it is a spec, else create a spec with the given fields.

        Raises:
            InputError: `given` is neither a spec nor a mapping, or as on creation.
        """
        if isinstance(given, cls):
            return given
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise InputError("sweep", f"{given!r:.60} is a {type(given).__name__}", "a SweepSpec, or a mapping of its fields")
        return cls(**given)

    @field_validator(*_KINDS, mode="before")
    @classmethod
    def _names(cls, value: Any, info: ValidationInfo) -> Any:
        field = str(info.field_name)
        return names_of(_KINDS[field], value, field)

    @field_validator("component", "profile", "provider", mode="before")
    @classmethod
    def _name(cls, value: Any, info: ValidationInfo) -> Any:
        return None if value is None and info.field_name == "component" else name_of(str(info.field_name), value)

    @field_validator("forwarder", mode="before")
    @classmethod
    def _forwarder(cls, value: Any) -> Any:
        """Check the name. ``none`` becomes None, so that both have the same `run.json`."""
        return None if forwarder_named(value, next(iter(PROXIES.values()))) is None else value

    @field_validator("calls", mode="before")
    @classmethod
    def _calls(cls, value: Any) -> Any:
        found = plain_value(value)
        found = found.split(",") if isinstance(found, str) else [found] if isinstance(found, int) else found
        if not isinstance(found, (list, tuple)):
            return found
        return [whole_number("calls", _from_text(plain_value(each)), 1, MAX_CALLS) for each in found]

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

    @model_validator(mode="after")
    def _fits(self) -> Self:
        knobs(self.knobs)
        if self.calls and not any(SCENARIOS[name].calls is None for name in self.scenarios):
            raise InputError("calls", f"given, but {', '.join(self.scenarios)} has its own number", "parallel takes 1 to 8")
        for name in self.times:
            if name in WORKAROUND_TIMES:
                raise InputError(name, "given without a workaround", f"a sweep has none; allowed are {', '.join(TIMES)}")
            if name in FORWARDER_TIMES and self.forwarder is None:
                raise InputError(name, "given without a forwarder", "add a forwarder, for example release")
        values_of(self)
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the parameters for `run.json`. A file of values is represented by its name and hash, without its path."""
        usual = {"provider": DEFAULT_PROVIDER, "forwarder": None}
        without = {name for name, value in usual.items() if getattr(self, name) == value}
        looks = looks_for_ties(self, values_of(self))
        found = self.model_dump(mode="json", exclude=without) | {"ties": looks}
        found["times"] = {name: _without_path(text) for name, text in self.times.items()}
        return found


def values_of(spec: SweepSpec) -> dict[str, Value]:
    """Return the value of each time by name, from the spec or else from the profile and the forwarder's default."""
    return parse_times(({} if spec.forwarder is None else FORWARDER_TIMES) | spec.times, spec.profile)


def request_of(spec: SweepSpec) -> dict[str, Any] | None:
    """Return everything that determines the trials of a spec, as JSON, or None if a time is drawn from a file."""
    return None if any(text.startswith("@") for text in spec.times.values()) else spec.to_json()


def _from_text(value: Any) -> Any:
    """Convert a text that contains an integer, as passed by papermill or the command line. Return other values unchanged."""
    return int(value) if isinstance(value, str) and re.fullmatch(r" *[0-9]{1,19} *", value) else value


def _without_path(text: str) -> str:
    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    return f"@{path.name} (SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]})"


def looks_for_ties(spec: SweepSpec, values: Mapping[str, Value]) -> bool:
    """Return `spec.ties` or, if that is None, whether no time has a continuous distribution."""
    return not continuous_draws(values) if spec.ties is None else spec.ties


def continuous_draws(values: Mapping[str, Value]) -> list[str]:
    """Return the names of the times that are drawn from a continuous distribution."""
    return [name for name, value in values.items() if continuous(value)]


def axes_of(times: Mapping[str, str], profile: str) -> list[str]:
    """Return the names of the times that are grids, from the parameters in `run.json`."""
    read = {name: text for name, text in times.items() if not text.startswith("@")}
    return [name for name, value in parse_times(read, profile).items() if isinstance(value, Grid)]


def assumed_of(spec: SweepSpec) -> dict[str, str]:
    """Return the profile values, by name, of times that neither the spec nor all of its scenarios set."""
    own = set.intersection(*(set(SCENARIOS[name].times) for name in spec.scenarios))
    return assumed_times({*spec.times, *own}, spec.profile, forwarded=spec.forwarder is not None)


@dataclass(frozen=True)
class Plan:
    """Numbered trials of a sweep, created on access.

    A cell is a configuration (release, scenario, handler, modality, calls) with one value of every grid. The trials of a cell
    have consecutive numbers. A plan can be pickled and includes the values of files.

    Attributes:
        spec: the parameters.
        values: value of each time by name, from the spec or else from the profile.
        stories: configurations in the order of the spec's fields.
        per_cell: number of trials per cell.
        ties: whether the sweep looks for ties.
    """

    spec: SweepSpec
    values: Mapping[str, Value]
    stories: tuple[tuple[str, str, str, str, int | None], ...]
    per_cell: int
    ties: bool

    @classmethod
    def of(cls, spec: SweepSpec, repeat: bool = False) -> Self:
        """Create the plan of a spec.

        With fixed times all sessions of a cell are equal in virtual time, so one is planned. `repeat` plans `spec.trials`
        sessions, which differ on a real clock.

        Raises:
            InputError: there are too many trials, or times contradict each other.
        """
        values = values_of(spec)
        stories = tuple(
            (release, scenario, handler, modality, calls)
            for release, scenario, handler, modality in product(spec.releases, spec.scenarios, spec.handlers, spec.modalities)
            for calls in (spec.calls or (None,) if SCENARIOS[scenario].calls is None else (None,))
        )
        per_cell = spec.trials if repeat or any(_drawn(value) for value in values.values()) else 1
        plan = cls(spec, values, stories, per_cell, looks_for_ties(spec, values))
        if len(plan) > MAX_TRIALS:
            raise InputError("times", f"{len(plan)} trials", f"at most {MAX_TRIALS}: coarser grids or fewer trials")
        # Times that contradict each other (`gap_ms` and `item_done_ms`) do so at a corner of the grids.
        for story in range(len(stories)):
            for corner in product(*({0, len(axis) - 1} for axis in plan.axes)):
                plan._cell(story, corner)
        return plan

    @cached_property
    def axes(self) -> list[list[Any]]:
        """Values of each time in the cells, in the order of `values`."""
        return [_cells_of(value) for value in self.values.values()]

    def __len__(self) -> int:
        return len(self.stories) * math.prod(len(axis) for axis in self.axes) * self.per_cell

    def __iter__(self) -> Iterator[tuple[int, SessionConfig]]:
        return self.part(0, len(self))

    def part(self, start: int, stop: int) -> Iterator[tuple[int, SessionConfig]]:
        """Yield trials `start` to `stop`, exclusive, as (number in its cell, session)."""
        cell, session = -1, None
        for number in range(start, min(stop, len(self))):
            if session is None or number // self.per_cell != cell:
                cell = number // self.per_cell
                session = self._cell(*self._position(cell))
            trial = number % self.per_cell
            yield trial, replace(session, seed=_seed(self.spec.seed, trial))

    @property
    def further_columns(self) -> list[str]:
        """Columns of the forwarder's times and of per-call times from the second call on, in every part of the table.

        See `trials.frame_of`.
        """
        most = max((SCENARIOS[scenario].calls or calls or 2 for _, scenario, _, _, calls in self.stories), default=1)
        several = [
            name
            for name, value in self.values.items()
            if name in TIMES
            and TIMES[name].per_call
            and not (isinstance(value, Grid) or (isinstance(value, Fixed) and len(value.values_ns) == 1))
        ]
        own = [name for name in FORWARDER_TIMES if name in self.values]
        return sorted([f"{name}_{call}" for name in several for call in range(2, most + 1)] + own)

    def _position(self, cell: int) -> tuple[int, tuple[int, ...]]:
        """Return (index of the cell's configuration, index of the cell on each axis). The last axis varies fastest."""
        indices = []
        for axis in reversed(self.axes):
            cell, index = divmod(cell, len(axis))
            indices.append(index)
        return cell, tuple(reversed(indices))

    def _cell(self, story: int, indices: tuple[int, ...]) -> SessionConfig:
        release, scenario, handler, modality, calls = self.stories[story]
        chosen = [axis[index] for axis, index in zip(self.axes, indices, strict=True)]
        # A scenario's times apply unless the spec sets them.
        own = {name: parse(name, text) for name, text in SCENARIOS[scenario].times.items() if name not in self.spec.times}
        times = Times(dict(zip(self.values, chosen, strict=True)) | own)
        session = SessionConfig.of(
            release=release,
            component_tag=self.spec.component,
            scenario=scenario,
            handler=handler,
            # These texts are only checked. The values are set below, so that files of values are not read for every cell.
            times={name: _grammar_text(value) for name, value in times.values.items()},
            profile=self.spec.profile,
            modality=modality,
            calls=calls,
            knobs_given=self.spec.knobs,
            provider=self.spec.provider,
            forwarder=self.spec.forwarder,
        )
        return replace(session, times=times)


def sessions(spec: SweepSpec, repeat: bool = False) -> Iterator[tuple[int, SessionConfig]]:
    """Yield (number in its cell, session) of every trial of `Plan.of`. Cells are in the order of the spec's fields."""
    yield from Plan.of(spec, repeat)


def _seed(seed: int, trial: int) -> int:
    """Return the 48-bit seed of a trial, which a float can represent. Different sweep seeds give different trial seeds."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{trial}".encode()).digest()[:6])


def _drawn(value: Value) -> bool:
    return not isinstance(value, (Fixed, Grid))


def _cells_of(value: Value) -> list[Any]:
    """Return the values of a time in the cells: all values of a grid, or else the value itself."""
    if isinstance(value, Grid):
        return [Fixed((each,)) for each in value.values_ns]
    return [value]


def _grammar_text(value: Value) -> str:
    """Return the text of a value for `parse`, or a placeholder for values from a file."""
    if isinstance(value, Fixed):
        return ",".join(f"{Decimal(each) / 1_000_000:f}" for each in value.values_ns)
    return "uniform(0,0)" if isinstance(value, Sampled) else str(value)
