"""Transactions: checks, and the operations of two branches, one of which is carried out whole or not at all.

The checks and operations are the same on the wire and in the log.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from trioraft.kv.bounds import MAX_CHECKS, MAX_OPERATIONS, Index, Key, Revision, Step
from trioraft.kv.equality import equal
from trioraft.kv.items import Item
from trioraft.kv.results import Conflict, Counted, Deleted, Done, Failure, InTransaction, Refused, Written
from trioraft.kv.writes import Delete, Incr, Put, State

_ABSENT: Final = msgspec.Raw(b"")


class Check(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """What has to be so: of a key its revision, value or existence; of a lock its fence; of a lease that it lives."""

    key: Key | None = None
    rev: Revision | None = None
    value: msgspec.Raw = _ABSENT
    exists: bool | None = None
    lock: Key | None = None
    fence: Index | None = None
    lease: Index | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where it is about nothing, or about several things."""
        of_key = (self.rev is not None) + (self.exists is not None) + (len(self.value) > 0)
        subjects = (self.key is not None) + (self.lock is not None) + (self.lease is not None)
        whole = of_key == (self.key is not None) and (self.lock is None) == (self.fence is None)
        if subjects != 1 or not whole:
            raise ValueError("a check must have key and one of rev, value, exists; or lock and fence; or lease")

    def holds(self, state: State) -> bool:
        """Whether it is so now."""
        if self.lease is not None:
            return state.leases.get(self.lease) is not None
        if self.lock is not None:
            return state.locks.is_held(self.lock, self.fence or 0)
        assert self.key is not None
        item = state.get(self.key)
        if self.exists is not None:
            return (item is not None) == self.exists
        if self.rev is not None:
            return (item.rev if item else 0) == self.rev
        return item is not None and equal(item.value, bytes(self.value))


class GetInside(msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="get", forbid_unknown_fields=True):
    """Read the key, with what the operations before it made of it."""

    key: Key

    def apply(self, state: State, index: int) -> Item | None:  # noqa: ARG002
        """The key as it is then."""
        return state.get(self.key)


class PutInside(
    msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="put", omit_defaults=True, forbid_unknown_fields=True
):
    """Give the key that value."""

    key: Key
    value: msgspec.Raw
    lease: Index | None = None

    def apply(self, state: State, index: int) -> Written | Conflict | Refused:
        """As a put of its own does."""
        return Put(self.key, self.value, None, self.lease).apply(state, index)


class DeleteInside(msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="delete", forbid_unknown_fields=True):
    """Remove the key."""

    key: Key

    def apply(self, state: State, index: int) -> Deleted | Conflict:
        """As a delete of its own does."""
        return Delete(self.key).apply(state, index)


class IncrInside(
    msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="incr", omit_defaults=True, forbid_unknown_fields=True
):
    """Add `by` to the integer at the key."""

    key: Key
    by: Step = 1

    def apply(self, state: State, index: int) -> Counted | Conflict:
        """As an incr of its own does."""
        return Incr(self.key, self.by).apply(state, index)


Inside = GetInside | PutInside | DeleteInside | IncrInside
"""An operation of a transaction."""
Checks = Annotated[list[Check], msgspec.Meta(max_length=MAX_CHECKS)]
Branch = Annotated[list[Inside], msgspec.Meta(max_length=MAX_OPERATIONS)]


class Txn(
    msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="txn", omit_defaults=True, forbid_unknown_fields=True
):
    """Carry out `then` if all checks hold, else `otherwise`: whole at one revision, or not at all."""

    checks: list[Check] = []
    then: list[Inside] = []
    otherwise: list[Inside] = msgspec.field(name="else", default_factory=list)

    def apply(self, state: State, index: int) -> Done | Failure:
        """The results of all operations, or why one of them cannot be done; then nothing is changed."""
        succeeded = all(check.holds(state) for check in self.checks)
        results: list[InTransaction] = []
        state.begin()
        for place, operation in enumerate(self.then if succeeded else self.otherwise):
            result = operation.apply(state, index)
            if isinstance(result, Failure):
                state.roll_back()
                return msgspec.structs.replace(result, failed=place)
            results.append(result)
        return Done(succeeded, results, index if state.commit() else 0, index)
