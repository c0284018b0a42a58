"""Data of one customer: name, reported releases, and the questions in the last letter.

The data are in a TOML file, such as `customers/voice-commerce.toml`. All fields except the name are optional. The letter omits
sentences that require a missing field.
"""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from voicerace.conformance.suspicions import SUSPICIONS
from voicerace.errors import InputError, first_of
from voicerace.model.catalog.releases import proxy_release

__all__ = ["DEFAULT_NAME", "Customer", "Request", "customer_of"]

#: Name of a request in the last letter. Each name is the command that fulfils the request.
Request = Literal["inspect", "twice", "repro", "capture"]
DEFAULT_NAME: Final = "voice-commerce"
_OWN: Final = Path(__file__).parent / "customers"
_ALLOWED: Final = f"a TOML file as voicerace/report/customers/{DEFAULT_NAME}.toml"


class Customer(BaseModel):
    """One customer.

    Attributes:
        name: the addressee.
        reported: tags of the releases with the reported error, by default the releases in use.
        last_letter: date of the last letter; None without a last letter.
        log_alias: text that the customer's logs contain in place of the error; empty if they contain the error itself.
        suspicions: suspicion -> its text in the last letter, as Markdown.
        requests: request -> its text in the last letter, as Markdown.
        links: title -> address (``https://…``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    reported: tuple[str, ...] = ()
    last_letter: date | None = None
    log_alias: str = ""
    suspicions: dict[str, str] = Field(default_factory=dict)
    requests: dict[Request, str] = Field(default_factory=dict)
    links: dict[str, str] = Field(default_factory=dict)

    @field_validator("reported")
    @classmethod
    def _tags(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(proxy_release(each, "reported").tag for each in value))

    @field_validator("suspicions")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in SUSPICIONS:
                raise InputError(f"suspicions.{name}", "is unknown", f"allowed are {', '.join(SUSPICIONS)}")
        return value

    @field_validator("links")
    @classmethod
    def _addresses(cls, value: dict[str, str]) -> dict[str, str]:
        for title, address in value.items():
            if not address.startswith("https://") or any(char in address for char in " <>()\"'"):
                raise InputError(f"links.{title}", f"{address!r} is no address", "https://…")
        return value

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a customer from a TOML file.

        Raises:
            InputError: the file cannot be read, or a field is not valid. The error names the file and the field.
        """
        try:
            return cls(**tomllib.loads(path.read_text("utf-8")))
        except OSError as error:
            raise InputError(str(path), error.strerror or "cannot be read", _ALLOWED) from None
        except InputError as error:
            raise InputError(f"{path}: {error.where}", error.found, error.allowed) from None
        except ValidationError as error:
            found = first_of(error, "a customer", cls.model_fields)
            raise InputError(f"{path}: {found.where}", found.found, found.allowed) from None
        except ValueError as error:  # not TOML, or not UTF-8
            raise InputError(str(path), str(error).splitlines()[0], _ALLOWED) from None


def customer_of(to: str = "", file: str = "") -> Customer:
    """Return the customer of `file` if given, else the customer named `to` if given, else voice-commerce.

    Raises:
        InputError: both are given, or the file is not valid.
    """
    if file:
        if to:
            raise InputError("to", "given with customer, which has the name", "one of the two")
        return Customer.read(Path(file))
    if not to or to == DEFAULT_NAME:
        return Customer.read(_OWN / f"{DEFAULT_NAME}.toml")
    return Customer(name=to)
