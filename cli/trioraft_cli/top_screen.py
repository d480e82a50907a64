"""The whole screen of a terminal, with keys, given back as it was however it ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from typing import Final, Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from trioraft_cli import colour
from trioraft_cli.top_view import Line

Draw = Callable[[int, int], list[Line]]
"""Gives the lines for a screen of that width and height."""
LEAVING_KEYS: Final = frozenset(b"qQ\x03\x04")
PIPED_WIDTH: Final = 120
"""How long the lines are that no terminal shows."""


class Screen:
    """The screen, as a context."""

    def __init__(self, draw: Draw) -> None:
        self.console = colour.console(sys.stdout)
        self._drawn = _Drawn(draw)
        self._keys: int | None = None
        """Where keys come from; None where standard input is no terminal."""
        self._stack = contextlib.ExitStack()
        self._is_to_stop = False
        """Whether Ctrl-Z was pressed."""

    def __enter__(self) -> Self:
        before = signal.signal(signal.SIGTSTP, self._on_stop)
        try:
            self._take()
        except BaseException:
            signal.signal(signal.SIGTSTP, before)
            raise
        self._before = before
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTSTP, self._before)
        self._stack.close()

    def show(self) -> None:
        """Draw the picture as it is now, at the size that the screen has now."""
        self._live.refresh()

    def is_left(self, seconds: float) -> bool:
        """Wait so long at most; whether a key was pressed that leaves, or nobody is there to press any more."""
        if self._is_to_stop:
            self._stop()
        watched = [] if self._keys is None else [self._keys]
        if not select.select(watched, [], [], seconds)[0]:
            return False
        try:
            keys = os.read(watched[0], 1024)
        except OSError:  # the terminal is gone
            return True
        return not keys or not LEAVING_KEYS.isdisjoint(keys)

    def _take(self) -> None:
        """Take the whole screen, and each key as it is pressed."""
        stack = self._stack
        if sys.stdin is not None and sys.stdin.isatty():
            self._keys = sys.stdin.fileno()
            stack.enter_context(_each_key(self._keys))
        self._live = stack.enter_context(
            Live(
                self._drawn,
                console=self.console,
                screen=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
        )

    def _stop(self) -> None:
        """Give the terminal back, stop as Ctrl-Z wants it, and take the screen again when told to go on."""
        self._is_to_stop = False
        self._stack.close()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()

    def _on_stop(self, *_: object) -> None:
        self._is_to_stop = True


def show(lines: list[Line]) -> None:
    """Print lines, with colours where these are wanted."""
    console = colour.console(sys.stdout)
    for line in lines:
        text = Text.assemble(*line)
        text.rstrip()
        console.print(text, soft_wrap=True)


def width() -> int:
    """How many characters a line of standard output may have."""
    return colour.console(sys.stdout).width if sys.stdout.isatty() else PIPED_WIDTH


@contextlib.contextmanager
def _each_key(descriptor: int) -> Iterator[None]:
    """A context in which each key is read as it is pressed, and is not shown."""
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class _Drawn:
    """The picture, as rich draws it: of the size that the screen has at that moment."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the parts of the picture."""
        columns, rows = options.size
        lines = self._draw(columns, rows)[:rows]
        for place, line in enumerate(lines):
            used = 0
            for text, style in line:
                used += len(text)
                yield Segment(text, console.get_style(style) if style else Style.null())
            yield Segment(" " * (columns - used))
            if place < len(lines) - 1:
                yield Segment.line()
