"""The leases: which live, and which keys and locks go with each. They begin and end by entries: no time is counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from trioraft.kv.bounds import MAX_KEYS_A_LEASE, MAX_LEASES, MAX_LOCKS_A_LEASE
from trioraft.kv.results import Granted, Refused


class Lease(msgspec.Struct, eq=False):
    """A lease that lives, under the index of the entry that granted it."""

    ttl_ms: int
    keys: dict[str, None] = {}
    """The keys that are tied to it, in no order that counts."""
    locks: dict[str, None] = {}
    """The names of the locks that it holds or waits for, likewise."""


class Leases:
    """All leases, by their numbers, which rise."""

    def __init__(self) -> None:
        self._leases: dict[int, Lease] = {}
        self.ttls: dict[int, int] = {}
        """The ttl of each in milliseconds, in the order of their numbers: whoever leads counts their time."""

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[int]:
        return iter(self._leases)

    def get(self, lease: int) -> Lease | None:
        """The lease, if it lives."""
        return self._leases.get(lease)

    def grant(self, index: int, ttl_ms: int) -> Granted | Refused:
        """Begin the lease of the entry `index`, if there are not too many."""
        if len(self._leases) >= MAX_LEASES:
            return _too_many(f"there are {MAX_LEASES:,} leases", "revoke some, or let them end")
        self._leases[index] = Lease(ttl_ms)
        self.ttls[index] = ttl_ms
        return Granted(index)

    def unfit_for_key(self, lease: int, key: str) -> Refused | None:
        """Why the key cannot be tied to that lease; None where it can."""
        found = self._leases.get(lease)
        if found is None:
            return ended(lease)
        if len(found.keys) >= MAX_KEYS_A_LEASE and key not in found.keys:
            return _too_many(f"lease {lease} has {MAX_KEYS_A_LEASE:,} keys", "grant another lease for more")
        return None

    def unfit_for_lock(self, lease: int, name: str) -> Refused | None:
        """Why that lease can neither hold that lock nor wait for it; None where it can."""
        found = self._leases.get(lease)
        if found is None:
            return ended(lease)
        if len(found.locks) >= MAX_LOCKS_A_LEASE and name not in found.locks:
            return _too_many(f"lease {lease} has {MAX_LOCKS_A_LEASE:,} locks", "grant another lease for more")
        return None

    def tie(self, lease: int, key: str) -> None:
        """Tie the key to a lease that lives."""
        self._leases[lease].keys[key] = None

    def untie(self, lease: int, key: str) -> None:
        """Untie the key from its lease, if that has not ended just now."""
        if (found := self._leases.get(lease)) is not None:
            del found.keys[key]

    def take_place(self, lease: int, name: str) -> None:
        """Note that the lease, which lives, holds that lock or waits for it."""
        self._leases[lease].locks[name] = None

    def leave_place(self, lease: int, name: str) -> None:
        """Note that the lease, which lives, neither holds that lock nor waits for it any more."""
        del self._leases[lease].locks[name]

    def end(self, leases: Iterable[int]) -> list[tuple[int, Lease]]:
        """End those of these leases that live, and give them back."""
        ended = [lease for lease in leases if self.ttls.pop(lease, None) is not None]
        return [(lease, self._leases.pop(lease)) for lease in ended]

    def freeze(self) -> list[tuple[int, int]]:
        """Each lease with its ttl in milliseconds, as they are now."""
        return list(self.ttls.items())

    def load(self, leases: Iterable[tuple[int, int]]) -> None:
        """Add leases in the order of a snapshot, still without keys and locks."""
        for number, ttl_ms in leases:
            self._leases[number] = Lease(ttl_ms)
            self.ttls[number] = ttl_ms


def ended(lease: int) -> Refused:
    """The refusal of a write with a lease that does not live."""
    return Refused("lease_expired", f"lease {lease} has ended, or never was", "grant another with lease_grant")


def _too_many(message: str, hint: str) -> Refused:
    return Refused("overloaded", message, hint)
