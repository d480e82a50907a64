"""The queries of the key-value store, and its answers. A key alone asks for its item, None where it is missing."""

from __future__ import annotations

import msgspec

from trioraft.kv.items import Item


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


Query = str | ScanQuery
Answer = Item | Page | None
