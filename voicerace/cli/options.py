"""Options that several verbs share, including one option per time of a session."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from voicerace.errors import InputError
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import FORWARDER_TIMES, PROFILES, TIMES, WORKAROUND_TIMES
from voicerace.model.catalog.providers import DEFAULT_PROVIDER, PROVIDERS
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.model.catalog.workarounds import WORKAROUNDS

__all__ = [
    "AllowOrigin",
    "BoundsOption",
    "Calls",
    "ComponentTag",
    "Direct",
    "FailOn",
    "FallbackMs",
    "Force",
    "Forwarder",
    "ForwarderOpenMs",
    "Handler",
    "HoldMs",
    "Json",
    "KeyFrom",
    "Knob",
    "MaxSessions",
    "MockCalls",
    "Modality",
    "Out",
    "Plan",
    "Preamble",
    "Profile",
    "Provider",
    "Release",
    "RunFolder",
    "ScenarioName",
    "Seed",
    "ToolEnd",
    "Workaround",
    "added_option",
    "backend_directory",
    "knob_words",
    "names_given",
    "takes_grid",
    "takes_times",
    "with_forwarder_time",
    "with_options",
    "with_workaround_times",
]

Release = Annotated[
    str | None,
    typer.Option(metavar="TAG", help="Release of the proxy, or a unique backend version.", show_default="0.9.1"),
]
ComponentTag = Annotated[
    str | None,
    typer.Option("--component", metavar="TAG", help="Release of the component.", show_default="that of the proxy"),
]
ScenarioName = Annotated[str, typer.Option("--scenario", metavar="NAME", help=f"Scenario: {' | '.join(SCENARIOS)}.")]
Handler = Annotated[str, typer.Option(metavar="NAME", help=f"How the app answers a function call: {' | '.join(HANDLERS)}.")]
Modality = Annotated[
    str,
    typer.Option(metavar="NAME", help="Modality of the replies: text | audio | session (as the proxy's session.update says)."),
]
Provider = Annotated[str, typer.Option(metavar="NAME", help=f"API that the mock imitates: {' | '.join(PROVIDERS)}.")]
Calls = Annotated[
    int | None, typer.Option(metavar="N", help="Function calls in one response, 1 to 8 (scenario parallel).", show_default="2")
]
IdleClose = Annotated[
    bool, typer.Option("--idle-close", help="The component closes an idle connection after 10 s, which is its own default.")
]
MockCalls = Annotated[int, typer.Option("--calls", metavar="N", help="Function calls in one response, 1 to 8.")]
Direct = Annotated[
    bool,
    typer.Option(
        "--direct", help="The client is connected without a proxy: what the API sends to it counts as sent to the host."
    ),
]
Plan = Annotated[
    str,
    typer.Option(
        metavar="TURNS",
        help="Responses of the mock per user message (calls | reply | failed | incomplete | error): commas between the "
        "responses to one message, semicolons between messages. The last ones repeat.",
    ),
]
Preamble = Annotated[bool, typer.Option("--preamble", help="The model speaks before it calls a function.")]
ToolEnd = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="How the tool ends: result | error | reject | none.", show_default="that of the scenario"
    ),
]
Workaround = Annotated[
    str | None, typer.Option(metavar="NAME", help=f"Workaround in the app: {' | '.join(WORKAROUNDS)}.", show_default="none")
]
HoldMs = Annotated[
    str | None,
    typer.Option(
        metavar="MS",
        help="With --workaround: minimum time from the request to the result.",
        show_default=WORKAROUND_TIMES["hold_ms"],
    ),
]
FallbackMs = Annotated[
    str | None,
    typer.Option(
        metavar="MS",
        help="With --workaround: maximum time that the app waits for a callback.",
        show_default=WORKAROUND_TIMES["fallback_ms"],
    ),
]
Forwarder = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Forwarder: none | release (that of the proxy) | a tag | F0 | F1; on sockets backend:DIR (of a checkout).",
        show_default="none",
    ),
]
ForwarderOpenMs = Annotated[
    str | None,
    typer.Option(
        metavar="MS",
        help="With --forwarder: from the browser's connection until the forwarder's connection to the proxy is open.",
        show_default=FORWARDER_TIMES["forwarder_open_ms"],
    ),
]
Profile = Annotated[str, typer.Option(metavar="NAME", help=f"Source of the times that are not given: {' | '.join(PROFILES)}.")]
Knob = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Undocumented behaviour of the API (repeatable).")]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of drawn times.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="File to write.")]
RunFolder = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder of the run to write.", show_default="runs/TIME-HASH")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")]

AllowOrigin = Annotated[
    list[str] | None,
    typer.Option(metavar="ORIGIN", help="Web page that may connect, for example http://localhost:3000 (repeatable)."),
]
BoundsOption = Annotated[
    list[str] | None,
    typer.Option("--bounds", metavar="NAME=LOW:HIGH", help="Interval of a time in ms, or NAME=MS for one value (repeatable)."),
]
FailOn = Annotated[list[str] | None, typer.Option(metavar="OUTCOME", help="Exit 1 if this outcome occurs (repeatable).")]
KeyFrom = Annotated[
    str | None, typer.Option(metavar="VARIABLE", help="Environment variable that holds the upstream's Bearer token.")
]
MaxSessions = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Maximum number of sessions; required for a real API.")
]

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def takes_times(verb: _Verb) -> _Verb:
    """Add one option per time. The verb receives the given times as `times`: name -> text."""
    added = [added_option(name, str | None, _time_option(name)) for name in TIMES]
    return with_options(verb, "times", added, lambda given: {name: text for name, text in given.items() if text is not None})


def _time_option(name: str) -> Any:
    meaning, default = TIMES[name].meaning, PROFILES["loopback"].values.get(name)
    sentence = f"{meaning[0].upper()}{meaning[1:]}."
    return typer.Option(metavar="MS", help=sentence, show_default=default or "not set", rich_help_panel="Times")


#: Option of a grid -> (metavar, help text, default).
_LISTS = {
    "releases": ("TAGS", "Releases of the proxy, with commas, or all.", "0.9.1"),
    "scenarios": ("NAMES", "Scenarios, with commas, or all.", "single"),
    "handlers": ("NAMES", "Handlers, with commas, or all.", "return"),
    "modalities": ("NAMES", "Modalities of the replies, with commas, or all.", "session"),
}


def takes_grid(verb: _Verb) -> _Verb:
    """Add the options of a grid of sessions. The verb receives the given values as `spec`: field -> value."""
    lists = [
        added_option(name, list[str] | None, typer.Option(metavar=metavar, help=text, show_default=usual))
        for name, (metavar, text, usual) in _LISTS.items()
    ]
    calls = typer.Option(metavar="N,N", help="Function calls in one response, 1 to 8 (scenario parallel).", show_default="2")
    added = [
        lists[0],
        _parameter("component", ComponentTag, None),
        *lists[1:],
        added_option("calls", str | None, calls),
        _parameter("profile", Profile, "loopback"),
        _parameter("knob", Knob, None),
        _parameter("provider", Provider, DEFAULT_PROVIDER),
        _parameter("forwarder", Forwarder, None),
        _parameter("seed", Seed, 0),
    ]

    def spec(given: dict[str, Any]) -> dict[str, Any]:
        knobs = {"knobs": dict(knob_words(given.pop("knob")))}
        lists = {name: given.pop(name) for name in _LISTS}
        joined = {name: ",".join(texts) for name, texts in lists.items() if texts}
        return {name: value for name, value in given.items() if value is not None} | joined | knobs

    return with_options(verb, "spec", added, spec)


def names_given(given: Sequence[str] | None) -> list[str]:
    """Return all names given to a repeatable option that accepts comma-separated values."""
    return [name.strip() for text in given or () for name in text.split(",") if name.strip()]


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def added_option(name: str, kind: Any, option: Any, default: Any = None) -> inspect.Parameter:
    """Return the parameter of an additional option for `with_options`."""
    return _parameter(name, Annotated[kind, option], default)


def with_options(verb: _Verb, argument: str, added: list[inspect.Parameter], make: Callable[[dict[str, Any]], Any]) -> _Verb:
    """Return the verb with the options `added`. `make` converts their values to the argument `argument`."""

    @functools.wraps(verb)
    def wrapped(**given: Any) -> Any:
        own = {each.name: given.pop(each.name) for each in added}
        return verb(**given, **{argument: make(own)})

    known = [each for each in inspect.signature(verb, eval_str=True).parameters.values() if each.name != argument]
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in known] + added
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    return wrapped  # type: ignore[return-value]  # typer calls it as the verb


def with_workaround_times(
    times: Mapping[str, object], workaround: str | None, hold_ms: str | None, fallback_ms: str | None
) -> Mapping[str, object]:
    """Return `times` with `hold_ms` and `fallback_ms` added if they are given.

    Raises:
        InputError: `hold_ms` or `fallback_ms` is given without a workaround.
    """
    given = {name: text for name, text in (("hold_ms", hold_ms), ("fallback_ms", fallback_ms)) if text is not None}
    if given and workaround is None:
        raise InputError(next(iter(given)), "given without a workaround", "add --workaround NAME")
    return {**times, **given}


def with_forwarder_time(times: Mapping[str, object], forwarder: str | None, open_ms: str | None) -> Mapping[str, object]:
    """Return `times` with `forwarder_open_ms`, if it is given.

    Raises:
        InputError: it is given without a forwarder.
    """
    if open_ms is None:
        return times
    if forwarder in (None, "none"):
        raise InputError("forwarder_open_ms", "given without a forwarder", "add --forwarder release")
    return {**times, "forwarder_open_ms": open_ms}


def knob_words(given: list[str] | None) -> Mapping[str, str]:
    """Parse texts ``NAME=VALUE`` into a mapping: name -> value.

    Raises:
        InputError: a text has no ``=``.
    """
    pairs = {}
    for word in given or ():
        name, equals, value = word.partition("=")
        if not equals:
            raise InputError("knob", f"{word!r} has no value", "NAME=VALUE")
        pairs[name] = value
    return pairs


def backend_directory(proxy: str, option: str = "proxy") -> Path:
    """Return the folder of a program given as ``backend:DIR``.

    Raises:
        InputError: the text has another form.
    """
    kind, colon, directory = proxy.partition(":")
    if kind != "backend" or not colon or not directory:
        raise InputError(option, f"{proxy!r} is not a checkout", "backend:DIR")
    return Path(directory)
