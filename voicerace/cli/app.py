"""The table of verbs, and `main`, which runs one verb.

Exit status: 0 for success, 1 for a finding (if the verb documents it), 2 for invalid input, 130 after Ctrl-C.
A verb's module is imported when the verb is called, and slow modules are imported in the functions that use them.
tests/test_start.py lists the modules that `--help` must not import.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from voicerace import __version__
from voicerace.cli.verbs import MARKUP, Verb, group
from voicerace.errors import InputError, SweepInterrupted, SweepStoppedError

__all__ = ["VERBS", "app", "main"]

_ONE, _MANY, _OWN, _PROXY, _SETUP = "One session", "Many sessions", "Your own sessions", "Check a proxy or an API", "About"

#: Name of a verb -> its definition, in the order of the help.
VERBS: Final[dict[str, Verb]] = {
    "run": Verb("run:run", "Play one session and judge it; --live plays it on real sockets.", _ONE),
    "repro": Verb("repro:repro", "Play the smallest session that can show the fault, on real sockets.", _ONE),
    "sweep": Verb("sweep:sweep", "Play a grid of sessions and summarise the outcomes.", _MANY),
    "boundary": Verb("boundary:boundary", "Find where the outcome changes along one time, to 0.1 ms.", _MANY),
    "formula": Verb(
        "formula:formula",
        "Derive the condition of each outcome in named times.",
        _MANY,
    ),
    "map": Verb("map:map_", "Draw the outcome of a release over two times.", _MANY),
    "answers": Verb("answers:answers", "Show how tool turns end with the times recorded at the real API.", _MANY),
    "again": Verb("again:again", "Reproduce the recording of one trial of a sweep.", _MANY),
    "explore": Verb("explore:explore", "Find every order of events that leads to a bad outcome.", _MANY),
    "workarounds": Verb(
        "workarounds:workarounds", "Show which workarounds an app can use, per release, and their cost.", _MANY
    ),
    "report": Verb("report:report", "Write the report for a customer as one HTML file.", _MANY),
    "inspect": Verb("captures:inspect", "Show what a capture contains, session by session.", _OWN),
    "redact": Verb("captures:redact", "Write a copy of a capture that is safe to share.", _OWN),
    "export": Verb("captures:export", "Convert one session to a Chrome trace or a Mermaid diagram.", _OWN),
    "compare": Verb("captures:compare", "Compare two captures or runs: outcomes and times.", _OWN),
    "capture": Verb("capture:capture", "Run a command with relays around its proxy; record and judge.", _OWN),
    "check": Verb("check:check", "Test a proxy for the race; exit 1 with the shortest trace.", _PROXY),
    "replay": Verb("replay:replay", "Replay findings of explore, in virtual time or live.", _PROXY),
    "conformance": Verb("conformance:conformance", "Compare a proxy with its model, or the mock with the real API.", _PROXY),
    "contract": Verb("contract:contract", "Test an API for the facts that the models assume.", _PROXY),
    "serve": Verb("serve:app", "Run a mock Realtime API or the model of a proxy as a server.", _PROXY),
    "fix": Verb("fix:fix", "Change a copy of a checkout so that it does not cause the race.", _PROXY),
    "releases": Verb("releases:releases", "Show what each release of the proxy does.", _SETUP, starts_bare=True),
    "doctor": Verb("doctor:doctor", "Check Python, packages, Node, Chromium, ports and keys.", _SETUP),
}

app = typer.Typer(name="voicerace", cls=group(VERBS), rich_markup_mode=MARKUP, pretty_exceptions_enable=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:  # handled before typer, which imports pydantic to parse an option
        print(f"voicerace {__version__}")
        return 0
    command = typer.main.get_command(app)
    if arguments is None and "_VOICERACE_COMPLETE" in os.environ:
        command(prog_name="voicerace")  # prints the shell's completions and exits
    try:
        # `command.main` would handle Ctrl-C and a closed pipe itself.
        with command.make_context("voicerace", [*words]) as context:
            status = command.invoke(context)
        # Errors are reported below. Flush here, because the interpreter only prints a warning if its flush at exit fails.
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except typer.Exit as done:
        return done.exit_code
    except SweepStoppedError as error:
        return _fail(f"{error.where}: {error.found}; {_how_to_resume(error, words)}")
    except InputError as error:
        return _fail(str(error))
    except typer.TyperException as error:
        return _fail(_usage_error(error))
    except (KeyboardInterrupt, typer.Abort) as stopped:
        why = _how_to_resume(stopped, words) if isinstance(stopped, SweepInterrupted) else str(stopped)
        print(f"\nvoicerace: interrupted{f': {why}' if why else ''}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader closed the pipe (`| head`).
        _discard_output()
        return 0
    except OSError as error:
        # For example, the disk is full and the verb raises no InputError.
        try:
            sys.stdout.flush()
        except OSError:
            _discard_output()
        return _fail(f"{error.filename or 'output'}: {error.strerror or error}")


def _how_to_resume(ended: SweepInterrupted | SweepStoppedError, words: Sequence[str]) -> str:
    """Return a text with the number of kept trials of a stopped sweep and the command that resumes the sweep."""
    more = [] if "--resume" in words else ["--resume"]
    more += [] if any(each.partition("=")[0] == "--out" for each in words) else ["--out", str(ended.folder)]
    return f"{ended.kept}; to continue: {shlex.join(['voicerace', *words, *more])}"


def _usage_error(error: typer.TyperException) -> str:
    """Return typer's text of a usage error, with a suggestion for an unknown option."""
    if near := getattr(error, "possibilities", None):
        return f"{error}; did you mean {near[0]}?"
    describe = getattr(error, "format_message", None)  # unlike `str`, this method names the option
    return describe() if describe is not None else str(error)


def _fail(message: str) -> int:
    from voicerace.scrubber import printable

    line = printable(" ".join(message.split()))
    with contextlib.suppress(OSError):  # standard error can be on the same full disk
        print(f"voicerace: error: {line}", file=sys.stderr)
    return 2


def _discard_output() -> None:
    """Discard the remaining output, so that the interpreter prints no warning at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.callback(invoke_without_command=True)
def voicerace(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> Any:
    """Find out when a Realtime API refuses a response around a function call."""
    if show_version:
        print(f"voicerace {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit
