"""Completion in real shells: what is completed, and then called, is the key that there is."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..helpers.fake_nodes import Make
from ..helpers.terminals import OnTerminal

KEYS = [
    "plain",
    "ends'",
    "two words",
    "a:b:c",
    "dollar$HOME",
    "it's",
    'say "so"',
    "back\\slash",
    "equal=sign",
    "star*",
    "日本 語",
    "mail@host",
    "amp&pipe|semi;",
    "line\nend",
    "!bang",
    "~tilde",
    "#hash",
    "{brace}",
]
PROGRAM = """#!/bin/sh
[ -n "$_TRIORAFT_COMPLETE" ] || [ "$1" = completion ] && exec {python} -m trioraft_cli "$@"
for word do printf '<%s>' "$word"; done
echo called
"""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    found = [key for key in sorted(KEYS) if key.startswith(request.get("prefix", ""))]
    return {"items": [{"key": key, "rev": 1, "created": 1, "version": 1} for key in found], "more": False}


Open = Callable[[str, Sequence[str], str], OnTerminal]


@pytest.fixture
def opened(fake: Make, tmp_path: Path) -> Iterator[Open]:
    """Open shells, in which `trioraft` prints its arguments, and completes as ever."""
    program = tmp_path / "bin" / "trioraft"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    environment = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "PS1": "ready> ",
        "TRIORAFT_SERVERS": str(fake(answer).address),
    }
    shells = []

    def opens(shell: str, options: Sequence[str], setup: str) -> OnTerminal:
        if shutil.which(shell) is None:
            pytest.skip(f"there is no {shell} here")
        shells.append(OnTerminal([shell, *options], environment).__enter__())
        shells[-1].terminal.type(f"{setup}; echo set-up\n".encode())
        shells[-1].shows("\nset-up")
        return shells[-1]

    yield opens
    for shell in shells:
        shell.__exit__(None, None, None)


BASH = ("bash", ["--norc", "--noprofile", "-i"], 'set +o history; eval "$(trioraft completion bash)"')


TYPED = {
    "pl": "plain",
    "tw": "two words",
    "two\\ w": "two words",
    "'two w": "two words",
    '"two w': "two words",
    "a:": "a:b:c",
    "a:b": "a:b:c",
    "doll": "dollar$HOME",
    '"doll': "dollar$HOME",
    "'doll": "dollar$HOME",
    "it": "it's",
    "'it": "it's",
    "say": 'say "so"',
    '"say': 'say "so"',
    "back": "back\\slash",
    "eq": "equal=sign",
    "equal=": "equal=sign",
    "st": "star*",
    "日": "日本 語",
    "mail@": "mail@host",
    "amp": "amp&pipe|semi;",
    "line": "line\nend",
    "'ends": "ends'",
    "\\!": "!bang",
    "\\~": "~tilde",
    "\\#": "#hash",
    "\\{": "{brace}",
}
"""What is typed before Tab, and the key that it is completed to."""


BRIEFLY = ("a:b", "'two w", '"doll', "line")


def completed(shell: OnTerminal, typed: Iterable[str]) -> dict[str, str]:
    """What the command is called with for each beginning of a key, with a Tab behind it."""
    called = {}
    for number, begins in enumerate(typed, 1):
        shell.terminal.type(f"trioraft get {begins}\t--stale\n".encode())
        shell.shows("called", number)
        called[begins] = shell.shown.split("<get><")[-1].partition("><--stale>called")[0]
    return called


@pytest.mark.parametrize("typed", [BRIEFLY, pytest.param(tuple(TYPED), marks=pytest.mark.slow)], ids=["briefly", "all"])
def test_what_bash_completes_is_the_key(opened: Open, typed: Sequence[str]) -> None:
    assert completed(opened(*BASH), typed) == {begins: TYPED[begins] for begins in typed}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "options", "setup"),
    [
        ("zsh", ["-f", "-i"], 'autoload -U compinit; compinit -u; PS1="ready> "; eval "$(trioraft completion zsh)"'),
        ("fish", ["--no-config", "-i"], "trioraft completion fish | source"),
    ],
)
def test_what_other_shells_complete_is_the_key(opened: Open, shell: str, options: list[str], setup: str) -> None:
    typed = ["pl", "tw", "a:", "doll", "it", "say", "back", "eq", "amp", "日"]
    assert completed(opened(shell, options, setup), typed) == {begins: TYPED[begins] for begins in typed}
