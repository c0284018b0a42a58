"""Plays every session of a grid on real sockets with each target, in one or several processes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from voicerace.engine.live.background import Share, play_shares
from voicerace.engine.live.forwarder_program import ForwarderTarget
from voicerace.engine.live.play import Live, upstream_of
from voicerace.engine.live.targets import ProxyTarget, UpstreamTarget
from voicerace.engine.session import SessionConfig
from voicerace.errors import InputError
from voicerace.experiments.sweep.sanity_check import canary
from voicerace.experiments.sweep.spec import SweepSpec, sessions
from voicerace.model.catalog.releases import PROXIES
from voicerace.trace.recording import Recording

__all__ = ["LiveSweep"]


@dataclass(frozen=True)
class LiveSweep:
    """Targets of a live sweep.

    Attributes:
        proxies: one or more proxies, in the order of the table.
        upstream: upstream of all proxies. None selects the mock or, for a running proxy, the proxy's own upstream (not
            observed).
        at_once: number of simultaneous sessions per proxy. Sessions can delay each other. Achieved times include these delays.
        jobs: number of simultaneous proxies. The proxy of a checkout has its own process. If there are fewer targets than jobs,
            each target has several proxies. The rows do not depend on it.
        max_sessions: maximum number of sessions, required for an API that costs money.
        listen, silence_s: see `voicerace.engine.live.play.Live`.
        canary: whether to play a session with a known outcome with each target before the first trial
            (`voicerace.experiments.sweep.sanity_check`).
        forwarder: running forwarder in front of each proxy, or None. The spec has its model.
    """

    proxies: Sequence[ProxyTarget]
    upstream: UpstreamTarget | None = None
    at_once: int = 1
    max_sessions: int | None = None
    listen: tuple[str, int] | None = None
    silence_s: float | None = None
    canary: bool = True
    jobs: int = 1
    forwarder: ForwarderTarget | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InputError("jobs", f"{self.jobs} in a live sweep", "1 or more proxies side by side")
        if self.jobs > 1 and (self.listen is not None or any(proxy.kind == "url" for proxy in self.proxies)):
            raise InputError(
                "jobs", f"{self.jobs} with a proxy at an address", "--at-once: a running proxy cannot be started a second time"
            )

    @property
    def computable(self) -> bool:
        """Whether the models can play the same grid, that is, all proxies are known programs and the upstream is the mock."""
        mock = self.upstream is None or self.upstream.kind == "mock"
        return mock and all(proxy.release is not None and proxy.kind != "url" for proxy in self.proxies)

    @property
    def mocked(self) -> bool:
        """Whether a target uses the mock, so that the times of the API are parameters."""
        return any(upstream_of(proxy, self.upstream).kind == "mock" for proxy in self.proxies)

    def to_json(self) -> dict[str, Any]:
        """Return the targets for `run.json`: programs with their hashes, and addresses without a path."""
        names = [upstream_of(proxy, self.upstream).name for proxy in self.proxies]
        return {
            "proxy": [each.to_json() for each in self.proxies],
            "upstream": [{"name": name} for name in dict.fromkeys(names)],
            "at_once": self.at_once,
            "side_by_side": self.jobs,
            **({} if self.forwarder is None else {"forwarder": self.forwarder.to_json()}),
        }

    def planned(self, spec: SweepSpec) -> list[tuple[int, SessionConfig]]:
        """Return (number in its cell, session) of every trial, target by target."""
        # A proxy of an unknown release is played with the newest component, unless the spec sets a component.
        newest = next(reversed(PROXIES.values()))
        releases = [(proxy.release or newest).tag for proxy in self.proxies]
        return [each for tag in releases for each in sessions(spec.model_copy(update={"releases": (tag,)}), repeat=True)]

    def check(self, left: int) -> None:
        """Check the limit of sessions before `left` sessions are played.

        Raises:
            InputError: the upstream costs money and there is no limit, or `left` sessions exceed the limit.
        """
        if self.upstream is not None and self.upstream.costs and self.max_sessions is None:
            raise InputError("max_sessions", "is missing", f"add a limit; {left} sessions connect to {self.upstream.name}")
        if self.max_sessions is not None and left > self.max_sessions:
            raise InputError("max_sessions", str(self.max_sessions), f"at least {left}, or a smaller grid")

    def run_sanity_check(self) -> None:
        """Play the sanity check with every target, using the mock if the upstream costs money.

        Raises:
            InputError: the check failed. No trial is played.
        """
        for proxy in self.proxies if self.canary else ():
            if proxy.kind == "url" and self.listen is None:
                continue  # The proxy's upstream is not observed, so the outcome is unknown.
            mock = self.upstream is None or self.upstream.kind == "mock" or self.upstream.costs
            upstream = UpstreamTarget("mock") if mock and self.listen is not None else None if mock else self.upstream
            release = (proxy.release or next(reversed(PROXIES.values()))).tag

            def engine(proxy: ProxyTarget = proxy, upstream: UpstreamTarget | None = upstream) -> Live:
                return Live(proxy, upstream, listen=self.listen, silence_s=self.silence_s)

            found = canary(engine, release, mocked=mock, known=proxy.release is not None)
            if found is not None:
                allowed = "a set-up in which the session has its known outcome, or --no-canary"
                raise InputError("canary", f"{proxy.name}: {found}", allowed)

    def played(
        self, left: Sequence[tuple[int, tuple[int, SessionConfig]]], planned: int, folder: Path
    ) -> Generator[tuple[int, Recording, str | None]]:
        """Play the trials `left` of all `planned` trials. Yield (number, recording, None) when a session ends.

        The output of a checkout's proxy is written to ``proxy-NAME.log`` in the folder, the output of a second process to
        ``proxy-NAME-2.log``.
        """
        size = planned // len(self.proxies)
        per_proxy = -(-self.jobs // len(self.proxies))
        shares: list[Share[int]] = []
        for position, proxy in enumerate(self.proxies):
            own = [(number, session) for number, (_, session) in left if number // size == position]
            for first in range(min(per_proxy, len(own))):
                name = f"proxy-{proxy.name.partition(':')[2]}{f'-{first + 1}' if first else ''}.log"
                log = folder / name if proxy.kind == "backend" else None
                shares.append((partial(self._engine, proxy, log), own[first::per_proxy]))
        for number, recording in play_shares(shares, self.jobs, self.at_once):
            yield number, recording, None

    def _engine(self, proxy: ProxyTarget, log: Path | None) -> Live:
        return Live(proxy, self.upstream, forwarder=self.forwarder, log=log, listen=self.listen, silence_s=self.silence_s)
