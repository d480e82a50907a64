"""The lines of the key-value store in a snapshot: of its settings, leases, keys, locks and history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from trioraft.kv.history import Gone, Settings
from trioraft.kv.items import Item
from trioraft.kv.locks import Lock, Place
from trioraft.wire.codec import BadLine, DecodeError, Decoder, encode_all

KeyAndItem = tuple[str, Item]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_NO_VALUE: Final = msgspec.Raw(b"")


class _Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: str
    value: msgspec.Raw
    rev: Number
    created: Number
    version: Number
    lease: Number = 0

    def read(self) -> KeyAndItem:
        return self.key, Item(bytes(self.value), self.rev, self.created, self.version, self.lease)


class _Change(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A line of the history: an item, or without a value a removal."""

    key: str
    rev: Number
    by: Literal["lease"] | None = None
    value: msgspec.Raw = _NO_VALUE
    created: Number = 0
    version: Number = 0
    lease: Number = 0

    def read(self) -> tuple[str, Item | Gone]:
        if self.value is _NO_VALUE:
            return self.key, Gone(self.rev, self.by is not None)
        return self.key, Item(bytes(self.value), self.rev, self.created, self.version, self.lease)


class _Settings(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    history_changes: Number
    history_bytes: Number
    first_rev: Number

    def read(self) -> Settings:
        return Settings(self.history_changes, self.history_bytes, self.first_rev)


class _Lease(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    lease: Number
    ttl_ms: Number

    def read(self) -> tuple[int, int]:
        return self.lease, self.ttl_ms


class _Lock(msgspec.Struct, forbid_unknown_fields=True):
    lock: str
    lease: Number
    fence: Number
    entry: Number
    queue: list[tuple[Number, Number, Number]]
    """For each who waits: the lease, the index that made the place, and the one that owns it."""

    def read(self) -> tuple[str, Lock]:
        queue = {lease: Place(since, entry) for lease, since, entry in self.queue}
        return self.lock, Lock(self.lease, self.fence, self.entry, queue)


def encode_items(items: Sequence[KeyAndItem]) -> bytes:
    """Encode each key as a line with its newline; the values stay byte for byte."""
    keys = encode_all([key for key, _ in items])
    return b"".join([_item_line(key, item) for key, (_, item) in zip(keys, items, strict=True)])


def _item_line(key: bytes, item: Item) -> bytes:
    tie = b',"lease":%d' % item.lease if item.lease else b""
    return b'{"key":%b,"value":%b,"rev":%d,"created":%d,"version":%d%b}\n' % (
        key,
        item.value,
        item.rev,
        item.created,
        item.version,
        tie,
    )


def encode_changes(changes: Sequence[tuple[str, Item | Gone]]) -> bytes:
    """Encode each change of the history: an item like a key's, a removal without a value."""
    keys = encode_all([key for key, _ in changes])
    return b"".join(
        [
            _item_line(key, change) if isinstance(change, Item) else _removal_line(key, change)
            for key, (_, change) in zip(keys, changes, strict=True)
        ]
    )


def _removal_line(key: bytes, gone: Gone) -> bytes:
    return b'{"key":%b,"rev":%d%b}\n' % (key, gone.rev, b',"by":"lease"' if gone.by_lease else b"")


def encode_settings(settings: Sequence[Settings]) -> bytes:
    """Encode the one line of settings."""
    return _lines([_Settings(one.changes, one.bytes, one.first_rev) for one in settings])


def encode_leases(leases: Sequence[tuple[int, int]]) -> bytes:
    """Encode each lease with its ttl in milliseconds."""
    return _lines([_Lease(lease, ttl_ms) for lease, ttl_ms in leases])


def encode_locks(locks: Sequence[tuple[str, Lock]]) -> bytes:
    """Encode each lock with its queue."""
    return _lines(
        [
            _Lock(
                name,
                lock.lease,
                lock.fence,
                lock.entry,
                [(lease, place.since, place.entry) for lease, place in lock.queue.items()],
            )
            for name, lock in locks
        ]
    )


def _lines(records: Sequence[object]) -> bytes:
    return b"".join([line + b"\n" for line in encode_all(records)])


def _reader(type: type[Any], what: str) -> Callable[[Sequence[bytes]], list[Any]]:
    """A function that reads lines of that type. It raises BadLine."""
    decoder = Decoder(type)
    start = b'{"%b":' % type.__struct_fields__[0].encode()

    def read(line: bytes) -> Any:
        try:
            return decoder.decode(line).read()
        except DecodeError as error:
            if line.startswith(start):
                raise BadLine(f"it holds no {what}: {error}") from None
            raise BadLine("it holds something of a newer version: upgrade this node") from None

    return lambda lines: [read(line) for line in lines]


decode_items: Final[Callable[[Sequence[bytes]], list[KeyAndItem]]] = _reader(_Item, "key")
"""Reads the lines of keys. Raises BadLine, as the others do."""
decode_changes: Final[Callable[[Sequence[bytes]], list[tuple[str, Item | Gone]]]] = _reader(_Change, "change")
decode_settings: Final[Callable[[Sequence[bytes]], list[Settings]]] = _reader(_Settings, "settings")
decode_leases: Final[Callable[[Sequence[bytes]], list[tuple[int, int]]]] = _reader(_Lease, "lease")
decode_locks: Final[Callable[[Sequence[bytes]], list[tuple[str, Lock]]]] = _reader(_Lock, "lock")
