"""A view of all keys as they were at one moment, taken piece by piece while commands go on being applied."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from sortedcontainers import SortedDict, SortedList

if TYPE_CHECKING:
    from trioraft.kv.store import Item


class Frozen:
    """Copy-on-write: the store keeps aside what it changes, once a key, until the key has been taken."""

    def __init__(self, items: dict[str, Item], keys: SortedList[str], on_close: Callable[[], None]) -> None:
        """`items` and `keys` are the store's own, which go on changing."""
        self.count = len(items)
        """How many keys there were at that moment."""
        self._items = items
        self._keys = keys
        self._on_close = on_close
        self._taken = ""
        """The last key that was taken: keys are never empty."""
        self._done = False
        self._aside: SortedDict[str, Item | None] = SortedDict()
        """What changed before it was taken, as it was; None where there was no such key."""

    def keep(self, key: str, old: Item | None) -> None:
        """The store is about to change this key, which is `old` now."""
        if not self._done and key > self._taken and key not in self._aside:
            self._aside[key] = old

    def take(self, limit: int) -> list[tuple[str, Item]]:
        """The next keys, in order; none when all were given."""
        taken: list[tuple[str, Item]] = []
        while not taken and not self._done:
            keys = list(islice(self._keys.irange(self._taken, None, (False, True)), limit))
            if len(keys) < limit:
                self._done = True
                aside = list(self._aside.irange(self._taken, None, (False, True)))
            else:
                aside = list(self._aside.irange(self._taken, keys[-1], (False, True)))
            changed = {key: self._aside.pop(key) for key in aside}
            for key in sorted({*keys, *changed}) if changed else keys:
                item = changed[key] if key in changed else self._items[key]
                if item is not None:
                    taken.append((key, item))
            if keys:
                self._taken = keys[-1]
        return taken

    def close(self) -> None:
        """Nothing is kept aside any more."""
        self._done = True
        self._aside.clear()
        self._on_close()
