"""The shared options that select the proxy and the upstream of a live session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from voicerace.cli.options import added_option, backend_directory, with_options
from voicerace.cli.printing import writable, writing
from voicerace.errors import InputError
from voicerace.files import takes_a_file
from voicerace.model.catalog.releases import PROXIES

if TYPE_CHECKING:
    from voicerace.engine.live.forwarder_program import ForwarderTarget
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
    """The options of a live session as given on the command line.

    Attributes:
        live: whether sessions are played on real sockets.
        forwarder: running forwarder of live sessions, or None; see `with_forwarder`.
        proxy, upstream, model, key_from, listen, log, silence_s: values of the options of `takes_targets`.
    """

    live: bool
    proxy: tuple[str, ...]
    upstream: str | None
    model: str
    key_from: str | None
    listen: str | None
    log: Path | None
    silence_s: float | None
    forwarder: ForwarderTarget | None = None

    def refuse_in_virtual_time(self, **of_the_verb: object) -> None:
        """Refuse the options for live sessions if --live is not given.

        Args:
            of_the_verb: values of the verb's own options for live sessions. None or False means that the option is not given.

        Raises:
            InputError: an option is given.
        """
        own = {name: getattr(self, name) for name in ("proxy", "upstream", "key_from", "listen", "log", "silence_s")}
        for name, value in {**own, **of_the_verb}.items():
            if value:
                instead = ", or --release TAG instead" if name == "proxy" else ""
                raise InputError(name, "given for a session in virtual time", f"with --live{instead}")

    def with_forwarder(self, given: str | None, *, live: bool) -> tuple[Targets, str | None]:
        """Return the targets with the option --forwarder, and the name of its model for `SessionConfig.of`.

        Args:
            given: value of the option.
            live: whether the sessions are played on real sockets.

        Raises:
            InputError: a checkout is given in virtual time, or a model on real sockets.
        """
        if given in (None, "none"):
            return self, None
        word = str(given)
        if not live:
            if word.startswith("backend:"):
                raise InputError("forwarder", f"{word} for a session in virtual time", "with --live, or F0, F1 or a release")
            return self, word
        from voicerace.engine.live.forwarder_program import ForwarderTarget

        found = ForwarderTarget.of(backend_directory(word, "forwarder"))
        return replace(self, forwarder=found), found.row.generation

    def proxies(self, releases: str | None) -> list[ProxyTarget]:
        """Return the given proxies; without --proxy, the models of the releases.

        Args:
            releases: tags separated by commas. If one proxy is given, this is its release.
        """
        from voicerace.engine.live.targets import ProxyTarget

        if not self.proxy:
            from voicerace.experiments.sweep.spec import SweepSpec  # imports pydantic

            tags = SweepSpec(releases=releases or _DEFAULT).releases
            return [ProxyTarget.of(f"model:{tag}") for tag in tags]
        if releases is not None and len(self.proxy) > 1:
            raise InputError("release", f"given with {len(self.proxy)} proxies", "only --proxy")
        return [ProxyTarget.of(word, releases) for word in self.proxy]

    def one_proxy(self, release: str | None) -> ProxyTarget:
        """Return the proxy of a single session; `release` is the release of this proxy or of a model."""
        from voicerace.engine.live.targets import ProxyTarget

        if len(self.proxy) > 1:
            raise InputError("proxy", f"{len(self.proxy)} given", "allowed is one; a sweep takes several")
        return ProxyTarget.of(self.proxy[0], release) if self.proxy else ProxyTarget.of(f"model:{release or _DEFAULT}")

    def upstream_target(self) -> UpstreamTarget | None:
        """Return the given upstream; None without --upstream."""
        if self.upstream is None:
            if self.key_from is not None:
                raise InputError("key_from", "given without an upstream", "add --upstream openai, ws://... or wss://...")
            return None
        from voicerace.engine.live.targets import UpstreamTarget

        return UpstreamTarget.of(self.upstream, self.model, self.key_from)

    def address(self) -> tuple[str, int] | None:
        return None if self.listen is None else listen_address("listen", self.listen)

    def engine(self, proxy: ProxyTarget) -> Live:
        """Return the live engine for one proxy.

        Raises:
            InputError: the log file cannot be written.
        """
        from voicerace.engine.live.play import Live  # imports websockets

        writable(self.log)
        return Live(
            proxy,
            self.upstream_target(),
            forwarder=self.forwarder,
            log=self.log,
            listen=self.address(),
            silence_s=self.silence_s,
        )


def played_as(proxy: ProxyTarget | None, release: str | None) -> str:
    """Return the release whose models a session uses: the newest if the proxy's release is unknown."""
    if proxy is None:
        return release or _DEFAULT
    return proxy.release.tag if proxy.release is not None else next(reversed(PROXIES))


def played(targets: Targets, proxy: ProxyTarget, session: SessionConfig, file: Path | None) -> Recording:
    """Play one live session and return its recording. After an interruption the recording is written to `file`.

    Raises:
        InputError: the file cannot be written.
    """
    from voicerace.engine.live.background import play  # imports websockets

    if file is None:
        return play(lambda: targets.engine(proxy), session)
    # Check before the session, which can cost money.
    if takes_a_file(file) or file.is_dir():  # a folder raises the operating system's error
        writing(file, lambda: _touch(file))
    try:
        return play(lambda: targets.engine(proxy), session, lambda recording: recording.write(file))
    except KeyboardInterrupt:
        kept = not takes_a_file(file) or file.stat().st_size > 0
        raise KeyboardInterrupt(f"what was recorded is in {file}" if kept else "nothing was recorded") from None
    finally:
        # Delete the empty file that `_touch` made, but not devices and pipes, whose size is also 0.
        if takes_a_file(file) and file.stat().st_size == 0:
            file.unlink()


def _touch(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.open("ab").close()


def listen_address(where: str, text: str) -> tuple[str, int]:
    """Parse an address ``PORT`` or ``HOST:PORT`` and return (host, port).

    Raises:
        InputError: the text has another form.
    """
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InputError(where, repr(text), "PORT or HOST:PORT; port 0 takes a free one")
    return host.strip("[]") or "127.0.0.1", int(port)


def takes_targets(verb: _Verb) -> _Verb:
    """Add the options of a live session. The verb receives their values as the argument `targets`."""

    def option(name: str, kind: Any, metavar: str, help_: str, default: Any = None, shown: str | bool = True) -> Any:
        found = typer.Option(metavar=metavar, help=help_, show_default=shown, rich_help_panel=_PANEL)
        return added_option(name, kind, found, default)

    live = typer.Option("--live", help="Play on real sockets instead of in virtual time.", rich_help_panel=_PANEL)
    added = [
        added_option("live", bool, live, False),
        option(
            "proxy", list[str] | None, "PROXY", "Proxy: model:TAG | backend:DIR (a checkout) | ws(s)://...",
            shown="the model of the release",
        ),
        option(
            "upstream", str | None, "API", "Realtime API for the proxy: mock | openai (OPENAI_API_KEY) | ws(s)://...",
            shown="mock",
        ),
        option("model", str, "NAME", "Model to request with --upstream openai.", "gpt-realtime"),
        option("key_from", str | None, "VARIABLE", "Environment variable that holds the upstream's Bearer token."),
        option("listen", str | None, "[HOST:]PORT", "Address at which a proxy at ws://... expects its upstream."),
        option("log", Path | None, "FILE", "Where to write the output of a checkout's proxy."),
        option("silence_s", float | None, "S", "End a session after S seconds without a message.", shown="from its times"),
    ]  # fmt: skip
    return with_options(verb, "targets", added, _targets)


def _targets(given: dict[str, Any]) -> Targets:
    silence = given["silence_s"]
    if silence is not None and not 0 < silence <= 86_400:
        raise InputError("silence_s", f"{silence:g}", "more than 0 s, at most a day")
    return Targets(**given | {"proxy": tuple(given["proxy"] or ())})
