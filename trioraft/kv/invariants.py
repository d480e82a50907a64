"""The invariants of a store after every command, and a checksum by which two stores can be compared."""

from __future__ import annotations

import zlib
from typing import Final

from trioraft.kv.store import Store

_ALL: Final = 2**62


class BrokenStore(AssertionError):
    """The store is not what commands can have made it."""


def digest(store: Store, index: int) -> int:
    """A checksum of the whole store as of that index, checked on the way: equal stores have equal ones."""
    items, more = store.scan("", None, _ALL, _ALL)
    if more or len(items) != len(store):
        raise BrokenStore(f"it says that it holds {len(store)} keys, and lists {len(items)}")
    checksum = 0
    before = ""
    for key, item in items:
        if not before < key:
            raise BrokenStore(f"{key!r} comes after {before!r}")
        if not (1 <= item.created <= item.rev <= index and 1 <= item.version <= item.rev - item.created + 1):
            raise BrokenStore(f"{key!r} at index {index}: {item}")
        line = b"%b %b %d %d %d" % (key.encode(), item.value, item.rev, item.created, item.version)
        checksum = zlib.crc32(line, checksum)
        before = key
    return checksum
