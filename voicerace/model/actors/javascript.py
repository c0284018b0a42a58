"""What JavaScript makes of a value that JSON brought: the proxies trust their neighbours' fields, and never look at a type.

A field that is null, a number or an object where text is expected is not refused there: it goes on, is skipped, or throws
in the middle of a message, by the rules of the language. The proxies' rules are in `translate` and `proxy`; these are
the language's, as far as they are needed. All of them were seen on running proxies (``python -m tests.drawn``).
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
    "UNDEFINED",
    "ThrownError",
    "at",
    "base64_bytes",
    "defined",
    "field",
    "has_length",
    "is_number",
    "key",
    "mapped",
    "or_else",
    "parse",
    "string",
    "stringify",
    "text",
    "trim",
    "trimmed",
    "truthy",
]


class ThrownError(Exception):
    """A TypeError or SyntaxError: the proxy's `catch` goes on."""


class _Undefined(Enum):
    UNDEFINED = "undefined"


#: The value of a field that is not there; `null` is None.
UNDEFINED: Final = _Undefined.UNDEFINED

_WHITE: Final = "\t\n\v\f\r \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
_NO_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_INDEX: Final = re.compile(r"0|[1-9]\d{0,9}")
_INDEX_MAX: Final = 2**32 - 2


# -- fields ----------------------------------------------------------------------------------------------------------


def at(value: Any, *names: str) -> Any:
    """`value?.a?.b`."""
    for name in names:
        # What JSON gives is a dict; asking the abstract class takes ten times as long.
        value = value.get(name, UNDEFINED) if isinstance(value, (dict, Mapping)) else UNDEFINED
    return value


def field(value: Any, name: str) -> Any:
    """`value.name`: of null and undefined, it throws."""
    if value is None or value is UNDEFINED:
        raise ThrownError(f"no {name} of {value}")
    return at(value, name)


def or_else(value: Any, default: Any) -> Any:
    """`value ?? default`."""
    return default if value is None or value is UNDEFINED else value


def truthy(value: Any) -> bool:
    if isinstance(value, (Mapping, list, tuple)):
        return True
    return value is not UNDEFINED and bool(value)


def has_length(value: Any) -> bool:
    """`!!value?.length`: true of an array, of text, and of an object with such a field."""
    return len(value) > 0 if isinstance(value, (str, list, tuple)) else truthy(at(value, "length"))


def mapped(value: Any) -> list[Any] | tuple[Any, ...]:
    """What `value.map(…)` goes through; only arrays have it."""
    if not isinstance(value, (list, tuple)):
        raise ThrownError("map is not a function")
    return value


def is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def key(value: Any) -> Hashable | None:
    """A value as a Map or a Set knows it: 5 and "5" are two; an object is only itself, so None."""
    return None if isinstance(value, (Mapping, list, tuple)) else (is_number(value), type(value) is bool, value)


def defined(fields: Mapping[str, Any]) -> dict[str, Any]:
    """An object without the fields that `JSON.stringify` leaves out."""
    return {name: value for name, value in fields.items() if value is not UNDEFINED}


# -- text ------------------------------------------------------------------------------------------------------------


def trim(words: str) -> str:
    return words.strip(_WHITE)


def trimmed(value: Any) -> str:
    """`value.trim()`: only text has it."""
    return trim(text(value))


def text(value: Any) -> str:
    """A value of which a method of text is called: of anything else, it throws."""
    if not isinstance(value, str):
        raise ThrownError("not a function")
    return value


def string(value: Any) -> str:
    """`String(value)` and `${value}`. An object whose own `toString` came in JSON cannot be made one."""
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


def base64_bytes(words: str) -> bytes:
    """`Buffer.from(words, "base64")`: what is no base64 is skipped, = ends it, what is left over is dropped."""
    known = bytes(ord(each) & 0xFF for each in words).translate(bytes.maketrans(b"-_", b"+/"))
    known = _NO_BASE64.sub(b"", known.split(b"=", 1)[0])
    known = known[:-1] if len(known) % 4 == 1 else known
    return base64.b64decode(known + b"=" * (-len(known) % 4))


# -- JSON ------------------------------------------------------------------------------------------------------------


def parse(frame: str | bytes) -> Any:
    """`JSON.parse`: UTF-8 whatever it is, every number a double, no NaN."""
    words = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
    try:
        return json.loads(words, parse_constant=_no_json, parse_int=_double, parse_float=_double)
    except (ValueError, RecursionError) as error:
        raise ThrownError("no JSON") from error


def _no_json(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _double(digits: str) -> float:
    """The double of some digits, an int where JavaScript writes it without a fraction."""
    if len(digits) < 16 and digits.isdecimal():
        return int(digits)
    value = float(digits)
    if value.is_integer() and abs(value) < 1e21:
        return int(Decimal(repr(value)))
    return value


def stringify(value: Any) -> str:
    """`JSON.stringify`."""
    if isinstance(value, Mapping):
        names = sorted(value, key=_place)
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


def _place(name: str) -> tuple[bool, int]:
    """Where an object keeps a field: whole numbers first, in their order, then the others as they came."""
    is_index = _INDEX.fullmatch(name) is not None and int(name) <= _INDEX_MAX
    return (not is_index, int(name) if is_index else 0)


def _number(value: float) -> str:
    """A number as JavaScript writes it: no exponent from 1e-6 on and below 1e21."""
    if not math.isfinite(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    if 1e-6 <= abs(value) < 1e21:
        digits = format(Decimal(repr(float(value))), "f")
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    mantissa, _, exponent = f"{Decimal(repr(float(value))).normalize():e}".partition("e")
    return f"{mantissa}e{int(exponent):+d}"
