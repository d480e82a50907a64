"""Colours: one rule, for all that prints."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import pytest
from prompt_toolkit.output.color_depth import ColorDepth
from rich.text import Text
from trioraft_cli import colour, render
from trioraft_cli.bench.progress import Bar
from trioraft_cli.form import chosen

from ..architecture.imports import sources
from .test_shown import Pipe, Terminal

COLOURED = ("\x1b[3", "\x1b[1;3", "\x1b[9")


def table() -> None:
    render.show("", ["NODE#", "ROLE"], [["0", "leader"]])


def value() -> None:
    render.show_value(b'{"a": 1}')


def console() -> None:
    colour.console(sys.stdout).print(Text("x", "red"))


SHOW = [table, value, console]


@pytest.mark.parametrize(
    ("environment", "on_terminal", "piped"),
    [
        ({}, True, False),
        ({"NO_COLOR": ""}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
    ],
)
@pytest.mark.parametrize("show", SHOW)
def test_the_environment_decides_on_colours_and_on_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    on_terminal: bool,
    piped: bool,
    show: Callable[[], None],
) -> None:
    texts = set()
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, setting in environment.items():
        monkeypatch.setenv(name, setting)
    for out, expected in ((Terminal(), on_terminal), (Pipe(), piped)):
        with redirect_stdout(out), chosen("table"):
            show()
        shown = out.getvalue()
        assert any(code in shown for code in COLOURED) is expected, shown
        texts.add("".join(Text.from_ansi(line).plain.rstrip() for line in shown.splitlines()))
    assert len(texts) == 1


def test_bold_letters_stay_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    with redirect_stdout(out):
        table()
    assert "\x1b[1m" in out.getvalue()
    assert ColorDepth.from_env() is ColorDepth.DEPTH_1_BIT  # the prompt: bold, reverse, and no colour


def test_all_that_colours_asks_the_one_rule() -> None:
    """No other module makes a console, or looks at these variables."""
    for name, path in sources().items():
        if not name.startswith("trioraft_cli") or name == "trioraft_cli.colour":
            continue
        tree = ast.parse(path.read_text())
        called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not [one for one in called if isinstance(one, ast.Name) and one.id == "Console"], name
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert strings.isdisjoint({"NO_COLOR", "FORCE_COLOR"}), name


def test_a_bar_is_drawn_on_a_terminal_that_can_move_its_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    for term, is_drawn in (("xterm", True), ("dumb", False)):
        monkeypatch.setenv("TERM", term)
        errors = Terminal()
        with redirect_stderr(errors), Bar("load", 1.0) as bar:
            bar.show(0.5, "half")
        assert bool(errors.getvalue()) is is_drawn
