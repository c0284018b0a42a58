"""The parameters of the letter's notebook."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field, field_validator

from voicerace.errors import InputError
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.names import names_of
from voicerace.report.notebook.parameters import NotebookParameters

__all__ = ["LetterParameters"]

#: One release per published kind of gate: the customer's (docs/background.md), and later ones.
_RELEASES: Final = ("0.9.1", "0.9.4", "0.10.2", "0.11.1")


class LetterParameters(NotebookParameters):
    """Parameters of ``6-the-letter.ipynb``.

    Attributes:
        run: the folder of an existing run; empty for a new run.
        out: the folder of a new run; empty for ``runs/…``.
        capture: a file with the customer's sessions; empty for none.
        release: tags in use, as a list, a JSON list in text, or text with commas. Empty: those of the capture, else those
            that the customer reported, else unknown.
        to: the name of the customer; empty for the one of `customer`.
        customer: a file of `report.customer`; empty for voice-commerce's.
        sender: the author of the letter.
        releases: of a new run; those in use are added.
        step_ms: between the delays of the sweep.
        map_step_ms: between the gaps and delays of the map.
        draws: sessions per scenario and release with drawn times.
        seed: of the draws.
        code: include the notebook's code in the appendix.
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
        # Replaces the base's validator of the same name, because `release` is a list here and may be empty.
        name = str(info.field_name)
        if name == "release" and value in ("", "[]", [], ()):
            return ()
        tags = names_of("release", value, name)
        if unpublished := [tag for tag in tags if tag not in PROXIES]:
            raise InputError(name, f"{unpublished[0]} is no release", f"allowed are {', '.join(PROXIES)}")
        return tags

    @property
    def played(self) -> tuple[str, ...]:
        """The releases of a new run: those in use first."""
        return tuple(dict.fromkeys((*self.release, *self.releases)))
