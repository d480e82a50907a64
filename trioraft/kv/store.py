"""The store: keys with their values and revisions, changed by nothing but commands in log order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from trioraft.kv.commands import Command, Delete, Incr, Put
from trioraft.kv.frozen import Frozen
from trioraft.kv.items import Item, Kept, item_of, keep, renewed, value_size
from trioraft.kv.keys import Keys
from trioraft.kv.results import Conflict, Counted, Deleted, Result, Written

MAX_INTEGER: Final = 2**63 - 1
_INTEGER: Final = re.compile(rb"-?(?:0|[1-9][0-9]{0,18})")


class Store:
    """All keys. Applying is total: no command can fail but by its Result, and equal logs make equal stores."""

    def __init__(self) -> None:
        self._items: dict[str, Kept] = {}
        self._keys = Keys()  # apart from the items: most writes are to keys that exist
        self._apply: dict[type, Callable[[int, Any], Result]] = {
            Put: self._put,
            Delete: self._delete,
            Incr: self._incr,
        }
        self._frozen: Frozen | None = None

    def __len__(self) -> int:
        return len(self._items)

    def apply(self, index: int, command: Command) -> Result:
        """Apply the command of the entry at that index, which is the revision of what it writes."""
        return self._apply[type(command)](index, command)

    def apply_all(self, first: int, commands: Sequence[Command]) -> None:
        """Apply the commands of the entries from that index on, where nobody waits for what comes of them."""
        items, frozen, keys = self._items, self._frozen, self._keys
        find = items.get
        for index, command in enumerate(commands, first):
            if type(command) is not Put or command.if_rev is not None:
                self.apply(index, command)
                continue
            # Most are such puts, of which nothing else can come.
            key = command.key
            old = find(key)
            if frozen is not None:
                frozen.keep(key, old)
            if old is not None:
                items[key] = renewed(old, command.value, index)
            else:
                items[key] = keep(command.value, index, index, 1)
                keys.add(key)

    def get(self, key: str) -> Item | None:
        """The key as it is now."""
        kept = self._items.get(key)
        return None if kept is None else item_of(kept)

    def value_size(self, key: str) -> int:
        """How many bytes the key's value has now; none where it is missing."""
        kept = self._items.get(key)
        return 0 if kept is None else value_size(kept)

    def freeze(self) -> Frozen:
        """A view of all keys as they are now, which stays so. Raises ValueError while there is another."""
        if self._frozen is not None:
            raise ValueError("the store is frozen already")
        self._frozen = Frozen(self._items, self._keys.freeze(), len(self._items), self._thaw)
        return self._frozen

    def _thaw(self) -> None:
        self._frozen = None
        self._keys.thaw()

    def load(self, items: Sequence[tuple[str, Item]]) -> None:
        """Add keys as a snapshot holds them: in order, and beyond all that are there."""
        for key, item in items:
            self._items[key] = keep(item.value, item.rev, item.created, item.version)
            self._keys.add(key)

    def scan(
        self, prefix: str, after: str | None, limit: int, max_bytes: int, keys_only: bool = False
    ) -> tuple[list[tuple[str, Item]], bool]:
        """The keys with that prefix that come after `after`, in order, and whether there are more.

        At most `limit` of them, and at most max_bytes of keys and values, but one in any case. The values do not count
        for who wants the keys only.
        """
        start = prefix if after is None or after < prefix else after
        found: list[tuple[str, Item]] = []
        size = 0
        for key in self._keys.since(start):
            if key == after:
                continue
            if not key.startswith(prefix):
                break
            item = item_of(self._items[key])
            size += len(key.encode()) + (0 if keys_only else len(item.value))
            if len(found) == limit or (found and size > max_bytes):
                return found, True
            found.append((key, item))
        return found, False

    def _put(self, index: int, command: Put) -> Result:
        if command.if_rev is not None and (conflict := _unlike(self.get(command.key), command.if_rev)):
            return conflict
        self.apply_all(index, [Put(command.key, command.value)])
        return Written(index)

    def _delete(self, index: int, command: Delete) -> Result:
        if command.if_rev is not None and (conflict := _unlike(self.get(command.key), command.if_rev)):
            return conflict
        old = self._items.get(command.key)
        if old is None:
            return Deleted(0, 0)
        if self._frozen is not None:
            self._frozen.keep(command.key, old)
        del self._items[command.key]
        self._keys.remove(command.key)
        return Deleted(1, index)

    def _incr(self, index: int, command: Incr) -> Result:
        old = self.get(command.key)
        value = 0
        if old is not None:
            if not _INTEGER.fullmatch(old.value) or abs(int(old.value)) > MAX_INTEGER:
                return _conflict(old, "the value is not an integer, or one too large to count", "put an integer first")
            value = int(old.value)
        value += command.by
        if abs(value) > MAX_INTEGER:
            return _conflict(old, "the sum is beyond 2^63-1", "count with smaller steps, or put a smaller integer")
        self.apply_all(index, [Put(command.key, msgspec.Raw(b"%d" % value))])
        return Counted(value, index)


def _unlike(old: Item | None, rev: int) -> Conflict | None:
    """The conflict, if the key does not have that revision."""
    if (old.rev if old else 0) == rev:
        return None
    if old is None:
        return _conflict(old, f"the key does not exist, and was to have revision {rev}", "if_rev 0 makes a new key")
    wanted = "was not to exist" if rev == 0 else f"was to have revision {rev}"
    return _conflict(old, f"the key has revision {old.rev}, and {wanted}", "read it again and decide anew")


def _conflict(old: Item | None, message: str, hint: str) -> Conflict:
    return Conflict(message, hint, old.rev if old else 0, old.value if old else None)
