"""A view of all keys as they were at one moment, read in slices while commands go on being applied."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice

from trioraft.kv.items import Item, Packed, unpack


class StoreView:
    """Copy-on-write: the store puts aside the first old item of a key that changes before the view has given it."""

    def __init__(self, items: dict[str, Packed], keys: Iterator[str], count: int, on_close: Callable[[], None]) -> None:
        """`items` is the live dict; `keys` yields the frozen keys in order, `count` of them."""
        self.count = count
        """How many keys there were at that moment."""
        self._items = items
        self._keys = keys
        self._on_close = on_close
        self._given = ""
        """The last key that was given: keys are never empty."""
        self._aside: dict[str, Packed] = {}
        """The old items of keys that changed before they were given."""

    def before_change(self, key: str, old: Packed | None) -> None:
        """The store is about to change this key, which is `old` now."""
        # A key that is missing now was missing at that moment, or was put aside when it was removed.
        if old is not None and key > self._given and key not in self._aside:
            self._aside[key] = old

    def next(self, limit: int, enough_bytes: float = math.inf) -> list[tuple[str, Item]]:
        """The next keys in order: at most `limit`, and no more once their values reach `enough_bytes`.

        Empty once all were given.
        """
        aside, items = self._aside, self._items
        given: list[tuple[str, Item]] = []
        size = 0
        for key in islice(self._keys, limit):
            item = unpack(aside.pop(key) if key in aside else items[key])
            given.append((key, item))
            size += len(item.value)
            if size >= enough_bytes:
                break
        if given:
            self._given = given[-1][0]
        return given

    def close(self) -> None:
        """Let the store go on without putting anything aside."""
        self._aside = {}
        self._on_close()
