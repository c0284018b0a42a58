"""JavaScript's rules for values that were parsed from JSON.

The proxies do not check the types of the fields that they read. If a field is null, a number or an object instead of text,
JavaScript's rules determine whether the proxy uses it, skips it, or throws. This module implements the rules that the proxy
models need. ``python -m tests.drawn`` compares the models with running proxies.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Hashable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeGuard

__all__ = [
    "UNDEFINED", "ThrownError", "at", "base64_bytes", "defined", "field", "has_length", "is_number", "key", "mapped", "or_else",
    "parse", "string", "stringify", "text", "trim", "trimmed", "truthy",
]  # fmt: skip


class ThrownError(Exception):
    """The proxy's code throws a TypeError or SyntaxError. The proxy catches it."""


class _Undefined(Enum):
    UNDEFINED = "undefined"


#: Value of a missing field. JSON `null` is None.
UNDEFINED: Final = _Undefined.UNDEFINED

_WHITE: Final = "\t\n\v\f\r \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
_NO_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_INDEX: Final = re.compile(r"0|[1-9]\d{0,9}")
_INDEX_MAX: Final = 2**32 - 2


# -- fields ----------------------------------------------------------------------------------------------------------


def at(value: Any, *names: str) -> Any:
    """Return `value?.a?.b` for the names ``a`` and ``b``."""
    for name in names:
        # Most values are dicts, and the check for `dict` is ten times faster than the check for the abstract class.
        value = value.get(name, UNDEFINED) if isinstance(value, (dict, Mapping)) else UNDEFINED
    return value


def field(value: Any, name: str) -> Any:
    """Return `value.name`. Raise ThrownError for null and undefined."""
    if value is None or value is UNDEFINED:
        raise ThrownError(f"no {name} of {value}")
    return at(value, name)


def or_else(value: Any, default: Any) -> Any:
    """Return `value ?? default`."""
    return default if value is None or value is UNDEFINED else value


def truthy(value: Any) -> bool:
    if isinstance(value, (Mapping, list, tuple)):
        return True
    return value is not UNDEFINED and bool(value)


def has_length(value: Any) -> bool:
    """Return `!!value?.length`."""
    return len(value) > 0 if isinstance(value, (str, list, tuple)) else truthy(at(value, "length"))


def mapped(value: Any) -> list[Any] | tuple[Any, ...]:
    """Return the elements that `value.map(…)` visits. Raise ThrownError if `value` is not an array."""
    if not isinstance(value, (list, tuple)):
        raise ThrownError("map is not a function")
    return value


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def key(value: Any) -> Hashable | None:
    """Return a key for a value in a Map or Set, in which 5 and "5" differ. Return None for an object or array."""
    return None if isinstance(value, (Mapping, list, tuple)) else (is_number(value), type(value) is bool, value)


def defined(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without its undefined fields, which `JSON.stringify` omits."""
    return {name: value for name, value in fields.items() if value is not UNDEFINED}


# -- text ------------------------------------------------------------------------------------------------------------


def trim(text_: str) -> str:
    return text_.strip(_WHITE)


def trimmed(value: Any) -> str:
    """Return `value.trim()`. Raise ThrownError if `value` is not a string."""
    return trim(text(value))


def text(value: Any) -> str:
    """Return a value on which the proxy calls a string method. Raise ThrownError if the value is not a string."""
    if not isinstance(value, str):
        raise ThrownError("not a function")
    return value


def string(value: Any) -> str:
    """Return `String(value)`, which equals `${value}`. Raise ThrownError for an object with a field `toString`."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        if "toString" in value:
            raise ThrownError("cannot convert object to primitive value")
        return "[object Object]"
    if isinstance(value, (list, tuple)):
        return ",".join("" if each is None else string(each) for each in value)
    if value is None or value is UNDEFINED or isinstance(value, bool):
        return {None: "null", UNDEFINED: "undefined", True: "true", False: "false"}[value]
    return _number(value)


def base64_bytes(encoded: str) -> bytes:
    """Return `Buffer.from(encoded, "base64")`: skip characters outside base64, stop at "=", and drop an incomplete byte."""
    digits = bytes(ord(each) & 0xFF for each in encoded).translate(bytes.maketrans(b"-_", b"+/"))
    digits = _NO_BASE64.sub(b"", digits.split(b"=", 1)[0])
    digits = digits[:-1] if len(digits) % 4 == 1 else digits
    return base64.b64decode(digits + b"=" * (-len(digits) % 4))


# -- JSON ------------------------------------------------------------------------------------------------------------


def parse(frame: str | bytes) -> Any:
    """Return `JSON.parse(frame)` with numbers as doubles. Replace invalid UTF-8. Raise ThrownError for invalid JSON."""
    decoded = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
    try:
        return json.loads(decoded, parse_constant=_no_json, parse_int=_double, parse_float=_double)
    except (ValueError, RecursionError) as error:
        raise ThrownError("no JSON") from error


def _no_json(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _double(digits: str) -> float:
    """Return `digits` as a double, or as the equal int if JavaScript writes the double without a fraction."""
    if len(digits) < 16 and digits.isdecimal():
        return int(digits)
    value = float(digits)
    if value.is_integer() and abs(value) < 1e21:
        return int(Decimal(repr(value)))
    return value


def stringify(value: Any) -> str:
    """Return `JSON.stringify(value)`."""
    if isinstance(value, Mapping):
        names = sorted(value, key=_property_order)
        return (
            "{"
            + ",".join(f"{stringify(name)}:{stringify(value[name])}" for name in names if value[name] is not UNDEFINED)
            + "}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(stringify, value)) + "]"
    if isinstance(value, str):
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
    if is_number(value):
        return _number(value) if math.isfinite(value) else "null"
    return string(value)


def _property_order(name: str) -> tuple[bool, int]:
    """Return a sort key for an object's fields: integers in numeric order, then other names in insertion order."""
    is_index = _INDEX.fullmatch(name) is not None and int(name) <= _INDEX_MAX
    return (not is_index, int(name) if is_index else 0)


def _number(value: float) -> str:
    """Return a number as JavaScript writes it: without an exponent from 1e-6 to below 1e21."""
    if not math.isfinite(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    if 1e-6 <= abs(value) < 1e21:
        digits = format(Decimal(repr(float(value))), "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    mantissa, _, exponent = f"{Decimal(repr(float(value))).normalize():e}".partition("e")
    return f"{mantissa}e{int(exponent):+d}"
