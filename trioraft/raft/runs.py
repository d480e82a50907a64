"""Entries in runs: those that come together are kept, sent and written together.

An object for each entry would cost a busy node more than the work done with it. A `Run` holds many entries in one
piece of bytes: the lines that go to the disk and to the peers as they are. An `Entry` is made on demand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import Final, overload
from zlib import crc32

import msgspec

from trioraft.raft.messages import Entry, Kind

RUN_BYTES: Final = 256 * 1024
"""The most bytes in a run of several entries: taking some of them out takes the whole run apart."""


class Run(msgspec.Struct, gc=False, frozen=True):
    """Successive entries of one term and one kind, one at least."""

    first: int
    """The index of the first entry."""
    last: int
    """The index of the last entry."""
    term: int
    kind: Kind
    data: bytes
    """The lines, each with its newline."""
    crc: int
    """The CRC-32 of `data`, made with it, so that a receiver notices damage done in this node's memory."""

    @property
    def count(self) -> int:
        """The number of entries."""
        return self.last - self.first + 1

    @property
    def size(self) -> int:
        """The size of the lines in bytes, without the newlines."""
        return len(self.data) - (self.last - self.first + 1)

    @property
    def sizes(self) -> list[int]:
        """The size of each line in bytes, without the newline."""
        # A single line may be long: do not copy it.
        return [self.size] if self.count == 1 else list(map(len, self.lines))

    @property
    def lines(self) -> list[bytes]:
        """The lines, without their newlines."""
        return self.data[:-1].split(b"\n")

    def cut(self, first: int, last: int) -> Run:
        """The entries from `first` to `last`, both included; the run must hold some of them."""
        if first <= self.first and last >= self.last:
            return self
        first, last = max(first, self.first), min(last, self.last)
        lines = self.lines[first - self.first : last - self.first + 1]
        data = b"\n".join([*lines, b""])
        return Run(first, last, self.term, self.kind, data, crc32(data))

    def fitting(self, max_bytes: int) -> Run | None:
        """The first entries that fit in max_bytes; None where none does."""
        if self.size <= max_bytes:
            return self
        if self.count == 1:
            return None  # a single line may be long: do not copy it
        count = sum(1 for size in accumulate(map(len, self.lines)) if size <= max_bytes)
        return self.cut(self.first, self.first + count - 1) if count else None

    def entry(self, index: int) -> Entry:
        """The entry at that index, which the run must hold."""
        return Entry(index, self.term, self.kind, self.lines[index - self.first])

    def entries(self) -> Iterator[Entry]:
        """The entries one by one."""
        for index, line in enumerate(self.lines, self.first):
            yield Entry(index, self.term, self.kind, line)


def runs_of(first: int, term: int, kind: Kind, lines: Sequence[bytes]) -> list[Run]:
    """Make one run of these lines, from index `first` on, or several where they are long."""
    if not lines:
        return []
    data = b"\n".join([*lines, b""])
    half = len(lines) // 2
    if len(data) <= RUN_BYTES or not half:
        return [Run(first, first + len(lines) - 1, term, kind, data, crc32(data))]
    return runs_of(first, term, kind, lines[:half]) + runs_of(first + half, term, kind, lines[half:])


class Entries(Sequence[Entry]):
    """Successive entries, in runs."""

    __slots__ = ("_count", "runs")

    def __init__(self, runs: list[Run]) -> None:
        """Hold `runs`, which follow each other and must not change any more."""
        self.runs = runs
        self._count = runs[-1].last - runs[0].first + 1 if runs else 0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Entries:
        """Make runs of successive entries, unless they are in runs already."""
        if isinstance(entries, Entries):
            return entries
        runs: list[Run] = []
        for (term, kind), group in groupby(entries, lambda entry: (entry.term, entry.kind)):
            alike = list(group)
            runs += runs_of(alike[0].index, term, kind, [entry.line for entry in alike])
        return cls(runs)

    @property
    def first_index(self) -> int:
        """The index of the first entry; there must be one."""
        return self.runs[0].first

    @property
    def last_index(self) -> int:
        """The index of the last entry; there must be one."""
        return self.runs[-1].last

    @property
    def last_term(self) -> int:
        """The term of the last entry; there must be one."""
        return self.runs[-1].term

    @property
    def size(self) -> int:
        """The size of the lines in bytes, without the newlines."""
        runs = self.runs
        return runs[0].size if len(runs) == 1 else sum([run.size for run in runs])

    def in_one_piece(self) -> tuple[bytes, int]:
        """The lines, each with its newline, in one piece of bytes, and its CRC-32."""
        if len(self.runs) == 1:
            return self.runs[0].data, self.runs[0].crc
        data = b"".join([run.data for run in self.runs])
        return data, crc32(data)

    def of_kind(self, kind: Kind) -> Iterator[Entry]:
        """The entries of that kind."""
        for run in self.runs:
            if run.kind == kind:
                yield from run.entries()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for run in self.runs:
            yield from run.entries()

    def __reversed__(self) -> Iterator[Entry]:
        for run in reversed(self.runs):
            yield from reversed(list(run.entries()))

    @overload
    def __getitem__(self, place: int) -> Entry: ...

    @overload
    def __getitem__(self, place: slice) -> Entries: ...

    def __getitem__(self, place: int | slice) -> Entry | Entries:
        places = range(self._count)[place]
        if isinstance(places, int):
            index = self.first_index + places
            return next(run for run in self.runs if index <= run.last).entry(index)
        if not places:
            return NO_ENTRIES
        if places.step != 1:
            raise ValueError("entries follow each other")
        first, last = self.first_index + places[0], self.first_index + places[-1]
        return Entries([run.cut(first, last) for run in self.runs if first <= run.last and run.first <= last])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return repr(list(self))


NO_ENTRIES: Final = Entries([])
