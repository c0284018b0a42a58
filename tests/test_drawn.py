"""Compare the proxy model with a running proxy in random exchanges, if a checkout exists; test the model of JavaScript."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.drawn.__main__ import main
from tests.drawn.exchanges import drawn_scripts
from tests.drawn.shrink import shown
from voicerace.conformance.compare import Signatures
from voicerace.conformance.steps import Script, closes, up, wait
from voicerace.model.actors import javascript, translate, translate_session
from voicerace.model.actors.javascript import UNDEFINED, ThrownError
from voicerace.model.actors.proxy import Proxy
from voicerace.model.catalog.releases import PROXIES

CHECKOUTS = os.environ.get("VOICERACE_CHECKOUTS")
REAL = pytest.mark.skipif(
    not CHECKOUTS, reason="VOICERACE_CHECKOUTS names a folder with a checkout per tag (v0.9.1, ...), dependencies installed"
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn_scripts(), st.sampled_from(sorted(PROXIES)))
def test_random_exchanges_never_crash_a_model(script: Script, tag: str) -> None:
    proxy, signatures = Proxy(PROXIES[tag]), Signatures()
    for step in script.steps:
        if step.closes:
            effects = proxy.closed(step.sender, step.code)
        else:
            effects = () if step.wait_ms else proxy.message(step.sender, step.payload)
        signatures.of(effects)
        for effect in effects:
            payload = getattr(effect, "payload", None)
            assert isinstance(payload, (str, bytes)) or json.dumps(payload)


@REAL
@pytest.mark.parametrize("tag", ["0.9.1", "0.9.4", "0.11.1"])
def test_the_running_proxy_agrees_with_its_model(tag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkout = str(Path(str(CHECKOUTS)) / f"v{tag}")
    assert main([checkout, "--count", "25", "--seed", "1", "--out", str(tmp_path)]) == 0
    assert "exchanges      25 drawn" in capsys.readouterr().out
    assert (tmp_path / f"{tag}-drawn.csv").is_file()


@REAL
def test_the_row_of_another_release_is_detected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--release", "0.9.1", "--count", "60", "--seed", "1", "--out", str(tmp_path)]
    assert main([str(Path(str(CHECKOUTS)) / "v0.9.4"), *arguments]) == 1
    assert "the smallest exchange that differs:" in capsys.readouterr().out


def test_a_checkout_without_a_proxy_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--count", "1"]) == 2
    assert capsys.readouterr().err.startswith("voicerace: error: ")


def test_a_step_is_described_in_words() -> None:
    assert shown(wait(800)) == "nothing is sent for 800 ms"
    assert shown(closes(1001)) == "upstream closes with 1001"
    assert shown(up("no JSON")) == "upstream sends the text 'no JSON'"
    assert shown(up(b"\x01")) == "upstream sends 1 bytes b'\\x01'"


# -- JavaScript ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "written"),
    [
        ("[1.0, 1e3, -0, 12345678901234567890, 1e400]", "[1,1000,0,12345678901234567000,null]"),
        ("[0.00001, 1e-7, 1.5e-9, 1E+21, 123456789.125, -1e21]", "[0.00001,1e-7,1.5e-9,1e+21,123456789.125,-1e+21]"),
        ('{"b":1,"10":2,"2":3,"01":4,"__proto__":{}}', '{"2":3,"10":2,"b":1,"01":4,"__proto__":{}}'),
        ('"\\u2028\\ud800\\u007f\\n\\u0001é🎈"', '"\u2028\\ud800\x7f\\n\\u0001é🎈"'),
        ('{"a":1,"a":[true,false,null]}', '{"a":[true,false,null]}'),
    ],
)
def test_json_is_written_like_node(frame: str, written: str) -> None:
    # The expected text was written by Node 20: JSON.stringify(JSON.parse(frame)).
    assert javascript.stringify(javascript.parse(frame)) == written


@pytest.mark.parametrize("frame", ["NaN", "-Infinity", "\ufeff{}", '{"a":"\x01"}', "", "01", b"\xff"])
def test_invalid_json_throws(frame: str | bytes) -> None:
    with pytest.raises(ThrownError):
        javascript.parse(frame)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("AAAA", 3),
        ("AA==AA", 1),
        ("AA", 1),
        ("A", 0),
        ("AA-_", 3),
        ("A*A A", 2),
        ("====", 0),
        ("AAA=", 2),
        ("AAAAé", 3),
        ("AA=A", 1),
    ],
)
def test_base64_is_read_like_node(text: str, size: int) -> None:
    assert len(javascript.base64_bytes(text)) == size


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (UNDEFINED, "undefined"),
        (True, "true"),
        (1.5, "1.5"),
        ([1, None, [2]], "1,,2"),
        ({}, "[object Object]"),
        ("", ""),
    ],
)
def test_a_value_is_converted_to_a_string(value: Any, expected: str) -> None:
    assert javascript.string(value) == expected


def test_invalid_operations_throw() -> None:
    for call in (
        lambda: javascript.field(None, "type"),
        lambda: javascript.string([{"toString": 1}]),
        lambda: javascript.trimmed(5),
        lambda: javascript.mapped("text"),
    ):
        with pytest.raises(ThrownError):
            call()


def test_truthiness_length_and_keys_follow_javascript() -> None:
    assert [javascript.truthy(each) for each in (0, "", None, UNDEFINED, False, [], {}, "0")] == [
        *[False] * 5,
        True,
        True,
        True,
    ]
    assert [javascript.has_length(each) for each in ([], "", {"length": 1}, {"length": 0}, 5, "x")] == [
        False, False, True, False, False, True,
    ]  # fmt: skip
    assert len({javascript.key(each) for each in (5, "5", True, 1, "true")}) == 5
    assert javascript.key({}) is None
    assert javascript.trim("\x1c \ufeff") == "\x1c"


# -- fields of the wrong type ----------------------------------------------------------------------------------------


def test_session_options_are_sent_by_releases_that_have_them() -> None:
    settings = {"agent": {"think": {"toolChoice": None, "maxOutputTokens": 5}, "sessionAudioOutput": {"speed": 1}}}
    for row in PROXIES.values():
        session = translate_session.session(settings, row)
        sent = [name in session for name in ("tool_choice", "max_output_tokens")] + ["output" in session["audio"]]
        assert sent == [row.session_options] * 3


def test_settings_that_throw_are_kept_as_audio() -> None:
    proxy = Proxy(PROXIES["0.9.1"])
    assert proxy.message("component", {"type": "Settings", "agent": {"think": {"functions": "none"}}}) == []
    assert proxy.state.configured
    assert proxy.state.audio.kept


def test_text_of_an_item_joins_all_its_parts() -> None:
    parts: list[Any] = [
        {"type": "function_call", "name": "f", "arguments": " {} "}, {"type": "function_call", "arguments": 5},
        {"output_text": {"text": "a"}},
        {"input_text": {"text": "b"}}, {"content": "c"}, {"text": " ", "transcript": "d"}, None, 5,
    ]  # fmt: skip
    item = {"role": "assistant", "content": parts}
    assert translate.text_of_item(item) == "Function call: f({})\nFunction call: function()\na\nb\nc\nd"
