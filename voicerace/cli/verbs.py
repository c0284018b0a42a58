"""Create the commands of verbs. The module of a verb is imported when the verb is called.

`voicerace --help` does not import these modules: it prints the summaries in the table that `group` receives.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Final, NamedTuple, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from voicerace.errors import InputError, one_of

__all__ = ["MARKUP", "Verb", "Verbs", "group", "load"]

_Of = TypeVar("_Of", bound=Callable[..., Any])


#: Verb -> settings of its command. `capture` passes arguments after its own options to the command that it runs.
_SETTINGS: Final[dict[str, dict[str, Any]]] = {"capture": {"context_settings": {"allow_interspersed_args": False}}}


#: Formatter of help texts. rich is used only on a terminal, because it takes as long to import as typer.
MARKUP: Final = "rich" if sys.stdout.isatty() or "FORCE_COLOR" in os.environ else None


#: Singular and plural names of the same option. A command accepts both names, and its help shows one of them.
_SPELLINGS: Final = (
    ("--release", "--releases"),
    ("--scenario", "--scenarios"),
    ("--handler", "--handlers"),
    ("--modality", "--modalities"),
)


class Verb(NamedTuple):
    """Location and summary of a verb.

    Attributes:
        place: ``module:name`` in `voicerace.cli`, where `name` is a function, or a `typer.Typer` with several commands.
        summary: sentence in the list of verbs, which is the first sentence of the function's docstring.
        panel: heading of the verb's group in the list.
        starts_bare: whether the function is called directly if no option is given. This avoids pydantic's import.
    """

    place: str
    summary: str
    panel: str
    starts_bare: bool = False


class _PlainOptions:
    """Mixin for commands whose help shows defaults as ``[default: VALUE]`` and does not show Python types.

    The default of a flag is False, because typer imports pydantic to convert None. A flag with a ``--no-`` form keeps the
    default None, which means that neither form was given.
    """

    def get_params(self, ctx: Any) -> Any:
        params = super().get_params(ctx)  # type: ignore[misc]  # defined by the command class
        for each in params:
            flag = getattr(each, "is_flag", False)
            if flag or each.param_type_name == "argument":
                each.display_type_rich = _no_type
            if flag and each.default is None and not each.secondary_opts:
                each.default = False
            if isinstance(getattr(each, "show_default", None), str):
                each._get_default_string = partial(_default_text, each.show_default)  # noqa: SLF001
        return params


def _no_type(**_: Any) -> str:
    """Return an empty text instead of the type in the help of a flag or an argument."""
    return ""


def _default_text(text: str, **_: Any) -> str:
    """Return the default for an option's help without the parentheses that typer adds."""
    return text


class _BareCommand(_PlainOptions, TyperCommand):
    """The command of a verb that is called without options (`Verb.starts_bare`)."""


class _Command(_PlainOptions, TyperCommand):
    """A command that accepts both names of `_SPELLINGS` and rejects repeated single-value options."""

    def make_parser(self, ctx: Any) -> Any:
        parser = super().make_parser(ctx)
        parse = parser.parse_args
        own = {text: each for each in self.get_params(ctx) for text in each.opts}
        named = [each for pair in _SPELLINGS for text in pair if (each := own.get(text)) is not None]
        for pair in _SPELLINGS:
            for text, other in (pair, pair[::-1]):
                if text in own and other not in own:
                    action = "append" if own[text].multiple else "store"
                    parser.add_option(obj=own[text], opts=[other], dest=own[text].name, action=action, nargs=own[text].nargs)

        def parse_args(args: list[str]) -> Any:
            options, rest, order = parse(args)
            for each in order:
                times = order.count(each)
                if times > 1 and not getattr(each, "multiple", True):
                    raise InputError(max(each.opts, key=len), f"given {times} times", "allowed is once")
            for each in named:
                value = options.get(each.name)
                if isinstance(value, str) and "," in value:
                    raise InputError(each.opts[0], f"{len(value.split(','))} values: {value!r:.60}", "allowed is one")
            return options, rest, order

        parser.parse_args = parse_args  # type: ignore[method-assign]  # the parser's class is private to typer
        return parser


class _Group(_PlainOptions, TyperGroup):
    """The typer class of a group of commands."""


class Verbs(typer.Typer):
    """A typer application whose commands have the classes of this module."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"cls": _Group, "rich_markup_mode": MARKUP, **settings})

    def command(self, name: str | None = None, **settings: Any) -> Callable[[_Of], _Of]:
        return super().command(name, **{"cls": _Command, **settings})


def load(verbs: Mapping[str, Verb], name: str, *, bare: bool = False) -> Any:
    """Import the module of a verb and return its command; `bare` is True if no option is given."""
    module, _, attribute = verbs[name].place.partition(":")
    found = getattr(import_module(f"voicerace.cli.{module}"), attribute)
    if bare and verbs[name].starts_bare:
        return _BareCommand(name, callback=found)
    if not isinstance(found, typer.Typer):
        app = Verbs(add_completion=False)
        app.command(name, **_SETTINGS.get(name, {}))(found)
        found = app
    command = typer.main.get_command(found)
    command.name = name
    return command


def group(verbs: Mapping[str, Verb]) -> type[TyperGroup]:
    """Return a class of command groups with the commands `verbs`. A verb's module is imported when the verb is called."""

    class Lazy(_PlainOptions, TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(verbs)

        def get_command(self, ctx: Any, name: str) -> Any:
            if name not in verbs:
                return None
            verb = verbs[name]
            return TyperCommand(name, help=verb.summary, short_help=verb.summary, rich_help_panel=verb.panel)

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            if not ctx.resilient_parsing and not args[0].startswith("-"):
                one_of("command", args[0], verbs)
            name, stub, rest = super().resolve_command(ctx, args)
            return (name, stub, rest) if stub is None else (name, load(verbs, str(name), bare=not rest), rest)

    return Lazy
