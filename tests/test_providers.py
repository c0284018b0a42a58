"""Test that the mock follows the table row of each API provider."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.bench import mock

from voicerace.analysis.verdict import judge
from voicerace.engine.session import SessionConfig
from voicerace.engine.sim.virtual import simulate
from voicerace.errors import InputError
from voicerace.experiments.sweep.spec import SweepSpec
from voicerace.model.catalog.providers import PROVIDERS
from voicerace.model.protocol import realtime


def messages(provider: str) -> list[dict[str, Any]]:
    bench = mock(("reply",), provider=provider).tell(realtime.create_item(realtime.user_item("Hello?")))
    return bench.tell(realtime.create_response()).settle().messages()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_rate_limits_and_the_copied_part_follow_the_providers_row(provider: str) -> None:
    row = PROVIDERS[provider]
    seen = messages(provider)
    assert any(each["type"] == "rate_limits.updated" for each in seen) == row.rate_limits
    parts = [each for each in seen if each["type"].startswith("response.content_part.")]
    assert len(parts) == 2
    for each in parts:
        assert (each.get("content") == each["part"]) == row.content_copied


def test_an_item_is_confirmed_with_the_providers_events() -> None:
    confirmed = {}
    for provider in PROVIDERS:
        bench = mock(("reply",), provider=provider).tell(realtime.create_item(realtime.user_item("Hello?"))).settle()
        confirmed[provider] = [each for each in bench.types() if each.startswith("conversation.item.")]
    both = ["conversation.item.added", "conversation.item.done"]
    assert confirmed == {
        "openai": both, "azure": both, "gateway-openai": both,
        "azure-voice-live": ["conversation.item.created"], "xai": ["conversation.item.added"],
    }  # fmt: skip


@pytest.mark.parametrize(("release", "outcome"), [("0.10.2", "answered"), ("0.10.3", "late"), ("0.11.1", "late")])
def test_a_release_that_waits_for_item_done_replies_late_if_the_provider_sends_none(release: str, outcome: str) -> None:
    xai = SessionConfig.of(release=release, provider="xai", profile="recorded-2026")
    assert judge(simulate(xai)).outcome == outcome
    assert judge(simulate(replace(xai, provider="openai"))).outcome == "answered"


def test_the_provenance_names_only_a_provider_that_is_not_the_default() -> None:
    assert "provider" not in SessionConfig.of().provenance()
    assert SessionConfig.of(provider="azure").provenance()["provider"] == "azure"
    assert "provider" not in SweepSpec().to_json()
    assert SweepSpec(provider="azure").to_json()["provider"] == "azure"


def test_an_unknown_provider_is_an_error_that_lists_the_known_ones() -> None:
    for make in (SessionConfig.of, SweepSpec):
        with pytest.raises(InputError, match=r"nobody.*azure"):
            make(provider="nobody")
