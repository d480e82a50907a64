"""The commands that write keys one by one or by prefix, and the state as all commands see it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from trioraft.kv.bounds import MAX_INTEGER
from trioraft.kv.history import History
from trioraft.kv.items import Item
from trioraft.kv.leases import Leases
from trioraft.kv.locks import Locks
from trioraft.kv.results import Conflict, Counted, Deleted, Refused, Written

_INTEGER: Final = re.compile(rb"-?(?:0|[1-9][0-9]{0,18})")


class State(Protocol):
    """The store, as a command sees and changes it."""

    leases: Leases
    locks: Locks
    history: History

    def get(self, key: str) -> Item | None:
        """The key as it is now."""

    def put(self, key: str, value: msgspec.Raw, index: int, lease: int) -> None:
        """Give the key that value, tied to a lease that lives, or to none: 0; `index` is its new revision."""

    def delete(self, key: str, index: int) -> None:
        """Remove a key that exists; `index` is the revision of its removal."""

    def keys(self, prefix: str, limit: int) -> tuple[list[str], bool]:
        """The first keys with that prefix, at most `limit`, and whether there are more."""

    def end(self, leases: Sequence[int], index: int) -> int:
        """End those of these leases that live, with their keys and locks; gives the number of keys."""

    def begin(self) -> None:
        """Begin changes that can be taken back."""

    def commit(self) -> bool:
        """Keep the changes since `begin`; whether there are any."""

    def roll_back(self) -> None:
        """Take the changes since `begin` back."""


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
    lease: int | None = None
    """The lease with which the key goes. Without one it is tied to none any more."""

    def apply(self, state: State, index: int) -> Written | Conflict | Refused:
        """Write the value, unless the key has another revision than it should have, or the lease takes no key."""
        if self.if_rev is not None and (conflict := _unlike(state.get(self.key), self.if_rev)):
            return conflict
        lease = self.lease or 0
        if lease and (unfit := state.leases.unfit_for_key(lease, self.key)):
            return unfit
        state.put(self.key, self.value, index, lease)
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

    def apply(self, state: State, index: int) -> Deleted | Conflict:
        """Remove the key, if it exists, unless it has another revision than it should have."""
        old = state.get(self.key)
        if self.if_rev is not None and (conflict := _unlike(old, self.if_rev)):
            return conflict
        if old is None:
            return Deleted(0, 0)
        state.delete(self.key, index)
        return Deleted(1, index)


class DeletePrefix(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="op",
    tag="delete_prefix",
    forbid_unknown_fields=True,
):
    """Remove the first `limit` keys with that prefix."""

    prefix: str
    limit: int

    def apply(self, state: State, index: int) -> Deleted:
        """Remove the keys, all at one revision."""
        keys, more = state.keys(self.prefix, self.limit)
        for key in keys:
            state.delete(key, index)
        return Deleted(len(keys), index if keys else 0, more)


class Incr(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="op",
    tag="incr",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Add `by` to the integer at the key; a missing key counts as 0. The key stays tied to its lease."""

    key: str
    by: int = 1

    def apply(self, state: State, index: int) -> Counted | Conflict:
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
        state.put(self.key, msgspec.Raw(b"%d" % value), index, old.lease if old else 0)
        return Counted(value, index)


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
