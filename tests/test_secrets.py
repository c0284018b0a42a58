"""Test that no written file contains a key, even if each part fails and the API repeats the key that it received."""

from __future__ import annotations

import base64
import json
import logging
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.leaky import How, Leaky, leaks, spellings, written
from tests.support.rogue import free_port, session
from voicerace.cli import main
from voicerace.engine.live.targets import ProxyTarget, UpstreamTarget, scrubber
from voicerace.scrubber import PIECE, SHORTEST, Scrubber, is_named_like_a_key
from voicerace.trace.recording import read_recordings

MARKED = "sk-Marked/slash+plus\"quote%percent\\back&and=equals'tick-0123456789"
QUICK = ["--gap-ms", "60", "--reply-ms", "30", "--deadline-ms", "200", "--silence-s", "2"]
HOWS: tuple[How, ...] = ("refuse", "redirect", "say", "close", "drop", "garble")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder for all output, and set a marked key in the environment.

    The variable has a neutral name, and its value has surrounding spaces.
    """
    monkeypatch.setenv("MARKED_ONE", f"  {MARKED} ")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_hidden(home: Path, *printed: str) -> None:
    """Assert that no file and none of the printed texts contains any part of the key."""
    contents = [*written(home), *((f"printed {number}", text.encode()) for number, text in enumerate(printed))]
    assert leaks(MARKED, contents) == []


def repeated(home: Path) -> int:
    """Return the number of placeholders for a key in the recordings."""
    return sum(content.count(b"[key]") for name, content in written(home) if name.endswith(".jsonl"))


# -- failures, one part at a time ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.long
def test_a_session_hides_a_key_that_the_api_repeats(how: How, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Leaky(session(), how) as leaky:
        words = ["--upstream", leaky.url, "--key-from", "MARKED_ONE", *QUICK]
        assert main(["run", "--live", "--release", "0.9.1", "--out", "run.jsonl", *words]) == 0
        assert main(["run", "--live", "--release", "0.11.1", "--json", *words]) == 0
        assert leaky.keys == [MARKED, MARKED], "the key was sent"
    printed = capfd.readouterr()
    assert_hidden(home, printed.out, printed.err)
    assert "MARKED" not in (home / "run.jsonl").read_text("ascii"), "the variable's name is hidden too"
    if how == "say":
        assert "outcome        rejected" in printed.out, "the session is unaffected"
    if how in ("say", "drop", "garble"):
        assert repeated(home) > 0


def test_a_handshake_is_not_logged(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An application or a notebook can log everything at level DEBUG."""
    caplog.set_level(logging.DEBUG)
    with Leaky(session(), "close") as leaky:
        assert main(["run", "--live", "--upstream", leaky.url, "--key-from", "MARKED_ONE", *QUICK]) == 0
    assert leaks(MARKED, [("log", caplog.text.encode())]) == []


@pytest.mark.parametrize("how", ["refuse", "say"])
@pytest.mark.long
def test_a_sweep_and_a_repro_hide_a_key_that_the_api_repeats(how: How, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Leaky(session(), how) as leaky:
        words = ["--upstream", leaky.url, "--key-from", "MARKED_ONE", *QUICK]
        assert main(["sweep", "--live", "--tool-ms", "5,120", "--trials", "2", "--at-once", "2", *words]) == 0
        assert main(["repro", *words]) == 0
        assert set(leaky.keys) == {MARKED}
    printed = capfd.readouterr()
    names = {path.name for path in home.rglob("*") if path.is_file()}
    assert {"run.json", "summary.csv"} <= names
    assert_hidden(home, printed.out, printed.err)


@pytest.mark.parametrize("how", ["refuse", "say"])
def test_a_served_proxy_hides_a_key_that_the_api_repeats(how: How, home: Path) -> None:
    """The client of the served proxy runs in the test's process and has no key."""
    command = [
        sys.executable,
        "-m",
        "voicerace",
        "serve",
        "proxy",
        "--key-from",
        "MARKED_ONE",
        "--sessions",
        "1",
        "--listen",
        "0",
    ]
    with Leaky(session(), how) as leaky:
        command += ["--upstream", leaky.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            first = server.stdout.readline()
            assert main(["run", "--live", "--proxy", first.split()[2].rstrip(","), *QUICK]) == 0
            out_text, err_text = server.communicate(timeout=5)
        assert leaky.keys == [MARKED]
    assert err_text == ""
    assert_hidden(home, first, out_text)
    assert len([*home.glob("runs/latest/recordings/*.jsonl")]) == 1


#: Source of a proxy that forwards everything and logs all messages. It is started like the proxy of a checkout.
NODE = """#!{python}
import asyncio, os, sys
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
print(dict(os.environ), flush=True)
async def pump(source, sink, name):
    try:
        async for frame in source:
            print(name, repr(frame), flush=True)
            await sink.send(frame)
    except ConnectionClosed:
        pass
    print(name, "closed", source.close_code, source.close_reason, flush=True)
    await sink.close()
async def proxy(near):
    headers = {{"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}}
    try:
        far = await connect(os.environ["OPENAI_REALTIME_URL"], additional_headers=headers, compression=None)
    except InvalidStatus as refused:
        answer = refused.response
        print(answer.status_code, answer.reason_phrase, answer.headers, answer.body, flush=True)
        return
    await asyncio.gather(pump(near, far, "up"), pump(far, near, "down"))
async def main():
    async with serve(proxy, "127.0.0.1", int(os.environ["OPENAI_PROXY_PORT"]), compression=None):
        await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.fixture
def checkout(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    package = folder / "packages" / "voice-agent-backend"
    (package / "scripts" / "openai-proxy").mkdir(parents=True)
    (package / "scripts" / "openai-proxy" / "server.ts").write_text("export {}\n")
    (package / "node_modules" / "tsx").mkdir(parents=True)
    node = folder / "bin" / "node"
    node.parent.mkdir()
    node.write_text(NODE.format(python=sys.executable))
    node.chmod(0o755)
    monkeypatch.setenv("PATH", f"{node.parent}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize("how", ["refuse", "say", "close", "garble"])
@pytest.mark.long
def test_a_checkouts_proxy_never_sees_the_key(how: How, home: Path, checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Leaky(session(), how) as leaky:
        # The API misbehaves only once, so this session must be its first client.
        words = ["--no-canary", "--proxy", f"backend:{checkout}", "--upstream", leaky.url, "--key-from", "MARKED_ONE"]
        assert main(["sweep", "--live", "--out", "run", *words, *QUICK]) == 0
        assert leaky.keys == [MARKED], "the relay sent it in place of the child's"
    printed = capfd.readouterr()
    [log] = (home / "run").glob("proxy-*.log")
    text = log.read_text("utf-8")
    assert "placeholder-not-a-key" in text
    assert {"refuse": "401", "say": "[key]", "close": "bad key: [key]", "garble": "provided: [key]"}[how] in text
    assert_hidden(home, printed.out, printed.err)


def test_a_real_checkouts_proxy_never_sees_the_key(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """This test runs only if VOICERACE_CHECKOUTS names a folder with one checkout per tag."""
    checkout = Path(os.environ.get("VOICERACE_CHECKOUTS", "/nonexistent")) / "v0.9.1"
    if not checkout.is_dir():
        pytest.skip("no checkout of the proxy here")
    with Leaky(session(), "say") as leaky:
        words = ["--proxy", f"backend:{checkout}", "--upstream", leaky.url, "--key-from", "MARKED_ONE", *QUICK]
        assert main(["sweep", "--live", "--out", "run", *words]) == 0
    printed = capfd.readouterr()
    assert_hidden(home, printed.out, printed.err)


def test_a_captured_command_hides_its_own_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKED_API_KEY", MARKED)
    program = (
        "import asyncio, os\n"
        "from websockets.asyncio.client import connect\n"
        "async def main():\n"
        "    headers = {'Authorization': 'Bearer ' + os.environ['MARKED_API_KEY']}\n"
        "    async with connect(os.environ['VOICERACE_UPSTREAM_URL'], additional_headers=headers) as connection:\n"
        '        await connection.send(\'{"type":"session.update","session":{}}\')\n'
        "        for _ in range(6):\n"
        "            await connection.recv()\n"
        "asyncio.run(main())\n"
    )
    with Leaky(session(), "say") as leaky:
        target = leaky.url.partition("/v1")[0]
        words = ["capture", "--upstream", f"0={target}", "--out", "run", "--", sys.executable, "-c", program]
        done = subprocess.run([sys.executable, "-m", "voicerace", *words], capture_output=True, text=True, check=False)
        assert (done.returncode, leaky.keys) == (0, [MARKED]), done.stderr
    assert_hidden(home, done.stdout, done.stderr)
    assert repeated(home) > 0


def test_a_key_in_a_url_is_removed(home: Path) -> None:
    target = UpstreamTarget.of(f"ws://127.0.0.1:1/v1?api-key={quote(MARKED, safe='')}&model=gpt-realtime")
    proxy = ProxyTarget.of("ws://127.0.0.1:1/x?access_token=0123456789abcdef")
    assert scrubber(proxy, target).text(f"{MARKED} 0123456789abcdef gpt-realtime") == "[key] [key] gpt-realtime"
    assert target.name == "ws://127.0.0.1:1"


# -- refused keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "error_text"),
    [
        ("MARKED_ONE", "sk-tooshort", "MARKED_ONE: has fewer than 12 characters"),
        ("MARKED_ONE", "   ", "MARKED_ONE: is not in the environment"),
        ("MARKED_ONE", "sk-with a space-in-it", "MARKED_ONE: holds characters that no header can carry"),
        ("MARKED_ONE", "sk-with-an-ümlaut-in-it", "MARKED_ONE: holds characters that no header can carry"),
        ("sk-given-by-mistake-0123", None, "key_from: is no variable of the environment"),
    ],
)
@pytest.mark.parametrize("verb", [["run", "--live"], ["sweep", "--live"], ["repro"], ["serve", "proxy"]])
def test_an_unusable_key_is_refused_and_not_printed(
    verb: list[str], variable: str, value: str | None, error_text: str, home: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A key that is too short could not be distinguished from ordinary text in a recording."""
    if value is not None:
        monkeypatch.setenv(variable, value)
    assert main([*verb, "--upstream", f"ws://127.0.0.1:{free_port()}", "--key-from", variable]) == 2
    printed = capsys.readouterr()
    assert error_text in printed.err
    assert printed.err.count("\n") == 1
    assert (value or variable).strip() not in printed.err or not (value or variable).strip()
    assert not [*home.iterdir()]


# -- scrubber --------------------------------------------------------------------------------------------------------

KEYS = [
    MARKED,
    "sk-proj-" + "aB3_-" * 30,
    "0123456789ab",
    "/+/+/+/+/+/+/+==",
    '"quoted at both ends"',
    "ends with a backslash\\",
    "%41%42%43%44%45%46",
    "schlüssel-mit-ümlaut",
    "\U0001f511-astral-key",
    "one two  three four",
]


@pytest.mark.parametrize("key", KEYS)
def test_every_spelling_of_a_key_is_removed(key: str) -> None:
    scrub = Scrubber([key])
    for spelt in spellings(key):
        text = f"before {spelt} behind"
        assert leaks(key, [("text", scrub.text(text).encode())]) == []
        assert scrub.text(text).startswith("before "), spelt
        payload: Any = {"type": "error", "error": {"message": text, "list": [{spelt: [text]}]}}
        cleaned = scrub.payload(payload)
        assert leaks(key, [("payload", json.dumps(cleaned).encode())]) == []
        assert isinstance(cleaned, dict)
        assert cleaned["type"] == "error"
        octets = scrub.payload(text.encode())
        assert isinstance(octets, bytes)
        assert leaks(key, [("bytes", octets)]) == []
        frame = scrub.payload(json.dumps({"a": text}))
        assert leaks(key, [("frame", str(frame).encode())]) == []


@given(
    key=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=SHORTEST, max_size=60),
    before=st.text(max_size=8),
    behind=st.text(max_size=8),
    ways=st.lists(st.sampled_from(["json", "slash", "url", "base64"]), max_size=3),
)
def test_any_key_in_any_text_is_removed(key: str, before: str, behind: str, ways: list[str]) -> None:
    """Base64 is applied last. Text that is escaped or encoded after base64, or encoded twice, is not recognised."""
    text = before + key + behind
    for way in sorted(ways, key=["json", "slash", "url", "base64"].index):
        if way == "json":
            text = json.dumps(text)
        elif way == "slash":
            text = json.dumps(text).replace("/", "\\/")
        elif way == "url":
            text = quote(text, safe="")
    if ways == ["base64"]:
        text = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
    cleaned = Scrubber([key]).text(text)
    assert "[key]" in cleaned
    assert leaks(key, [("text", cleaned.encode("utf-8", "surrogatepass"))]) == []


def test_a_payload_without_a_key_is_returned_unchanged() -> None:
    scrub = Scrubber([MARKED, "sk-proj-0123456789"])
    for payload in (
        {"type": "error", "error": {"message": 'sk-proj-… is short; 100 % of \\"it\\"', "n": [1, 2.5, None, True]}},
        "text with \\ and %41",
        bytes(range(256)),
        None,
        {},
    ):
        assert scrub.payload(payload) is payload
    nothing = Scrubber([])
    assert nothing.text(MARKED) == MARKED
    assert nothing.payload({"a": MARKED}) == {"a": MARKED}


def test_values_too_short_to_distinguish_from_words_are_kept() -> None:
    """This applies to variables that are only named like a key. A short key that voicerace would send is refused."""
    assert Scrubber(["response"]).text("response.done") == "response.done"
    assert Scrubber(["a" * SHORTEST]).text("a" * SHORTEST) == "[key]"


def test_a_long_enough_piece_of_a_key_is_hidden() -> None:
    letters = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=80))
    scrub = Scrubber([letters])
    for start in range(len(letters)):
        for end in range(start + 1, len(letters) + 1):
            hidden = scrub.text(f"<{letters[start:end]}>") == "<[key]>"
            assert hidden == (end - start >= PIECE), (start, end)
    halves = {"parts": [letters[:40], letters[40:]], "again": letters[:20] + "…" + letters[-20:]}
    assert scrub.payload(halves) == {"parts": ["[key]", "[key]"], "again": "[key]…[key]"}


def test_the_longer_of_two_keys_is_replaced_as_one() -> None:
    assert Scrubber(["0123456789ab", "0123456789abcdef"]).text("0123456789abcdef 0123456789ab") == "[key] [key]"


def test_a_deeply_nested_message_is_scrubbed() -> None:
    deep: Any = MARKED
    for _ in range(400):
        deep = {"a": [deep]}
    cleaned = Scrubber([MARKED]).payload(deep)
    assert leaks(MARKED, [("deep", json.dumps(cleaned).encode())]) == []


def test_json_stays_valid_json() -> None:
    scrub = Scrubber(["123456789012", 'back\\slash"quote\\'])
    assert scrub.payload({"n": 123456789012, "x": 1234567890123, "y": 12}) == {"n": "[key]", "x": "[key]3", "y": 12}
    spoken = {"say": 'back\\slash"quote\\"\\n', "arguments": json.dumps({"auth": ['back\\slash"quote\\', "\n"]})}
    cleaned = scrub.payload(spoken)
    assert cleaned == {"say": '[key]"\\n', "arguments": '{"auth":["[key]","\\n"]}'}
    assert json.loads(scrub.text(json.dumps(spoken))) == cleaned


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("OPENAI_API_KEY", True), ("OPENAI_APIKEY", True), ("API_KEY", True), ("key", True), ("api-key", True),
        ("AWS_SECRET_ACCESS_KEY", True), ("GITHUB_TOKEN", True), ("access_token", True), ("DB_PASSWORD", True),
        ("OPENAI_API_KEY_2", True), ("CLIENT_SECRET", True), ("DEEPGRAM_KEY", True),
        ("MONKEY", False), ("KEYBOARD", False), ("TOKENIZERS_PARALLELISM", False), ("model", False), ("PATH", False),
    ],
)  # fmt: skip
def test_names_of_keys_are_recognised(name: str, is_one: bool) -> None:
    assert is_named_like_a_key(name) == is_one


def test_the_environment_and_further_names_and_values_are_scrubbed() -> None:
    environment = {
        "MY_API_KEY": " 0123456789abcdef ",
        "PLAIN": "ordinary words here",
        "OTHER": "fedcba9876543210",
        "SHORT_TOKEN": "x",
    }
    scrub = Scrubber.of_environment(environment, names=["OTHER", "ABSENT"], values=["of-a-url-0123"])
    text = "0123456789abcdef, ordinary words here, fedcba9876543210, of-a-url-0123, x"
    assert scrub.text(text) == "[key], ordinary words here, [key], [key], x"


def test_scrubbed_recordings_can_be_read(home: Path) -> None:
    """The readers accept a recording from which a key was removed."""
    with Leaky(session(), "say") as leaky:
        assert main(["repro", "--upstream", leaky.url, "--key-from", "MARKED_ONE", *QUICK, "--out", "r.jsonl"]) == 0
    [recording] = read_recordings(home / "r.jsonl")
    assert recording.complete
    assert "error" in [event.type for event in recording.events]
