"""Write the digests that tests/test_unchanged.py compares with the models' recordings: `python -m tests.support.digests`.

There is one digest per release and scenario. It covers sessions with drawn times, in text and audio, for every handler
in the scenario `single` and for two handlers in other scenarios.
Run the program after an intended change of the models. Describe the change and the affected rows in the commit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from voicerace import SessionConfig, simulate
from voicerace.model.catalog.handlers import HANDLERS
from voicerace.model.catalog.releases import PROXIES, REFERENCE
from voicerace.model.catalog.scenarios import SCENARIOS

FILE = Path(__file__).parents[1] / "data" / "digests.json"
RELEASES = (*PROXIES, REFERENCE.tag)
TIMES = {
    "tool_ms": "uniform(0,400)",
    "gap_ms": "uniform(8,300)",
    "host_rtt_ms": "uniform(0,40)",
    "upstream_rtt_ms": "uniform(0,120)",
    "ack_ms": "uniform(0,60)",
    "deadline_ms": 4000,
}


def sessions(release: str, scenario: str) -> Iterator[SessionConfig]:
    """Yield the sessions covered by one digest."""
    for seed, handler in enumerate(HANDLERS if scenario == "single" else ("return", "void_ref")):
        modality = "audio" if seed % 2 else "text"
        yield SessionConfig.of(release=release, scenario=scenario, handler=handler, times=TIMES, modality=modality, seed=seed)


def digest(release: str, scenario: str) -> str:
    """Return the SHA-256 digest (16 hexadecimal digits) of the recordings in their file format."""
    found = hashlib.sha256()
    for session in sessions(release, scenario):
        for line in simulate(session).lines():
            found.update(line.encode())
    return found.hexdigest()[:16]


def digests() -> dict[str, dict[str, str]]:
    return {release: {scenario: digest(release, scenario) for scenario in SCENARIOS} for release in RELEASES}


if __name__ == "__main__":
    FILE.write_text(json.dumps(digests(), indent=1) + "\n", encoding="utf-8")
    print(f"{FILE.name}: {len(RELEASES) * len(SCENARIOS)} digests")
