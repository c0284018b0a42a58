"""Test the page of the clients in data/field: its links, its counts, its browser behaviour, and the command that writes it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

from voicerace.cli import main
from voicerace.report import blocks, field_page
from voicerace.report.notebook import field_tables
from voicerace.report.notebook.display import Linked, table_html
from voicerace.report.page_check import faults

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "reports" / "sample-field.html"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("field") / "sample-field.html"
    assert main(["report", "--field", "--client", "openai-agents", "--out", str(made)]) == 0
    return made


def test_the_committed_page_is_valid_and_matches_the_code(page: Path) -> None:
    html = page.read_text("utf-8")
    assert faults(html) == []
    assert html == SAMPLE.read_text("utf-8"), "reports/sample-field.html differs: run `make sample`"


def test_each_cell_of_the_drawn_client_leads_to_a_session_with_its_outcome(page: Path) -> None:
    soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")
    links = soup.select("td a[href^='#session-']")
    assert len(links) == len(field_page.field_tables.groups())
    for link in links:
        figure = soup.find(id=str(link["href"])[1:])
        assert figure is not None
        outcome = figure.find_parent("details").summary.strong.get_text()
        assert outcome in link.get_text()
        assert outcome in figure.svg["aria-label"]
        assert figure.svg["aria-label"].startswith("Swimlane of openai-agents")


def test_the_page_names_versions_dates_fixes_and_how_to_add_a_client(page: Path) -> None:
    text = BeautifulSoup(page.read_text("utf-8"), "html.parser").get_text(" ")
    for client in field_tables.CLIENTS.values():
        assert client.package in text
        assert client.refused in text
    for words in ("Checked on 2026-12-01", "To add a client", "docs/clients.md", *(fix.kind for fix in field_tables.FIXES)):
        assert words in " ".join(text.split())
    assert "from data/field." in text


def test_every_client_has_one_session_per_group_and_a_failed_one_if_there_is_one() -> None:
    rows = field_tables.sessions()
    for name in field_tables.CLIENTS:
        shown = field_tables.shown(name)
        assert list(shown) == list(dict.fromkeys(rows["group"]))
        own = rows[rows["client"] == name]
        for group, recording in shown.items():
            row = own[own["case"] == recording.provenance["case"]].iloc[0]
            assert row["group"] == group
            # Recordings of the fixed cases and of two draws are kept.
            kept = own[(own["group"] == group) & ~own["case"].str.contains(r"seed=(?:[2-9]|1\d)")]
            assert (row["result"] != "passed") == (kept["result"] != "passed").any()


def test_the_counts_of_fixes_and_refusals_equal_the_sessions() -> None:
    rows = field_tables.sessions()
    fixes = field_tables.fixes().set_index("fix")["failed sessions"]
    queue = rows[rows["client"].isin(["openai-agents", "openai-agents-js"]) & (rows["group"] == "two calls")]
    assert f"two calls {(queue['result'] != 'passed').sum()} of {len(queue)}" in fixes["queue until done"]
    assert "one call" not in fixes["one output per call"]
    refusals = field_tables.refusals().set_index("client")
    assert refusals.loc["openai-well", "sessions with one"] == refusals.loc["openai-well", "then one informed reply"] == 8
    assert not refusals.loc[["openai-agents", "openai-agents-js", "livekit-agents", "pipecat"], "then one informed reply"].any()


def test_without_drawn_clients_the_table_has_no_links_and_no_sessions() -> None:
    assert field_page.session_blocks(()) == []
    table = field_page.outcome_blocks()[0]
    assert isinstance(table, blocks.Table)
    assert "<a " not in blocks.frame_html(table.frame, table.caption)


def test_a_linked_cell_is_escaped() -> None:
    html = table_html(["a", "b"], [["x", Linked("<b> 1", 'y"z')]], "")
    assert html.endswith('<td><a href="#y&quot;z">&lt;b&gt; 1</a></td></tr></tbody></table>')
    assert pd.DataFrame([[Linked("1", "y")]], dtype=object).iloc[0, 0].target == "y"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--field", "--seed", "1"], "seed"),
        (["--field", "--client", "nothing"], "drawn"),
        (["--client", "pipecat"], "client"),
        (["--field", "--out", "page.txt"], "out"),
    ],
)
def test_wrong_options_are_one_line(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(rf"voicerace: error: -*{named}", line)


@pytest.mark.skipif(CHROMIUM is None and os.environ.get("VOICERACE_BROWSER") != "required", reason="no Chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_link_opens_its_session_and_the_page_does_not_overflow(page: Path, width: int) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_context(viewport={"width": width, "height": 900}, offline=True).new_page()
        log: list[str] = []
        opened.on("console", lambda message: log.append(message.text))
        opened.on("request", lambda each: log.append(each.url) if not each.url.startswith(("file:", "data:")) else None)
        opened.goto(page.as_uri())
        opened.wait_for_load_state("networkidle")
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        figure = opened.locator("#session-openai-agents-slot-lag")
        assert not figure.is_visible()
        opened.click("a[href='#session-openai-agents-slot-lag']")
        figure.wait_for(state="visible")
        assert abs(figure.bounding_box()["y"]) < 2  # type: ignore[index]
        assert log == []
        browser.close()
