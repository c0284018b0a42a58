"""The parameters of the letter's notebook."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field, field_validator

from voicerace.errors import InputError
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.names import names_of
from voicerace.report.notebook.parameters import NotebookParameters

__all__ = ["LetterParameters"]

#: One release of every kind of gate that was published: the one in the customer's report (docs/background.md), and later ones.
_RELEASES: Final = ("0.9.1", "0.9.4", "0.10.2", "0.11.1")


class LetterParameters(NotebookParameters):
    """Of ``6-the-letter.ipynb``.

    Attributes:
        run: the folder of a run, to write the letter of it; empty for a run of its own.
        out: where a run of its own goes; empty for ``runs/…``.
        capture: a file to show sessions of; empty for none.
        release: in use, one or more tags, as a list, a JSON list in text, or text with commas. Empty: what the capture
            tells, else what the customer reported, else not known.
        to: the name of the customer; empty for the one of `customer`.
        customer: a file with what the letter says of one customer alone (`report.customer`); empty for voice-commerce's.
        sender: the author of the letter.
        releases: that a run of its own plays; those in use are added.
        step_ms: between the delays of the sweep; `map_step_ms` of the map of gap and delay.
        draws: sessions per story and release with drawn times.
        code: the notebook's code in the appendix, folded.
    """

    run: str = ""
    out: str = ""
    capture: str = ""
    release: tuple[str, ...] = ()
    to: str = ""
    customer: str = ""
    sender: str = "the dg_react_agent team"
    releases: tuple[str, ...] = _RELEASES
    step_ms: float = Field(default=20, gt=0, le=200)
    map_step_ms: float = Field(default=40, gt=0, le=200)
    draws: int = Field(default=40, ge=1, le=10_000)
    seed: int = Field(default=0, ge=0)
    code: bool = False

    @field_validator("release", "releases", mode="before")
    @classmethod
    def _name(cls, value: object, info: Any) -> tuple[str, ...]:
        # Under the name of the base's validator, which it replaces: here `release` is a list, which may be empty.
        name = str(info.field_name)
        if name == "release" and value in ("", "[]", [], ()):
            return ()
        tags = names_of("release", value, name)
        if unpublished := [tag for tag in tags if tag not in PROXIES]:
            raise InputError(name, f"{unpublished[0]} is no release", f"allowed are {', '.join(PROXIES)}")
        return tags

    @property
    def played(self) -> tuple[str, ...]:
        """The releases of a run of its own: those in use first."""
        return tuple(dict.fromkeys((*self.release, *self.releases)))
