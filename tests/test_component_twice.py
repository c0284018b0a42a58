"""Test the record of what running components send if an app could answer twice, and the facts that the docs state from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from tests.component.twice import TIMES, main, outcome, read, results_of, scripts_hash, section
from tests.component.twice_cases import ACT_MS, CALLED, CAUSES, RETRY_MS, TOOL_MS, TwiceCase, twice_cases
from voicerace.analysis.verdict import judge
from voicerace.captures.live.app_run import results
from voicerace.engine.given_results import GivenResult
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.model.catalog.components import COMPONENTS
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.scenarios import REPRO

TAGS = ("0.9.1", "0.9.3", "0.9.4", "0.10.2", "50420ee", "0.10.3", "0.11.1")

Seen = list[dict[str, Any]]


@cache
def record() -> Mapping[str, Any]:
    return read()


def seen(tag: str, cause: str, handler: str) -> Seen:
    found: Seen = next(each["seen"] for each in record()["cases"][f"{cause}, {handler}"] if tag in each["tags"])
    return found


def of_type(events: Seen, *kinds: str) -> Iterator[dict[str, Any]]:
    return (event for event in events if event["type"] in kinds)


def every(cause: str) -> list[tuple[str, str]]:
    """Return each (tag, handler style) of a cause."""
    return [(tag, handler) for tag in TAGS for handler in CAUSES[cause].handlers]


def test_the_record_is_of_these_scripts_and_of_known_programs() -> None:
    assert record()["scripts"] == scripts_hash(), "the scripts changed: record again (data/README.md)"
    assert tuple(record()["programs"]) == TAGS
    assert set(record()["programs"].values()) <= {row.source for row in COMPONENTS.values()}
    for tag in set(TAGS) & set(COMPONENTS):
        assert record()["programs"][tag] == COMPONENTS[tag].source
    assert set(record()["cases"]) == {each.name for each in twice_cases()}
    for name, programs in record()["cases"].items():
        assert sorted(tag for each in programs for tag in each["tags"]) == sorted(TAGS), name


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_component_sends_the_results_of_its_model(handler: str) -> None:
    modelled = results(simulate(SessionConfig.of(handler=handler, times={"tool_ms": TOOL_MS, "gap_ms": 8})))
    for tag in TAGS:
        found = results_of(seen(tag, "nothing else", handler))[0]
        assert [(round(each.after_ms), each.default_error) for each in found] == [
            (round(each.after_ms), each.default_error) for each in modelled
        ]


@pytest.mark.parametrize(("tag", "handler"), every("StrictMode"))
def test_strict_mode_doubles_nothing(tag: str, handler: str) -> None:
    strict, usual = seen(tag, "StrictMode", handler), seen(tag, "nothing else", handler)
    assert [each["type"] for each in of_type(strict, "(mounted)", "(unmounted)")] == ["(mounted)", "(unmounted)", "(mounted)"]
    for kind in ("(open)", "Settings", "onFunctionCallRequest", "FunctionCallResponse"):
        assert len(list(of_type(strict, kind))) == len(list(of_type(usual, kind)))
    assert results_of(strict) == results_of(usual)


@pytest.mark.parametrize("tag", TAGS)
def test_a_leaky_effect_doubles_what_the_app_sends_under_strict_mode(tag: str) -> None:
    for handler in HANDLERS:
        own = [each for each in results_of(seen(tag, "leaky effect, StrictMode", handler))[0] if not each.default_error]
        assert len(own) == (1 if handler == "return" else 2)
        assert results_of(seen(tag, "leaky effect", handler)) == results_of(seen(tag, "nothing else", handler))


@pytest.mark.parametrize("cause", ["remount", "remount, StrictMode", "hot reload, remount"])
@pytest.mark.parametrize("tag", TAGS)
def test_a_remount_leaves_the_old_connection_open_and_the_new_one_without_settings(tag: str, cause: str) -> None:
    for handler in HANDLERS:
        found = seen(tag, cause, handler)
        assert [each["socket"] for each in of_type(found, "(open)")] == [0, 1]
        assert [each["socket"] for each in of_type(found, "Settings")] == [0]
        assert [each for each in of_type(found, "(close)") if each["socket"] == 0] == []
        texts = [(each["socket"], each["content"]) for each in of_type(found, "InjectUserMessage")]
        assert texts[0][0] == 0
        assert texts[1:] == [(1, "And in Porto?")]


@pytest.mark.parametrize("tag", TAGS)
def test_after_a_remount_only_the_ref_answers_on_the_new_connection(tag: str) -> None:
    for handler in ("return", "async_send", "void_send"):
        assert results_of(seen(tag, "remount", handler)) == results_of(seen(tag, "nothing else", handler))
        assert results_of(seen(tag, "hot reload, remount", handler)) == results_of(seen(tag, "nothing else", handler))
    for handler in ("async_ref", "void_ref"):
        assert results_of(seen(tag, "remount", handler))[1] == [GivenResult(TOOL_MS)]
        kept = results_of(seen(tag, "hot reload, remount", handler))
        assert [each.default_error for each in kept[0]] == [True]
        assert 1 not in kept
        thrown = list(of_type(seen(tag, "hot reload, remount", handler), "(thrown)"))
        assert [each["by"] for each in thrown] == ["sendFunctionCallResponse"]


@pytest.mark.parametrize(("tag", "handler"), every("hot reload, new handler"))
def test_a_hot_reload_with_a_new_handler_changes_no_result(tag: str, handler: str) -> None:
    found = seen(tag, "hot reload, new handler", handler)
    assert results_of(found) == results_of(seen(tag, "nothing else", handler))
    assert [each["handler"] for each in of_type(found, "onFunctionCallRequest")] == [0]


@pytest.mark.parametrize(("tag", "handler"), every("retry by sendResponse"))
def test_the_component_passes_every_call_of_send_response_on(tag: str, handler: str) -> None:
    own = [each for each in results_of(seen(tag, "retry by sendResponse", handler))[0] if not each.default_error]
    assert [each.after_ms for each in own] == [TOOL_MS, TOOL_MS + RETRY_MS]


@pytest.mark.parametrize("tag", TAGS)
def test_of_two_components_each_answers_its_own_call(tag: str) -> None:
    for handler in HANDLERS:
        found = seen(tag, "two components, both ask", handler)
        assert set(results_of(found, "call_1")) == {0}
        assert set(results_of(found, "call_2")) == {1}
        settings = [each["socket"] for each in of_type(found, "Settings")]
        assert settings == ([0] if tag.startswith("0.9.") else [0, 1])


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("handler", HANDLERS)
def test_the_outcome_of_a_table_row_is_that_of_the_modelled_handler(tag: str, handler: str) -> None:
    session = SessionConfig.of(release=tag, handler=handler, times={**TIMES, "tool_ms": TOOL_MS})
    modelled = judge(simulate(replace(session, scenario=REPRO)))
    assert outcome(tag, results_of(seen(tag, "nothing else", handler))[0]) == modelled.outcome


def test_scripts_act_while_the_tool_runs() -> None:
    assert 0 < ACT_MS < TOOL_MS
    for cause in ("remount", "hot reload, new handler", "hot reload, remount"):
        (step,) = [each for each in TwiceCase(cause, "return").script()["steps"] if each["at"] == CALLED + ACT_MS]
        assert step["do"] in ("remount", "rerender", "retype")


def test_the_section_names_every_cause_and_every_tag() -> None:
    text = section()
    assert all(f"| {cause} |" in text for cause in CAUSES)
    assert all(tag in text for tag in TAGS)


def test_a_folder_without_a_checkout_is_refused_in_one_line(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("voicerace: error: ")
