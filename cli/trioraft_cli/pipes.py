"""Where a line of the prompt sends its output: into a command of the system's shell, or into a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO

from trioraft_cli import streams
from trioraft_cli.outcomes import BROKEN, Failure
from trioraft_cli.pager import in_shell
from trioraft_cli.streams import StreamError, say
from trioraft_cli.typed import Sink
from trioraft_cli.words import quote


class Into:
    """Where the output goes."""

    code = 0
    """The exit code of that side, once it has ended."""


@contextmanager
def into(sink: Sink) -> Iterator[Into]:
    """A context in which standard output is that pipe or file, and no terminal.

    At its end the shell's command has ended too. Ctrl-C ends both sides. Raises Failure where a file cannot be opened;
    a disk that is full is said at the end, and becomes the code.
    """
    side = Into()
    with _shell(sink.rest, side) if sink.kind == "|" else _file(sink, side):
        yield side


@contextmanager
def _shell(command: str, side: Into) -> Iterator[None]:
    reading, writing = os.pipe()
    with (
        _closed(streams.opened(writing, "the pipe")) as output,
        open(reading, "rb") as source,
        in_shell(command, source) as child,
    ):
        source.close()  # so that the command alone reads
        try:
            with redirect_stdout(output):
                yield
            output.close()
        except StreamError as error:
            if not error.reader_left:
                raise
        side.code = child.wait() or 0


@contextmanager
def _closed(output: TextIO) -> Iterator[TextIO]:
    """A context after which the stream is closed; what nobody reads any more is dropped."""
    try:
        yield output
    finally:
        with suppress(StreamError):
            output.close()


@contextmanager
def _file(sink: Sink, side: Into) -> Iterator[None]:
    shown = quote(sink.rest, sys.stderr.encoding)
    try:
        how = os.O_APPEND if sink.kind == ">>" else os.O_TRUNC
        file = os.open(os.path.expanduser(sink.rest), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how, 0o666)
    except (OSError, ValueError) as error:
        say(f"{shown} cannot be written: {error.strerror if isinstance(error, OSError) else error}")
        raise Failure(BROKEN) from None
    try:
        with streams.opened(file, shown) as output, redirect_stdout(output):
            yield
    except StreamError as error:
        say(error.message)
        side.code = BROKEN
