"""Test that the models' recordings are byte-identical to the committed digests, so no optimisation alters them."""

from __future__ import annotations

import json

import pytest

from tests.support.digests import FILE, RELEASES, digest, sessions
from voicerace import simulate
from voicerace.model.catalog.scenarios import SCENARIOS

KNOWN = json.loads(FILE.read_text(encoding="utf-8"))


def test_every_release_and_scenario_has_a_digest() -> None:
    assert list(KNOWN) == list(RELEASES)
    assert {tuple(each) for each in KNOWN.values()} == {tuple(SCENARIOS)}
    # The digests of `single` differ between all releases, so a digest identifies the behaviour of a release.
    assert len({each["single"] for each in KNOWN.values()}) == len(RELEASES)


@pytest.mark.parametrize("release", RELEASES)
def test_recordings_match_their_digests(release: str) -> None:
    """After an intended change, `python -m tests.support.digests` writes new digests."""
    changed = [scenario for scenario in SCENARIOS if digest(release, scenario) != KNOWN[release][scenario]]
    assert not changed, f"recordings of {release} changed in {', '.join(changed)}"


def test_a_digest_changes_with_one_nanosecond(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = [each.shifted(reply_ms=1e-6) for each in sessions("0.9.1", "single")]
    monkeypatch.setattr("tests.support.digests.sessions", lambda *_: iter(moved))
    assert digest("0.9.1", "single") != KNOWN["0.9.1"]["single"]
    assert all(simulate(each).complete for each in moved)
