"""The log as the core sees it: entries in memory, their terms, and where two logs could agree.

It begins after `base_index`: what was before has been compacted away, and a snapshot holds what came of it (§7).
What is synced is storage's business; the core only remembers how far (`Core.durable_index`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trioraft.raft.messages import Entry

SLICE_ENTRIES: Final = 4096
"""As many are given out at once, however small they are."""


class Log:
    """The entries from first_index to last_index (§5.3)."""

    def __init__(self, entries: Sequence[Entry] = (), base_index: int = 0, base_term: int = 0) -> None:
        """`entries` follow the entry at `base_index`, of that term; 0 and 0 where nothing precedes them."""
        self._entries: list[Entry] = list(entries)
        self.base_index = base_index
        self.base_term = base_term

    @property
    def first_index(self) -> int:
        """The index of the oldest entry held; last_index + 1 when there is none."""
        return self.base_index + 1

    @property
    def last_index(self) -> int:
        """The index of the newest entry, that of the base when none is held."""
        return self.base_index + len(self._entries)

    @property
    def last_term(self) -> int:
        """The term of the newest entry."""
        return self._entries[-1].term if self._entries else self.base_term

    def entry(self, index: int) -> Entry:
        """The entry at that index, which must be held."""
        if index <= self.base_index:
            raise IndexError(f"entry {index} is compacted away")
        return self._entries[index - self.base_index - 1]

    def term_at(self, index: int) -> int | None:
        """The term of the entry at that index: 0 at index 0; None beyond the log, and before its base."""
        position = index - self.base_index
        if 0 < position <= len(self._entries):
            return self._entries[position - 1].term
        if position == 0:
            return self.base_term
        return 0 if index == 0 else None

    def slice(self, first: int, last: int) -> list[Entry]:
        """The entries from first to last, both included, as far as they are held."""
        base = self.base_index
        return self._entries[max(0, first - base - 1) : max(0, last - base)]

    def slice_bytes(self, first: int, max_bytes: int) -> tuple[list[Entry], int]:
        """The entries from first on, as many as fit in max_bytes, one at least; and their bytes."""
        start = max(0, first - self.base_index - 1)
        entries = self._entries[start : start + SLICE_ENTRIES]
        size = sum([len(entry.line) for entry in entries])
        while size > max_bytes and len(entries) > 1:
            size -= len(entries.pop().line)
        return entries, size

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries at the end; the first must follow the newest one."""
        if entries and entries[0].index != self.last_index + 1:
            raise ValueError(f"entry {entries[0].index} does not follow {self.last_index}")
        self._entries.extend(entries)

    def truncate_from(self, index: int) -> None:
        """Drop the entry at that index and all after it (§5.3: it conflicts with the leader's)."""
        if index <= self.base_index:
            raise ValueError(f"entry {index} is compacted away")
        del self._entries[index - self.base_index - 1 :]

    def compact(self, index: int) -> list[Entry]:
        """Let go of the entries up to that index, which must be held (§7).

        They are given back, and may be followed by others: to free many at once takes its time.
        """
        if index <= self.base_index:
            return []
        term = self.entry(index).term
        before, self._entries = self._entries, self._entries[index - self.base_index :]
        self.base_index, self.base_term = index, term
        return before

    def first_conflict(self, entries: Sequence[Entry]) -> int:
        """The position in `entries` of the first one that this log lacks or holds with another term.

        len(entries) when it holds them all: then a stale or shorter message must truncate nothing.
        """
        for position, entry in enumerate(entries):
            if self.term_at(entry.index) != entry.term:
                return position
        return len(entries)

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Whether a log that ends so is at least as up to date as this one (§5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def agreement_bound(self, index: int, term: int) -> tuple[int, int]:
        """The last (index, term) at or before `index` whose term is at most `term`.

        Terms never fall along a log, so a log that holds `term` at `index` can agree with this one no
        later than here. Both sides step back by it, which skips whole terms at a time (§5.3). What is before the
        base nobody knows: where the base is too new already, the bound is the index before it, with the term 0.
        """
        index = min(index, self.last_index)
        while (held := self.term_at(index)) is not None and held > term:
            index -= 1
        return index, held or 0
