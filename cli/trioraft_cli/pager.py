"""What a command of the prompt prints, held for a moment: what is taller than the terminal goes to the pager."""

from __future__ import annotations

import os
import re
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from typing import IO, Any, Final, Self, TextIO, cast

from trioraft_cli.children import Child
from trioraft_cli.signals import Interrupts
from trioraft_cli.streams import StreamError, say

DEFAULT: Final = "less -FRX"
"""The pager where `PAGER` is not set."""
HELD_SECONDS: Final = 0.2
"""A command that prints for longer is shown as it goes on, and no pager comes between."""
SHELL: Final = "/bin/sh"
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


class Held:
    """A context that holds what this thread prints on a terminal. At its end all is shown, at the latest.

    Other threads' lines are about something else, and are shown at once. Standard error is held too, so that the order
    of the two stays; only standard output goes to the pager.
    """

    def __init__(self, quiet: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """`quiet` gives a context in which other threads print nothing; the pager runs in it."""
        self._quiet = quiet
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._thread = threading.get_ident()
        self._parts: list[tuple[TextIO, str]] = []
        self._timer: threading.Timer | None = None
        self.is_holding = True
        """Whether this thread's output is still held."""
        self._failure: StreamError | None = None
        self._context = ExitStack()

    def __enter__(self) -> Self:
        self._out = sys.stdout
        self._context.enter_context(redirect_stdout(self._held(sys.stdout)))
        self._context.enter_context(redirect_stderr(self._held(sys.stderr)))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Show what is held. Raises StreamError where that fails, and KeyboardInterrupt where Ctrl-C ends the pager."""
        self._context.close()
        if self._timer is not None:
            self._timer.cancel()
        parts = self._let_go()
        text = "".join(part for stream, part in parts if stream is self._out)
        try:
            if kind is None and is_taller(text):
                parts = [(stream, part) for stream, part in parts if stream is not self._out]
                with self._quiet():
                    show(text)
        finally:
            with self._writing:
                self._show(parts)
        if self._failure is not None and kind is None:
            raise self._failure

    def _held(self, stream: TextIO) -> TextIO:
        return cast(TextIO, _HeldStream(self, stream))

    def take(self, stream: TextIO, text: str) -> None:
        """Hold a part of the output, or show it."""
        with self._guard:
            if self.is_holding and threading.get_ident() == self._thread:
                self._parts.append((stream, text))
                if self._timer is None:
                    self._timer = threading.Timer(HELD_SECONDS, self._release)
                    self._timer.daemon = True
                    self._timer.start()
                return
        with self._writing:  # behind what was held
            stream.write(text)

    def _let_go(self) -> list[tuple[TextIO, str]]:
        """Hold nothing from now on; what was held."""
        with self._guard:
            self.is_holding = False
            parts, self._parts = self._parts, []
            return parts

    def _release(self) -> None:
        """Show what is held, and from now on all at once."""
        with self._writing:
            self._show(self._let_go())

    def _show(self, parts: Sequence[tuple[TextIO, str]]) -> None:
        try:
            for stream, text in parts:
                stream.write(text)
                stream.flush()
        except StreamError as error:
            self._failure = error


class _HeldStream:
    """A standard stream while it is held. What is asked about it, the stream itself answers."""

    def __init__(self, held: Held, stream: TextIO) -> None:
        self._held = held
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Hold the text, or show it. Raises TypeError for bytes, by which click tells that this is no binary stream."""
        if not isinstance(text, str):
            raise TypeError(f"text is written here, and no {type(text).__name__}")
        self._held.take(self._stream, text)
        return len(text)

    def flush(self) -> None:
        """Show what has been written, unless it is held."""
        if not self._held.is_holding:
            self._stream.flush()


def is_taller(text: str) -> bool:
    """Whether the text does not fit on the terminal, with the prompt below it."""
    import shutil

    columns, rows = shutil.get_terminal_size()
    lines = _COLOUR.sub("", text).split("\n")
    return sum(max(1, -(-len(line) // columns)) for line in lines) > rows


def show(text: str) -> None:
    """Show the text in the pager. Where there is none, or it fails, the text is printed.

    Raises KeyboardInterrupt once Ctrl-C has ended the pager.
    """
    command = os.environ.get("PAGER", DEFAULT)
    if not command.strip():
        sys.stdout.write(text)
        return
    if code := _run(command, text.encode(sys.stdout.encoding, sys.stdout.errors or "replace")):
        sys.stdout.write(text)
        if "PAGER" in os.environ:
            say(f"the pager '{command}' has failed (exit code {code}): set PAGER to another, or to nothing")


def _run(command: str, data: bytes) -> int:
    with open(os.memfd_create("shown"), "w+b") as file:
        file.write(data)
        file.seek(0)
        with in_shell(command, file) as child:
            return child.wait() or 0


@contextmanager
def in_shell(command: str, stdin: IO[bytes]) -> Iterator[Child]:
    """A context in which the system's shell carries out a command; Ctrl-C ends it, and raises KeyboardInterrupt.

    The terminal has its modes again afterwards, which a program that was ended may have changed.
    """
    interrupts = Interrupts()
    with _as_it_was(), Child([SHELL, "-c", command], {}, stdin) as child, interrupts, interrupts.breaking_off():
        if child.was_interrupted:  # while it was being started
            raise KeyboardInterrupt
        yield child


@contextmanager
def _as_it_was() -> Iterator[None]:
    """A context after which the terminal has the modes that it had."""
    try:
        modes = termios.tcgetattr(0)
    except termios.error:
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, modes)
