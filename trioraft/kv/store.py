"""The store: keys, leases, locks and the history of the keys, changed by nothing but commands in log order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, takewhile

import msgspec

from trioraft.kv.commands import Command, Put
from trioraft.kv.history import Gone, History
from trioraft.kv.items import (
    LARGE_VALUE,
    Item,
    Packed,
    created_and_version,
    lease_of,
    pack,
    pack_numbers,
    repack,
    rev_of,
    unpack,
    value_size,
)
from trioraft.kv.keys import Keys
from trioraft.kv.leases import Leases
from trioraft.kv.locks import Locks
from trioraft.kv.results import Result, Written
from trioraft.kv.view import StoreView


class Store:
    """The whole state. Applying is total: a command fails by its result alone, and equal logs make equal stores."""

    def __init__(self) -> None:
        self.leases = Leases()
        self.locks = Locks(self.leases)
        self.history = History()
        self._items: dict[str, Packed] = {}
        self._keys = Keys()  # apart from the items: most writes are to keys that exist
        self._view: StoreView | None = None
        self._undo: list[tuple[str, Packed | None]] | None = None
        """Each key changed since `begin`, as it was before; None where nothing is to be taken back."""

    def __len__(self) -> int:
        return len(self._items)

    def apply_all(self, first: int, commands: Sequence[Command]) -> dict[int, Result]:
        """Apply the commands of the entries from index `first` on; an index is the revision of what it writes.

        The results by index, without those that are simply written: mostly there are none.
        """
        items, view, keys, leases, history = self._items, self._view, self._keys, self.leases, self.history
        find, note_key, note_item = items.get, history.keys.append, history.items.append
        others: dict[int, Result] = {}
        new: Packed
        if first <= history.floor:
            history.floor = first - 1
        for index, command in enumerate(commands, first):
            if type(command) is not Put or command.if_rev is not None or command.lease is not None:
                result = command.apply(self, index)
                if type(result) is not Written:
                    others[index] = result
                continue
            # Most are such puts, and nothing but a write can come of them.
            key, value = command.key, command.value
            old = find(key)
            if view is not None:
                view.before_change(key, old)
            if old is None:
                keys.add(key)
                created, version = index, 1
            elif type(old) is bytes:
                created, version = created_and_version(old)
                version += 1
            else:
                assert isinstance(old, Item)
                if old.lease:
                    leases.untie(old.lease, key)
                created, version = old.created, old.version + 1
            # `pack` does the same, but a call for each put takes longer than all of it.
            items[key] = new = (
                pack_numbers(index, created, version) + value
                if len(value) < LARGE_VALUE
                else pack(value, index, created, version)
            )
            note_key(key)
            note_item(new)
        history.trim()
        return others

    def put(self, key: str, value: msgspec.Raw, index: int, lease: int) -> None:
        """Give the key that value, tied to a lease that lives, or to none: 0; `index` is its new revision."""
        old = self._items.get(key)
        new = pack(value, index, index, 1, lease) if old is None else repack(old, value, index, lease)
        self._set(key, new)
        self.history.add(key, new)

    def delete(self, key: str, index: int, by_lease: bool = False) -> None:
        """Remove a key that exists; `index` is the revision of its removal."""
        self._set(key, None)
        self.history.add(key, Gone(index, by_lease))

    def _set(self, key: str, new: Packed | None) -> None:
        """Let the key be that item, or missing; all but the history is told of it."""
        old = self._items.get(key)
        if self._view is not None:
            self._view.before_change(key, old)
        if self._undo is not None:
            self._undo.append((key, old))
        if lease := lease_of(old):
            self.leases.untie(lease, key)
        if lease := lease_of(new):
            self.leases.tie(lease, key)
        if new is not None:
            self._items[key] = new
            if old is None:
                self._keys.add(key)
        elif old is not None:
            del self._items[key]
            self._keys.remove(key)

    def end(self, leases: Sequence[int], index: int) -> int:
        """End those of these leases that live, with their keys and locks; gives the number of keys.

        All end before a lock passes on: it must not pass on to one that ends with them.
        """
        ended = self.leases.end(leases)
        keys = sorted([key for _, lease in ended for key in lease.keys])
        for key in keys:
            self.delete(key, index, by_lease=True)
        self.locks.end(ended, index)
        return len(keys)

    def begin(self) -> None:
        """Begin changes that can be taken back."""
        self._undo = []

    def commit(self) -> bool:
        """Keep the changes since `begin`; whether there are any."""
        changed, self._undo = bool(self._undo), None
        return changed

    def roll_back(self) -> None:
        """Take the changes since `begin` back."""
        undo, self._undo = self._undo or [], None
        for key, old in reversed(undo):
            self._set(key, old)
        self.history.forget(len(undo))

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
            self._items[key] = pack(item.value, item.rev, item.created, item.version, item.lease)
            self._keys.add(key)
            if item.lease:
                self.leases.tie(item.lease, key)

    def load_history(self, changes: Sequence[tuple[str, Item | Gone]]) -> None:
        """Add changes in the order of a snapshot, after all keys. What a key is now shares the key's own item."""
        for key, change in changes:
            if isinstance(change, Gone):
                self.history.add(key, change)
                continue
            now = self._items.get(key)
            if now is None or rev_of(now) != change.rev:
                now = pack(change.value, change.rev, change.created, change.version, change.lease)
            self.history.add(key, now)

    def keys(self, prefix: str, limit: int) -> tuple[list[str], bool]:
        """The first keys with that prefix, at most `limit`, and whether there are more."""
        keys = list(islice(takewhile(lambda key: key.startswith(prefix), self._keys.since(prefix)), limit + 1))
        return keys[:limit], len(keys) > limit

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
