"""Sentences on a terminal that is narrower than they are."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from trioraft_cli.checking import run
from trioraft_cli.checking.findings import Finding, Step
from trioraft_cli.streams import folded, say

from ..helpers.terminals import Terminal

SENTENCE = "  without a majority put and get are refused"


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Terminal() as terminal:
        terminal.resize(24, 20)
        yield terminal


def stream_to(terminal: Terminal) -> io.TextIOWrapper:
    return open(terminal.slave, "w", closefd=False)


def test_a_sentence_is_folded_between_words_and_keeps_its_indent(terminal: Terminal) -> None:
    assert folded(SENTENCE, stream_to(terminal)) == "  without a majority\n  put and get are\n  refused"
    assert folded("x" * 20, stream_to(terminal)) == "x" * 20


def test_a_word_that_is_wider_than_the_terminal_stays_whole(terminal: Terminal) -> None:
    assert folded(f"see --{'x-' * 20}", stream_to(terminal)) == f"see\n--{'x-' * 20}"


def test_what_is_no_terminal_or_has_no_width_gets_one_line(terminal: Terminal) -> None:
    assert folded(SENTENCE, io.StringIO()) == SENTENCE
    terminal.resize(0, 0)
    assert folded(SENTENCE, stream_to(terminal)) == SENTENCE


def test_what_is_said_and_found_is_folded(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with stream_to(terminal) as stream:
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setattr("sys.stdout", stream)
        say("nobody listens there: start it")
        run._show(Finding("down", "down", [0], "node 0 does not run", [Step("start node 0 where it was")]))
    assert terminal.read_all().replace("\r\n", "\n") == (
        "trioraft: nobody\nlistens there: start\nit\ndown: node 0 does\nnot run\n    start node 0\n    where it was\n"
    )
