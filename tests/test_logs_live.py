"""Compare logs of running proxies with their sockets, for every checkout in VOICERACE_CHECKOUTS.

    VOICERACE_CHECKOUTS=DIR .venv/bin/python -m pytest tests/test_logs_live.py -s

DIR has a checkout per tag (v0.9.1, ...) with dependencies installed. Each proxy plays the same sessions on real sockets,
some concurrently; its console output is the log. The tests print the counts on the wire, which must equal the log's.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.wire import differences_from_wire

from voicerace.cli import main
from voicerace.trace.recording import read_recordings

CHECKOUTS = Path(os.environ.get("VOICERACE_CHECKOUTS", "/nonexistent"))
TAGS = sorted(each.name for each in CHECKOUTS.glob("v*") if (each / "packages" / "voice-agent-backend").is_dir())
#: Sessions with results before, at and after response.done, once, twice and by several handler styles,
#: and sessions with a user who sends more text.
SWEEPS = {
    "scenarios": "--scenarios single,double,inject,parallel --tool-ms 0:240:60",
    "handlers": "--handlers async_ref,void_ref,return --tool-ms 40:240:200",
}


@pytest.mark.skipif(not TAGS, reason="VOICERACE_CHECKOUTS names a folder with a checkout per tag, dependencies installed")
@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("tag", TAGS or ["none"])
def test_the_log_of_a_running_proxy_agrees_with_its_sockets(tag: str, name: str, tmp_path: Path) -> None:
    options = "--gap-ms 150 --upstream-rtt-ms 20 --host-rtt-ms 10 --reply-ms 100 --deadline-ms 1000 --at-once 6 --json"
    out = tmp_path / "run"
    proxy = ["--proxy", f"backend:{CHECKOUTS / tag}", "--out", str(out)]
    assert main(["sweep", "--live", *SWEEPS[name].split(), *options.split(), *proxy]) == 0
    (log,) = out.glob("proxy-*.log")
    wire = [each for path in sorted(out.glob("recordings/*.jsonl")) for each in read_recordings(path)]
    counts, wrong = differences_from_wire(log, wire)
    print(f"\n{tag} {name}: " + ", ".join(f"{number} {what}" for what, number in counts.items()))
    assert counts["sessions"] == len(wire)
    assert wrong == []
