"""The queries of the key-value store, and its answers. A key alone asks for its item, None where it is missing."""

from __future__ import annotations

import msgspec

from trioraft.kv.items import Item
from trioraft.kv.results import Done, Failure
from trioraft.kv.transactions import Txn


class ScanQuery(msgspec.Struct, frozen=True, gc=False):
    """A query for the keys with that prefix after `after`, in order, at most `limit`; with `keys_only` no values."""

    prefix: str
    after: str | None
    limit: int
    keys_only: bool


class Page(msgspec.Struct, frozen=True, gc=False):
    """The answer to a scan: keys in order, and whether there are more."""

    items: list[tuple[str, Item]]
    more: bool
    keys_only: bool
    """Whether the values were not asked for."""


class LocksQuery(msgspec.Struct, frozen=True, gc=False):
    """A query for the locks after `after`, in order, at most `limit`."""

    after: str | None
    limit: int


class LockItem(msgspec.Struct, frozen=True, gc=False):
    """A lock as readers see it."""

    name: str
    lease: int
    fence: int
    waiters: int


class LockPage(msgspec.Struct, frozen=True, gc=False):
    """The answer to a query for locks: some in order, and whether there are more."""

    locks: list[LockItem]
    more: bool


Query = str | ScanQuery | LocksQuery | Txn
"""A transaction that only reads is its own query."""
Answer = Item | Page | LockPage | Done | Failure | None
