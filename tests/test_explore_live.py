"""Replay findings on sockets: actors keep the schedule, and the proxy behaves as explored."""

from __future__ import annotations

import csv
import json
import os
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from voicerace.cli import main
from voicerace.engine.live.play import Live
from voicerace.engine.live.targets import ProxyTarget
from voicerace.engine.schedule import AT_SOCKETS_NS, Schedule, ScheduleCursor
from voicerace.experiments.explore.explorer import explore
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.replay import Replay, judged, replayed, replays
from voicerace.model.catalog.releases import proxy_release
from voicerace.trace.recording import Link

RELEASES = ("0.9.1", "0.9.4")
MS = 1_000_000
#: Bounds with a deadline of 4 s, which is the longest time in these tests.
SOON = ("deadline_ms=4000:4000", "tool_ms=0:300", "gap_ms=0:300", "reply_ms=50:300")
STORIES = [("single", "return"), ("text-at-reply", "return")]


@cache
def findings(release: str) -> tuple[Finding, ...]:
    """Return every finding of `STORIES`, whose sessions last a few seconds: one call, and a user text at its reply."""
    return tuple(explore(release, STORIES, SOON).findings.values())


def checkout(release: str) -> Path:
    """Return the checkout of a release in the folder VOICERACE_CHECKOUTS; skip the test if it does not exist."""
    found = Path(os.environ.get("VOICERACE_CHECKOUTS", "/nonexistent")) / f"v{release}"
    if not found.is_dir():
        pytest.skip("no checkout of the proxy")
    return found


def played(found: list[Finding], word: str, tries: int = 3) -> list[Replay]:
    target = ProxyTarget.of(word)
    with closing(replays(found, lambda: Live(target), target.release, tries)) as each:
        return [done for _, done in sorted(each, key=lambda pair: pair[0])]


def confirmed(found: list[Finding], word: str) -> None:
    assert found
    for done in played(found, word):
        assert done.confirmed, (done.finding.name, done.signatures)
        assert done.verdict.outcome == replayed(done.finding).verdict.outcome
        assert done.recording.complete
        assert done.recording.clock == "monotonic"


@pytest.mark.parametrize("release", RELEASES)
def test_findings_are_confirmed_on_sockets_of_the_model(release: str) -> None:
    confirmed(list(findings(release)), f"model:{release}")


@pytest.mark.parametrize("release", RELEASES)
def test_findings_are_confirmed_on_sockets_of_the_program(release: str) -> None:
    confirmed(list(findings(release)), f"backend:{checkout(release)}")


def single(release: str) -> Finding:
    """Return the finding of one call whose single result the proxy sends at the wrong time."""
    return next(each for each in findings(release) if each.story == "single" and each.signature[2::2] == ("result", 1))


def mended(release: str) -> Finding:
    """Return the finding of `single` with a tool time that causes no bad outcome.

    The tool ends after the gap for immediate requests (0.9.1), and before the end of the gap for gated ones (0.9.4).
    """
    finding = single(release)
    timers = dict(finding.schedule.timers)
    named = [which for which in timers if which[0] == "app"]
    assert named
    timers |= dict.fromkeys(named, (900 * MS,) if release == "0.9.1" else (0,))
    messages = dict(finding.schedule.messages)
    if release == "0.9.4":
        # Remove the delays to and from the host, so that at least 47 ms of the gap remain.
        messages |= {each: {} for each in messages if "component" in each}
        gap = [which for which in timers if which[1] == "stage:resp_0001:3"]
        timers |= dict.fromkeys(gap, (290 * MS,))
        assert gap
    return replace(finding, schedule=Schedule(timers, messages))


@pytest.mark.parametrize("release", RELEASES)
def test_a_harmless_schedule_is_not_confirmed(release: str) -> None:
    other = mended(release)
    assert not replayed(other).confirmed
    done = played([other], f"model:{release}", tries=1)[0]
    assert (done.confirmed, done.signatures) == (0, replayed(other).signatures)


def test_a_proxy_of_another_release_does_not_confirm_a_finding() -> None:
    done = played([single("0.9.1")], "model:0.9.4", tries=2)[0]
    assert (done.confirmed, done.tries) == (0, 2)


def test_messages_keep_their_schedule_order_and_minimum_spacing() -> None:
    over = Link("upstream", "proxy")
    cursor = ScheduleCursor(Schedule({}, {over: {0: 90 * MS, 1: 5}}), AT_SOCKETS_NS)
    assert cursor.travel_ns(over, 10) == 90 * MS
    assert cursor.travel_ns(over, 20) == 90 * MS - 10 + AT_SOCKETS_NS
    assert cursor.travel_ns(over, 95 * MS) == 0
    assert cursor.travel_ns(Link("component", "proxy"), 20) == 0


def test_a_late_message_does_not_delay_the_next() -> None:
    over = Link("proxy", "upstream")
    schedule = Schedule({("app", "tool"): (30 * MS,)}, {over: {0: 50 * MS}})
    planned = ScheduleCursor(schedule)
    assert planned.timer_ns("app", "tool", 0, 0) == 30 * MS
    assert planned.travel_ns(over, 30 * MS) == 50 * MS
    at_sockets = ScheduleCursor(schedule, plan=planned.moments)
    # The session starts at 100 ms on this clock. The proxy sends 20 ms late, and the message arrives at its planned time.
    assert at_sockets.timer_ns("app", "tool", 0, 100 * MS) == 30 * MS
    assert at_sockets.travel_ns(over, 150 * MS) == 30 * MS
    # A message sent after its planned arrival has no delay. A message sent early takes its planned delay.
    for at, lasts in ((190 * MS, 0), (110 * MS, 50 * MS)):
        other = ScheduleCursor(schedule, plan=planned.moments)
        other.timer_ns("app", "tool", 0, 100 * MS)
        assert other.travel_ns(over, at) == lasts


def test_the_verb_replays_findings_live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = single("0.9.1"), mended("0.9.1")
    file = tmp_path / "findings.json"
    file.write_text(json.dumps(good.to_json()))
    table = tmp_path / "findings.csv"
    assert main(["replay", str(file), "--live"]) == 0
    out = capsys.readouterr().out
    assert "confirmed      1 of 1" in out
    assert "model:0.9.1" in out
    file.write_text(json.dumps({"findings": [good.to_json(), bad.to_json()]}))
    assert main(["replay", str(file), "--live", "--proxy", "model:0.9.1", "--tries", "1", "--json", "--out", str(table)]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["proxy"] == "model:0.9.1"
    assert [each["confirmed"] for each in printed["replays"]] == [True, False]
    assert printed["replays"][0]["expected"] in printed["replays"][0]["found"]
    first, second = csv.DictReader(table.read_text().splitlines())
    assert (first["name"], first["confirmed"], first["came_to"], first["seen"]) == (good.name, "true", "confirmed", "")
    assert (second["confirmed"], second["proxy"], second["outcome"]) == ("false", "model:0.9.1", bad.signature.outcome)
    assert second["seen"].startswith("nothing bad")
    assert len(second["proxy_hash"]) == 12


def test_a_busy_machine_is_distinguished_from_another_behaviour() -> None:
    """In the late recording the result arrives after response.done, although it is planned before response.done."""
    finding = single("0.9.1")
    plan = replayed(finding).recording
    done = judged(finding, plan, proxy_release("0.9.1"), 1, plan)
    assert done.result == "confirmed"
    other = replace(finding, signature=finding.signature._replace(outcome="lost"))
    assert judged(other, plan, proxy_release("0.9.1"), 1, plan).result == "not confirmed"
    late = replayed(mended("0.9.1")).recording
    assert judged(finding, late, proxy_release("0.9.1"), 1, plan).result == "order not kept"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--proxy", "model:0.9.1"], "with --live"),
        (["--live", "--proxy", "ws://127.0.0.1:1"], "keeps no schedule"),
        (["--live", "--proxy", "model:0.9.1", "--upstream", "ws://127.0.0.1:1"], "keeps no schedule"),
    ],
)
def test_invalid_options_of_a_replay_are_refused(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "finding.json"
    file.write_text(json.dumps(next(iter(findings("0.9.1"))).to_json()))
    assert main(["replay", str(file), *arguments]) == 2
    assert message in capsys.readouterr().err
