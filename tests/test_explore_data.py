"""Test the stored findings in data/explore: the models reproduce them, and each was replayed on the real proxy."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.replay import replayed
from voicerace.experiments.workarounds import BOUNDS
from voicerace.model.catalog.releases import component_for, proxy_release
from voicerace.model.catalog.workarounds import WORKAROUNDS, why_not

DATA = Path(__file__).parents[1] / "data" / "explore"
RELEASES = ("0.9.1", "0.9.4", "0.10.2", "0.11.1")
#: Findings whose order was not reproduced on sockets, so they are neither confirmed nor refuted on the running proxy.
NOT_KEPT = {"0.9.4": ("duplicated-default-error-r-2-results", "duplicated-repeated-result-r-2-results")}


def findings(release: str) -> list[Finding]:
    return [Finding.from_json(each) for each in json.loads((DATA / f"{release}.json").read_text("utf-8"))["findings"]]


def rows(release: str) -> list[dict[str, str]]:
    return list(csv.DictReader((DATA / f"{release}-live.csv").read_text("utf-8").splitlines()))


@pytest.mark.parametrize("release", RELEASES)
def test_each_finding_was_replayed_on_the_real_proxy(release: str) -> None:
    found = {each.name: each for each in findings(release)}
    assert found
    live = {row["name"]: row for row in rows(release)}
    assert set(live) == set(found)
    for name, row in live.items():
        one = found[name]
        assert (row["outcome"], row["story"], row["handler"]) == (one.signature.outcome, one.story, one.handler)
        assert row["proxy_hash"] == proxy_release(release).source
        if name in NOT_KEPT.get(release, ()):
            assert (row["confirmed"], row["came_to"]) == ("false", "order not kept")
        else:
            assert (row["confirmed"], row["came_to"], row["seen"]) == ("true", "confirmed", "")


def test_the_docs_page_has_the_numbers_of_the_files() -> None:
    page = (DATA.parents[1] / "docs" / "explore.md").read_text("utf-8")
    for release in (*RELEASES, "reference"):
        record = json.loads((DATA / f"{release}.json").read_text("utf-8"))
        assert record["complete"], release
        assert record["unconfirmed"] == 0, release
        pairs, found = len(record["stories"]), len(record["findings"])
        [line] = [
            line for line in page.splitlines() if line.startswith(f"| {release} | {pairs} | {pairs} | {record['states']:,}")
        ]
        assert f"| {found} |" in line
    found, left = (sum(map(len, each)) for each in ([findings(release) for release in RELEASES], NOT_KEPT.values()))
    assert f"{found - left} of the {found} findings" in page


@pytest.mark.parametrize("release", RELEASES)
def test_findings_are_confirmed_in_virtual_time(release: str) -> None:
    found = findings(release)
    for finding in found:
        assert finding.release == release
        assert replayed(finding).confirmed, finding.name


def test_the_stored_workarounds_match_the_tables() -> None:
    record = json.loads((DATA.parent / "workarounds.json").read_text("utf-8"))
    assert record["bounds"] == list(BOUNDS)
    effects = {(each["release"], each["workaround"]): each for each in record["effects"]}
    assert set(effects) == {(release, name) for release in RELEASES for name in WORKAROUNDS}
    for (release, name), each in effects.items():
        row = proxy_release(release)
        assert each["why_not"] == why_not(name, row, component_for(row).tag, "return")
        assert each["typescript"] == WORKAROUNDS[name].typescript
