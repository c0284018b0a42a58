"""Parameters of the letter's notebook."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field, field_validator

from voicerace.errors import InputError
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.names import names_of
from voicerace.report.notebook.parameters import NotebookParameters

__all__ = ["LetterParameters"]

#: One published release per kind of gate, starting with the customer's release (docs/background.md).
_RELEASES: Final = ("0.9.1", "0.9.4", "0.10.2", "0.11.1")


class LetterParameters(NotebookParameters):
    """Parameters of ``6-the-letter.ipynb``.

    Attributes:
        run: the folder of an existing run; empty for a new run.
        out: the folder of a new run; empty for ``runs/…``.
        capture: a file with the customer's sessions; empty for no capture.
        release: tags in use, as a list, a JSON list in text, or text with commas. If empty, the releases of the capture,
            else the releases that the customer reported.
        to: the name of the customer; empty for the name in `customer`.
        customer: a customer file, see `report.customer`; empty for voice-commerce.
        sender: the author of the letter.
        releases: the releases of a new run. The releases in use are added.
        step_ms: step of the delay sweep in ms.
        map_step_ms: step of both axes of the map in ms.
        draws: number of sessions with drawn times per scenario and release.
        seed: seed of the draws.
        audience: the readers: ``customer`` or ``maintainers``.
        code: whether the appendix includes the code of the notebook.
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
    audience: Literal["customer", "maintainers"] = "customer"
    code: bool = False

    @field_validator("release", "releases", mode="before")
    @classmethod
    def _name(cls, value: object, info: Any) -> tuple[str, ...]:
        # Overrides the validator of the base class, because `release` is a list here and may be empty.
        name = str(info.field_name)
        if name == "release" and value in ("", "[]", [], ()):
            return ()
        tags = names_of("release", value, name)
        if unpublished := [tag for tag in tags if tag not in PROXIES]:
            raise InputError(name, f"{unpublished[0]} is no release", f"allowed are {', '.join(PROXIES)}")
        return tags

    @property
    def played(self) -> tuple[str, ...]:
        """Return the releases of a new run, starting with the releases in use."""
        return tuple(dict.fromkeys((*self.release, *self.releases)))
