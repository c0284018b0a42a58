"""Test the report page in a browser: it makes no request, logs nothing, passes axe, does not overflow, and prints.

These tests need Chromium. Without Chromium they are skipped, unless VOICERACE_BROWSER=required.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from voicerace.cli import main
from voicerace.report.build import Report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("VOICERACE_BROWSER") != "required", reason="no Chromium on this machine"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, "VOICERACE_BROWSER=required, but there is no Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser, report: Report, width: int) -> tuple[Page, list[str]]:
    """Open the report's page with the given width in CSS pixels; return the page and its requests, log messages and errors."""
    page = browser.new_context(viewport={"width": width, "height": 900}, offline=True).new_page()
    log: list[str] = []
    page.on("console", lambda message: log.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: log.append(f"error: {error}"))
    page.on("request", lambda request: log.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    page.goto(report.page.as_uri())
    page.wait_for_load_state("networkidle")
    return page, log


@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_has_no_request_no_log_and_no_overflow(browser: Browser, small_report: Report, width: int) -> None:
    page, log = opened(browser, small_report, width)
    assert log == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_no_violation(browser: Browser, small_report: Report, tmp_path: Path, width: int) -> None:
    # axe is a script, and the page's policy forbids scripts. The test therefore removes the policy.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    html = small_report.page.read_text("utf-8")
    assert policy in html
    free = tmp_path / "free.html"
    free.write_text(html.replace(policy, "script-src 'unsafe-inline' 'unsafe-eval'"), "utf-8")
    page, _ = opened(browser, replace(small_report, page=free), width)
    found = Axe().run(page)
    assert found.response["passes"], "axe checked nothing"
    assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found.response["violations"]] == []


#: The printable area of an A4 page in CSS pixels, with Chromium's margins of 1 cm.
PAPER = (718, 1047)


def test_no_figure_is_cut_in_print(browser: Browser, small_report: Report) -> None:
    """A figure with `break-inside: avoid` is cut only if it is larger than a page."""
    page = browser.new_context(viewport={"width": PAPER[0], "height": PAPER[1]}, offline=True).new_page()
    page.emulate_media(media="print")
    page.goto(small_report.page.as_uri())
    page.wait_for_load_state("networkidle")
    figures = page.eval_on_selector_all(
        "figure",
        """all => all.map(each => {
            const image = each.querySelector('img, svg').getBoundingClientRect();
            const overflow = getComputedStyle(each.querySelector('.picture')).overflow;
            const height = each.getBoundingClientRect().height;
            return [getComputedStyle(each).breakInside, height, image.right, image.left, overflow];
        })""",
    )
    assert len(figures) >= 7
    for inside, height, right, left, overflow in figures:
        assert inside == "avoid"
        assert height < PAPER[1]
        assert left >= 0
        assert right <= PAPER[0]
        assert overflow == "visible"


@pytest.mark.usefixtures("warm_cache")
def test_the_report_verb_writes_a_pdf(small_report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pdf = tmp_path / "paper" / "page.pdf"
    arguments = ["report", "--run", str(small_report.run), "--out", str(tmp_path / "page.html"), "--pdf", str(pdf)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [str(pdf), str(tmp_path / "page.html")]
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert [each.name for each in pdf.parent.iterdir()] == ["page.pdf"]


def test_scrolling_pictures_can_be_focused_by_keyboard(browser: Browser, small_report: Report) -> None:
    page, _ = opened(browser, small_report, 360)
    wide = page.eval_on_selector_all(
        "main *", "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX == 'auto')"
        ".map(e => [e.className, e.tabIndex])",
    )  # fmt: skip
    assert wide
    assert all(index == 0 for _, index in wide), wide
