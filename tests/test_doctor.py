"""Test `voicerace doctor`: it reports installed and missing tools, prints no key, and changes nothing."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from voicerace.cli import installation, main
from voicerace.cli.installation import SystemCheck, examine

KEY = "sk-doctor-0123456789abcdef"


def of(name: str, found: list[SystemCheck]) -> SystemCheck:
    return next(each for each in found if each.name == name)


def test_doctor_prints_a_line_per_finding_and_exits_0(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", "--out", str(tmp_path / "runs")]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["state", "name", "found", "needed", "for"]
    for name in ("Python", "packages", "data and notebooks", "write access", "port 8181", "Node", "Chromium", "OPENAI_API_KEY"):
        assert any(name in line for line in lines), name
    assert all(line.split()[0] in ("good", "missing", "wrong") for line in lines)
    assert not (tmp_path / "runs").exists()


def test_the_required_parts_of_this_environment_are_good() -> None:
    for name in ("Python", "packages", "data and notebooks"):
        assert of(name, examine()).state == "good", of(name, examine())


@pytest.mark.parametrize(("value", "expected"), [(None, "not set"), ("  ", "set, and empty"), (KEY, "set")])
def test_a_key_is_reported_and_never_shown(
    value: str | None, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("OPENAI_API_KEY", value)
    assert main(["doctor", "--json"]) == 0
    printed = capsys.readouterr().out
    row = next(each for each in json.loads(printed)["findings"] if each["name"] == "OPENAI_API_KEY")
    assert (row["found"], row["state"]) == (expected, "good" if expected == "set" else "missing")
    for part in range(len(KEY) - 6):
        assert KEY[part : part + 6] not in printed


def test_a_port_in_use_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        monkeypatch.setattr(installation, "_PORTS", (number, number))
        row = of(f"port {number}", examine())
    assert (row.state, row.found) == ("wrong", "Address already in use")


def test_a_folder_that_cannot_be_written_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert of("write access", examine(out=tmp_path / "file" / "runs")).state == "wrong"


def test_programs_are_missing_or_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert of("Node", examine()).state == of("Chromium", examine()).state == "missing"
    (tmp_path / "node").write_text("#!/bin/sh\necho v18.1.0\n")
    (tmp_path / "node").chmod(0o755)
    assert (of("Node", examine()).state, of("Node", examine()).found) == ("wrong", "v18.1.0")


def test_a_package_of_another_version_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        installation,
        "_version",
        lambda name: {"numpy": "0.1", "pandas": None}.get(name, installation.version(name) if name == "typer" else None),
    )
    row = of("packages", examine())
    assert row.state == "wrong"
    assert "is not installed" in row.found


def checkout(folder: Path, source: str) -> Path:
    entry = folder / "packages" / "voice-agent-backend" / "scripts" / "openai-proxy"
    entry.mkdir(parents=True)
    (entry / "server.ts").write_text(source)
    return folder


def test_a_checkout_is_identified_by_its_source_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = checkout(tmp_path / "there", "// unknown")
    row = of("backend:there", examine([there]))
    assert row.state == "wrong"
    assert "no release of the table" in row.found
    assert "its dependencies are not installed" in row.found
    (there / "node_modules").mkdir()
    assert of("backend:there", examine([there])).state == "good"
    monkeypatch.setattr(installation, "source_hash", lambda _: "c19f51aae23f")
    assert of("backend:there", examine([there])).found == "c19f51aae23f: release 0.9.1"
    assert of("backend:none", examine([tmp_path / "none"])).state == "wrong"


def test_a_proxy_that_is_no_checkout_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--proxy", "model:0.9.1"]) == 2
    assert "backend:DIR" in capsys.readouterr().err
