"""Test the origin and host rules: every kind of server accepts only local programs and allowed pages, also in a browser."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright
from support.relayed import echo, target, url_of
from websockets.asyncio.client import connect
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus

from tests.support.rogue import CLEAN, session
from voicerace.cli import main
from voicerace.engine.live.connecting import QUIET
from voicerace.engine.live.origins import Origins
from voicerace.engine.live.play import Live
from voicerace.engine.live.server import SessionServer
from voicerace.engine.live.serving import Server, upstream_handlers
from voicerace.engine.live.tap import Tap, TapSpec
from voicerace.engine.live.targets import ProxyTarget, UpstreamTarget
from voicerace.errors import InputError
from voicerace.scrubber import Scrubber

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEY = "sk-not-a-key-0123456789"
ALLOWED = "http://localhost:3000"


def accepted(rules: Origins, origin: str | None, host: str, listen: str = "127.0.0.1") -> bool:
    named = [("Host", host)] + ([("Origin", origin)] if origin is not None else [])
    return rules.refusal(Headers(named), listen) is None


# -- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        None, "http://localhost:3000", "https://LOCALHOST", "http://localhost.:3000", "http://127.0.0.1", "http://127.9.9.9:1",
        "http://[::1]:3000",
    ],
)  # fmt: skip
def test_local_programs_and_local_pages_are_accepted(origin: str | None) -> None:
    assert accepted(Origins(), origin, "127.0.0.1:8181")


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.com", "http://localhost.evil.com", "http://127.0.0.1.nip.io", "http://evil.com:8181", "null", "file://",
        "",
        "http://localhost@evil.com", "http://evil.com\\@127.0.0.1", "http://evil.com#@127.0.0.1", "chrome-extension://abc",
        "http://[::1].evil.com", "http://localhost/", "http://localhost evil.com", "capacitor://localhost", "http://192.168.1.5",
        "http://127.0.0.1..", "http://0.0.0.0:3000",
    ],
)  # fmt: skip
def test_foreign_pages_and_malformed_origins_are_refused(origin: str) -> None:
    assert not accepted(Origins(), origin, "127.0.0.1:8181")


@pytest.mark.parametrize(
    ("host", "listen", "ok"),
    [
        ("127.0.0.1:8181", "127.0.0.1", True), ("LocalHost.:8181", "127.0.0.1", True), ("[::1]:8181", "::1", True),
        ("[::1]", "127.0.0.1", True), ("localhost.evil.com", "127.0.0.1", False), ("127.0.0.1.nip.io", "127.0.0.1", False),
        ("evil.com:8181", "127.0.0.1", False), ("", "127.0.0.1", False), ("192.168.1.5", "127.0.0.1", False),
        ("192.168.1.5:8181", "192.168.1.5", True), ("192.168.1.6", "192.168.1.5", False), ("box.lan", "Box.lan", True),
        ("192.168.1.5", "0.0.0.0", True), ("[fe80::1]:1", "::", True), ("evil.com", "0.0.0.0", False),
        ("evil.com", "::", False),
        ("localhost@evil.com", "127.0.0.1", False), ("2130706433", "127.0.0.1", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("origin", [None, "http://localhost:3000"])
def test_a_host_is_local_or_the_listening_address(host: str, listen: str, ok: bool, origin: str | None) -> None:
    assert accepted(Origins(), origin, host, listen) is ok


def test_a_page_with_a_rebound_host_name_is_refused() -> None:
    """The page's origin equals the request's host, so only the host rule detects the rebinding."""
    assert not accepted(Origins(), "http://evil.com:8181", "evil.com:8181")
    assert not accepted(Origins(), "http://evil.com:8181", "evil.com:8181", "0.0.0.0")
    assert accepted(Origins(), "http://192.168.1.5:3000", "192.168.1.5:8181", "192.168.1.5")


@pytest.mark.parametrize(
    ("word", "origin", "ok"),
    [
        ("http://app.example:3000", "http://app.example:3000", True),
        ("HTTP://App.Example:80/", "http://app.example", True),
        ("https://app.example", "https://app.example:443", True),
        ("http://app.example", "https://app.example", False),
        ("http://app.example", "http://app.example:3000", False),
        ("http://app.example", "http://app.example.evil.com", False),
        ("null", "null", True),
        ("file://", "file://", True),
        ("capacitor://localhost", "capacitor://localhost", True),
    ],
)
def test_an_allowed_origin_is_matched_exactly(word: str, origin: str, ok: bool) -> None:
    for holds_key in (False, True):
        assert accepted(Origins.of([word], holds_key=holds_key), origin, "127.0.0.1") is ok


def test_the_host_of_an_allowed_origin_is_accepted() -> None:
    assert accepted(Origins.of(["http://host.docker.internal"]), None, "host.docker.internal:8181")


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:8182", "http://192.168.1.5"])
def test_a_server_with_a_key_accepts_only_allowed_pages(origin: str) -> None:
    assert not accepted(Origins(holds_key=True), origin, "192.168.1.5", "192.168.1.5")
    assert accepted(Origins.of([origin], holds_key=True), origin, "192.168.1.5", "192.168.1.5")
    assert accepted(Origins(holds_key=True), None, "192.168.1.5", "192.168.1.5")


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "localhost"), ("Host", "localhost")], [], [("Origin", ALLOWED)],
        [("Host", "localhost"), ("Origin", ALLOWED), ("origin", ALLOWED)],
        [("Host", "localhost"), ("Origin", "http://evil.com"), ("Origin", ALLOWED)],
    ],
)  # fmt: skip
def test_a_missing_or_repeated_header_is_refused(headers: list[tuple[str, str]]) -> None:
    found = Origins.of([ALLOWED]).refusal(Headers(headers), "127.0.0.1")
    assert found is not None
    assert found[0] == 400


@pytest.mark.parametrize("word", ["*", "localhost", "http://", "http://a/b", "http://a:b", "http://a b", "", "http://u@a"])
@pytest.mark.parametrize("verb", [["serve", "upstream"], ["capture", "--host", "0=ws://127.0.0.1:1"]])
def test_a_malformed_allow_origin_gives_a_one_line_error(
    verb: list[str], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["--", "true"] if verb[0] == "capture" else []
    assert main([*verb, "--allow-origin", word, "--out", str(out), *command]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"voicerace: error: allow_origin: {word!r}")
    assert error.count("\n") == 1
    assert not out.exists()
    with pytest.raises(InputError):
        Origins.of([word])


# -- every kind of server --------------------------------------------------------------------------------------------


async def status_of(url: str, **given: Any) -> int:
    """Return 101 if a WebSocket opens, otherwise the HTTP status of the response."""
    try:
        async with connect(url, proxy=None, logger=QUIET, **given):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def raw(listener: SessionServer, host: str, more: str = "") -> str:
    """Return the status line of the response to a handshake with the given Host header."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n{more}{handshake}{key}\r\n".encode())
    line = await reader.readline()
    writer.close()
    return line.decode()


def test_a_foreign_host_name_is_refused_on_the_wire(tmp_path: Path) -> None:
    async def main() -> None:
        async with SessionServer() as listener:
            server = Server(listener, upstream_handlers(session()), tmp_path, lambda *_: None)
            running = asyncio.ensure_future(server.run())
            assert " 403 " in await raw(listener, "evil.com")
            assert " 403 " in await raw(listener, "evil.com", "Origin: http://evil.com\r\n")
            assert " 400 " in await raw(listener, "127.0.0.1", "Host: evil.com\r\n")
            assert list(tmp_path.iterdir()) == []
            assert " 101 " in await raw(listener, "127.0.0.1")
            server.stop.set()
            await running

    CLEAN(main())


def test_a_refused_page_makes_no_session_and_each_reason_is_reported_once(tmp_path: Path) -> None:
    async def main() -> list[str]:
        reasons: list[str] = []
        async with SessionServer(refused=reasons.append) as listener:
            server = Server(listener, upstream_handlers(session()), tmp_path, lambda *_: None)
            running = asyncio.ensure_future(server.run())
            for _ in range(2):
                assert await status_of(listener.address, origin="http://evil.com") == 403
            for number in range(50):
                assert await status_of(listener.address, origin=f"http://evil{number}.com") == 403
            assert list(tmp_path.iterdir()) == []
            assert await status_of(listener.address, origin=ALLOWED) == 101
            server.stop.set()
            await running
        return reasons

    reasons = CLEAN(main())
    assert reasons[0] == "Origin 'http://evil.com': is of another machine; --allow-origin ORIGIN allows it"
    assert len(reasons) == 20


def test_a_capture_relay_refuses_a_page_before_it_connects_to_its_target(tmp_path: Path) -> None:
    async def main() -> None:
        rules, came = Origins.of(["http://app.example"]), []

        async def handler(connection: Any) -> None:
            came.append(connection.request.headers.get("Origin"))

        async with target(handler) as server:
            spec = TapSpec("host", "127.0.0.1", 0, url_of(server))
            async with Tap(spec, tmp_path, {}, iter(range(9)).__next__, 0, Scrubber(()), rules) as tap:
                assert await status_of(tap.url, origin="http://evil.com") == 403
                assert came == []
                for origin in (ALLOWED, "http://app.example"):
                    assert await status_of(tap.url, origin=origin) == 101
                assert came == [ALLOWED, "http://app.example"]

    asyncio.run(main())


@pytest.mark.parametrize("with_key", [False, True])
def test_a_proxy_with_a_key_refuses_local_pages(with_key: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test covers the relay to an API whose key voicerace adds, and `holds_key`, which `serve proxy` reads."""
    monkeypatch.setenv("SOME_KEY", KEY)

    async def main() -> None:
        async with target(echo) as server:
            upstream = UpstreamTarget.of(url_of(server), key_from="SOME_KEY" if with_key else None)
            assert upstream.holds_key is with_key
            live = Live(ProxyTarget.of("ws://127.0.0.1:1"), upstream, listen=("127.0.0.1", 0))
            async with live:
                # This server expects no connection, so it answers an accepted one with 404.
                expected = 403 if with_key else 404
                assert await status_of(live.upstream_server.address, origin=ALLOWED) == expected
                # A proxy can use another name of this machine, for example inside a container.
                assert " 404 " in await raw(live.upstream_server, "host.docker.internal:9000")

    asyncio.run(main())


def test_a_key_in_the_query_of_a_url_counts_as_a_key() -> None:
    assert UpstreamTarget.of("wss://api.example.com/v1?api-key=0123456789abcdef").holds_key
    assert not UpstreamTarget.of("wss://api.example.com/v1?model=m").holds_key


# -- in a browser ----------------------------------------------------------------------------------------------------


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>page</title>")

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def page_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


OPENS = """url => new Promise(done => {
    const socket = new WebSocket(url);
    socket.onmessage = event => { done('message ' + JSON.parse(event.data).type); socket.close(); };
    socket.onerror = () => done('refused');
})"""


@pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("VOICERACE_BROWSER") != "required", reason="no Chromium on this machine"
)
def test_a_page_in_a_browser_is_refused_unless_its_origin_is_allowed(page_port: int, tmp_path: Path) -> None:
    """Pages of another site (`evil.test`) and of `localhost` connect to servers with a key, without one, and with
    --allow-origin.
    """
    evil, local = f"http://evil.test:{page_port}", f"http://localhost:{page_port}"
    rules = {
        "plain": Origins(),
        "key": Origins(holds_key=True),
        "allowed": Origins.of([evil, local], holds_key=True),
    }

    async def tried(browser: Any, page_url: str, name: str, host: str) -> str:
        folder = tmp_path / f"{name}-{abs(hash((page_url, host)))}"
        folder.mkdir()
        async with SessionServer(origins=rules[name]) as listener:
            server = Server(listener, upstream_handlers(session()), folder, lambda *_: None)
            running = asyncio.ensure_future(server.run())
            page = await browser.new_page()
            await page.goto(page_url)
            result: str = await page.evaluate(OPENS, f"ws://{host}:{listener.port}/")
            await page.close()
            server.stop.set()
            await running
            assert (result == "refused") == (list(folder.iterdir()) == [])
            return result

    async def main() -> dict[tuple[str, str, str], str]:
        async with async_playwright() as playwright:
            resolve = "--host-resolver-rules=MAP evil.test 127.0.0.1"
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", resolve])
            found = {
                (page_url, name, host): await tried(browser, page_url, name, host)
                for page_url in (evil, local)
                for name in rules
                for host in ("127.0.0.1", "evil.test")
                if not (page_url == local and host == "evil.test")
            }
            await browser.close()
            return found

    opened = "message session.created"
    assert asyncio.run(main()) == {
        (evil, "plain", "127.0.0.1"): "refused",
        (evil, "plain", "evil.test"): "refused",  # the name evil.test is rebound to this machine
        (evil, "key", "127.0.0.1"): "refused",
        (evil, "key", "evil.test"): "refused",
        (evil, "allowed", "127.0.0.1"): opened,
        (evil, "allowed", "evil.test"): opened,
        (local, "plain", "127.0.0.1"): opened,
        (local, "key", "127.0.0.1"): "refused",
        (local, "allowed", "127.0.0.1"): opened,
    }
