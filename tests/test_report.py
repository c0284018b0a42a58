"""Is the page what REPORT promises, the same for the same run, and never half a page or a broken one?"""

from __future__ import annotations

import hashlib
from pathlib import Path

import nbformat
import nbformat.v4 as new
import pytest

from voicerace.captures import read_capture
from voicerace.cli import main
from voicerace.errors import InputError
from voicerace.report import Report, build, faults, sentences
from voicerace.report.exporter import PageExporter
from voicerace.sweep import Run

COARSE = {"step_ms": 200, "map_step_ms": 200}
CONSOLE = Path(__file__).parent / "data" / "console-0.9.1-refused.log"


def page_of(*outputs: nbformat.NotebookNode, text: str = "## A heading") -> str:
    cells = [new.new_markdown_cell(text), new.new_code_cell("code", outputs=list(outputs))]
    html, _ = PageExporter().from_notebook_node(new.new_notebook(cells=cells, metadata={"title": "A title"}))
    return html


def test_the_page_keeps_every_promise(small_report: Report) -> None:
    html = small_report.page.read_text("utf-8")
    assert faults(html) == []
    assert "voice-commerce" in html
    assert "from_namespace" not in html
    for word in ("The answer", "0.9.1", "rejected", "0.9.4", "stalled", "0.11.1", "lost", "What this does not show"):
        assert word in html


def test_the_page_says_what_the_run_found(small_report: Report) -> None:
    html = small_report.page.read_text("utf-8")
    trials = Run.open(small_report.run).trials
    for row in trials[["release", "outcome"]].drop_duplicates().itertuples():
        assert f"{row.release}</strong>" in html
        assert str(row.outcome) in html


def test_the_same_run_gives_the_same_bytes(small_report: Report) -> None:
    notebook = nbformat.read(small_report.run / "notebook.ipynb", as_version=4)
    twice = {hashlib.sha256(PageExporter().from_notebook_node(notebook)[0].encode()).hexdigest() for _ in range(2)}
    assert twice == {hashlib.sha256(small_report.page.read_bytes()).hexdigest()}


def test_no_path_of_the_machine_is_in_the_page(small_report: Report) -> None:
    html = small_report.page.read_text("utf-8")
    for path in (Path.cwd(), Path.home(), small_report.page.parent):
        assert str(path) not in html


def test_a_capture_is_shown_in_numbers_and_never_in_its_own_words(tmp_path: Path) -> None:
    text = CONSOLE.read_text("utf-8").replace("connection_id: 'c", "connection_id: '<script>alert(1)</script>c")
    capture = tmp_path / "proxy<b>.log"
    capture.write_text(text, "utf-8")
    done = build(
        tmp_path / "page.html",
        tmp_path / "run",
        {"releases": '["0.9.1"]', **COARSE, "capture": str(capture)},
    )
    html = done.page.read_text("utf-8")
    assert "1 refusal" in html or "with 1 refusals" in html
    assert "<script" not in html
    assert "<b>" not in html
    assert "alert(1)" not in html


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"step_m": 1}, "step_m"),
        ({"releases": '["9.9.9"]'}, "9.9.9"),
        ({"capture": "/proc/nope"}, "/proc/nope"),
        ({"gap_ms": "x"}, "gap_ms"),
    ],
)
def test_a_report_that_fails_says_why_and_leaves_no_page(parameters: dict[str, object], word: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        build(tmp_path / "page.html", tmp_path / "run", {**COARSE, **parameters})
    assert word in str(caught.value)
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_the_old_page_stays_when_a_new_one_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("the old page", "utf-8")
    with pytest.raises(InputError):
        build(page, tmp_path / "run", {"releases": '["9.9.9"]'})
    assert page.read_text("utf-8") == "the old page"


def test_a_taken_run_folder_is_refused(small_report: Report, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["report", "--run", str(small_report.run), "--out", str(tmp_path / "x.html")]) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_what_could_not_be_read_of_a_capture_is_located(tmp_path: Path) -> None:
    lines = CONSOLE.read_text("utf-8").split("\n")
    place = next(number for number, line in enumerate(lines) if "severityText" in line)
    capture = tmp_path / "cut.log"
    capture.write_text("\n".join([*lines[:place], "  severityText: 'INFO", *lines[place + 1 :]]), "utf-8")
    words = sentences.capture_facts(read_capture(capture))
    assert "Not read:" in words
    assert "lines " in words.split("Not read:")[1]


def test_the_code_comes_folded_when_it_is_asked_for() -> None:
    notebook = new.new_notebook(cells=[new.new_code_cell("x < 1")], metadata={"title": "A title", "voicerace": {"code": True}})
    html, _ = PageExporter().from_notebook_node(notebook)
    assert "<details>" in html
    assert "x &lt; 1" in html
    assert faults(html) == []


def test_a_failing_cell_and_printed_text_never_reach_a_page() -> None:
    with pytest.raises(InputError, match="ValueError: no"):
        page_of(new.new_output("error", ename="ValueError", evalue="no", traceback=[]))
    with pytest.raises(InputError, match="printed to stderr"):
        page_of(new.new_output("stream", name="stderr", text="UserWarning: x"))


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
def test_every_broken_promise_is_found(broken: str, word: str) -> None:
    good = page_of(new.new_output("display_data", {"text/html": GOOD_PICTURE}))
    assert faults(good) == []
    found = faults(good.replace("</main>", broken + "</main>"))
    assert any(word in fault for fault in found), found
