"""Build the section on the customer's capture: its records, the results, and the omitted data."""

from __future__ import annotations

from functools import partial

from voicerace.captures.show import times_of
from voicerace.report import capture_view
from voicerace.report.blocks import Block, Claim, Picture, Support, Table
from voicerace.report.context import ReportContext
from voicerace.report.letter.render import render
from voicerace.report.plots.gap_map import alt_map, plot_map

__all__ = ["blocks"]


def blocks(context: ReportContext) -> list[Block]:
    capture = context.capture
    if capture is None:
        return render("capture", capture=None)
    refused = sum(bool(each.refusals.value) for each in capture.sessions)
    seen = Support("real proxy", refused, len(capture.sessions), "sessions of the capture have a refusal", source=capture.name)
    parts: dict[str, Block] = {
        "capture": Claim("capture", "", (seen,), (), quiet=True),
        "sessions": Table(capture_view.capture_rows(capture), "The sessions of the capture, as seen at the proxy."),
        "times": Table(
            capture_view.time_rows(capture), "The measured times in ms; every value was measured, none is interpolated."
        ),
        "releases": Table(
            capture_view.evidence_rows(capture), "The release of each session, with the evidence for it and against it."
        ),
        "answers": Table(
            capture_view.answer_rows(capture),
            "The suspected causes, session by session, with the lines of the file they rest on.",
        ),
    }
    return render(
        "capture", parts, capture=capture, refused=refused, facts=capture_view.capture_facts(capture), unread=capture.unread_records,
        **_map(context, parts),
    )  # fmt: skip


def _shown(material: ReportContext) -> str | None:
    """Return the release of the map: the first release in use that is possible for a session, or None."""
    sessions = material.capture.sessions if material.capture is not None else ()
    fits = {tag for of in sessions for tag in (of.inference.candidates if of.inference is not None else (of.release,))}
    return next((tag for tag in material.in_use if tag in fits), None)


def _map(context: ReportContext, parts: dict[str, Block]) -> dict[str, object]:
    """Add the map and the table of expected outcomes to `parts`; return the values for the template."""
    capture = context.capture
    assert capture is not None  # noqa: S101  # `blocks` returns early without a capture
    points = capture_view.map_points(capture)
    if points.empty:
        return {"points": False}
    maps = capture_view.map_trials(capture, release=_shown(context))
    same, known = capture_view.back_test(capture)
    shares = capture_view.expected(capture, releases=context.releases)
    columns = ["release", "outcome", "count", "judged", "share", "low", "high"]
    shown = shares[columns].assign(**{name: [f"{value:.0%}" for value in shares[name]] for name in ("share", "low", "high")})
    parts["map"] = Picture(
        partial(plot_map, maps, points=points), alt_map(maps, points=points),
        "Your sessions on the map of their release, with your own network; delay and gap as the proxy saw them, so the browser's round trip "
        "is in the delay.",
    )  # fmt: skip
    support = Support("model", same, known, "races of the capture have the recorded outcome", source=capture.name)
    parts["played-again"] = Claim("capture-played-again", "", (support,), (), quiet=True)
    parts["expected"] = Table(
        shown, "What to expect of each release with your times: each race played once; Wilson's 95 % interval over your races."
    )
    return {
        "points": True, "same": same, "known": known, "gaps": times_of(capture, "gap_ms"), "assumptions": capture_view.ASSUMPTIONS,
        "left": capture_view.left_out(capture),
    }  # fmt: skip
