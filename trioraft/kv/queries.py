"""What may be asked of the key-value store, and its answers: a key asks for its item, None where it is missing."""

from __future__ import annotations

import msgspec

from trioraft.kv.items import Item


class ScanQuery(msgspec.Struct, frozen=True, gc=False):
    """The keys with that prefix that come after `after`, in order, `limit` at most; with `keys_only` no values."""

    prefix: str
    after: str | None
    limit: int
    keys_only: bool


class Page(msgspec.Struct, frozen=True, gc=False):
    """What a scan finds: keys in order, and whether there are more."""

    items: list[tuple[str, Item]]
    more: bool
    keys_only: bool
    """Whether the values are not asked for."""


Query = str | ScanQuery
Answer = Item | Page | None
