"""Test the cache of pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from matplotlib.axes import Axes

from voicerace.report.images import image_of
from voicerace.report.plots import plot_slot, to_image

_DRAWN: list[str] = []


def _plot(of: str) -> Axes:
    _DRAWN.append(of)
    return plot_slot()


def test_a_picture_with_the_same_content_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICERACE_CACHE", str(tmp_path))
    _DRAWN.clear()
    images = [image_of(partial(_plot, of), alt) for of, alt in (("a", "it"), ("a", "it"), ("b", "it"), ("a", "other text"))]
    assert _DRAWN == ["a", "b", "a"]
    assert images[0] == images[1] == to_image(plot_slot(), "it")
    assert images[3] == to_image(plot_slot(), "other text")


def test_without_a_cache_a_picture_is_drawn_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICERACE_CACHE", "off")
    _DRAWN.clear()
    assert image_of(partial(_plot, "a"), "it") == image_of(partial(_plot, "a"), "it")
    assert _DRAWN == ["a", "a"]
