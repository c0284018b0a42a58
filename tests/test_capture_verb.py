"""Test `voicerace capture` around a client in a separate process: the run is recorded and judged, and otherwise unchanged."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.client_stack import Stack
from tests.support.rogue import free_port
from voicerace.captures import inspect_lines, read_capture
from voicerace.captures.live import record as capturing
from voicerace.captures.live.mock_thread import MockThread
from voicerace.cli import main
from voicerace.engine.live.serving import mock_session
from voicerace.engine.session import SessionConfig
from voicerace.trace.recording import Link, Recording, read_recordings

CLIENT = Path(__file__).parent / "support" / "client.py"
HOST = (Link("component", "proxy"), Link("proxy", "component"))
UPSTREAM = (Link("proxy", "upstream"), Link("upstream", "proxy"))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(SessionConfig.of(release="0.9.1", times={"gap_ms": 40})) as running:
        yield running


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to an empty folder, and set the import path so that child processes can import the project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(CLIENT.parents[2]))


def relays(stack: Stack, host: bool = True, upstream: bool = True) -> list[str]:
    arguments = ["--host", f"0={stack.host_url}"] if host else []
    return arguments + (["--upstream", f"0={stack.upstream_url}"] if upstream else [])


def client(*arguments: object) -> list[str]:
    return ["--", sys.executable, str(CLIENT), *map(str, arguments)]


def run_json(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
    return found


def recordings(folder: Path) -> list[Recording]:
    return [Recording.read(path) for path in sorted((folder / "recordings").glob("*.jsonl"))]


def said(recording: Recording, *links: Link) -> list[str]:
    """Return the user's texts on the given links."""
    texts = []
    for event in recording.on(*links):
        payload = event.payload if isinstance(event.payload, dict) else {}
        if payload.get("type") == "InjectUserMessage":
            texts.append(payload["content"])
        elif payload.get("type") == "conversation.item.create" and payload["item"].get("role") == "user":
            texts.append(payload["item"]["content"][0]["text"])
    return texts


# -- recordings and outcomes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool_ms", "outcome", "heard"),
    [(0, "rejected", "conversation_already_has_active_response"), (120, "answered", "answered")],
)
def test_a_run_is_recorded_on_both_sides_and_judged(
    stack: Stack, tool_ms: int, outcome: str, heard: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", *relays(stack), "--out", str(tmp_path / "run"), *client("--tool-ms", tool_ms)]) == 0
    printed = capfd.readouterr()
    assert printed.out == f"{heard}\n"
    assert f"session 1: {outcome}: " in printed.err
    assert "the host relay added 0." in printed.err
    assert f"1 session in {tmp_path / 'run'}" in printed.err

    info = run_json(tmp_path / "run")
    (session,) = info["sessions"]
    assert (session["outcome"], session["recording"], session["notes"]) == (outcome, "session-001.jsonl", [])
    assert session["session_updates"] == 1
    assert info["status"] == 0
    assert info["complete"]
    assert info["parameters"]["command"] == Path(sys.executable).name
    assert [info["targets"][name] for name in ("proxy", "upstream")] == [
        [{"name": stack.host_url}],
        [{"name": stack.upstream_url}],
    ]
    for side in ("host", "upstream"):
        assert info["added_ms"][side]["messages"] > 5
        assert 0 < info["added_ms"][side]["median"] <= info["added_ms"][side]["p99"]

    (recording,) = recordings(tmp_path / "run")
    assert recording.complete
    assert set(recording.observed) == {*HOST, *UPSTREAM}
    assert (recording.provenance["engine"], recording.provenance["command"]) == ("relay", Path(sys.executable).name)
    assert recording.provenance["start"].endswith("+00:00")
    assert "--tool-ms" not in "".join(recording.lines())
    assert len(recording.events) == session["events"]
    times = [event.sent_ns for event in recording.events]
    assert times == sorted(times, key=lambda each: each or 0)
    assert f"outcome {outcome}" in "\n".join(inspect_lines(read_capture(tmp_path / "run" / "recordings" / "session-001.jsonl")))


@pytest.mark.parametrize(
    ("side", "why"), [("host", "upstream was not observed"), ("upstream", "the link to the host was not observed")]
)
def test_a_session_observed_on_one_side_is_unknown(stack: Stack, side: str, why: str, tmp_path: Path) -> None:
    options = relays(stack, host=side == "host", upstream=side == "upstream")
    # Without the host relay the client connects to the proxy directly. It still passes the upstream relay's address.
    assert main(["capture", *options, "--out", str(tmp_path / "run"), *client("--url", stack.host_url)]) == 0
    (session,) = run_json(tmp_path / "run")["sessions"]
    assert session["outcome"] == "unknown"
    assert why in session["why"]
    (recording,) = recordings(tmp_path / "run")
    assert set(recording.observed) == set(HOST if side == "host" else UPSTREAM)


def test_concurrent_sessions_are_separated(stack: Stack, tmp_path: Path) -> None:
    arguments = client("--sessions", 12, "--tool-ms", 60)
    assert main(["capture", *relays(stack), "--out", str(tmp_path / "run"), *arguments]) == 0
    found = recordings(tmp_path / "run")
    assert len(found) == 12
    for recording in found:
        assert said(recording, *HOST) == said(recording, *UPSTREAM)
        assert len(said(recording, *HOST)) == 1
    assert len({said(recording, *HOST)[0] for recording in found}) == 12
    assert {each["outcome"] for each in run_json(tmp_path / "run")["sessions"]} == {"answered"}


def test_without_out_the_run_becomes_the_latest(stack: Stack, tmp_path: Path) -> None:
    assert main(["capture", *relays(stack), *client()]) == 0
    assert run_json(tmp_path / "runs" / "latest")["kind"] == "capture"


def test_keys_are_forwarded_and_never_written(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-proj-ThisIsNoKeyAtAll"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    arguments = client("--subprotocol", f"openai-insecure-api-key.{key}", "--name", key)
    assert main(["capture", *relays(stack), "--out", str(tmp_path / "run"), *arguments]) == 0
    (recording,) = recordings(tmp_path / "run")
    assert said(recording, *HOST) == ["What is the weather in city [key]?"]
    assert all(key not in path.read_text("utf-8") for path in (tmp_path / "run").rglob("*") if path.is_file())


def test_a_refused_upstream_handshake_is_the_fault(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Stack(SessionConfig.of(release="0.9.1"), refuse=429) as stack:
        assert main(["capture", *relays(stack), "--out", str(tmp_path / "run"), *client()]) == 0
    (session,) = run_json(tmp_path / "run")["sessions"]
    assert (session["outcome"], session["fault"]) == ("unknown", "upstream: the handshake was refused with HTTP 429")
    assert "fault: upstream: the handshake was refused with HTTP 429" in capfd.readouterr().err


def test_an_unreachable_target_is_a_bad_gateway_and_unknown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", "--host", "0=ws://127.0.0.1:1", "--out", str(tmp_path / "run"), *client()]) == 0
    assert "HTTP 502" in capfd.readouterr().out
    (session,) = run_json(tmp_path / "run")["sessions"]
    assert session["outcome"] == "unknown"
    assert "not reachable: Connection refused" in session["why"]


@pytest.mark.parametrize(("arguments", "outcome"), [(["--tool-ms", 120], "answered"), (["--vanish"], "abandoned")])
def test_a_client_that_exits_without_closing_has_dropped_its_connection(
    arguments: list[object], outcome: str, stack: Stack, tmp_path: Path
) -> None:
    options = [*relays(stack), "--out", str(tmp_path / "run"), *client("--leave-open", "--status", 4, *arguments)]
    assert main(["capture", *options]) == 4
    (session,) = run_json(tmp_path / "run")["sessions"]
    assert session["outcome"] == outcome
    assert session["fault"] == "component dropped the connection without closing it (1006)"
    assert not session["complete"]


def test_a_run_without_connections_is_reported(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", "--host", "0=ws://127.0.0.1:1", "--out", str(tmp_path / "run"), "--", "true"]) == 0
    assert "no connection to the host relay" in capfd.readouterr().err
    assert run_json(tmp_path / "run")["sessions"] == []


# -- command line ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status"),
    [([], 0), (["--status", 3], 3), (["--kill", signal.SIGKILL], 137), (["--kill", signal.SIGTERM], 143)],
)
def test_the_exit_status_is_that_of_the_command(arguments: Sequence[object], status: int, stack: Stack) -> None:
    assert main(["capture", *relays(stack), *client(*arguments)]) == status


def started(stack: Stack, tmp_path: Path, *command: str, **options: Any) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "voicerace", "capture", *relays(stack), "--out", str(tmp_path / "run"), *command]
    return subprocess.Popen(arguments, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_the_command_has_the_standard_streams_and_its_own_arguments(stack: Stack, tmp_path: Path) -> None:
    command = ["sh", "-c", 'cat; echo "$1 $2" >&2; echo "$VOICERACE_HOST_URL"', "sh", "--out", "--help"]
    with started(stack, tmp_path, "--", *command, stdin=subprocess.PIPE) as process:
        out, err = process.communicate("typed\n", timeout=30)
    first, second = out.splitlines()
    assert first == "typed"
    assert second.startswith("ws://127.0.0.1:")
    assert "--out --help" in err.splitlines()
    assert process.returncode == 0


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_forwarded_and_no_event_is_lost(sign: signal.Signals, stack: Stack, tmp_path: Path) -> None:
    with started(stack, tmp_path, *client("--silent"), start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "said\n"
        process.send_signal(sign)
        process.communicate(timeout=30)
    assert process.returncode == 128 + sign
    (recording,) = recordings(tmp_path / "run")
    assert said(recording, *HOST) == said(recording, *UPSTREAM) == ["What is the weather in city 0?"]
    info = run_json(tmp_path / "run")
    assert (info["status"], len(info["sessions"])) == (128 + sign, 1)
    assert info["end"] is not None


def test_a_killed_capture_leaves_its_recordings(stack: Stack, tmp_path: Path) -> None:
    with started(stack, tmp_path, *client("--silent")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "said\n"
        process.kill()
        process.communicate(timeout=30)
    files = sorted((tmp_path / "run" / "recordings").iterdir())
    assert [path.name for path in files] == ["connection-001-host.jsonl", "connection-002-upstream.jsonl"]
    of_host, of_upstream = (read_recordings(path)[0] for path in files)
    assert said(of_host, *HOST) == said(of_upstream, *UPSTREAM) == ["What is the weather in city 0?"]
    assert not of_host.complete
    assert run_json(tmp_path / "run")["end"] is None
    assert "1 session" in next(inspect_lines(read_capture(files[1])))


#: Source of a program that makes its standard input the controlling terminal, as a shell does, and executes its arguments.
IN_A_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
#: Source of a program that counts its interrupts until 0.5 s after the first.
COUNTS = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("ready", flush=True)
signal.sigwait([signal.SIGINT])
print("twice" if signal.sigtimedwait([signal.SIGINT], 0.5) else "once", flush=True)
"""


def test_an_interrupt_from_the_terminal_arrives_once(stack: Stack, tmp_path: Path) -> None:
    controller, terminal = os.openpty()
    arguments = [sys.executable, "-m", "voicerace", "capture", *relays(stack), "--out", str(tmp_path / "run"), "--"]
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, *arguments, sys.executable, "-c", COUNTS],
        stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.write(controller, b"\x03")
        assert process.stdout.readline() == "once\n"
        assert process.wait(30) == 0
    os.close(controller)
    os.close(terminal)


# -- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["host, upstream", "neither is given"]),
        (["--host", "9000"], ["host", "'9000'", "LISTEN=TARGET"]),
        (["--host", "9000=localhost:1"], ["host", "no WebSocket address"]),
        (["--host", "9000=http://localhost:1"], ["host", "no WebSocket address"]),
        (["--host", "9000=ws://localhost:1/openai"], ["host", "ws://localhost:1 with a path or a query"]),
        (["--upstream", "9000=ws://localhost:1?model=x"], ["upstream", "ws://localhost:1 with a path or a query"]),
        (["--upstream", "9000=wss://somebody:my-password@example.com"], ["upstream", "wss://example.com with a user"]),
        (["--upstream", "wss://somebody:my-password@example.com"], ["upstream", "has no ="]),
        (["--host", "99999=ws://localhost:1"], ["host", "LISTEN", "65535"]),
        (["--host", "wss://localhost:9000=ws://localhost:1"], ["host", "LISTEN"]),
        (["--host", "localhost=ws://localhost:1"], ["host", "LISTEN"]),
        (["--host", "8080=ws://localhost:8080"], ["host", "port 8080 on both sides"]),
        (["--host", "[::1]:8080=ws://127.0.0.1:8080"], ["host", "port 8080 on both sides"]),
        (["--host", "0=ws://localhost:1", "--out", "/proc/nope"], ["out", "/proc/nope"]),
        (["--host", "198.51.100.7:9000=ws://localhost:1"], ["host", "198.51.100.7:9000", "a free port of this machine"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    arguments: list[str], words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", *arguments, "--", "true"]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("voicerace: error: ")
    assert printed.err.count("\n") == 1
    assert "my-password" not in printed.err
    for word in words:
        assert word in printed.err
    assert [path for path in tmp_path.rglob("*") if path.name != "runs"] == []


@pytest.mark.parametrize(
    ("command", "word"), [(["--", "no-such-program"], "'no-such-program'"), ([], "is missing"), (["--", "."], "'.'")]
)
def test_a_command_that_cannot_be_started_is_bad_input(
    command: list[str], word: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", "--host", "0=ws://127.0.0.1:1", *command]) == 2
    assert f"command: {word}" in capfd.readouterr().err
    assert not list(tmp_path.rglob("run.json"))


def test_a_file_that_cannot_be_executed_leaves_no_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF and no more")
    program.chmod(0o755)
    (tmp_path / "mine").mkdir()
    for out in ("mine", "new"):
        assert main(["capture", "--host", "0=ws://127.0.0.1:1", "--out", out, "--", str(program)]) == 2
        assert "Exec format error" in capfd.readouterr().err
    assert (tmp_path / "mine").exists()
    assert not (tmp_path / "new").exists()
    assert main(["capture", "--host", "0=ws://127.0.0.1:1", "--out", "mine", "--", "true"]) == 0


def test_a_port_in_use_is_bad_input(stack: Stack, capfd: pytest.CaptureFixture[str]) -> None:
    port = stack.host_url.rpartition(":")[2]
    assert main(["capture", "--host", f"{port}=ws://127.0.0.1:1", "--", "true"]) == 2
    assert capfd.readouterr().err.startswith(f"voicerace: error: host: 127.0.0.1:{port}: ")


PAGE = """
import os, sys
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
for origin in ("http://localhost:3000", "http://app.example", "http://evil.com"):
    try:
        connect(os.environ["VOICERACE_HOST_URL"] + "/agent?token=abc", origin=origin, proxy=None).close()
        print(101)
    except InvalidStatus as refused:
        print(refused.response.status_code)
"""


def test_the_host_relay_accepts_local_and_allowed_origins(
    stack: Stack, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    args = ["capture", *relays(stack, upstream=False), "--allow-origin", "http://app.example", "--out", str(tmp_path / "run")]
    assert main([*args, "--", sys.executable, "-c", PAGE]) == 0
    printed = capfd.readouterr()
    # The relay forwards the Origin header. The target itself refuses the second origin.
    assert printed.out.split() == ["101", "403", "403"]
    refused = [line for line in printed.err.splitlines() if "a connection was refused" in line]
    said = "Origin 'http://evil.com': is of another machine; --allow-origin ORIGIN allows it"
    assert refused == [f"voicerace: a connection was refused: {said}"]
    first, second = recordings(tmp_path / "run")
    assert [event.payload for event in second.events] == [{"reason": "proxy: the handshake was refused with HTTP 403"}]
    for each in (first, second):
        (connection,) = each.provenance["connections"]
        assert connection["client"]["path"] == "/agent"
        assert connection["client"]["query"] == "token=[key]"
        assert connection["client"]["user_agent"].startswith("Python/")


@pytest.mark.parametrize(("own", "status"), [("0", 2), ("3", 3)])
def test_a_full_disk_at_the_end_is_reported_and_loses_no_recording(
    own: str, status: int, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write = capturing.write_text

    def full_for_recordings(path: Path, text: str) -> None:
        (full if path.suffix == ".jsonl" else write)(path, text)

    monkeypatch.setattr(capturing, "write_text", full_for_recordings)
    out = tmp_path / "run"
    command = client("--tool-ms", "0")
    program = ["--", "sh", "-c", f'"$@"; exit {own}', "sh", *command[1:]]
    assert main(["capture", *relays(stack), "--out", str(out), *program]) == status
    assert "the sessions cannot be written: No space left on device" in capfd.readouterr().err
    kept = [recording for path in (out / "recordings").iterdir() for recording in read_recordings(path)]
    assert {link for each in kept for link in each.observed} == {*HOST, *UPSTREAM}
    assert all(len(each.events) > 5 for each in kept)


# -- a mock of ours --------------------------------------------------------------------------------------------------

OWN = CLIENT.with_name("mock_client.py")


@pytest.mark.parametrize(
    ("when", "options", "outcome", "status", "printed"),
    [
        ("early", ("--gap-ms", "1000"), "rejected", 1, "conversation_already_has_active_response"),
        ("late", ("--gap-ms", "20"), "answered", 0, "The tool says: clear"),
        ("late", ("--plan", "reply", "--gap-ms", "20"), "unknown", 0, "You are welcome."),
    ],
)
def test_the_mock_is_started_for_a_client_without_a_proxy(
    when: str,
    options: tuple[str, ...],
    outcome: str,
    status: int,
    printed: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    arguments = ["capture", "--upstream", "mock", *options, "--out", str(out)]
    assert main([*arguments, "--", sys.executable, str(OWN), when]) == status
    assert capfd.readouterr().out == f"{printed}\n"
    (recording,) = recordings(out)
    own = recording.provenance
    assert (own["topology"], own["upstream"], own["engine"]) == ("direct", "mock", "relay")
    assert own.get("plan") == ("reply" if "--plan" in options else None)
    assert own["times"]["gap_ms"] == options[-1]
    assert own["connections"][0]["client"]["query"] == "model=gpt-realtime"
    info = run_json(out)
    assert info["targets"]["upstream"] == [{"name": "mock"}]
    assert info["sessions"][0]["outcome"] == outcome


def test_the_mock_has_the_given_port_and_the_key_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = "import os; print(os.environ['VOICERACE_URL'], os.environ['OPENAI_API_KEY'])"
    port = free_port()
    for key in ("", "sk-own-key-0123456789abcdef"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        assert main(["capture", "--upstream", f"{port}=mock", "--", sys.executable, "-c", program]) == 0
        url, found = capfd.readouterr().out.split()
        assert url == f"ws://127.0.0.1:{port}/v1/realtime?model=gpt-realtime"
        assert (found == key) == bool(key)
    assert "sk-own" not in "".join(path.read_text("utf-8") for path in tmp_path.rglob("*.json*"))


def test_a_client_of_another_api_is_judged_without_a_proxy_only_with_the_option(tmp_path: Path) -> None:
    found = []
    with MockThread(mock_session(times={"gap_ms": 1000})) as api:
        for option in ([], ["--direct"]):
            out = tmp_path / f"run{len(found)}"
            arguments = ["capture", "--upstream", f"0={api.url}", *option, "--out", str(out)]
            assert main([*arguments, "--", sys.executable, str(OWN), "early"]) == 1
            found.append(run_json(out)["sessions"][0]["outcome"])
    assert found == ["unknown", "rejected"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--upstream", "0=ws://127.0.0.1:1", "--plan", "reply"], "upstream: is not the mock"),
        (["--upstream", "0=ws://127.0.0.1:1", "--gap-ms", "20"], "upstream: is not the mock"),
        (["--upstream", "mock", "--plan", "speak"], "plan: 'speak'"),
        (["--upstream", "mock", "--calls", "9"], "calls: "),
        (["--upstream", "mock", "--host", "0=ws://127.0.0.1:1", "--direct"], "direct: given with a relay to a proxy"),
        (["--upstream", "99999=mock"], "upstream: LISTEN"),
    ],
)
def test_options_of_the_mock_without_it_are_refused(
    arguments: list[str], words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", *arguments, "--", "true"]) == 2
    assert words in capfd.readouterr().err
    assert not list(tmp_path.rglob("run.json"))
