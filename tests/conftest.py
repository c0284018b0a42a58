"""Every property test draws the same examples each time; `HYPOTHESIS_PROFILE=explore` looks for new ones."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from voicerace.report import Report, build

settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def small_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A report on a small grid, with all three releases; built once."""
    folder = tmp_path_factory.mktemp("report")
    return build(folder / "page.html", folder / "run", {"step_ms": 100, "map_step_ms": 100})
