"""Test the start and stop of a proxy process, with a stand-in for Node: environment, child processes and errors."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from voicerace.cli import conformance as conformance_verb
from voicerace.cli import main
from voicerace.conformance.compare import Difference
from voicerace.conformance.conform import Conformance
from voicerace.conformance.running import running
from voicerace.engine.live.backend import Backend
from voicerace.engine.live.source import backend_version, package_of, source_hash
from voicerace.errors import InputError
from voicerace.model.catalog.releases import PROXIES, proxy_of_source

#: Source of a script that prints its environment and arguments, starts a child process, and listens on a port.
NODE = """#!{python}
import json, os, socket, subprocess, sys, time
if {dies}:
    sys.exit("Error: cannot find module 'tsx'")
child = subprocess.Popen(["sleep", "600"])
print(json.dumps({{"environment": dict(os.environ), "arguments": sys.argv[1:], "child": child.pid}}), flush=True)
with socket.socket() as listener:
    listener.bind(("127.0.0.1", int(os.environ["OPENAI_PROXY_PORT"])))
    listener.listen()
    time.sleep(600)
"""


def checkout(folder: Path, source: str = "export {}") -> Path:
    package = folder / "packages" / "voice-agent-backend"
    proxy = package / "scripts" / "openai-proxy"
    proxy.mkdir(parents=True)
    (proxy / "server.ts").write_text(
        f"import {{ a }} from './translator';\nconst b = require('./logger');\n{source}\n", "utf-8"
    )
    (proxy / "translator.ts").write_text("export const a = 1;\n", "utf-8")
    (proxy / "logger.ts").write_text("export const b = 1;\n", "utf-8")
    (proxy / "cli.ts").write_text("not part of the program\n", "utf-8")
    (package / "package.json").write_text('{"version": "0.2.1"}', "utf-8")
    (package / "node_modules" / "tsx").mkdir(parents=True)
    return folder


def node(folder: Path, monkeypatch: pytest.MonkeyPatch, *, dies: bool = False) -> None:
    program = folder / "node"
    program.write_text(NODE.format(python=sys.executable, dies=dies), "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_the_child_gets_a_placeholder_key_and_only_allowed_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-marked-and-secret")
    monkeypatch.setenv("SOME_TOKEN", "sk-marked-and-secret")
    monkeypatch.setenv("HTTPS", "1")
    node(tmp_path, monkeypatch)
    log = tmp_path / "proxy.log"
    with Backend(checkout(tmp_path / "repo"), "ws://127.0.0.1:1/v1", log) as backend:
        assert backend.url.startswith("ws://127.0.0.1:")
        printed = json.loads(log.read_text("utf-8").splitlines()[0])
    assert "marked" not in json.dumps(printed)
    assert printed["environment"]["OPENAI_API_KEY"] == "placeholder-not-a-key"
    assert printed["environment"]["OPENAI_REALTIME_URL"] == "ws://127.0.0.1:1/v1"
    # The variable is set to an empty value, so that a .env file cannot override it.
    assert printed["environment"]["HTTPS"] == ""
    assert printed["arguments"] == ["--import", "tsx", "scripts/openai-proxy/run.ts"]


def test_child_processes_end_with_the_proxy_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node(tmp_path, monkeypatch)
    log = tmp_path / "proxy.log"
    children: list[int] = []

    def fail_in_between() -> None:
        with Backend(checkout(tmp_path / "repo"), "ws://127.0.0.1:1", log):
            children.append(json.loads(log.read_text("utf-8").splitlines()[0])["child"])
            assert alive(children[0])
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        fail_in_between()
    deadline = time.monotonic() + 5
    while alive(children[0]) and time.monotonic() < deadline:
        os.sched_yield()
    assert not alive(children[0])


def test_a_proxy_that_does_not_start_is_reported_with_its_last_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node(tmp_path, monkeypatch, dies=True)
    with pytest.raises(InputError, match="cannot find module 'tsx'"), Backend(checkout(tmp_path / "repo"), "ws://127.0.0.1:1"):
        pass


def test_a_killed_proxy_is_started_again_and_all_processes_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node(tmp_path, monkeypatch)
    log = tmp_path / "proxy.log"
    with running(checkout(tmp_path / "repo"), log) as proxy:
        first = proxy.backend()
        assert proxy.backend() is first, "a running proxy is not started again"
        first._child.send_signal(signal.SIGKILL)
        first._child.wait(timeout=5)
        second = proxy.backend()
        assert second.alive
        assert second.upstream_url == first.upstream_url == proxy.upstream.url
    children = [json.loads(line)["child"] for line in log.read_text("utf-8").splitlines()]
    assert len(children) == 2
    deadline = time.monotonic() + 5
    while any(map(alive, children)) and time.monotonic() < deadline:
        os.sched_yield()
    assert not any(map(alive, children))


def test_missing_node_and_missing_dependencies_have_different_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = checkout(tmp_path / "repo")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"no node on the PATH"), Backend(repo, "ws://127.0.0.1:1"):
        pass
    node(tmp_path, monkeypatch)
    (package_of(repo) / "node_modules" / "tsx").rmdir()
    with pytest.raises(InputError, match="npm ci"), Backend(repo, "ws://127.0.0.1:1"):
        pass


def test_the_source_hash_covers_only_the_program(tmp_path: Path) -> None:
    repo = checkout(tmp_path / "repo")
    usual = source_hash(repo)
    assert source_hash(package_of(repo)) == usual
    proxy = package_of(repo) / "scripts" / "openai-proxy"
    (proxy / "cli.ts").write_text("something else", "utf-8")
    assert source_hash(repo) == usual
    server = proxy / "server.ts"
    server.write_bytes(server.read_bytes().replace(b"\n", b"\r\n"))
    assert source_hash(repo) == usual
    (proxy / "logger.ts").write_text("export const b = 2;\n", "utf-8")
    assert source_hash(repo) != usual


def test_a_program_is_identified_by_its_hash_and_version(tmp_path: Path) -> None:
    assert backend_version(checkout(tmp_path / "repo")) == "0.2.1"
    by_version = {row.backend: proxy_of_source(row.source, row.backend) for row in PROXIES.values() if row.generation in "BD"}
    assert by_version["0.2.13"] is PROXIES["0.11.1"]
    assert by_version["0.2.4"] is PROXIES["0.9.4"]
    assert proxy_of_source("no such hash") is None


def test_an_unknown_program_needs_a_release_to_compare_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--proxy", f"backend:{checkout(tmp_path / 'repo')}", "--out", str(tmp_path / "out")]) == 2
    assert "--release" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("differs", [True, False])
def test_a_difference_is_status_1(differs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = Conformance(PROXIES["0.9.1"], "abc")
    if differs:
        result.found["session-000"] = [
            Difference(3, "component: FunctionCallResponse", "proxy>upstream", (), (("response.create",),))
        ]
    monkeypatch.setattr(conformance_verb, "conform", lambda *_, **__: result)
    assert main(["conformance", "--proxy", "backend:x", "--out", str(tmp_path)]) == int(differs)
