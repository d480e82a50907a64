"""A naive model of the whole store: what each entry of a log does to it, and what the reply to it must show.

The model judges the store, so it shares no code with it on purpose. It copies and sorts what it likes, keeps every
change there ever was, and reads the log as it stands there: each payload is JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from trioraft.wire.codec import Decoder

Result = dict[str, Any]
"""The fields that the reply to a write must have; those of an error with `code` among them. Values are raw JSON."""

_LARGEST: Final = 2**63 - 1
_WINDOW: Final = 1024
_INTEGER: Final = re.compile(rb"-?(?:0|[1-9][0-9]{0,18})")
_STRING: Final = re.compile(rb'("(?:[^"\\]|\\.)*")')
_NONE: Final = msgspec.Raw()


class _Check(msgspec.Struct):
    key: str | None = None
    rev: int | None = None
    value: msgspec.Raw = _NONE
    exists: bool | None = None
    lock: str | None = None
    fence: int | None = None
    lease: int | None = None


class Command(msgspec.Struct, kw_only=True):
    """Any command as the log carries it; a field that it does not have has its default."""

    op: str
    key: str = ""
    value: msgspec.Raw = _NONE
    if_rev: int | None = None
    lease: int = 0
    by: int = 1
    prefix: str = ""
    limit: int = 0
    checks: list[_Check] = []
    then: list[Command] = []
    otherwise: list[Command] = msgspec.field(name="else", default_factory=list)
    ttl_ms: int = 0
    leases: list[int] = []
    name: str = ""
    waits: bool = True
    fence: int | None = None
    entry: int = 0
    changes: int = 0
    bytes: int = 0
    lock: str = ""
    session: int = 0
    seq: int = 0
    acked: int = 0
    command: msgspec.Raw = _NONE
    level: int = 0


class Key(msgspec.Struct, frozen=True):
    """A key as it is at one moment."""

    value: bytes
    rev: int
    created: int
    version: int
    lease: int = 0


class Change(msgspec.Struct, frozen=True):
    """What an entry made of a key."""

    index: int
    key: str
    now: Key | None
    """The key after it; None where it is gone."""
    by_lease: bool = False


class Lock(msgspec.Struct):
    """A lock that is held."""

    lease: int
    fence: int
    entry: int
    queue: list[tuple[int, int]] = []
    """Who waits, in order: the lease, and the entry that owns its place."""


class Session(msgspec.Struct):
    """What is remembered of a client."""

    highest: int = 0
    acked: int = 0
    outcomes: dict[int, tuple[bytes, Result]] = {}
    """By number: the command, and what came of it."""


class StoreModel:
    """The store after the entries that were applied so far, in order."""

    def __init__(self, changes: int = 100_000, size: int = 16 * 1024 * 1024) -> None:
        """`changes` and `size` bound the history at first."""
        self.keys: dict[str, Key] = {}
        self.leases: dict[int, int] = {}
        """The leases that live, each with its ttl in milliseconds."""
        self.locks: dict[str, Lock] = {}
        self.sessions: dict[int, Session] = {}
        self.changes: list[Change] = []
        """Every change there ever was."""
        self.grants: dict[tuple[str, int], int] = {}
        """For each lock and fence: the lease that it was granted to."""
        self.first_rev = 0
        """The least revision after which the history has every change."""
        self.floors: set[int] = set()
        """Every `first_rev` that there was."""
        self.raised = 0
        """The entry that raised the level last. Before it each node has a history of its own, since it started."""
        self._bounds = changes, size
        self._start = 0
        """The first change that the history still has."""
        self._size = 0
        self._index = 0
        self._commands: dict[str, Callable[[Command], Result]] = {
            "put": self._put,
            "delete": self._delete,
            "delete_prefix": self._delete_prefix,
            "incr": self._incr,
            "txn": self._txn,
            "lease_grant": self._lease_grant,
            "lease_revoke": self._lease_revoke,
            "expire": self._expire,
            "lock": self._lock,
            "unlock": self._unlock,
            "give_up": self._give_up,
            "open_session": self._open_session,
            "close_session": self._close_session,
            "once": self._once,
            "fenced": self._fenced,
            "raise_level": self._raise_level,
            "set_history": self._set_history,
        }

    def apply(self, index: int, payload: bytes) -> Result:
        """Apply the command of that entry, and return what the reply to it must show."""
        self._index = index
        result = self._carry_out(_commands.decode(payload))
        self._cut()
        self.floors.add(self.first_rev)
        return result

    def _carry_out(self, command: Command) -> Result:
        assert command.op in self._commands, f"entry {self._index} is of no known kind: {command}"
        return self._commands[command.op](command)

    def _fenced(self, command: Command) -> Result:
        if not self._is_held(command.lock, command.fence):
            return {"code": "fenced", "applied": "no"}
        return self._carry_out(_commands.decode(bytes(command.command)))

    # Keys

    def _put(self, command: Command) -> Result:
        old = self.keys.get(command.key)
        if command.if_rev is not None and command.if_rev != (old.rev if old else 0):
            return _conflict(old)
        if command.lease and command.lease not in self.leases:
            return {"code": "lease_expired", "applied": "no"}
        self._write(command.key, bytes(command.value), command.lease)
        return {"rev": self._index}

    def _delete(self, command: Command) -> Result:
        old = self.keys.get(command.key)
        if command.if_rev is not None and command.if_rev != (old.rev if old else 0):
            return _conflict(old)
        if old is None:
            return {"deleted": 0, "rev": 0}
        self._remove(command.key)
        return {"deleted": 1, "rev": self._index}

    def _delete_prefix(self, command: Command) -> Result:
        found = sorted(key for key in self.keys if key.startswith(command.prefix))
        for key in found[: command.limit]:
            self._remove(key)
        deleted = min(len(found), command.limit)
        return {"deleted": deleted, "rev": self._index if deleted else 0, "more": len(found) > command.limit}

    def _incr(self, command: Command) -> Result:
        old = self.keys.get(command.key)
        total = command.by
        if old is not None:
            if not _INTEGER.fullmatch(old.value) or abs(int(old.value)) > _LARGEST:
                return _conflict(old)
            total += int(old.value)
        if abs(total) > _LARGEST:
            return _conflict(old)
        self._write(command.key, b"%d" % total, old.lease if old else 0)
        return {"value": b"%d" % total, "rev": self._index}

    def _write(self, key: str, value: bytes, lease: int) -> None:
        old, index = self.keys.get(key), self._index
        now = Key(value, index, old.created if old else index, old.version + 1 if old else 1, lease)
        self.keys[key] = now
        self.changes.append(Change(index, key, now))

    def _remove(self, key: str, by_lease: bool = False) -> None:
        del self.keys[key]
        self.changes.append(Change(self._index, key, None, by_lease))

    # Transactions

    def transact(self, command: Command) -> Result:
        """Carry out a transaction; one that only reads says what it sees, and changes nothing."""
        succeeded = all(map(self._holds, command.checks))
        keys, count = dict(self.keys), len(self.changes)
        results: list[Result] = []
        for place, operation in enumerate(command.then if succeeded else command.otherwise):
            result = shown(self.keys.get(operation.key)) if operation.op == "get" else self._carry_out(operation)
            if "code" in result:
                self.keys = keys
                del self.changes[count:]
                return {**result, "failed": place}
            results.append(result)
        changed = len(self.changes) > count
        return {"succeeded": succeeded, "results": results, "rev": self._index if changed else 0}

    def _txn(self, command: Command) -> Result:
        result = self.transact(command)
        return result if "code" in result else {**result, "at": self._index}

    def _holds(self, check: _Check) -> bool:
        if check.lease is not None:
            return check.lease in self.leases
        if check.lock is not None:
            return self._is_held(check.lock, check.fence)
        item = self.keys.get(check.key or "")
        if check.exists is not None:
            return (item is not None) == check.exists
        if check.rev is not None:
            return (item.rev if item else 0) == check.rev
        return item is not None and dense(item.value) == dense(bytes(check.value))

    # Leases

    def _lease_grant(self, command: Command) -> Result:
        self.leases[self._index] = command.ttl_ms
        return {"lease": self._index}

    def _lease_revoke(self, command: Command) -> Result:
        index = self._index if command.lease in self.leases else 0
        count = len(self.changes)
        self._end([command.lease])
        return {"deleted": len(self.changes) - count, "rev": index}

    def _expire(self, command: Command) -> Result:
        self._end(command.leases)
        return {}

    def _end(self, leases: Iterable[int]) -> None:
        """End leases: all at once, then their keys, then each lock that they held passes on once."""
        ended = {lease for lease in leases if self.leases.pop(lease, None) is not None}
        for key in sorted(key for key, item in self.keys.items() if item.lease in ended):
            self._remove(key, True)
        for name in sorted(self.locks):
            lock = self.locks[name]
            lock.queue = [place for place in lock.queue if place[0] not in ended]
            if lock.lease in ended:
                self._pass_on(name)

    # Locks

    def _lock(self, command: Command) -> Result:
        name, lease = command.name, command.lease
        if lease not in self.leases:
            return {"code": "lease_expired", "applied": "no"}
        lock = self.locks.get(name)
        if lock is None:
            self._grant(name, lease, self._index, [])
            return {"fence": self._index}
        if lock.lease == lease:
            lock.entry = self._index
            return {"fence": lock.fence}
        if not command.waits:
            return {"code": "timeout", "applied": "no"}
        waiting = [one for one, _ in lock.queue]
        if lease not in waiting:
            lock.queue = [*lock.queue, (lease, self._index)]
            waiting.append(lease)
        else:
            lock.queue = [(one, self._index if one == lease else entry) for one, entry in lock.queue]
        return {"waiting": True, "ahead": 1 + waiting.index(lease)}

    def _unlock(self, command: Command) -> Result:
        lock = self.locks.get(command.name)
        if lock is not None and lock.lease == command.lease and command.fence in (None, lock.fence):
            self._pass_on(command.name)
            return {"rev": self._index}
        return {"rev": 0}

    def _give_up(self, command: Command) -> Result:
        lock = self.locks.get(command.name)
        if lock is not None:
            lock.queue = [place for place in lock.queue if place != (command.lease, command.entry)]
        return {}

    def _is_held(self, name: str, fence: int | None) -> bool:
        lock = self.locks.get(name)
        return lock is not None and lock.fence == fence

    def _pass_on(self, name: str) -> None:
        queue = self.locks.pop(name).queue
        if queue:
            lease, entry = queue[0]
            self._grant(name, lease, entry, queue[1:])

    def _grant(self, name: str, lease: int, entry: int, queue: list[tuple[int, int]]) -> None:
        self.locks[name] = Lock(lease, self._index, entry, queue)
        self.grants[name, self._index] = lease

    # Sessions and the cluster's settings

    def _open_session(self, command: Command) -> Result:  # noqa: ARG002
        self.sessions[self._index] = Session()
        return {"session": self._index}

    def _close_session(self, command: Command) -> Result:
        self.sessions.pop(command.session, None)
        return {}

    def _once(self, command: Command) -> Result:
        session = self.sessions.get(command.session)
        if session is None:
            return {"code": "session_expired", "applied": "unknown"}
        session.acked = max(session.acked, command.acked)
        if command.seq <= max(session.acked, session.highest - _WINDOW):
            return {"code": "seq_too_old", "applied": "unknown"}
        inner = bytes(command.command)
        if command.seq in session.outcomes:
            first, outcome = session.outcomes[command.seq]
            return _replayed(outcome) if first == inner else {"code": "seq_reused", "applied": "no"}
        result = self._carry_out(_commands.decode(inner))
        session.outcomes[command.seq] = inner, result
        session.highest = max(session.highest, command.seq)
        return result

    def _raise_level(self, command: Command) -> Result:  # noqa: ARG002
        self._start, self._size, self.first_rev = len(self.changes), 0, self._index
        self.raised = self._index
        return {}

    def _set_history(self, command: Command) -> Result:
        self._bounds = command.changes, command.bytes
        return {}

    def _cut(self) -> None:
        """Let the history go of its oldest entries until it is within both bounds, but never of the newest."""
        most, size = self._bounds
        for change in reversed(self.changes):
            if change.index != self._index:
                break
            self._size += _size(change)
        changes = self.changes
        while len(changes) - self._start > most or self._size > size:
            oldest = changes[self._start].index
            if oldest == changes[-1].index:
                return
            while changes[self._start].index == oldest:
                self._size -= _size(changes[self._start])
                self._start += 1
            self.first_rev = oldest


def shown(item: Key | None) -> Result:
    """The fields by which a reply shows a key."""
    if item is None:
        return {"value": None, "rev": 0, "created": 0, "version": 0}
    result: Result = {"value": item.value, "rev": item.rev, "created": item.created, "version": item.version}
    return {**result, "lease": item.lease} if item.lease else result


def dense(value: bytes) -> bytes:
    """The value without the blanks outside its strings."""
    parts: Sequence[bytes] = _STRING.split(value)
    return b"".join(part if place % 2 else re.sub(rb"[ \t\r\n]", b"", part) for place, part in enumerate(parts))


def _conflict(old: Key | None) -> Result:
    return {
        "code": "conflict",
        "applied": "no",
        "rev": old.rev if old else 0,
        "value": old.value if old else None,
    }


def _replayed(outcome: Result) -> Result:
    """What is said of a write that was applied before."""
    again = {**outcome, "replayed": True}
    if outcome.get("code") == "conflict":
        again["value"] = None
    if "results" in outcome:
        again["results"] = None
    return again


def _size(change: Change) -> int:
    return len(change.key.encode()) + (len(change.now.value) if change.now else 0)


_commands: Final = Decoder(Command)
