"""A key's value with its numbers: as readers see it, and as the store keeps it.

A small value and its numbers share one bytes object. An object with a value and three integers would lie in five
places in memory, and a write, which touches most of them, spends its time waiting for memory. An item that is tied to
a lease is never packed, so that the others need no place for it.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import msgspec

LARGE_VALUE: Final = 4096
"""A value of this many bytes or more stays in an object of its own, which readers share without a copy."""
_NUMBERS: Final = Struct("=QQQ")
pack_numbers: Final = _NUMBERS.pack
"""Packs rev, created and version. With the value behind them, they are a packed item."""
_numbers: Final = _NUMBERS.unpack_from
_rev: Final = Struct("=Q").unpack_from
created_and_version: Final = Struct("=8xQQ").unpack_from
"""Reads created and version of a packed item."""
NUMBERS_SIZE: Final = _NUMBERS.size
"""How many bytes of a packed item are not its value."""


class Item(msgspec.Struct, frozen=True, gc=False):
    """A value as it was given, the revision that wrote it, the one that made the key, and the writes since then."""

    value: bytes
    rev: int
    created: int
    version: int
    lease: int = 0
    """The lease that the key is tied to; 0 where there is none."""


Packed = bytes | Item
"""An item as the store keeps it."""


def pack(value: msgspec.Raw | bytes, rev: int, created: int, version: int, lease: int = 0) -> Packed:
    """An item in the form in which the store keeps it."""
    if len(value) < LARGE_VALUE and not lease:
        return pack_numbers(rev, created, version) + value
    return Item(bytes(value), rev, created, version, lease)


def unpack(packed: Packed) -> Item:
    """The item in the form in which readers see it."""
    if not isinstance(packed, bytes):
        return packed
    rev, created, version = _numbers(packed)
    return Item(packed[NUMBERS_SIZE:], rev, created, version)


def value_size(packed: Packed) -> int:
    """The size of the value, in bytes."""
    return len(packed) - NUMBERS_SIZE if isinstance(packed, bytes) else len(packed.value)


def rev_of(packed: Packed) -> int:
    """The revision that wrote the item."""
    return _rev(packed)[0] if isinstance(packed, bytes) else packed.rev


def lease_of(packed: Packed | None) -> int:
    """The lease that the key is tied to; 0 where there is none, or no key."""
    return packed.lease if type(packed) is Item else 0


def repack(packed: Packed, value: msgspec.Raw | bytes, rev: int, lease: int = 0) -> Packed:
    """The item that follows `packed` when revision `rev` writes `value`, tied to `lease` alone."""
    created, version = created_and_version(packed) if isinstance(packed, bytes) else (packed.created, packed.version)
    return pack(value, rev, created, version + 1, lease)
