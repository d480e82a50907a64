"""The last changes of keys, in log order: what a watch reads that begins in the past, or that has fallen behind.

The store appends to the two lists of the history with each change, and nothing else. What is beyond the bounds is cut
later, many changes at once. What others see is cut exactly first, so that it depends on the log alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

from trioraft.kv.bounds import HISTORY_BYTES, HISTORY_CHANGES
from trioraft.kv.items import NUMBERS_SIZE, Item, Packed, rev_of, unpack, value_size

_SLACK: Final = 8
"""The lists are cut once they are beyond a bound by its eighth: cutting moves all that is left."""
_FEW: Final = 16
"""Fewer changes than this wait to be measured together with the next, unless the newest is a large one."""
_PIECE: Final = 64
"""At most so many changes are measured as one: within a piece, they are measured one by one where it is cut."""


class Gone(msgspec.Struct, frozen=True, gc=False):
    """The removal of a key at revision `rev`; `by_lease` where the key went with its lease."""

    rev: int
    by_lease: bool = False


class Settings(msgspec.Struct, frozen=True, gc=False):
    """The bounds of the history, and the revision above which it is whole."""

    changes: int
    bytes: int
    first_rev: int


Change = Packed | Gone
"""What a change made of its key: the store's own item, or its removal."""


def revision(change: Change) -> int:
    """The revision of the change."""
    return change.rev if isinstance(change, Gone) else rev_of(change)


class History:
    """The newest changes within two bounds, by whole entries, but at least those of the newest entry.

    A change has a position, which stays the same when older ones are cut.
    """

    def __init__(self) -> None:
        self.keys: list[str] = []
        """The keys that changed, in log order. Whoever appends a key appends its change to `items`."""
        self.items: list[Change] = []
        self.max_changes = HISTORY_CHANGES
        self.max_bytes = HISTORY_BYTES
        self.base = 0
        """How many changes were cut from the lists; the position of the first in them."""
        self._start = 0
        """Where in the lists the changes within the bounds begin, as of the last exact cut."""
        self._ends: list[int] = []
        """The positions behind the pieces that are measured,"""
        self._totals: list[int] = []
        """and the size of all changes up to there, in bytes of keys and values."""
        self._base_total = 0
        """The same for the changes that were cut from the lists,"""
        self._start_total = 0
        """and for those before `_start`."""
        self.floor = 0
        """The revision above which every change is known, as of the last exact cut.

        It lies beyond the log where nobody knows it; then it becomes the index before the next command.
        """

    def begin(self, index: int) -> None:
        """Begin anew: changes up to that index are unknown. Whoever has begun to read them may go on."""
        self._measure()
        self._start = len(self.keys)
        self.floor = index

    def bound(self, changes: int, bytes: int) -> None:
        """Set the bounds. What the former bounds have cut does not come back."""
        self._cut()
        self.max_changes, self.max_bytes = changes, bytes
        self._cut()

    def add(self, key: str, change: Change) -> None:
        """Add a change, the newest."""
        self.keys.append(key)
        self.items.append(change)

    def forget(self, count: int) -> None:
        """Take the newest changes back: none of them was counted or seen."""
        if count:
            del self.keys[-count:], self.items[-count:]

    # For readers

    @property
    def first_rev(self) -> int:
        """The revision above which every change is known: the least `after_rev` that can be resumed from."""
        self._cut()
        return self.floor

    @property
    def first(self) -> int:
        """The position of the first change within the bounds; `end` where there is none."""
        self._cut()
        return self.base + self._start

    @property
    def end(self) -> int:
        """The position that the next change will have."""
        return self.base + len(self.keys)

    def position_after(self, rev: int) -> int:
        """The position of the first change above that revision, which must not be below `first_rev`."""
        self._cut()
        return self.base + bisect_right(self.items, rev, self._start, key=revision)

    def rev_at(self, position: int) -> int:
        """The revision of the change at that position."""
        return revision(self.items[position - self.base])

    def change(self, position: int) -> tuple[str, Change]:
        """The key and the change at that position, which must be from `first` on."""
        return self.keys[position - self.base], self.items[position - self.base]

    @property
    def settings(self) -> Settings:
        """Its bounds and its beginning, as they are now."""
        return Settings(self.max_changes, self.max_bytes, self.first_rev)

    def freeze(self) -> HistoryView:
        """The changes within the bounds, as they are now."""
        self._cut()
        return HistoryView(self.keys[self._start :], self.items[self._start :])

    def restore(self, settings: Sequence[Settings]) -> None:
        """Begin with the settings of a snapshot."""
        for one in settings:
            self.bound(one.changes, one.bytes)
            self.begin(one.first_rev)

    # Cutting

    def trim(self) -> None:
        """Let go of what is beyond the bounds, if it is so much that it pays. To be called after each block."""
        count = len(self.keys)
        if count - self._measured >= _FEW or (count and type(self.items[-1]) is not bytes):
            self._measure()
        elif count <= self.max_changes and not self._start:
            return  # mostly few have come since the last time, and all are within the bounds
        changes, size = self.max_changes, self.max_bytes
        held = self._total - self._base_total
        if len(self.keys) > changes + changes // _SLACK or held > size + size // _SLACK:
            self._cut()
            start = self._start
            self.base += start
            del self.keys[:start], self.items[:start]
            pieces = bisect_right(self._ends, self.base)
            del self._ends[:pieces], self._totals[:pieces]
            self._base_total = self._start_total
            self._start = 0

    @property
    def _measured(self) -> int:
        """How many changes of the lists are measured."""
        return self._ends[-1] - self.base if self._ends else 0

    @property
    def _total(self) -> int:
        """The size of all changes that are measured."""
        return self._totals[-1] if self._totals else self._base_total

    def _measure(self) -> None:
        """Measure the changes that came since the last time."""
        for begin in range(self._measured, len(self.keys), _PIECE):
            end = min(begin + _PIECE, len(self.keys))
            self._totals.append(self._total + self._size(begin, end))
            self._ends.append(self.base + end)

    def _size(self, begin: int, end: int) -> int:
        """The size of these changes of the lists: their keys and values, in bytes."""
        text, items = "".join(self.keys[begin:end]), self.items[begin:end]
        size = len(text) if text.isascii() else len(text.encode())
        try:
            # Those that are packed are small. To put them together takes half the time of asking each for its size.
            return size + len(b"".join(items)) - NUMBERS_SIZE * len(items)  # type: ignore[arg-type]
        except TypeError:  # seldom: not all are packed
            return size + sum(0 if isinstance(item, Gone) else value_size(item) for item in items)

    def _total_before(self, place: int) -> int:
        """The size of all changes before that place in the lists."""
        piece = bisect_left(self._ends, self.base + place)
        if piece == len(self._ends):
            return self._total
        return self._totals[piece] - self._size(place, self._ends[piece] - self.base)

    def _place_of(self, total: int) -> int:
        """The first place in the lists before which the changes have that size, or more."""
        piece = bisect_left(self._totals, total)
        place, found = (self._ends[piece - 1] - self.base, self._totals[piece - 1]) if piece else (0, self._base_total)
        while found < total:
            found += self._size(place, place + 1)
            place += 1
        return place

    def _cut(self) -> None:
        """Move the start to where both bounds hold, over whole entries, and not beyond the newest."""
        self._measure()
        start, end, total = self._start, len(self.keys), self._total
        if end - start <= self.max_changes and total - self._start_total <= self.max_bytes:
            return
        newest = bisect_left(self.items, revision(self.items[-1]), start, key=revision)
        start = max(start, end - self.max_changes, self._place_of(total - self.max_bytes))
        start = min(start, newest)
        if start > self._start:
            self.floor = revision(self.items[start - 1])
            self._start = bisect_right(self.items, self.floor, start, key=revision)
            self._start_total = self._total_before(self._start)


class HistoryView:
    """The changes of one moment, read in slices."""

    def __init__(self, keys: list[str], items: list[Change]) -> None:
        self.count = len(keys)
        """How many changes there are."""
        self._keys = keys
        self._items = items
        self._given = 0

    def next(self, limit: int, enough_bytes: float) -> list[tuple[str, Item | Gone]]:
        """The next changes: at most `limit`, and no more once their values reach `enough_bytes`."""
        given: list[tuple[str, Item | Gone]] = []
        size = 0
        for place in range(self._given, min(self._given + limit, self.count)):
            change = self._items[place]
            item = change if isinstance(change, Gone) else unpack(change)
            given.append((self._keys[place], item))
            size += 0 if isinstance(item, Gone) else len(item.value)
            if size >= enough_bytes:
                break
        self._given += len(given)
        return given

    def close(self) -> None:
        """Release the changes."""
        self._keys, self._items = [], []
