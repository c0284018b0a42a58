"""Test the scenarios of the exploration: handlers that are not explored again, and what each scenario's session contains."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from voicerace.cli import main
from voicerace.cli.explore import _Progress
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.explore import matrix
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.explorer import explore
from voicerace.experiments.explore.signature import Signature, signatures
from voicerace.experiments.explore.space import FindingSpace, space_of
from voicerace.experiments.explore.stories import SAME_AS, STORIES, bounds_of, session_of, stories
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.protocol import input_audio, realtime
from voicerace.report.plots import alt_space, plot_space
from voicerace.trace.recording import WIRES, Recording


def played(story: str, release: str = "0.9.1", handler: str = "return", **times_ms: float) -> Recording:
    session = session_of(story, handler, release)
    for name, value in times_ms.items():
        session = replace(session, times=session.times.with_ns(name, round(value * 1_000_000)))
    return simulate(session)


def drawn(story: str, handler: str, release: str, seed: int) -> SessionConfig:
    """Return a session with times within the scenario's bounds. Those of equal handlers are equal."""
    rng, bounds = random.Random(seed), Bounds.of((), bounds_of(story, handler))
    session = session_of(story, handler, release)
    times = bounds.within(session.times)
    for name in times.values:
        if name in bounds.by_name:
            low, high = bounds.by_name[name]
            times = times.with_ns(name, int(rng.triangular(low, high, low)) * 1000)
    return replace(session, times=times, seed=seed)


def on_wires(recording: Recording) -> list[tuple[object, ...]]:
    return [(e.link, e.sent_ns, e.received_ns, e.payload) for wire in WIRES for e in recording.on(wire)]


# -- pairs -----------------------------------------------------------------------------------------------------------


def test_each_pair_is_explored_or_has_a_reason() -> None:
    pairs = set(stories())
    for name, story in STORIES.items():
        assert set(story.without) | {handler for other, handler in pairs if other == name} == set(HANDLERS)
        assert all(reason for reason in story.without.values())
        assert set(story.without) < set(HANDLERS)
    assert {(name, "return") for name in STORIES if name != "remount"} < pairs


@pytest.mark.parametrize("story", [name for name in STORIES if STORIES[name].without.keys() >= SAME_AS.keys()])
def test_handlers_that_are_explored_once_cause_the_same_messages(story: str) -> None:
    for name, other in SAME_AS.items():
        if other in STORIES[story].handlers:
            for release in ("0.9.1", "0.11.1"):
                for seed in range(3):
                    one, two = (drawn(story, handler, release, seed) for handler in (name, other))
                    assert on_wires(simulate(one)) == on_wires(simulate(two)), (name, release, seed)


# -- sessions of the scenarios ---------------------------------------------------------------------------------------


def kinds(recording: Recording) -> list[str]:
    return [event.type for event in recording.events]


def sent_ms(recording: Recording, kind: str) -> list[float]:
    return [event.sent_ns / 1e6 for event in recording.events if event.type == kind and event.sent_ns is not None]


def test_two_texts_are_sent_the_given_time_apart() -> None:
    first, second, _ = sent_ms(played("two-texts", inject_ms=70), "InjectUserMessage")
    assert second - first == 70


@pytest.mark.parametrize(("story", "status"), [("reply-failed", "failed"), ("reply-incomplete", "incomplete")])
def test_only_the_first_reply_ends_early(story: str, status: str) -> None:
    events = [e for e in played(story, tool_ms=400).events if e.link.sender == "upstream"]
    done = [e.payload["response"]["status"] for e in events if e.type == realtime.RESPONSE_DONE]
    assert done[:2] == ["completed", status]
    assert done.count(status) == 1
    assert done[-1] == "completed"


@pytest.mark.parametrize("release", ["0.9.1", "0.10.2"])
def test_an_error_on_the_request_leaves_a_session_that_does_not_hear_the_user(release: str) -> None:
    recording = played("create-error-spoken", release, tool_ms=400)
    errors = [e.payload["error"]["code"] for e in recording.events if e.link.sender == "upstream" and e.type == realtime.ERROR]
    assert errors == ["server_error"]
    assert {each.outcome for each in signatures(recording, session_of("single", "return", release).release)} == {
        "failed",
        "wedged",
    }


def test_a_result_before_response_done_is_refused_if_the_api_accepts_it_only_later() -> None:
    early, late = (played("late-output", tool_ms=tool, gap_ms=150) for tool in (50, 400))
    codes = [
        [e.payload["error"]["code"] for e in each.events if e.link.sender == "upstream" and e.type == realtime.ERROR]
        for each in (early, late)
    ]
    assert "invalid_tool_call_id" in codes[0]
    assert codes[1] == []


def test_the_api_ends_the_session_after_the_call_and_the_user_comes_back() -> None:
    recording = played("session-end", tool_ms=400, session_end_ms=100)
    called, *_ = (e.sent_ns for e in recording.events if e.type == realtime.ARGUMENTS_DONE)
    ended = next(e for e in recording.events if e.type == realtime.ERROR)
    assert ended.payload["error"]["code"] == "session_expired"
    assert ended.sent_ns is not None
    assert ended.sent_ns - called == 100_000_000
    assert kinds(recording).count(realtime.SESSION_CREATED) == 2
    assert kinds(recording).count("InjectUserMessage") == 2


def test_the_component_closes_an_idle_connection() -> None:
    recording = played("idle-close", "0.9.1", "void_ref", tool_ms=11_900)
    [closed, *_] = [e for e in recording.events if e.type == "(close)" and e.link.sender == "component"]
    assert closed.sent_ns is not None
    assert 10_000 < closed.sent_ns / 1e6 < 12_000


@pytest.mark.parametrize("handler", STORIES["remount"].handlers)
def test_a_result_of_an_earlier_connection_is_for_no_call(handler: str) -> None:
    recording = played("remount", handler=handler, tool_ms=500, inject_ms=1_000)
    [first, *_] = [e.payload for e in recording.events if e.type == "FunctionCallResponse"]
    called = [e.payload["call_id"] for e in recording.events if e.type == realtime.ARGUMENTS_DONE]
    assert first["id"] not in called
    errors = [e.payload["error"]["code"] for e in recording.events if e.link.sender == "upstream" and e.type == realtime.ERROR]
    assert errors[0] == "invalid_tool_call_id"


def test_without_session_update_the_api_replies_in_audio_and_the_proxy_keeps_speech() -> None:
    """The defaults of the API are in force: audio replies and voice detection, which gets no audio."""
    recording = played("spoken-unconfigured")
    assert realtime.SESSION_UPDATE not in kinds(recording)
    assert realtime.AUDIO_DONE in kinds(recording)
    assert realtime.TEXT_DONE not in kinds(recording)
    [created, *_] = [e.payload["session"] for e in recording.events if e.type == realtime.SESSION_CREATED]
    assert created["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert input_audio.APPEND not in kinds(recording)
    assert "wedged" in {each.outcome for each in signatures(recording, session_of("single", "return", "0.9.1").release)}


@pytest.mark.parametrize("story", ["session-end", "reply-incomplete", "create-error"])
def test_a_new_scenario_is_explored_whole(story: str) -> None:
    found = explore("0.9.1", [(story, "return")])
    assert found.stats[0].complete
    assert found.stats[0].unconfirmed == 0
    assert found.findings


# -- command line ----------------------------------------------------------------------------------------------------


def test_the_first_lines_of_a_file_name_the_pairs_that_are_not_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    pairs = ["--scenario", "single", "--scenario", "no-result", "--handler", "return", "--max-states", "100"]
    assert main(["explore", *pairs, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "1 of 2 pairs of scenario and handler explored whole" in shown.out.splitlines()[0]
    assert "single return" in next(line for line in shown.out.splitlines() if line.startswith("not whole"))
    head = out.read_text("utf-8").splitlines()[:6]
    assert '"pairs":2,' in head
    assert '"pairs_whole":1,' in head
    assert '"pairs_not_whole":["single return"],' in head
    assert json.loads(out.read_text("utf-8"))["complete"] is False
    assert "exploring no-result return; 1 of 2 pairs" in shown.err


def test_findings_are_printed_as_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--release", "0.9.1", "--scenario", "single", "--handler", "return"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Scenario single (one call, one result), handler return: The create for the result" in text
    assert "and no reply follows. The shortest trace has" in text


def test_the_progress_has_the_time_left() -> None:
    class Bar:
        n, disable = 0, False

        def set_description(self, *_: object, **__: object) -> None: ...

        def set_postfix_str(self, text: str, **__: object) -> None:
            self.text = text

        def refresh(self) -> None: ...

    bar = Bar()
    progress = _Progress(bar, 4, serial=True)
    progress.tick("single return", 100)
    assert bar.text == "0 of 4 pairs, 100 states"
    progress.tick("single void_ref", 50)
    assert bar.n == 1
    assert progress.text(2, 30) == "2 of 4 pairs, 150 states, about 30 s left"


def test_the_matrix_has_the_findings_of_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--matrix", "--release", "0.9.1", "--release", "0.11.1", "--scenario", "parallel"]) == 0
    head, *lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head == ["scenario", "handler", "0.9.1", "0.11.1"]
    assert all(line[0] == "parallel" for line in lines)
    assert main(["explore", "--matrix", "--json", "--release", "0.11.1"]) == 0
    record = json.loads(capsys.readouterr().out)
    stats = json.loads((Path(__file__).parents[1] / "data" / "explore" / "0.11.1.json").read_text("utf-8"))["stories"]
    findings = {(each["scenario"], each["handler"]): each["findings"] for each in record["0.11.1"]}
    assert findings == {(each["story"], each["handler"]): each["findings"] for each in stats}
    assert main(["explore", "--matrix", "--release", "0.9.0"]) == 2
    assert "0.9.0 has no file in data/explore" in capsys.readouterr().err


def test_a_matrix_names_outcomes_and_pairs_that_are_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = explore("0.9.1", [("single", "return"), ("audio", "return")], limit=250)
    (tmp_path / "0.9.1.json").write_text(json.dumps(found.to_json()), "utf-8")
    monkeypatch.setattr(matrix, "shipped", lambda _: tmp_path)
    assert [(story, str(cell)) for story, _, [cell] in matrix.rows(matrix.stored())] == [
        ("single", "1: rejected"),
        ("audio", "0, not whole" if not found.stats[1].complete else "1: rejected"),
    ]
    assert str(matrix.Cell(0, (), whole=False)) == "0, not whole"


# -- the space of a finding ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def space() -> FindingSpace:
    bounds = ("host_ms=10", "upstream_ms=20", "gap_ms=0:400", "tool_ms=0:400")
    findings = explore("0.9.1", [("single", "return")], bounds).findings
    return space_of(findings[Signature("rejected", "calls", "result", "result", 1)], size=9)


def test_a_finding_has_the_space_of_its_closed_form(space: FindingSpace) -> None:
    """The request is refused iff it arrives before the slot is free (docs/protocol-facts.md#closed-forms)."""
    assert len(space.cells) == 81
    for cell in space.cells.to_dict("records"):
        refused = cell["tool_ms"] + 2 * 10 + 2 * 20 < cell["gap_ms"]
        assert (cell["met"], cell["outcome"]) == ((True, "rejected") if refused else (False, "answered")), cell
    assert space.own[1] + 60 < space.own[0]


def test_the_picture_of_a_space_has_the_stored_times(space: FindingSpace) -> None:
    axes = plot_space(space)
    assert [tuple(line.get_xydata()[0]) for line in axes.lines] == [space.own]
    assert axes.get_xlabel().startswith("gap_ms")
    text = alt_space(space)
    assert f"{int(space.cells['met'].sum())} sessions have this finding" in text
    assert "81 sessions over gap_ms and tool_ms" in text


def test_a_time_that_the_session_does_not_use_has_no_space(space: FindingSpace) -> None:
    with pytest.raises(InputError, match="preamble_ms"):
        space_of(space.finding, x="preamble_ms")
    with pytest.raises(InputError, match="same as x"):
        space_of(space.finding, x="tool_ms", y="tool_ms")


def test_the_gap_of_a_space_is_not_shorter_than_the_confirmation_inside_it() -> None:
    findings = explore("0.9.1", [("single", "return")], ("item_done_ms=20:50", "host_ms=10", "upstream_ms=20")).findings
    finding = findings[Signature("rejected", "calls", "result", "result", 1)]
    space = space_of(finding, size=3)
    assert space.cells["gap_ms"].min() >= 20
    assert space.cells["met"].any()
    with pytest.raises(InputError, match="item_done_ms"):
        space_of(finding, x="item_done_ms")
