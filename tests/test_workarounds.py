"""Test that workarounds in the app have the documented effects, are offered only if possible, and leave findings visible."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest

from voicerace.analysis.verdict import judge
from voicerace.cli import main
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.explore.explorer import explore
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.replay import replayed
from voicerace.experiments.workarounds import BOUNDS, Effect, effect_of, until_heard_ms
from voicerace.files import shipped
from voicerace.model.catalog.components import TAGS
from voicerace.model.catalog.releases import component_for, proxy_release
from voicerace.model.catalog.workarounds import PUBLIC_API, WORKAROUNDS, why_not
from voicerace.report.notebook import path_tables
from voicerace.trace.recording import Recording


def played(release: str, workaround: str | None, **times: float) -> Recording:
    return simulate(SessionConfig.of(release=release, workaround=workaround, times={k: str(v) for k, v in times.items()}))


def outcome(release: str, workaround: str | None, **times: float) -> str:
    return judge(played(release, workaround, **times)).outcome


@cache
def effect(release: str, name: str, *stories: str) -> Effect:
    found = effect_of(release, name, stories=stories or ("single",), limit=6_000)
    assert found.why_not is None
    return found


# -- effects ---------------------------------------------------------------------------------------------------------


def test_await_and_return_removes_every_default_error() -> None:
    found = effect("0.9.1", "await-and-return")
    assert any("default-error" in name for _, name in found.removed)
    assert not any("default-error" in name for _, name in (*found.left, *found.new))
    # The race itself remains, and it is reported.
    assert ("single", "rejected-result-result-in-calls-1-result") in found.left


@pytest.mark.parametrize("release", ["0.9.1", "0.10.2", "0.11.1"])
def test_a_fixed_wait_longer_than_every_gap_removes_the_race_of_one_call(release: str) -> None:
    found = effect(release, "wait-fixed")
    assert found.removed
    assert not found.incomplete
    assert found.left == found.new == ()
    assert found.air_ms is not None
    assert found.air_without_ms is not None
    assert found.air_ms > found.air_without_ms


def test_a_fixed_wait_shorter_than_the_gap_leaves_the_findings() -> None:
    found = effect_of("0.9.1", "wait-fixed", stories=("single",), times=("hold_ms=200:200",))
    assert found.left


def test_a_fixed_wait_does_not_remove_the_findings_of_a_second_result() -> None:
    found = effect("0.9.1", "wait-fixed", "double")
    assert any(name.startswith("duplicated") for _, name in found.left)


@pytest.mark.parametrize("release", ["0.9.4", "0.9.8"])
def test_a_fixed_wait_stalls_releases_that_need_the_result_before_response_done(release: str) -> None:
    assert outcome(release, None) == "answered"
    assert outcome(release, "wait-fixed") == "stalled"


@pytest.mark.parametrize("release", ["0.10.2", "0.11.1"])
def test_waiting_for_idle_removes_the_race_without_extra_latency(release: str) -> None:
    found = effect(release, "wait-for-done")
    assert found.removed
    assert not any(name.startswith(("rejected", "lost")) for _, name in (*found.left, *found.new))
    assert outcome(release, None) in ("rejected", "lost")
    with_it = judge(played(release, "wait-for-done")).turns[0]
    assert with_it.outcome == "answered"
    # The result is sent at response.done. The remaining 10 ms are the time until the first audio of the reply.
    assert with_it.dead_air_ms == 10


def test_a_placeholder_avoids_the_stall_and_the_next_reply_uses_the_result() -> None:
    assert judge(played("0.9.4", None, tool_ms=3000)).wedged
    recording = played("0.9.4", "answer-at-once", tool_ms=3000)
    assert not judge(recording).wedged
    heard = until_heard_ms(recording)
    # The turn counts as answered 0.5 s after the end of the calls. The user hears the result only after the tool has ended.
    assert heard is None or heard > 2800


def test_a_placeholder_makes_the_race_certain_on_releases_with_an_immediate_create() -> None:
    assert outcome("0.9.1", None, tool_ms=3000) == "answered"
    assert outcome("0.9.1", "answer-at-once", tool_ms=3000) == "rejected"


@pytest.mark.parametrize("release", ["0.9.1", "0.11.1"])
def test_asking_again_recovers_a_lost_reply_and_the_refusal_stays_visible(release: str) -> None:
    assert until_heard_ms(played(release, None)) is None
    recording = played(release, "ask-again")
    assert until_heard_ms(recording) is not None
    assert judge(recording).turns[0].outcome in ("rejected", "lost")


# -- impossible workarounds ------------------------------------------------------------------------------------------


def test_waiting_for_the_end_is_refused_on_releases_that_do_not_show_it() -> None:
    for tag in TAGS:
        row = proxy_release(tag)
        possible = why_not("wait-for-done", row, component_for(row).tag, "return") is None
        assert possible == (tag.startswith(("0.10", "0.11"))), tag
    with pytest.raises(InputError, match=r"no callback of the component 0\.9\.1 shows a response's end.*response\.done"):
        SessionConfig.of(release="0.9.1", workaround="wait-for-done")


@pytest.mark.parametrize("name", WORKAROUNDS)
def test_a_handler_with_a_default_error_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="the component itself sends a second result"):
        SessionConfig.of(release="0.11.1", workaround=name, handler="void_ref")


def test_an_unknown_workaround_and_a_time_without_a_workaround_are_refused() -> None:
    with pytest.raises(InputError, match="allowed are await-and-return"):
        SessionConfig.of(workaround="hope")
    assert main(["run", "--hold-ms", "5"]) == 2


# -- TypeScript ------------------------------------------------------------------------------------------------------

#: Names of the TypeScript language and of the app.
_WORDS = """
const let as void return new status id result name code message async await type then if e go ms state number typeof
Promise ReturnType JSON stringify all push forEach setTimeout clearTimeout undefined
call tool ref current sleep HOLD_MS FALLBACK_MS waiting idle silence askIn held try finally
"""
_KNOWN = set(_WORDS.split())


@pytest.mark.parametrize("name", WORKAROUNDS)
def test_the_typescript_has_at_most_ten_lines_and_uses_only_the_public_api(name: str) -> None:
    text = WORKAROUNDS[name].typescript
    assert len(text.splitlines()) <= 10
    code = re.sub(r"//.*|'[^']*'|(?<=`)[^`$]*", "", text)
    code = re.sub(r", tell me: ", "", code)
    words = set(re.findall(r"[A-Za-z_]\w*", code))
    assert words - _KNOWN <= set(PUBLIC_API), words - _KNOWN - set(PUBLIC_API)


# -- sessions, findings and command line -----------------------------------------------------------------------------


def test_provenance_names_only_a_workaround_in_use() -> None:
    assert "workaround" not in SessionConfig.of().provenance()
    assert "hold_ms" not in SessionConfig.of().provenance()["times"]
    provenance = SessionConfig.of(workaround="wait-fixed", times={"hold_ms": "300"}).provenance()
    assert provenance["workaround"] == "wait-fixed"
    assert provenance["times"]["hold_ms"] == "300"


def test_a_finding_with_a_workaround_is_replayed_with_it() -> None:
    found = explore("0.9.1", [("double", "return")], BOUNDS, 6_000, None, None, "wait-fixed")
    for each in found.findings.values():
        again = Finding.from_json(json.loads(json.dumps(each.to_json())))
        assert again.workaround == "wait-fixed"
        assert each.signature in replayed(again).signatures


def test_a_kept_longer_exploration_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Effect("0.9.1", "wait-fixed", removed=(("single", "a"),), left=(("double", "b"),), incomplete=("double",), states=7)
    other = Effect("0.9.4", "wait-for-done", "no callback")
    path = tmp_path / "workarounds.json"
    path.write_text(json.dumps({"effects": [kept.to_json(), other.to_json()]}), "utf-8")
    monkeypatch.setattr(path_tables, "shipped", lambda _: path)
    assert path_tables.effects_at_length("0.9.1") == [kept]
    assert path_tables.effects_at_length("0.9.4") == [other]
    path.write_text("{}", "utf-8")
    with pytest.raises(InputError, match=r"workarounds\.json.*effects"):
        path_tables.effects_at_length("0.9.1")


def test_the_command_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["workarounds", "--release", "0.9.4", "--workaround", "wait-for-done", "--workaround", "ask-again"]
    given.append("--again")
    assert main([*given, "--max-states", "300", "--json"]) == 0
    caught = capsys.readouterr()
    printed = json.loads(caught.out)
    assert caught.err.splitlines() == ["workaround 1 of 2: 0.9.4 wait-for-done", "workaround 2 of 2: 0.9.4 ask-again"]
    not_possible, other = printed["effects"]
    assert "no callback" in not_possible["why_not"]
    assert other["why_not"] is None
    assert other["sessions"] == 24
    assert main([*given, "--max-states", "300"]) == 0
    printed = capsys.readouterr().out
    assert "wait-for-done: no callback of the component 0.9.4" in printed
    assert WORKAROUNDS["ask-again"].typescript in printed


def test_the_command_prints_the_kept_result_and_explores_only_with_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def explored(*_: object, **__: object) -> Effect:
        raise AssertionError

    monkeypatch.setattr("voicerace.cli.workarounds.effect_of", explored)
    kept = json.loads(shipped("data/workarounds.json").read_text("utf-8"))
    assert main(["workarounds", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(kept))
    given = ["workarounds", "--release", "0.9.1", "--workaround", "ask-again"]
    assert main([*given, "--out", str(tmp_path / "kept.json")]) == 0
    assert "kept in data/workarounds.json" in capsys.readouterr().out
    (written,) = json.loads((tmp_path / "kept.json").read_text("utf-8"))["effects"]
    assert written in kept["effects"]
    for more, error_text in (
        (["--release", "0.10.5"], "no result for 0.10.5"),
        (["--bounds", "tool_ms=0:10"], "bounds: given without --again"),
        (["--max-states", "5"], "max_states: given without --again"),
    ):
        assert main([*given, *more]) == 2
        caught = capsys.readouterr()
        assert error_text in caught.err
        assert not caught.out
