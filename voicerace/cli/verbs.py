"""How verbs become commands: each in a module of its own, which is imported when the verb is called.

`voicerace --help` imports no verb: it prints the summaries of the table that `group` was given.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from voicerace.errors import InputError

__all__ = ["MARKUP", "Verb", "Verbs", "group", "load"]

_Of = TypeVar("_Of", bound=Callable[..., Any])


#: `capture` passes the words after its own options on to the command that it runs.
_SETTINGS: Final[dict[str, dict[str, Any]]] = {"capture": {"context_settings": {"allow_interspersed_args": False}}}


#: rich formats help for people; importing it costs as much as all of typer, which a pipe need not pay.
MARKUP: Final = "rich" if sys.stdout.isatty() or "FORCE_COLOR" in os.environ else None


class Verb(NamedTuple):
    """Where a verb is defined, and what it does.

    Attributes:
        place: ``module:name`` below `voicerace.cli`; the name of a function, or of a `typer.Typer` with verbs of its own.
        summary: one sentence for the list of verbs; the first sentence of the function's docstring.
        panel: the heading under which the list shows it.
        starts_bare: it is called directly when it is given no option: reading options imports pydantic.
    """

    place: str
    summary: str
    panel: str
    starts_bare: bool = False


class _QuickFlags:
    """Commands whose absent flags are False, which typer takes as it is; to convert its own None it imports pydantic.

    A flag with a ``--no-`` form keeps its None: neither form was given.
    """

    def get_params(self, ctx: Any) -> Any:
        params = super().get_params(ctx)  # type: ignore[misc]  # of the command it is mixed into
        for each in params:
            if getattr(each, "is_flag", False) and each.default is None and not each.secondary_opts:
                each.default = False
        return params


class _BareCommand(_QuickFlags, TyperCommand):
    """A verb that is called without options."""


class _Command(_QuickFlags, TyperCommand):
    """A command that refuses a single-value option that is given twice, of which the last would silently count."""

    def make_parser(self, ctx: Any) -> Any:
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_args(args: list[str]) -> Any:
            options, rest, order = parse(args)
            for each in order:
                times = order.count(each)
                if times > 1 and not getattr(each, "multiple", True):
                    raise InputError(max(each.opts, key=len), f"given {times} times", "allowed is once")
            return options, rest, order

        parser.parse_args = parse_args  # type: ignore[method-assign]  # the parser's class is private to typer
        return parser


class Verbs(typer.Typer):
    """A group of verbs in one module, whose commands are of the same kind."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"rich_markup_mode": MARKUP, **settings})

    def command(self, name: str | None = None, **settings: Any) -> Callable[[_Of], _Of]:
        return super().command(name, **{"cls": _Command, **settings})


def load(verbs: Mapping[str, Verb], name: str, *, bare: bool = False) -> Any:
    """Import a verb and make its command; `bare` says that no option is given."""
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
    """A class of command groups whose commands are `verbs`; each is imported when it is called or asked for its options."""

    class Lazy(_QuickFlags, TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(verbs)

        def get_command(self, ctx: Any, name: str) -> Any:
            if name not in verbs:
                return None
            verb = verbs[name]
            return TyperCommand(name, help=verb.summary, short_help=verb.summary, rich_help_panel=verb.panel)

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, stub, rest = super().resolve_command(ctx, args)
            return (name, stub, rest) if stub is None else (name, load(verbs, str(name), bare=not rest), rest)

    return Lazy
