"""Safe standard streams, whether they are closed, full, no longer read, or in any encoding.

A command fails where its standard output cannot be written, at the end of the process too: nothing is dropped in
silence. What cannot be written to standard error is dropped, and the exit code alone tells.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Final, TextIO

from trioraft_cli.escapes import escape_unencodable, safe

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MOST_READ: Final = 32 * 1024 * 1024
"""No node takes a longer request."""
READER_SECONDS: Final = 1.0
"""How long the reader of standard error gets to make room, in a process that must not wait for it."""
_ESCAPES: Final = "trioraft-escapes"
_NAMES: Final = ("stdin", "stdout", "stderr")


class StreamError(Exception):
    """Standard input cannot be read, or standard output cannot be written.

    It is no OSError: libraries on the way would make something else of one.
    """

    def __init__(self, message: str, *, reader_left: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.reader_left = reader_left
        """Whether nobody reads standard output any more, which is nothing to complain of."""


class _Output(io.FileIO):
    """Standard output, or what stands in its place. The first failure is raised; what is written later is dropped."""

    about = "standard output"
    failed = False
    deadline: float | None = None
    """Until when its reader may make room, on the monotonic clock; None: as long as it takes."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of the data, or as much as fits. Raises StreamError."""
        size = memoryview(data).nbytes
        while not self.failed:
            if self.deadline is not None:
                if not select.select([], [self], [], max(0.0, self.deadline - time.monotonic()))[1]:
                    self.failed = True
                    break
                data = memoryview(data).cast("B")[: select.PIPE_BUF]  # a pipe that can be written to has this room
            try:
                written = super().write(data)
            except OSError as error:
                self.failed = True
                message = f"{self.about} cannot be written: {error.strerror}"
                raise StreamError(message, reader_left=error.errno == errno.EPIPE) from None
            if written is not None:  # None: it does not block, which a parent process may have set
                return written
            select.select([], [self], [])
        return size


class _Errors(io.FileIO):
    """Standard error, which never fails: there is nowhere to say so."""

    patience: float | None = None
    """How many seconds its reader gets to make room; None: as long as it takes."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write as much of the data as the system takes; drop it where it takes none, or not in time."""
        view = memoryview(data).cast("B")
        if self.patience is not None:
            if not select.select([], [self], [], self.patience)[1]:
                self.patience = 0.0
                return len(view)
            view = view[: select.PIPE_BUF]  # a pipe that can be written to has room for this much
        try:
            written = super().write(view)
        except OSError:
            written = None
        return len(view) if written is None else written


class _Input(io.FileIO):
    """Standard input."""

    def readinto(self, buffer: ReadableBuffer, /) -> int:
        """Read some bytes, none at the end. Raises StreamError."""
        while True:
            try:
                size = super().readinto(buffer)
            except OSError as error:
                raise StreamError(f"standard input cannot be read: {error.strerror}") from None
            if size is not None:
                return size
            select.select([self], [], [])


def prepare() -> None:
    """Make the standard streams safe to use. Those that are no files, as in tests, stay as they are."""
    codecs.register_error(_ESCAPES, escape_unencodable)
    for descriptor, name in enumerate(_NAMES):
        stream = getattr(sys, name)
        if stream is None:
            _occupy(descriptor)
        if stream is None or type(stream) is io.TextIOWrapper:
            setattr(sys, name, _wrapped(descriptor, stream))


def opened(descriptor: int, about: str) -> io.TextIOWrapper:
    """A stream to print to in the place of standard output, with its encoding; `about` is what failures call it."""
    raw = _Output(descriptor, "wb")
    raw.about = about
    return io.TextIOWrapper(io.BufferedWriter(raw), sys.stdout.encoding, _ESCAPES)


def flush() -> None:
    """Write what is left. Raises StreamError."""
    if sys.stdout is not None:
        sys.stdout.flush()


def wait_for_reader() -> None:
    """Wait until standard output takes `select.PIPE_BUF` bytes at once, or is not waited for any longer.

    What breaks off this wait loses nothing: of a write that is broken off, nobody knows how much went out.
    """
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    deadline = raw.deadline if isinstance(raw, _Output) else None
    select.select([], [sys.stdout], [], None if deadline is None else max(0.0, deadline - time.monotonic()))


def show_what_came() -> None:
    """Write what is left, and look whether anybody reads it. Raises StreamError.

    Who only waits for more to print would not notice that its reader has left, as `head -1` does.
    """
    flush()
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    if any(event & (select.POLLERR | select.POLLHUP) for _, event in output.poll(0)):
        raise StreamError("nobody reads standard output", reader_left=True)


def say(text: str) -> None:
    """Say something on standard error, in one line that holds nothing which a terminal would obey.

    A terminal that is narrower gets it folded.
    """
    print(folded(f"trioraft: {safe(text)}", sys.stderr), file=sys.stderr)


def folded(line: str, stream: TextIO) -> str:
    """The line, folded between words where that terminal would break it within one. Elsewhere it stays one line."""
    if not stream.isatty():
        return line
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        return line
    if not columns or len(line) <= columns:
        return line
    return textwrap.fill(
        line,
        columns,
        subsequent_indent=" " * (len(line) - len(line.lstrip(" "))),
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )


def wait_for_nobody() -> None:
    """From now on drop what nobody reads of standard error: this process has to go on, or to end."""
    raw = getattr(getattr(sys.stderr, "buffer", None), "raw", None)
    if isinstance(raw, _Errors):
        raw.patience = READER_SECONDS


def end_soon() -> None:
    """From now on drop what nobody reads of standard output and error: a signal has told this process to end."""
    wait_for_nobody()
    end_output_soon()


def end_output_soon() -> None:
    """From now on drop what nobody reads of standard output, which may be a pipe in a process that goes on."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Output):
        raw.deadline = time.monotonic() + READER_SECONDS


def read_all() -> bytes:
    """Read all of standard input, or one byte more than any node takes. Raises StreamError."""
    return sys.stdin.buffer.read(MOST_READ + 1)


def read_some(most: int) -> bytes:
    """Read what there is of standard input, up to so many bytes; none at its end. Raises StreamError."""
    assert isinstance(sys.stdin.buffer, io.BufferedReader)
    return sys.stdin.buffer.read1(most)


def in_utf8(stream: TextIO) -> bool:
    """Whether what is written there goes out in UTF-8."""
    try:
        return codecs.lookup(stream.encoding).name == "utf-8"
    except (LookupError, TypeError):
        return False


def _occupy(descriptor: int) -> None:
    """Open a closed descriptor so that all its uses fail, and no file or connection gets its number."""
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, os.O_WRONLY if descriptor == 0 else os.O_RDONLY)
        if opened != descriptor:
            os.dup2(opened, descriptor, inheritable=False)
            os.close(opened)


def _wrapped(descriptor: int, stream: io.TextIOWrapper | None) -> io.TextIOWrapper:
    encoding = stream.encoding if stream is not None else "utf-8"
    if stream is not None:
        descriptor = stream.fileno()
    if descriptor == 0:
        source = _Input(descriptor, "rb", closefd=False)
        # A pipe or a file holds UTF-8, whatever the locale. Other bytes are passed on to code that can say so.
        encoding = encoding if source.isatty() else "utf-8"
        return io.TextIOWrapper(io.BufferedReader(source), encoding, "surrogateescape")
    raw = _Output(descriptor, "wb", closefd=False) if descriptor == 1 else _Errors(descriptor, "wb", closefd=False)
    lines = descriptor == 2 or raw.isatty() or (stream is not None and stream.write_through)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, _ESCAPES, line_buffering=lines)
