"""Display objects in notebooks: recordings as swimlanes, pictures with alternative text, other objects as tables.

`register` adds the formatters, so that recordings, verdicts, releases and runs do not depend on notebooks. Each picture is
displayed once, as an image, without pyplot. Text from a recording is escaped.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from functools import partial
from html import escape
from typing import Any, Final, Self

import pandas as pd
from IPython import get_ipython
from IPython.display import display
from markdown_it import MarkdownIt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voicerace.analysis.outcomes import TABLE
from voicerace.analysis.verdict import Verdict
from voicerace.conformance.hypotheses import SeenRecording, Suspicions
from voicerace.conformance.suspicions import SUSPICIONS
from voicerace.experiments.sweep.cell_ranges import share_text
from voicerace.experiments.sweep.result import SweepResult
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.report.images import image_of
from voicerace.report.plots.release_table import release_rows
from voicerace.report.plots.style import figure_of, glyph, to_image
from voicerace.report.plots.swimlane import alt_swimlane, plot_swimlane
from voicerace.trace.recording import Recording

__all__ = [
    "STUCK",
    "TURN_LABELS",
    "Linked",
    "frame_html",
    "image_bundle",
    "inline_html",
    "load_ipython_extension",
    "outcome_words",
    "print_progress",
    "register",
    "show",
    "show_table",
    "table_bundle",
    "table_html",
    "verdict_frame",
    "verdict_html",
]

#: `Verdict.wedged` as text.
STUCK: Final = {True: "the session is stuck", False: "the session continues", None: "whether it continues is unknown"}
#: Field of a turn -> its name in tables.
TURN_LABELS: Final = {
    "margin_ms": "margin, ms: the request at the API, minus the slot being free",
    "lead_ms": "lead, ms: the result at the proxy, minus response.done there",
    "dead_air_ms": "response latency, ms: until the reply is heard",
    "user_inputs": "user inputs",
    "submissions": "results sent",
    "own_submissions": "results sent by the app itself",
    "response_creates": "response.create after them",
    "refusals": "refused",
    "host_errors": "refusals that the host was notified of",
    "replies": "replies heard",
}
#: JupyterLab aligns the cells of tables to the right. Tables of this package have scoped headers.
_LEFT: Final = "<style>:is(.jp-RenderedHTMLCommon, .widget-html) table:has(th[scope]) :is(th, td) { text-align: left; }</style>"

Bundle = tuple[dict[str, Any], dict[str, Any]]

#: Markdown parser for table cells: code, emphasis and escapes, but no HTML, links or images.
_INLINE: Final = MarkdownIt("zero").enable(["backticks", "emphasis", "escape"])


class Linked(str):
    """Text of a table cell with a link to a part of the same page.

    Attributes:
        target: id of the part.
    """

    target: str

    def __new__(cls, text: str, target: str) -> Self:
        found = super().__new__(cls, text)
        found.target = target
        return found


def register(shell: Any = None) -> None:
    """Register the display of recordings, verdicts, releases, runs and suspicions in the running notebook.

    The cells of its tables are aligned to the left.

    Args:
        shell: an IPython shell; None selects the running shell. Without a shell, this function does nothing.
    """
    shell = shell if shell is not None else get_ipython()
    if shell is None:
        return
    formatter = shell.display_formatter.mimebundle_formatter
    formatter.for_type(Recording, _recording)
    formatter.for_type(Verdict, _verdict)
    formatter.for_type(ProxyRelease, _release)
    formatter.for_type(SweepResult, _run)
    formatter.for_type(SeenRecording, _seen)
    formatter.for_type(Suspicions, _suspicions)
    if getattr(shell, "kernel", None) is not None:  # a terminal would print the style
        display({"text/html": _LEFT, "text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]


def load_ipython_extension(shell: Any) -> None:
    """Register the display in `shell`. IPython calls this function for ``%load_ext voicerace.notebook``."""
    register(shell)


def show(picture: Axes | Figure, alt: str, caption: str = "") -> None:
    """Show a picture with its alternative text, once.

    Args:
        picture: axes or a figure. A pyplot figure is closed, so that the cell does not display it again.
        alt: the alternative text, with the numbers that the picture shows; see the ``alt_*`` functions.
        caption: text below the picture.

    Raises:
        InputError: there is no alternative text.
    """
    data, metadata = _image(picture, alt)
    display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
    if caption:
        html = {"text/html": f'<p class="caption">{inline_html(caption)}</p>', "text/plain": caption}
        display(html, raw=True)  # type: ignore[no-untyped-call]


def show_table(frame: pd.DataFrame, caption: str) -> None:
    """Show a DataFrame as a table with scoped header cells.

    Args:
        frame: the rows.
        caption: text above the table.
    """
    data, _ = table_bundle(frame, caption)
    display(data, raw=True)  # type: ignore[no-untyped-call]


def print_progress(name: str, states: int | None = None) -> None:
    """Print one line on standard error: the `name` of a task, and its number of `states`."""
    print(name if states is None else f"{name}: {states:,} states", file=sys.stderr, flush=True)


def inline_html(text: str) -> str:
    """Return one line of Markdown as HTML. Only code, emphasis and backslash escapes are markup. Other text is escaped."""
    return str(_INLINE.renderInline(text))


def table_html(columns: Sequence[str], rows: Any, caption: str) -> str:
    """Return an HTML table. Missing values are empty cells. Cells and caption are inline Markdown.

    Args:
        columns: the header cells.
        rows: sequences of cells. The first cell of a row is its header.
        caption: the caption, or an empty text.
    """
    head = "".join(f'<th scope="col">{inline_html(name)}</th>' for name in columns)
    body = []
    for row in rows:
        first, *rest = (_cell(value) for value in row)
        body.append(f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{value}</td>" for value in rest) + "</tr>")
    title = f"<caption>{inline_html(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def verdict_html(verdict: Verdict) -> str:
    """Return a verdict as an HTML table, see `verdict_frame`."""
    return frame_html(*verdict_frame(verdict))


def verdict_frame(verdict: Verdict) -> tuple[pd.DataFrame, str]:
    """Return a verdict as a table with one column per tool turn and with the kind of each count, and its caption."""
    caption = (
        f"{glyph(verdict.outcome)} {verdict.outcome}; {STUCK[verdict.wedged]}; session.update: {_cell(verdict.session_updates)}"
    )
    turns = [f"turn {number}" for number in range(1, len(verdict.turns) + 1)] or ["no tool turn"]
    rows = [
        ["outcome", *([outcome_words(turn.outcome) for turn in verdict.turns] or [""])],
        ["why", *([turn.why for turn in verdict.turns] or [""])],
        ["function calls", *([", ".join(turn.calls) for turn in verdict.turns] or [""])],
    ]
    for name, label in TURN_LABELS.items():
        kind = f" ({verdict.kinds[name]})" if name in verdict.kinds else ""
        rows.append([label + kind, *([_plain(getattr(turn, name)) for turn in verdict.turns] or [""])])
    return pd.DataFrame(rows, columns=["", *turns], dtype=object), caption


def outcome_words(outcome: str) -> str:
    """Return an outcome with its effect on the user, in words."""
    return f"{glyph(outcome)} {outcome}: {TABLE[outcome].meaning}"


def _plain(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return "unknown" if value is None else ""
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _cell(value: object) -> str:
    text = inline_html(_plain(value))
    return f'<a href="#{escape(value.target)}">{text}</a>' if isinstance(value, Linked) else text


def _image(picture: Axes | Figure, alt: str) -> Bundle:
    """Return (data, metadata) of a notebook output with a picture."""
    kind, image = to_image(picture, alt)
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close(figure_of(picture))
    return image_bundle(kind, image, alt)


def image_bundle(kind: str, image: bytes, alt: str, **metadata: str) -> Bundle:
    """Return (data, metadata) of a notebook output with an image file, its alternative text and further metadata."""
    content = image.decode("utf-8") if kind == "image/svg+xml" else base64.b64encode(image).decode("ascii")
    return {kind: content, "text/plain": alt}, {kind: {"alt": alt, **metadata}}


def _recording(recording: Recording, **_: Any) -> Bundle:
    alt = alt_swimlane(recording)
    return image_bundle(*image_of(partial(plot_swimlane, recording), alt), alt)


def _verdict(verdict: Verdict, **_: Any) -> Bundle:
    plain = f"{verdict.outcome}: {verdict.turn.why if verdict.turn is not None else 'no function call'}"
    return {"text/html": verdict_html(verdict), "text/plain": plain}, {}


def _release(release: ProxyRelease, **_: Any) -> Bundle:
    published = f", published as {release.published}" if release.published else ""
    number = f"voice-agent-backend {release.backend}{published}, " if release.backend else "no release: "
    caption = f"{release.tag}: {number}generation {release.generation}"
    rows = release_rows(release)
    plain = "\n".join([caption, *(f"{name}: {text}" for name, text in rows)])
    return {"text/html": table_html(["rule", "behaviour"], rows, caption), "text/plain": plain}, {}


def _run(run: SweepResult, **_: Any) -> Bundle:
    """Return (data, metadata) of a notebook output with the settings and outcomes of a run, and the name of its folder."""
    done, planned = run.info["trials"]["done"], run.info["trials"]["planned"]
    stopped = "" if run.complete else ", stopped early"
    clock = "virtual time" if run.info["clock"] == "virtual" else "real sockets"
    targets = ", ".join(str(each["name"]) for each in run.info["targets"]["proxy"])
    parameters = run.info["parameters"]
    swept = ", ".join(f"{name} {text}" for name, text in parameters["times"].items())
    caption = f"Run {run.folder.name}: {done:,} of {planned:,} trials{stopped}; {clock}; {targets}"
    assumed = ", ".join(f"{name}={text}" for name, text in run.assumed.items())
    facts = f"times: {swept or 'as in the profile'}; profile {parameters['profile']}; seed {run.info['seed']}"
    facts += f"; assumed times in ms (none given): {assumed}" if assumed else ""
    data, _ = table_bundle(_outcomes(run), caption)
    return {
        "text/html": f"{data['text/html']}<p>{escape(facts)}; begun {escape(str(run.info['start']))}</p>",
        "text/plain": f"{data['text/plain']}\n{facts}",
    }, {}


def _outcomes(run: SweepResult) -> pd.DataFrame:
    """Return one row per outcome in each range of neighbouring equal cells, with 95 % intervals if the run has them."""
    ranges = run.ranges()
    shares = [share_text(each) for each in ranges["share"]]
    words = [TABLE[name].meaning for name in ranges["outcome"]]
    outcomes = ranges.assign(outcome=[f"{glyph(name)} {name}" for name in ranges["outcome"]], share=shares, meaning=words)
    outcomes = outcomes.rename(columns={"trials": "count per cell", "of": "trials per cell"})
    if outcomes["low"].isna().all():
        return outcomes.drop(columns=["judged", "low", "high"])
    bounds = zip(outcomes["low"], outcomes["high"], strict=True)
    interval = ["" if pd.isna(low) else f"{share_text(low)} to {share_text(high)}" for low, high in bounds]
    outcomes.insert(list(outcomes.columns).index("low"), "95 % interval", interval)
    return outcomes.drop(columns=["judged", "low", "high"])


def _seen(seen: SeenRecording, **_: Any) -> Bundle:
    provenance = seen.recording.provenance
    names = [str(provenance[name]) for name in ("proxy", "scenario", "handler") if provenance.get(name)]
    caption = f"{seen.how}: {', '.join(names)}; the session is {seen.verdict.outcome}"
    return table_bundle(seen.rows(), caption)


def _suspicions(found: Suspicions, **_: Any) -> Bundle:
    modelled = sum(each.model.sessions for each in found.answers[:: len(SUSPICIONS)])
    recorded = sum(each.real.sessions for each in found.answers[:: len(SUSPICIONS)])
    return table_bundle(
        found.table, f"Sessions that show it, of {modelled:,} of models and {recorded:,} recorded of running proxies"
    )


def frame_html(frame: pd.DataFrame, caption: str) -> str:
    """Return a DataFrame as an HTML table, see `table_html`."""
    return table_html(list(map(str, frame.columns)), frame.itertuples(index=False), caption)


def table_bundle(frame: pd.DataFrame, caption: str) -> Bundle:
    """Return (data, metadata) of a notebook output with a DataFrame, as HTML and text."""
    return {"text/html": frame_html(frame, caption), "text/plain": f"{caption}\n{frame.to_string(index=False)}"}, {}
