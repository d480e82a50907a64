"""The limit on repeated log lines: the first of a kind is written, the others are counted.

Strangers at the port can cause some lines as often as they like, and a log full of them is useless. So this limit holds
for every line, whoever causes it, and for every line that is added to the code later.

A kind is the text of a line with its blanks unfilled, its level, and the place where its exception, if any, was raised.
The subject of a line may be part of its kind: `log.warning("...", extra={"about": peer})`. There must be few subjects:
never one that a stranger chooses.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Final

PERIOD_SECONDS: Final = 60.0
"""How long the lines of a kind are counted before the count is written."""
AT_ONCE: Final = {logging.DEBUG: 20, logging.INFO: 20}
"""How many lines of a kind are written in that time, by level; for other levels one. A node's own life takes more."""
ALWAYS: Final = logging.CRITICAL
"""From this level on, lines are always written: they are a node's last words."""
MOST_KINDS: Final = 500
"""Beyond this many kinds at a time, all others of a level count as one kind."""
REST: Final = "%d more %s like this within the last minute, the last: %s"


class _Kind:
    """The lines of one kind within one period."""

    def __init__(self, until: float, room: int) -> None:
        self.until = until
        self.room = room
        """How many lines may still be written."""
        self.count = 0
        """How many lines were not written."""
        self.name = ""
        self.level = 0
        self.last = ""
        """The text of the last one; its record could keep anything alive."""

    def take_in(self, record: logging.LogRecord) -> None:
        """Count a line that is not written."""
        self.count += 1
        self.name, self.level, self.last = record.name, record.levelno, record.getMessage()

    def summary(self) -> logging.LogRecord:
        """Make the line that reports the count."""
        lines = "line" if self.count == 1 else "lines"
        return logging.LogRecord(self.name, self.level, __file__, 0, REST, (self.count, lines, self.last), None)


class Repeats:
    """The decision which lines are written. Times are in seconds, of any clock that only goes forward."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, _Kind] = {}

    def admits(self, record: logging.LogRecord, now: float) -> bool:
        """Whether this line is written now; if not, it is counted."""
        if record.levelno >= ALWAYS:
            return True
        name = _kind_of(record)
        if name not in self._kinds and len(self._kinds) >= MOST_KINDS:
            name = record.levelno
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = _Kind(now + PERIOD_SECONDS, AT_ONCE.get(record.levelno, 1))
        if kind.room:
            kind.room -= 1
            return True
        kind.take_in(record)
        return False

    def next_due(self) -> float | None:
        """When to call `due`; None if there is nothing to wait for."""
        return min((kind.until for kind in self._kinds.values()), default=None)

    def due(self, now: float) -> list[logging.LogRecord]:
        """The counts that are due, as lines. A kind that goes on is counted further; a quiet one is forgotten."""
        summaries = []
        for name, kind in list(self._kinds.items()):
            if kind.until <= now:
                if kind.count:
                    summaries.append(kind.summary())
                    self._kinds[name] = _Kind(now + PERIOD_SECONDS, AT_ONCE.get(kind.level, 1) - 1)
                else:
                    del self._kinds[name]
        return summaries

    def rest(self) -> list[logging.LogRecord]:
        """All counts as lines, at the end of the process."""
        counted = [kind for kind in self._kinds.values() if kind.count]
        self._kinds.clear()
        return [kind.summary() for kind in counted]


def _kind_of(record: logging.LogRecord) -> Hashable:
    error = record.exc_info[1] if record.exc_info else None
    place = None
    if error is not None:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = (type(error), None if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno))
    return record.name, record.levelno, record.msg, getattr(record, "about", None), place
