"""Lines of the log that come again and again: the first of a kind is written, the others are counted.

Whoever reaches the port can cause some lines as often as it likes, and a log that they fill tells nobody anything. So
this holds for every line, whoever causes it, and for those that are yet to be written into the code.

A kind is what a line says before anything is put into its blanks, its level and, of an exception, where that was
raised. What a line is about may be part of its kind: `log.warning("...", extra={"about": peer})`. That has to be one of
few: never what a stranger chooses.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Final

PERIOD_SECONDS: Final = 60.0
"""How long the lines of a kind are counted before the count is written."""
AT_ONCE: Final = {logging.DEBUG: 20, logging.INFO: 20}
"""How many lines of a kind are written in that time, by level; of other levels one. A node's own life is some more."""
ALWAYS: Final = logging.CRITICAL
"""From this level on lines are always written: a node's last words."""
MOST_KINDS: Final = 500
"""Beyond that many kinds at a time, all others of a level are one kind."""
REST: Final = "%d more %s like this within the last minute, the last: %s"


class _Kind:
    """The lines of one kind within one period."""

    def __init__(self, until: float, room: int) -> None:
        self.until = until
        self.room = room
        """How many may yet be written."""
        self.count = 0
        """Of those that were not written."""
        self.name = ""
        self.level = 0
        self.last = ""
        """What the last of them says; the record itself could hold anything alive."""

    def take_in(self, record: logging.LogRecord) -> None:
        """Count one that is not written."""
        self.count += 1
        self.name, self.level, self.last = record.name, record.levelno, record.getMessage()

    def summary(self) -> logging.LogRecord:
        """The line that says how many there were."""
        lines = "line" if self.count == 1 else "lines"
        return logging.LogRecord(self.name, self.level, __file__, 0, REST, (self.count, lines, self.last), None)


class Repeats:
    """Which lines are to be written. Times are in seconds, of any clock that only goes forward."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, _Kind] = {}

    def admits(self, record: logging.LogRecord, now: float) -> bool:
        """Whether this line is to be written now; else it is counted."""
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
        """When `due` is to be called; None where there is nothing to wait for."""
        return min((kind.until for kind in self._kinds.values()), default=None)

    def due(self, now: float) -> list[logging.LogRecord]:
        """The counts whose time has come, as lines. What goes on is counted on; what was quiet is forgotten."""
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
        """All counts, as lines: there is no time left to wait for."""
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
