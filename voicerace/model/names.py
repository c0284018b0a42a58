"""The names that a session, a sweep, a notebook or the command line takes, each kind checked in one place."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Final

from voicerace.errors import InputError, one_of
from voicerace.model.catalog.components import COMPONENTS, component
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import PROFILES
from voicerace.model.catalog.providers import PROVIDERS
from voicerace.model.catalog.releases import PROXIES, proxy_release
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.model.catalog.workarounds import WORKAROUNDS
from voicerace.model.parameters import plain_value

__all__ = ["MODALITIES", "NAMES", "name_of", "names_of", "words_of"]

#: What a session replies in; ``session`` leaves it to the proxy's session.update.
MODALITIES: Final = ("session", "text", "audio")
#: Kind of name -> its names.
NAMES: Final[Mapping[str, Collection[str]]] = {
    "release": PROXIES,
    "component": COMPONENTS,
    "scenario": SCENARIOS,
    "handler": HANDLERS,
    "modality": MODALITIES,
    "profile": PROFILES,
    "provider": PROVIDERS,
    "workaround": WORKAROUNDS,
}


def name_of(kind: str, given: object, where: str = "") -> str:
    """A name of one kind; of a release also its backend version, of a release or component also with a ``v`` before it.

    Args:
        kind: a key of `NAMES`.
        given: the name.
        where: the parameter that an error names; `kind` without one.

    Raises:
        InputError: the name is unknown.
    """
    if kind == "release":
        return proxy_release(given, where or kind).tag  # type: ignore[arg-type]  # it checks the type
    if kind == "component":
        return component(given, where or kind).tag  # type: ignore[arg-type]  # it checks the type
    return one_of(where or kind, given, NAMES[kind])


def names_of(kind: str, given: object, where: str, every: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Names of one kind, each once, in the order given.

    Args:
        kind: a key of `NAMES`.
        given: see `words_of`; ``all`` stands for `every`.
        where: the parameter that an error names.
        every: by default all names of the kind; not ``session``, which is one of the other modalities.

    Raises:
        InputError: a name is unknown, or there is none.
    """
    found = words_of(where, given)
    if found == ("all",):
        return every or tuple(name for name in NAMES[kind] if name != "session")
    return tuple(dict.fromkeys(name_of(kind, each, where) for each in found))


def words_of(where: str, given: object) -> tuple[str, ...]:
    """Words that are given as a list, as a JSON list in text (papermill passes lists as text), or as text with commas.

    Raises:
        InputError: it is none of these, or empty.
    """
    value = plain_value(given)
    if isinstance(value, str):
        value = _of_json(value) if value.lstrip().startswith("[") else [word.strip() for word in value.split(",")]
    words = [plain_value(each) for each in value] if isinstance(value, (list, tuple)) else None
    if words is None or not all(isinstance(each, str) for each in words):
        raise InputError(where, f"{given!r:.60} is no list of names", "names with commas, or a list of names")
    if not words:
        raise InputError(where, "empty", "at least one")
    return tuple(words)


def _of_json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None
