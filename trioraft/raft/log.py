"""The log as the core sees it: entries in memory, their terms, and where two logs can agree.

It begins after `base_index`: a snapshot has taken the place of the entries up to there (§7). Syncing is the business
of storage; the core only remembers how far it has come (`Core.durable_index`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from trioraft.raft.messages import Entry
from trioraft.raft.runs import NO_ENTRIES, Entries, Run

SLICE_ENTRIES: Final = 4096
"""The most entries in one message, however small they are."""


class Log:
    """The entries from first_index to last_index, in runs (§5.3)."""

    def __init__(self, entries: Iterable[Entry] = (), base_index: int = 0, base_term: int = 0) -> None:
        """Begin with `entries`, after an entry at `base_index` of term `base_term`; 0 and 0 where there is none."""
        self._runs: list[Run] = []
        self._starts: list[int] = []
        """The first index of each run."""
        self.base_index = base_index
        self.base_term = base_term
        self.last_index = base_index
        """The index of the newest entry; base_index where the log holds none."""
        self.append(Entries.of(entries))

    @property
    def first_index(self) -> int:
        """The index of the oldest entry; last_index + 1 where the log holds none."""
        return self.base_index + 1

    @property
    def last_term(self) -> int:
        """The term of the newest entry; base_term where the log holds none."""
        return self._runs[-1].term if self._runs else self.base_term

    @property
    def newest(self) -> Run | None:
        """The last run; another object once anything was appended or truncated."""
        return self._runs[-1] if self._runs else None

    def entry(self, index: int) -> Entry:
        """The entry at that index. Raises IndexError where the log does not hold it."""
        if not self.base_index < index <= self.last_index:
            raise IndexError(f"entry {index} is not held")
        return self._runs[self._position(index)].entry(index)

    def term_at(self, index: int) -> int | None:
        """The term at that index: 0 at index 0, None before the base and beyond the end."""
        if self.base_index < index <= self.last_index:
            return self._runs[self._position(index)].term
        if index == self.base_index:
            return self.base_term
        return 0 if index == 0 else None

    def run_size(self, index: int) -> int:
        """The size in bytes of the run that holds that index; 0 where the log does not hold it."""
        return self._runs[self._position(index)].size if self.base_index < index <= self.last_index else 0

    def slice(self, first: int, last: int) -> Entries:
        """The entries from first to last, both included, as far as the log holds them."""
        first, last = max(first, self.base_index + 1), min(last, self.last_index)
        if first > last:
            return NO_ENTRIES
        newest = self._runs[-1]
        if first == newest.first and last == newest.last:  # mostly it is this that is asked for
            return Entries([newest])
        runs = self._runs[self._position(first) : self._position(last) + 1]
        runs[0] = runs[0].cut(first, last)
        runs[-1] = runs[-1].cut(first, last)
        return Entries(runs)

    def slice_bytes(self, first: int, max_bytes: int) -> Entries:
        """The entries from first on that fit in max_bytes, one at least."""
        entries = self.slice(first, first + SLICE_ENTRIES - 1)
        if entries.size <= max_bytes:
            return entries
        fitting: list[Run] = []
        for run in entries.runs:
            part = run.fitting(max_bytes)
            if part is None and not fitting:
                part = run.cut(run.first, run.first)
            if part is not None:
                fitting.append(part)
            if part is not run:
                break
            max_bytes -= run.size
        return Entries(fitting)

    def append(self, entries: Entries) -> None:
        """Add entries at the end. Raises ValueError where they do not follow the newest one."""
        if not entries:
            return
        if entries.first_index != self.last_index + 1:
            raise ValueError(f"entry {entries.first_index} does not follow {self.last_index}")
        self._runs += entries.runs
        self._starts += [run.first for run in entries.runs]
        self.last_index = entries.last_index

    def truncate_from(self, index: int) -> None:
        """Drop the entry at that index, which conflicts with the leader's, and all after it (§5.3)."""
        if index <= self.base_index:
            raise ValueError(f"entry {index} is compacted away")
        if index > self.last_index:
            return
        position = self._position(index)
        run = self._runs[position]
        del self._runs[position:], self._starts[position:]
        self.last_index = run.first - 1
        if run.first < index:
            self.append(Entries([run.cut(run.first, index - 1)]))

    def compact(self, index: int) -> list[Run]:
        """Drop the entries up to that index, which the log must hold (§7).

        Return the runs of before: freeing many at once takes time, so the caller does it bit by bit.
        """
        if index <= self.base_index:
            return []
        if index > self.last_index:
            raise IndexError(f"entry {index} is not held")
        kept = self.slice(index + 1, self.last_index)
        before = self._runs
        self.base_term = before[self._position(index)].term
        self.base_index = self.last_index = index
        self._runs, self._starts = [], []
        self.append(kept)
        return before

    def begin_anew(self, base_index: int, base_term: int) -> None:
        """Discard every entry: a snapshot that ends at that index, of that term, takes their place (§7)."""
        self._runs, self._starts = [], []
        self.base_index = self.last_index = base_index
        self.base_term = base_term

    def _position(self, index: int) -> int:
        """The position of the run that holds that index."""
        return bisect_right(self._starts, index) - 1

    def first_conflict(self, entries: Entries) -> int:
        """The position in `entries` of the first one that this log lacks, or holds with another term.

        It is len(entries) where the log holds them all: a late or shorter message must truncate nothing.
        """
        for run in entries.runs:
            for index in range(run.first, run.last + 1):
                if self.term_at(index) != run.term:
                    return index - entries.first_index
        return len(entries)

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Whether a log with that last entry is at least as up to date as this one (§5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def agreement_bound(self, index: int, term: int) -> tuple[int, int]:
        """The last (index, term) at or before `index` whose term is at most `term`.

        Terms never fall along a log, so a log that holds `term` at `index` can agree with this one no later than here.
        Both sides step back by this bound, which skips whole terms at a time (§5.3). Terms before the base are not
        known: where the base's own term is too high, the bound is the index before it, with term 0.
        """
        index = min(index, self.last_index)
        while (held := self.term_at(index)) is not None and held > term:
            index -= 1
        return index, held or 0
