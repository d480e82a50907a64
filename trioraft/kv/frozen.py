"""A view of all keys as they were at one moment, taken piece by piece while commands go on being applied."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice

from trioraft.kv.items import Item, Kept, item_of


class Frozen:
    """Copy-on-write: the store keeps aside what it changes, once a key, until the key has been taken."""

    def __init__(self, items: dict[str, Kept], keys: Iterator[str], count: int, on_close: Callable[[], None]) -> None:
        """`items` are the store's own, which go on changing; `keys` are in order, so many, and do not change."""
        self.count = count
        """How many keys there were at that moment."""
        self._items = items
        self._keys = keys
        self._on_close = on_close
        self._taken = ""
        """The last key that was taken: keys are never empty."""
        self._aside: dict[str, Kept] = {}
        """What changed before it was taken, as it was."""

    def keep(self, key: str, old: Kept | None) -> None:
        """The store is about to change this key, which is `old` now."""
        # A key that is not there now is no key of that moment, or was kept when it went.
        if old is not None and key > self._taken and key not in self._aside:
            self._aside[key] = old

    def take(self, limit: int, enough_bytes: float = math.inf) -> list[tuple[str, Item]]:
        """The next keys, in order, until their values come to `enough_bytes`; none when all were given."""
        aside, items = self._aside, self._items
        taken: list[tuple[str, Item]] = []
        size = 0
        for key in islice(self._keys, limit):
            item = item_of(aside.pop(key) if key in aside else items[key])
            taken.append((key, item))
            size += len(item.value)
            if size >= enough_bytes:
                break
        if taken:
            self._taken = taken[-1][0]
        return taken

    def close(self) -> None:
        """Nothing is kept aside any more."""
        self._aside = {}
        self._on_close()
