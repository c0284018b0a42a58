"""Test `voicerace serve` as a program: invalid options, port and folder, signals, and the files left after an end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.rogue import api, free_port, play_live, proxy, session
from voicerace.analysis.verdict import Verdict, judge
from voicerace.cli import main
from voicerace.engine.live.connecting import QUIET
from voicerace.model.protocol import realtime
from voicerace.trace.recording import Recording


@pytest.mark.parametrize(
    ("words", "error_text"),
    [
        (["upstream", "--fault", "withhold#0"], "allowed are"),
        (["upstream", "--listen", "127.0.0.1:99999"], "PORT"),
        (["upstream", "--certificate", "/nonexistent.pem"], "/nonexistent.pem"),
        (["upstream", "--certificate-key", "/nonexistent.pem"], "--certificate"),
        (["upstream", "--fail-on", "nope"], "rejected"),
        (["upstream", "--calls", "9"], "1 to 8"),
        (["upstream", "--plan", "calls;speak"], "plan: 'speak'"),
        ([], "command: is missing"),
        (["proxy", "--upstream", "wss://api.example.com/v1"], "sessions: is missing; add a limit"),
        (["proxy", "--upstream", "ws://127.0.0.1:1", "--release", "9.9"], "9.9"),
    ],
)
def test_invalid_options_give_one_line(
    words: list[str], error_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *words, *(["--out", str(tmp_path / "out")] if words else [])]) == 2
    printed = capsys.readouterr()
    assert error_text in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_taken_port_and_a_folder_with_a_run_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["serve", "upstream", "--listen", listen, "--out", str(tmp_path / "out")]) == 2
    assert "Address already in use" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{}")
    assert main(["serve", "upstream", "--listen", "0", "--out", str(tmp_path / "out")]) == 2
    assert "holds a run already" in capsys.readouterr().err


@contextlib.contextmanager
def child(words: Sequence[str]) -> Any:
    """Run a command in a child process; yield the process."""
    command = [sys.executable, "-W", "error", "-m", "voicerace", *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signalled_server_keeps_its_recordings(sign: signal.Signals, tmp_path: Path) -> None:
    """At the time of the signal, one session has ended and another is open."""

    async def two_sessions(url: str) -> None:
        await play_live(upstream=url)
        async with connect(url, logger=QUIET) as client:
            await client.recv()
            await client.send(json.dumps(realtime.update_session({"type": "realtime"})))
            await client.recv()
            await asyncio.sleep(0.3)
            os.kill(process.pid, sign)
            with contextlib.suppress(ConnectionClosed):
                await client.recv()

    out = tmp_path / "run"
    words = ["serve", "upstream", "--listen", "0", "--out", str(out), "--gap-ms", "100", "--reply-ms", "40"]
    words += ["--plan", "calls,reply;reply", "--direct"]
    with child(words) as process:
        # The address is printed before any client connects, since the caller needs the port.
        url = process.stdout.readline().split()[2].rstrip(",")
        assert url.endswith("/v1/realtime?model=gpt-realtime")
        asyncio.run(two_sessions(url))
        out_text, err_text = process.communicate(timeout=5)
    assert err_text == ""
    assert process.returncode == {signal.SIGINT: 0, signal.SIGTERM: 143, signal.SIGKILL: -9}[sign]
    first, second = (Recording.read(out / "recordings" / f"00000{number}.jsonl") for number in (1, 2))
    assert first.complete
    assert judge(first).turns
    assert [event.type for event in second.events] == ["session.created", "session.update", "session.updated"]
    assert not second.complete
    info = json.loads((out / "run.json").read_text("utf-8"))
    assert info["kind"] == "serve upstream"
    assert info["parameters"]["times"]["gap_ms"] == "100"
    assert info["parameters"]["plan"] == first.provenance["plan"] == "calls,reply;reply"
    assert info["parameters"]["direct"]
    assert first.provenance["topology"] == "direct"
    assert info["complete"] == (sign != signal.SIGKILL)
    if sign != signal.SIGKILL:
        assert [line.split()[0] for line in out_text.splitlines()] == ["1", "2"]
        assert sum(info["sessions"].values()) == 2


@pytest.mark.parametrize("allowed", [False, True])
def test_serve_proxy_with_a_key_accepts_only_allowed_pages(
    allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-not-a-key-0123456789")
    page = "http://localhost:3000"

    async def tried(url: str) -> int:
        try:
            async with connect(url, origin=page, logger=QUIET):  # type: ignore[arg-type]
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    words = ["serve", "proxy", "--upstream", "ws://127.0.0.1:1", "--key-from", "SOME_KEY", "--listen", "0"]
    words += ["--out", str(tmp_path / "run"), *(["--allow-origin", page] if allowed else [])]
    with child(words) as process:
        url = process.stdout.readline().split()[2].rstrip(",")
        status = asyncio.run(tried(url))
        process.send_signal(signal.SIGTERM)
        _, err_text = process.communicate(timeout=10)
    assert process.returncode == 143
    assert status == (101 if allowed else 403)
    assert err_text.count("\n") == (0 if allowed else 1)
    assert allowed or f"a connection was refused: Origin '{page}': this server holds an API key" in err_text


def test_a_server_whose_output_is_closed_ends_silently(tmp_path: Path) -> None:
    async def one_session(url: str) -> None:
        async with connect(url, logger=QUIET) as client:
            await client.recv()

    with child(["serve", "upstream", "--listen", "0", "--out", str(tmp_path / "run")]) as process:
        url = process.stdout.readline().split()[2].rstrip(",")
        process.stdout.close()
        asyncio.run(one_session(url))
        assert process.wait(timeout=5) == 0
        assert process.stderr.read() == ""
    assert Recording.read(tmp_path / "run" / "recordings" / "000001.jsonl").complete


@pytest.mark.parametrize(("verb", "sign"), [(["run", "--live"], signal.SIGTERM), (["repro"], signal.SIGINT)])
def test_a_signalled_session_leaves_its_recording(verb: list[str], sign: int, tmp_path: Path) -> None:
    file = tmp_path / "session.jsonl"

    async def stopped() -> tuple[str, str]:
        async with api(session(gap_ms=5000)) as api_url, proxy(session(), api_url) as url:
            with child([*verb, "--proxy", url, "--out", str(file)]) as process:
                deadline = time.monotonic() + 60  # starting a program can take long on a busy machine
                while not file.exists() and time.monotonic() < deadline:
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.3)
                process.send_signal(sign)
                done = await asyncio.to_thread(process.communicate, timeout=5)
                assert process.returncode == 128 + sign
                return done  # type: ignore[no-any-return]

    _, err_text = asyncio.run(stopped())
    assert err_text.endswith(f"\nvoicerace: interrupted: what was recorded is in {file}\n")
    assert "Traceback" not in err_text
    recording = Recording.read(file)
    assert not recording.complete
    assert "FunctionCallRequest" in [event.type for event in recording.events]
    assert judge(recording).outcome == "unknown"


def test_a_session_interrupted_before_it_began_leaves_no_empty_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*words: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("voicerace.engine.live.background.play", interrupted)
    assert main(["repro", "--out", str(tmp_path / "r.jsonl")]) == 130
    assert capsys.readouterr().err.endswith("\nvoicerace: interrupted: nothing was recorded\n")
    assert not list(tmp_path.iterdir())
    assert main(["run", "--live", "--out", str(tmp_path)]) == 2, "a folder is not a file, and nothing was played"


def test_a_live_recording_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text("other content\n")
    assert main(["repro", "--out", str(file)]) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert file.read_text() == "other content\n"


def test_a_session_that_cannot_be_judged_is_kept_and_the_server_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fragile(recording: Recording) -> Verdict:
        if len(recording.events) > 2:
            raise KeyError("\x1b[2J")
        return judge(recording)

    async def two_sessions() -> None:
        for message in ({"type": "session.update", "session": {"type": "realtime"}}, None):
            async with connect(f"ws://127.0.0.1:{port}", logger=QUIET) as client:
                await client.recv()
                if message is not None:
                    await client.send(json.dumps(message))
                    await client.recv()

    def visit() -> None:
        while not (tmp_path / "run" / "run.json").exists():
            time.sleep(0.01)
        asyncio.run(two_sessions())

    port = free_port()
    monkeypatch.setattr("voicerace.cli.serve.judge", fragile)
    client = threading.Thread(target=visit)
    client.start()
    words = ["--listen", str(port), "--sessions", "2", "--out", str(tmp_path / "run")]
    assert main(["serve", "upstream", *words]) == 0
    client.join()
    printed = capsys.readouterr()
    assert [line.split()[:2] for line in printed.out.splitlines()[1:]] == [["1", "unknown:"], ["2", "unknown:"]]
    file = tmp_path / "run" / "recordings" / "000001.jsonl"
    assert printed.err == f"voicerace: {file} is kept and could not be judged (KeyError: '\\x1b[2J')\n"
    assert Recording.read(file).complete
    assert json.loads((tmp_path / "run" / "run.json").read_text())["sessions"] == {"unknown": 2}
