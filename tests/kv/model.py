"""A model of the whole state, as plain as possible: one list of changes and some dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trioraft.kv import commands
from trioraft.kv.bounds import MAX_INTEGER
from trioraft.kv.transactions import Check, DeleteInside, GetInside, IncrInside, PutInside

Fields = tuple[bytes, int, int, int, int]
"""value, rev, created, version, lease"""


class Refusal(Exception):
    """The command changes nothing; the code says why."""


@dataclass
class LockModel:
    lease: int
    fence: int
    entry: int
    queue: list[tuple[int, int]] = field(default_factory=list)
    """lease and owning entry, in order"""


class Model:
    def __init__(self) -> None:
        self.items: dict[str, Fields] = {}
        self.leases: dict[int, int] = {}
        self.locks: dict[str, LockModel] = {}
        self.changes: list[tuple[str, int, Fields | bool]] = []
        """key, revision, and what the key became; for a removal whether it went with a lease"""
        self.news: list[tuple[str, int, int, str, int]] = []
        self.bounds = (100_000, 16 * 1024 * 1024)
        self.first_rev = 0

    def apply(self, index: int, command: commands.Command) -> tuple[Any, ...]:
        """The outcome as plain values; nothing is changed where it is a refusal."""
        before = self.copy()
        try:
            outcome = self.carry_out(index, command)
        except Refusal as refusal:
            self.__dict__ = before
            outcome = refusal.args
        self.cut()
        return outcome

    def copy(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "items": dict(self.items),
            "changes": list(self.changes),
        }

    def carry_out(self, index: int, command: Any) -> tuple[Any, ...]:
        match command:
            case commands.Fenced(lock, fence, inner):
                if lock not in self.locks or self.locks[lock].fence != fence:
                    raise Refusal("fenced")
                return self.carry_out(index, inner)
            case commands.Put(key, value, if_rev, lease):
                self.check_rev(key, if_rev)
                return self.put(index, key, bytes(value), lease or 0)
            case commands.Delete(key, if_rev):
                self.check_rev(key, if_rev)
                return self.delete(index, key)
            case commands.DeletePrefix(prefix, limit):
                keys = sorted(key for key in self.items if key.startswith(prefix))
                for key in keys[:limit]:
                    self.delete(index, key)
                some = min(len(keys), limit)
                return ("deleted", some, index if some else 0, len(keys) > limit)
            case commands.Incr(key, by):
                return self.incr(index, key, by)
            case commands.Txn(checks, then, otherwise):
                return self.txn(index, checks, then, otherwise)
            case commands.LeaseGrant(ttl_ms):
                self.leases[index] = ttl_ms
                return ("granted", index)
            case commands.LeaseRevoke(lease):
                lives = lease in self.leases
                return ("revoked", self.end(index, [lease]), index if lives else 0)
            case commands.Expire(leases):
                self.end(index, leases)
                return ("written", index)
            case commands.SetHistory(changes, size):
                self.bounds = (changes, size)
                return ("written", index)
            case _:
                return self.carry_out_lock(index, command)

    def check_rev(self, key: str, if_rev: int | None) -> None:
        if if_rev is not None and if_rev != (self.items[key][1] if key in self.items else 0):
            raise Refusal("conflict")

    def put(self, index: int, key: str, value: bytes, lease: int) -> tuple[Any, ...]:
        if lease and lease not in self.leases:
            raise Refusal("lease_expired")
        old = self.items.get(key)
        self.items[key] = (value, index, old[2] if old else index, old[3] + 1 if old else 1, lease)
        self.changes.append((key, index, self.items[key]))
        return ("written", index)

    def delete(self, index: int, key: str, by_lease: bool = False) -> tuple[Any, ...]:
        if key not in self.items:
            return ("deleted", 0, 0, None)
        del self.items[key]
        self.changes.append((key, index, by_lease))
        return ("deleted", 1, index, None)

    def incr(self, index: int, key: str, by: int) -> tuple[Any, ...]:
        old = self.items.get(key, (b"0", 0, 0, 0, 0))
        text = old[0].decode()
        if not text.removeprefix("-").isdigit() or abs(int(text)) > MAX_INTEGER or abs(int(text) + by) > MAX_INTEGER:
            raise Refusal("conflict")
        self.put(index, key, str(int(text) + by).encode(), old[4])
        return ("counted", int(text) + by, index)

    def txn(self, index: int, checks: list[Check], then: list[Any], otherwise: list[Any]) -> tuple[Any, ...]:
        succeeded = all(self.holds(check) for check in checks)
        results: list[Any] = []
        before = len(self.changes)
        for operation in then if succeeded else otherwise:
            try:
                match operation:
                    case GetInside(key):
                        results.append(self.items.get(key))
                    case PutInside(key, value, lease):
                        results.append(self.put(index, key, bytes(value), lease or 0))
                    case DeleteInside(key):
                        results.append(self.delete(index, key))
                    case IncrInside(key, by):
                        results.append(self.incr(index, key, by))
            except Refusal as refusal:
                raise Refusal(*refusal.args, len(results)) from None
        return ("done", succeeded, results, index if len(self.changes) > before else 0, index)

    def holds(self, check: Check) -> bool:
        if check.lease is not None:
            return check.lease in self.leases
        if check.lock is not None:
            return check.lock in self.locks and self.locks[check.lock].fence == check.fence
        item = self.items.get(check.key or "")
        if check.exists is not None:
            return check.exists == (item is not None)
        if check.rev is not None:
            return check.rev == (item[1] if item else 0)
        return item is not None and item[0] == bytes(check.value)

    def carry_out_lock(self, index: int, command: Any) -> tuple[Any, ...]:
        lock = self.locks.get(command.name)
        places = [lease for lease, _ in lock.queue] if lock else []
        match command:
            case commands.Lock(name, lease, waits):
                if lease not in self.leases:
                    raise Refusal("lease_expired")
                if lock is None:
                    self.locks[name] = LockModel(lease, index, index)
                    return ("locked", index)
                if lock.lease == lease:
                    lock.entry = index
                    return ("locked", lock.fence)
                if not waits:
                    raise Refusal("timeout")
                if lease in places:
                    place = places.index(lease)
                    self.news.append((name, lease, lock.queue[place][1], "superseded", 0))
                    lock.queue[place] = (lease, index)
                else:
                    place = len(places)
                    lock.queue.append((lease, index))
                return ("queued", place + 1, index)
            case commands.Unlock(name, lease, fence):
                if lock is None or lock.lease != lease or fence not in (None, lock.fence):
                    return ("unlocked", 0)
                self.pass_on(index, name)
                return ("unlocked", index)
            case commands.GiveUp(name, lease, entry):
                if lock and (lock.lease, lock.entry) == (lease, entry):
                    return ("locked", lock.fence)
                if lock and (lease, entry) in lock.queue:
                    lock.queue.remove((lease, entry))
                    self.news.append((name, lease, entry, "given_up", 0))
                return ("given up",)
        raise TypeError(command)

    def end(self, index: int, leases: list[int]) -> int:
        ended = [lease for lease in dict.fromkeys(leases) if self.leases.pop(lease, None)]
        keys = sorted(key for key, item in self.items.items() if item[4] in ended)
        for key in keys:
            self.delete(index, key, True)
        for lease in ended:
            for name in sorted(self.locks):
                for place in list(self.locks[name].queue):
                    if place[0] == lease:
                        self.locks[name].queue.remove(place)
                        self.news.append((name, *place, "lease_expired", 0))
        for name in sorted(self.locks):
            if self.locks[name].lease in ended:
                self.pass_on(index, name)
        return len(keys)

    def pass_on(self, index: int, name: str) -> None:
        queue = self.locks[name].queue
        if not queue:
            del self.locks[name]
            return
        lease, entry = queue.pop(0)
        self.locks[name] = LockModel(lease, index, entry, queue)
        self.news.append((name, lease, entry, "locked", index))

    def cut(self) -> None:
        """Take whole entries from the front while a bound is exceeded, but never the newest."""
        while self.changes and self.changes[0][1] != self.changes[-1][1] and not self.fits():
            oldest = self.changes[0][1]
            self.first_rev = oldest
            self.changes = [change for change in self.changes if change[1] != oldest]

    def fits(self) -> bool:
        size = sum(
            len(key.encode()) + (0 if isinstance(became, bool) else len(became[0])) for key, _, became in self.changes
        )
        return len(self.changes) <= self.bounds[0] and size <= self.bounds[1]
