"""The node's own log: one readable line an event, or one object."""

from __future__ import annotations

import logging
import sys
import textwrap
import time
from types import TracebackType
from typing import Final

from trioraft.wire.codec import encode

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

LONGEST_MESSAGE: Final = 2000
"""In characters; what strangers send stands in some messages."""


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


def configure(format: str, level: str) -> None:
    """Log to standard error, as text or json, from that level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if format == "json" else _Text())
    logger = logging.getLogger("trioraft")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
