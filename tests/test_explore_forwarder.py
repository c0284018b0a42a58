"""Test the exploration of sessions with a forwarder."""

from __future__ import annotations

import functools
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicerace.engine.schedule import Schedule
from voicerace.engine.sim.virtual import VirtualEngine
from voicerace.errors import InputError
from voicerace.experiments.explore.bounds import Bounds
from voicerace.experiments.explore.explorer import ExplorationResult, explore
from voicerace.experiments.explore.finding import Finding
from voicerace.experiments.explore.replay import session_for
from voicerace.experiments.explore.signature import Signature, signatures
from voicerace.experiments.explore.stories import ALL_STORIES, bounds_of, session_of, stories
from voicerace.model.parameters import Times
from voicerace.trace.recording import WIRES, Recording

pytestmark = pytest.mark.long


@functools.cache
def found(release: str, generation: str, bounds: tuple[str, ...] = ()) -> ExplorationResult:
    return explore(release, [(f"forwarder-{generation}", "return")], bounds)


def names(result: ExplorationResult) -> set[str]:
    return {finding.name for finding in result.findings.values()}


def replayed(finding: Finding) -> Recording:
    return VirtualEngine(session_for(finding)).run()


def test_only_the_dropping_forwarder_leaves_the_session_unconfigured() -> None:
    assert "unconfigured-settings-not-applied" in names(found("0.9.1", "F0"))
    assert "unconfigured-settings-not-applied" not in names(found("0.9.1", "F1"))
    # Without session.update, a text waits on 0.11.1 and gets no reply.
    assert names(found("0.11.1", "F0")) - names(found("0.11.1", "F1")) == {"wedged-user-text-never-sent"}


@pytest.mark.parametrize("generation", ["F0", "F1"])
def test_each_finding_with_a_forwarder_is_replayed_with_its_signature(generation: str) -> None:
    result = found("0.9.1", generation)
    assert result.findings
    for signature, finding in result.findings.items():
        again = Finding.from_json(finding.to_json())
        recording = replayed(again)
        assert signature in signatures(recording, session_for(again).release)
        assert recording.provenance["forwarder"] == generation
        (opened,) = (each for each in recording.on("component>proxy") if each.kind == "open")
        assert opened.sent_ns is not None
        assert 0 <= opened.sent_ns <= 200_000_000


def test_settings_are_lost_only_if_the_bound_of_the_opening_is_above_that_of_settings() -> None:
    early = found("0.9.1", "F0", ("forwarder_open_ms=0:49",))
    late = found("0.9.1", "F0", ("forwarder_open_ms=100:200", "host_ms=0:40"))
    assert "unconfigured-settings-not-applied" not in names(early)
    assert names(late) == {"unconfigured-settings-not-applied"}


def drawn(release: str, generation: str, seed: int) -> set[Signature]:
    """Return the signatures of a random session within the bounds."""
    rng = random.Random(seed)
    name = f"forwarder-{generation}"
    bounds = Bounds.of((), bounds_of(name, "return"))
    session = session_of(name, "return", release)
    texts = {}
    for time in session.times.values:
        if time in bounds.by_name:
            low, high = bounds.by_name[time]
            top = low + (high - low) * rng.choice([1, 1, 0.3, 0.1])
            texts[time] = f"uniform({low / 1000},{top / 1000})" if high > low else f"{low / 1000}"
    messages = {}
    for wire in WIRES:
        low, high = bounds.wire(*wire)
        messages[wire] = {number: int(rng.uniform(low, high) * 1000) for number in range(400)}
    session = replace(session, times=Times.of(texts), seed=seed)
    recording = VirtualEngine(session, schedule=Schedule({}, messages)).run()
    return set(signatures(recording, session.release))


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["0.9.1", "0.11.1"]), st.sampled_from(["F0", "F1"]), st.integers(0, 10**9))
def test_no_random_session_with_a_forwarder_has_a_signature_that_was_not_found(release: str, row: str, seed: int) -> None:
    assert drawn(release, row, seed) <= set(found(release, row).findings)


def test_random_sessions_reach_both_sides_of_the_opening() -> None:
    unconfigured = [any(each.outcome == "unconfigured" for each in drawn("0.9.1", "F0", seed)) for seed in range(20)]
    assert True in unconfigured
    assert False in unconfigured


def test_scenarios_with_a_forwarder_are_explored_only_if_they_are_named() -> None:
    assert not any(ALL_STORIES[name].forwarder for name, _ in stories())
    assert stories(["forwarder-F0"], ["return"]) == [("forwarder-F0", "return")]
    with pytest.raises(InputError, match="forwarder-F0"):
        stories(["forwarder-F7"])
