"""Validates the names of releases, scenarios, handlers and other parameters of a session."""

from __future__ import annotations

import contextlib
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

#: Modalities of the replies. ``session`` stands for the modality in the proxy's session.update.
MODALITIES: Final = ("session", "text", "audio")
#: Known names, by kind.
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
    """Check a name and return its standard form.

    A release can also be given by its backend version. The name of a release or component can start with ``v``.

    Args:
        kind: a key of `NAMES`.
        given: name to check.
        where: name of the parameter for error messages, by default `kind`.

    Raises:
        InputError: the name is unknown.
    """
    if kind == "release":
        return proxy_release(given, where or kind).tag  # type: ignore[arg-type]  # it checks the type
    if kind == "component":
        return component(given, where or kind).tag  # type: ignore[arg-type]  # it checks the type
    return one_of(where or kind, given, NAMES[kind])


def names_of(kind: str, given: object, where: str, every: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Check a list of names and return it without duplicates.

    Args:
        kind: a key of `NAMES`.
        given: names in a form that `words_of` accepts, or ``all``, which stands for `every`.
        where: name of the parameter for error messages.
        every: names that ``all`` stands for. By default these are all names of the kind except the modality ``session``.

    Raises:
        InputError: a name is unknown, or the list is empty.
    """
    found = words_of(where, given)
    if found == ("all",):
        return every or tuple(name for name in NAMES[kind] if name != "session")
    return tuple(dict.fromkeys(name_of(kind, each, where) for each in found))


def words_of(where: str, given: object) -> tuple[str, ...]:
    """Return the strings in a list, in the text of a JSON list (papermill passes lists as text) or in comma-separated text.

    Raises:
        InputError: `given` has another form or is empty. The error names the parameter `where`.
    """
    value = plain_value(given)
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            with contextlib.suppress(ValueError):
                value = json.loads(value)
        else:
            value = [name.strip() for name in value.split(",")]
    names = [plain_value(each) for each in value] if isinstance(value, (list, tuple)) else None
    if names is None or not all(isinstance(each, str) for each in names):
        raise InputError(where, f"{given!r:.60} is no list of names", "names with commas, or a list of names")
    if not names:
        raise InputError(where, "empty", "at least one")
    return tuple(names)
