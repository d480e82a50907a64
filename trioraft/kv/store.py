"""The store: keys with their values and revisions, changed by nothing but commands in log order."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trioraft.kv.commands import Command, Put
from trioraft.kv.items import Item, Packed, pack, repack, unpack, value_size
from trioraft.kv.keys import Keys
from trioraft.kv.results import Result, Written
from trioraft.kv.view import StoreView


class Store:
    """All keys. Applying is total: a command fails by its result alone, and equal logs make equal stores."""

    def __init__(self) -> None:
        self._items: dict[str, Packed] = {}
        self._keys = Keys()  # apart from the items: most writes are to keys that exist
        self._view: StoreView | None = None

    def __len__(self) -> int:
        return len(self._items)

    def apply_all(self, first: int, commands: Sequence[Command]) -> dict[int, Result]:
        """Apply the commands of the entries from index `first` on; an index is the revision of what it writes.

        The results by index, without those that are simply written: mostly there are none.
        """
        items, view, keys = self._items, self._view, self._keys
        find = items.get
        others: dict[int, Result] = {}
        for index, command in enumerate(commands, first):
            if type(command) is not Put or command.if_rev is not None:
                result = command.apply(self, index)
                if type(result) is not Written:
                    others[index] = result
                continue
            # Most are such puts, and nothing but a write can come of them.
            key = command.key
            old = find(key)
            if view is not None:
                view.before_change(key, old)
            if old is not None:
                items[key] = repack(old, command.value, index)
            else:
                items[key] = pack(command.value, index, index, 1)
                keys.add(key)
        return others

    def put(self, key: str, value: msgspec.Raw, index: int) -> None:
        """Give the key that value; `index` is its new revision."""
        self.apply_all(index, (Put(key, value),))

    def delete(self, key: str) -> None:
        """Remove a key that exists."""
        if self._view is not None:
            self._view.before_change(key, self._items[key])
        del self._items[key]
        self._keys.remove(key)

    def get(self, key: str) -> Item | None:
        """The key as it is now."""
        packed = self._items.get(key)
        return None if packed is None else unpack(packed)

    def value_size(self, key: str) -> int:
        """The size of the key's value now, in bytes; 0 where the key is missing."""
        packed = self._items.get(key)
        return 0 if packed is None else value_size(packed)

    def freeze(self) -> StoreView:
        """A view of all keys as they are now. Raises ValueError while another is open."""
        if self._view is not None:
            raise ValueError("the store is frozen already")
        self._view = StoreView(self._items, self._keys.freeze(), len(self._items), self._thaw)
        return self._view

    def _thaw(self) -> None:
        self._view = None
        self._keys.thaw()

    def load(self, items: Sequence[tuple[str, Item]]) -> None:
        """Add keys in the order of a snapshot, beyond all that are there."""
        for key, item in items:
            self._items[key] = pack(item.value, item.rev, item.created, item.version)
            self._keys.add(key)

    def scan(
        self, prefix: str, after: str | None, limit: int, max_bytes: int, keys_only: bool = False
    ) -> tuple[list[tuple[str, Item]], bool]:
        """The keys with that prefix that come after `after`, in order, and whether there are more.

        At most `limit` keys, and `max_bytes` of keys and values, but one key in any case. With `keys_only` the values
        do not count.
        """
        start = prefix if after is None or after < prefix else after
        found: list[tuple[str, Item]] = []
        size = 0
        for key in self._keys.since(start):
            if key == after:
                continue
            if not key.startswith(prefix):
                break
            item = unpack(self._items[key])
            size += len(key.encode()) + (0 if keys_only else len(item.value))
            if len(found) == limit or (found and size > max_bytes):
                return found, True
            found.append((key, item))
        return found, False
