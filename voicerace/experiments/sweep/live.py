"""The live part of a sweep: every session of the grid against each target, by one proxy or by several side by side."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from voicerace.engine.live.background import Share, play_shares
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
    """What a live sweep meets.

    Attributes:
        proxies: one or more, in order.
        upstream: the same for all; None for a mock (for a running proxy: its own, unseen).
        at_once: sessions side by side at each proxy; sessions of one process delay each other, which shows in their achieved
            times.
        jobs: proxies side by side, each a process of its own where it is a checkout's; more than there are targets, and
            each target gets several. The rows are the same, in the same order.
        max_sessions: an API that somebody pays for is met at most this often; required there.
        listen, silence_s: see `voicerace.engine.live.play.Live`.
        canary: before the first trial, play a session whose end is known against each target
        (`voicerace.experiments.sweep.sanity_check`).
    """

    proxies: Sequence[ProxyTarget]
    upstream: UpstreamTarget | None = None
    at_once: int = 1
    max_sessions: int | None = None
    listen: tuple[str, int] | None = None
    silence_s: float | None = None
    canary: bool = True
    jobs: int = 1

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InputError("jobs", f"{self.jobs} in a live sweep", "1 or more proxies side by side")
        if self.jobs > 1 and (self.listen is not None or any(proxy.kind == "url" for proxy in self.proxies)):
            raise InputError("jobs", f"{self.jobs} with a proxy at an address", "--at-once: nobody here starts another of it")

    @property
    def computable(self) -> bool:
        """Whether the models can play the same grid: a known program in front of the mock."""
        mock = self.upstream is None or self.upstream.kind == "mock"
        return mock and all(proxy.release is not None and proxy.kind != "url" for proxy in self.proxies)

    @property
    def mocked(self) -> bool:
        """Whether a mock decides the times of the API somewhere, so that they are settings."""
        return any(upstream_of(proxy, self.upstream).kind == "mock" for proxy in self.proxies)

    def to_json(self) -> dict[str, Any]:
        """The targets as `run.json` has them: programs by hash, addresses without a path."""
        names = [upstream_of(proxy, self.upstream).name for proxy in self.proxies]
        return {
            "proxy": [each.to_json() for each in self.proxies],
            "upstream": [{"name": name} for name in dict.fromkeys(names)],
            "at_once": self.at_once,
            "side_by_side": self.jobs,
        }

    def planned(self, spec: SweepSpec) -> list[tuple[int, SessionConfig]]:
        """Every trial, (number in its cell, session), target by target."""
        # A program that no row describes has a component too: the newest, unless the sweep names one.
        newest = next(reversed(PROXIES.values()))
        releases = [(proxy.release or newest).tag for proxy in self.proxies]
        return [each for tag in releases for each in sessions(spec.model_copy(update={"releases": (tag,)}), repeat=True)]

    def check(self, left: int) -> None:
        """Refuse to spend what nobody allowed.

        Raises:
            InputError: the upstream costs and there is no limit, or `left` sessions are more than it.
        """
        if self.upstream is not None and self.upstream.costs and self.max_sessions is None:
            raise InputError("max_sessions", "is missing", f"a limit; {left} sessions would meet {self.upstream.name}")
        if self.max_sessions is not None and left > self.max_sessions:
            raise InputError("max_sessions", str(self.max_sessions), f"at least {left}, or a smaller grid")

    def run_sanity_check(self) -> None:
        """Play the canary against every target; it meets our mock where the upstream costs.

        Raises:
            InputError: it came out as it cannot; nothing of the sweep was played.
        """
        for proxy in self.proxies if self.canary else ():
            if proxy.kind == "url" and self.listen is None:
                continue  # it talks to an upstream that nobody sees: no end of its sessions is known
            mock = self.upstream is None or self.upstream.kind == "mock" or self.upstream.costs
            upstream = UpstreamTarget("mock") if mock and self.listen is not None else None if mock else self.upstream
            release = (proxy.release or next(reversed(PROXIES.values()))).tag

            def engine(proxy: ProxyTarget = proxy, upstream: UpstreamTarget | None = upstream) -> Live:
                return Live(proxy, upstream, listen=self.listen, silence_s=self.silence_s)

            found = canary(engine, release, ours=mock, known=proxy.release is not None)
            if found is not None:
                allowed = "a set-up in which a known session ends as it must; --no-canary goes on all the same"
                raise InputError("canary", f"{proxy.name}: {found}", allowed)

    def played(
        self, left: Sequence[tuple[int, tuple[int, SessionConfig]]], planned: int, folder: Path
    ) -> Generator[tuple[int, Recording, str | None]]:
        """Play what is left of a plan of `planned` trials; yields (number, recording, None) as sessions end.

        The output of a checkout's proxy goes to ``proxy-NAME.log`` in the folder, of a second one of it to
        ``proxy-NAME-2.log``.
        """
        size = planned // len(self.proxies)
        each_has = -(-self.jobs // len(self.proxies))
        shares: list[Share[int]] = []
        for position, proxy in enumerate(self.proxies):
            own = [(number, session) for number, (_, session) in left if number // size == position]
            for first in range(min(each_has, len(own))):
                name = f"proxy-{proxy.name.partition(':')[2]}{f'-{first + 1}' if first else ''}.log"
                log = folder / name if proxy.kind == "backend" else None
                shares.append((partial(self._engine, proxy, log), own[first::each_has]))
        for number, recording in play_shares(shares, self.jobs, self.at_once):
            yield number, recording, None

    def _engine(self, proxy: ProxyTarget, log: Path | None) -> Live:
        return Live(proxy, self.upstream, log=log, listen=self.listen, silence_s=self.silence_s)
