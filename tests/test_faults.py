"""Test faults of connections: the session ends in time, with a reason, and leaves no task."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.rogue import (
    CLEAN,
    Act,
    abort,
    api,
    close,
    judged,
    mute,
    play_live,
    proxy_fails,
    raw,
    refusing,
    rogue,
    say,
    session,
    still,
    unreachable,
)
from voicerace.analysis.verdict import Verdict
from voicerace.trace.recording import Recording

OVERSIZED = b"\x81\x7f" + (17 * 2**20).to_bytes(8, "big")  # the header alone causes the refusal
NO_UTF8 = b"\x81\x02\xff\xfe"
NO_FRAME = b"\xf1\x00"


# -- connections that do not open ------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["upstream", "proxy"])
@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (unreachable, "not reachable: Connection refused"),
        (lambda: refusing(401), "the handshake was refused with HTTP 401"),
        (lambda: refusing(403), "the handshake was refused with HTTP 403"),
        (lambda: refusing(429), "the handshake was refused with HTTP 429"),
        (lambda: refusing(500), "the handshake was refused with HTTP 500"),
        (lambda: refusing(499), "the handshake was refused with HTTP 499"),
        (lambda: refusing(302), "the handshake was refused with HTTP 302"),
    ],
)
def test_a_refused_connection_is_a_fault(side: str, server: Any, reason: str) -> None:
    async def refused() -> Recording:
        async with server() as url:
            return await (play_live(upstream=url) if side == "upstream" else play_live(proxy=url))

    found = judged(CLEAN(refused()))
    assert found.outcome == "unknown"
    assert found.fault == f"{side}: {reason}"
    assert found.why == f"no function call: {side}: {reason}"


@pytest.mark.parametrize("side", ["upstream", "proxy"])
@pytest.mark.parametrize("server", [mute, None])
def test_a_silent_server_is_a_fault(side: str, server: Any) -> None:
    """With `server` None the server also answers the handshake. Otherwise it only accepts the TCP connection."""

    async def silent() -> Recording:
        async with contextlib.AsyncExitStack() as stack:
            if server is None:
                good = await stack.enter_async_context(api(session()))
                url = await stack.enter_async_context(rogue(good, "session.created", still))
            else:
                url = await stack.enter_async_context(server())
            began = time.monotonic()
            target: dict[str, Any] = {"upstream": url} if side == "upstream" else {"proxy": url}
            recording = await play_live(**target, silence_s=0.3, within_s=1.0)
            assert time.monotonic() - began < 1.0, "the session does not wait for the connection's timeout"
        return recording

    assert judged(CLEAN(silent())).fault == "silence: nothing passed for 0.3 s"


def test_a_proxy_without_an_upstream_connection_is_a_fault() -> None:
    async def alone() -> Recording:
        async with api(session()) as url:  # a server that opens no connection to an upstream
            return await play_live(proxy=url, upstream="mock", listen=("127.0.0.1", 0), silence_s=0.3, within_s=1.0)

    assert str(judged(CLEAN(alone())).fault).endswith("and the proxy opened no connection to its upstream")


def test_a_redirect_is_not_followed() -> None:
    """A followed redirect could send the key to another host."""
    requests = []

    async def redirected() -> Recording:
        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 307 See there\r\nLocation: ws://127.0.0.1:%d/other\r\n\r\n" % port)
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await play_live(upstream=f"ws://127.0.0.1:{port}/first")

    assert "HTTP 307" in str(judged(CLEAN(redirected())).fault)
    assert len(requests) == 1


# -- TLS -------------------------------------------------------------------------------------------------------------


def tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("trusted", "name", "reason"),
    [(True, "127.0.0.1", None), (False, "127.0.0.1", "unable to get local issuer"), (True, "api.example.com", "mismatch")],
)
def test_a_certificate_must_be_valid(
    trusted: bool, name: str, reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, other = trustme.CA(), trustme.CA()
    (authority if trusted else other).cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    async def secured() -> Recording:
        async with api(session(), tls=tls(authority, name)) as url:
            return await play_live(upstream=url)

    found = judged(CLEAN(secured()))
    assert found.outcome == ("rejected" if reason is None else "unknown")
    if reason is not None:
        assert str(found.fault).startswith("upstream: TLS failed: ")
        assert reason in str(found.fault)


@pytest.mark.parametrize("side", ["upstream", "proxy"])
def test_tls_to_a_server_without_tls_is_a_fault(side: str) -> None:
    async def plain() -> Recording:
        async with api(session()) as url:
            secured = url.replace("ws:", "wss:")
            return await (play_live(upstream=secured) if side == "upstream" else play_live(proxy=secured))

    assert str(judged(CLEAN(plain())).fault).startswith(f"{side}: TLS failed: ")


# -- an upstream that fails in a session -----------------------------------------------------------------------------

CALL = "response.function_call_arguments.done"
DONE = "response.done"
DELTA = "response.output_text.delta"
BEFORE = ("session.updated", 1, 10)
AFTER_CALL = (DONE, 1, 140)
AFTER_REFUSAL = (DONE, 1, 10)
IN_REPLY = (DONE, 2, 140)


def upstream_fails(act: Act, kind: str, nth: int, tool_ms: int, **options: Any) -> Verdict:
    """Return the verdict on a session of 0.9.1 whose upstream performs `act` in place of message `nth` of type `kind`."""

    async def failing() -> Recording:
        played = session(tool_ms=tool_ms)
        async with api(played) as good, rogue(good, kind, act, nth) as url:
            return await play_live(upstream=url, played=played, **options)

    return judged(CLEAN(failing()))


DROPPED = "upstream dropped the connection without closing it (1006)"


@pytest.mark.parametrize(
    ("act", "fault", "where", "outcome", "why"),
    [
        (abort, DROPPED, BEFORE, "unknown", "no function call"),
        (abort, DROPPED, (CALL, 1, 10), "unknown", "no function call"),
        (abort, DROPPED, AFTER_CALL, "unknown", "the recording stops before the app's result"),
        (abort, DROPPED, ("error", 1, 10), "unknown", "the recording stops before the turn is over"),
        (abort, DROPPED, AFTER_REFUSAL, "rejected", "the create was refused, the host was told"),
        (abort, DROPPED, IN_REPLY, "unknown", "the recording stops inside the reply"),
        *(
            (raw(octets), fault, where, "unknown", why)
            for octets, fault in (
                (OVERSIZED, "upstream sent a frame of more than 16 MiB"),
                (NO_UTF8, "upstream broke the WebSocket protocol: invalid start byte at position 0"),
                (NO_FRAME, "upstream broke the WebSocket protocol: reserved bits must be 0"),
            )
            for where, why in ((BEFORE, "no function call"), (AFTER_CALL, "the recording stops before the app's result"))
        ),
    ],
)
def test_a_lost_upstream_has_a_fault_and_an_outcome(
    act: Act, fault: str, where: tuple[str, int, int], outcome: str, why: str
) -> None:
    found = upstream_fails(act, *where)
    assert (found.outcome, found.fault) == (outcome, fault)
    assert found.why.startswith(why)
    assert (fault in found.why) == (outcome == "unknown")


@pytest.mark.parametrize(
    ("code", "where", "outcome"),
    [
        *((code, BEFORE, "unknown") for code in (1011, 1001, 1000, None)),
        *((code, AFTER_CALL, "abandoned") for code in (1011, 1001, 1000, None)),
        (1011, AFTER_REFUSAL, "rejected"),
        (1011, IN_REPLY, "interrupted"),
    ],
)
def test_an_upstream_that_closes_has_an_outcome(code: int | None, where: tuple[str, int, int], outcome: str) -> None:
    found = upstream_fails(close(code, "no more" if code else ""), *where)
    assert (found.outcome, found.fault) == (outcome, None)
    if outcome == "unknown":
        assert found.why == f"no function call: the upstream closed the connection ({'no code' if code is None else code})"


@pytest.mark.parametrize(
    "frame",
    ["no json", '{"type":"x","a":' + '{"a":' * 900 + "1" + "}" * 901, b"\x00\xff\xfe", ""],
)
def test_unreadable_frames_are_forwarded(frame: str | bytes) -> None:
    found = upstream_fails(say(frame), DELTA, 1, 140)
    assert (found.outcome, found.fault) == ("answered", None)


@pytest.mark.parametrize("frame", ["no json", b"\x00\xff"])
def test_an_unreadable_answer_to_a_request_is_unknown(frame: str | bytes) -> None:
    found = upstream_fails(say(frame), "error", 1, 10)
    assert (found.outcome, found.fault) == ("unknown", None)
    assert found.why == "a frame that cannot be read came while a create waited for its answer"


@pytest.mark.parametrize(
    ("where", "silence_s", "outcome", "wedged"),
    [(BEFORE, 0.3, "unknown", None), (DONE, 1.0, "failed", True), (IN_REPLY, 1.0, "interrupted", True)],
)
def test_an_upstream_that_becomes_silent_has_an_outcome(
    where: Any, silence_s: float, outcome: str, wedged: bool | None
) -> None:
    """Before the first user input, only the silence limit ends the session. Later the user sends more text and leaves."""
    where = AFTER_CALL if where == DONE else where
    found = upstream_fails(still, *where, silence_s=silence_s)
    assert (found.outcome, found.wedged) == (outcome, wedged)
    assert found.fault == ("silence: nothing passed for 0.3 s" if where == BEFORE else None)


# -- a proxy that fails in a session ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "kind", "outcome", "why"),
    [
        (abort, "SettingsApplied", "unknown", "no function call: proxy dropped the connection without closing it (1006)"),
        (raw(OVERSIZED), "SettingsApplied", "unknown", "no function call: proxy sent a frame of more than 16 MiB"),
        (close(1011), "SettingsApplied", "unknown", "no function call: the proxy closed the connection (1011)"),
        (close(1000), "FunctionCallRequest", "abandoned", "a connection closed after the call"),
        (abort, "Error", "unknown", "the recording stops at the refusal, before the host could be told: proxy dropped"),
        (say("garbage"), "Error", "lost", "the create was refused, the host was told nothing"),
        (say("garbage"), "FunctionCallRequest", "no_result", "the app gave no result"),
    ],
)
def test_a_failing_proxy_has_an_outcome(act: Act, kind: str, outcome: str, why: str) -> None:
    found = proxy_fails(act, kind)
    assert found.outcome == outcome
    assert found.why.startswith(why)
