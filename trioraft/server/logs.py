"""The node's own log: one readable line an event, or one object."""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
import time
from collections import deque
from types import TracebackType
from typing import Final

from trioraft.server.repeats import Repeats
from trioraft.wire.codec import encode

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

LONGEST_MESSAGE: Final = 2000
"""The longest message in characters: some messages quote what strangers send."""
LONGEST_TRACEBACK: Final = 200
"""How many lines of a traceback are kept: the last ones, which tell what was raised and where."""
MAX_WAITING_BYTES: Final = 256 * 1024
"""How many bytes of the log wait at most for its reader."""
FLUSH_SECONDS: Final = 1.0
"""How long the process waits at its end for its last lines to be read."""


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Format a record as one line, whatever the message quotes: no sender can write its own lines into the log."""
        record.message = _printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: ExceptionInfo) -> str:
        """Format a traceback with indentation, so that none of its lines looks like a line of the log."""
        return "\n".join(f"    {_printable(line)}" for line in _lines(super().formatException(ei)))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _unicode(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = "\n".join(map(_unicode, _lines(self.formatException(record.exc_info))))
        return encode(line).decode()


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in _cut(text))


def _unicode(text: str) -> str:
    """Escape what is no text: names of files may have any bytes."""
    return _cut(text).encode(errors="backslashreplace").decode()


def _lines(traceback: str) -> list[str]:
    return traceback.splitlines()[-LONGEST_TRACEBACK:]


class PatientHandler(logging.Handler):
    """Writes lines to a file descriptor from its own thread. Lines that nobody reads are dropped, and never waited for.

    A line that comes again and again is counted; see `repeats`.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._news = threading.Condition()
        """Guards all fields below."""
        self._waiting: deque[tuple[bytes, int]] = deque()
        """The texts to be written, each with how many lines are lost if that fails."""
        self._size = 0
        """The size of the waiting texts in bytes."""
        self._writing = False
        self._dropped = 0
        """How many lines found no room, and are not reported yet."""
        self._failed = 0
        """How many lines could not be written, and are not reported yet."""
        self._torn = False
        """Whether only the beginning of a line has been written."""
        self._repeats = Repeats()
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line to the thread; count it instead if too much waits, or if it repeats too often."""
        try:
            with self._news:
                if self._repeats.admits(record, time.monotonic()):
                    self._add(record)
                self._news.notify()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait a little for all lines to be written, at the end of the process."""
        with self._news:
            for count in self._repeats.rest():
                self._add(count)
            self._news.notify()
            self._news.wait_for(lambda: not self._waiting and not self._writing, FLUSH_SECONDS)

    def _add(self, record: logging.LogRecord, lines: int = 1) -> None:
        """Let a line wait to be written; if it is lost, `lines` count as lost.

        Once one is dropped, all are until half of what waits has been taken: one line says it, in its place.
        """
        if self._dropped or self._size >= MAX_WAITING_BYTES:
            self._dropped += lines
            return
        line = self._line(record)
        self._waiting.append((line, lines))
        self._size += len(line)

    def _confess(self) -> None:
        """Report the dropped lines in their place, as soon as there is room."""
        if self._dropped and self._size <= MAX_WAITING_BYTES // 2:
            dropped, self._dropped = self._dropped, 0
            self._add(_dropped(dropped), dropped)

    def _write(self) -> None:
        while True:
            line, lines = self._next()
            try:
                if self._failed:
                    self._put(b"\n" * self._torn + self._line(_dropped(self._failed)))
                    self._failed = 0
                self._put(line)
            except OSError:  # the reader is gone, or the disk of a log file is full: that may change
                self._failed += lines

    def _next(self) -> tuple[bytes, int]:
        """Wait for the next text to be written."""
        with self._news:
            self._writing = False
            while True:
                now = time.monotonic()
                for count in self._repeats.due(now):
                    self._add(count)
                if self._waiting:
                    break
                self._news.notify_all()  # everything has been written
                due = self._repeats.next_due()
                self._news.wait(None if due is None else max(0.0, due - now))
            line, lines = self._waiting.popleft()
            self._size -= len(line)
            self._writing = True
            self._confess()
            return line, lines

    def _put(self, data: bytes) -> None:
        """Write the whole text, however long that takes. Raises OSError."""
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
                self._torn = bool(data)
            except BlockingIOError:  # the parent process may have made it non-blocking
                select.select([], [self._descriptor], [])

    def _line(self, record: logging.LogRecord) -> bytes:
        return (self.format(record) + "\n").encode(errors="backslashreplace")


def _dropped(lines: int) -> logging.LogRecord:
    what = (
        "lines of the log were dropped: nobody took them"
        if lines > 1
        else "line of the log was dropped: nobody took it"
    )
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, "%d %s", (lines, what), None)


def configure(format: str, level: str) -> None:
    """Log to standard error, as text or JSON, from that level on."""
    handler = PatientHandler(sys.stderr.fileno())
    handler.setFormatter(_Json() if format == "json" else _Text())
    logger = logging.getLogger("trioraft")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
