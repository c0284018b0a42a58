"""Test that the letter's claims, advice and pictures follow the data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from voicerace.analysis.verdict import judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.sweep.sweep import sweep
from voicerace.model.catalog.profiles import FIXED_NETWORK
from voicerace.model.catalog.releases import PROXIES, REFERENCE
from voicerace.report.blocks import Claim, Fold, Picture, Support, Table, claims_of, quoted, words_of
from voicerace.report.context import ReportContext
from voicerace.report.evidence import DEFAULT_ERROR, Evidence
from voicerace.report.letter import SECTIONS, answer, paths, reproduce, section, submitted_twice, timing, today
from voicerace.report.letter.workaround_statistics import best_workaround
from voicerace.report.parameters import LetterParameters
from voicerace.report.parts import make
from voicerace.report.phrasing import sides
from voicerace.report.plots.map_grid import alt_maps
from voicerace.report.plots.overview import OverviewLine, alt_overview, plot_overview, strip_of
from voicerace.report.race import race_alt, race_lines, race_svg

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample-run"


@pytest.fixture(scope="module")
def sample() -> ReportContext:
    return ReportContext.of(LetterParameters(run=str(SAMPLE), release="0.9.4"))


def claim(blocks: Any, name: str) -> str:
    return next(block.sentence for block in blocks if isinstance(block, Claim) and block.name == name)


def picture(blocks: Any) -> str:
    return next(block.alt for block in blocks if isinstance(block, Picture))


def test_a_release_that_never_stalls_changes_claims_advice_and_pictures(
    sample: ReportContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def told(material: ReportContext) -> dict[str, str]:
        first, advice, second = answer.blocks(material), today.blocks(material), timing.blocks(material)
        maps = material.part("map")
        assert maps is not None
        return {
            "answer": claim(first, "answer-second"), "picture": picture(first), "today": claim(advice, "today-0.9.4"),
            "upgrade": claim(advice, "upgrade"), "heading": timing.heading(material), "gate": claim(second, "gate-0.9.4"),
            "bands": picture(second), "map": alt_maps(maps, ["0.9.4"]),
        }  # fmt: skip

    before = told(sample)
    assert "0.9.4 fails with a tool of 300 ms or more (stalled" in before["answer"]
    assert "every release fails at some delays" in before["answer"]
    for name in ("picture", "today", "gate", "bands", "map"):
        assert "stalled" in before[name], name
    assert "timing still fails on 0.9.4" in before["today"]
    assert "prefer it" not in before["upgrade"]
    assert "every release fails" in before["heading"]

    # The release has the knobs of the reference gate. The stored answers belong to the original release, so they are removed.
    monkeypatch.setattr(Evidence, "answers", {})
    monkeypatch.setitem(PROXIES, "0.9.4", replace(REFERENCE, tag="0.9.4", backend="0.2.4"))
    parameters = {"out": str(tmp_path / "run"), "release": "0.9.4", "releases": "0.9.4,0.9.1"}
    healed = ReportContext.of(LetterParameters(**parameters, step_ms=200, map_step_ms=200, draws=2))
    after = told(replace(healed, evidence=Evidence(root=tmp_path)))
    assert "0.9.4 fails at none of 3 computed delays" in after["answer"]
    assert "0.9.1 fails at some delays" in after["answer"]
    for name, words in after.items():
        assert "stalled" not in words, name
    assert "Nothing more to change" in after["today"]
    assert "**0.9.4 had no failure on the map: prefer it.**" in after["upgrade"]
    assert after["heading"] == "Finding 2: even with one result, 0.9.1 fails at some delays"
    assert after["gate"].endswith("Nothing went wrong.")

    # Recordings of the running 0.9.4 remain in the letter, although the model has no failure.
    torn = told(healed)
    assert "0.9.4 at 300 ms was stalled" in torn["bands"]
    assert "the running proxy does**: 6 of 24 recorded sessions" in torn["today"]
    assert "The running proxy behaves differently" in torn["gate"]


def test_a_changed_table_changes_the_counts(sample: ReportContext) -> None:
    delay = sample.delay.copy()
    mine = delay["release"] == "0.11.1"
    delay.loc[mine, ["outcome", "bad"]] = ["answered", False]
    delay.loc[mine, "tie_outcome"] = None
    doctored = replace(sample, delay=delay)
    assert [side.outcome for side in sides(delay, "0.11.1")] == ["answered"]
    assert "0.11.1 fails at none of 6 computed delays" in claim(answer.blocks(doctored), "answer-second")
    assert "0 of 6 computed delays" in words_of(timing.blocks(doctored)).split("**0.11.1 / 0.2.13**")[1].split("real proxy")[0]


def test_sections_report_missing_evidence_and_parts(tmp_path: Path) -> None:
    sweep({"times": {"tool_ms": "0:400:200", "gap_ms": "300", **FIXED_NETWORK}}, out=tmp_path / "run", progress=False)
    bare = replace(ReportContext.of(LetterParameters(run=str(tmp_path / "run"))), evidence=Evidence(root=tmp_path / "nothing"))
    told = {name: words_of(section(name, bare)) for name in SECTIONS if name != "asked"}
    for name, words in (
        ("submitted_twice", "There is no recording of the running component"),
        ("submitted_twice", "no sessions with other handlers"),
        ("gate", "no map of other gaps"),
        ("gate", "No recording of a running proxy"),
        ("paths", "There is no exploration"),
        ("paths", "no other scenarios"),
        ("today", "tried no workarounds"),
        ("how_tested", "No comparison of models with running programs"),
        ("yours", "No capture was given"),
        ("again", "--run FOLDER"),
    ):
        assert words in told[name], (name, words)
    assert "of 8 recorded cases" not in told["answer"]


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"times": {"tool_ms": "50", "gap_ms": "300"}}, "one tool_ms only"),
        ({"times": {"tool_ms": "0:100:50", "gap_ms": "100:300:100"}}, "gap_ms differs"),
        ({"times": {"tool_ms": "0:100:50"}, "handlers": "all"}, "handler differs"),
        ({"times": {"tool_ms": "0:100:50", "reply_ms": "uniform(100,200)"}}, "reply_ms is drawn"),
    ],
)
def test_a_sweep_that_is_unsuitable_for_a_letter_is_refused(spec: dict[str, Any], word: str, tmp_path: Path) -> None:
    sweep(spec, out=tmp_path / "run", progress=False)
    with pytest.raises(InputError) as caught:
        ReportContext.of(LetterParameters(run=str(tmp_path / "run")))
    assert word in str(caught.value)


def test_the_second_result_is_counted_on_the_running_component(tmp_path: Path) -> None:
    """The claim follows the recordings, even if each call has one result."""
    folder = tmp_path / "conformance"
    folder.mkdir()
    result = {"at": 1050, "to": "proxy", "type": "FunctionCallResponse", "content": "{}"}
    cases = {f"{style}, result, one call": [result] for style in ("return", "async_ref", "void_ref")}
    (folder / "component-0.9.1.json").write_text(json.dumps({"tag": "0.9.1", "cases": cases}), "utf-8")
    material = replace(ReportContext.of(LetterParameters(run=str(SAMPLE))), evidence=Evidence(root=tmp_path))
    assert "one result for one call in every recorded case" in claim(
        submitted_twice.blocks(material), "component-submits-twice"
    )
    assert submitted_twice.heading(material) == "Finding 1: who sends a second result"
    cases["async_ref, result, one call"] = [result, {**result, "content": json.dumps({"error": DEFAULT_ERROR})}]
    (folder / "component-0.9.1.json").write_text(json.dumps({"tag": "0.9.1", "cases": cases}), "utf-8")
    material = replace(material, evidence=Evidence(root=tmp_path))
    assert "with 1 style of handler out of 3" in claim(submitted_twice.blocks(material), "component-submits-twice")
    assert submitted_twice.seen_twice(material)[0].words.startswith("1 of 2 ")


def finding(name: str, release: str, **more: Any) -> dict[str, Any]:
    trace = [{"ms": 0.0, "party": "proxy", "what": "FunctionCallResponse from component"}]
    return {
        "name": name, "outcome": "stalled", "sentence": f"What {name} is.", "release": release, "story": "parallel",
        "handler": "return", "trace": trace, **more,
    }  # fmt: skip


def test_explorations_and_live_confirmations_are_cited(tmp_path: Path, sample: ReportContext) -> None:
    folder = tmp_path / "explore"
    folder.mkdir()
    stories = [
        {"story": "parallel", "handler": "return", "complete": True},
        {"story": "voice", "handler": "return", "complete": False},
    ]
    for release, names in (("0.9.4", ("first", "second")), ("0.11.1", ("first",))):
        record = {
            "release": release, "findings": [finding(name, release) for name in names], "stories": stories, "states": 12_345,
            "bounds": {"tool_ms": [0, 10_000], "reply_ms": [5, 5]},
        }  # fmt: skip
        (folder / f"{release}.json").write_text(json.dumps(record), "utf-8")
    (folder / "0.9.4-live.csv").write_text(
        "name,outcome,story,handler,confirmed,tries,proxy_hash\nfirst,stalled,parallel,return,True,1,x\n"
        "second,stalled,parallel,return,False,3,x\n", "utf-8",
    )  # fmt: skip
    material = replace(sample, evidence=Evidence(root=tmp_path))
    found = paths.blocks(material)
    words = words_of(found)
    assert paths.heading(material) == "Finding 3: 2 failure paths found in the releases"
    assert "By outcome, 2 failure paths follow: 2 found in the releases." in words
    assert "2 failure paths** (3, counted release by release), on 0.9.4 and 0.11.1" in words
    assert "tools of 0 to 10,000 ms" in words
    assert "not of voice/return" in words
    assert "1 of 2 of those tried on the running proxy were confirmed" in words
    folded = [inner for block in found if isinstance(block, Fold) for inner in block.blocks if isinstance(inner, Table)]
    table = next(each.frame for each in folded if "what happens" in each.frame)
    assert list(table["releases"]) == ["0.9.4*, 0.11.1", "0.9.4"]
    assert "Not explored: 0.9.1 and 0.10.2." in words
    assert {"explore/0.9.4.json", "explore/0.11.1.json", "explore/0.9.4-live.csv"} <= set(material.evidence.hashes)


def test_evidence_is_named_by_its_path_below_data() -> None:
    evidence = Evidence()
    assert evidence.workarounds
    assert set(evidence.hashes) == {"workarounds.json"}


def test_a_gate_without_bad_draws_still_has_its_explored_findings(tmp_path: Path, sample: ReportContext) -> None:
    told = claim(paths.blocks(replace(sample, evidence=Evidence(root=tmp_path))), "stories")
    assert told.endswith("None of these drawn sessions went wrong with the reference gate.")
    (tmp_path / "explore").mkdir()
    made_of = {"writers": ["result"], "cleared_by": "result", "holder": "server", "results": 1, "outcome": "noisy"}
    left = [finding("one", "reference", **made_of), finding("two", "reference", **{**made_of, "handler": "void_ref"})]
    record = {"release": "reference", "findings": left, "stories": [{"story": "parallel", "complete": True}]}
    (tmp_path / "explore" / "reference.json").write_text(json.dumps(record), "utf-8")
    material = replace(sample, evidence=Evidence(root=tmp_path))
    told = claim(paths.blocks(material), "stories")
    assert "for these draws only: **exploring every order found 2 failure paths with the reference gate**" in told
    listed = claim(paths.blocks(material), "reference-explored")
    assert "leaves 2 failure paths**, in 1 scenario. 1 of them needs a handler that makes the component answer twice" in listed
    assert "while the API is busy with a response that it began itself: refused; a reply comes anyway" in listed
    assert "it still has 2 failure paths" in claim(timing.blocks(material), "gate-reference")


def test_a_workaround_is_shown_with_its_limits(tmp_path: Path, sample: ReportContext) -> None:
    """The text states the workaround's times, the scenarios it does not help, the releases it harms, and its findings."""
    material = replace(
        sample, parameters=sample.parameters.model_copy(update={"release": ("0.9.1",)}), evidence=Evidence(tmp_path)
    )
    frame = material.part("cures")
    assert frame is not None
    cure = best_workaround(material, "0.9.1")
    assert cure is not None
    assert (cure.name, cure.bad, cure.gaps_ms[1]) == ("wait-fixed", 0, 600)
    assert cure.beyond is not None
    assert cure.beyond.bad == cure.beyond.of
    told = claim(today.blocks(material), "cure-limits-0.9.1")
    assert "follows from the setting**: the tested gaps were 8 to 600 ms, all shorter than the 2.0 s" in told
    assert f"At a gap of 5,000 ms it went wrong in {cure.beyond.bad} of {cure.beyond.of} sessions" in told
    left = [story for story, each in cure.stories.items() if each.bad]
    assert left
    assert f"{len(left)} of {len(cure.stories)} other scenarios still went wrong" in claim(
        answer.blocks(material), "answer-third"
    )
    stalled = frame[(frame["release"] == "0.9.4") & (frame["workaround"] == "wait-fixed") & (frame["scenario"] == "single")]
    near = stalled[stalled["gap_ms"] <= 600]
    assert f"It makes 0.9.4 ({int(near['bad'].sum())} of {len(near)} go wrong with it" in told
    assert "every order" not in words_of(today.blocks(material))

    healed = frame.assign(bad=frame["bad"] & (frame["workaround"] != "wait-fixed"))
    told = claim(today.blocks(replace(material, parts={**material.parts, "cures": healed})), "cure-limits-0.9.1")
    assert "does not help" not in told
    assert " worse" not in told
    effect = {"release": "0.9.1", "workaround": "wait-fixed", "removed": [{"story": "single", "finding": "a"}] * 3, "new": []}
    effect |= {"left": [{"story": "parallel", "finding": "b"}], "incomplete": ["double"]}
    (tmp_path / "workarounds.json").write_text(json.dumps({"effects": [effect]}), "utf-8")
    words = words_of(today.blocks(replace(material, evidence=Evidence(tmp_path))))
    assert (
        "removes 3 failure paths, leaves 1 and adds 0 (not every order of double was explored). Left (paths): several" in words
    )
    assert "removes 3, leaves 1, adds 0; not every order of double" in words


def test_recorded_sessions_name_their_program(sample: ReportContext) -> None:
    """The program of 0.10.2 was recorded under the tag 0.10.0. Another program was published as 0.10.2."""
    material = replace(sample, evidence=Evidence())
    head, second = words_of(section("head", material)), words_of(timing.blocks(material))
    assert "0.10.2 / 0.2.6 (recorded under the tag 0.10.0, the same program)" in head
    assert "the number that voice-agent-backend has in that tag" in head
    assert "Another program, with backend 0.2.7, was published as 0.10.2; it was not tested" in head
    assert (
        "1 of 1 recorded session goes wrong with the running proxy, at other times (a tool of 50 ms, a gap of 150 ms)" in second
    )
    inside = int(material.real["tool_ms"].le(500).sum())
    assert f"Points are {inside} recorded sessions of the running proxies; {inside} have the model's outcome; " in second
    assert f"{len(material.real) - inside} more, with tools of 1,000 to 3,000 ms, are not in the picture" in second


def test_a_broken_evidence_file_is_named(tmp_path: Path, sample: ReportContext) -> None:
    (tmp_path / "explore").mkdir()
    (tmp_path / "explore" / "0.9.4.json").write_text("{", "utf-8")
    with pytest.raises(InputError, match=r"0\.9\.4\.json"):
        paths.blocks(replace(sample, evidence=Evidence(root=tmp_path)))


def test_the_best_workaround_has_the_fewest_bad_sessions(sample: ReportContext) -> None:
    frame = sample.part("cures")
    assert frame is not None
    best = best_workaround(sample, "0.9.4")
    for cure in frame["workaround"].unique():
        own = frame[(frame["release"] == "0.9.4") & (frame["workaround"] == cure) & frame["possible"]]
        if best is not None and len(own):
            assert int(own["bad"].sum()) >= best.bad
    spoiled = frame.assign(bad=True)
    assert best_workaround(replace(sample, parts={**sample.parts, "cures": spoiled}), "0.9.4") is None
    told = words_of(today.blocks(replace(sample, parts={**sample.parts, "cures": spoiled})))
    assert "No workaround made 0.9.4 better" in told


def test_only_counts_of_draws_have_an_interval() -> None:
    assert "interval" not in Support("model", 3, 10, "computed sessions").words
    assert Support("model", 3, 10, "sessions", drawn=True).words == "3 of 10 sessions (30%, 95 % interval 11% to 60%)"
    assert Support("real API", 0, 0, "nothing met it").words == "none: nothing met it"
    assert claims_of([Claim("a", "**A** b.", (Support("model", 1, 2, "x"),))])[0]["claim"] == "A b."


def test_quoted_text_is_escaped_and_shortened() -> None:
    assert quoted("<script>*a*</script>\n[x](y) `z`") == "&lt;script&gt;\\*a\\*&lt;/script&gt; \\[x\\](y) \\`z\\`"
    assert len(quoted("x" * 500)) == 80


def test_the_command_reproduces_the_run(sample: ReportContext) -> None:
    said = reproduce.command(sample)
    assert said == "voicerace report --release 0.9.4 --step-ms 100 --map-step-ms 100 --draws 10"


def test_the_parts_of_a_run_are_reproducible(tmp_path: Path) -> None:
    parameters = LetterParameters(releases="0.9.1", step_ms=200, map_step_ms=200, draws=2)
    one, two = (make(parameters.model_copy(update={"out": str(tmp_path / name)})) for name in ("one", "two"))
    for name in ("map", "reference", "styles", "drawn", "cures"):
        assert (one / "letter" / f"{name}.parquet").read_bytes() == (two / "letter" / f"{name}.parquet").read_bytes()
    frame = pd.read_parquet(one / "letter" / "styles.parquet")
    material = ReportContext.of(LetterParameters(run=str(one)))
    for row in (0, len(frame) - 1):
        recording = material.played_again("styles", row)
        assert judge(recording).outcome == frame["outcome"].iloc[row]
        assert recording.provenance["handler"] == frame["handler"].iloc[row]


# -- pictures --------------------------------------------------------------------------------------------------------


def test_a_strip_has_the_times_of_its_session() -> None:
    times: dict[str, object] = {**FIXED_NETWORK, "gap_ms": "300", "tool_ms": "100"}
    strip = strip_of(simulate(SessionConfig.of(release="0.9.1", times=times)))
    assert strip.outcome == "rejected"
    assert strip.results == ((150.0, True),)  # the call takes 30 + 10 ms to the app, and the result takes 10 ms to the proxy
    assert strip.requests == ((180.0, True),)  # 30 ms to the API, whose slot is taken until 300 ms
    ((_, until, reply),) = strip.busy
    assert (until, reply) == (300.0, False)
    late = strip_of(simulate(SessionConfig.of(release="0.9.4", times={**times, "tool_ms": "350"})))
    assert (late.outcome, late.requests) == ("stalled", ())
    twice = strip_of(simulate(SessionConfig.of(release="0.9.1", handler="async_ref", times={**times, "tool_ms": "350"})))
    assert [own for _, own in twice.results] == [True, False]
    assert [refused for _, refused in twice.requests] == [False, True]


def test_the_overview_has_alt_text_for_its_lines() -> None:
    lines = race_lines()
    alt = alt_overview(lines)
    for line in lines:
        strip = strip_of(line.recording)
        assert f"{line.title}:" in alt
        assert f"{strip.outcome}, {' '.join(line.means.split())}." in alt
    ax = plot_overview(lines).axes[0]
    drawn = {text.get_text() for text in ax.texts}
    assert {line.title for line in lines} <= drawn
    assert "✗ refused" in drawn
    assert any(text.startswith("no request is ever sent") for text in drawn)


def test_a_session_without_a_result_is_drawn_without_a_request() -> None:
    recording = simulate(SessionConfig.of(release="0.9.1", tool_end="none"))
    assert "no request" in alt_overview([OverviewLine("none", recording, "nothing")])
    assert not any(
        "waits for an end" in text.get_text() for text in plot_overview([OverviewLine("none", recording, "")]).axes[0].texts
    )


def test_the_picture_in_the_readme_is_up_to_date() -> None:
    assert (ROOT / "docs" / "race.svg").read_bytes() == race_svg(), "out of date: `make sample`"
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"![{race_alt()}](docs/race.svg)" in readme


def test_findings_of_the_reference_gate_are_counted_separately_and_late_has_its_delay(
    tmp_path: Path, sample: ReportContext
) -> None:
    (tmp_path / "explore").mkdir()
    late = {
        "outcome": "late", "writers": ["result"], "cleared_by": "recovery", "holder": "", "results": 1,
        "trace": [
            {"ms": 325.0, "party": "proxy", "what": "FunctionCallResponse from component"},
            {"ms": 20_325.0, "party": "upstream", "what": "response.create from proxy"},
        ],
    }  # fmt: skip
    for release, names in (("0.9.4", ("first",)), ("reference", ("first", "second"))):
        record = {
            "release": release,
            "findings": [finding(name, release, **late) for name in names],
            "stories": [],
            "bounds": {},
        }
        (tmp_path / "explore" / f"{release}.json").write_text(json.dumps(record), "utf-8")
    material = replace(sample, evidence=Evidence(root=tmp_path))
    words = words_of(paths.blocks(material))
    assert paths.heading(material) == "Finding 3: 1 failure path found in the releases"
    assert "By outcome, 2 failure paths follow: 1 found in the releases, and 1 only with the reference gate" in words
    assert "more than 5 s late; here it is requested after 20 s." in words


def test_advice_on_result_values_follows_recordings_of_the_component(tmp_path: Path, sample: ReportContext) -> None:
    object_goes, throws = submitted_twice.result_advice(sample)
    assert "seen on 0.9.1 and 0.11.1" in object_goes
    assert "in 4 of 4 recorded cases" in throws
    assert not submitted_twice.result_advice(replace(sample, evidence=Evidence(root=tmp_path)))


def test_the_caption_has_the_times_of_every_line(sample: ReportContext) -> None:
    caption = next(block.caption for block in answer.blocks(sample) if isinstance(block, Picture))
    styles = sample.part("styles")
    assert styles is not None
    assert f"line 3 at a gap of {styles['gap_ms'].iloc[0]:g} ms" in caption
    assert f"at a gap of {sample.gap_ms:g} ms" in caption
