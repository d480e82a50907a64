"""The node's own log: one readable line an event, or one object."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sys
import textwrap
import threading
import time
from types import TracebackType
from typing import Final

from trioraft.wire.codec import encode

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

LONGEST_MESSAGE: Final = 2000
"""In characters; what strangers send stands in some messages."""
MAX_WAITING_LINES: Final = 1000
FLUSH_SECONDS: Final = 1.0
"""How long the end of the process waits for its last words to be taken."""


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """One line, whatever a message quotes: no sender writes lines of its own into the log."""
        text = _cut(record.message)
        record.message = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
        return super().formatMessage(record)

    def formatException(self, ei: ExceptionInfo) -> str:
        """The traceback, indented: no line of it looks like one of the log."""
        return textwrap.indent(super().formatException(ei), "    ", lambda _: True)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return encode(line).decode()


def _cut(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"


class _Patient(logging.Handler):
    """Writes lines to a file descriptor from a thread of its own; what nobody takes is dropped, never waited for."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes] = queue.Queue(MAX_WAITING_LINES)
        self._dropped = 0
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line to the thread, or count it where too many wait."""
        try:
            line = self.format(record) + "\n"
            if self._dropped:
                self._lines.put_nowait(b"%d lines of the log were dropped: nobody took them\n" % self._dropped)
                self._dropped = 0
            self._lines.put_nowait(line.encode(errors="backslashreplace"))
        except queue.Full:
            self._dropped += 1
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait for what has been said to be written, but not for long; at the end of the process too."""
        end = time.monotonic() + FLUSH_SECONDS
        while self._lines.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.005)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            with contextlib.suppress(OSError):  # whoever read it is gone
                while line:
                    line = line[os.write(self._descriptor, line) :]
            self._lines.task_done()


def configure(format: str, level: str) -> None:
    """Log to standard error, as text or json, from that level on."""
    handler = _Patient(sys.stderr.fileno())
    handler.setFormatter(_Json() if format == "json" else _Text())
    logger = logging.getLogger("trioraft")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
