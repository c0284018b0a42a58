"""Test that references to docs/ resolve to a file and a heading, and that no page outside the repository is cited."""

from __future__ import annotations

import dataclasses
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicerace.analysis.outcomes import OUTCOMES
from voicerace.conformance.suspicions import SUSPICIONS
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.profiles import PROFILES, RECORDED, SERVER_TIMES
from voicerace.model.catalog.releases import ProxyRelease
from voicerace.model.catalog.scenarios import SCENARIOS

ROOT = Path(__file__).parents[1]
#: Folders whose files are searched for references.
FOLDERS = ("voicerace", "tests", "notebooks", "benchmarks", "docs", "data", "reports")
SOURCES = [
    *(
        path
        for folder in FOLDERS
        for kind in ("py", "md", "ipynb", "toml")
        for path in sorted((ROOT / folder).rglob(f"*.{kind}"))
    ),
    *sorted(ROOT.glob("*.md")),
]
#: Pattern of a page of docs/ with an optional anchor. The end of a longer path or address does not match.
_CITED = re.compile(r"(?<![\w./-])docs/(?!issues/|partners/)([\w./-]+\.md)(?:#([\w-]*))?")
#: Pattern of the target of a Markdown link, relative to the linking page.
_LINKED = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]*))?\)")
_FENCED = re.compile(r"^(```+)[^\n]*\n.*?^\1\s*$", flags=re.M | re.S)

#: Pattern of the names of notes that are not in the repository. The facts of these notes are in docs/.
RETIRED = re.compile(
    r"(?<![\w`-])(RELEASES|REALTIME|REAL-API|COMPONENT|STACK|DESIGN|CLIENTS|REPORT|STYLE|NAMES|[Tt]he brief)(?![\w-])"
)


def slugs(markdown: str) -> set[str]:
    """Return the anchors of a page's headings, by GitHub's rules."""
    seen: Counter[str] = Counter()
    found = set()
    for title in re.findall(r"^#{1,6} +(.+?)(?: +#+)? *$", _FENCED.sub("", markdown), flags=re.M):
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def references(path: Path, text: str) -> Iterator[tuple[Path, str | None]]:
    """Yield (page, anchor or None) for each reference in a file."""
    for found in _CITED.finditer(text):
        yield ROOT / "docs" / found[1], found[2]
    if path.suffix == ".md":
        for found in _LINKED.finditer(_FENCED.sub("", text)):
            if found[1].endswith(".md") or not found[1]:
                yield path.parent / found[1] if found[1] else path, found[2]


def broken(path: Path, text: str) -> list[str]:
    """Return descriptions of the references of a file that do not resolve."""
    found = []
    for page, anchor in references(path, text):
        if not page.is_file():
            found.append(f"no page {page.name}")
        elif anchor is not None and anchor not in slugs(page.read_text("utf-8")):
            found.append(f"no heading {page.name}#{anchor}")
    return found


def retired(path: Path) -> list[str]:
    """Return the retired names cited in a file. In a Python file, only comments and strings are searched."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        return RETIRED.findall(text)
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    tokens = [each.string for each in tokenize.generate_tokens(io.StringIO(text).readline) if each.type in kinds]
    # A string that is a single identifier, as in `__all__`, is not a citation.
    return [name for each in tokens if not each.strip("\"'").isidentifier() for name in RETIRED.findall(each)]


# -- references --------------------------------------------------------------------------------------------------------


def test_every_cited_page_and_heading_exists() -> None:
    found = {str(path.relative_to(ROOT)): broken(path, path.read_text("utf-8")) for path in SOURCES if path != Path(__file__)}
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert sum(1 for path in SOURCES for _ in references(path, path.read_text("utf-8"))) > 100


def test_no_page_outside_the_repository_is_cited() -> None:
    paths = [*sorted((ROOT / "voicerace").rglob("*.py")), *sorted((ROOT / "notebooks").glob("*.ipynb"))]
    found = {str(path.relative_to(ROOT)): retired(path) for path in paths}
    assert {name: cited for name, cited in found.items() if cited} == {}


@pytest.mark.parametrize(
    ("heading", "slug"),
    [
        ("## The slot", "the-slot"),
        ("### `session.update` while a response is active?", "sessionupdate-while-a-response-is-active"),
        ("## Who [can](page.md#x) take the *slot* ##", "who-can-take-the-slot"),
        ("# Suspicion flag-early", "suspicion-flag-early"),
    ],
)
def test_slugs_follow_github(heading: str, slug: str) -> None:
    assert slugs(heading) == {slug}


def test_a_repeated_heading_gets_a_number_and_a_comment_in_a_code_block_is_no_heading() -> None:
    assert slugs("# A\n## A\n```\n# B\n```\n") == {"a", "a-1"}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.py", "# docs/protocol-facts.md#the-slot, docs/limits.md.", []),
        ("a.py", "docs/protocol-facts.md#no-such", ["no heading protocol-facts.md#no-such"]),
        ("a.py", "docs/protocol-facts.md#", ["no heading protocol-facts.md#"]),
        ("a.py", "docs/no-such.md", ["no page no-such.md"]),
        ("a.py", "https://example.org/docs/no-such.md, docs/issues/no-such.md", []),
        ("docs/a.md", "[x](no-such.md) [y](limits.md#no-such) [z](https://example.org/a.md)",
         ["no page no-such.md", "no heading limits.md#no-such"]),
        ("docs/limits.md", "[x](#no-such)", ["no heading limits.md#no-such"]),
    ],
)  # fmt: skip
def test_a_broken_reference_is_detected(name: str, text: str, expected: list[str]) -> None:
    assert broken(ROOT / name, text) == expected


@pytest.mark.parametrize(
    ("source", "cited"),
    [
        ('"""Facts: RELEASES 3, REALTIME."""\n', ["RELEASES", "REALTIME"]),
        ("x = 1  # the brief's minimal repro\n", ["the brief"]),
        ('COMPONENT = 1\n__all__ = ["COMPONENT"]\nx = "OPENAI_REALTIME_URL is set"\n', []),
    ],
)
def test_retired_names_are_detected_in_comments_and_strings_only(source: str, cited: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(source, "utf-8")
    assert retired(path) == cited


# -- pages with contents of the catalog ----------------------------------------------------------------------------------


def text_of(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def test_every_setting_of_a_release_has_one_row_on_its_page() -> None:
    names = {each.name for each in dataclasses.fields(ProxyRelease)} - {
        "tag",
        "backend",
        "published",
        "generation",
        "source",
        "gate",
    }
    rows = re.findall(r"^\| `(\w+)` \| `[^|]+ 0\.11\.1 \|$", text_of("release-facts.md"), flags=re.M)
    assert Counter(rows) == Counter(names)


def test_the_protocol_page_has_the_source_of_every_server_time() -> None:
    rows = re.findall(r"^\| (`\w+_ms`(?:, `\w+_ms`)*) \| (.+) \|$", text_of("protocol-facts.md"), flags=re.M)
    sources = {name: source for names, source in rows for name in re.findall(r"\w+", names)}
    assert sources.keys() >= {*SERVER_TIMES, "host_rtt_ms", "upstream_rtt_ms", "tool_ms"}
    assert {name for name, source in sources.items() if source.startswith("recorded")} == {
        name for name, source in PROFILES[RECORDED].sources.items() if source.startswith("recorded")
    }


def test_every_suspicion_has_a_heading() -> None:
    assert {f"suspicion-{name}" for name in SUSPICIONS} == {
        slug for slug in slugs(text_of("background.md")) if "suspicion-" in slug
    }


def test_the_glossary_is_alphabetical_and_has_every_name_of_the_catalogs() -> None:
    page = text_of("glossary.md")
    terms = re.findall(r"^### (.+)$", page, flags=re.M)
    assert terms == sorted(terms, key=str.lower)
    assert {name for name in (*OUTCOMES, *HANDLERS, *SCENARIOS, *PROFILES) if f"`{name}`" not in page} == set()
