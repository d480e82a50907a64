"""The check of a history for linearizability: is there one order of all operations that agrees with real time?

Each key is judged by itself, which is sound because linearizability is local. The search is Wing and Gong's, with
Lowe's memory of what was tried: a set of operations, and the state that they lead to. An operation of unknown outcome
may have taken effect at any time after its call, or never.

Revisions are indexes of one log, so they are compared across keys as well. The requests of one connection, stale reads
included, must have been served in their order (`trioraft.testing.connections`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import inf
from typing import Final, Literal

import msgspec

from trioraft.testing.connections import check_ahead, check_connections
from trioraft.testing.history import Operation, say
from trioraft.testing.key_model import ABSENT, State, apply, describe

MAX_STATES: Final = 2_000_000
_SHOWN: Final = 10


class Verdict(msgspec.Struct, frozen=True):
    """The result of a check. An undecided one took too many states and proves nothing: take it for a failure."""

    outcome: Literal["linearizable", "violation", "undecided"]
    operations: int
    keys: int
    key: str | None = None
    """The first key that could not be explained."""
    explanation: str = ""


def check(operations: Sequence[Operation], *, max_states: int = MAX_STATES, ahead: bool = True) -> Verdict:
    """Judge a whole history. `max_states` bounds the search of each key.

    `ahead`: whether to check that no read shows what its own connection wrote after it (`check_ahead`).
    """
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_key[operation.key].append(operation)
    for key, of_key in by_key.items():
        outcome, explanation = check_key(of_key, max_states=max_states)
        if outcome != "linearizable":
            return Verdict(outcome, len(operations), len(by_key), key, explanation)
    found = check_revisions(operations) or check_connections(operations) or (check_ahead(operations) if ahead else None)
    if found is not None:
        return Verdict("violation", len(operations), len(by_key), None, found)
    return Verdict("linearizable", len(operations), len(by_key))


def check_key(
    operations: Sequence[Operation], *, max_states: int = MAX_STATES
) -> tuple[Literal["linearizable", "violation", "undecided"], str]:
    """Judge the operations on one key, without stale reads. Return the outcome and an explanation of a violation."""
    return _Search([operation for operation in operations if not operation.stale]).run(max_states)


def check_revisions(operations: Sequence[Operation]) -> str | None:
    """Say what is wrong with the revisions of a whole history, or None.

    A revision belongs to one key and to one write. A write that was called after a revision was known gets a higher
    one.
    """
    owners: dict[int, str] = {}
    writers: dict[int, Operation] = {}
    known: list[tuple[float, int, Operation]] = []
    writes: list[tuple[float, int, Operation]] = []
    for operation in operations:
        rev = operation.answer.rev if operation.answer is not None else None
        if not rev:
            continue
        if owners.setdefault(rev, operation.key) != operation.key:
            return f"revision {rev} is both of {owners[rev]} and of {operation.key}"
        assert operation.returned is not None
        known.append((operation.returned, rev, operation))
        if operation.kind in ("put", "delete") and operation.outcome == "done":
            if rev in writers:
                return f"revision {rev} was given twice: {say(writers[rev])}; {say(operation)}"
            writers[rev] = operation
            writes.append((operation.called, rev, operation))
    known.sort(key=lambda fact: fact[0])
    position = 0
    highest = 0
    for called, rev, operation in sorted(writes, key=lambda write: write[0]):
        while position < len(known) and known[position][0] < called:
            highest = max(highest, known[position][1])
            position += 1
        if rev <= highest:
            return f"revision {highest} was known before this was called: {say(operation)}"
    return None


class _Frame:
    """A point of the search: the operations done, the state, and what to try next."""

    __slots__ = ("low", "maybe", "state", "tries", "window", "writes")

    def __init__(self, low: int, window: int, maybe: int, state: State, writes: int) -> None:
        self.low = low
        """The position of the first certain operation that is not done."""
        self.window = window
        """The certain operations from `low` on that are done, one bit each."""
        self.maybe = maybe
        """The operations of unknown outcome that took effect, one bit each."""
        self.state = state
        self.writes = writes
        """How many writes of known revision are done; these come in the order of their revisions."""
        self.tries: Iterator[_Frame]


class _Search:
    def __init__(self, operations: Sequence[Operation]) -> None:
        told = [
            one for one in operations if one.outcome != "refused" and (one.outcome != "unknown" or one.kind != "get")
        ]
        self._certain = sorted((one for one in told if one.outcome != "unknown"), key=lambda one: one.called)
        self._unknown = sorted((one for one in told if one.outcome == "unknown"), key=lambda one: one.called)
        ranked = [
            (one.answer.rev, position)
            for position, one in enumerate(self._certain)
            if one.outcome == "done" and one.kind in ("put", "delete") and one.answer is not None and one.answer.rev
        ]
        self._rank = {position: rank for rank, (_, position) in enumerate(sorted(ranked))}

    def run(self, max_states: int) -> tuple[Literal["linearizable", "violation", "undecided"], str]:
        """Search depth first, and back out of dead ends."""
        first = _Frame(0, 0, 0, ABSENT, 0)
        first.tries = self._tries(first)
        stack = [first]
        deepest = [first]
        seen: set[tuple[int, int, int, State]] = set()
        while stack:
            frame = stack[-1]
            if frame.low == len(self._certain):
                return "linearizable", ""
            following = next(frame.tries, None)
            if following is None:
                if len(stack) > len(deepest):
                    deepest = list(stack)
                stack.pop()
                continue
            mark = (following.low, following.window, following.maybe, following.state)
            if mark in seen:
                continue
            if len(seen) >= max_states:
                return "undecided", f"more than {max_states} states"
            seen.add(mark)
            following.tries = self._tries(following)
            stack.append(following)
        return "violation", self._explain(deepest)

    def _candidates(self, frame: _Frame) -> tuple[list[int], float]:
        """The certain operations that may come next, and the time by which one of them has returned."""
        certain = self._certain
        found: list[int] = []
        bound = inf
        window = frame.window
        for position in range(frame.low, len(certain)):
            operation = certain[position]
            if operation.called > bound:
                break
            if not window & 1:
                found.append(position)
                returned = operation.returned
                if returned is not None and returned < bound:
                    bound = returned
            window >>= 1
        return [position for position in found if certain[position].called <= bound], bound

    def _tries(self, frame: _Frame) -> Iterator[_Frame]:
        """Yield the possible next points. An operation that changes nothing is done first, and nothing else tried."""
        candidates, bound = self._candidates(frame)
        changing: list[tuple[int, State]] = []
        for position in candidates:
            rank = self._rank.get(position)
            if rank is not None and rank != frame.writes:
                continue  # a write of a lower revision is still to come
            state = apply(frame.state, self._certain[position])
            if state is None:
                continue
            if state is frame.state:
                yield self._done(frame, position, state)
                return
            changing.append((position, state))
        for position, state in changing:
            yield self._done(frame, position, state)
        for number, operation in enumerate(self._unknown):  # last, because each is a guess
            if operation.called > bound:
                return
            if not frame.maybe >> number & 1:
                state = apply(frame.state, operation)
                if state is not None:
                    yield _Frame(frame.low, frame.window, frame.maybe | 1 << number, state, frame.writes)

    def _done(self, frame: _Frame, position: int, state: State) -> _Frame:
        low, window = frame.low, frame.window | 1 << (position - frame.low)
        while window & 1:
            low += 1
            window >>= 1
        return _Frame(low, window, frame.maybe, state, frame.writes + (position in self._rank))

    def _explain(self, deepest: list[_Frame]) -> str:
        last = deepest[-1]
        candidates, _ = self._candidates(last)
        lines = [f"{len(deepest) - 1} operations can be put in order; the last states that they go through:"]
        lines += [f"  {describe(frame.state)}" for frame in deepest[-_SHOWN:]]
        lines += ["none of these can follow:"]
        lines += [f"  {say(self._certain[position])}" for position in candidates[:_SHOWN]]
        return "\n".join(lines)
