"""The help: every command in a group, none cut off, each with an example that is typed rightly."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from trioraft_cli import arguments

from ..helpers.examples import commands, examples
from ..helpers.prompts import COMMANDS, ROOT

ALL = dict(commands(COMMANDS))
SECTIONS = ["run", "keys", "watch and lock", "cluster", "seeing", "saving", "proof"]
SEPARATORS = {";", "do", "|"}


def help_of(command: click.Command, name: str) -> str:
    return command.get_help(click.Context(command, info_name=name, terminal_width=80, max_content_width=80))


def calls(line: str) -> list[list[str]]:
    """The words of each call of trioraft in a line for a shell."""
    words = shlex.split(line.replace(";", " ; ").replace("$(trioraft", "; trioraft").replace(")", " "))
    starts = [place for place, word in enumerate(words) if word == "trioraft" and _begins(words, place)]
    ends = [next((end for end in range(at, len(words)) if words[end] in SEPARATORS), len(words)) for at in starts]
    return [words[at + 1 : end] for at, end in zip(starts, ends, strict=True)]


def _begins(words: Sequence[str], place: int) -> bool:
    return place == 0 or words[place - 1] in {*SEPARATORS, "while"}


@pytest.mark.parametrize("name", ALL)
def test_each_command_has_an_example_that_is_typed_rightly(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/processes/test_examples.py calls them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(arguments, "read_all", lambda: b"from standard input")
    for file in ("transfer.json", "monday.backup"):
        (tmp_path / file).write_text("{}")
    found = examples(ALL[name])
    assert found
    for line in found:
        assert f"trioraft {name}" in line
        for words in calls(line.replace("$LEASE", "41")):
            _parse(COMMANDS, words)


def _parse(command: click.Command, words: Sequence[str]) -> None:
    """Parse a line with the tree. Raises click.UsageError."""
    with command.make_context("trioraft", list(words)) as context:
        if isinstance(command, click.Group) and (rest := [*context._protected_args, *context.args]):
            _, inner, rest = command.resolve_command(context, rest)
            assert inner is not None
            _parse(inner, rest)


def test_the_help_lists_each_command_whole_in_its_group() -> None:
    shown = help_of(COMMANDS, "trioraft")
    assert [title for title in SECTIONS if f"\n{title.capitalize()}:\n" in shown] == SECTIONS
    assert list(COMMANDS.sections) == SECTIONS
    assert sum(map(len, COMMANDS.sections.values())) == len(COMMANDS.commands)
    joined = " ".join(shown.split())
    for name, command in COMMANDS.commands.items():
        assert f" {name} " in joined
        assert " ".join((command.help or "").split("\n\n")[0].split()).split(". ")[0].rstrip(".") in joined


@pytest.mark.parametrize("command", [COMMANDS, ROOT, *ALL.values()], ids=["", "prompt", *ALL])
def test_nothing_is_cut_off(command: click.Command) -> None:
    shown = help_of(command, "trioraft")
    cut = [line for line in shown.splitlines() if line.endswith("...") and not line.startswith(("Usage:", "       "))]
    assert cut == []


def test_the_prompt_shows_the_same_groups() -> None:
    assert list(ROOT.sections) == [*SECTIONS[1:], "prompt"]
