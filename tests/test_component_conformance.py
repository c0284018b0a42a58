"""Does the model of the component do what the running one did? Its record, replayed without Node; false rows are caught."""

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
    """The messages of a type that the running component sent to the proxy."""
    return [each for each in seen(tag, name) if each["to"] == "proxy" and each.get("type") == kind]


def differs(tag: str, among: Iterable[Case] = MODELLED) -> bool:
    """Whether the model, as it is now, differs from the record anywhere."""
    return any(compare(tag, case, seen(tag, case.name)) for case in among)


# -- the record ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", RECORDED)
def test_the_record_is_of_this_program_and_of_these_scripts(tag: str) -> None:
    assert recorded(tag)["source"] == COMPONENTS[tag].source
    assert recorded(tag)["scripts"] == scripts_hash(), "the scripts changed: record again (data/README.md)"
    assert set(recorded(tag)["cases"]) == set(ALL)


@pytest.mark.parametrize("tag", RECORDED)
def test_the_model_does_what_the_running_component_did(tag: str) -> None:
    found = {case.name: wrong for case in MODELLED if (wrong := compare(tag, case, seen(tag, case.name)))}
    assert found == {}


def test_every_program_was_compared_and_where_one_differs_is_known() -> None:
    programs = json.loads(shipped("data/conformance/component-programs.json").read_text("utf-8"))
    assert programs["scripts"] == scripts_hash()
    by_source = {each["source"]: each for each in programs["programs"].values()}
    assert set(by_source) == {row.source for row in COMPONENTS.values()}
    for row in COMPONENTS.values():
        known = {"no reply comes to an early result, new"} if row.idle == "runs_on" else set()
        assert set(by_source[row.source]["differences"]) == known, row.tag
        assert by_source[row.source]["compared"] == len(MODELLED)


def test_every_row_of_the_table_every_handler_and_every_end_has_a_script() -> None:
    played = {row for row, _ in MESSAGES.values()}
    assert {row.message for row in ROWS} - {"(text done)"} == played
    assert all(f"{message}, while {context}" in ALL for message in MESSAGES for context in CONTEXTS)
    for handler in HANDLERS:
        for end in ("result", "error", "reject", "none"):
            for shape in ("one call", "two calls in one request", "two requests"):
                assert f"{handler}, {end}, {shape}" in ALL


# -- can the comparison fail? ----------------------------------------------------------------------------------------

ACTIVE = [(tag, message) for tag in RECORDED for message, row in rows_of(tag).items() if row.steps]
SILENT = [
    (tag, message) for tag in RECORDED for message, row in rows_of(tag).items() if not row.steps and not message.startswith("(")
]


def with_row(monkeypatch: pytest.MonkeyPatch, tag: str, row: CallbackRow) -> None:
    rows = {**rows_of(tag), row.message: row}
    monkeypatch.setattr(callbacks, "rows_of", lambda _: rows)


@pytest.mark.parametrize(("tag", "message"), ACTIVE)
def test_a_row_that_tells_the_app_nothing_is_caught(monkeypatch: pytest.MonkeyPatch, tag: str, message: str) -> None:
    with_row(monkeypatch, tag, CallbackRow(message, ()))
    assert differs(tag)


@pytest.mark.parametrize(("tag", "message"), SILENT)
def test_a_row_that_tells_the_app_too_much_is_caught(monkeypatch: pytest.MonkeyPatch, tag: str, message: str) -> None:
    with_row(monkeypatch, tag, CallbackRow(message, (Tell("onSettingsApplied"),)))
    assert differs(tag)


@pytest.mark.parametrize("tag", RECORDED)
@pytest.mark.parametrize("other", RECORDED)
def test_the_rows_of_the_other_release_are_caught(monkeypatch: pytest.MonkeyPatch, tag: str, other: str) -> None:
    rows = rows_of(other)
    monkeypatch.setattr(callbacks, "rows_of", lambda _: rows)
    assert differs(tag) is (tag != other)


#: What differs between the two records; the knobs that the model's one connection cannot show are facts below.
IDLE = ("forgets", "message", "runs_on", "rests")
FLIPS = [
    *((tag, "default_error", False) for tag in RECORDED),
    *((tag, "idle", idle) for tag in RECORDED for idle in IDLE if COMPONENTS[tag].idle != idle),
    ("0.9.1", "microphone_opens", "applied"),
    ("0.11.1", "microphone_opens", "sent"),
]  # fmt: skip


@pytest.mark.parametrize(("tag", "knob", "value"), FLIPS)
def test_a_false_knob_is_caught(monkeypatch: pytest.MonkeyPatch, tag: str, knob: str, value: object) -> None:
    monkeypatch.setitem(COMPONENTS, tag, replace(COMPONENTS[tag], **{knob: value}))  # type: ignore[arg-type]
    assert differs(tag)


def test_a_result_more_one_less_and_one_too_late_are_caught() -> None:
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


# -- the facts that the page tells -----------------------------------------------------------------------------------


def test_the_page_is_the_tables() -> None:
    assert DOCS.read_text("utf-8") == page(), "run python -m tests.component --page > docs/component.md"


@pytest.mark.parametrize("tag", RECORDED)
def test_settings_go_out_once_for_a_connection(tag: str) -> None:
    assert len(sent(tag, "Settings, asked for again and again", "Settings")) == 1
    assert len(sent(tag, "a second connection, nothing kept", "Settings")) == 2


@pytest.mark.parametrize("tag", RECORDED)
def test_beside_another_component_none_go_out_but_the_users_text_does(tag: str) -> None:
    name = "Settings with another component connected"
    assert sent(tag, name, "Settings") == []
    assert len(sent(tag, name, "InjectUserMessage")) == 1


@pytest.mark.parametrize("tag", RECORDED)
@pytest.mark.parametrize(("name", "kept"), [("nothing kept", False), ("its conversation kept", True)])
def test_what_a_second_connection_is_told_of_the_first(tag: str, name: str, kept: bool) -> None:
    settings = sent(tag, f"a second connection, {name}", "Settings")[1]["agent"]
    knows = kept and COMPONENTS[tag].history_as_context
    assert ("context" in settings) is knows
    assert ("greeting" in settings) is not knows
    warned = any(each.get("type") == "onContextWarning" for each in seen(tag, f"a second connection, {name}"))
    assert warned is (COMPONENTS[tag].warns_of_context and not knows)


@pytest.mark.parametrize("tag", RECORDED)
def test_the_model_opens_a_second_connection_as_the_running_component_does(tag: str) -> None:
    """At 3100 ms two things come at once, which React tells a millisecond apart: order is compared towards the proxy."""
    case = ALL["a second connection, nothing kept"]
    real, model = seen(tag, case.name), play_case(tag, case)
    assert [each for each in differences(real, model) if "to the proxy" in each] == []
    told = [sorted(each["type"] for each in one if each["to"] == "app" and each["at"] >= 2000) for one in (real, model)]
    assert [each for each in told[0] if each not in NOT_COMPARED] == told[1]


@pytest.mark.parametrize("tag", RECORDED)
def test_a_result_without_a_connection_is_dropped_and_a_late_one_goes_out_on_the_next(tag: str) -> None:
    assert sent(tag, "a result for a connection that is gone", "FunctionCallResponse") == []
    assert not any(each["type"] == "(thrown)" for each in seen(tag, "a result for a connection that is gone"))
    assert len(sent(tag, "a result of one connection on the next", "FunctionCallResponse")) == 1
    assert [each["type"] for each in seen(tag, "a result after stop")][-1] == "(thrown)"


@pytest.mark.parametrize("tag", RECORDED)
def test_an_error_closes_nothing_and_repeats_nothing(tag: str) -> None:
    for context in CONTEXTS:
        behind = [each for each in seen(tag, f"the refusal, while {context}") if each["at"] >= 1000]
        assert [each for each in behind if each["to"] == "proxy"] == []
        (error,) = [each for each in behind if each["type"] == "onError"]
        assert error["code"] == "conversation_already_has_active_response"
        assert "recoverable" not in error


@pytest.mark.parametrize("tag", RECORDED)
def test_a_listener_of_the_manager_hears_what_no_callback_tells(tag: str) -> None:
    heard = [each["of"] for each in seen(tag, "what the manager's listener hears") if each["type"] == "(manager)"]
    assert heard == ["response.done", "AgentDone"]


@pytest.mark.parametrize("tag", RECORDED)
@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("era", ["old text", "old audio", "new text", "new audio"])
def test_a_tool_of_25_s_has_its_result_sent_unless_the_component_answered_first(tag: str, handler: str, era: str) -> None:
    name = f"{handler}, 25 s, {era}"
    (closed,) = sent(tag, name, "(close)")
    results = [each for each in sent(tag, name, "FunctionCallResponse") if not agent.is_default_error(each["content"])]
    if HANDLERS[handler].returns == "promise":
        assert [each["at"] for each in results] == [27_000]
        assert closed["at"] > 36_000
    else:
        assert closed["at"] < 14_000
        assert [each["at"] for each in results] == ([2000] if HANDLERS[handler].at_once else [])


def test_up_to_0_9_8_a_text_reply_is_cut_off_ten_seconds_after_the_result() -> None:
    name = "a reply's text goes on, old"
    assert [sent(tag, name, "(close)")[0]["at"] for tag in RECORDED] == [12_050, 37_250]


# -- the same in a session of the models -----------------------------------------------------------------------------


def idle_session(**given: Any) -> Recording:
    """A session whose component closes the connection when nothing happens."""
    one = session(**given)
    parties = {**one.parties(), "component": Component(COMPONENTS[one.component], idle_timeout=True)}
    return VirtualEngine(one, parties).run()


@pytest.mark.parametrize("release", ["0.9.1", "0.10.0", "0.11.1"])
def test_in_a_session_the_slow_result_of_a_handler_that_returns_nothing_is_never_sent(release: str) -> None:
    words = {"release": release, "tool_ms": 25_000, "modality": "audio"}
    own = {
        handler: [r for r in said(idle_session(handler=handler, **words), "component>proxy", "FunctionCallResponse")
                  if not agent.is_default_error(r["content"])]
        for handler in ("return", "void_ref")
    }  # fmt: skip
    assert [len(each) for each in own.values()] == [1, 0]


def callbacks_between(recording: Recording) -> list[tuple[float, str]]:
    """(ms behind the end of the response with the call, state or callback) that the app saw before its result."""
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
def test_which_callback_tells_that_the_response_with_the_call_is_over(tag: str, modality: str) -> None:
    found = callbacks_between(play(release=tag, modality=modality, gap_ms=400, tool_ms=2000))
    assert found == ([(0, "idle")] if COMPONENTS[tag].number >= (0, 10) else [])


@pytest.mark.parametrize("modality", ["text", "audio"])
@pytest.mark.parametrize("tag", TAGS)
def test_behind_a_preamble_no_callback_tells_it(tag: str, modality: str) -> None:
    found = callbacks_between(play(release=tag, modality=modality, preamble=True, gap_ms=400, tool_ms=2000))
    assert not [what for at, what in found if at >= 0]


# -- the tables, and the command -------------------------------------------------------------------------------------


def test_every_tag_has_one_row_for_a_message_and_known_callbacks() -> None:
    for tag in TAGS:
        told = [step for row in rows_of(tag).values() for step in row.steps if isinstance(step, Tell)]
        assert all(step.values == CALLBACKS[step.callback] for step in told)
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
