"""The options that say which proxy and which upstream a live session meets, declared once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from voicerace.cli.options import added_option, with_options
from voicerace.cli.printing import writable, writing
from voicerace.errors import InputError
from voicerace.files import takes_a_file
from voicerace.model.catalog.releases import PROXIES

if TYPE_CHECKING:
    from voicerace.engine.live.play import Live
    from voicerace.engine.live.targets import ProxyTarget, UpstreamTarget
    from voicerace.engine.session import SessionConfig
    from voicerace.trace.recording import Recording

__all__ = ["Targets", "listen_address", "played", "played_as", "takes_targets"]

_Verb = TypeVar("_Verb", bound=Callable[..., Any])
_PANEL = "Live"
_DEFAULT = "0.9.1"


@dataclass(frozen=True)
class Targets:
    """The words of the command line, unread: a verb that runs in virtual time has none of them.

    Attributes:
        live: play on real sockets.
        proxy, upstream, model, key_from, listen, log, silence_s: see the options below.
    """

    live: bool
    proxy: tuple[str, ...]
    upstream: str | None
    model: str
    key_from: str | None
    listen: str | None
    log: Path | None
    silence_s: float | None

    def refuse_in_virtual_time(self, **of_the_verb: object) -> None:
        """Without --live nothing else of these makes sense.

        Args:
            of_the_verb: its own options that are about live sessions only; None or False: not given.

        Raises:
            InputError: one of them was given.
        """
        own = {name: getattr(self, name) for name in ("proxy", "upstream", "key_from", "listen", "log", "silence_s")}
        for name, value in {**own, **of_the_verb}.items():
            if value:
                alone = "; without it, --release alone" if name == "proxy" else ""
                raise InputError(name, "given for a session in virtual time", f"with --live{alone}")

    def proxies(self, releases: str | None) -> list[ProxyTarget]:
        """The proxies named, else the model of every release.

        Args:
            releases: of the option --release or --releases; beside one running proxy it says which program that is.
        """
        from voicerace.engine.live.targets import ProxyTarget

        if not self.proxy:
            from voicerace.experiments.sweep.spec import SweepSpec  # imports pydantic; few verbs come here

            tags = SweepSpec(releases=releases or _DEFAULT).releases
            return [ProxyTarget.of(f"model:{tag}") for tag in tags]
        if releases is not None and len(self.proxy) > 1:
            raise InputError("release", f"given beside {len(self.proxy)} proxies", "the proxies alone")
        return [ProxyTarget.of(word, releases) for word in self.proxy]

    def one_proxy(self, release: str | None) -> ProxyTarget:
        """The one proxy of a single session."""
        from voicerace.engine.live.targets import ProxyTarget

        if len(self.proxy) > 1:
            raise InputError("proxy", f"{len(self.proxy)} given", "one; a sweep takes several")
        return ProxyTarget.of(self.proxy[0], release) if self.proxy else ProxyTarget.of(f"model:{release or _DEFAULT}")

    def upstream_target(self) -> UpstreamTarget | None:
        """The upstream named, or None."""
        if self.upstream is None:
            if self.key_from is not None:
                raise InputError("key_from", "given without an upstream", "with --upstream openai, ws://... or wss://...")
            return None
        from voicerace.engine.live.targets import UpstreamTarget

        return UpstreamTarget.of(self.upstream, self.model, self.key_from)

    def address(self) -> tuple[str, int] | None:
        return None if self.listen is None else listen_address("listen", self.listen)

    def engine(self, proxy: ProxyTarget) -> Live:
        """The live engine for one proxy.

        Raises:
            InputError: its log cannot be written.
        """
        from voicerace.engine.live.play import Live  # imports websockets

        writable(self.log)
        return Live(proxy, self.upstream_target(), log=self.log, listen=self.address(), silence_s=self.silence_s)


def played_as(proxy: ProxyTarget | None, release: str | None) -> str:
    """The release whose component and parties a session takes: the newest for a program that no row describes."""
    if proxy is None:
        return release or _DEFAULT
    return proxy.release.tag if proxy.release is not None else next(reversed(PROXIES))


def played(targets: Targets, proxy: ProxyTarget, session: SessionConfig, file: Path | None) -> Recording:
    """Play one live session; what a stopped one recorded is written too, to the file that the verb writes.

    Raises:
        InputError: the file cannot be written.
    """
    from voicerace.engine.live.background import play  # imports websockets

    if file is None:
        return play(lambda: targets.engine(proxy), session)
    # Before the session, which may be one that costs: a recording that cannot be kept is not worth having.
    if takes_a_file(file) or file.is_dir():  # a folder is refused, in the system's words
        writing(file, lambda: _touch(file))
    try:
        return play(lambda: targets.engine(proxy), session, lambda recording: recording.write(file))
    except KeyboardInterrupt:
        kept = not takes_a_file(file) or file.stat().st_size > 0
        raise KeyboardInterrupt(f"what was recorded is in {file}" if kept else "nothing was recorded") from None
    finally:
        # An empty one is what `_touch` made; a device or a pipe is always empty, and not ours.
        if takes_a_file(file) and file.stat().st_size == 0:
            file.unlink()


def _touch(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.open("ab").close()


def listen_address(where: str, text: str) -> tuple[str, int]:
    """(host, port) of ``PORT`` or ``HOST:PORT``.

    Raises:
        InputError: it is neither.
    """
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InputError(where, repr(text), "PORT or HOST:PORT; port 0 takes a free one")
    return host.strip("[]") or "127.0.0.1", int(port)


def takes_targets(verb: _Verb) -> _Verb:
    """Give a verb the options of a live session; it gets them as the argument `targets`."""

    def option(name: str, kind: Any, help_: str, default: Any = None, metavar: str | None = None) -> Any:
        return added_option(name, kind, typer.Option(metavar=metavar, help=help_, rich_help_panel=_PANEL), default)

    added = [
        added_option("live", bool, typer.Option("--live", help="On real sockets.", rich_help_panel=_PANEL), False),
        option("proxy", list[str] | None, "model:TAG | backend:DIR (a checkout) | ws(s)://... [model:RELEASE]"),
        option("upstream", str | None, "mock | openai (OPENAI_API_KEY) | ws(s)://... [mock]"),
        option("model", str, "The model asked for at --upstream openai.", "gpt-realtime"),
        option("key_from", str | None, "The variable whose value is the upstream's Bearer token.", metavar="VARIABLE"),
        option("listen", str | None, "Where a proxy at ws://... is configured to find its upstream.", metavar="[HOST:]PORT"),
        option("log", Path | None, "Takes the output of a checkout's proxy.", metavar="FILE"),
        option("silence_s", float | None, "End a session in which nothing passes. [by its times]", metavar="S"),
    ]  # fmt: skip
    return with_options(verb, "targets", added, _targets)


def _targets(given: dict[str, Any]) -> Targets:
    silence = given["silence_s"]
    if silence is not None and not 0 < silence <= 86_400:
        raise InputError("silence_s", f"{silence:g}", "more than 0 s, at most a day")
    return Targets(**given | {"proxy": tuple(given["proxy"] or ())})
