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
"""In characters; what strangers send stands in some messages."""
LONGEST_TRACEBACK: Final = 200
"""In lines, the last ones: those tell what was raised, and where."""
MAX_WAITING_BYTES: Final = 256 * 1024
"""How much waits at most for who reads the log."""
FLUSH_SECONDS: Final = 1.0
"""How long the end of the process waits for its last words to be taken."""


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """One line, whatever a message quotes: no sender writes lines of its own into the log."""
        record.message = _printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: ExceptionInfo) -> str:
        """The traceback, indented: no line of it looks like one of the log."""
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
    """The same, with what is none escaped: names of files may have any bytes."""
    return _cut(text).encode(errors="backslashreplace").decode()


def _lines(traceback: str) -> list[str]:
    return traceback.splitlines()[-LONGEST_TRACEBACK:]


class PatientHandler(logging.Handler):
    """Writes lines to a file descriptor from a thread of its own; what nobody takes is dropped, never waited for.

    A line that comes again and again is counted; see `repeats`.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._news = threading.Condition()
        """Guards all that follows."""
        self._waiting: deque[tuple[bytes, int]] = deque()
        """What is to be written, and how many lines are lost where that fails."""
        self._size = 0
        """Of what waits, in bytes."""
        self._writing = False
        self._dropped = 0
        """Lines for which there was no room, and of which nothing has been said yet."""
        self._failed = 0
        """Lines that could not be written, likewise."""
        self._torn = False
        """Whether the beginning of a line has been written, and not its end."""
        self._repeats = Repeats()
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line to the thread, or count it where too much waits, or where it is said again and again."""
        try:
            with self._news:
                if self._repeats.admits(record, time.monotonic()):
                    self._add(record)
                self._news.notify()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait for what has been said to be written, but not for long: for the end of the process."""
        with self._news:
            for count in self._repeats.rest():
                self._add(count)
            self._news.notify()
            self._news.wait_for(lambda: not self._waiting and not self._writing, FLUSH_SECONDS)

    def _add(self, record: logging.LogRecord, lines: int = 1) -> None:
        """Let a line wait to be written; its loss would be that of so many.

        Once one is dropped, all are until half of what waits has been taken: one line says it, in its place.
        """
        if self._dropped or self._size >= MAX_WAITING_BYTES:
            self._dropped += lines
            return
        line = self._line(record)
        self._waiting.append((line, lines))
        self._size += len(line)

    def _confess(self) -> None:
        """Say in its place how much was dropped, as soon as there is room for that."""
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
            except OSError:  # whoever read it is gone, or it is a file and the disk full: that may change
                self._failed += lines

    def _next(self) -> tuple[bytes, int]:
        """Wait for what is to be written next."""
        with self._news:
            self._writing = False
            while True:
                now = time.monotonic()
                for count in self._repeats.due(now):
                    self._add(count)
                if self._waiting:
                    break
                self._news.notify_all()  # all has been written
                due = self._repeats.next_due()
                self._news.wait(None if due is None else max(0.0, due - now))
            line, lines = self._waiting.popleft()
            self._size -= len(line)
            self._writing = True
            self._confess()
            return line, lines

    def _put(self, data: bytes) -> None:
        """Write it all, however long that takes. Raises OSError."""
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
                self._torn = bool(data)
            except BlockingIOError:  # whoever started this process may have made it so
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
    """Log to standard error, as text or json, from that level on."""
    handler = PatientHandler(sys.stderr.fileno())
    handler.setFormatter(_Json() if format == "json" else _Text())
    logger = logging.getLogger("trioraft")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
