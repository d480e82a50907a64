"""The ends of the nodes' logs as strips of letters, one entry a letter, below each other by index. Pure.

The letter is the term's, from A on; a capital where the entry is committed. So two logs that differ show it, with and
without colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from trioraft_cli.render import LogRow

MOST_CELLS: Final = 240
"""How many entries of a log are looked at."""
GONE_SECONDS: Final = 5.0
"""How long an entry that was truncated is shown as such."""
SHOWN_BYTES: Final = 400
"""How much of a command is kept."""

State = Literal["committed", "appended", "compacted", "unknown", "gone", "none"]
_SIGNS: Final = {"compacted": ".", "unknown": "?", "gone": "!", "none": " "}


class Cell(msgspec.Struct, frozen=True):
    """One entry's place in one log."""

    state: State
    term: int = 0

    @property
    def sign(self) -> str:
        """The letter, or the sign of a place without a known entry."""
        letter = letter_of(self.term)
        return {"committed": letter.upper(), "appended": letter}.get(self.state) or _SIGNS[self.state]


def letter_of(term: int) -> str:
    """The letter of a term, from 'a' for the first one on; those after 'z' begin anew."""
    return chr(ord("a") + (term - 1) % 26)


class LogTail:
    """What is known of the end of one node's log."""

    def __init__(self) -> None:
        self.first = 1
        self.last = 0
        self.commit = 0
        self.terms: dict[int, int] = {}
        self.commands: dict[int, bytes] = {}
        self._gone: dict[int, float] = {}
        """The entries that were truncated, and when that was noticed."""

    def wanted(self, last: int) -> int:
        """How many of the newest entries are to be asked for, if the log ends at `last` now.

        What was committed cannot change any more, and is not asked for again.
        """
        known = self.commit if last >= self.last else 0
        return max(0, min(MOST_CELLS, last - known))

    def take(self, first: int, last: int, commit: int, rows: Sequence[LogRow], now: float) -> None:
        """Take in that the log reaches from `first` to `last`, and its newest entries, at that time in seconds."""
        if rows:
            last = rows[-1].index
            commit = max([commit, *(row.index for row in rows if row.committed)])
        new = {row.index: row.term for row in rows}
        truncated = [index for index, term in self.terms.items() if index > last or new.get(index, term) != term]
        self._gone |= dict.fromkeys(truncated, now)
        self._gone = {index: at for index, at in self._gone.items() if now - at < GONE_SECONDS}
        oldest = last - MOST_CELLS
        self.terms = {index: term for index, term in {**self.terms, **new}.items() if oldest < index <= last}
        kept = {index: command for index, command in self.commands.items() if oldest < index <= last}
        self.commands = kept | {row.index: bytes(row.command)[:SHOWN_BYTES] for row in rows}
        self.first, self.last, self.commit = first, last, min(commit, last)

    def cells(self, first: int, last: int) -> list[Cell]:
        """The places of these entries."""
        return [self._cell(index) for index in range(first, last + 1)]

    def _cell(self, index: int) -> Cell:
        term = self.terms.get(index)
        if term is not None:
            return Cell("committed" if index <= self.commit else "appended", term)
        if index in self._gone:
            return Cell("gone")
        if index > self.last or index < 1:
            return Cell("none")
        return Cell("compacted" if index < self.first else "unknown")


def ruler(first: int, last: int) -> str:
    """The indexes above a strip: each that is a multiple of ten stands from its place on, where there is room."""
    line = ""
    for index in range(first + -first % 10, last + 1, 10):
        place, number = index - first, str(index)
        if index > 0 and place >= len(line) and place + len(number) <= last - first + 1:
            line = f"{line:{place}}{number} "
    return line.rstrip()


def terms_in(strips: Iterable[Iterable[Cell]]) -> list[int]:
    """The terms in these strips, in order."""
    return sorted({cell.term for strip in strips for cell in strip if cell.term})
