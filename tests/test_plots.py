"""Test that the plots show the data, are accessible and are reproducible. The tests read the plotted data, not pixels."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyArrowPatch, Rectangle
from traitlets.config import Config

from voicerace.analysis.verdict import OUTCOMES, judge
from voicerace.conformance.hypotheses import suspicions
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.sweep.sweep import sweep, trials_of
from voicerace.model.catalog.releases import PROXIES, REFERENCE
from voicerace.model.catalog.slot import SLOT
from voicerace.model.protocol import agent, realtime
from voicerace.report.notebook import display as notebook
from voicerace.report.notebook import field_tables
from voicerace.report.plots import (
    STYLES,
    alt_map,
    alt_outcome,
    alt_slot,
    alt_swimlane,
    glyph,
    plot_map,
    plot_outcome,
    plot_slot,
    plot_swimlane,
    release_table,
    svg_swimlane,
    to_image,
)
from voicerace.report.plots.gap_map import cells_of
from voicerace.report.plots.outcome import bands, compared, edges, margin_offset
from voicerace.report.plots.slot import arrows
from voicerace.report.plots.style import figure_of
from voicerace.report.plots.swimlane_rows import MessageRow, lanes_of
from voicerace.trace.recording import Event, Link, Recording

NETWORK = {"host_rtt_ms": 20, "upstream_rtt_ms": 60, "ack_ms": 35, "gap_ms": 300, "create_ms": 40}
SESSIONS: dict[str, dict[str, Any]] = {
    "rejected": {"release": "0.9.1"},
    "rejected, network": {"release": "0.9.1", "times": {**NETWORK, "tool_ms": 100}},
    "stalled": {"release": "0.9.4", "times": {"tool_ms": 200}},
    "stalled, network": {"release": "0.9.4", "times": {**NETWORK, "tool_ms": 400}},
    "lost": {"release": "0.11.1"},
    "lost, network": {"release": "0.11.1", "times": NETWORK},
    "stale": {"release": "0.9.4", "handler": "void_ref", "modality": "text", "times": {"tool_ms": 500}},
    "stale, network": {"release": "0.9.4", "handler": "void_ref", "times": {**NETWORK, "tool_ms": 900}},
    "noisy": {"release": "0.9.1", "handler": "void_ref", "times": {"tool_ms": 500}},
    "parallel": {"release": "0.9.1", "scenario": "parallel", "calls": 3},
    "parallel, network": {"release": "0.11.1", "scenario": "parallel", "calls": 3, "times": NETWORK},
    "audio": {"release": "0.9.1", "modality": "audio", "times": {**NETWORK, "tool_ms": 400}},
    "preamble": {"release": "0.9.1", "preamble": True},
}


@pytest.fixture(scope="module")
def recordings() -> dict[str, Recording]:
    return {name: simulate(SessionConfig.of(**words)) for name, words in SESSIONS.items()}


@pytest.fixture(scope="module")
def trials() -> pd.DataFrame:
    return trials_of({"releases": "0.9.1,0.9.4,0.11.1", "times": {"tool_ms": "100:200:25"}})


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    spec = {"releases": "0.9.1", "trials": 8, "times": {"gap_ms": "uniform(100,200)", "tool_ms": "50:250:100"}, "ties": False}
    return trials_of(spec)


@pytest.fixture(scope="module")
def plane() -> pd.DataFrame:
    return trials_of({"releases": "0.9.1,0.11.1", "ties": False, "times": {"gap_ms": "0:200:50", "tool_ms": "0:200:50"}})


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def rows(recording: Recording) -> list[MessageRow]:
    return list(lanes_of(recording).rows)


# -- style -----------------------------------------------------------------------------------------------------------


def test_outcomes_differ_in_colour_marker_and_glyph() -> None:
    assert set(STYLES) == set(OUTCOMES)
    for look in ("colour", "marker", "glyph"):
        assert len({getattr(style, look) for style in STYLES.values()}) == len(STYLES)
    plain = [name for name, style in STYLES.items() if not style.hatch]
    assert plain == ["unknown", "answered"]  # "unknown" is white, and "answered" is not a finding
    assert len({style.hatch for style in STYLES.values()}) == len(STYLES) - 1


def luminance(colour: str) -> float:
    parts = [
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in mpl.colors.to_rgb(colour)
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def test_text_on_every_colour_is_readable() -> None:
    for name, style in STYLES.items():
        light, dark = sorted((luminance(style.colour), luminance(style.text)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def test_every_glyph_is_in_the_font() -> None:
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    known = FT2Font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap()
    assert all(ord(sign) in known for style in STYLES.values() for sign in style.glyph)


def test_an_image_requires_alt_text() -> None:
    with pytest.raises(InputError, match="alt"):
        to_image(plot_slot(), "  ")


def test_image_bytes_do_not_depend_on_the_notebooks_settings() -> None:
    first = to_image(plot_slot(), "the slot")
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "svg.hashsalt": None}):
        second = to_image(plot_slot(), "the slot")
    assert first == second
    assert first[0] == "image/svg+xml"


def test_an_svg_has_its_alt_text_escaped_and_loads_no_address() -> None:
    _, image = to_image(plot_slot(), 'a "slot" <b>\n in two lines')
    svg = image.decode()
    assert 'role="img" aria-label="a &quot;slot&quot; &lt;b&gt; in two lines"' in svg
    assert svg.startswith("<svg")
    assert "<metadata" not in svg
    assert 'href="http' not in svg


def test_a_plot_too_large_for_svg_is_a_png_at_twice_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicerace.report.plots.style._SVG_LIMIT", 100)
    ax = plot_slot()
    kind, image = to_image(ax, "the slot")
    assert kind == "image/png"
    assert image == to_image(plot_slot(), "the slot")[1]
    assert int.from_bytes(image[16:20], "big") == round(figure_of(ax).get_figwidth() * 200)


@pytest.mark.long
def test_plots_do_not_use_pyplot() -> None:
    code = "import sys, voicerace.plots, voicerace.report.notebook.display; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- swimlane rows ---------------------------------------------------------------------------------------------------


def test_the_users_last_message_shows_whether_the_session_still_works(recordings: Mapping[str, Recording]) -> None:
    assert rows(recordings["stalled"])[-1].label == "user speaks again, in vain"
    assert rows(recordings["lost"])[-1].label == "user speaks again, and is answered"


def test_the_rows_show_the_race_and_nothing_else(recordings: Mapping[str, Recording]) -> None:
    assert [(row.sender, row.label) for row in rows(recordings["rejected"])] == [
        ("host", "user message"),
        ("proxy", "item: user message"),
        ("proxy", "response.create"),
        ("upstream", "response.created"),
        ("upstream", "function call"),
        ("proxy", "FunctionCallRequest"),
        ("host", "result from the app"),
        ("proxy", "item: result"),
        ("proxy", "response.create ✗"),
        ("upstream", "✗ refused: resp_0001 active"),
        ("upstream", "result confirmed"),
        ("proxy", "✗ Error: active response"),
        ("upstream", "response.done"),
        ("host", "user speaks again, and is answered"),
    ]


def test_time_zero_is_the_function_call(recordings: Mapping[str, Recording]) -> None:
    for recording in recordings.values():
        call = next(row for row in rows(recording) if row.kind == "call")
        assert call.sent_ns == 0
        assert call.sender == "upstream"


def test_a_result_names_its_sender(recordings: Mapping[str, Recording]) -> None:
    host = [(row.label, row.kind) for row in rows(recordings["stale"]) if row.sender == "host"]
    assert ("default error from the component", "default_error") in host
    assert ("result from the app", "result") in host


def test_a_reply_shows_whether_it_used_the_result(recordings: Mapping[str, Recording]) -> None:
    replies = {
        name: [row.label for row in rows(recordings[name]) if row.kind == "reply"] for name in ("stale", "noisy", "preamble")
    }
    assert replies["stale"] == ["reply begins WITHOUT the result"]
    assert replies["noisy"] == ["reply begins, knows the result"]
    assert replies["preamble"][0] == "speaks before the call"


def test_deltas_are_one_arrow(recordings: Mapping[str, Recording]) -> None:
    audio = [row for row in rows(recordings["audio"]) if row.kind == "reply"]
    assert [row.folded for row in audio] == [5]  # two audio deltas, two transcript deltas, and the end of the transcript
    assert [row.label for row in rows(recordings["audio"]) if row.folded > 1 and row.kind == "plain"] == ["audio"]


def test_silence_is_annotated(recordings: Mapping[str, Recording]) -> None:
    notes = {name: [row.note for row in rows(recordings[name]) if row.note] for name in ("lost", "stalled", "rejected")}
    assert notes == {"lost": ["the host is not notified"], "stalled": ["no response.create is sent"], "rejected": []}


def test_several_calls_and_results_are_numbered(recordings: Mapping[str, Recording]) -> None:
    found = [row.label for row in rows(recordings["parallel"])]
    assert [label for label in found if label.startswith("FunctionCallRequest")] == [
        f"FunctionCallRequest {n}" for n in (1, 2, 3)
    ]
    assert [label for label in found if "from the app" in label] == [f"result {n} from the app" for n in (1, 2, 3)]


def test_the_bar_spans_the_slot_from_acceptance_to_response_done(recordings: Mapping[str, Recording]) -> None:
    lanes = lanes_of(recordings["lost, network"])
    by_seq = {row.seq: row for row in lanes.rows}
    (bar,) = lanes.bars
    assert bar.create is not None
    assert bar.created is not None
    assert bar.done is not None
    taken, done = by_seq[bar.create].received_ns, by_seq[bar.done].sent_ns
    refused = next(row for row in lanes.rows if row.kind == "refused")
    assert taken < by_seq[bar.created].sent_ns < refused.received_ns < done == 300_000_000
    assert bar.held_ns == done - taken


def test_the_all_window_adds_the_connection_and_the_last_turn(recordings: Mapping[str, Recording]) -> None:
    recording = recordings["rejected"]
    everything = [row.label for row in lanes_of(recording, "all").rows]
    assert everything[0] == "session.created"
    assert everything[-1] == "connection closed"
    assert [bar.response_id for bar in lanes_of(recording, "all").bars] == ["resp_0001", "resp_0002"]
    assert [bar.response_id for bar in lanes_of(recording).bars] == ["resp_0001"]


def test_a_recording_without_a_tool_turn_is_shown_as_unknown() -> None:
    empty = Recording(events=(), complete=False)
    assert lanes_of(empty).rows == ()
    plot_swimlane(empty)
    assert "unknown" in alt_swimlane(empty)


def test_a_log_of_one_link_and_one_end_is_drawn_with_its_limits_stated(recordings: Mapping[str, Recording]) -> None:
    upstream = (Link("proxy", "upstream"), Link("upstream", "proxy"))
    seen = tuple(
        replace(event, sent_ns=None, observed_at="log")
        if event.seq % 2
        else replace(event, received_ns=None, observed_at="log")
        for event in recordings["rejected"].on(*upstream)
    )
    log = Recording(seen, {}, "log", upstream, complete=False)
    lanes = lanes_of(log)
    assert lanes.unseen == ("not recorded between host and proxy",)
    assert {row.sender for row in lanes.rows} == {"proxy", "upstream"}
    assert all(row.sent_ns == row.received_ns for row in lanes.rows)
    assert any("not recorded" in text for text in texts(plot_swimlane(log)))


def test_events_without_any_time_keep_their_order() -> None:
    upstream = (Link("proxy", "upstream"), Link("upstream", "proxy"))
    payloads = [realtime.create_response(), realtime.refusal("event_1", "resp_9", None)]
    events = tuple(
        Event(seq, link, "message", None, None, payload, "log")
        for seq, (link, payload) in enumerate(zip(upstream, payloads, strict=True))
    )
    assert [row.seq for row in lanes_of(Recording(events, {}, "log", upstream, complete=False)).rows] == [0, 1]


def test_a_message_that_never_arrived_is_marked() -> None:
    link = Link("component", "proxy")
    event = Event(0, link, "message", 0, None, agent.inject_user_message("hello"))
    recording = Recording((event,), complete=False)
    assert [row.arrived for row in lanes_of(recording).rows] == [False]
    assert "✗ not delivered" in texts(plot_swimlane(recording))


# -- swimlane drawing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SESSIONS)
@pytest.mark.parametrize("window", ["turn", "all"])
@pytest.mark.long
def test_labels_neither_overlap_nor_leave_the_picture(recordings: Mapping[str, Recording], name: str, window: Any) -> None:
    ax = plot_swimlane(recordings[name], window=window)
    figure = figure_of(ax)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in ax.texts]
    for (one, left), (other, right) in combinations(boxes, 2):
        shrunk = left.padded(-1)  # shrink the box, since touching labels do not overlap
        assert not shrunk.overlaps(right.padded(-1)), (one, other)
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y0 >= 0, text
        assert box.y1 <= figure.bbox.y1, text


@pytest.mark.parametrize("name", SESSIONS)
def test_text_is_at_least_8_points_at_column_width(recordings: Mapping[str, Recording], name: str) -> None:
    ax = plot_swimlane(recordings[name])
    assert min(text.get_fontsize() for text in ax.texts) >= 8
    assert figure_of(ax).get_figwidth() * 100 == pytest.approx(710)


def test_every_row_is_an_arrow_and_the_refusal_is_marked(recordings: Mapping[str, Recording]) -> None:
    ax = plot_swimlane(recordings["rejected"])
    assert len([patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]) == len(rows(recordings["rejected"]))
    assert [line.get_marker() for line in ax.lines if line.get_marker() == "X"] == ["X"]
    assert "✗ refused: resp_0001 active" in texts(ax)
    assert "✗ rejected" in texts(ax)


def test_later_events_are_never_drawn_higher(recordings: Mapping[str, Recording]) -> None:
    from voicerace.report.plots.swimlane import _layout

    for recording in recordings.values():
        lanes = lanes_of(recording)
        layout = _layout(lanes)
        ends = [(row.sent_ns, layout.sent[row.seq]) for row in lanes.rows]
        ends += [(row.received_ns, layout.received[row.seq]) for row in lanes.rows]
        for (early, above), (late, below) in combinations(sorted(ends), 2):
            assert early == late or above < below


def test_a_swimlane_is_byte_identical_when_drawn_twice(recordings: Mapping[str, Recording]) -> None:
    recording = recordings["parallel, network"]
    words = alt_swimlane(recording)
    assert to_image(plot_swimlane(recording), words) == to_image(plot_swimlane(recording), words)


def test_a_swimlane_draws_into_the_given_axes(recordings: Mapping[str, Recording]) -> None:
    ax = plot_slot()
    assert plot_swimlane(recordings["lost"], ax=ax) is ax


def test_text_of_a_log_is_not_parsed_as_markup() -> None:
    link = Link("proxy", "component")
    event = Event(0, link, "message", 0, 0, agent.error("x", "$\\frac{$"))
    ax = plot_swimlane(Recording((event,), {"release": "$x_1$"}, complete=False))
    assert to_image(ax, "a log")[1]


def test_the_alt_text_of_the_swimlane_has_the_numbers(recordings: Mapping[str, Recording]) -> None:
    words = alt_swimlane(recordings["rejected"])
    assert "proxy 0.9.1 (model), scenario single, handler return" in words
    assert "50 host to proxy: result from the app" in words
    assert "50 proxy to upstream: response.create (refused)" in words
    assert "held by resp_0001 from −15 to 150 ms" in words
    assert "the host is not notified" in alt_swimlane(recordings["lost"])
    assert "stays stuck" in alt_swimlane(recordings["stalled"])


# -- outcome over delay ----------------------------------------------------------------------------------------------


def test_cells_join_halfway_and_a_tie_shows_both_outcomes(trials: pd.DataFrame) -> None:
    found = bands(trials)
    first = found[found["release"] == "0.9.1"]
    assert first["low"].tolist() == [87.5, 112.5, 137.5, 137.5, 162.5, 187.5]
    tie = first[first["kind"] == "tie"]
    assert tie[["outcome", "share", "bottom"]].to_numpy().tolist() == [["answered", 0.5, 0.0], ["rejected", 0.5, 0.5]]
    assert edges([5]) == [4.5, 5.5]
    assert edges([]) == []


def test_the_flip_is_labelled_at_its_position(trials: pd.DataFrame) -> None:
    ax = plot_outcome(trials)
    assert texts(ax) == ["150"] * 3
    assert {text.get_position()[0] for text in ax.texts} == {150.0}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.9.1", "0.9.4", "0.11.1"]
    between = plot_outcome(trials[trials["tool_ms"] != 150].assign(tie_outcome=None))
    assert texts(between) == ["125–175"] * 3


def test_areas_have_the_outcomes_colour_and_hatch(trials: pd.DataFrame) -> None:
    ax = plot_outcome(trials)
    areas = [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_fill()]
    drawn = {(mpl.colors.to_hex(patch.get_facecolor()).upper(), patch.get_hatch() or "") for patch in areas}
    assert drawn == {(STYLES[name].colour, STYLES[name].hatch) for name in ("answered", "rejected", "stalled", "lost")}
    legend = figure_of(ax).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["✓ answered", "✗ rejected", "∅ lost", "… stalled"]


def test_real_sessions_are_marked_as_agreeing_or_not(trials: pd.DataFrame) -> None:
    real = pd.DataFrame(
        [("0.9.1", 100, "rejected"), ("0.9.1", 150, "rejected"), ("0.11.1", 200, "stalled"), ("0.9.9", 1, "lost")],
        columns=["release", "tool_ms", "outcome"],
    )
    both = compared(real, trials)
    assert both[["outcome", "agrees"]].to_numpy().tolist() == [["rejected", True], ["rejected", True], ["stalled", False]]
    ax = plot_outcome(trials, real=real)
    points = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert [line.get_marker() for line in points] == ["X", "X", "s"]
    rings = [line for line in ax.lines if line.get_markersize() == 16]
    assert [tuple(line.get_xdata()) for line in rings] == [(200,)]
    assert ax.get_title(loc="left") == "Points: 3 sessions of the running proxies, 2 as computed, 1 not (ringed)"
    assert "0.11.1 at 200 ms was stalled" in alt_outcome(trials, real=real)
    # Between two computed values the position of the border is unknown.
    # A session there agrees if it has the outcome of either neighbour.
    between = pd.DataFrame({"release": "0.9.4", "tool_ms": [151, 174, 174], "outcome": ["answered", "stalled", "lost"]})
    coarse = trials[trials["tool_ms"].isin((125, 175))].assign(tie_outcome=None)
    assert compared(between, coarse)["agrees"].tolist() == [True, True, False]
    assert compared(between.assign(tool_ms=176), coarse).empty


def test_real_sessions_must_name_their_band() -> None:
    found = trials_of({"handlers": "return,void_ref", "times": {"tool_ms": "50:60:10"}, "ties": False})
    real = pd.DataFrame({"release": ["0.9.1"], "tool_ms": [50], "outcome": ["rejected"]})
    with pytest.raises(InputError, match="handler"):
        compared(real, found)
    assert compared(real.assign(handler="void_ref"), found)["band"].tolist() == ["0.9.1 · void_ref"]


def test_drawn_times_are_shares_without_flips(drawn: pd.DataFrame) -> None:
    found = bands(drawn)
    assert found.groupby("at")["share"].sum().tolist() == [1.0, 1.0, 1.0]
    assert found["count"].sum() == 24
    assert texts(plot_outcome(drawn)) == []
    assert " of 24 rejected" in alt_outcome(drawn)
    with pytest.raises(InputError, match="gap_ms is drawn"):
        bands(drawn, "gap_ms")


def test_the_margin_axis_is_shown_only_where_it_is_a_shift_of_the_first(trials: pd.DataFrame) -> None:
    # In generation B response.create follows an event, so its margin does not depend on the tool time.
    assert margin_offset(trials) == (-150.0, ["0.9.1", "0.11.1"])
    assert [axis.get_xlabel() for axis in plot_outcome(trials).child_axes] == [
        "margin of 0.9.1, 0.11.1: request at the API minus slot free (ms)"
    ]
    # With a network, generation D sends response.create at different events. The axis then applies only to generation A.
    network = trials_of({"releases": "0.9.1,0.11.1", "times": {**NETWORK, "tool_ms": "0:400:100"}, "ties": False})
    assert margin_offset(network) == (-220.0, ["0.9.1"])
    differing = trials.assign(margin_ms=trials["tool_ms"] - trials["release"].map({"0.9.1": 10, "0.9.4": 20, "0.11.1": 20}))
    assert margin_offset(differing) is None
    assert plot_outcome(differing).child_axes == []


def test_the_alt_text_of_the_outcome_plot_has_every_flip(trials: pd.DataFrame) -> None:
    words = alt_outcome(trials)
    assert (
        "0.9.1: rejected from 100 to 125 ms then answered or rejected (a tie) at 150 ms then answered from 175 to 200 ms"
        in words
    )
    assert "0.9.4: answered from 100 to 125 ms then stalled" in words


# -- map -------------------------------------------------------------------------------------------------------------


def test_the_map_has_a_cell_per_session(plane: pd.DataFrame) -> None:
    cells = cells_of(plane, release="0.9.1")
    assert len(cells) == 25
    rejected = set(zip(*(cells[cells["outcome"] == "rejected"][name] for name in ("gap_ms", "tool_ms")), strict=True))
    assert rejected == {(gap, tool) for gap in range(0, 201, 50) for tool in range(0, 201, 50) if tool < gap}


def test_the_areas_cover_the_map_without_overlap(plane: pd.DataFrame) -> None:
    ax = plot_map(plane, release="0.9.1")
    areas = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert sum(patch.get_width() * patch.get_height() for patch in areas) == pytest.approx(250 * 250)
    assert len(areas) < 25


@pytest.mark.parametrize(("x", "y"), [("gap_ms", "tool_ms"), ("tool_ms", "gap_ms")])
def test_the_measured_gap_is_marked_with_its_source(plane: pd.DataFrame, x: str, y: str) -> None:
    ax = plot_map(plane, x=x, y=y, release="0.9.1")
    assert "measured gap: 8 ms (livekit/agents #1056, January 2025, beta API)" in texts(ax)
    lines = [line.get_xdata() if x == "gap_ms" else line.get_ydata() for line in ax.lines if len(line.get_xdata()) == 2]
    assert [list(line) for line in lines] == [[8, 8]]
    assert not any("measured" in text for text in texts(plot_map(plane, release="0.9.1", observed=False)))
    assert "8 ms (livekit/agents #1056" in alt_map(plane, release="0.9.1")


def test_captured_sessions_are_points_with_their_outcome(plane: pd.DataFrame) -> None:
    points = pd.DataFrame({"gap_ms": [100, 20], "tool_ms": [20, 50], "outcome": ["lost", None]})
    ax = plot_map(plane, release="0.11.1", points=points)
    found = [line.get_marker() for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert found == [STYLES["lost"].marker, STYLES["unknown"].marker]
    with pytest.raises(InputError, match="gap_ms"):
        plot_map(plane, release="0.11.1", points=points.drop(columns="gap_ms"))


def test_a_map_shows_one_release(plane: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="release: not given"):
        plot_map(plane)
    with pytest.raises(InputError, match="not among"):
        plot_map(plane, release="0.9.4")
    with pytest.raises(InputError, match="ack"):
        plot_map(plane, x="ack", release="0.9.1")
    with pytest.raises(InputError, match="differ by handler"):
        cells_of(pd.concat([plane, plane.assign(handler="void_ref")]), release="0.9.1")


def test_the_alt_text_of_the_map_has_counts_and_changes(plane: pd.DataFrame) -> None:
    words = alt_map(plane, release="0.9.1")
    assert "25 sessions: 15 answered, 10 rejected" in words
    assert "At gap_ms 200 ms, tool_ms from 0 ms rejected, 200 ms answered." in words


# -- slot and releases -----------------------------------------------------------------------------------------------


def test_every_row_of_the_slot_table_is_in_the_diagram() -> None:
    drawn = [(state, event) for (state, _, _), events in arrows().items() for event, _ in events]
    assert sorted(drawn) == sorted(SLOT)
    ax = plot_slot()
    assert {"free", "taken", "active", "draining"} <= set(texts(ax))
    moves = {(state, row.next) for (state, _), row in SLOT.items() if not row.refused}
    assert len([patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]) == len(moves)
    refused = [text for text in texts(ax) if text.startswith("✗ response.")]
    assert len(refused) == len({state for (state, _), row in SLOT.items() if row.refused})
    assert "taken: response.create is refused (trace)" in alt_slot()


def test_the_labels_of_the_slot_do_not_overlap() -> None:
    ax = plot_slot()
    renderer = FigureCanvasAgg(figure_of(ax)).get_renderer()
    for left, right in combinations([text.get_window_extent(renderer) for text in ax.texts], 2):
        assert not left.overlaps(right)


def test_the_release_table_has_glyphs_with_names_and_flips(trials: pd.DataFrame) -> None:
    table = release_table(trials).set_index("release")
    assert table.loc["0.9.1", "outcome over tool_ms"] == "✗ rejected | 150 | ✓ answered"
    assert table.loc["0.11.1", "create"] == "at text done or response.done or result confirmed, or after 20 s"
    assert table.loc["0.11.1", "refusal"] == "hidden"
    assert release_table()["release"].tolist() == list(PROXIES)
    assert glyph("lost") == "∅"


# -- notebooks -------------------------------------------------------------------------------------------------------


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    notebook.load_ipython_extension(shell)
    return shell


def test_a_recording_is_displayed_once_with_its_alt_text(shell: InteractiveShell, recordings: Mapping[str, Recording]) -> None:
    data, metadata = shell.display_formatter.format(recordings["lost"])
    assert set(data) == {"image/svg+xml", "text/plain"}
    assert data["text/plain"] == metadata["image/svg+xml"]["alt"] == alt_swimlane(recordings["lost"])


def test_a_verdict_is_displayed_as_a_small_table(shell: InteractiveShell, recordings: Mapping[str, Recording]) -> None:
    data, _ = shell.display_formatter.format(judge(recordings["rejected"]))
    assert data["text/plain"].startswith("rejected: the create was refused")
    assert '<th scope="row">refused (observed)</th><td>1</td>' in data["text/html"]
    assert '<th scope="col">turn 1</th>' in data["text/html"]


def test_a_release_is_displayed_as_a_table_of_its_rules(shell: InteractiveShell) -> None:
    shown = {tag: shell.display_formatter.format(PROXIES[tag])[0]["text/html"] for tag in ("0.9.1", "0.9.4", "0.11.1")}
    assert "0.9.1: voice-agent-backend 0.2.1, generation A1" in shown["0.9.1"]
    assert '<th scope="row">response.create after a result</th><td>at once</td>' in shown["0.9.1"]
    assert "<td>at text done or response.done</td>" in shown["0.9.4"]
    assert "or after 20 s" in shown["0.11.1"]
    assert "hidden from the host" in shown["0.11.1"]
    assert "no release" in shell.display_formatter.format(REFERENCE)[0]["text/html"]


def test_a_sweep_displays_its_outcomes_and_no_file_path(shell: InteractiveShell, tmp_path: Path) -> None:
    run = sweep({"releases": ["0.9.1"], "times": {"tool_ms": "0:200:100"}}, out=tmp_path / "<b>", progress=False)
    data, _ = shell.display_formatter.format(run)
    assert "3 of 3 trials; virtual time; model:0.9.1" in data["text/html"]
    assert "<td>0–100</td><td>2</td><td>✗ rejected</td><td>1</td><td>1</td><td>100 %</td>" in data["text/html"]
    assert (
        "<td>the request for the reply is refused, the app sees the error, the user hears nothing</td></tr>"
        in data["text/html"]
    )
    assert "tool_ms 0:200:100" in data["text/html"]
    assert "assumed times in ms (none given): " in data["text/html"]
    assert "gap_ms=150" in data["text/html"]
    assert "Run &lt;b&gt;" in data["text/html"]
    assert str(tmp_path) not in data["text/html"] + data["text/plain"]


def test_a_suspicion_displays_its_messages_and_counts(shell: InteractiveShell) -> None:
    found = suspicions(["0.9.1"], [{"handler": "async_ref", "times": {"tool_ms": 50}}])
    data, _ = shell.display_formatter.format(found)
    assert "<td>no, 0 of " in data["text/html"]
    data, _ = shell.display_formatter.format(found.answer("0.9.1", "double-result").model.shortest)
    assert "by the component: model:0.9.1, single, async_ref" in data["text/html"]
    assert "FunctionCallResponse (the component's own error)" in data["text/html"]


def test_text_of_a_recording_is_escaped() -> None:
    verdict = judge(simulate(SessionConfig.of()))
    turn = replace(verdict.turns[0], why="<script>alert(1)</script>", calls=("<b>",))
    html = notebook.verdict_html(replace(verdict, turns=(turn,)))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<b>" not in notebook.table_html(["<b>"], [["<b>", "<b>"]], "<b>")


def test_a_plot_is_displayed_with_its_alt_text_and_its_pyplot_figure_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    shown: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(notebook, "display", lambda data, metadata=None, raw=False: shown.append((data, metadata)))
    monkeypatch.setattr("voicerace.report.plots.style._SVG_LIMIT", 100)
    with mpl.rc_context({"backend": "agg"}):
        figure, ax = plt.subplots()
    notebook.show(ax, alt="nothing in it", caption="Figure 1: <nothing>")
    assert not plt.fignum_exists(figure.number)
    (data, metadata), (caption, _) = shown
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert metadata == {"image/png": {"alt": "nothing in it"}}
    assert caption["text/html"] == '<p class="caption">Figure 1: &lt;nothing&gt;</p>'


def test_a_table_has_scoped_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(notebook, "display", lambda data, metadata=None, raw=False: shown.append(data))
    notebook.show_table(pd.DataFrame({"release": ["0.9.1"], "share": [float("nan")]}), "Releases")
    assert '<caption>Releases</caption><thead><tr><th scope="col">release</th>' in shown[0]["text/html"]
    assert '<th scope="row">0.9.1</th><td></td>' in shown[0]["text/html"]


def test_registering_outside_a_notebook_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    notebook.register()
    assert capsys.readouterr().out == ""


def test_a_verdict_displays_outcomes_and_numbers_in_words(shell: InteractiveShell) -> None:
    data, _ = shell.display_formatter.format(judge(simulate(SessionConfig.of(times={"tool_ms": 50, "gap_ms": 150}))))
    cell = '<th scope="row">outcome</th><td>✗ rejected: the request for the reply is refused, the app sees the error'
    assert cell in data["text/html"]
    assert "margin, ms: the request at the API, minus the slot being free</th><td>-100</td>" in data["text/html"]
    assert "response.create after them (observed)</th><td>1</td>" in data["text/html"]


def test_registering_aligns_the_cells_of_tables_to_the_left(monkeypatch: pytest.MonkeyPatch, shell: InteractiveShell) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(notebook, "display", lambda data, raw=False: shown.append(data))
    notebook.register(shell)
    assert shown == [], "a terminal shows no style"
    monkeypatch.setattr(shell, "kernel", object(), raising=False)
    notebook.register(shell)
    assert "text-align: left" in shown[0]["text/html"]


# -- swimlane written directly as SVG --------------------------------------------------------------------------------


def test_the_svg_has_the_texts_of_the_plot(recordings: Mapping[str, Recording]) -> None:
    for recording in recordings.values():
        root = ElementTree.fromstring(svg_swimlane(recording))
        written = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
        drawn = [text.replace("\n", "") for text in texts(plot_swimlane(recording))]
        assert sorted(written) == sorted(drawn)
        assert root.get("aria-label") == alt_swimlane(recording)


def test_text_of_a_capture_is_not_markup_in_the_svg() -> None:
    payload = {"type": '<script>alert(1)</script>\x00"&'}
    event = Event(0, Link("component", "proxy"), "message", 0, 0, payload, "engine")
    svg = svg_swimlane(Recording((event,), {"release": "<b>\x1b"}, complete=False), window="all")
    ElementTree.fromstring(svg)
    assert "<script" not in svg
    assert "<b>" not in svg


def test_a_client_without_a_proxy_has_the_lanes_client_and_upstream() -> None:
    recording = field_tables.recording("openai-agents", "server turn")
    alt = alt_swimlane(recording)
    assert alt.startswith("Swimlane of openai-agents, server turn: tool=400")
    assert "client to upstream: response.create (refused)" in alt
    texts = {each.get_text() for each in plot_swimlane(recording).texts}
    assert {"client", "upstream"} <= texts
    assert not texts & {"host", "proxy"}
    assert not any("not recorded" in text or "host is the app" in text for text in texts)
