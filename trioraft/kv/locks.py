"""The locks: who holds each, under which fence, and who waits for it, in log order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from trioraft.kv.bounds import MAX_WAITERS
from trioraft.kv.keys import Keys
from trioraft.kv.leases import Lease, Leases
from trioraft.kv.results import GivenUp, Locked, Queued, Refused, Unlocked


class Place(msgspec.Struct, frozen=True, gc=False):
    """A place in the queue of a lock."""

    since: int
    """The index of the entry that made it: by these the places are in order."""
    entry: int
    """The index of the entry that owns it: the newest `lock` of its lease."""


class Lock(msgspec.Struct, eq=False):
    """A lock that is held. One that nobody holds does not exist."""

    lease: int
    fence: int
    """The index of the entry that granted it."""
    entry: int
    """The index of the newest `lock` entry of its holder."""
    queue: dict[int, Place]
    """The places of those who wait, by lease, in order."""
    era: int = 0
    """How many times the locks were frozen when it last became an object of its own."""


class LockNews(msgspec.Struct, frozen=True, gc=False):
    """What became of a place in a queue while nobody asked for it."""

    name: str
    lease: int
    entry: int
    """The `lock` entry that owns the place, or owned it."""
    kind: Literal["locked", "superseded", "lease_expired", "given_up"]
    fence: int = 0
    """The fence under which the lock is held, where it is `locked`."""


class Locks:
    """All locks that are held, by name."""

    def __init__(self, leases: Leases) -> None:
        self.news: list[LockNews] = []
        """In log order, for those who wait. Whoever applies entries clears it after each block."""
        self._locks: dict[str, Lock] = {}
        self._names = Keys()
        self._leases = leases
        self._era = 0

    def __len__(self) -> int:
        return len(self._locks)

    def get(self, name: str) -> Lock | None:
        """The lock, if it is held. It is not to be changed."""
        return self._locks.get(name)

    def is_held(self, name: str, fence: int) -> bool:
        """Whether that lock is held under that fence."""
        lock = self._locks.get(name)
        return lock is not None and lock.fence == fence

    def lock(self, name: str, lease: int, waits: bool, index: int) -> Locked | Queued | Refused:
        """Take the lock for the lease, or find its place, or queue it; the entry `index` then owns that place."""
        if (unfit := self._leases.unfit_for_lock(lease, name)) is not None:
            return unfit
        lock = self._locks.get(name)
        if lock is None:
            self._locks[name] = Lock(lease, index, index, {}, self._era)
            self._names.add(name)
            self._leases.take_place(lease, name)
            return Locked(index)
        if lock.lease == lease:
            self._own(name).entry = index
            return Locked(lock.fence)
        if not waits:
            return Refused("timeout", f"lease {lock.lease} holds the lock", "try again, or give wait_ms")
        return self._queue(name, lease, index)

    def _queue(self, name: str, lease: int, index: int) -> Queued | Refused:
        lock = self._own(name)
        place = lock.queue.get(lease)
        if place is None:
            if len(lock.queue) >= MAX_WAITERS:
                return Refused("overloaded", f"{MAX_WAITERS:,} leases wait for the lock", "try again later")
            lock.queue[lease] = Place(index, index)
            self._leases.take_place(lease, name)
            return Queued(len(lock.queue), index)
        self.news.append(LockNews(name, lease, place.entry, "superseded"))
        lock.queue[lease] = Place(place.since, index)
        return Queued(1 + list(lock.queue).index(lease), index)

    def unlock(self, name: str, lease: int, fence: int | None, index: int) -> Unlocked:
        """Release the lock, if that lease holds it, and under that fence if one is given; it passes on at `index`."""
        lock = self._locks.get(name)
        if lock is None or lock.lease != lease or fence not in (None, lock.fence):
            return Unlocked(0)
        self._leases.leave_place(lease, name)
        self._pass_on(name, index)
        return Unlocked(index)

    def give_up(self, name: str, lease: int, entry: int) -> Locked | GivenUp:
        """Give up the place that this `lock` entry owns; one that holds the lock goes on holding it."""
        lock = self._locks.get(name)
        if lock is not None and lock.lease == lease and lock.entry == entry:
            return Locked(lock.fence)
        place = None if lock is None else lock.queue.get(lease)
        if place is not None and place.entry == entry:
            self._leave(name, lease, "given_up")
            self._leases.leave_place(lease, name)
        return GivenUp()

    def end(self, ended: Sequence[tuple[int, Lease]], index: int) -> None:
        """Take their places from leases that have ended; each lock that they held then passes on once, at `index`."""
        freed: set[str] = set()
        for lease, was in ended:
            for name in sorted(was.locks):
                if self._locks[name].lease == lease:
                    freed.add(name)
                else:
                    self._leave(name, lease, "lease_expired")
        for name in sorted(freed):
            self._pass_on(name, index)

    def page(self, after: str | None, limit: int, max_bytes: int) -> tuple[list[tuple[str, Lock]], bool]:
        """The locks after that name, in order, and whether there are more: at most `limit`, and `max_bytes` of names.

        One is given in any case.
        """
        found: list[tuple[str, Lock]] = []
        size = 0
        for name in self._names.since(after or ""):
            if name == after:
                continue
            size += len(name.encode())
            if len(found) == limit or (found and size > max_bytes):
                return found, True
            found.append((name, self._locks[name]))
        return found, False

    def freeze(self) -> list[tuple[str, Lock]]:
        """All locks in order, as they are now: what changes later becomes another object first."""
        self._era += 1
        return [(name, self._locks[name]) for name in self._names.since("")]

    def load(self, locks: Iterable[tuple[str, Lock]]) -> None:
        """Add locks in the order of a snapshot. Their leases live."""
        for name, lock in locks:
            self._locks[name] = lock
            self._names.add(name)
            for lease in (lock.lease, *lock.queue):
                self._leases.take_place(lease, name)

    def _own(self, name: str) -> Lock:
        """The lock, to be changed: a copy, where a view reads the old one."""
        lock = self._locks[name]
        if lock.era != self._era:
            lock = self._locks[name] = Lock(lock.lease, lock.fence, lock.entry, lock.queue.copy(), self._era)
        return lock

    def _pass_on(self, name: str, index: int) -> None:
        """Let the first who waits hold the lock; without one it is held no more. The leases of all who wait live."""
        lock = self._own(name)
        if not lock.queue:
            del self._locks[name]
            self._names.remove(name)
            return
        lease = next(iter(lock.queue))
        place = lock.queue.pop(lease)
        lock.lease, lock.fence, lock.entry = lease, index, place.entry
        self.news.append(LockNews(name, lease, place.entry, "locked", index))

    def _leave(self, name: str, lease: int, why: Literal["lease_expired", "given_up"]) -> None:
        """Take its place in the queue from the lease."""
        place = self._own(name).queue.pop(lease)
        self.news.append(LockNews(name, lease, place.entry, why))
