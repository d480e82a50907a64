"""The keys in order, at little cost for writers: new keys are sorted when somebody reads.

The keys lie in chunks; a chunk holds all keys from its start up to the start of the next. A new key is put beside the
others of its chunk, unsorted. A chunk is sorted when it is read, and when it has grown too large and is cut in two.
Finding the new key's place at once would touch some ten other keys, of which the processor's caches hold few.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final

MAX_CHUNK: Final = 512
"""A chunk that grows beyond this many keys is cut in two."""


class _Chunk:
    """Neighbouring keys."""

    __slots__ = ("new", "old", "shared")

    def __init__(self, old: list[str], new: list[str]) -> None:
        self.old = old
        """Sorted."""
        self.new = new
        """Not sorted."""
        self.shared = False
        """Whether a frozen view reads it: then it must not change."""

    def in_order(self) -> list[str]:
        """Its keys in order, in the chunk's own list."""
        if self.new:
            self.old += self.new
            self.old.sort()
            self.new = []
        return self.old


class Keys:
    """A set of keys that can be read in order, from any key on."""

    def __init__(self) -> None:
        self._chunks = [_Chunk([], [])]
        self._starts = [""]
        """The least key that a chunk may hold; all keys of the chunk before are smaller."""

    def add(self, key: str) -> None:
        """Add a key that is missing."""
        position = bisect_right(self._starts, key) - 1
        chunk = self._chunks[position]
        if chunk.shared:
            chunk = self._own(position)
        chunk.new.append(key)
        if len(chunk.old) + len(chunk.new) > MAX_CHUNK:
            self._cut(position)

    def remove(self, key: str) -> None:
        """Remove a key that exists."""
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
        """Yield the keys from `start` on, in order. Nothing may be added or removed meanwhile."""
        position = bisect_right(self._starts, start) - 1
        keys = self._chunks[position].in_order()
        yield from keys[bisect_left(keys, start) :]
        for later in range(position + 1, len(self._chunks)):  # a slice of them would be copied for each look
            yield from self._chunks[later].in_order()

    def freeze(self) -> Iterator[str]:
        """Yield all keys as they are now, in order, whatever is added and removed meanwhile. Valid until `thaw`."""
        for chunk in self._chunks:
            chunk.shared = True
        return (key for chunk in list(self._chunks) for key in chunk.in_order())

    def thaw(self) -> None:
        """Release the frozen keys."""
        for chunk in self._chunks:
            chunk.shared = False

    def _own(self, position: int) -> _Chunk:
        """The chunk at that position, to be changed: a copy, where a view reads the old one."""
        chunk = self._chunks[position]
        if chunk.shared:
            chunk = self._chunks[position] = _Chunk(chunk.old.copy(), chunk.new.copy())
        return chunk

    def _cut(self, position: int) -> None:
        keys = self._chunks[position].in_order()
        half = len(keys) // 2
        self._chunks[position : position + 1] = [_Chunk(keys[:half], []), _Chunk(keys[half:], [])]
        self._starts.insert(position + 1, keys[half])
