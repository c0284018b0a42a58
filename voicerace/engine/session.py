"""Configuration of a session, from which every engine makes its actors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, get_args, get_type_hints

from voicerace.analysis.trace_index import DIRECT
from voicerace.engine.schedule import AT_SOCKETS_NS, Schedule, ScheduleCursor, Timeline
from voicerace.errors import InputError, one_of
from voicerace.model.actors.actor import ENDS_AT_CLIENT, ENDS_AT_FORWARDER, Actor
from voicerace.model.actors.app import App, ToolEnd
from voicerace.model.actors.client import Client
from voicerace.model.actors.component import Component
from voicerace.model.actors.forwarder import Forwarder
from voicerace.model.actors.proxy import Proxy
from voicerace.model.actors.upstream import Knobs, Upstream
from voicerace.model.actors.user import User
from voicerace.model.catalog.clients import ClientRelease, Release, release_named
from voicerace.model.catalog.forwarders import ForwarderRelease
from voicerace.model.catalog.forwarders import forwarder as forwarder_named
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import FORWARDER_TIMES, TIMES, WORKAROUND_TIMES
from voicerace.model.catalog.providers import DEFAULT_PROVIDER
from voicerace.model.catalog.releases import ProxyRelease, component, component_for
from voicerace.model.catalog.scenarios import SCENARIOS, Scenario, is_written
from voicerace.model.catalog.workarounds import WORKAROUNDS, why_not
from voicerace.model.names import name_of
from voicerace.model.parameters import MAX_CALLS, MAX_WHOLE, Fixed, Times, number_of, plain_value, whole_number
from voicerace.trace.recording import DIRECT_LINKS, FORWARDER_LINKS, LINKS, Link
from voicerace.units import ns

__all__ = ["SessionConfig", "knobs"]

_KNOBS = Knobs()


@dataclass(frozen=True)
class SessionConfig:
    """Configuration of a session. `SessionConfig.of` makes it from names and texts.

    Attributes:
        release: the proxy's row, or the row of a client that connects to the API without a proxy.
        component: the component's tag; ``none`` with a client.
        scenario: the scenario.
        handler: a name of `model.catalog.handlers`.
        times: value of each named time.
        profile: name of the profile that supplies times that are not given.
        modality: modality of the responses, ``text`` or ``audio``; ``session``: as the proxy's session.update requests, and
            audio without a request (all releases up to 0.10.4).
        calls: number of function calls in a response.
        preamble: the model speaks a message before the calls.
        idle_close: the component closes a connection that is idle for 10 s, its default without `idleTimeoutMs`, and reopens it
            at the next user input.
        tool_end: how the app's tool ends: ``result``, ``error``, ``reject`` or ``none``.
        workaround: name of the app's workaround in `model.catalog.workarounds`, or None.
        knobs: undocumented behaviour of the upstream.
        provider: the upstream's row in `model.catalog.providers`.
        forwarder: the row of the forwarder between component and proxy, or None.
        seed: seed of all draws; it has no effect without drawn times.
        schedule: durations of single timers and messages, in place of the times.
        min_spacing_ns: minimum time in ns between messages of a link when a schedule is replayed on sockets.
        plan: times at which a replay on sockets sets timers and sends messages, from the same session in virtual time.
        cursor: position of a replay in the schedule; see `begun`.
    """

    release: Release
    component: str
    scenario: Scenario
    handler: str = "return"
    times: Times = field(default_factory=Times.of)
    profile: str = "loopback"
    modality: Literal["session", "text", "audio"] = "session"
    calls: int = 1
    preamble: bool = False
    idle_close: bool = False
    tool_end: ToolEnd = "result"
    workaround: str | None = None
    knobs: Knobs = field(default_factory=Knobs)
    provider: str = DEFAULT_PROVIDER
    forwarder: ForwarderRelease | None = None
    seed: int = 0
    schedule: Schedule | None = None
    min_spacing_ns: int = AT_SOCKETS_NS
    plan: Timeline | None = field(default=None, compare=False)
    cursor: ScheduleCursor | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """Return the fields that differ from their defaults, by name."""
        names = {"release": self.release.tag, "scenario": self.scenario.name, "handler": self.handler, "profile": self.profile}
        usual = {**{each.name: each.default for each in fields(self)}, "knobs": _KNOBS}
        other = {name: value for name, value in vars(self).items() if name not in (*names, "component", "times")}
        changed = {name: value for name, value in other.items() if value != usual[name]}
        return f"SessionConfig({', '.join(f'{name}={value!r}' for name, value in {**names, **changed}.items())}, times=...)"

    def __post_init__(self) -> None:
        """Check all fields.

        Raises:
            InputError: a field has a wrong type or an unknown value, or does not fit another field.
        """
        for name, kind in _KINDS.items():
            if not isinstance(given := getattr(self, name), kind):
                kinds = kind if isinstance(kind, tuple) else (kind,)
                allowed = " or ".join("None" if each is type(None) else f"a {each.__name__}" for each in kinds)
                raise InputError(name, f"{given!r:.60} is a {type(given).__name__}", f"{allowed}; SessionConfig.of takes names")
        for name in ("handler", "profile", "provider", "modality", *(() if self.client else ("component",))):
            object.__setattr__(self, name, name_of(name, getattr(self, name)))
        one_of("tool_end", self.tool_end, get_args(ToolEnd))
        # Convert to Python integers, because NumPy integers cannot be written to the header of a recording.
        for name, least, most in (("calls", 1, MAX_CALLS), ("seed", 0, MAX_WHOLE), ("min_spacing_ns", 0, MAX_WHOLE)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least, most))
        if (own := self.scenario.calls) not in (None, self.calls):
            found = f"{self.calls} with scenario {self.scenario.name}"
            raise InputError("calls", found, f"{self.scenario.name} has {own}; parallel takes 1 to {MAX_CALLS}")
        self._times_fit()
        if isinstance(self.release, ClientRelease):
            self._client_fits()
        elif self.workaround is not None and (reason := why_not(self.workaround, self.release, self.component, self.handler)):
            raise InputError("workaround", f"{self.workaround} is not possible", reason)
        knobs(vars(self.knobs))

    def _client_fits(self) -> None:
        """Check that nothing is given that only a session with a proxy has."""
        given = {
            "scenario": self.scenario.name if not is_written(self.scenario) else "",
            "handler": self.handler if self.handler != "return" else "",
            "tool_end": self.tool_end if self.tool_end != "result" else "",
            "workaround": self.workaround,
            "forwarder": self.forwarder and self.forwarder.generation,
            "idle_close": self.idle_close,
        }
        for name, value in given.items():
            if value:
                raise InputError(name, f"{value} with {self.release.tag}", "a written session of a client and the API only")

    @property
    def client(self) -> ClientRelease | None:
        """The row of the client, or None in a session with a proxy."""
        return self.release if isinstance(self.release, ClientRelease) else None

    @property
    def links(self) -> tuple[Link, ...]:
        """The links of the session."""
        return DIRECT_LINKS if self.client else (*LINKS, *FORWARDER_LINKS) if self.forwarder else LINKS

    @property
    def ends(self) -> Mapping[Link, tuple[str, str, str, str]]:
        """The ends of the links whose ends are not the actors in their names (`ENDS_AT_FORWARDER`)."""
        return ENDS_AT_CLIENT if self.client else ENDS_AT_FORWARDER if self.forwarder else {}

    def _times_fit(self) -> None:
        values = self.times.values
        if missing := [name for name, time in TIMES.items() if name not in values and not time.optional]:
            raise InputError(missing[0], "is not set", "a value for every time; Times.of takes the rest from a profile")
        for name in WORKAROUND_TIMES:
            if (name in values) is (self.workaround is None):
                found = "given without a workaround" if self.workaround is None else f"not set with {self.workaround}"
                raise InputError(name, found, "both or neither; SessionConfig.of(workaround=...) sets it")
        for name in FORWARDER_TIMES:
            if (name in values) is (self.forwarder is None):
                found = "given without a forwarder" if self.forwarder is None else "not set with a forwarder"
                raise InputError(name, found, "both or neither; SessionConfig.of(forwarder=...) sets it")
        gap, item_done = values["gap_ms"], values.get("item_done_ms")
        if isinstance(gap, Fixed) and isinstance(item_done, Fixed) and item_done.values_ns > gap.values_ns:
            raise InputError("item_done_ms", f"{item_done} is behind the gap's end", f"at most gap_ms, {gap}")

    @classmethod
    def of(
        cls,
        *,
        release: str = "0.9.1",
        component_tag: str | None = None,
        scenario: str = "single",
        handler: str = "return",
        times: Mapping[str, object] | None = None,
        profile: str = "loopback",
        modality: str = "session",
        calls: int | None = None,
        preamble: bool = False,
        idle_close: bool = False,
        tool_end: str | None = None,
        workaround: str | None = None,
        knobs_given: Mapping[str, str] | None = None,
        provider: str = DEFAULT_PROVIDER,
        forwarder: str | None = None,
        seed: int = 0,
    ) -> SessionConfig:
        """Return a session for the names, texts and numbers of a command line or a notebook.

        Args:
            release: tag of the proxy, a backend version that names one program, or a tag of `model.catalog.clients`.
            component_tag: tag of the component; by default the component that was published with the proxy.
            scenario: a name of `model.catalog.scenarios`.
            times: time name -> number of ms, text of the grammar (see `voicerace.model.parameters`), or a list, tuple, NumPy
                array or Series of one number per function call.
            calls: number of function calls in one response, 1 to 8; by default as in the scenario.
            tool_end: how the tool ends; by default as in the scenario.
            knobs_given: name of a knob -> value.
            forwarder: forwarder between component and proxy: a tag, a generation, ``release`` for that of the proxy's release;
                None or ``none`` for no forwarder.
            handler, profile, modality, preamble, idle_close, workaround, provider, seed: see the attributes.

        Raises:
            InputError: an argument is not allowed.
        """
        row = release_named(release)
        chosen = SCENARIOS[name_of("scenario", scenario)]
        name_of("profile", profile)
        count = chosen.calls or 2 if calls is None else whole_number("calls", calls, 1, MAX_CALLS)
        own = WORKAROUND_TIMES if workaround is not None else {}
        if isinstance(row, ClientRelease):
            for where, name in (("component", component_tag), ("forwarder", forwarder)):
                if name not in (None, "none"):
                    raise InputError(where, f"{name} with {row.tag}", "nothing: a client is connected to the API")
            between, own_component = None, "none"
        else:
            between = forwarder_named(forwarder, row)
            own_component = (component_for(row) if component_tag is None else component(component_tag)).tag
        if between is not None:
            own = {**own, **FORWARDER_TIMES}
        return cls(
            release=row,
            component=own_component,
            scenario=chosen,
            handler=handler,
            times=Times.of({**own, **chosen.times, **_mapping("times", times)}, profile),
            profile=profile,
            modality=modality,  # type: ignore[arg-type]  # checked against the same Literal
            calls=count,
            preamble=plain_value(preamble),
            idle_close=plain_value(idle_close),
            tool_end=chosen.tool_end if tool_end is None else tool_end,  # type: ignore[arg-type]  # as modality
            workaround=workaround,
            knobs=knobs(_mapping("knobs", knobs_given)),
            provider=provider,
            forwarder=between,
            seed=seed,
        )

    def shifted(self, **by_ms: float) -> SessionConfig:
        """Return a session with shifted times: with ``shifted(tool_ms=-40)`` the result comes 40 ms earlier.

        Args:
            by_ms: name of a time -> ms to add to each of its values. A drawn time is first replaced by this session's draw.

        Raises:
            InputError: the session does not have the time, or the result is negative or longer than a day.
        """
        values = dict(self.times.values)
        for name, given in by_ms.items():
            by = number_of(name, given, least=None)
            value = values.get(name)
            if value is None:
                found = (
                    "is not set" if name in FORWARDER_TIMES or name in TIMES or name in WORKAROUND_TIMES else "is no known time"
                )
                raise InputError(name, found, f"a time that this session has: {', '.join(values)}")
            several = self.calls if name in TIMES and TIMES[name].per_call else 1
            drawn = tuple(self.times.ns(name, index, self.seed) for index in range(several))
            moved = tuple(each + ns(by) for each in (value.values_ns if isinstance(value, Fixed) else drawn))
            if min(moved) < 0:
                raise InputError(name, f"{value} ms moved by {by:f} ms is negative", "a time is 0 ms or more")
            values[name] = Fixed(moved)
        return replace(self, times=Times(values))

    def begun(self) -> SessionConfig:
        """Return the session with a new cursor, for one replay on sockets."""
        if self.schedule is None:
            return self
        return replace(self, cursor=ScheduleCursor(self.schedule, self.min_spacing_ns, self.plan))

    def longest_ns(self) -> int:
        """Return the longest time in ns without a message in a session that has not ended."""
        scheduled = self.schedule.longest_ns() if self.schedule is not None else 0
        return max(self.times.longest_ns(self.seed), scheduled)

    def actors(self) -> dict[str, Actor]:
        """New actors, by name."""
        if isinstance(self.release, ClientRelease):
            return {"user": self.user(), "proxy": Client(self.release), "upstream": self._upstream()}
        workaround = WORKAROUNDS[self.workaround] if self.workaround else None
        return {
            "user": self.user(),
            "app": App(HANDLERS[self.handler], self.tool_end, self.scenario.repeats, workaround),
            "component": Component(
                component(self.component),
                idle_timeout=self.idle_close,
                late_settings=self.scenario.late_settings,
                settings_after_open=self.forwarder is not None,
            ),
            **({"forwarder": Forwarder(self.forwarder)} if self.forwarder is not None else {}),
            "proxy": Proxy(self.release),
            "upstream": self._upstream(),
        }

    def _upstream(self) -> Upstream:
        return Upstream(
            [each.steps for each in self.scenario.inputs if each.by not in ("loss", "stray")],
            calls=self.calls,
            modality=None if self.modality == "session" else self.modality,
            preamble=self.preamble,
            knobs=self.knobs,
            item_done_early=self.times.has("item_done_ms"),
            slot_lags=not self.times.never_positive("slot_lag_ms"),
            limits_lag=not self.times.never_positive("rate_limits_ms"),
            idles=self.times.has("idle_timeout_ms"),
            server_turns=self.times.has("server_turn_ms"),
            expires=self.times.has("session_end_ms"),
            provider=self.provider,
        )

    def user(self) -> User:
        """Return a new user that expects the number of results that the app sends.

        With a client, the user begins at once, and does not count results: only the API's link shows them.
        """
        if self.client is not None:
            first, *others = self.scenario.inputs
            return User((replace(first, when="connected"), *others), 0)
        results = 0 if self.tool_end == "none" else 1 + self.scenario.repeats
        comes_back = self.idle_close or self.times.has("session_end_ms")
        return User(self.scenario.inputs, results, comes_back=comes_back, impatient=self.forwarder is not None)

    def provenance(self) -> dict[str, Any]:
        """Return the configuration for the header of a recording."""
        return {
            "release": self.release.tag,
            **({"topology": DIRECT} if self.client else {"component": self.component}),
            "scenario": self.scenario.name,
            **({} if self.client else {"handler": self.handler}),
            "modality": self.modality,
            "calls": self.calls,
            "preamble": self.preamble,
            **({"idle_close": True} if self.idle_close else {}),
            **({} if self.client else {"tool_end": self.tool_end}),
            **({"workaround": self.workaround} if self.workaround else {}),
            **({"provider": self.provider} if self.provider != DEFAULT_PROVIDER else {}),
            **({"forwarder": self.forwarder.generation} if self.forwarder is not None else {}),
            "profile": self.profile,
            "times": self.times.to_json(),
            "knobs": {name: value for name, value in vars(self.knobs).items() if value != getattr(_KNOBS, name)},
            "seed": self.seed,
            **({} if self.client else {"proxy": f"model:{self.release.tag}"}),
            "upstream": "mock",
        }


def knobs(given: Mapping[str, str]) -> Knobs:
    """Return the upstream's knobs for names and values.

    Raises:
        InputError: an unknown knob or value.
    """
    for name, value in given.items():
        one_of("knob", name, _ALLOWED_KNOBS)
        if _ALLOWED_KNOBS[name]:
            one_of(f"knob {name}", value, _ALLOWED_KNOBS[name])
        elif not isinstance(value, str):
            raise InputError(f"knob {name}", f"{value!r:.60} is a {type(value).__name__}", "text")
    return Knobs(**given)  # type: ignore[arg-type]  # checked above against the same Literals


_ALLOWED_KNOBS = {name: get_args(hint) for name, hint in get_type_hints(Knobs).items()}
#: Type of each session field that is checked by type. The other fields are checked by value.
_KINDS: Final[dict[str, Any]] = {
    "release": (ProxyRelease, ClientRelease),
    "scenario": Scenario,
    "times": Times,
    "preamble": bool,
    "idle_close": bool,
    "knobs": Knobs,
    "forwarder": (ForwarderRelease, type(None)),
    "schedule": (Schedule, type(None)),
}


def _mapping(name: str, given: object) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(name, f"{given!r:.60} is a {type(given).__name__}", "a mapping of name -> value")
    return given
