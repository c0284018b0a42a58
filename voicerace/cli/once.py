"""An option that takes one value and is given twice: the last would win without a word, so it is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from voicerace.errors import InputError

__all__ = ["Verbs"]

_Of = TypeVar("_Of", bound=Callable[..., Any])


class _Verb(TyperCommand):
    """A verb that refuses it."""

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

        parser.parse_args = parse_args  # type: ignore[method-assign]  # of this parser: its class is not to be had
        return parser


class Verbs(typer.Typer):
    """A command line of such verbs."""

    def command(self, name: str | None = None, **given: Any) -> Callable[[_Of], _Of]:
        return super().command(name, **{"cls": _Verb, **given})
