"""`top` on a terminal: a live screen, which is left as it was found, whatever ends it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from ..helpers.processes import Cluster
from ..helpers.terminals import OnTerminal

SLOW = pytest.mark.slow
TAKEN, GIVEN_BACK = b"\x1b[?1049h", b"\x1b[?1049l"
CURSOR_SHOWN = b"\x1b[?25h"


def environment(cluster: Cluster, **more: str) -> dict[str, str]:
    servers = ",".join(f"127.0.0.1:{node.port}" for node in cluster.nodes)
    return {**os.environ, "TRIORAFT_SERVERS": servers, "TERM": "xterm", **more}


@pytest.fixture
def top(steady: Cluster) -> Iterator[OnTerminal]:
    program = [sys.executable, "-m", "trioraft_cli", "top", "--interval", "0.2"]
    with OnTerminal(program, environment(steady)) as opened:
        opened.shows("3 of 3 answer")
        yield opened


def resized(top: OnTerminal, rows: int, columns: int) -> None:
    """Give the window that size, and wait until the screen is drawn twice since."""
    top.terminal.resize(rows, columns)
    drawn = top.terminal.sent.count(b"\x1b[H") + 2
    top.terminal.read_until(lambda: top.terminal.sent.count(b"\x1b[H") >= drawn, "the screen is drawn")


def is_drawn_with(line_ends: int, top: OnTerminal) -> bool:
    """Whether any picture of the screen has at least that many ends of lines."""
    return any(picture.count(b"\n") >= line_ends for picture in top.terminal.sent.split(b"\x1b[H"))


def leave(top: OnTerminal, way: str) -> None:
    if way == "a closed window":
        top.terminal.hang_up()
    elif way in ("q", "\x03"):
        top.terminal.type(way.encode())
    else:
        os.kill(top.process.pid, getattr(signal, way))


@pytest.mark.parametrize(
    ("way", "code"),
    [("q", 0), pytest.param("\x03", 0, marks=SLOW), ("SIGTERM", 143), pytest.param("SIGHUP", 129, marks=SLOW)],
    ids=["q", "ctrl-c", "SIGTERM", "SIGHUP"],
)
def test_the_terminal_is_left_as_it_was(top: OnTerminal, way: str, code: int) -> None:
    assert top.terminal.is_raw
    leave(top, way)
    assert top.ends() == code
    assert not top.terminal.is_raw
    sent = top.terminal.sent
    assert sent.rindex(GIVEN_BACK) > sent.rindex(TAKEN)
    assert CURSOR_SHOWN in sent[sent.rindex(TAKEN) :]
    assert "Traceback" not in top.shown


@SLOW
def test_a_window_that_is_closed_ends_it(top: OnTerminal) -> None:
    leave(top, "a closed window")
    assert top.process.wait(20) in (0, 129)


def test_the_screen_shows_what_happens_and_follows_its_size(top: OnTerminal, steady: Cluster) -> None:
    steady.leader().put("seen-in-top", 1)
    top.shows("seen-in-top")
    top.shows("leads")
    for rows, columns in ((3, 10), (1, 1), (60, 250)):
        resized(top, rows, columns)
    top.terminal.read_until(lambda: is_drawn_with(59, top), "all the room is used")
    assert "Traceback" not in top.shown
    leave(top, "q")
    assert top.ends() == 0


def test_a_terminal_that_obeys_nothing_gets_one_picture_in_ascii(steady: Cluster) -> None:
    program = [sys.executable, "-m", "trioraft_cli", "top"]
    with OnTerminal(program, environment(steady, TERM="dumb", LC_ALL="C", PYTHONUTF8="0")) as top:
        assert top.ends() == 0
        assert top.terminal.sent.isascii()
        assert b"\x1b" not in top.terminal.sent
        assert "3 of 3 answer" in top.shown


@SLOW
def test_a_paused_node_holds_up_neither_the_screen_nor_the_keys(cluster: Cluster) -> None:
    victim = cluster.followers()[0]
    program = [sys.executable, "-m", "trioraft_cli", "top", "--interval", "0.2"]
    with OnTerminal(program, environment(cluster)) as top:
        top.shows("3 of 3 answer")
        victim.pause()
        try:
            top.shows("no answer for")
            top.shows("2 of 3 answer")
            leave(top, "q")
            assert top.ends(5) == 0
        finally:
            victim.resume()
