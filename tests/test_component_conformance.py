"""Compare the component model with recordings of the running component. Wrong table rows are detected."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.played import on_wire, play, said, session

from tests.component.__main__ import main
from tests.component.cases import CONTEXTS, MESSAGES, Case, cases
from tests.component.document import page
from tests.component.play import NOT_COMPARED, differences
from tests.component.play import play as play_case
from tests.component.runner import compare, conform_component, read_seen, scripts_hash
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.errors import InputError
from voicerace.files import shipped
from voicerace.model.actors.component import Component
from voicerace.model.catalog import callbacks
from voicerace.model.catalog.callbacks import CALLBACKS, ROWS, CallbackRow, Tell, rows_of
from voicerace.model.catalog.components import COMPONENTS, TAGS
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import PROXIES
from voicerace.model.protocol import agent
from voicerace.trace.recording import Recording

RECORDED = ("0.9.1", "0.11.1")
ALL: Mapping[str, Case] = {each.name: each for each in cases()}
MODELLED = [each for each in ALL.values() if each.modelled]
DOCS = Path(__file__).parents[1] / "docs" / "component.md"

Seen = list[dict[str, Any]]


@cache
def recorded(tag: str) -> Mapping[str, Any]:
    return read_seen(shipped(f"data/conformance/component-{tag}.json"))


def seen(tag: str, name: str) -> Seen:
    found: Seen = recorded(tag)["cases"][name]
    return found


def sent(tag: str, name: str, kind: str) -> Seen:
    """Return the messages of one type that the running component sent to the proxy."""
    return [each for each in seen(tag, name) if each["to"] == "proxy" and each.get("type") == kind]


def differs(tag: str, among: Iterable[Case] = MODELLED) -> bool:
    """Return whether the component model differs from the recording of a tag."""
    return any(compare(tag, case, seen(tag, case.name)) for case in among)


# -- recordings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", RECORDED)
def test_the_record_matches_this_program_and_these_scripts(tag: str) -> None:
    assert recorded(tag)["source"] == COMPONENTS[tag].source
    assert recorded(tag)["scripts"] == scripts_hash(), "the scripts changed: record again (data/README.md)"
    assert set(recorded(tag)["cases"]) == set(ALL)


@pytest.mark.parametrize("tag", RECORDED)
def test_the_model_does_what_the_running_component_did(tag: str) -> None:
    found = {case.name: wrong for case in MODELLED if (wrong := compare(tag, case, seen(tag, case.name)))}
    assert found == {}


def test_every_program_was_compared_and_only_known_differences_remain() -> None:
    programs = json.loads(shipped("data/conformance/component-programs.json").read_text("utf-8"))
    assert programs["scripts"] == scripts_hash()
    by_source = {each["source"]: each for each in programs["programs"].values()}
    assert set(by_source) == {row.source for row in COMPONENTS.values()}
    for row in COMPONENTS.values():
        known = {"no reply comes to an early result, new"} if row.idle == "runs_on" else set()
        assert set(by_source[row.source]["differences"]) == known, row.tag
        assert by_source[row.source]["compared"] == len(MODELLED)


def test_every_row_handler_and_tool_end_has_a_script() -> None:
    played = {row for row, _ in MESSAGES.values()}
    assert {row.message for row in ROWS} - {"(text done)"} == played
    assert all(f"{message}, while {context}" in ALL for message in MESSAGES for context in CONTEXTS)
    for handler in HANDLERS:
        for end in ("result", "error", "reject", "none"):
            for shape in ("one call", "two calls in one request", "two requests"):
                assert f"{handler}, {end}, {shape}" in ALL


# -- wrong rows and knobs --------------------------------------------------------------------------------------------

ACTIVE = [(tag, message) for tag in RECORDED for message, row in rows_of(tag).items() if row.steps]
SILENT = [
    (tag, message) for tag in RECORDED for message, row in rows_of(tag).items() if not row.steps and not message.startswith("(")
]


def with_row(monkeypatch: pytest.MonkeyPatch, tag: str, row: CallbackRow) -> None:
    rows = {**rows_of(tag), row.message: row}
    monkeypatch.setattr(callbacks, "rows_of", lambda _: rows)


@pytest.mark.parametrize(("tag", "message"), ACTIVE)
def test_a_row_with_missing_callbacks_is_detected(monkeypatch: pytest.MonkeyPatch, tag: str, message: str) -> None:
    with_row(monkeypatch, tag, CallbackRow(message, ()))
    assert differs(tag)


@pytest.mark.parametrize(("tag", "message"), SILENT)
def test_a_row_with_an_extra_callback_is_detected(monkeypatch: pytest.MonkeyPatch, tag: str, message: str) -> None:
    with_row(monkeypatch, tag, CallbackRow(message, (Tell("onSettingsApplied"),)))
    assert differs(tag)


@pytest.mark.parametrize("tag", RECORDED)
@pytest.mark.parametrize("other", RECORDED)
def test_the_rows_of_the_other_release_are_detected(monkeypatch: pytest.MonkeyPatch, tag: str, other: str) -> None:
    rows = rows_of(other)
    monkeypatch.setattr(callbacks, "rows_of", lambda _: rows)
    assert differs(tag) is (tag != other)


#: Knobs that affect the recordings. Knobs that need a second connection are tested below.
IDLE = ("forgets", "message", "runs_on", "rests")
FLIPS = [
    *((tag, "default_error", False) for tag in RECORDED),
    *((tag, "idle", idle) for tag in RECORDED for idle in IDLE if COMPONENTS[tag].idle != idle),
    ("0.9.1", "microphone_opens", "applied"),
    ("0.11.1", "microphone_opens", "sent"),
]  # fmt: skip


@pytest.mark.parametrize(("tag", "knob", "value"), FLIPS)
def test_a_wrong_knob_is_detected(monkeypatch: pytest.MonkeyPatch, tag: str, knob: str, value: object) -> None:
    monkeypatch.setitem(COMPONENTS, tag, replace(COMPONENTS[tag], **{knob: value}))  # type: ignore[arg-type]
    assert differs(tag)


def test_extra_missing_late_and_changed_results_are_detected() -> None:
    case = ALL["void_ref, result, one call"]
    real = seen("0.9.1", case.name)
    results = [index for index, each in enumerate(real) if each.get("type") == "FunctionCallResponse"]
    for wrong in (
        real[: results[1]] + real[results[1] + 1 :],
        [*real, real[results[1]]],
        [*real[: results[1]], {**real[results[1]], "at": real[results[1]]["at"] + 5}, *real[results[1] + 1 :]],
        [*real[: results[1]], {**real[results[1]], "content": "{}"}, *real[results[1] + 1 :]],
    ):
        assert compare("0.9.1", case, wrong)


# -- facts of docs/component.md --------------------------------------------------------------------------------------


def test_the_docs_page_is_generated_from_the_tables() -> None:
    assert DOCS.read_text("utf-8") == page(), "run python -m tests.component --page > docs/component.md"


@pytest.mark.parametrize("tag", RECORDED)
def test_settings_are_sent_once_per_connection(tag: str) -> None:
    assert len(sent(tag, "Settings, asked for again and again", "Settings")) == 1
    assert len(sent(tag, "a second connection, nothing kept", "Settings")) == 2


@pytest.mark.parametrize("tag", RECORDED)
def test_a_second_component_sends_user_text_but_no_settings(tag: str) -> None:
    name = "Settings with another component connected"
    assert sent(tag, name, "Settings") == []
    assert len(sent(tag, name, "InjectUserMessage")) == 1


@pytest.mark.parametrize("tag", RECORDED)
@pytest.mark.parametrize(("name", "kept"), [("nothing kept", False), ("its conversation kept", True)])
def test_the_context_of_a_second_connection(tag: str, name: str, kept: bool) -> None:
    settings = sent(tag, f"a second connection, {name}", "Settings")[1]["agent"]
    knows = kept and COMPONENTS[tag].history_as_context
    assert ("context" in settings) is knows
    assert ("greeting" in settings) is not knows
    warned = any(each.get("type") == "onContextWarning" for each in seen(tag, f"a second connection, {name}"))
    assert warned is (COMPONENTS[tag].warns_of_context and not knows)


@pytest.mark.parametrize("tag", RECORDED)
def test_the_model_opens_a_second_connection_like_the_component(tag: str) -> None:
    """React separates two events at 3100 ms by a millisecond, so the test compares only the order of messages to the proxy."""
    case = ALL["a second connection, nothing kept"]
    real, model = seen(tag, case.name), play_case(tag, case)
    assert [each for each in differences(real, model) if "to the proxy" in each] == []
    calls = [sorted(each["type"] for each in one if each["to"] == "app" and each["at"] >= 2000) for one in (real, model)]
    assert [each for each in calls[0] if each not in NOT_COMPARED] == calls[1]


@pytest.mark.parametrize("tag", RECORDED)
def test_a_result_without_connection_is_dropped_and_a_late_one_uses_the_next(tag: str) -> None:
    assert sent(tag, "a result for a connection that is gone", "FunctionCallResponse") == []
    assert not any(each["type"] == "(thrown)" for each in seen(tag, "a result for a connection that is gone"))
    assert len(sent(tag, "a result of one connection on the next", "FunctionCallResponse")) == 1
    assert [each["type"] for each in seen(tag, "a result after stop")][-1] == "(thrown)"


@pytest.mark.parametrize("tag", RECORDED)
def test_a_refusal_causes_one_callback_and_no_message(tag: str) -> None:
    for context in CONTEXTS:
        later = [each for each in seen(tag, f"the refusal, while {context}") if each["at"] >= 1000]
        assert [each for each in later if each["to"] == "proxy"] == []
        (error,) = [each for each in later if each["type"] == "onError"]
        assert error["code"] == "conversation_already_has_active_response"
        assert "recoverable" not in error


@pytest.mark.parametrize("tag", RECORDED)
def test_a_listener_of_the_manager_receives_events_without_callback(tag: str) -> None:
    received = [each["of"] for each in seen(tag, "what the manager's listener hears") if each["type"] == "(manager)"]
    assert received == ["response.done", "AgentDone"]


@pytest.mark.parametrize("tag", RECORDED)
@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("era", ["old text", "old audio", "new text", "new audio"])
def test_the_result_of_a_25_s_tool_is_sent_only_for_promise_handlers(tag: str, handler: str, era: str) -> None:
    name = f"{handler}, 25 s, {era}"
    (closed,) = sent(tag, name, "(close)")
    results = [each for each in sent(tag, name, "FunctionCallResponse") if not agent.is_default_error(each["content"])]
    if HANDLERS[handler].returns == "promise":
        assert [each["at"] for each in results] == [27_000]
        assert closed["at"] > 36_000
    else:
        assert closed["at"] < 14_000
        assert [each["at"] for each in results] == ([2000] if HANDLERS[handler].at_once else [])


def test_up_to_0_9_8_a_text_reply_is_cut_off_10_s_after_the_result() -> None:
    name = "a reply's text goes on, old"
    assert [sent(tag, name, "(close)")[0]["at"] for tag in RECORDED] == [12_050, 37_250]


# -- the same facts in simulated sessions ----------------------------------------------------------------------------


def idle_session(**given: Any) -> Recording:
    """Return the recording of a session in which the component closes an idle connection."""
    one = session(**given)
    actors = {**one.actors(), "component": Component(COMPONENTS[one.component], idle_timeout=True)}
    return VirtualEngine(one, actors).run()


@pytest.mark.parametrize("release", ["0.9.1", "0.10.0", "0.11.1"])
def test_a_slow_result_of_a_void_handler_is_never_sent(release: str) -> None:
    settings = {"release": release, "tool_ms": 25_000, "modality": "audio"}
    own = {
        handler: [r for r in said(idle_session(handler=handler, **settings), "component>proxy", "FunctionCallResponse")
                  if not agent.is_default_error(r["content"])]
        for handler in ("return", "void_ref")
    }  # fmt: skip
    assert [len(each) for each in own.values()] == [1, 0]


def callbacks_between(recording: Recording) -> list[tuple[float, str]]:
    """Return (ms after the end of the response with the call, state or callback) of the callbacks before the result."""
    (call,) = on_wire(recording, "component>app", "onFunctionCallRequest")
    ended = on_wire(recording, "upstream>proxy", "response.done")[0].sent_ns
    (result,) = on_wire(recording, "component>proxy", "FunctionCallResponse")
    assert call.sent_ns is not None
    assert ended is not None
    assert result.sent_ns is not None
    return [
        ((each.sent_ns - ended) / 1e6, str(each.payload.get("state", each.type)))
        for each in on_wire(recording, "component>app")
        if each.sent_ns is not None and call.sent_ns < each.sent_ns < result.sent_ns and isinstance(each.payload, Mapping)
    ]


@pytest.mark.parametrize("modality", ["text", "audio"])
@pytest.mark.parametrize("tag", TAGS)
def test_from_0_10_the_idle_state_marks_the_end_of_the_response_with_the_call(tag: str, modality: str) -> None:
    found = callbacks_between(play(release=tag, modality=modality, gap_ms=400, tool_ms=2000))
    assert found == ([(0, "idle")] if COMPONENTS[tag].number >= (0, 10) else [])


@pytest.mark.parametrize("modality", ["text", "audio"])
@pytest.mark.parametrize("tag", TAGS)
def test_after_a_preamble_no_callback_marks_the_end(tag: str, modality: str) -> None:
    found = callbacks_between(play(release=tag, modality=modality, preamble=True, gap_ms=400, tool_ms=2000))
    assert not [what for at, what in found if at >= 0]


# -- tables and command line -----------------------------------------------------------------------------------------


def test_every_tag_has_one_row_for_a_message_and_known_callbacks() -> None:
    for tag in TAGS:
        tells = [step for row in rows_of(tag).values() for step in row.steps if isinstance(step, Tell)]
        assert all(step.values == CALLBACKS[step.callback] for step in tells)
    assert set(TAGS) == {tag for tag in PROXIES if tag.replace(".", "").isdigit() and "." in tag}


def test_a_folder_without_a_component_or_its_dependencies_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no src/components" in capsys.readouterr().err
    entry = tmp_path / "src" / "components" / "DeepgramVoiceInteraction" / "index.tsx"
    entry.parent.mkdir(parents=True)
    entry.write_text("export default null;\n", "utf-8")
    with pytest.raises(InputError, match="is unknown"):
        conform_component(tmp_path)
    with pytest.raises(InputError, match="dependencies are not installed"):
        conform_component(tmp_path, "0.9.1")
