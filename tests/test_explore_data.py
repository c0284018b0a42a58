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
#: Pairs with more than 400,000 states.
NOT_WHOLE = {"0.9.1": ("barge-in void_ref",), "0.10.2": ("barge-in void_ref",)}
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
    assert set(live) <= set(found)
    for name, row in live.items():
        # The table can be older than the file, whose shortest trace of the same finding can be of another pair.
        assert row["outcome"] == found[name].signature.outcome
        assert row["proxy_hash"] == proxy_release(release).source
        if name in NOT_KEPT.get(release, ()):
            assert (row["confirmed"], row["came_to"]) == ("false", "order not kept")
        else:
            assert (row["confirmed"], row["came_to"], row["seen"]) == ("true", "confirmed", "")


def test_the_docs_page_has_the_numbers_of_the_files() -> None:
    page = (DATA.parents[1] / "docs" / "explore.md").read_text("utf-8")
    for release in (*RELEASES, "reference"):
        record = json.loads((DATA / f"{release}.json").read_text("utf-8"))
        assert tuple(record["pairs_not_whole"]) == NOT_WHOLE.get(release, ()), release
        assert record["unconfirmed"] == 0, release
        pairs, found = len(record["stories"]), len(record["findings"])
        [line] = [
            line
            for line in page.splitlines()
            if line.startswith(f"| {release} | {pairs} | {record['pairs_whole']} | {record['states']:,}")
        ]
        assert f"| {found} |" in line
    tried, found = (sum(len(of(release)) for release in RELEASES) for of in (rows, findings))
    left = sum(map(len, NOT_KEPT.values()))
    assert f"{tried - left} of the {tried} findings that were tried" in page
    assert f"{found - tried} of the {found} findings were not tried" in page


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
