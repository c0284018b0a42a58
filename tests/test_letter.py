"""Test that the letter's claims, advice and pictures follow the data."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from jinja2 import UndefinedError

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
from voicerace.report.letter import SECTIONS, longer_gap, other_paths, pages, reproduce, second_result, section
from voicerace.report.letter.decision import Decision, Share
from voicerace.report.letter.render import render
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


def seen(blocks: Any, name: str) -> tuple[Support, ...]:
    return next(block.seen for block in blocks if isinstance(block, Claim) and block.name == name)


def picture(blocks: Any) -> str:
    return next(block.alt for block in blocks if isinstance(block, Picture))


def test_a_release_that_never_stalls_changes_claims_headings_and_pictures(
    sample: ReportContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def told(material: ReportContext) -> dict[str, str]:
        found = longer_gap.blocks(material)
        maps = material.part("map")
        assert maps is not None
        return {
            "heading": longer_gap.heading(material), "gate": claim(found, "gate-0.9.4"), "bands": picture(found),
            "map": alt_maps(maps, ["0.9.4"]),
        }  # fmt: skip

    before = told(sample)
    assert "a tool of 300 ms or more is **… stalled**" in before["gate"]
    assert "every release fails" in before["heading"]
    for name in ("gate", "bands", "map"):
        assert "stalled" in before[name], name

    # The release has the knobs of the reference gate. The stored answers belong to the original release, so they are removed.
    monkeypatch.setattr(Evidence, "answers", {})
    monkeypatch.setitem(PROXIES, "0.9.4", replace(REFERENCE, tag="0.9.4", backend="0.2.4"))
    parameters = {"out": str(tmp_path / "run"), "release": "0.9.4", "releases": "0.9.4,0.9.1"}
    healed = ReportContext.of(LetterParameters(**parameters, step_ms=200, map_step_ms=200, draws=2))
    after = told(replace(healed, evidence=Evidence(root=tmp_path)))
    for name, words in after.items():
        assert "stalled" not in words, name
    assert after["heading"] == "C. Finding 2: with one result, 0.9.1 fails at some longer gaps"
    assert after["gate"].endswith("Nothing went wrong.")

    # Recordings of the running 0.9.4 remain in the letter, although the model has no failure.
    torn = told(healed)
    assert "0.9.4 at 300 ms was stalled" in torn["bands"]
    assert "The running proxy behaves differently**: 6 of 24 recorded sessions went wrong" in torn["gate"]


def test_a_changed_table_changes_the_ranges(sample: ReportContext) -> None:
    delay = sample.delay.copy()
    mine = delay["release"] == "0.11.1"
    delay.loc[mine, ["outcome", "bad"]] = ["answered", False]
    delay.loc[mine, "tie_outcome"] = None
    doctored = replace(sample, delay=delay)
    assert [side.outcome for side in sides(delay, "0.11.1")] == ["answered"]
    assert "Nothing went wrong in the model. **The running proxy behaves" in claim(longer_gap.blocks(doctored), "gate-0.11.1")
    assert (0, 6) in [(each.count, each.of) for each in seen(longer_gap.blocks(doctored), "gate-0.11.1")]


def test_sections_report_missing_evidence_and_parts(tmp_path: Path) -> None:
    sweep({"times": {"tool_ms": "0:400:200", "gap_ms": "300", **FIXED_NETWORK}}, out=tmp_path / "run", progress=False)
    bare = replace(ReportContext.of(LetterParameters(run=str(tmp_path / "run"))), evidence=Evidence(root=tmp_path / "nothing"))
    told = {name: words_of(section(name, bare)) for name in SECTIONS if name != "asked"}
    for name, words in (
        ("happens", "no share was computed for your release"),
        ("happens", "No patch was tested for this page"),
        ("decide", "No release in this test answers every turn"),
        ("second_result", "There is no recording of the running component"),
        ("second_result", "no sessions with other handlers"),
        ("longer_gap", "no map of other gaps"),
        ("other_paths", "There is no exploration"),
        ("other_paths", "no other scenarios"),
        ("evidence", "No comparison of models with running programs"),
        ("capture", "No capture was given"),
        ("reproduce", "--run FOLDER"),
    ):
        assert words in told[name], (name, words)
    assert "recorded cases of the running component" not in told["happens"]


# -- the two pages ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_words(sample: ReportContext) -> str:
    customer = replace(sample, parameters=sample.parameters.model_copy(update={"release": ("0.9.1",)}))
    blocks = [
        replace(block, alt="") if isinstance(block, Picture) else block
        for name in ("head", "happens", "decide", "next", "basis")
        for block in section(name, customer)
    ]
    return words_of(blocks)


def test_the_two_pages_are_short(page_words: str) -> None:
    """At most 900 words, and 40 numbers that are not release names, dates or the numbers of the steps."""
    assert len(page_words.split()) <= 900
    text = re.sub(r"\b0\.\d+\.\d+( / 0\.\d+\.\d+)?|\d{4}-\d\d-\d\d|\*\*\d\.|step \d|0\.9\.\d", "", page_words)
    assert len(re.findall(r"\d[\d.,]*", text)) <= 40
    assert not re.search(r"\d+ of (56|272|256)\b", page_words), "a count of a chosen grid"


@pytest.mark.parametrize("release", [tag for tag in PROXIES if "-" not in tag])
def test_the_decision_follows_the_shares_of_each_release(sample: ReportContext, release: str) -> None:
    context = replace(sample, parameters=sample.parameters.model_copy(update={"release": (release,)}))
    decision = Decision(context)
    row = decision.shares[release]
    page, advice = words_of(pages.happens(context)), claim(pages.decide(context), "do-upgrade")
    for share, tail in ((row.awaited, "awaits"), (row.returned, "returns")):
        assert f"{share.percent}" in page, tail
        assert share.interval in page
    assert ("your app gets the error" in page) == row.refuses
    assert ("the user hears nothing" in page) == row.stalls
    assert advice.startswith("**2. Upgrade?** Yes") == (row.returned.wrong > 0)
    assert decision.best is not None
    assert (decision.best.name in advice) or release == decision.best.tag
    assert not decision.best.stalls
    assert ("hold the result" in words_of(pages.decide(context))) == row.refuses


def test_shares_are_rounded_away_from_never_and_always() -> None:
    assert Share(0, 40, "answered", "").percent == "0 %"
    assert Share(1, 10_000, "answered", "").percent == "1 %"
    assert Share(9_999, 10_000, "noisy", "").percent == "99 %"
    assert Share(10_000, 10_000, "noisy", "").percent == "100 %"
    assert Share(19, 40, "stale", "").interval == "32 to 63 %"
    assert Share(0, 10_000, "answered", "").interval == "0.00 to 0.04 %"


def test_the_decision_is_made_from_the_draws(sample: ReportContext) -> None:
    """Other shares lead to another recommendation."""
    frame = sample.part("drawn")
    assert frame is not None
    context = replace(sample, parameters=sample.parameters.model_copy(update={"release": ("0.9.1",)}))
    assert Decision(context).best is not None
    assert Decision(context).best.tag == "0.11.1"  # type: ignore[union-attr]
    worse = frame.assign(
        outcome=frame["outcome"].mask(frame["release"] == "0.11.1", "lost").mask(frame["release"] == "0.9.1", "answered")
    )
    best = Decision(replace(context, parts={**context.parts, "drawn": worse})).best
    assert best is not None
    assert best.tag == "0.9.1"


def test_the_maintainers_page_has_causes_proof_and_follow_up(sample: ReportContext) -> None:
    context = replace(sample, parameters=sample.parameters.model_copy(update={"audience": "maintainers"}))
    told = {name: words_of(section(name, context)) for name in SECTIONS}
    assert not any(told[name] for name in ("happens", "decide", "next", "asked", "capture"))
    assert "0.9.0 to 0.9.3 and 0.10.0 to 0.10.2" in told["causes"]
    assert "147 of 186 sessions fail with the published proxy, 0 of 186 with the patched one" in told["proof"]
    assert "> *Proposed.*" in told["follow_up"]
    assert not any(words_of(section(name, sample)) for name in ("causes", "proof", "follow_up"))


def test_a_template_without_its_value_or_block_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render("next")
    with pytest.raises(KeyError, match="command"):
        render("reproduce", record=True)


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
    assert "one result for one call in every recorded case" in claim(second_result.blocks(material), "component-submits-twice")
    assert second_result.heading(material) == "B. Finding 1: who sends a second result"
    cases["async_ref, result, one call"] = [result, {**result, "content": json.dumps({"error": DEFAULT_ERROR})}]
    (folder / "component-0.9.1.json").write_text(json.dumps({"tag": "0.9.1", "cases": cases}), "utf-8")
    material = replace(material, evidence=Evidence(root=tmp_path))
    assert "can be answered twice" in claim(second_result.blocks(material), "component-submits-twice")
    assert second_result.seen_twice(material)[0].words.startswith("1 of 2 ")


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
    found = other_paths.blocks(material)
    words = words_of(found)
    assert other_paths.heading(material) == "D. Finding 3: 2 failure paths found in the releases"
    (family,) = other_paths.families(material)
    assert (family.names, family.paths, family.releases) == (2, 3, ("0.9.4", "0.11.1"))
    assert (family.by_handler, family.by_release, family.by_patch) == (0, 0, 2)  # no release is recommended without answers
    assert "tool 0 to 10,000 ms" in words
    sizes = next(block.frame for block in found if isinstance(block, Table) and "states" in block.frame)
    assert list(sizes["explored whole"]) == [1, 1]
    assert "1 of 2 paths tried on running proxies were confirmed" in words
    folded = [inner for block in found if isinstance(block, Fold) for inner in block.blocks if isinstance(inner, Table)]
    table = next(each.frame for each in folded if "what happens" in each.frame)
    assert list(table["releases"]) == ["0.9.4*, 0.11.1", "0.9.4"]
    assert "Not explored: 0.9.1 and 0.10.2." in words
    assert {"explore/0.9.4.json", "explore/0.11.1.json", "explore/0.9.4-live.csv"} <= set(material.evidence.hashes)


def test_evidence_is_named_by_its_path_below_data() -> None:
    evidence = Evidence()
    assert evidence.workarounds
    assert set(evidence.hashes) == {"workarounds.json"}


def test_the_findings_of_the_reference_gate_are_listed_and_not_counted(tmp_path: Path, sample: ReportContext) -> None:
    (tmp_path / "explore").mkdir()
    made_of = {"writers": ["result"], "cleared_by": "result", "holder": "server", "results": 1, "outcome": "noisy"}
    left = [finding("one", "reference", **made_of), finding("two", "reference", **{**made_of, "handler": "void_ref"})]
    record = {"release": "reference", "findings": left, "stories": [{"story": "parallel", "complete": True}]}
    (tmp_path / "explore" / "reference.json").write_text(json.dumps(record), "utf-8")
    material = replace(sample, evidence=Evidence(root=tmp_path))
    words = words_of(other_paths.blocks(material))
    assert "the model behind the patch, has 2 failure paths; 1 of them need a handler" in words
    assert words.count("while the API is busy with a response that it began itself: refused; a reply comes anyway") == 2
    assert "it has 2 failure paths" in claim(longer_gap.blocks(material), "gate-reference")
    assert not other_paths.families(material)


def test_a_workaround_is_shown_with_its_limits(tmp_path: Path, sample: ReportContext) -> None:
    """The text has the workaround's gaps and counts, and the releases that it harms."""
    material = replace(
        sample, parameters=sample.parameters.model_copy(update={"release": ("0.9.1",)}), evidence=Evidence(tmp_path)
    )
    frame = material.part("cures")
    assert frame is not None
    cure = best_workaround(material, "0.9.1")
    assert cure is not None
    assert (cure.name, cure.bad, cure.gaps_ms[1]) == ("wait-fixed", 0, 600)
    told = claim(longer_gap.blocks(material), "hold-0.9.1")
    assert (
        f"At gaps of 8 to 600 ms {cure.bad} of {cure.of} computed sessions went wrong with it, {cure.without} without" in told
    )
    assert "99th percentile of your gap" in told
    assert "Remove it before you change to 0.9.4" in told
    healed = frame.assign(bad=frame["bad"] & (frame["workaround"] != "wait-fixed"))
    told = claim(longer_gap.blocks(replace(material, parts={**material.parts, "cures": healed})), "hold-0.9.1")
    assert "worse" not in told


def test_recorded_sessions_name_their_program(sample: ReportContext) -> None:
    """The program of 0.10.2 was recorded under the tag 0.10.0. Another program was published as 0.10.2."""
    parameters = sample.parameters.model_copy(update={"release": ("0.10.2",)})
    material = replace(sample, evidence=Evidence(), parameters=parameters)
    end, second = words_of(section("appendix", material)), words_of(longer_gap.blocks(material))
    assert "another program, with backend 0.2.7, was published as 0.10.2" in end
    assert (
        "the running proxy 0.10.2 (recorded under the tag 0.10.0, the same program), a tool of 50 ms, a gap of 150 ms" in second
    )
    inside = int(material.real["tool_ms"].le(500).sum())
    assert f"Points are {inside} recorded sessions of the running proxies; {inside} have the model's outcome." in second


def test_a_broken_evidence_file_is_named(tmp_path: Path, sample: ReportContext) -> None:
    (tmp_path / "explore").mkdir()
    (tmp_path / "explore" / "0.9.4.json").write_text("{", "utf-8")
    with pytest.raises(InputError, match=r"0\.9\.4\.json"):
        other_paths.blocks(replace(sample, evidence=Evidence(root=tmp_path)))


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
    found = longer_gap.blocks(replace(sample, parts={**sample.parts, "cures": spoiled}))
    assert not [block for block in found if isinstance(block, Claim) and block.name.startswith("hold-")]


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
    words = words_of(other_paths.blocks(material))
    assert other_paths.heading(material) == "D. Finding 3: 1 failure path found in the releases"
    assert "the model behind the patch, has 2 failure paths" in words
    assert "more than 5 s late; here it is requested after 20 s." in words


def test_advice_on_result_values_follows_recordings_of_the_component(tmp_path: Path, sample: ReportContext) -> None:
    words = words_of(second_result.blocks(sample))
    assert "the component (seen on 0.9.1 and 0.11.1) serializes it" in words
    assert "in 4 of 4 recorded cases the component then sent one result" in words
    bare = words_of(second_result.blocks(replace(sample, evidence=Evidence(root=tmp_path))))
    assert "JSON.stringify" not in bare
    assert "let the promise reject" not in bare


def test_recorded_sessions_with_two_results_are_compared_and_drawn(sample: ReportContext) -> None:
    """The filters of recorded sessions have matches. A stale filter would leave the table and the picture without them."""
    found = second_result.blocks(sample)
    assert any(isinstance(block, Picture) and "running proxy" in block.caption for block in found)
    table = next(block.frame for block in found if isinstance(block, Table))
    assert not table["running proxies, as computed"].eq("not recorded").any()
