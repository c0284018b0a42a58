"""Test that the report has its parts, equal bytes for equal runs, and no incomplete file after an error."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import warnings
from pathlib import Path
from typing import Any

import nbformat
import nbformat.v4 as new
import pandas as pd
import papermill
import pytest
from bs4 import BeautifulSoup
from nbconvert.exporters import get_exporter

from voicerace.captures import read_capture
from voicerace.cli import main
from voicerace.errors import InputError
from voicerace.experiments.sweep.sweep import SweepResult
from voicerace.report import capture_view
from voicerace.report.build import Report, build, run_cells
from voicerace.report.exporter import PageExporter
from voicerace.report.notebook.display import table_html
from voicerace.report.notebook.parameters import DelaySweepParameters
from voicerace.report.page_check import faults
from voicerace.report.parameters import LetterParameters
from voicerace.report.parts import PARTS, make
from voicerace.report.pdf import print_pdf

CONSOLE = Path(__file__).parent / "data" / "console-0.9.1-refused.log"
ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample-run"
TINY = {"releases": '["0.9.1"]', "step_ms": 200, "map_step_ms": 200, "draws": 1}


def page_of(*outputs: nbformat.NotebookNode, text: str = "## A heading") -> str:
    cells = [new.new_markdown_cell(text), new.new_code_cell("code", outputs=list(outputs))]
    html, _ = PageExporter().from_notebook_node(new.new_notebook(cells=cells, metadata={"title": "A title"}))
    return html


def test_the_page_has_no_faults_and_its_sections_in_order(small_report: Report) -> None:
    html = small_report.page.read_text("utf-8")
    assert faults(html) == []
    assert "from_namespace" not in html
    soup = BeautifulSoup(html, "html.parser")
    headings = [heading.get_text() for heading in soup.main.find_all("h2")]
    order = (
        "What happens", "What to do", "What we do next", "How sure this is", "Annex", "A. What was asked", "B. Finding 1",
        "C. Finding 2", "D. Finding 3", "E. How it was tested", "F. Your own sessions", "G. What this does not show",
        "H. How to run it again", "I. Terms",
    )  # fmt: skip
    assert len(headings) == len(order)
    for heading, begin in zip(headings, order, strict=True):
        assert heading.startswith(begin)
    assert "voice-commerce" in soup.header.get_text()
    assert "0.9.1 / 0.2.1" in soup.header.get_text()


def test_the_committed_sample_matches_the_code(small_report: Report) -> None:
    for made in (small_report.page, small_report.claims):
        committed = ROOT / "reports" / made.name
        assert made.read_bytes() == committed.read_bytes(), f"{made.name} differs from the committed file: run `make sample`"


def test_the_claims_file_has_counts_and_targets(small_report: Report) -> None:
    record = json.loads(small_report.claims.read_text("utf-8"))
    claims = {claim["name"]: claim for claim in record["claims"]}
    assert {"often", "do-upgrade", "basis", "component-submits-twice", "cure-return", "gate-0.9.1"} <= set(claims)
    soup = BeautifulSoup(small_report.page.read_text("utf-8"), "html.parser")
    assert {f"claim-{name}" for name in claims} == {str(each["id"]) for each in soup.select("[id^=claim-]")}
    targets = {seen["target"] for claim in record["claims"] for seen in claim["seen"]}
    assert {"model", "real proxy", "real component", "real API", "documented run"} == targets
    for claim in record["claims"]:
        for seen in claim["seen"]:
            assert 0 <= seen["count"] <= seen["of"]
            # Only counts of drawn sessions have an interval.
            assert (seen["interval_95"] is not None) == (seen["kind"] == "estimated" and seen["of"] > 0)
            if seen["kind"] == "estimated":
                low, high = seen["interval_95"]
                assert low <= seen["count"] / seen["of"] <= high


def test_alt_texts_have_the_numbers_of_their_tables(small_report: Report) -> None:
    soup = BeautifulSoup(small_report.page.read_text("utf-8"), "html.parser")
    alts = [str(picture["aria-label"]) for picture in soup.select("svg[role=img]")]
    trials = SweepResult.open(small_report.run).trials
    bands = next(alt for alt in alts if alt.startswith("Outcome over tool_ms"))
    for row in trials[["release", "outcome"]].drop_duplicates().itertuples():
        assert re.search(rf"{re.escape(row.release)}: [^;]*{row.outcome}", bands)
    maps = pd.read_parquet(small_report.run / "letter" / "map.parquet")
    maps_alts = [alt for alt in alts if alt.startswith("Maps of the outcome")]
    assert len(maps_alts) == maps["release"].nunique()
    for (release, outcome), group in maps.groupby(["release", "outcome"]):
        (part,) = [alt[alt.index(f"Proxy {release},") :] for alt in maps_alts if f"Proxy {release}," in alt]
        assert f"{len(group)} {outcome}" in part[: part.index(". ")]


def test_pictures_have_tooltips_links_and_their_own_ids(small_report: Report) -> None:
    soup = BeautifulSoup(small_report.page.read_text("utf-8"), "html.parser")
    titles = [title.get_text() for title in soup.select("svg g.tip > title")]
    for begin in (
        "response.create at the API, ",
        "the API is busy with a reply",
        "running proxy: gap_ms 300",
        "0.9.1: gap_ms ",
    ):
        assert any(title.startswith(begin) for title in titles), begin
    assert any("host to proxy: sent at" in title for title in titles)
    targets = {str(link["xlink:href"]) for link in soup.select("svg a")}
    assert targets
    assert all(soup.select_one(target) is not None for target in targets)
    ids = [str(each["id"]) for each in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    for svg in soup.find_all("svg"):
        own = {str(each["id"]) for each in svg.find_all(id=True)}
        assert {str(use["xlink:href"])[1:] for use in svg.find_all("use")} <= own


def test_the_first_picture_has_a_version_for_phones(small_report: Report) -> None:
    soup = BeautifulSoup(small_report.page.read_text("utf-8"), "html.parser")
    figure = soup.main.find("figure")
    wide, narrow = figure.select(".wide svg, .narrow svg")
    assert wide["aria-label"] == narrow["aria-label"]
    assert float(str(narrow["width"]).removesuffix("pt")) < 300 < float(str(wide["width"]).removesuffix("pt"))


@pytest.mark.long
@pytest.mark.usefixtures("warm_cache")
def test_nbconvert_gives_the_same_bytes_for_the_same_run(small_report: Report, tmp_path: Path) -> None:
    ran = tmp_path / "ran.ipynb"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        papermill.execute_notebook(
            str(ROOT / "notebooks" / "6-the-letter.ipynb"), str(ran), parameters={"run": str(small_report.run.resolve())},
            kernel_name="python3", progress_bar=False,
        )  # fmt: skip
    html, _ = get_exporter("voicerace")().from_filename(str(ran))
    assert hashlib.sha256(html.encode()).hexdigest() == hashlib.sha256(small_report.page.read_bytes()).hexdigest()


def test_no_cell_caption_or_summary_shows_raw_markdown(small_report: Report) -> None:
    soup = BeautifulSoup(small_report.page.read_text("utf-8"), "html.parser")
    for code in soup.find_all(["code", "pre", "style"]):
        code.decompose()
    for tag in soup.find_all(["td", "th", "caption", "figcaption", "summary", "p", "li", "h2", "h3", "h4"]):
        assert "`" not in tag.get_text(), tag.get_text()[:200]
        assert "**" not in tag.get_text(), tag.get_text()[:200]


def test_a_cell_supports_only_code_and_emphasis_of_markdown() -> None:
    html = table_html(
        ["`a`"], [["**b** <i>", "[x](https://example.org) ![y](z.png) 0.9.4*, 0.11.1* a_b_c &amp; `<c>`"]], "of `d`"
    )
    assert "<code>a</code>" in html
    assert "<strong>b</strong> &lt;i&gt;" in html
    assert "[x](https://example.org) ![y](z.png) 0.9.4*, 0.11.1* a_b_c &amp;amp; <code>&lt;c&gt;</code>" in html
    assert "<caption>of <code>d</code></caption>" in html


@pytest.mark.long
def test_the_delay_sweep_command_gives_the_table_of_its_notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = {"gap_ms": 8, "host_rtt_ms": "20", "upstream_rtt_ms": 70, "stop_ms": 300, "step_ms": 150, "map_step_ms": 300}
    given = {"releases": '["0.9.1", "0.11.1"]', "handler": "async_ref", **times}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ran = papermill.execute_notebook(
            str(ROOT / "notebooks" / "2-delay-sweep.ipynb"), str(tmp_path / "ran.ipynb"), kernel_name="python3",
            parameters={**given, "out": str(tmp_path / "notebook")}, progress_bar=False,
        )  # fmt: skip
    (shown,) = [
        text
        for cell in ran.cells
        for output in cell.get("outputs", [])
        if "voicerace sweep" in (text := output.get("data", {}).get("text/markdown", ""))
    ]
    sweep, notebook = re.findall(r"```\n(.*?)\n```", shown)
    assert main([*shlex.split(sweep)[1:], "--out", str(tmp_path / "command")]) == 0
    capsys.readouterr()
    one, two = (SweepResult.open(tmp_path / name).trials for name in ("notebook", "command"))
    assert len(one) == 2 * 3 * 20
    pd.testing.assert_frame_equal(one, two)
    words = shlex.split(notebook)
    given_words = {words[place + 1]: words[place + 2] for place, word in enumerate(words) if word == "-p"}
    assert DelaySweepParameters.from_namespace(given_words) == DelaySweepParameters.from_namespace(given)


def test_no_local_path_is_in_the_page(small_report: Report) -> None:
    for file in (small_report.page, small_report.claims):
        text = file.read_text("utf-8")
        for path in (Path.cwd(), Path.home(), small_report.page.parent):
            assert str(path) not in text


@pytest.mark.long
@pytest.mark.usefixtures("warm_cache")
def test_a_capture_is_shown_in_numbers_and_without_its_texts(tmp_path: Path) -> None:
    text = CONSOLE.read_text("utf-8").replace("connection_id: 'c", "connection_id: '<script>alert(1)</script>c")
    text = text.replace("What is the weather", "<script>alert(1)</script> sk-abcdefghijklmnopqrstuv What is the weather")
    capture = tmp_path / "proxy<b>.log"
    capture.write_text(text, "utf-8")
    done = build(tmp_path / "page.html", {**TINY, "out": str(tmp_path / "run"), "capture": str(capture), "code": True})
    html = done.page.read_text("utf-8")
    assert "1 session of 1 in your capture had a refusal" in html
    assert "<script" not in html
    assert "<b>" not in html
    for word in ("alert(1)", "sk-abcdef", "weather", str(tmp_path)):
        assert word not in html
    assert "Shown here" in html
    assert (done.run / "letter" / "map.parquet").is_file()
    assert "from_namespace" in html  # printed because code=True


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"step_m": 1}, "step_m"),
        ({"releases": '["9.9.9"]'}, "9.9.9"),
        ({"release": "0.2.8"}, "50420ee"),
        ({"capture": "/proc/nope"}, "/proc/nope"),
        ({"draws": "x"}, "draws"),
        ({"run": "/proc/nope"}, "/proc/nope"),
    ],
)
def test_a_failed_report_gives_the_reason_and_leaves_no_page(parameters: dict[str, object], word: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        build(tmp_path / "page.html", {**TINY, "out": str(tmp_path / "run"), **parameters})
    assert word in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_old_page_is_kept_if_a_new_one_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("the old page", "utf-8")
    with pytest.raises(InputError):
        build(page, {"releases": '["9.9.9"]'})
    assert page.read_text("utf-8") == "the old page"


@pytest.mark.parametrize(
    ("words", "error_text"),
    [
        (["--into", str(SAMPLE)], "holds a run already"),
        (["--run", str(SAMPLE), "--draws", "5"], "given with --run"),
        (["--run", str(ROOT / "docs")], "run.json"),
        (["--out", "page.txt"], "does not end in .html"),
        (["--release", "9.9.9"], "9.9.9"),
        (["--capture", str(ROOT / "README.md")], "README.md"),
        (["--step-ms", "0"], "step_ms"),
    ],
)
@pytest.mark.long
def test_bad_input_gives_one_line(
    words: list[str], error_text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if "--out" not in words:
        words = [*words, "--out", str(tmp_path / "x.html")]
    assert main(["report", *words]) == 2
    err = capsys.readouterr().err
    assert error_text in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_without_a_browser_neither_pdf_nor_page_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    words = ["report", "--run", str(SAMPLE), "--out", str(tmp_path / "x.html"), "--pdf", str(tmp_path / "x.pdf")]
    assert main(words) == 2
    assert "no Chromium" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("printed", ["", "%PDF-1.4 half of it"])
def test_an_incomplete_pdf_of_a_full_disk_is_refused(printed: str, tmp_path: Path) -> None:
    """On a full disk Chromium exits with status 0 and leaves an empty file."""
    program, pdf = tmp_path / "chromium", tmp_path / "x.pdf"
    program.write_text(f"""#!/bin/sh
for word; do case $word in --print-to-pdf=*) printf '%s' '{printed}' >"${{word#--print-to-pdf=}}";; esac; done
""")
    program.chmod(0o755)
    with pytest.raises(InputError, match=f"x.pdf: cut off after {len(printed)} bytes"):
        print_pdf(str(program), tmp_path / "page.html", pdf)
    assert [each.name for each in tmp_path.iterdir()] == ["chromium"]


def test_unread_parts_of_a_capture_are_located(tmp_path: Path) -> None:
    lines = CONSOLE.read_text("utf-8").split("\n")
    place = next(number for number, line in enumerate(lines) if "severityText" in line)
    capture = tmp_path / "cut.log"
    capture.write_text("\n".join([*lines[:place], "  severityText: 'INFO", *lines[place + 1 :]]), "utf-8")
    words = capture_view.capture_facts(read_capture(capture))
    assert "Not read:" in words
    assert "lines " in words.split("Not read:")[1]


def test_the_code_is_folded_on_request() -> None:
    notebook = new.new_notebook(cells=[new.new_code_cell("x < 1")], metadata={"title": "A title", "voicerace": {"code": True}})
    html, _ = PageExporter().from_notebook_node(notebook)
    assert "<details>" in html
    assert "x &lt; 1" in html
    assert faults(html) == []


def test_failed_cells_and_printed_text_never_reach_a_page() -> None:
    with pytest.raises(InputError, match="ValueError: no"):
        page_of(new.new_output("error", ename="ValueError", evalue="no", traceback=[]))
    with pytest.raises(InputError, match="printed to stderr"):
        page_of(new.new_output("stream", name="stderr", text="UserWarning: x"))


def test_a_cell_that_fails_during_the_export_is_noticed() -> None:
    """`nbconvert --execute --allow-errors` runs the cells in a preprocessor, after the notebook was checked."""

    def run(notebook: Any, resources: Any) -> tuple[Any, Any]:
        notebook.cells[0].outputs = [new.new_output("error", ename="ValueError", evalue="late", traceback=[])]
        return notebook, resources

    exporter = PageExporter()
    exporter.register_preprocessor(run, enabled=True)
    with pytest.raises(InputError, match="ValueError: late"):
        exporter.from_notebook_node(new.new_notebook(cells=[new.new_code_cell("x")]))


def test_text_of_a_cell_is_escaped() -> None:
    html = page_of(new.new_output("display_data", {"text/plain": "<script>alert(1)</script>"}))
    assert "<script" not in html
    assert "&lt;script&gt;" in html


GOOD_PICTURE = '<img src="data:image/png;base64,AAAA" alt="a picture that has twenty letters">'


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ("<script>alert(1)</script>", "<script>"),
        ('<p onclick="x()">text</p>', "onclick"),
        ('<img src="https://example.org/a.png" alt="a picture that has twenty letters">', "asks for"),
        ('<img src="data:image/png;base64,AAAA">', "no alt text"),
        ('<img src="data:image/png;base64,AAAA" alt="short">', "no alt text"),
        ('<svg role="img" aria-label="short"></svg>', "no label"),
        ('<svg aria-label="a drawing that has twenty letters"></svg>', "no label"),
        (
            '<svg role="img" aria-label="a drawing that has twenty letters"><use xlink:href="https://example.org/x"></use></svg>',
            "asks for",
        ),
        ('<svg role="img" aria-label="a drawing that has twenty letters"><a xlink:href="#nowhere"></a></svg>', "leads nowhere"),
        ('<p style="fill: url(https://example.org/x)">a</p>', "asks for"),
        ('<link rel="stylesheet" href="x.css">', "<link>"),
        ("<style>p { background: url(http://example.org) }</style>", "a style asks for"),
        ('<p style="background: url(x)">text</p>', "a style asks for"),
        ("<h4>too deep</h4>", "level 4"),
        ("<h1>again</h1>", "first level"),
        ("<table><caption>c</caption><tr><th>a</th></tr></table>", "no scope"),
        ('<table><tr><th scope="col">a</th></tr></table>', "no caption"),
        ("<table><caption>c</caption><tr><td>a</td></tr></table>", "no header"),
        ("<p>Traceback (most recent call last)</p>", "trace of the notebook"),
        ("<p>UserWarning: x</p>", "trace of the notebook"),
        ("<p>key sk-abcdefghijklmnopqrstuv</p>", "like a key"),
        ('<a href="#nowhere">x</a>', "leads nowhere"),
        ('<p id="main">x</p>', "stands twice"),
        ('<iframe src="x"></iframe>', "<iframe>"),
        ('<a href="javascript:alert(1)">x</a>', "asks for"),
    ],
)
def test_every_fault_of_a_page_is_found(broken: str, word: str) -> None:
    good = page_of(new.new_output("display_data", {"text/html": GOOD_PICTURE}))
    assert faults(good) == []
    found = faults(good.replace("</main>", broken + "</main>"))
    assert any(word in fault for fault in found), found


@pytest.mark.long
def test_a_run_is_the_same_with_an_empty_and_a_full_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICERACE_CACHE", str(tmp_path / "cache"))
    cold, warm = (make(LetterParameters(**{**TINY, "out": str(tmp_path / name)})) for name in ("cold", "warm"))
    files = [path.relative_to(cold) for path in cold.rglob("*") if path.is_file() and path.name != "run.json"]
    assert len(files) > len(PARTS)
    for name in files:
        assert (warm / name).read_bytes() == (cold / name).read_bytes(), name


@pytest.mark.long
@pytest.mark.usefixtures("small_report", "warm_cache")
def test_a_page_is_the_same_with_a_full_cache(tmp_path: Path) -> None:
    """`small_report` has filled the cache. A test above shows that the page with an empty cache is the committed page."""
    done = build(tmp_path / "sample.html", {"run": str(SAMPLE)})
    for made in (done.page, done.claims):
        assert made.read_bytes() == (ROOT / "reports" / made.name).read_bytes(), made.name


def _notebook(path: Path, *sources: str) -> Path:
    cells = [new.new_code_cell("out = ''", metadata={"tags": ["parameters"]}), *map(new.new_code_cell, sources)]
    nbformat.write(new.new_notebook(cells=cells), path)
    return path


def test_a_failed_cell_ends_the_report_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cell 3: ZeroDivisionError: division by zero"):
        run_cells(_notebook(tmp_path / "letter.ipynb", "1 / 0"), {})


def test_cells_get_the_parameters_and_their_output_is_kept(tmp_path: Path) -> None:
    source = "from voicerace.report.blocks import Text, show\nshow([Text(out), Text(str(code))])\nprint(releases)"
    ran = run_cells(_notebook(tmp_path / "letter.ipynb", source), {"out": 'a "b"', "code": True, "releases": ["0.9.1"]})
    shown = ran.cells[2].outputs
    assert [each.output_type for each in shown] == ["display_data", "display_data", "stream"]
    assert [each.data["text/markdown"] for each in shown[:2]] == ['a "b"', "True"]
    assert shown[2].text == "['0.9.1']\n"
    nbformat.validate(ran)
    with pytest.raises(InputError, match="printed to stdout"):
        PageExporter().from_notebook_node(ran)
