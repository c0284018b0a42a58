"""Sliders for one session. Each move simulates the session again and displays its verdict and picture.

The verdict is displayed before the picture is drawn. While the kernel processes a move, the front end keeps only the newest
further move, so a drag needs no timer. Without widgets, the notebook displays the session with the initial values.
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
from voicerace.report.notebook.display import STUCK, table_html
from voicerace.report.plots.style import glyph
from voicerace.report.plots.swimlane import svg_swimlane
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["Sliders"]

#: Time -> (label, maximum of the slider in ms, step in ms). A larger initial value raises the maximum.
_TIMES: Final[dict[str, tuple[str, float, float]]] = {
    "tool_ms": ("tool", 1000, 5),
    "gap_ms": ("gap", 1000, 5),
    "host_rtt_ms": ("host round trip", 400, 2),
    "upstream_rtt_ms": ("API round trip", 400, 2),
}
_WIDE: Final = {"description_width": "11em"}
#: Field of a turn -> its label.
_NUMBERS: Final = {
    "margin_ms": "margin, ms: the request at the API, minus the slot being free",
    "lead_ms": "lead, ms: the result at the proxy, minus response.done there",
    "dead_air_ms": "response latency, ms: until the reply is heard",
    "submissions": "results sent",
    "response_creates": "response.create after them",
    "refusals": "refused",
    "host_errors": "refusals that the host was notified of",
    "replies": "replies heard",
}


class Sliders:
    """Widgets for one session: sliders for its times, its verdict and its picture.

    Args:
        release, scenario, handler: the initial choices.
        times: initial times of the session, in ms or in the grammar of `voicerace.model.parameters`.
        settings: other arguments of `SessionConfig.of`, which stay fixed.

    Attributes:
        recording: the current session; None if the session is not possible.
        verdict: verdict of the current session; None if the session is not possible.
        error: the reason why the session is not possible; None if it is possible.
        says: widget with the verdict as HTML.
        picture: widget with the swimlane as HTML.

    Raises:
        InputError: an unknown name, or a time with a slider that is not one number.
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
        self.choices["scenario"].observe(self._scenario_changed, "value")
        for each in self.choices.values():
            each.observe(self._moved, "value")
        self._moved()

    @classmethod
    def of(cls, session: SessionConfig) -> Sliders:
        """Return sliders with the values of a session.

        For a random time, or a time per call, the slider has the first call's value.
        """
        scenario = session.scenario
        times: dict[str, object] = dict(session.times.to_json())
        times |= {name: ms(session.times.ns(name, 0, session.seed)) for name in _TIMES}
        return cls(
            release=session.release.tag,
            scenario=scenario.name,
            handler=session.handler,
            times=times,
            component_tag=session.component,
            profile=session.profile,
            modality=session.modality,
            calls=session.calls if scenario.calls is None else None,
            preamble=session.preamble,
            idle_close=session.idle_close,
            tool_end=None if session.tool_end == scenario.tool_end else session.tool_end,
            workaround=session.workaround,
            knobs_given=vars(session.knobs),
            seed=session.seed,
        )

    @property
    def session(self) -> SessionConfig:
        """Return the session with the current values of the sliders.

        Raises:
            InputError: these values do not give a valid session.
        """
        at = {name: each.value for name, each in self.choices.items()}
        times = {**self._times, **{name: at.pop(name) for name in _TIMES}}
        settings = dict(self._settings)
        if SCENARIOS[at["scenario"]].calls is not None:
            settings["calls"] = None  # the scenario sets the number of calls
        return SessionConfig.of(**at, times=times, **settings)

    def _scenario_changed(self, change: Mapping[str, Any]) -> None:
        """Move the sliders to the times that the new scenario sets."""
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
        """Display the widgets, and the session as HTML in a second output.

        If one output contains both, nbconvert selects the widgets and displays nothing.
        """
        bundle = self._repr_mimebundle_()
        still = bundle.pop("text/html")
        display(bundle, raw=True)  # type: ignore[no-untyped-call]
        title = f"Without sliders: the values when this ran, {escape(bundle['text/plain'])}"
        display(HTML(f"<details><summary>{title}</summary>{still}</details>"))  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, **wanted: Any) -> dict[str, Any]:
        """Return a notebook output with the widgets, and with the current session as HTML and text."""
        bundle: dict[str, Any] = dict(self.widget._repr_mimebundle_(**wanted) or {})
        at = ", ".join(f"{name} {each.value}" for name, each in self.choices.items())
        still = f"<p>Sliders work in JupyterLab; their values here: {escape(at)}.</p>"
        bundle["text/html"] = still + self.says.value + self.picture.value
        bundle["text/plain"] = f"{at}: {self.error or (self.verdict.outcome if self.verdict else '')}"
        return bundle


def _verdict(verdict: Verdict) -> str:
    """Return a verdict and the numbers of its most severe tool turn as HTML."""
    summary = f"{glyph(verdict.outcome)} {verdict.outcome}: {verdict.why}; {STUCK[verdict.wedged]}."
    rows = [(name, getattr(verdict.turn, field)) for field, name in _NUMBERS.items()] if verdict.turn is not None else []
    return f"<p>{escape(summary)}</p>" + (table_html(["of the turn", ""], rows, "") if rows else "")


def _choice(name: str, value: str, options: list[str]) -> Any:
    return widgets.Dropdown(description=name, options=options, value=one_of(name, value, options), style=_WIDE)


def _slider(name: str, value: object) -> Any:
    label, end, step = _TIMES[name]
    try:
        at = float(str(value))
    except ValueError:
        raise InputError(name, f"{value!r} is not one number", "one number of ms") from None
    if not 0 <= at <= 86_400_000:
        raise InputError(name, f"{value!r}", "0 ms to a day")
    return widgets.FloatSlider(
        description=f"{label}, ms", min=0, max=max(end, at), step=step, value=at, readout_format=".1f", style=_WIDE
    )
