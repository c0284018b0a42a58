"""What only a browser can tell of the page: no request, no message, no fault that axe finds, nothing that overflows.

Needs Chromium on the machine. Without one these tests are skipped, unless VOICERACE_BROWSER=required.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from voicerace.report import Report

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
    """The page at a width, and everything it asked for or said."""
    page = browser.new_context(viewport={"width": width, "height": 900}, offline=True).new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("request", lambda request: heard.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    page.goto(report.page.as_uri())
    page.wait_for_load_state("networkidle")
    return page, heard


@pytest.mark.parametrize("width", [1280, 360])
def test_it_asks_for_nothing_says_nothing_and_does_not_overflow(browser: Browser, small_report: Report, width: int) -> None:
    page, heard = opened(browser, small_report, width)
    assert heard == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(browser: Browser, small_report: Report, width: int) -> None:
    # axe is a script of its own, and the page's policy forbids scripts: it is tested with the policy taken out.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    html = small_report.page.read_text("utf-8")
    assert policy in html
    free = small_report.page.with_name("free.html")
    free.write_text(html.replace(policy, "script-src 'unsafe-inline' 'unsafe-eval'"), "utf-8")
    page, _ = opened(browser, Report(free, small_report.run), width)
    found = Axe().run(page)
    assert found.response["passes"], "axe looked at nothing"
    assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found.response["violations"]] == []


def test_no_figure_is_cut_in_print(browser: Browser, small_report: Report, tmp_path: Path) -> None:
    page, _ = opened(browser, small_report, 1280)
    page.emulate_media(media="print")
    assert page.pdf(path=str(tmp_path / "page.pdf"), format="A4")
    for style in page.eval_on_selector_all("figure", "all => all.map(each => getComputedStyle(each).breakInside)"):
        assert style == "avoid"
