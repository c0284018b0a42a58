"""Test `voicerace fix`: edits located by structure, refused sources, the patch, and the draft of an issue."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.support import typescript
from voicerace.cli.app import main
from voicerace.conformance.fix.apply import PARTS, apply
from voicerace.conformance.fix.evidence import cost_of, evidence_of
from voicerace.conformance.fix.follow_up import follow_up
from voicerace.errors import InputError

COMPILER: Final = typescript.compiler()
needs_typescript = pytest.mark.skipif(COMPILER is None, reason="no TypeScript compiler")

#: A proxy with the structure that the edits need and little else.
SERVER: Final = """\
import http from 'http';

function attach(clientWs, options) {
    const upstream = options.headers ? new WebSocket(options.upstreamUrl, options) : new WebSocket(options.upstreamUrl);
    let responseInProgress = false;
    let hasSentSettingsApplied = false;
    let hasPendingAudio = false;
    const scheduleAudioCommit = () => {
      upstream.send(JSON.stringify({ type: 'input_audio_buffer.commit' }));
      upstream.send(JSON.stringify({ type: 'response.create' }));
      responseInProgress = true;
    };
    const forwardClientMessage = (raw) => {
      const msg = JSON.parse(raw);
      if (msg.type === 'FunctionCallResponse') {
        const itemCreate = mapFunctionCallResponseToConversationItemCreate(msg);
        upstream.send(JSON.stringify(itemCreate));
        // The model needs a request to continue.
        upstream.send(JSON.stringify({ type: 'response.create' }));
        responseInProgress = true;
      } else if (msg.type === 'InjectUserMessage') {
        const itemCreate = mapInjectUserMessageToConversationItemCreate(msg);
        upstream.send(JSON.stringify(itemCreate));
        // wait for the next item event
        pendingItemAddedBeforeResponseCreate = 1;
      }
    };
    upstream.on('message', (data) => {
      const msg = JSON.parse(data);
      if (msg.type === 'session.updated') {
        hasSentSettingsApplied = true;
        flushPendingAudio();
      }
    });
}
"""
COMPONENT: Final = """\
import { useRef } from 'react';

function Agent() {
  const sendFunctionCallResponse = (id: string, name: string, content: string): void => {
    const responseMessage = { type: 'FunctionCallResponse', id: id, name: name, content: content };
    agentManagerRef.current.sendJSON(responseMessage);
  };
  const ended = () => {
    const defaultError = 'nothing was sent';
    sendFunctionCallResponse(functionCall.id, functionCall.name, JSON.stringify({ error: defaultError }));
  };
}
"""
FORWARDER: Final = """\
function createOpenAIWss(options) {
  wss.on('connection', (clientWs, req) => {
    const upstream = new WebSocket(options.proxyUrl);
    upstream.on('open', () => {
      clientWs.on('message', (data, isBinary) => upstream.send(data, { binary: isBinary }));
    });
  });
}
"""
FILES: Final = dict(zip(("proxy", "component", "forwarder"), (SERVER, COMPONENT, FORWARDER), strict=True))


def checkout(root: Path, **changed: str) -> Path:
    """Write a checkout of three files, some of them changed."""
    for part, source in {**FILES, **changed}.items():
        file = root / PARTS[part][1][0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, "utf-8")
    (root / "src" / "utils").mkdir(parents=True)
    (root / "packages/voice-agent-backend/package.json").write_text('{"version": "0.0.0"}')
    if COMPILER is not None:
        modules = root / "packages/voice-agent-backend/node_modules"
        modules.mkdir()
        (modules / "typescript").symlink_to(COMPILER)
    return root


@needs_typescript
def test_the_patch_turns_the_checkout_into_the_fixed_copy(tmp_path: Path) -> None:
    root = checkout(tmp_path / "old")
    fix = apply(root, tmp_path / "new")
    assert {part: len(files) for part, files in fix.changed.items()} == {"proxy": 2, "component": 2, "forwarder": 1}
    assert (root / PARTS["proxy"][1][0]).read_text("utf-8") == SERVER, "the checkout is not changed"
    (tmp_path / "fix.patch").write_text(fix.patch, "utf-8")
    subprocess.run(["git", "apply", str(tmp_path / "fix.patch")], cwd=root, check=True)
    for _, files in PARTS.values():
        for name in files:
            assert (root / name).read_text("utf-8") == (tmp_path / "new" / name).read_text("utf-8")


@needs_typescript
def test_a_fixed_copy_is_not_fixed_again(tmp_path: Path) -> None:
    fix = apply(checkout(tmp_path / "old"), tmp_path / "new")
    with pytest.raises(InputError, match="fixed already"):
        apply(fix.directory, tmp_path / "newer")


@needs_typescript
def test_no_request_is_sent_outside_the_gate(tmp_path: Path) -> None:
    fix = apply(checkout(tmp_path / "old"), tmp_path / "new")
    fixed = (fix.directory / PARTS["proxy"][1][0]).read_text("utf-8")
    assert fixed.count("type: 'response.create'") == 1
    for call in ("gate.result(", "gate.userInput('text')", "gate.userInput('audio')", "gate.event(event)", "gate.resume()"):
        assert fixed.count(call) == 1
    assert "wait for the next item event" not in fixed, "a comment on a removed statement is removed"


@needs_typescript
@pytest.mark.parametrize(
    ("part", "old", "new", "place"),
    [
        ("proxy", "mapFunctionCallResponse", "mapResult", "the item of a result"),
        ("proxy", "new WebSocket(options.upstreamUrl", "connect(options.upstreamUrl", "the connection to the API"),
        ("proxy", "pendingItemAddedBeforeResponseCreate = 1;", "", "the wait after user text"),
        ("proxy", "flushPendingAudio();", "", "flushPendingAudio"),
        ("component", "{ error: defaultError }", "{ error: 'x' }", "no default answer"),
        ("component", "sendFunctionCallResponse = (id", "send = (id", "sendFunctionCallResponse"),
        ("forwarder", "createOpenAIWss", "create", "createOpenAIWss"),
        ("forwarder", "upstream.on('open'", "upstream.on('opened'", "upstream.on('open'"),
    ],
)
def test_a_source_with_another_structure_is_refused_with_the_place(
    tmp_path: Path, part: str, old: str, new: str, place: str
) -> None:
    root = checkout(tmp_path / "old", **{part: FILES[part].replace(old, new)})
    with pytest.raises(InputError) as refused:
        apply(root, tmp_path / "new")
    assert place in str(refused.value)
    assert PARTS[part][1][0] in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert not (tmp_path / "new").exists(), "a refused checkout leaves no copy"


@needs_typescript
def test_a_forwarder_that_keeps_early_messages_is_not_changed(tmp_path: Path) -> None:
    listener = "    clientWs.on('message', (data, isBinary) => keep(data, isBinary));\n"
    source = FORWARDER.replace("    upstream.on('open'", listener + "    upstream.on('open'")
    source = source.replace(
        "      clientWs.on('message', (data, isBinary) => upstream.send(data, { binary: isBinary }));\n", ""
    )
    fix = apply(checkout(tmp_path / "old", forwarder=source), tmp_path / "new")
    assert fix.changed["forwarder"] == ()


def test_the_output_folder_must_be_new_and_outside_the_checkout(tmp_path: Path) -> None:
    root = checkout(tmp_path / "old")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    for out, reason in ((tmp_path / "used", "not an empty folder"), (root / "new", "inside the checkout")):
        with pytest.raises(InputError, match=reason):
            apply(root, out)


def test_a_folder_without_a_proxy_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fix", "--checkout", str(tmp_path), "--out", str(tmp_path / "new")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@needs_typescript
def test_an_unknown_program_has_no_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fix", "--checkout", str(checkout(tmp_path / "old")), "--out", str(tmp_path / "new")]) == 2
    assert "is unknown" in capsys.readouterr().err


#: Sessions that still fail: a session that ends after its 60 minutes with a text on its way, and a request or response that the
#: API fails, which the gate does not repeat.
#: Number of failed sessions, and of each fault; a session can have two.
LEFT = {"0.9.1": (11, {"wedged": 8, "stalled": 4}), "0.11.1": (4, {"stalled": 4})}


@pytest.mark.parametrize("release", ["0.9.1", "0.11.1"])
@pytest.mark.long
def test_only_faults_of_the_api_are_left_with_the_fixed_model(release: str) -> None:
    found = evidence_of(release)
    assert found.before.failed > 100, "the cases and findings show the fault"
    assert (found.after.failed, found.after.faults) == LEFT[release]
    assert found.after.sessions == found.before.sessions > found.findings > 100


def test_the_fix_answers_every_drawn_session_and_no_later_than_before() -> None:
    for release, answered in (("0.9.1", 20), ("0.9.4", 0), ("0.11.1", 20)):
        cost = cost_of(release, draws=20)
        assert cost.answered == (answered, 20)
        assert cost.sessions == answered
        if cost.before_ms is not None and cost.after_ms is not None:
            assert cost.after_ms <= cost.before_ms


@needs_typescript
@pytest.mark.long
def test_the_draft_states_the_evidence_and_the_rules(tmp_path: Path) -> None:
    fix = apply(checkout(tmp_path / "old"), tmp_path / "new")
    found = evidence_of("0.9.1")
    draft = follow_up(fix, "0.9.1", found, live=False)
    assert f"| before | {found.before.sessions} | {found.before.failed} |" in draft
    assert f"| after | {found.after.sessions} | 0 | none |" in draft
    assert "`when_free`" in draft
    assert json.dumps(draft).count("{{") == 0
