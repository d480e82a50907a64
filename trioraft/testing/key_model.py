"""A model of one key: the state after an operation with a given answer, or the finding that it is impossible.

The model judges the store, so it shares no code with it on purpose. Where nobody was told the revision of a write, the
revision is open: it is only known to be above the last known one. The first answer that names it settles it.
"""

from __future__ import annotations

import re
from typing import Final

from trioraft.testing.history import Answer, Operation

State = tuple[bytes | None, int, int, int, int]
"""(value, rev, created, version, last): `last` is the highest revision known so far, of the key or its absence.

An open revision that is known to be above n is written as -1 - n.
"""

ABSENT: Final[State] = (None, 0, 0, 0, 0)
_LARGEST: Final = 2**63 - 1
_INTEGER: Final = re.compile(rb"-?(?:0|[1-9][0-9]{0,18})")


def apply(state: State, operation: Operation) -> State | None:
    """Return the state after the operation, the same object where nothing changes; None where it is impossible here."""
    if operation.outcome == "conflict":
        return _conflict(state, operation)
    if operation.kind == "get":
        return _shown(state, operation.answer)
    if operation.kind == "incr":
        return _incr(state, operation)
    if operation.if_rev is not None:
        matched = _with_rev(state, operation.if_rev)
        if matched is None:
            return None
        state_before, state = state, matched
    else:
        state_before = state
    if operation.kind == "put":
        return _written(state, operation.value, operation.answer)
    return _delete(state, state_before, operation)


def describe(state: State) -> str:
    """Describe a state for people."""
    value, rev, created, version, last = state
    if value is None:
        return f"missing (after revision {last})"
    return f"{value.decode()} rev {_name(rev)} created {_name(created)} version {version}"


def _name(rev: int) -> str:
    return str(rev) if rev >= 0 else f"above {-1 - rev}"


def _written(state: State, value: bytes, answer: Answer | None) -> State | None:
    old, _, created, version, last = state
    rev = answer.rev if answer is not None and answer.rev is not None else -1 - last
    if 0 <= rev <= last:
        return None
    if old is None:
        return value, rev, rev, 1, max(last, rev)
    return value, rev, created, version + 1, max(last, rev)


def _delete(state: State, before: State, operation: Operation) -> State | None:
    answer = operation.answer
    if state[0] is None:
        # The delete has no effect. One of unknown outcome need not be tried without an effect.
        return before if answer is not None and answer.deleted in (None, 0) and not answer.rev else None
    if answer is None:
        return None, 0, 0, 0, state[4]
    if not answer.rev or answer.rev <= state[4]:
        return None
    return None, 0, 0, 0, answer.rev


def _incr(state: State, operation: Operation) -> State | None:
    old = state[0]
    if old is not None and not _countable(old):
        return None
    total = operation.by + (0 if old is None else int(old))
    if abs(total) > _LARGEST:
        return None
    answer = operation.answer
    value = b"%d" % total
    if answer is not None and answer.value is not None and answer.value != value:
        return None
    return _written(state, value, answer)


def _conflict(state: State, operation: Operation) -> State | None:
    """Judge a conflict: it changes nothing, shows the key's value and revision, and must have a reason."""
    shown = _shown(state, operation.answer)
    if shown is None:
        return None
    old = shown[0]
    if operation.kind == "incr":
        countable = old is None or (_countable(old) and abs(int(old) + operation.by) <= _LARGEST)
        return None if countable else shown
    return None if operation.if_rev is None or shown[1] == operation.if_rev else shown


def _shown(state: State, answer: Answer | None) -> State | None:
    """The state with what this answer settles; None where the answer shows another state."""
    assert answer is not None
    value, rev, created, version, last = state
    if value != answer.value or (answer.version is not None and answer.version != version):
        return None
    matched = state if answer.rev is None else _with_rev(state, answer.rev)
    if matched is None or answer.created is None or answer.created == matched[2]:
        return matched
    if created >= 0 or not -1 - created < answer.created:
        return None
    value, rev, _, version, last = matched
    return (value, rev, answer.created, version, last) if rev < 0 or answer.created < rev else None


def _with_rev(state: State, rev: int) -> State | None:
    """The state with that revision, which settles an open one; None where it cannot have it."""
    value, own, created, version, last = state
    if own == rev:
        return state
    if own >= 0 or not -1 - own < rev:
        return None
    return value, rev, rev if version == 1 else created, version, max(last, rev)


def _countable(value: bytes) -> bool:
    return _INTEGER.fullmatch(value) is not None and abs(int(value)) <= _LARGEST
