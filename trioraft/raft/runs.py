"""Entries by the run: what came together is kept, sent and written together.

An object for each entry would cost a busy node more than what is done with it. A `Run` holds many in one piece of
bytes, the very lines that go to the disk and to the peers; an `Entry` is made of it when somebody asks for that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import Final, overload
from zlib import crc32

import msgspec

from trioraft.raft.messages import Entry, Kind

RUN_BYTES: Final = 256 * 1024
"""A run of several has at most so many bytes: it is taken apart where only some of it are asked for."""


class Run(msgspec.Struct, gc=False, frozen=True):
    """Entries of one term and one kind that follow each other, one at least."""

    first: int
    """The index of the first."""
    last: int
    """The index of the last one."""
    term: int
    kind: Kind
    data: bytes
    """Their lines, each with its newline."""
    crc: int
    """The CRC-32 of that, made when it was: should it be damaged in memory, whoever is sent it as it is sees that."""

    @property
    def count(self) -> int:
        """How many they are."""
        return self.last - self.first + 1

    @property
    def size(self) -> int:
        """The bytes of their lines, without the newlines."""
        return len(self.data) - self.count

    @property
    def sizes(self) -> list[int]:
        """The bytes of each line, without the newline."""
        return [self.size] if self.count == 1 else list(map(len, self.lines))  # one may be long, and is not copied

    @property
    def lines(self) -> list[bytes]:
        """Their lines."""
        return self.data[:-1].split(b"\n")

    def cut(self, first: int, last: int) -> Run:
        """Those from the one index to the other, of which some must be in it."""
        if first <= self.first and last >= self.last:
            return self
        first, last = max(first, self.first), min(last, self.last)
        lines = self.lines[first - self.first : last - self.first + 1]
        data = b"\n".join([*lines, b""])
        return Run(first, last, self.term, self.kind, data, crc32(data))

    def fitting(self, max_bytes: int) -> Run | None:
        """The first of them, as many as fit; None where that is none."""
        if self.size <= max_bytes:
            return self
        if self.count == 1:
            return None  # it may be long, and is not to be copied for that
        count = sum(1 for size in accumulate(map(len, self.lines)) if size <= max_bytes)
        return self.cut(self.first, self.first + count - 1) if count else None

    def entry(self, index: int) -> Entry:
        """The one at that index, which must be in it."""
        return Entry(index, self.term, self.kind, self.lines[index - self.first])

    def entries(self) -> Iterator[Entry]:
        """One after the other."""
        for index, line in enumerate(self.lines, self.first):
            yield Entry(index, self.term, self.kind, line)


def runs_of(first: int, term: int, kind: Kind, lines: Sequence[bytes]) -> list[Run]:
    """These lines, from that index on, as one run, or as several where they are long."""
    if not lines:
        return []
    data = b"\n".join([*lines, b""])
    half = len(lines) // 2
    if len(data) <= RUN_BYTES or not half:
        return [Run(first, first + len(lines) - 1, term, kind, data, crc32(data))]
    return runs_of(first, term, kind, lines[:half]) + runs_of(first + half, term, kind, lines[half:])


class Entries(Sequence[Entry]):
    """Entries that follow each other, in runs."""

    __slots__ = ("_count", "runs")

    def __init__(self, runs: list[Run]) -> None:
        """`runs` follow each other, and are not changed any more."""
        self.runs = runs
        self._count = runs[-1].last - runs[0].first + 1 if runs else 0

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Entries:
        """Entries that follow each other, however they are kept."""
        if isinstance(entries, Entries):
            return entries
        runs: list[Run] = []
        for (term, kind), group in groupby(entries, lambda entry: (entry.term, entry.kind)):
            alike = list(group)
            runs += runs_of(alike[0].index, term, kind, [entry.line for entry in alike])
        return cls(runs)

    @property
    def first_index(self) -> int:
        """The index of the first; there must be one."""
        return self.runs[0].first

    @property
    def last_index(self) -> int:
        """The index of the last; there must be one."""
        return self.runs[-1].last

    @property
    def last_term(self) -> int:
        """The term of the last; there must be one."""
        return self.runs[-1].term

    @property
    def size(self) -> int:
        """The bytes of their lines, without the newlines."""
        return sum([run.size for run in self.runs])

    def in_one_piece(self) -> tuple[bytes, int]:
        """Their lines, each with its newline, and the CRC-32 of that."""
        if len(self.runs) == 1:
            return self.runs[0].data, self.runs[0].crc
        data = b"".join([run.data for run in self.runs])
        return data, crc32(data)

    def of_kind(self, kind: Kind) -> Iterator[Entry]:
        """Those of that kind."""
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
