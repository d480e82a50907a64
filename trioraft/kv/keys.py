"""The keys in order, at little cost for those who only write: what is new is put in order when somebody looks.

They lie in chunks, each of which holds what comes before the next one's start. A new key is put beside the others of
its chunk, which are put in order when they are read, or when they have become many and are cut in two. To find its
place at once would touch some ten others, of which the processor's caches hold few.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final

MAX_CHUNK: Final = 512
"""A chunk that grows beyond so many keys is cut in two."""


class _Chunk:
    """Some keys that are neighbours."""

    __slots__ = ("new", "old", "shared")

    def __init__(self, old: list[str], new: list[str]) -> None:
        self.old = old
        """In order."""
        self.new = new
        """In none."""
        self.shared = False
        """Whether a frozen view needs it as it is."""

    def in_order(self) -> list[str]:
        """Its keys in order; the list is the chunk's own."""
        if self.new:
            self.old += self.new
            self.old.sort()
            self.new = []
        return self.old


class Keys:
    """A set of keys that can be gone through in order, from any one on."""

    def __init__(self) -> None:
        self._chunks = [_Chunk([], [])]
        self._starts = [""]
        """No key of a chunk is less than its start, and every key of the one before is."""

    def add(self, key: str) -> None:
        """Add a key that is not there."""
        position = bisect_right(self._starts, key) - 1
        chunk = self._chunks[position]
        if chunk.shared:
            chunk = self._own(position)
        chunk.new.append(key)
        if len(chunk.old) + len(chunk.new) > MAX_CHUNK:
            self._cut(position)

    def remove(self, key: str) -> None:
        """Remove a key that is there."""
        position = bisect_right(self._starts, key) - 1
        chunk = self._own(position)
        place = bisect_left(chunk.old, key)
        if place < len(chunk.old) and chunk.old[place] == key:
            del chunk.old[place]
        else:
            chunk.new.remove(key)
        if not chunk.old and not chunk.new and len(self._chunks) > 1:
            del self._chunks[position]
            del self._starts[position]
            self._starts[0] = ""

    def since(self, start: str) -> Iterator[str]:
        """Those from that one on, in order; nothing may be added or removed meanwhile."""
        position = bisect_right(self._starts, start) - 1
        keys = self._chunks[position].in_order()
        yield from keys[bisect_left(keys, start) :]
        for later in range(position + 1, len(self._chunks)):  # a slice of them would be copied for each look
            yield from self._chunks[later].in_order()

    def freeze(self) -> Iterator[str]:
        """All as they are now, in order, though others be added and removed before they are given: until `thaw`."""
        for chunk in self._chunks:
            chunk.shared = True
        return (key for chunk in list(self._chunks) for key in chunk.in_order())

    def thaw(self) -> None:
        """The frozen view is not needed any more."""
        for chunk in self._chunks:
            chunk.shared = False

    def _own(self, position: int) -> _Chunk:
        """The chunk there, to be changed: a copy, where a view needs that as it is."""
        chunk = self._chunks[position]
        if chunk.shared:
            chunk = self._chunks[position] = _Chunk(chunk.old.copy(), chunk.new.copy())
        return chunk

    def _cut(self, position: int) -> None:
        keys = self._chunks[position].in_order()
        half = len(keys) // 2
        self._chunks[position : position + 1] = [_Chunk(keys[:half], []), _Chunk(keys[half:], [])]
        self._starts.insert(position + 1, keys[half])
