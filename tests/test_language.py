"""Test that the project's prose is free of the idioms in tests/support/idioms.py, and that the count finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.idioms import ROOT, files, idioms


def test_no_file_has_an_idiom() -> None:
    found = {str(path.relative_to(ROOT)): rows for path in files() if (rows := idioms(path))}
    assert found == {}


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("page.md", "Plain.\nNobody reads it.\n", [2]),
        ("code.py", '"""What it comes to."""\nx = "nobody"  # somebody\n', [1, 2]),
        ("code.py", "third_party = 1  # a third-party package\n", []),
        ("code.py", 'def f():\n    """Plain.\n\n    Whoever asks.\n    """\n', [4]),
    ],
)
def test_idioms_are_found_in_prose_only(tmp_path: Path, name: str, text: str, lines: list[int]) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    assert [number for number, _ in idioms(path)] == lines
