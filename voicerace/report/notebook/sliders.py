"""Sliders over one session: a move plays it again, and shows its verdict, then its picture.

The verdict is sent before the picture is drawn. The front end keeps back moves while one is at work and sends the newest
afterwards, so a drag needs no timer here. Where a notebook is only read, or its front end has no widgets, the session at
the starting places stands there instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

import ipywidgets as widgets
from IPython.display import HTML, display

from voicerace.analysis.verdict import Verdict, judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError, one_of
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import PROFILES
from voicerace.model.catalog.releases import PROXIES, REFERENCE, proxy_release
from voicerace.model.catalog.scenarios import SCENARIOS
from voicerace.report.notebook.display import table_html
from voicerace.report.plots.style import glyph
from voicerace.report.plots.swimlane import svg_swimlane
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["Sliders"]

#: Time -> its words, and the slider's end and step in ms; a start beyond the end moves it.
_TIMES: Final[dict[str, tuple[str, float, float]]] = {
    "tool_ms": ("tool", 1000, 5),
    "gap_ms": ("gap", 1000, 5),
    "host_rtt_ms": ("host round trip", 400, 2),
    "upstream_rtt_ms": ("API round trip", 400, 2),
}
_WIDE: Final = {"description_width": "11em"}
#: What a tool turn comes to, in the words of somebody who moves a slider.
_NUMBERS: Final = {
    "margin_ms": "margin, ms: the create at the API, minus the slot being free",
    "lead_ms": "lead, ms: the result at the proxy, minus response.done there",
    "dead_air_ms": "dead air, ms: until the reply is heard",
    "submissions": "results sent",
    "response_creates": "response.create behind them",
    "refusals": "refused",
    "host_errors": "refusals the host was told",
    "replies": "replies heard",
}


class Sliders:
    """One session under sliders.

    Args:
        release, scenario, handler: where the choices begin.
        times: of the session, in ms or the grammar of `voicerace.model.parameters`; those with a slider begin there.
        settings: others of `SessionConfig.of`, which stay as they are.

    Attributes:
        recording, verdict: of the session as the sliders stand; None while it cannot be.
        error: why it cannot be, or None.
        says, picture: what shows the verdict and the swimlane, as HTML.

    Raises (on making one):
        InputError: an unknown name, or a time with a slider that is no single number.
    """

    def __init__(
        self,
        *,
        release: str = "0.9.1",
        scenario: str = "single",
        handler: str = "return",
        times: Mapping[str, object] | None = None,
        **settings: Any,
    ) -> None:
        self.recording: Recording | None = None
        self.verdict: Verdict | None = None
        self.error: str | None = None
        given = dict(times or {})
        self._settings = settings
        self._times = {name: value for name, value in given.items() if name not in _TIMES}
        usual = PROFILES[str(settings.get("profile", "loopback"))].values
        self.choices: dict[str, Any] = {
            "release": _choice("release", proxy_release(release).tag, [*PROXIES, REFERENCE.tag]),
            "scenario": _choice("scenario", scenario, list(SCENARIOS)),
            "handler": _choice("handler", handler, list(HANDLERS)),
            **{name: _slider(name, given.get(name, usual[name])) for name in _TIMES},
        }
        self.says = widgets.HTML(layout={"width": "100%"})
        self.picture = widgets.HTML(layout={"width": "100%"})
        names, sliders = [*self.choices.values()][:3], [*self.choices.values()][3:]
        left = widgets.VBox([*names, *sliders, self.says], layout={"flex": "1 1 24em", "min_width": "24em"})
        right = widgets.VBox([self.picture], layout={"flex": "2 1 36em"})
        self.widget = widgets.HBox([left, right], layout={"flex_flow": "row wrap"})
        self.choices["scenario"].observe(self._another_story, "value")
        for each in self.choices.values():
            each.observe(self._moved, "value")
        self._moved()

    @classmethod
    def of(cls, session: SessionConfig) -> Sliders:
        """Sliders that begin at a session; where one of its times is drawn or differs by call, at the first call's."""
        story = session.scenario
        times: dict[str, object] = dict(session.times.to_json())
        times |= {name: ms(session.times.ns(name, 0, session.seed)) for name in _TIMES}
        return cls(
            release=session.release.tag,
            scenario=story.name,
            handler=session.handler,
            times=times,
            component_tag=session.component,
            profile=session.profile,
            modality=session.modality,
            calls=session.calls if story.calls is None else None,
            preamble=session.preamble,
            idle_close=session.idle_close,
            tool_end=None if session.tool_end == story.tool_end else session.tool_end,
            workaround=session.workaround,
            knobs_given=vars(session.knobs),
            seed=session.seed,
        )

    @property
    def session(self) -> SessionConfig:
        """The session as the sliders stand.

        Raises:
            InputError: they stand where none can be.
        """
        at = {name: each.value for name, each in self.choices.items()}
        times = {**self._times, **{name: at.pop(name) for name in _TIMES}}
        settings = dict(self._settings)
        if SCENARIOS[at["scenario"]].calls is not None:
            settings["calls"] = None  # the story has its own number
        return SessionConfig.of(**at, times=times, **settings)

    def _another_story(self, change: Mapping[str, Any]) -> None:
        """A story's own times move the sliders: a slow tool is one by its time."""
        for name, text in SCENARIOS[change["new"]].times.items():
            if name in _TIMES:
                slider, at = self.choices[name], float(text)
                slider.max = max(slider.max, at)
                slider.value = at

    def _moved(self, _: object = None) -> None:
        try:
            recording = simulate(self.session)
            verdict = judge(recording)
        except (InputError, RuntimeError) as error:
            self.recording, self.verdict, self.error = None, None, str(error)
            self.says.value = f'<p role="alert"><strong>This cannot be played.</strong> {escape(str(error))}</p>'
            self.picture.value = ""
            return
        self.recording, self.verdict, self.error = recording, verdict, None
        self.says.value = f'<div aria-live="polite">{_verdict(verdict)}</div>'
        self.picture.value = svg_swimlane(recording)

    def _ipython_display_(self) -> None:
        """The widgets; and below them, as an output of its own, the session as it stood when the cell ran.

        A page made by nbconvert takes the widgets before any other form of the same output, and then shows nothing.
        """
        bundle = self._repr_mimebundle_()
        still = bundle.pop("text/html")
        display(bundle, raw=True)  # type: ignore[no-untyped-call]
        words = f"Where no sliders are shown: as they stood when this ran, {escape(bundle['text/plain'])}"
        display(HTML(f"<details><summary>{words}</summary>{still}</details>"))  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, **wanted: Any) -> dict[str, Any]:
        """The widgets, and for whoever has none the session as it stands."""
        bundle: dict[str, Any] = dict(self.widget._repr_mimebundle_(**wanted) or {})
        at = ", ".join(f"{name} {each.value}" for name, each in self.choices.items())
        still = f"<p>Sliders move in JupyterLab; here they stand at {escape(at)}.</p>"
        bundle["text/html"] = still + self.says.value + self.picture.value
        bundle["text/plain"] = f"{at}: {self.error or (self.verdict.outcome if self.verdict else '')}"
        return bundle


def _verdict(verdict: Verdict) -> str:
    """The worst tool turn in numbers."""
    stuck = {True: "the session is stuck", False: "the session goes on", None: "whether it goes on is unknown"}
    words = f"{glyph(verdict.outcome)} {verdict.outcome}: {verdict.why}; {stuck[verdict.wedged]}."
    rows = [(name, getattr(verdict.turn, field)) for field, name in _NUMBERS.items()] if verdict.turn is not None else []
    return f"<p>{escape(words)}</p>" + (table_html(["of the turn", ""], rows, "") if rows else "")


def _choice(name: str, value: str, options: list[str]) -> Any:
    one_of(name, value, options)
    return widgets.Dropdown(description=name, options=options, value=value, style=_WIDE)


def _slider(name: str, value: object) -> Any:
    words, end, step = _TIMES[name]
    try:
        at = float(str(value))
    except ValueError:
        raise InputError(name, f"{value!r} is no single number", "a slider stands at one number of ms") from None
    if not 0 <= at <= 86_400_000:
        raise InputError(name, f"{value!r}", "0 ms to a day")
    return widgets.FloatSlider(
        description=f"{words}, ms", min=0, max=max(end, at), step=step, value=at, readout_format=".1f", style=_WIDE
    )
