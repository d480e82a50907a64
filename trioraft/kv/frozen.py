"""A view of all keys as they were at one moment, taken piece by piece while commands go on being applied."""

from __future__ import annotations

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

    def take(self, limit: int) -> list[tuple[str, Item]]:
        """The next keys, in order; none when all were given."""
        keys = list(islice(self._keys, limit))
        if not keys:
            return []
        self._taken = keys[-1]
        aside, items = self._aside, self._items
        if not aside:
            return [(key, item_of(items[key])) for key in keys]
        return [(key, item_of(aside.pop(key) if key in aside else items[key])) for key in keys]

    def close(self) -> None:
        """Nothing is kept aside any more."""
        self._aside = {}
        self._on_close()
