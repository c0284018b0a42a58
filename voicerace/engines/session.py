"""One session's set-up: which parties, with which settings. Every engine takes its parties from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args, get_type_hints

from voicerace.engines.schedule import AT_SOCKETS_NS, Moments, Playing, Schedule
from voicerace.errors import InputError
from voicerace.parameters import Fixed, Times
from voicerace.parties.app import App, ToolEnd
from voicerace.parties.component import Component
from voicerace.parties.party import Party
from voicerace.parties.proxy import Proxy
from voicerace.parties.upstream import Knobs, Upstream
from voicerace.parties.user import User
from voicerace.tables.handlers import HANDLERS
from voicerace.tables.profiles import PROFILES, TIMES, WORKAROUND_TIMES
from voicerace.tables.providers import DEFAULT_PROVIDER, PROVIDERS
from voicerace.tables.releases import ProxyRelease, component, component_for, proxy_release
from voicerace.tables.scenarios import SCENARIOS, Scenario
from voicerace.tables.workarounds import WORKAROUNDS, why_not
from voicerace.units import ns

__all__ = ["MODALITIES", "Session", "knobs"]

_KNOBS = Knobs()
MODALITIES: Final = ("session", "text", "audio")


@dataclass(frozen=True)
class Session:
    """Everything that decides one session. Made by `Session.of`, which checks it.

    Attributes:
        release: the proxy's row.
        component: the component's tag.
        scenario: who does what.
        handler: a name of `tables.handlers`.
        times: a value for every named duration.
        profile: where the times that were not given came from.
        modality: of the model's responses, ``text`` or ``audio``; ``session``: what the proxy's session.update asks for, and
            audio where it asks for nothing (all releases up to 0.10.4).
        calls: function calls in the response that makes them.
        preamble: a spoken message before the calls.
        idle_close: the component closes a connection on which nothing happens for 10 s, as it does unless the app sets
            `idleTimeoutMs`; the user's next words open another.
        tool_end: how the app's tool ends.
        workaround: a name of `tables.workarounds`, which the app has; or None.
        knobs: the upstream's open facts.
        provider: a row of `tables.providers`, whose API the upstream is.
        seed: of all draws; without drawn times it changes nothing.
        schedule: a duration for single timers and messages, instead of what the times say.
        apart_ns: so far apart messages of a link arrive at sockets, when there is a schedule.
        plan: the moments of it in virtual time, which a play at sockets keeps to.
        playing: how far one play of it has come along the schedule; see `begun`.
    """

    release: ProxyRelease
    component: str
    scenario: Scenario
    handler: str = "return"
    times: Times = field(default_factory=Times.of)
    profile: str = "loopback"
    modality: Literal["session", "text", "audio"] = "text"
    calls: int = 1
    preamble: bool = False
    idle_close: bool = False
    tool_end: ToolEnd = "result"
    workaround: str | None = None
    knobs: Knobs = field(default_factory=Knobs)
    provider: str = DEFAULT_PROVIDER
    seed: int = 0
    schedule: Schedule | None = None
    apart_ns: int = AT_SOCKETS_NS
    plan: Moments | None = field(default=None, compare=False)
    playing: Playing | None = field(default=None, compare=False)

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
        modality: str = "text",
        calls: int | None = None,
        preamble: bool = False,
        idle_close: bool = False,
        tool_end: str | None = None,
        workaround: str | None = None,
        knobs_given: Mapping[str, str] | None = None,
        provider: str = DEFAULT_PROVIDER,
        seed: int = 0,
    ) -> Session:
        """A session from words, as they come from a command line or a notebook.

        Raises:
            InputError: any of them is not allowed; it names the parameter and what is.
        """
        row = proxy_release(release)
        _one_of("scenario", scenario, SCENARIOS)
        _one_of("handler", handler, HANDLERS)
        _one_of("profile", profile, PROFILES)
        _one_of("modality", modality, MODALITIES)
        _one_of("provider", provider, PROVIDERS)
        story = SCENARIOS[scenario]
        tool_end = tool_end or story.tool_end
        _one_of("tool_end", tool_end, get_args(ToolEnd))
        if calls is not None and story.calls is not None and calls != story.calls:
            raise InputError(
                "calls", f"{calls} with scenario {scenario}", f"{scenario} has {story.calls}; parallel takes 1 to 8"
            )
        count = story.calls or (2 if calls is None else calls)
        if not 1 <= count <= 8:
            raise InputError("calls", str(count), "allowed are 1 to 8")
        tag = component(component_tag).tag if component_tag else component_for(row).tag
        if workaround is not None:
            _one_of("workaround", workaround, WORKAROUNDS)
            if reason := why_not(workaround, row, tag, handler):
                raise InputError("workaround", f"{workaround} is not possible", reason)
        own = WORKAROUND_TIMES if workaround is not None else {}
        values = Times.of({**own, **story.times, **(times or {})}, profile)
        _item_done_fits(values.values)
        return cls(
            release=row,
            component=tag,
            scenario=story,
            handler=handler,
            times=values,
            profile=profile,
            modality=modality,  # type: ignore[arg-type]  # checked above against the same Literal
            calls=count,
            preamble=preamble,
            idle_close=idle_close,
            tool_end=tool_end,  # type: ignore[arg-type]  # checked above against the same Literal
            workaround=workaround,
            knobs=knobs(knobs_given or {}),
            provider=provider,
            seed=seed,
        )

    def shifted(self, **by_ms: float) -> Session:
        """The same session with some of its times moved: ``shifted(tool_ms=-40)``, the result comes 40 ms earlier.

        Args:
            by_ms: name of a time -> ms to add; of one that has a value per function call, to each; of one that is drawn, to
                what this session draws.

        Raises:
            InputError: an unknown time, one that is not set, or one that would end below 0.
        """
        values = dict(self.times.values)
        for name, by in by_ms.items():
            _one_of("time", name, TIMES)
            value = values.get(name)
            if value is None:
                raise InputError(name, "is not set", "a time that this session has")
            several = self.calls if TIMES[name].per_call else 1
            drawn = tuple(self.times.ns(name, index, self.seed) for index in range(several))
            moved = tuple(each + ns(by) for each in (value.values_ns if isinstance(value, Fixed) else drawn))
            if min(moved) < 0:
                raise InputError(name, f"{value} ms moved by {by:g} ms is negative", "a time is 0 ms or more")
            values[name] = Fixed(moved)
        _item_done_fits(values)
        return replace(self, times=Times(values))

    def begun(self) -> Session:
        """The session for one play of it at sockets."""
        return self if self.schedule is None else replace(self, playing=Playing(self.schedule, self.apart_ns, self.plan))

    def longest_ns(self) -> int:
        """The longest for which nothing may pass of a session that goes on."""
        scheduled = self.schedule.longest_ns() if self.schedule is not None else 0
        return max(self.times.longest_ns(self.seed), scheduled)

    def parties(self) -> dict[str, Party]:
        """Fresh parties, by name."""
        return {
            "user": self.user(),
            "app": App(
                HANDLERS[self.handler],
                self.tool_end,
                self.scenario.repeats,
                WORKAROUNDS[self.workaround] if self.workaround else None,
            ),
            "component": Component(
                component(self.component), idle_timeout=self.idle_close, late_settings=self.scenario.late_settings
            ),
            "proxy": Proxy(self.release),
            "upstream": Upstream(
                [each.steps for each in self.scenario.inputs if each.by != "loss"],
                calls=self.calls,
                modality=None if self.modality == "session" else self.modality,
                preamble=self.preamble,
                knobs=self.knobs,
                item_done_early=self.times.has("item_done_ms"),
                slot_lags=not self.times.never_positive("slot_lag_ms"),
                idles=self.times.has("idle_timeout_ms"),
                provider=self.provider,
            ),
        }

    def user(self) -> User:
        """The user, who knows how many results the app will send."""
        results = 0 if self.tool_end == "none" else 1 + self.scenario.repeats
        return User(self.scenario.inputs, results, comes_back=self.idle_close)

    def provenance(self) -> dict[str, Any]:
        """What a recording says of where it comes from."""
        return {
            "release": self.release.tag,
            "component": self.component,
            "scenario": self.scenario.name,
            "handler": self.handler,
            "modality": self.modality,
            "calls": self.calls,
            "preamble": self.preamble,
            **({"idle_close": True} if self.idle_close else {}),
            "tool_end": self.tool_end,
            **({"workaround": self.workaround} if self.workaround else {}),
            **({"provider": self.provider} if self.provider != DEFAULT_PROVIDER else {}),
            "profile": self.profile,
            "times": self.times.to_json(),
            "knobs": {name: value for name, value in vars(self.knobs).items() if value != getattr(_KNOBS, name)},
            "seed": self.seed,
            "proxy": f"model:{self.release.tag}",
            "upstream": "mock",
        }


def knobs(given: Mapping[str, str]) -> Knobs:
    """The upstream's knobs from words.

    Raises:
        InputError: an unknown knob or value.
    """
    allowed = {name: get_args(hint) for name, hint in get_type_hints(Knobs).items()}
    for name, value in given.items():
        _one_of("knob", name, allowed)
        if allowed[name]:
            _one_of(f"knob {name}", value, allowed[name])
    return Knobs(**given)  # type: ignore[arg-type]  # checked above against the same Literals


def _item_done_fits(values: Mapping[str, object]) -> None:
    gap, item_done = values["gap_ms"], values.get("item_done_ms")
    if isinstance(gap, Fixed) and isinstance(item_done, Fixed) and item_done.values_ns > gap.values_ns:
        raise InputError("item_done_ms", f"{item_done} is behind the gap's end", f"at most gap_ms, {gap}")


def _one_of(name: str, value: str, allowed: Any) -> None:
    if value not in allowed:
        raise InputError(name, f"{value!r} is unknown", f"allowed are {', '.join(allowed)}")
