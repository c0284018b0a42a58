"""Test the help of every command, the spellings of options, and the suggestions in errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from voicerace.cli import main
from voicerace.cli.app import VERBS
from voicerace.cli.verbs import load
from voicerace.errors import InputError, one_of


def commands() -> Iterator[tuple[str, Any]]:
    """Yield (name, command) of every command, including the commands of groups."""
    for name in VERBS:
        command = load(VERBS, name)
        yield name, command
        yield from ((f"{name} {sub}", each) for sub, each in getattr(command, "commands", {}).items())


COMMANDS = dict(commands())


def own_options(command: Any) -> list[Any]:
    return [each for each in command.get_params(typer.Context(command)) if each.param_type_name == "option"]


def faults(command: Any) -> list[str]:
    """Return the faults in the help of a command's options."""
    context = typer.Context(command)
    found = []
    for each in own_options(command):
        shown, text = each.get_help_record(context)
        if "<" in shown or not (each.is_flag or each.metavar):
            found.append(f"{shown}: a Python type instead of a metavar")
        if not re.fullmatch(r"[A-Z].*\.", each.help or "", flags=re.S):
            found.append(f"{shown}: {each.help!r} is no phrase with a capital letter and a full stop")
        if re.search(r"\[(?!default: |required|\d|x[<>])", text):
            found.append(f"{shown}: {text!r} shows a default in another form than [default: VALUE]")
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_readable_type_and_a_help_text_in_one_style(name: str) -> None:
    assert faults(COMMANDS[name]) == []


def test_the_test_of_help_texts_sees_each_fault() -> None:
    app = typer.Typer()

    @app.command()
    def bad(
        one: str = typer.Option("a", help="Good text."),
        two: str = typer.Option("a", metavar="NAME", help="no capital letter."),
        three: str = typer.Option("a", metavar="NAME", help="No full stop"),
        four: str = typer.Option("a", metavar="NAME"),
        five: str = typer.Option(None, metavar="NAME", help="Another form [a]."),
    ) -> None: ...

    found = faults(typer.main.get_command(app))
    assert [each.partition(" ")[0] for each in found if "--install" not in each and "--show" not in each] == [
        "--one", "--two", "--three", "--four", "--five",
    ]  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_the_printed_help_shows_no_python_type(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    assert not re.search(r"<(bool|str|int|float|path|list|file)\b", capsys.readouterr().out.lower())


@pytest.mark.parametrize("verb", ["run", "sweep"])
def test_the_help_explains_how_to_write_a_time(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    head = " ".join(capsys.readouterr().out.split("Options:")[0].split())
    for text in (
        "50,80",
        "uniform(20,80)",
        "p50=400,p95=900",
        "lognormal(median=400,sigma=0.5)",
        "choice(4,8,12)",
        "@file.csv",
    ):
        assert text in head


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_one_spelling_of_an_option(name: str) -> None:
    options = {text for each in own_options(COMMANDS[name]) for text in each.opts}
    for singular, plural in (("--scenario", "--scenarios"), ("--handler", "--handlers"), ("--modality", "--modalities")):
        assert not {singular, plural} <= options
    # `report` uses both: --release names the releases in use, and --releases names the releases to play.
    assert ({"--release", "--releases"} <= options) == (name == "report")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_one_session_accepts_the_plural_spellings(capsys: pytest.CaptureFixture[str]) -> None:
    singular = printed(
        capsys, "run", "--release", "0.9.4", "--handler", "async_ref", "--modality", "text", "--scenario", "double"
    )
    plural = ["--releases", "0.9.4", "--handlers", "async_ref", "--modalities=text", "--scenarios", "double"]
    assert printed(capsys, "run", *plural) == singular


def test_a_grid_accepts_both_spellings_repeated_and_with_commas(capsys: pytest.CaptureFixture[str]) -> None:
    times = ["--tool-ms", "0:400:100", "--gap-ms", "200"]
    commas = printed(capsys, "boundary", "--releases", "0.9.1,0.11.1", "--handlers", "return,async_ref", *times)
    repeated = ["--release", "0.9.1", "--release", "0.11.1", "--handler", "return", "--handlers", "async_ref"]
    assert "async_ref" in commas
    assert printed(capsys, "boundary", *repeated, *times) == commas


def test_answers_and_workarounds_accept_both_spellings(capsys: pytest.CaptureFixture[str]) -> None:
    answers = printed(capsys, "answers", "--releases", "0.9.1,0.9.4", "--handlers", "return", "--modalities", "audio")
    assert len(answers.splitlines()) == 3, "a heading, and one line per release"
    singular = ["--release", "0.9.1", "--release", "0.9.4", "--handler", "return", "--modality", "audio"]
    assert printed(capsys, "answers", *singular) == answers
    workarounds = printed(capsys, "workarounds", "--releases", "0.9.1,0.9.4", "--workaround", "await-and-return")
    assert "0.9.1" in workarounds
    assert (
        printed(capsys, "workarounds", "--release", "0.9.1", "--release", "0.9.4", "--workaround", "await-and-return")
        == workarounds
    )


def test_explore_accepts_several_releases(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "explore", "--releases", "0.9.1,0.9.4", "--scenario", "no-result", "--handlers", "return")
    assert [release for release in ("0.9.1", "0.9.4") if f"{release}: " in shown] == ["0.9.1", "0.9.4"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["run", "--releases", "0.9.1,0.9.4"], "--release: 2 values: '0.9.1,0.9.4'; allowed is one"),
        (["repro", "--release", "0.9.1", "--releases", "0.9.4"], "--release: given 2 times; allowed is once"),
        (["run", "--handlers", "return,async_ref"], "--handler: 2 values: 'return,async_ref'; allowed is one"),
        (["explore", "--release", "0.9.1,0.9.4", "--json"], "release: 2 given; allowed is one with --json or --out"),
        (["run", "--relase", "0.9.1"], "No such option: --relase; did you mean --release?"),
        (["run", "--gap-m", "5"], "No such option: --gap-m; did you mean --gap-ms?"),
        (["swep"], "command: 'swep' is unknown; did you mean sweep? (allowed are run, "),
        (["serve", "upstrem"], "No such command 'upstrem'. Did you mean 'upstream'?"),
        (["run", "--release", "0.9.44"], "release: '0.9.44' is unknown; did you mean 0.9.4? (allowed are 0.9.0, "),
        (["run", "--component", "0.10.22"], "component: '0.10.22' is unknown; did you mean 0.10.2? (allowed are "),
        (["run", "--scenario", "sngle"], "scenario: 'sngle' is unknown; did you mean single? (allowed are "),
        (["run", "--fail-on", "reject"], "fail_on: 'reject' is unknown; did you mean rejected? (allowed are "),
        (["run", "--handler", "x"], "handler: 'x' is unknown; allowed are return, "),
        (["explore", "--scenario", "singel"], "scenario: 'singel' is unknown; did you mean single? (allowed are "),
        (["conformance", "--api", "--provider", "opnai"], "provider: 'opnai' is unknown; did you mean openai? (allowed are "),
        (["contract", "--fact", "two_call"], "fact: 'two_call' is unknown; did you mean two_calls? (allowed are "),
        (["run", "--knob", "items_closed=x"], "knob: 'items_closed' is unknown; did you mean items_close? (allowed are "),
    ],
)  # fmt: skip
def test_an_error_says_what_to_type_instead(words: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"voicerace: error: {error}")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["inspect", "/none"], "the proxy's console log, a HAR file"),
        (["replay", "/none"], "a file of `voicerace explore --out`"),
        (["check", "--findings", "/none"], "a file of `voicerace explore --out`"),
        (["again", "/none", "0"], "a folder made by a sweep"),
        (["report", "--customer", "/none"], "a TOML file"),
        (["report", "--run", "/none"], "a folder made by a sweep"),
        (["run", "--tool-ms", "@/none"], "a CSV file of ms"),
        (["serve", "upstream", "--certificate", "/none"], "a certificate and its key, PEM"),
    ],
)
def test_an_error_of_a_missing_file_names_the_expected_kind(
    words: list[str], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "No such file or directory" in error
    assert kind in error


def test_a_value_that_is_no_text_gets_no_suggestion() -> None:
    with pytest.raises(InputError, match=r"x: 5 is unknown; allowed are a, b$"):
        one_of("x", 5, ("a", "b"))
