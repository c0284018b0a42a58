"""Sliders for one session. Each move simulates the session, and the same session with an earlier result, and draws both.

While the kernel processes a move, the front end keeps only the newest further move, so a drag needs no timer. Without widgets,
the notebook displays the session with the initial values.
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
from voicerace.model.parameters import Times
from voicerace.report.notebook.display import STUCK, TURN_LABELS, outcome_words, table_html
from voicerace.report.plots.time_axis import svg_time_axis
from voicerace.trace.recording import Recording
from voicerace.units import ms

__all__ = ["Sliders"]

#: Times whose sliders are always visible -> (label, maximum of the slider in ms, step in ms). The other times of a session have
#: sliders in a folded part. A larger initial value raises the maximum.
_TIMES: Final[dict[str, tuple[str, float, float]]] = {
    "tool_ms": ("tool", 500, 1),
    "gap_ms": ("gap", 500, 1),
    "host_rtt_ms": ("host round trip", 400, 1),
    "upstream_rtt_ms": ("API round trip", 400, 1),
}
#: Slider of the second session, in ms.
_EARLIER: Final = ("result earlier by", 200.0, 1.0)
#: Width of the labels and the sliders.
_WIDE: Final = {"description_width": "13em"}
_FULL: Final = {"width": "99%"}


class Sliders:
    """Widgets for one session: a slider for each of its times, and its picture below that of an earlier result.

    Args:
        release, scenario, handler: the initial choices.
        times: initial times of the session, in ms or in the grammar of `voicerace.model.parameters`.
        earlier_ms: initial time by which the result of the second session is earlier.
        settings: other arguments of `SessionConfig.of`, which stay fixed.

    Attributes:
        recording: the current session; None if the session is not possible.
        verdict: verdict of the current session; None if the session is not possible.
        earlier: the session with the earlier result; None if one of the two is not possible.
        error: the reason why the session is not possible; None if it is possible.
        says: widget with both verdicts as HTML.
        picture: widget with both sessions on one time axis, as HTML.

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
        earlier_ms: float = 40,
        **settings: Any,
    ) -> None:
        self.recording: Recording | None = None
        self.earlier: Recording | None = None
        self.verdict: Verdict | None = None
        self.error: str | None = None
        given = dict(times or {})
        self._settings = settings
        profile, seed = str(settings.get("profile", "loopback")), int(settings.get("seed", 0))
        usual = PROFILES[one_of("profile", profile, PROFILES)].values
        self.choices: dict[str, Any] = {
            "release": _choice("release", proxy_release(release).tag, [*PROXIES, REFERENCE.tag]),
            "scenario": _choice("scenario", scenario, list(SCENARIOS)),
            "handler": _choice("handler", handler, list(HANDLERS)),
            **{name: _slider(name, given.get(name, usual[name])) for name in _TIMES},
        }
        values = Times.of({**SCENARIOS[scenario].times, **given}, profile)
        further = {name: ms(values.ns(name, 0, seed)) for name in values.values if name not in _TIMES}
        #: Further time -> (initial value of its slider, the time as given). A slider that was not moved keeps the given time.
        self._further = {name: (value, given.get(name)) for name, value in further.items()}
        self.choices |= {name: _wide(name, value, max(100.0, 4 * value), 1) for name, value in further.items()}
        label, end, step = _EARLIER
        self.earlier_ms = _wide(label, float(earlier_ms), end, step)
        self.says = widgets.HTML(layout=_FULL)
        self.picture = widgets.HTML(layout=_FULL)
        names = widgets.HBox(
            [self.choices[name] for name in ("release", "scenario", "handler")], layout={"flex_flow": "row wrap"}
        )
        sliders = widgets.VBox([*(self.choices[name] for name in _TIMES), self.earlier_ms], layout=_FULL)
        more = widgets.Accordion([widgets.VBox([self.choices[name] for name in further])], titles=["Further times"])
        self.widget = widgets.VBox([names, sliders, self.picture, self.says, more], layout=_FULL)
        self.choices["scenario"].observe(self._scenario_changed, "value")
        for each in (*self.choices.values(), self.earlier_ms):
            each.observe(self._moved, "value")
        self._moved()

    @classmethod
    def of(cls, session: SessionConfig, earlier_ms: float = 40) -> Sliders:
        """Return sliders with the values of a session, and with a result that is `earlier_ms` earlier in the second session.

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
            earlier_ms=earlier_ms,
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
        times = {name: at.pop(name) for name in _TIMES}
        times |= {
            name: given if (value := at.pop(name)) == initial else value for name, (initial, given) in self._further.items()
        }
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
        self.recording, self.earlier, self.verdict = None, None, None
        try:
            session = self.session
            by_ms = min(self.earlier_ms.value, self.choices["tool_ms"].value)
            recording, earlier = simulate(session), simulate(session.shifted(tool_ms=-by_ms))
            verdicts = {"as given": judge(recording), f"result {by_ms:g} ms earlier": judge(earlier)}
        except (InputError, RuntimeError) as error:
            self.error = str(error)
            self.says.value = f'<p role="alert"><strong>This cannot be played.</strong> {escape(str(error))}</p>'
            self.picture.value = ""
            return
        self.recording, self.earlier, self.verdict, self.error = recording, earlier, verdicts["as given"], None
        self.picture.value = svg_time_axis(dict(zip(verdicts, (recording, earlier), strict=True)))
        self.says.value = f'<div aria-live="polite">{_verdicts(verdicts)}</div>'

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
        bundle["text/html"] = still + self.picture.value + self.says.value
        bundle["text/plain"] = f"{at}: {self.error or (self.verdict.outcome if self.verdict else '')}"
        return bundle


def _verdicts(verdicts: Mapping[str, Verdict]) -> str:
    """Return verdicts and the numbers of their most severe tool turns as HTML, one column per verdict."""
    rows = [
        ("outcome", *(outcome_words(each.outcome) for each in verdicts.values())),
        ("why", *(each.why for each in verdicts.values())),
        ("session", *(STUCK[each.wedged] for each in verdicts.values())),
        *((name, *(getattr(each.turn, field, "") for each in verdicts.values())) for field, name in TURN_LABELS.items()),
    ]
    return table_html(["", *verdicts], rows, "")


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
    return _wide(label, at, end, step)


def _wide(label: str, at: float, end: float, step: float) -> Any:
    """Return a slider for a time in ms, as wide as the notebook."""
    return widgets.FloatSlider(
        description=f"{label}, ms",
        min=0,
        max=max(end, at),
        step=step,
        value=at,
        readout_format=".1f",
        style=_WIDE,
        layout=_FULL,
    )
