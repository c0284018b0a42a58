"""The options that several verbs share, declared once. The times come from their table, one option each."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from voicerace.errors import InputError
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import PROFILES, TIMES
from voicerace.model.catalog.providers import DEFAULT_PROVIDER, PROVIDERS
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.model.catalog.workarounds import WORKAROUNDS

__all__ = [
    "AllowOrigin",
    "BoundsOption",
    "Calls",
    "ComponentTag",
    "FailOn",
    "FallbackMs",
    "Force",
    "Handler",
    "HoldMs",
    "Json",
    "Knob",
    "MaxSessions",
    "Modality",
    "Out",
    "Preamble",
    "Profile",
    "Provider",
    "Release",
    "ScenarioName",
    "Seed",
    "ToolEnd",
    "Workaround",
    "added_option",
    "backend_directory",
    "knob_words",
    "takes_grid",
    "takes_times",
    "with_options",
    "with_workaround_times",
]

Release = Annotated[str | None, typer.Option(metavar="TAG", help="The proxy's release, or a unique backend version. [0.9.1]")]
ComponentTag = Annotated[str | None, typer.Option("--component", metavar="TAG", help="The component. [the proxy's tag]")]
ScenarioName = Annotated[str, typer.Option("--scenario", help=" | ".join(SCENARIOS))]
Handler = Annotated[str, typer.Option(help="How the app answers a call: " + " | ".join(HANDLERS))]
Modality = Annotated[str, typer.Option(help="What the model replies in: text | audio | session (as the session asks)")]
Provider = Annotated[str, typer.Option(metavar="NAME", help="Whose API the mock is: " + " | ".join(PROVIDERS))]
Calls = Annotated[int | None, typer.Option(metavar="N", help="Function calls in one response (scenario parallel): 1 to 8.")]
IdleClose = Annotated[
    bool, typer.Option("--idle-close", help="The component closes an idle connection after 10 s, as it does by default.")
]
Preamble = Annotated[bool, typer.Option("--preamble", help="The model speaks before it calls.")]
ToolEnd = Annotated[str | None, typer.Option(help="How the tool ends: result | error | reject | none [the scenario's]")]
Workaround = Annotated[
    str | None, typer.Option(metavar="NAME", help="What the app does against the race: " + " | ".join(WORKAROUNDS))
]
HoldMs = Annotated[
    str | None, typer.Option(metavar="MS", help="With --workaround: the earliest result behind a request. [2000]")
]
FallbackMs = Annotated[str | None, typer.Option(metavar="MS", help="With --workaround: the app waits no longer. [4000]")]
Profile = Annotated[str, typer.Option(help="Times that are not given: " + " | ".join(PROFILES))]
Knob = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="An open fact of the API; may be repeated.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Of drawn times.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Out = Annotated[Path | None, typer.Option(metavar="PATH", help="Where to write.")]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there already.")]

AllowOrigin = Annotated[
    list[str] | None,
    typer.Option(metavar="ORIGIN", help="A web page that may connect, as http://localhost:3000; may be repeated."),
]
BoundsOption = Annotated[
    list[str] | None,
    typer.Option("--bounds", metavar="NAME=LOW:HIGH", help="A duration's interval in ms, NAME=MS: just that; may be repeated."),
]
FailOn = Annotated[list[str] | None, typer.Option(metavar="OUTCOME", help="Exit 1 on it; may be repeated.")]
MaxSessions = Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many; required on a real API.")]

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def takes_times(verb: _Verb) -> _Verb:
    """Give a verb one option per named time; it gets them as the mapping `times`, those that were given only."""
    added = [
        added_option(name, str | None, typer.Option(metavar="MS", help=_help(name), rich_help_panel="Times")) for name in TIMES
    ]
    return with_options(verb, "times", added, lambda given: {name: text for name, text in given.items() if text is not None})


def takes_grid(verb: _Verb) -> _Verb:
    """Give a verb the options of a grid of sessions; it gets those that were given as `spec`, fields of a `SweepSpec`."""
    lists = {"scenarios": "single", "handlers": "return", "modalities": "session"}
    added = [
        added_option("releases", str | None, typer.Option(metavar="TAGS", help="Tags with commas, or all. [0.9.1]")),
        _parameter("component", ComponentTag, None),
        *(
            added_option(name, str | None, typer.Option(help=f"With commas, or all. [{usual}]"))
            for name, usual in lists.items()
        ),
        added_option("calls", str | None, typer.Option(metavar="N,N", help="Function calls in one response (parallel).")),
        _parameter("profile", Profile, "loopback"),
        _parameter("knob", Knob, None),
        _parameter("provider", Provider, DEFAULT_PROVIDER),
        _parameter("seed", Seed, 0),
    ]

    def spec(given: dict[str, Any]) -> dict[str, Any]:
        knobs = {"knobs": dict(knob_words(given.pop("knob")))}
        return {name: value for name, value in given.items() if value is not None} | knobs

    return with_options(verb, "spec", added, spec)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def added_option(name: str, kind: Any, option: Any, default: Any = None) -> inspect.Parameter:
    """A further option of a verb, for `with_options`."""
    return _parameter(name, Annotated[kind, option], default)


def with_options(verb: _Verb, argument: str, added: list[inspect.Parameter], make: Callable[[dict[str, Any]], Any]) -> _Verb:
    """The verb with more options, which it gets together, as the one argument that `make` makes of them."""

    @functools.wraps(verb)
    def wrapped(**given: Any) -> Any:
        own = {each.name: given.pop(each.name) for each in added}
        return verb(**given, **{argument: make(own)})

    known = [each for each in inspect.signature(verb, eval_str=True).parameters.values() if each.name != argument]
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in known] + added
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    return wrapped  # type: ignore[return-value]  # the same verb to typer, with more options


def _help(name: str) -> str:
    """What a time is, and its value in the default profile."""
    default = PROFILES["loopback"].values.get(name)
    return f"{TIMES[name].meaning} [{'not set' if default is None else default}]"


def with_workaround_times(
    times: Mapping[str, object], workaround: str | None, hold_ms: str | None, fallback_ms: str | None
) -> Mapping[str, object]:
    """The times with those that only a workaround has.

    Raises:
        InputError: such a time is given without a workaround.
    """
    given = {name: text for name, text in (("hold_ms", hold_ms), ("fallback_ms", fallback_ms)) if text is not None}
    if given and workaround is None:
        raise InputError(next(iter(given)), "given without a workaround", "--workaround NAME beside it")
    return {**times, **given}


def knob_words(given: list[str] | None) -> Mapping[str, str]:
    """``NAME=VALUE`` words as a mapping.

    Raises:
        InputError: a word has no ``=``.
    """
    pairs = {}
    for word in given or ():
        name, equals, value = word.partition("=")
        if not equals:
            raise InputError("knob", f"{word!r} has no value", "NAME=VALUE")
        pairs[name] = value
    return pairs


def backend_directory(proxy: str) -> Path:
    """The folder of ``backend:DIR``.

    Raises:
        InputError: it is something else.
    """
    kind, colon, directory = proxy.partition(":")
    if kind != "backend" or not colon or not directory:
        raise InputError("proxy", f"{proxy!r} is no checkout", "backend:DIR")
    return Path(directory)
