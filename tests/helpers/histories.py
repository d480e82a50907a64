"""Histories made up for the checker: valid ones and spoilt ones, and a simple judge for small ones."""

from __future__ import annotations

from itertools import chain, combinations, permutations
from random import Random

import msgspec

from trioraft.kv.commands import Delete, Incr, Put
from trioraft.kv.results import Conflict, Counted, Deleted, Result, Written
from trioraft.kv.store import Store
from trioraft.testing.history import Answer, Operation, Outcome
from trioraft.testing.key_model import ABSENT, apply

KINDS: tuple[str, ...] = ("get", "get", "get", "put", "put", "incr", "delete")


def run(random: Random, operations: int, keys: int, clients: int, unknown: float = 0.02) -> list[Operation]:
    """Make a history of a correct store: each operation takes effect at one moment between call and return."""
    store = Store()
    index = 0
    made: list[Operation] = []
    events: list[tuple[float, int]] = []
    for number in range(operations):
        called = number + random.random()
        operation = Operation(random.randrange(clients), random.choice(KINDS), f"k{random.randrange(keys)}", called)
        operation.value = b"%d" % number
        operation.by = random.randint(-5, 5)
        made.append(operation)
        events.append((called + random.random() * clients, number))
    for effect, number in sorted(events):
        operation = made[number]
        item = store.get(operation.key)
        if operation.kind in ("put", "delete") and random.random() < 0.3:
            operation.if_rev = random.choice((0, item.rev if item else 7))
        lost = random.random() < unknown
        if lost and random.random() < 0.5:
            continue
        index += random.randint(1, 3)
        operation.outcome, operation.answer = _take_effect(store, index, operation)
        operation.returned = effect + random.random() * clients
        if lost:
            operation.outcome, operation.answer, operation.returned = "unknown", None, None
    return made


def _take_effect(store: Store, index: int, operation: Operation) -> tuple[Outcome, Answer]:
    key = operation.key
    match operation.kind:
        case "get":
            item = store.get(key)
            return "done", Answer(item.value, item.rev, item.created, item.version) if item else Answer(None, 0, 0, 0)
        case "put":
            result: Result = Put(key, msgspec.Raw(operation.value), operation.if_rev).apply(store, index)
        case "delete":
            result = Delete(key, operation.if_rev).apply(store, index)
        case "incr":
            result = Incr(key, operation.by).apply(store, index)
    match result:
        case Written(rev):
            return "done", Answer(rev=rev)
        case Deleted(deleted, rev):
            return "done", Answer(rev=rev, deleted=deleted)
        case Counted(value, rev):
            return "done", Answer(b"%d" % value, rev)
        case Conflict(_, _, rev, value):
            return "conflict", Answer(value, rev)
        case _:
            raise AssertionError(f"{result} is no result of a write to one key")


def spoil(random: Random, operations: list[Operation]) -> list[Operation]:
    """Change an answer or a time, or remove an operation. The history may still be valid."""
    spoilt = [msgspec.structs.replace(operation) for operation in operations]
    told = [operation for operation in spoilt if operation.answer is not None]
    if not told:
        return spoilt
    one, other = random.choice(told), random.choice(told)
    match random.randrange(5):
        case 0:
            one.answer = other.answer if other.kind == one.kind and other.outcome == one.outcome else one.answer
        case 1:
            assert one.answer is not None
            one.answer = msgspec.structs.replace(one.answer, rev=(one.answer.rev or 0) + random.choice((-1, 1)))
        case 2 if one.returned is not None:
            width = one.returned - one.called
            one.called, one.returned = one.called + 3 * width, one.returned + 3 * width
        case 3:
            one.outcome, one.answer, one.returned = "refused", None, None
        case _:
            assert one.answer is not None
            one.answer = msgspec.structs.replace(one.answer, value=b"%d" % random.randrange(5))
    return spoilt


def explained_by_some_order(operations: list[Operation]) -> bool:
    """Judge a history by trying every choice of unknown operations, in every order."""
    certain = [one for one in operations if one.outcome in ("done", "conflict")]
    unknown = [one for one in operations if one.outcome == "unknown" and one.kind != "get"]
    choices = chain.from_iterable(combinations(unknown, size) for size in range(len(unknown) + 1))
    return any(_fits(order) for chosen in choices for order in permutations([*certain, *chosen]))


def _fits(order: tuple[Operation, ...]) -> bool:
    state = ABSENT
    for position, operation in enumerate(order):
        if any(later.returned is not None and later.returned < operation.called for later in order[position + 1 :]):
            return False
        following = apply(state, operation)
        if following is None:
            return False
        state = following
    return True
