"""Build the section on the customer's capture: its records, the results, and the omitted data."""

from __future__ import annotations

from functools import partial

from voicerace.captures.show import times_of
from voicerace.report import capture_view
from voicerace.report.blocks import Block, Claim, Picture, Support, Table, Text, many
from voicerace.report.context import ReportContext
from voicerace.report.plots.gap_map import alt_map, plot_map

__all__ = ["blocks"]


def blocks(context: ReportContext) -> list[Block]:
    capture = context.capture
    if capture is None:
        return [
            Text(
                "**No capture was given with this page.** Send us a log of the proxy (`LOG_LEVEL=debug`), a HAR file of the browser, or a "
                "recording by `voicerace capture`; `voicerace redact FILE` makes a copy that is safe to send: texts, results, ids, "
                "headers and cookies replaced. With `voicerace report --capture FILE` this section shows your sessions on the map."
            )
        ]
    sessions = capture.sessions
    refused = sum(bool(each.refusals.value) for each in sessions)
    found: list[Block] = [
        Claim("capture", f"**{many(refused, 'session')} of {len(sessions)} in your capture had a refusal.**",
              (Support("real proxy", refused, len(sessions), "sessions of the capture have a refusal", source=capture.name),), ()),
        Text(capture_view.capture_facts(capture)),
        Text(_left_out(context)),
        Table(capture_view.capture_rows(capture), "The sessions of the capture, as seen at the proxy."),
        Table(capture_view.time_rows(capture), "The measured times in ms; every value was measured, none is interpolated."),
        Table(capture_view.evidence_rows(capture), "The release of each session, with the evidence for it and against it."),
        Table(capture_view.answer_rows(capture), "The suspected causes, session by session, with the lines of the file they rest on."),
    ]  # fmt: skip
    return found + _map(context)


def _left_out(context: ReportContext) -> str:
    assert context.capture is not None  # noqa: S101  # `blocks` returns early without a capture
    unread = context.capture.unread_records
    return (
        "**Shown here**: times, types of messages, counts and line numbers. **Left out**: all texts, function "
        "arguments and results, ids, names of connections, headers and cookies"
        + (f"; {many(unread, 'record')} could not be read and {'is' if unread == 1 else 'are'} in no count." if unread else ".")
    )


def _shown(material: ReportContext) -> str | None:
    """Return the release of the map: the first release in use that is possible for a session, or None."""
    sessions = material.capture.sessions if material.capture is not None else ()
    fits = {tag for of in sessions for tag in (of.inference.candidates if of.inference is not None else (of.release,))}
    return next((tag for tag in material.in_use if tag in fits), None)


def _map(context: ReportContext) -> list[Block]:
    capture = context.capture
    assert capture is not None  # noqa: S101  # as above
    points = capture_view.map_points(capture)
    if points.empty:
        return [
            Text("No session of the capture has one call, its result and its `response.done`: none can be placed on the map.")
        ]
    maps = capture_view.map_trials(capture, release=_shown(context))
    same, known = capture_view.back_test(capture)
    gaps = times_of(capture, "gap_ms")
    shares = capture_view.expected(capture, releases=context.releases)
    columns = ["release", "outcome", "count", "judged", "share", "low", "high"]
    shown = shares[columns].assign(**{name: [f"{value:.0%}" for value in shares[name]] for name in ("share", "low", "high")})
    left = [
        f"Left out: {many(count, 'response')} with calls ({reason})."
        for reason, count in capture_view.left_out(capture).items()
    ]
    return [
        Text(
            f"**Your gaps**: {len(gaps)}, from {min(gaps):g} to {max(gaps):g} ms, as the proxy saw them. The only published gap is 8 ms."
        ),
        Picture(
            partial(plot_map, maps, points=points), alt_map(maps, points=points),
            "Your sessions on the map of their release, with your own network; delay and gap as the proxy saw them, so the browser's round "
            "trip is in the delay.",
        ),
        Claim("capture-played-again", f"Played again with their measured times, **{same} of {known}** of your races have the recorded outcome.",
              (Support("model", same, known, "races of the capture have the recorded outcome", source=capture.name),), (), quiet=True),
        Table(shown, "What to expect of each release with your times: each race played once; Wilson's 95 % interval over your races."),
        Text("\n".join(f"- {each}" for each in (*capture_view.ASSUMPTIONS, *left))),
    ]  # fmt: skip
