"""What the log carries: the commands of the key-value store, and what each does when it is applied.

Applying is total: a command fails by its result alone, so that equal logs make equal stores.
"""

from __future__ import annotations

import msgspec

from trioraft.kv.results import GivenUp, Granted, Locked, Queued, Refused, Result, Revoked, Unlocked, Written
from trioraft.kv.transactions import Txn
from trioraft.kv.writes import Delete, DeletePrefix, Incr, Put, State

__all__ = [
    "Command",
    "Delete",
    "DeletePrefix",
    "Expire",
    "Fenced",
    "GiveUp",
    "Incr",
    "LeaseGrant",
    "LeaseRevoke",
    "Lock",
    "Put",
    "SetHistory",
    "Txn",
    "Unlock",
    "Unfenced",
]


class LeaseGrant(msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="lease_grant", forbid_unknown_fields=True):
    """Begin a lease, whose number is the index of this entry."""

    ttl_ms: int

    def apply(self, state: State, index: int) -> Granted | Refused:
        """Begin it, unless there are too many."""
        return state.leases.grant(index, self.ttl_ms)


class LeaseRevoke(
    msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="lease_revoke", forbid_unknown_fields=True
):
    """End a lease, as its owner wishes."""

    lease: int

    def apply(self, state: State, index: int) -> Revoked:
        """End it, if it lives, with its keys and locks."""
        lives = state.leases.get(self.lease) is not None
        return Revoked(state.end([self.lease], index), index if lives else 0)


class Expire(msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="expire", forbid_unknown_fields=True):
    """End leases whose time is over, as the leader has counted it."""

    leases: list[int]

    def apply(self, state: State, index: int) -> Written:
        """End those that live, all at once, with their keys and locks."""
        state.end(self.leases, index)
        return Written(index)


class Lock(
    msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="lock", omit_defaults=True, forbid_unknown_fields=True
):
    """Take a lock for a lease, or a place in its queue; the same lease again has the same place."""

    name: str
    lease: int
    waits: bool = True
    """Whether to wait in the queue where another holds the lock."""

    def apply(self, state: State, index: int) -> Locked | Queued | Refused:
        """Take the lock or the place."""
        return state.locks.lock(self.name, self.lease, self.waits, index)


class Unlock(
    msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="unlock", omit_defaults=True, forbid_unknown_fields=True
):
    """Release a lock that the lease holds, with `fence` only if under that one."""

    name: str
    lease: int
    fence: int | None = None

    def apply(self, state: State, index: int) -> Unlocked:
        """Release it, if it is held so, and pass it on."""
        return state.locks.unlock(self.name, self.lease, self.fence, index)


class GiveUp(msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="give_up", forbid_unknown_fields=True):
    """Wait for a lock no longer, as the `lock` entry of that index does."""

    name: str
    lease: int
    entry: int

    def apply(self, state: State, index: int) -> Locked | GivenUp:  # noqa: ARG002
        """Leave the queue, if that entry owns the place; a lock that was granted meanwhile stays held."""
        return state.locks.give_up(self.name, self.lease, self.entry)


class SetHistory(msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="set_history", forbid_unknown_fields=True):
    """Set the bounds of the cluster's history."""

    changes: int
    bytes: int

    def apply(self, state: State, index: int) -> Written:
        """Set them, and cut the history to them."""
        state.history.bound(self.changes, self.bytes)
        return Written(index)


Unfenced = (
    Put | Delete | DeletePrefix | Incr | Txn | LeaseGrant | LeaseRevoke | Expire | Lock | Unlock | GiveUp | SetHistory
)


class Fenced(msgspec.Struct, frozen=True, gc=False, tag_field="op", tag="fenced", forbid_unknown_fields=True):
    """A command that is refused unless the lock is held under that fence."""

    lock: str
    fence: int
    command: Unfenced

    def apply(self, state: State, index: int) -> Result:
        """Carry the command out, if the fence still stands."""
        if state.locks.is_held(self.lock, self.fence):
            return self.command.apply(state, index)
        held = state.locks.get(self.lock)
        now = "nobody holds it" if held is None else f"it is held under {held.fence}"
        message = f"the lock is not held under fence {self.fence}: {now}"
        return Refused("fenced", message, "stop what the lock guards, and take it anew with lock")


Command = Unfenced | Fenced
