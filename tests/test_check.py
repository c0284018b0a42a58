"""Test the acceptance check with passing and failing proxies, and its output for a CI job."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.odd_proxies import odd_proxy
from voicerace.cli import main
from voicerace.conformance.acceptance import Wrong, check_live, check_virtual, junit, off_time, sessions
from voicerace.engine.live.play import Live
from voicerace.engine.live.targets import ProxyTarget
from voicerace.engine.sim.virtual import simulate
from voicerace.experiments.checks import CASES
from voicerace.experiments.explore.finding import read_findings
from voicerace.model.catalog.gate_rules import RULES
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.parameters import Times

#: Rules that matter only for simultaneous events, which a check on real sockets cannot produce; see `tests/test_gate.py`.
NEEDS_A_COINCIDENCE = {"unless_known", "server_events"}


@pytest.mark.long
def test_the_reference_gate_passes_and_every_release_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--proxy", "model:reference"]) == 0
    assert f"{len(CASES)} of {len(CASES)} sessions passed" in capsys.readouterr().out
    for release in PROXIES:
        report = check_virtual(release, release)
        assert report.failed, release
        assert report.shortest in report.failed


@pytest.mark.parametrize("rule", sorted(set(RULES) - NEEDS_A_COINCIDENCE))
def test_a_gate_that_lacks_a_rule_fails(rule: str) -> None:
    assert check_virtual(rule, f"reference-without-{rule}").failed


def test_a_failed_check_shows_the_shortest_trace_and_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", "--proxy", "model:0.9.1", "--junit", str(tmp_path / "j.xml"), "--out", str(tmp_path / "f.jsonl")]
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    assert "conversation_already_has_active_response" in printed
    report = check_virtual("model:0.9.1", "0.9.1")
    [suite] = ET.fromstring((tmp_path / "j.xml").read_text("utf-8"))
    assert (int(suite.attrib["tests"]), int(suite.attrib["failures"])) == (len(CASES), len(report.failed))
    assert len(suite.findall("testcase/failure")) == len(report.failed)
    assert main(["check", "--proxy", "model:0.9.1", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["failed"] == len(report.failed)
    assert report.shortest is not None
    assert record["shortest"] == report.shortest.case.name


def test_allowed_outcomes_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unconfigured" in {each for one in check_virtual("0.9.1", "0.9.1").checked for each in one.wrong}
    found = {each for one in check_virtual("0.9.1", "0.9.1").checked for each in one.wrong}
    options = [word for outcome in found for word in ("--allow", outcome)]
    assert main(["check", "--proxy", "model:0.9.1", *options]) == 0
    assert main(["check", "--proxy", "model:0.9.1", *options[2:]]) == 1, "one outcome that is not allowed fails the check"
    capsys.readouterr()


def test_the_cases_have_unique_names_and_every_handler() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert {case.settings["handler"] for case in CASES} == set(HANDLERS)
    assert len(sessions("0.9.1")) == len(CASES)


def test_invalid_options_are_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["--allow", "nonsense"], ["--allow", "unknown"], ["--allow", "answered"], ["--proxy", "ws://127.0.0.1:1"],
        ["--upstream", "openai"],
    ):  # fmt: skip
        assert main(["check", *arguments]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_junit_is_valid_xml_for_any_text() -> None:
    report = check_virtual('model:"<&>\x1b[31m\x00', "0.9.4")
    case = report.failed[0]
    report.checked = [replace(case, faults=(Wrong("unknown", "it said \x00\x1b]<![CDATA[\ud800 ]]>"),))]
    suites = ET.fromstring(junit(report))
    [suite] = suites
    assert suite.attrib["name"] == 'voicerace check model:"<&>?[31m?'
    [failure] = suite.findall("testcase/failure")
    assert failure.attrib["type"] == "unknown"
    assert failure.text == "unknown: it said ??]<![CDATA[? ]]>"
    for each in (suites, suite):
        assert [each.attrib[name] for name in ("tests", "failures", "errors")] == ["1", "1", "0"]


# -- faulty proxies --------------------------------------------------------------------------------------------------


def checked(spoil: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Check the reference gate with one modification in a quick session; return (exit status, faults, reason)."""
    [case] = [each for each in CASES if each.name == "single return tool=10"]
    times = {**case.settings["times"], "gap_ms": 100, "deadline_ms": 400}
    monkeypatch.setattr("voicerace.conformance.acceptance.CASES", (replace(case, settings={**case.settings, "times": times}),))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with odd_proxy(port, spoil) as url:
        options = ["--proxy", url, "--listen", str(port), "--release", "reference", "--silence-s", "1", "--json"]
        status = main(["check", *options])
    [one] = json.loads(capsys.readouterr().out)["cases"]
    return status, " ".join(one["wrong"]), one["why"]


def test_the_unmodified_gate_passes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked("none", monkeypatch, capsys)[:2] == (0, "")


@pytest.mark.parametrize(
    ("spoil", "wrong", "why"),
    [
        ("silent", "unknown", "silence: nothing passed"),
        ("settled", "unknown", "silence: nothing passed"),
        ("mute", "unheard", "nothing of the reply"),
        ("inventive", "stalled wedged", "no create was ever sent"),
        ("forgetful", "stale", "before the app's own result"),
        ("crashing", "unknown", "dropped the connection"),
        ("leaving", "abandoned unknown", "a connection closed after the call"),
    ],
)
@pytest.mark.long
def test_a_faulty_proxy_fails_with_a_reason(
    spoil: str, wrong: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, faults, reason = checked(spoil, monkeypatch, capsys)
    assert (status, faults) == (1, wrong), reason
    assert why in reason


FINDINGS = Path(__file__).parents[1] / "data" / "explore"


#: Findings that also fail with the reference gate, which does not repeat a request whose response failed.
LEFT = {"0.11.1": ("lost-result-i-in-reply-to-default-error-2-results",)}


@pytest.mark.parametrize("release", ["0.9.4", "0.11.1"])
def test_findings_of_a_release_are_additional_cases(release: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = FINDINGS / f"{release}.json"
    findings = read_findings(file)
    left = LEFT.get(release, ())
    assert main(["check", "--proxy", "model:reference", "--findings", str(file)]) == bool(left)
    out, every = capsys.readouterr().out, len(CASES) + len(findings)
    assert f"{every - len(left)} of {every} sessions passed" in out
    assert all(f"{release} {name} (reply-failed void_ref)" in out for name in left)
    report = check_virtual(release, release, findings=findings)
    added = report.checked[len(CASES) :]
    assert len(added) == len(findings) > 0
    for finding, each in zip(findings, added, strict=True):
        assert finding.name in each.case.name
        # A gate cannot avoid `noisy` if speech alone causes it.
        assert each.wrong or each.case.allowed & {finding.signature.outcome}, each.case.name


def test_invalid_findings_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads((FINDINGS / "0.9.4.json").read_text("utf-8"))["findings"][0]
    (tmp_path / "no.json").write_text("{}")
    (tmp_path / "story.json").write_text(json.dumps(record | {"story": "another"}))
    (tmp_path / "empty.json").write_text('{"findings": []}')
    (tmp_path / "outcome.json").write_text(json.dumps(record | {"outcome": "nope"}))
    for file, word in (
        ("no.json", "'outcome' is missing"), ("story.json", "allowed are single"), ("missing.json", "No such file"),
        ("empty.json", "no findings"), ("outcome.json", "'nope', allowed are "),
    ):  # fmt: skip
        assert main(["check", "--findings", str(tmp_path / file)]) == 2
        message = capsys.readouterr().err.strip()
        assert len(message.splitlines()) == 1
        assert word in message
    assert main(["check", "--proxy", "model:reference", "--live", "--log", str(tmp_path)]) == 2
    assert "Is a directory" in capsys.readouterr().err


def test_a_delay_stretched_by_a_busy_machine_is_reported() -> None:
    [(_, asked)] = [each for each in sessions("0.9.4") if each[0].name == "single async_ref tool=400"]
    recording = simulate(asked)
    assert off_time(asked, recording) is None
    assert off_time(replace(asked, times=Times.of({"tool_ms": 430, "gap_ms": 300})), recording) is None, "below the tolerance"
    said = off_time(replace(asked, times=Times.of({"tool_ms": 400, "gap_ms": 190})), recording)
    assert said == "the machine was too busy: gap_ms was 300, asked for were 190"
    assert off_time(replace(asked, times=Times.of({"tool_ms": 300, "gap_ms": 300})), recording) is not None
    for release in ("0.9.1", "0.11.1", "reference"):
        assert [off_time(session, simulate(session)) for _, session in sessions(release)] == [None] * len(CASES)


@pytest.mark.real_clock
@pytest.mark.parametrize(("late", "times", "wrong"), [(1, 2, ()), (9, 3, ("unknown",))])
@pytest.mark.long
def test_a_session_with_wrong_times_is_repeated_and_never_passes(
    late: int, times: int, wrong: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = ProxyTarget.of("model:reference")
    [case] = [each for each in sessions("reference") if each[0].name == "single return tool=10"]
    calls = []
    monkeypatch.setattr("voicerace.conformance.acceptance.sessions", lambda *given: [case])
    monkeypatch.setattr(
        "voicerace.conformance.acceptance.off_time",
        lambda *given: calls.append(given) or ("late" if len(calls) <= late else None),
    )
    report = check_live("model:reference", "reference", lambda: Live(target))
    assert (len(calls), report.checked[0].wrong) == (times, wrong)
