"""The log as the core sees it: entries in memory, their terms, and where two logs could agree.

What is synced is storage's business; the core only remembers how far (`Core.durable_index`).
"""

from __future__ import annotations

from collections.abc import Sequence

from trioraft.raft.messages import Entry


class Log:
    """The entries from index 1 to last_index (§5.3)."""

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self._entries: list[Entry] = list(entries)

    @property
    def first_index(self) -> int:
        """The index of the oldest entry held; last_index + 1 when there is none."""
        return 1

    @property
    def last_index(self) -> int:
        """The index of the newest entry, 0 when there is none."""
        return len(self._entries)

    @property
    def last_term(self) -> int:
        """The term of the newest entry, 0 when there is none."""
        return self._entries[-1].term if self._entries else 0

    def entry(self, index: int) -> Entry:
        """The entry at that index, which must be held."""
        return self._entries[index - 1]

    def term_at(self, index: int) -> int | None:
        """The term of the entry at that index: 0 at index 0, None beyond the log."""
        if index == 0:
            return 0
        if 0 < index <= len(self._entries):
            return self._entries[index - 1].term
        return None

    def slice(self, first: int, last: int) -> list[Entry]:
        """The entries from first to last, both included."""
        return self._entries[first - 1 : last]

    def slice_bytes(self, first: int, max_bytes: int) -> tuple[list[Entry], int]:
        """The entries from first on, as many as fit in max_bytes and at least one; and their bytes."""
        size = 0
        last = first - 1
        for last in range(first, len(self._entries) + 1):
            size += len(self._entries[last - 1].line)
            if size > max_bytes and last > first:
                size -= len(self._entries[last - 1].line)
                last -= 1
                break
        return self.slice(first, last), size

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries at the end; the first must follow the newest one."""
        if entries and entries[0].index != self.last_index + 1:
            raise ValueError(f"entry {entries[0].index} does not follow {self.last_index}")
        self._entries.extend(entries)

    def truncate_from(self, index: int) -> None:
        """Drop the entry at that index and all after it (§5.3: it conflicts with the leader's)."""
        del self._entries[index - 1 :]

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
        later than here. Both sides step back by it, which skips whole terms at a time (§5.3).
        """
        index = min(index, self.last_index)
        while index > 0 and self._entries[index - 1].term > term:
            index -= 1
        return index, self.term_at(index) or 0
