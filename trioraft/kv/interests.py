"""What somebody wants to be told: the changes of a key, those of all keys with a prefix, or a state of a key."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from trioraft.kv.equality import without_blanks
from trioraft.kv.items import Item

_DIGEST_BYTES: Final = 32


class KeyInterest(msgspec.Struct, frozen=True, gc=False):
    """An interest in each change of one key."""

    key: str

    def find(self, keys: Sequence[str], begin: int, end: int) -> list[int]:
        """The places of these keys, from `begin` up to `end`, that are of interest."""
        key = self.key
        return [place for place in range(begin, end) if keys[place] == key]


class PrefixInterest(msgspec.Struct, frozen=True, gc=False):
    """An interest in each change of the keys with that prefix."""

    prefix: str

    def find(self, keys: Sequence[str], begin: int, end: int) -> list[int]:
        """The places of these keys, from `begin` up to `end`, that are of interest."""
        prefix = self.prefix
        return [place for place in range(begin, end) if keys[place].startswith(prefix)]


class Condition(KeyInterest, frozen=True, gc=False):
    """An interest in the moment when a key is in a certain state."""

    kind: Literal["exists", "missing", "value", "rev_above"]
    value: bytes = b""
    """The value that it is to have, without blanks, or the digest of a longer one: it may be kept for long."""
    rev: int = 0
    """The revision that its own is to be above."""

    def holds(self, item: Item | None) -> bool:
        """Whether the key is in that state."""
        if item is None:
            return self.kind == "missing"
        match self.kind:
            case "exists":
                return True
            case "rev_above":
                return item.rev > self.rev
            case "value":
                return comparable(item.value) == self.value
        return False


Interest = KeyInterest | PrefixInterest | Condition


def comparable(value: bytes) -> bytes:
    """A short form of the value; that of another is the same where the two are equal."""
    dense = without_blanks(value)
    return dense if len(dense) < _DIGEST_BYTES else blake2b(dense, digest_size=_DIGEST_BYTES).digest()
