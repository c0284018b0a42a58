"""Test that the pages of docs/open-facts agree with the knobs, experiments and recordings that they name."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from voicerace.captures.api import row_of
from voicerace.conformance.contract import FACTS, sessions_needed
from voicerace.model.actors.upstream_state import Knobs
from voicerace.model.catalog.profiles import PROFILES
from voicerace.trace.recording import Recording, iter_recordings

ROOT = Path(__file__).parents[1]
PAGES_DIR = ROOT / "docs" / "open-facts"
INDEX = (PAGES_DIR / "README.md").read_text("utf-8")
PAGES = {page.name: page.read_text("utf-8") for page in sorted(PAGES_DIR.glob("*.md")) if page.name != "README.md"}
#: Knobs that inject faults into the mock. They do not describe the API.
STAGED = {"reply_status", "error_after_create", "refusal_event_id"}
RECORDINGS: dict[tuple[str, str], Recording] = {
    (path.name, str(each.provenance["connection"])): each
    for path in sorted((ROOT / "data" / "api").glob("*.jsonl.gz"))
    for each in iter_recordings(path)
}
GA = [each for each in RECORDINGS.values() if each.provenance["protocol"] == "GA"]
WHOLE = [each for each in GA if not str(each.provenance["connection"]).startswith("log__")]


def head(page: str) -> dict[str, str]:
    """Return the table at the top of a page as name -> value."""
    return dict(re.findall(r"^\| (the mock|the experiment|state) \| (.*) \|$", PAGES[page], flags=re.M))


def asked(page: str) -> list[str]:
    """Return the names of the facts that a page's experiment tests."""
    return re.findall(r"--fact (\w+)", head(page)["the experiment"])


# -- citations -------------------------------------------------------------------------------------------------------


def expanded(rows: str) -> list[int]:
    """Return the row numbers of a text such as ``23,25-27``."""
    pairs = [part.partition("-") for part in rows.split(",")]
    return [row for first, _, last in pairs for row in range(int(first), int(last or first) + 1)]


def cited(text: str) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield (file, recording, rows, event types) of every citation of a page."""
    for line in text.splitlines():
        if ".jsonl.gz`" in line:
            found = re.fullmatch(r"\| `([\w.-]+)` `(\S+)` \| ([\d,-]+) \| (.+) \|", line)
            assert found is not None, line
            yield found[1], found[2], found[3], re.findall(r"`([^`]+)`", found[4])


def wrong(text: str) -> list[str]:
    """Return the citations of a page that do not match the recordings."""
    found = []
    for file, name, rows, events in cited(text):
        recording = RECORDINGS.get((file, name))
        types = {} if recording is None else {row_of(recording, event.seq): event.type for event in recording.events}
        if [types.get(row) for row in expanded(rows)] != events:
            found.append(f"{file} {name} rows {rows}: {[types.get(row) for row in expanded(rows)]}")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_row_that_a_page_cites_is_in_the_recording_with_the_named_event(page: str) -> None:
    assert wrong(PAGES[page]) == []


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("openai.jsonl.gz", "azure.jsonl.gz"),
        ("tool_call_round`", "tool_call_rounds`"),
        ("| 23,", "| 22,"),
        (".done`", ".added`"),
    ],
)
def test_a_wrong_citation_is_found(was: str, now: str) -> None:
    page = PAGES["item-order.md"]
    assert was in page
    assert wrong(page.replace(was, now))


def test_settled_and_bounded_facts_cite_a_recording_and_open_facts_cite_none() -> None:
    for page, text in PAGES.items():
        state, citations = head(page)["state"], list(cited(text))
        if state == "settled":
            assert len({name for _, name, _, _ in citations}) >= 2, page
        elif state == "bounded":
            assert citations or "**Published, not recorded.**" in text, page
        else:
            assert not citations, f"{page}: open, but cites a recording"


# -- counts on the pages ---------------------------------------------------------------------------------------------


def kinds(recording: Recording) -> list[str]:
    return [event.type for event in recording.events]


def test_the_counts_on_the_pages_equal_those_of_the_recordings() -> None:
    found: Counter[str] = Counter()
    for recording in WHOLE:
        types = kinds(recording)
        for at, kind in enumerate(types):
            after = types[at + 1 :]
            if kind == "response.function_call_arguments.done":
                done, output = after.index("response.done"), after.index("conversation.item.create")
                found["calls"] += 1
                found["results before response.done"] += output < done
                found["results before item.done"] += output < after.index("conversation.item.done")
                confirmed = after.index("conversation.item.added", output)
                found["confirmed after response.done"] += output < done < confirmed
                create = after.index("response.create")
                found["creates after response.done"] += create == max(done, output) + 1
                found["accepted"] += "response.created" in after[create:] and "error" not in after
                limits = after.index("rate_limits.updated") if "rate_limits.updated" in after else len(after)
                found["creates before rate_limits.updated"] += create < limits < len(after)
            if kind == "input_audio_buffer.committed":
                server = ["conversation.item.added", "conversation.item.done", "response.created"]
                found["commits"] += types[at - 1] == "input_audio_buffer.speech_stopped" and after[:3] == server
    assert found == {
        "calls": 8,
        "results before response.done": 7,
        "results before item.done": 3,
        "confirmed after response.done": 7,
        "creates after response.done": 8,
        "accepted": 8,
        "creates before rate_limits.updated": 4,
        "commits": 8,
    }
    text = {name: " ".join(page.split()) for name, page in PAGES.items()}
    assert "8 of 8 function calls" in text["item-order.md"]
    assert "In 7 of 8 function calls in GA names" in text["function-output.md"]
    assert "in 3 of them before `conversation.item.done`" in text["function-output.md"]
    assert "comes after `response.done`, 7 of 7" in text["confirmations.md"]
    assert "is accepted, 8 of 8 in GA names" in text["slot-lag.md"]
    assert "is accepted, 4 of 4" in text["rate-limits.md"]
    assert "8 of 8 turns" in text["server-turn-knows.md"]


def test_no_azure_session_has_rate_limits_and_no_recording_has_an_event_called_open() -> None:
    for recording in WHOLE:
        active = 0
        for event in recording.events:
            active += (event.type == "response.created") - (event.type == "response.done")
            to_api = event.link.receiver == "upstream"
            assert not (to_api and event.type in ("response.cancel", "input_audio_buffer.commit"))
            assert not (to_api and active and event.type in ("response.create", "session.update"))
            assert not (event.type == "rate_limits.updated" and recording.provenance["provider"] == "azure")
            item: Any = event.payload.get("item", {}) if to_api and isinstance(event.payload, dict) else {}
            assert not (active and item.get("role") == "user")
    statuses = Counter(
        str(event.payload["response"].get("status"))
        for recording in WHOLE
        for event in recording.events
        if event.type == "response.done" and isinstance(event.payload, dict)
    )
    assert statuses == {"completed": 42}


# -- pages, knobs, experiments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_a_page_matches_its_knob_and_its_experiment(page: str) -> None:
    rows, facts = head(page), {fact.name: fact for fact in FACTS}
    assert [*rows] == ["the mock", "the experiment", "state"]
    assert rows["state"] in ("settled", "bounded", "open")
    if knob := re.match(r"`--knob (\w+)=(\w+)`", rows["the mock"]):
        name, allowed = knob.group(1), set(get_args(get_type_hints(Knobs)[knob.group(1)]))
        assert {knob.group(2), *re.findall(r" `(\w+)`", rows["the mock"])} == allowed
        assert knob.group(2) == getattr(Knobs(), name), "the default comes first"
    elif not rows["the mock"].startswith("fixed: "):
        time = re.fullmatch(r"`--([a-z-]+) (\d+)`(?:; `(\S+)` with `--profile recorded-2026`)?", rows["the mock"])
        assert time is not None
        name = time.group(1).replace("-", "_")
        assert PROFILES["loopback"].values[name] == time.group(2)
        assert time.group(3) in (None, PROFILES["recorded-2026"].values[name])
    if rows["the experiment"] == "none":
        assert "No experiment:" in PAGES[page]
        return
    command = re.fullmatch(
        r"`voicerace contract --upstream openai(?: --fact \w+)+ --repeats (\d+) --max-sessions (\d+)`", rows["the experiment"]
    )
    assert command is not None
    chosen = [facts[name] for name in asked(page)]
    assert {fact.state for fact in chosen} == {rows["state"]}
    assert sessions_needed(int(command.group(1)), chosen) == int(command.group(2))


def test_every_tested_fact_and_every_knob_has_its_page() -> None:
    tested = Counter(name for page in PAGES for name in asked(page))
    assert tested == Counter(fact.name for fact in FACTS if not fact.untried)
    knobs = set(re.findall(r"--knob (\w+)=\w+`", " ".join(PAGES.values())))
    assert knobs == {each.name for each in dataclasses.fields(Knobs)} - STAGED


def test_the_index_lists_every_page_and_its_experiments_below_its_state() -> None:
    listed: dict[str, str] = {}
    for state, table in re.findall(r"^\| (open|bounded|settled) \| the mock .*\n\|[-|]+\n((?:\|.*\n)+)", INDEX, flags=re.M):
        for page, rest in re.findall(r"^\| \[.*?\]\(([\w-]+\.md)\) (.*)$", table, flags=re.M):
            listed[page] = state
            assert re.findall(r"`(\w+)`", rest.rpartition(" | ")[2]) == asked(page)
    assert listed == {page: head(page)["state"] for page in PAGES}
    assert f"({sessions_needed(0)} experiments and 3 calls" in INDEX
    assert f"--max-sessions {sessions_needed(3)} " in INDEX
    assert f"in {sum(fact.state == 'open' and not fact.untried for fact in FACTS)} sessions" in INDEX


def test_every_untested_fact_describes_how_to_record_it() -> None:
    rows = re.findall(r"^\| `(\w+)`: [^|]+ \| [^|]+ \| [^|]+ \|$", INDEX, flags=re.M)
    assert sorted(rows) == sorted(fact.name for fact in FACTS if fact.untried)
