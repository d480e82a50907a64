"""The invariants of a store after every command, and a checksum by which two stores can be compared."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from typing import Final

from trioraft.kv.history import Change, Gone, History, revision
from trioraft.kv.items import unpack
from trioraft.kv.locks import Lock
from trioraft.kv.store import Store

_ALL: Final = 2**62


class BrokenStore(AssertionError):
    """The store is not what commands can have made it."""


def digest(store: Store, index: int, known: KnownHistory | None) -> int:
    """A checksum of the whole store as of that index, checked on the way: equal stores have equal ones.

    Without `known`, the history is left out: at level 1 it is not a part of what is replicated.
    """
    checksum = 0
    for lines in (_keys(store, index), _leases(store, index), _locks(store, index)):
        for line in lines:
            checksum = zlib.crc32(line, checksum)
    return checksum if known is None else zlib.crc32(known.look(store, index), checksum)


def _keys(store: Store, index: int) -> Iterator[bytes]:
    items, more = store.scan("", None, _ALL, _ALL)
    if more or len(items) != len(store):
        raise BrokenStore(f"it says that it holds {len(store)} keys, and lists {len(items)}")
    before = ""
    for key, item in items:
        if not before < key:
            raise BrokenStore(f"{key!r} comes after {before!r}")
        if not (1 <= item.created <= item.rev <= index and 1 <= item.version <= item.rev - item.created + 1):
            raise BrokenStore(f"{key!r} at index {index}: {item}")
        if item.lease:
            lease = store.leases.get(item.lease)
            if lease is None or key not in lease.keys:
                raise BrokenStore(f"{key!r} names lease {item.lease}, which does not have it")
        yield b"%b %b %d %d %d %d" % (key.encode(), item.value, item.rev, item.created, item.version, item.lease)
        before = key


def _leases(store: Store, index: int) -> Iterator[bytes]:
    before = 0
    for number, ttl_ms in store.leases.freeze():
        lease = store.leases.get(number)
        if lease is None or not before < number <= index:
            raise BrokenStore(f"lease {number} comes after {before} at index {index}")
        for key in lease.keys:
            item = store.get(key)
            if item is None or item.lease != number:
                raise BrokenStore(f"lease {number} has {key!r}, which is {item}")
        for name in lease.locks:
            lock = store.locks.get(name)
            if lock is None or (lock.lease != number and number not in lock.queue):
                raise BrokenStore(f"lease {number} has a place at lock {name!r}, which is {lock}")
        yield b"%d %d" % (number, ttl_ms)
        before = number


def _locks(store: Store, index: int) -> Iterator[bytes]:
    for name, lock in store.locks.freeze():
        _check_lock(store, name, lock, index)
        yield b"%b %d %d %d" % (name.encode(), lock.lease, lock.fence, lock.entry)
        for number, place in lock.queue.items():
            yield b"%d %d %d" % (number, place.since, place.entry)


def _check_lock(store: Store, name: str, lock: Lock, index: int) -> None:
    if lock.lease in lock.queue:
        raise BrokenStore(f"lock {name!r} is held by lease {lock.lease}, which waits for it")
    for number in (lock.lease, *lock.queue):
        lease = store.leases.get(number)
        if lease is None or name not in lease.locks:
            raise BrokenStore(f"lock {name!r} names lease {number}, which does not have it")
    sinces = [place.since for place in lock.queue.values()]
    if sinces != sorted(set(sinces)) or not all(place.since <= place.entry for place in lock.queue.values()):
        raise BrokenStore(f"the queue of lock {name!r} is not in order: {lock.queue}")
    if not max([lock.fence, lock.entry, *[place.entry for place in lock.queue.values()]]) <= index:
        raise BrokenStore(f"lock {name!r} at index {index}: {lock}")


class KnownHistory:
    """The history of a store, as far as it was looked at: each change is looked at once."""

    def __init__(self) -> None:
        self._history: History | None = None
        self._forget()

    def _forget(self) -> None:
        self._first = 0
        """The position of the first known change."""
        self._known: deque[tuple[int, int]] = deque()
        """The size and a checksum of each known change."""
        self._size = self._sum = 0
        """The sums of both."""
        self._last = (0, 0)
        """The revision of the last known change, and its number among those of that revision."""

    def look(self, store: Store, index: int) -> bytes:
        """Look at what is new. The line stands for the whole history; one that is not as it should be is an error."""
        history = store.history
        if history is not self._history:
            self._forget()
            self._history = history
        while self._known and self._first < history.first:
            size, checksum = self._known.popleft()
            self._first += 1
            self._size -= size
            self._sum -= checksum
        if not self._known:
            self._first = history.first
        new = range(self._first + len(self._known), history.end)
        for position in new:
            self._add(*history.change(position))
        self._check(history, index)
        for key, change in dict(map(history.change, new)).items():
            item = store.get(key)
            if (None if isinstance(change, Gone) else unpack(change)) != item:
                raise BrokenStore(f"the history ends with {change!r} for {key!r}, which is {item}")
        return b"%d %d %d %d" % (history.max_changes, history.max_bytes, history.first_rev, self._sum)

    def _add(self, key: str, change: Change) -> None:
        rev, number = revision(change), 1
        if rev < self._last[0]:
            raise BrokenStore(f"{key!r} changes at {rev} after {self._last[0]}")
        if rev == self._last[0]:
            number += self._last[1]
        self._last = rev, number
        if isinstance(change, Gone):
            value, what = b"", b"%d" % change.by_lease
        else:
            item = unpack(change)
            value, what = item.value, b"%b %d %d %d" % (item.value, item.created, item.version, item.lease)
        name = key.encode()
        checksum = zlib.crc32(b"%b %d %d %b" % (name, rev, number, what))
        self._known.append((len(name) + len(value), checksum))
        self._size += len(name) + len(value)
        self._sum += checksum

    def _check(self, history: History, index: int) -> None:
        """Check the bounds, which only the newest entry may exceed, and the ends."""
        if history.first == history.end:
            return
        first, last = history.rev_at(history.first), history.rev_at(history.end - 1)
        fits = len(self._known) <= history.max_changes and self._size <= history.max_bytes
        if not fits and first != last:
            raise BrokenStore(f"the history holds {len(self._known)} changes with {self._size} bytes")
        if not history.first_rev < first <= last <= index:
            raise BrokenStore(f"the history from {history.first_rev} holds {first} to {last} at index {index}")
