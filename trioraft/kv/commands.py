"""What the log carries: the commands of the key-value store, and what each does when it is applied.

Applying is total: a command fails by its result alone, so that equal logs make equal stores.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec

from trioraft.kv.items import Item
from trioraft.kv.results import Conflict, Counted, Deleted, Result, Written

MAX_INTEGER: Final = 2**63 - 1
"""The largest absolute value that `Incr` counts to."""
_INTEGER: Final = re.compile(rb"-?(?:0|[1-9][0-9]{0,18})")


class State(Protocol):
    """The keys, as a command sees and changes them."""

    def get(self, key: str) -> Item | None:
        """The key as it is now."""

    def put(self, key: str, value: msgspec.Raw, index: int) -> None:
        """Give the key that value; `index` is its new revision."""

    def delete(self, key: str) -> None:
        """Remove a key that exists."""


class Put(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="op",
    tag="put",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Give the key that value; with `if_rev` only if the key has that revision (0: does not exist)."""

    key: str
    value: msgspec.Raw
    if_rev: int | None = None

    def apply(self, state: State, index: int) -> Result:
        """Write the value, unless the key has another revision than it should have."""
        if self.if_rev is not None and (conflict := _unlike(state.get(self.key), self.if_rev)):
            return conflict
        state.put(self.key, self.value, index)
        return Written(index)


class Delete(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="op",
    tag="delete",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Remove the key; with `if_rev` only if the key has that revision."""

    key: str
    if_rev: int | None = None

    def apply(self, state: State, index: int) -> Result:
        """Remove the key, if it exists, unless it has another revision than it should have."""
        old = state.get(self.key)
        if self.if_rev is not None and (conflict := _unlike(old, self.if_rev)):
            return conflict
        if old is None:
            return Deleted(0, 0)
        state.delete(self.key)
        return Deleted(1, index)


class Incr(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="op",
    tag="incr",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Add `by` to the integer at the key; a missing key counts as 0."""

    key: str
    by: int = 1

    def apply(self, state: State, index: int) -> Result:
        """Write the sum, unless the value is no integer or the sum is too large."""
        old = state.get(self.key)
        value = 0
        if old is not None:
            if not _INTEGER.fullmatch(old.value) or abs(int(old.value)) > MAX_INTEGER:
                return _conflict(old, "the value is not an integer, or one too large to count", "put an integer first")
            value = int(old.value)
        value += self.by
        if abs(value) > MAX_INTEGER:
            return _conflict(old, "the sum is beyond 2^63-1", "count with smaller steps, or put a smaller integer")
        state.put(self.key, msgspec.Raw(b"%d" % value), index)
        return Counted(value, index)


Command = Put | Delete | Incr


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
