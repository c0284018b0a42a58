"""What a letter says of one customer and of no other: name, reported releases, the last letter and its questions.

A customer is a TOML file; `customers/voice-commerce.toml` comes with the package and shows every field. All fields but the
name are optional, and the letter leaves out the sentences that need a missing one.
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

#: A request of a last letter, by what does it now.
Request = Literal["inspect", "twice", "repro", "capture"]
DEFAULT_NAME: Final = "voice-commerce"
_OWN: Final = Path(__file__).parent / "customers"
_ALLOWED: Final = f"a TOML file as voicerace/report/customers/{DEFAULT_NAME}.toml"


class Customer(BaseModel):
    """One customer.

    Attributes:
        name: whom the letter is for.
        reported: releases on which the customer reported the error (tags); the releases in use unless others are given.
        last_letter: the date of the last letter; None without one.
        log_alias: what the customer's logs write in place of the error; empty where they show it.
        suspicions: suspicion -> what the last letter says of it, as Markdown.
        requests: verb -> what the last letter asked for, as Markdown.
        links: title -> address (``https://…``) of further material.
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
        """The customer of a TOML file.

        Raises:
            InputError: the file cannot be read, or a field does not fit; it names file and field.
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
        except ValueError as error:  # no TOML, or no UTF-8
            raise InputError(str(path), str(error).splitlines()[0], _ALLOWED) from None


def customer_of(to: str = "", file: str = "") -> Customer:
    """The customer of a letter: of a file, else the one called `to`; the file that comes with the package is used for its own.

    Raises:
        InputError: both are given, or the file does not fit.
    """
    if file:
        if to:
            raise InputError("to", "given with customer, which has the name", "one of the two")
        return Customer.read(Path(file))
    if not to or to == DEFAULT_NAME:
        return Customer.read(_OWN / f"{DEFAULT_NAME}.toml")
    return Customer(name=to)
