"""A key's value with its numbers: as others see it, and as the store keeps it.

A small value is kept in one piece with its numbers. As an object that has a value and three integers they would lie
in five places, and a write, which touches most of them, mostly waits for memory.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import msgspec

LARGE_VALUE: Final = 4096
"""A value of so many bytes stays in a piece of its own, which is not copied for those who read it."""
_NUMBERS: Final = Struct("=QQQ")
_pack: Final = _NUMBERS.pack
_numbers: Final = _NUMBERS.unpack_from
_created_and_version: Final = Struct("=QQ").unpack_from
_CREATED_AT: Final = 8
_VALUE_AT: Final = _NUMBERS.size


class Item(msgspec.Struct, frozen=True, gc=False):
    """A key's value as it was given, the revision that wrote it, the one that made the key, and its writes since."""

    value: bytes
    rev: int
    created: int
    version: int


Kept = bytes | Item
"""An item as it is kept."""


def keep(value: msgspec.Raw | bytes, rev: int, created: int, version: int) -> Kept:
    """An item, to be kept."""
    if len(value) < LARGE_VALUE:
        return _pack(rev, created, version) + value
    return Item(bytes(value), rev, created, version)


def item_of(kept: Kept) -> Item:
    """What was kept."""
    if not isinstance(kept, bytes):
        return kept
    rev, created, version = _numbers(kept)
    return Item(kept[_VALUE_AT:], rev, created, version)


def value_size(kept: Kept) -> int:
    """How many bytes the value has."""
    return len(kept) - _VALUE_AT if isinstance(kept, bytes) else len(kept.value)


def renewed(kept: Kept, value: msgspec.Raw | bytes, rev: int) -> Kept:
    """The item that follows with that value."""
    if isinstance(kept, bytes):
        created, version = _created_and_version(kept, _CREATED_AT)
        if len(value) < LARGE_VALUE:  # as `keep` does, without a call: most writes come this way
            return _pack(rev, created, version + 1) + value
    else:
        created, version = kept.created, kept.version
    return keep(value, rev, created, version + 1)
