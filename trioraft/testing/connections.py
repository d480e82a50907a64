"""A check that each connection was served in the order of its requests, writes and reads alike.

Revisions are indexes of one log, and a node serves a connection from one state that only grows. Three rules follow, in
the order of asking. The revision of a write is above every revision that earlier replies have shown. A read, even a
stale one, sees a state that holds everything that earlier replies have shown, of any key, and everything up to the
revision that it reflects by its own account (`at`). And a read never shows what the same connection wrote after it,
even where nobody knows whether that write was applied.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from math import inf

from trioraft.testing.history import Operation, say

_Put = tuple[str, bytes]


def check_connections(operations: Sequence[Operation]) -> str | None:
    """Say what is wrong with the order in which a connection was served, or None. Operations need a connection."""
    changes = _Changes(operations)
    answered = [operation for operation in operations if operation.outcome in ("done", "conflict")]
    found = (_check(asked, changes) for asked in _by_connection(answered))
    return next((wrong for wrong in found if wrong is not None), None)


def check_ahead(operations: Sequence[Operation]) -> str | None:
    """Say which reply shows what its connection wrote only later, or None."""
    counted = {operation.key for operation in operations if operation.kind == "incr"}  # a sum can equal any number
    puts = Counter(_put(operation) for operation in operations if operation.key not in counted)
    once = {put for put, times in puts.items() if times == 1}
    found = (_check_ahead(asked, once) for asked in _by_connection(operations))
    return next((wrong for wrong in found if wrong is not None), None)


def _by_connection(operations: Sequence[Operation]) -> Collection[Sequence[Operation]]:
    """The operations of each connection, in the order of asking."""
    by_connection: dict[int, list[Operation]] = defaultdict(list)
    for operation in sorted(operations, key=lambda one: one.place):
        if operation.connection is not None:
            by_connection[operation.connection].append(operation)
    return by_connection.values()


def _check(asked: Sequence[Operation], changes: _Changes) -> str | None:
    """Judge the answered requests of one connection, in the order of asking."""
    known, by = 0, None
    for operation in asked:
        written = _written(operation)
        if written is not None and written <= known:
            assert by is not None
            return f"revision {known} was known to the connection by {say(by)}; asked after it: {say(operation)}"
        at = (operation.answer.at if operation.answer is not None else None) or 0
        if at > known:
            known, by = at, operation
        for shown in _shown(operation):
            missed = changes.missed(operation.key, shown, known)
            if missed is not None:
                assert by is not None
                return f"revision {missed} of the key is not seen, though {known} was, by {say(by)}: {say(operation)}"
        rev = operation.answer.rev if operation.answer is not None else None
        if rev is not None and rev > known:
            known, by = rev, operation
    return None


def _check_ahead(asked: Sequence[Operation], once: Collection[_Put | None]) -> str | None:
    """Find a value that a connection sees before it writes it. `once` holds the puts of which there is only one."""
    behind: dict[_Put | None, Operation] = {}
    for operation in reversed(asked):
        answer = operation.answer
        if answer is not None and answer.value is not None and (operation.key, answer.value) in behind:
            return (
                f"it shows what is asked for behind it, by {say(behind[operation.key, answer.value])}: {say(operation)}"
            )
        put = _put(operation)
        if put in once:
            behind[put] = operation
    return None


def _put(operation: Operation) -> _Put | None:
    """The key and the value of a put; None for another operation."""
    return (operation.key, operation.value) if operation.kind == "put" else None


class _Changes:
    """The changes of keys, as far as all clients together know them."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._last_delete: dict[str, float] = defaultdict(float)
        """For each key: the highest revision of a delete; infinite where the outcome of a delete is unknown."""
        known: dict[str, set[int]] = defaultdict(set)
        for operation in operations:
            rev = operation.answer.rev if operation.answer is not None else None
            if rev:
                known[operation.key].add(rev)
            if operation.kind == "delete" and operation.outcome in ("done", "unknown"):
                gone = inf if operation.outcome == "unknown" else rev or 0
                self._last_delete[operation.key] = max(self._last_delete[operation.key], gone)
        self._revisions = {key: sorted(revisions) for key, revisions in known.items()}
        """For each key: the known revisions of its writes and deletes, in order."""

    def missed(self, key: str, shown: int, known: int) -> int | None:
        """The newest known revision of the key up to `known`, where a state of `known` cannot show `shown` instead.

        A revision of 0 means that the key is missing. None where nothing is missed.
        """
        revisions = self._revisions.get(key, ())
        position = bisect_right(revisions, known)
        newest = revisions[position - 1] if position else 0
        explained = shown >= newest or (shown == 0 and self._last_delete[key] >= newest)
        return None if explained else newest


def _written(operation: Operation) -> int | None:
    """The revision that the operation made, if the reply tells it."""
    if operation.kind == "get" or operation.outcome != "done" or operation.answer is None:
        return None
    return operation.answer.rev or None


def _shown(operation: Operation) -> Iterator[int]:
    """Yield the revisions that the key had when the operation was carried out, as its reply shows; 0 for missing."""
    if operation.answer is None:
        return
    if operation.outcome == "conflict" or operation.kind == "get":
        if operation.answer.rev is not None:
            yield operation.answer.rev
    elif operation.if_rev is not None:
        yield operation.if_rev
    if operation.outcome == "done" and operation.kind == "delete" and not operation.answer.deleted:
        yield 0
