"""The whole state against its plain model: random commands in blocks, snapshots at any point, and the same digests."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from trioraft.key_values import key_value_machine
from trioraft.kv import commands
from trioraft.kv.history import Change, Gone
from trioraft.kv.invariants import KnownHistory, digest
from trioraft.kv.items import LARGE_VALUE, Item, unpack
from trioraft.kv.machine import KeyValueMachine
from trioraft.kv.results import (
    Conflict,
    Counted,
    Deleted,
    Done,
    GivenUp,
    Granted,
    Locked,
    Queued,
    Refused,
    Revoked,
    Unlocked,
    Written,
)
from trioraft.kv.transactions import Check, DeleteInside, GetInside, IncrInside, Inside, PutInside
from trioraft.wire.commands import decode_command, encode_commands
from trioraft.wire.results import decode_outcome, encode_outcome

from .model import Model

KEYS = ["a", "aa", "ab", "b", "é", "😀"]
NAMES = ["m", "n"]
VALUES = [b"0", b"7", b"-12", b'"x"', b"[1]", b'"%b"' % (b"y" * LARGE_VALUE)]
BOUNDS = [(100_000, 10**7), (5, 10**7), (100, 60), (1, 1), (12, 5000)]


class Commands:
    """Draws commands that name what exists, mostly."""

    def __init__(self, random: Random, model: Model) -> None:
        self.random = random
        self.model = model

    def draw(self, index: int) -> commands.Command:
        if self.random.random() < 0.1:
            name = self.random.choice(NAMES)
            held = self.model.locks.get(name)
            return commands.Fenced(name, held.fence if held and self.random.random() < 0.8 else 3, self.plain(index))
        return self.plain(index)

    def plain(self, index: int) -> commands.Unfenced:
        random, lease = self.random, self.lease()
        key, name = random.choice(KEYS), random.choice(NAMES)
        draws: list[tuple[int, Any]] = [
            (6, lambda: commands.Put(key, self.value())),
            (3, lambda: commands.Put(key, self.value(), self.rev(key))),
            (5, lambda: commands.Put(key, self.value(), None, lease)),
            (3, lambda: commands.Delete(key, self.rev(key) if random.random() < 0.3 else None)),
            (1, lambda: commands.DeletePrefix(random.choice(["", "a", "z"]), random.randint(1, 4))),
            (3, lambda: commands.Incr(key, random.choice([1, -3, 2**63 - 1]))),
            (6, self.txn),
            (3, lambda: commands.LeaseGrant(1000 + index)),
            (1, lambda: commands.LeaseRevoke(lease)),
            (1, lambda: commands.Expire([lease, self.lease(), self.lease()])),
            (8, lambda: commands.Lock(name, lease, random.random() < 0.9)),
            (3, lambda: commands.Unlock(name, self.holder(name), random.choice([None, None, self.fence(name)]))),
            (3, lambda: self.give_up(name, index)),
            (1, lambda: commands.SetHistory(*random.choice(BOUNDS))),
        ]
        [draw] = random.choices([draw for _, draw in draws], [weight for weight, _ in draws])
        made: commands.Unfenced = draw()
        return made

    def txn(self) -> commands.Txn:
        random = self.random
        checks = [self.check() for _ in range(random.randint(0, 2))]
        return commands.Txn(checks, self.branch(), self.branch())

    def check(self) -> Check:
        random, key, name = self.random, self.random.choice(KEYS), self.random.choice(NAMES)
        item = self.model.items.get(key)
        checks = [
            Check(key=key, rev=self.rev(key)),
            Check(key=key, exists=random.random() < 0.5),
            Check(key=key, value=msgspec.Raw(item[0] if item else b"0")),
            Check(lease=self.lease()),
            Check(lock=name, fence=self.fence(name)),
        ]
        return random.choice(checks)

    def branch(self) -> list[Inside]:
        random = self.random
        branch: list[Inside] = []
        for key in random.sample(KEYS, random.randint(0, 4)):
            inside: list[Inside] = [
                PutInside(key, self.value()),
                PutInside(key, self.value(), self.lease()),
                DeleteInside(key),
                IncrInside(key, 2),
                GetInside(key),
            ]
            branch += [random.choice(inside), GetInside(random.choice(KEYS))]
        return branch

    def value(self) -> msgspec.Raw:
        return msgspec.Raw(self.random.choice(VALUES))

    def rev(self, key: str) -> int:
        item = self.model.items.get(key)
        return item[1] if item and self.random.random() < 0.7 else self.random.choice([0, 3])

    def lease(self) -> int:
        return self.random.choice([*self.model.leases, *self.model.leases, 2])

    def holder(self, name: str) -> int:
        held = self.model.locks.get(name)
        return held.lease if held and self.random.random() < 0.8 else self.lease()

    def fence(self, name: str) -> int:
        held = self.model.locks.get(name)
        return held.fence if held and self.random.random() < 0.8 else 2

    def give_up(self, name: str, index: int) -> commands.GiveUp:
        held = self.model.locks.get(name)
        places = [*held.queue, (held.lease, held.entry)] if held else [(2, 2)]
        lease, entry = self.random.choice(places)
        return commands.GiveUp(name, lease, entry if self.random.random() < 0.8 else index // 2)


def plain(result: Any) -> Any:
    """The result as the model gives it."""
    match result:
        case Written(rev):
            return ("written", rev)
        case Deleted(deleted, rev, more):
            return ("deleted", deleted, rev, more)
        case Counted(value, rev):
            return ("counted", value, rev)
        case Granted(lease):
            return ("granted", lease)
        case Revoked(deleted, rev):
            return ("revoked", deleted, rev)
        case Locked(fence):
            return ("locked", fence)
        case Queued(ahead, entry):
            return ("queued", ahead, entry)
        case Unlocked(rev):
            return ("unlocked", rev)
        case GivenUp():
            return ("given up",)
        case Done(succeeded, results, rev, at):
            return ("done", succeeded, [plain(one) for one in results or []], rev, at)
        case Item():
            return msgspec.structs.astuple(result)
        case Conflict() | Refused():
            code = "conflict" if isinstance(result, Conflict) else result.code
            return (code,) if result.failed is None else (code, result.failed)
    assert result is None
    return None


def level_2() -> KeyValueMachine:
    machine = key_value_machine().machine
    assert isinstance(machine, KeyValueMachine)
    machine.raise_level(2, 0)
    return machine


def held(change: Change) -> tuple[int, Any]:
    if isinstance(change, Gone):
        return change.rev, change.by_lease
    item = unpack(change)
    return item.rev, msgspec.structs.astuple(item)


def check_alike(machine: KeyValueMachine, model: Model) -> None:
    store = machine.store
    items = store.scan("", None, 10**6, 10**9)[0]
    assert {key: msgspec.structs.astuple(item) for key, item in items} == model.items
    assert store.leases.freeze() == list(model.leases.items())
    assert {
        name: (lock.lease, lock.fence, lock.entry, [(lease, place.entry) for lease, place in lock.queue.items()])
        for name, lock in store.locks.freeze()
    } == {name: (lock.lease, lock.fence, lock.entry, lock.queue) for name, lock in model.locks.items()}
    shown, more = store.locks.page(None, 1, 1)
    assert [name for name, _ in shown] == sorted(model.locks)[:1]
    assert more == (len(model.locks) > 1)
    history = store.history
    assert (history.max_changes, history.max_bytes, history.first_rev) == (*model.bounds, model.first_rev)
    changes = [history.change(position) for position in range(history.first, history.end)]
    assert [(key, *held(change)) for key, change in changes] == model.changes


def lines_of(machine: KeyValueMachine, random: Random) -> dict[str, list[bytes]]:
    """The lines of a snapshot, read in slices."""
    view = machine.freeze()
    sections, slices = dict(view.sections), list(view.slices(random.randint(1, 9), random.choice([1, 100, 10**6])))
    view.close()
    return dealt(sections, slices)


def dealt(sections: dict[str, int], slices: list[tuple[bytes, int]]) -> dict[str, list[bytes]]:
    assert all(lines.count(b"\n") == count for lines, count in slices)
    lines = [line for some, _ in slices for line in some.splitlines()]
    found: dict[str, list[bytes]] = {}
    for name, count in sections.items():
        found[name], lines = lines[:count], lines[count:]
    assert not lines
    return found


def loaded(lines: dict[str, list[bytes]], random: Random) -> KeyValueMachine:
    machine = level_2()
    for name, some in lines.items():
        while some:
            count = random.randint(1, 9)
            machine.load(name, some[:count])
            some = some[count:]
    return machine


@pytest.mark.parametrize("seed", range(60))
def test_the_state_does_what_its_plain_model_does(seed: int) -> None:
    """One machine applies entry by entry, one in blocks, and one is loaded from a snapshot somewhere on the way."""
    random = Random(seed)
    model, machine, blocks, late = Model(), level_2(), level_2(), None
    drawn = Commands(random, model)
    known, known_late = KnownHistory(), KnownHistory()
    block: list[commands.Command] = []
    index = first = 1
    for index in range(1, 250):
        command = drawn.draw(index)
        assert decode_command(encode_commands([command])[0]) == command
        machine.store.locks.news.clear()
        model.news.clear()
        outcome = model.apply(index, command)
        result = machine.apply(index, [command]).get(index, Written(index))
        assert plain(result) == outcome, command
        assert [msgspec.structs.astuple(one) for one in machine.store.locks.news] == model.news
        remembered = encode_outcome(result)
        assert len(remembered) <= 256
        assert encode_outcome(decode_outcome(remembered)) == remembered
        checksum = digest(machine.store, index, known)
        if late is not None:
            assert plain(late.apply(index, [command]).get(index, Written(index))) == outcome
            assert digest(late.store, index, known_late) == checksum
        block.append(command)
        if random.random() < 0.1:
            others = blocks.apply(first, block)
            assert Written(index) != others.get(index)
            first, block = index + 1, []
            assert digest(blocks.store, index, KnownHistory()) == digest(machine.store, index, KnownHistory())
        if random.random() < 0.02:
            late, known_late = loaded(lines_of(machine, random), random), KnownHistory()
            check_alike(late, model)
            assert lines_of(late, random) == lines_of(machine, random)
    check_alike(machine, model)


@pytest.mark.parametrize("seed", range(20))
def test_a_view_shows_the_moment_at_which_it_was_made(seed: int) -> None:
    random = Random(seed)
    model, machine = Model(), level_2()
    drawn = Commands(random, model)

    def go_on(first: int, last: int) -> None:
        for index in range(first, last):
            command = drawn.draw(index)
            model.apply(index, command)
            machine.apply(index, [command])

    go_on(1, 120)
    before = lines_of(machine, random)
    view = machine.freeze()
    sections, slices = dict(view.sections), []
    index = 120
    for piece in view.slices(random.randint(1, 3), 10**6):
        slices.append(piece)
        go_on(index, index + 7)
        index += 7
    view.close()
    assert dealt(sections, slices) == before
    check_alike(machine, model)
