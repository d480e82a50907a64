"""The machine around the store: what its snapshots hold at each level, and what a new cluster is given up."""

from __future__ import annotations

import msgspec
import pytest

from trioraft.key_values import key_value_machine
from trioraft.kv import commands
from trioraft.kv.machine import KeyValueMachine
from trioraft.kv.queries import LockItem, LockPage, LocksQuery
from trioraft.kv.results import Conflict, Done
from trioraft.kv.transactions import Check, GetInside, IncrInside, PutInside

ONE = msgspec.Raw(b"1")
LEASED: list[commands.Command] = [
    commands.LeaseGrant(1000),
    commands.Put("tied", ONE, None, 1),
    commands.Put("free", ONE),
    commands.Lock("m", 1),
    commands.LeaseGrant(2000),
    commands.Lock("m", 5),
]


def machine(level: int = 2) -> KeyValueMachine:
    made = key_value_machine().machine
    assert isinstance(made, KeyValueMachine)
    if level > 1:
        made.raise_level(level, 0)
    return made


def lines_of(some: KeyValueMachine) -> dict[str, list[bytes]]:
    view = some.freeze()
    lines = [line for piece, _ in view.slices(100, 10**6) for line in piece.splitlines()]
    found: dict[str, list[bytes]] = {}
    for name, count in view.sections.items():
        found[name], lines = lines[:count], lines[count:]
    view.close()
    return found


def test_at_level_1_a_snapshot_is_what_it_was() -> None:
    old = machine(1)
    old.apply(1, [commands.Put("a", ONE), commands.Delete("b")])
    assert lines_of(old) == {"keys": [b'{"key":"a","value":1,"rev":1,"created":1,"version":1}']}
    assert old.sections == {"keys": 1}
    new = machine(1)
    for name in ("leases", "history", "something"):
        with pytest.raises(ValueError, match="of a newer version: upgrade this node"):
            new.load(name, [b"{}"])


def test_at_level_2_a_snapshot_holds_leases_locks_and_history() -> None:
    some = machine()
    some.apply(1, LEASED)
    assert lines_of(some) == {
        "settings": [b'{"history_changes":100000,"history_bytes":16777216,"first_rev":0}'],
        "leases": [b'{"lease":1,"ttl_ms":1000}', b'{"lease":5,"ttl_ms":2000}'],
        "keys": [
            b'{"key":"free","value":1,"rev":3,"created":3,"version":1}',
            b'{"key":"tied","value":1,"rev":2,"created":2,"version":1,"lease":1}',
        ],
        "locks": [b'{"lock":"m","lease":1,"fence":4,"entry":4,"queue":[[5,6,6]]}'],
        "history": [
            b'{"key":"tied","value":1,"rev":2,"created":2,"version":1,"lease":1}',
            b'{"key":"free","value":1,"rev":3,"created":3,"version":1}',
        ],
    }
    some.apply(7, [commands.Expire([1]), commands.Delete("free")])
    assert lines_of(some)["history"][2:] == [b'{"key":"tied","rev":7,"by":"lease"}', b'{"key":"free","rev":8}']
    assert lines_of(some)["locks"] == [b'{"lock":"m","lease":5,"fence":7,"entry":6,"queue":[]}']


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("keys", b'{"key":"a","value":1,"rev":3,"created":3,"version":1,"lease":9}'),
        ("locks", b'{"lock":"m","lease":9,"fence":4,"entry":4,"queue":[]}'),
        ("locks", b'{"lock":"m","lease":1,"fence":4,"entry":4,"queue":[[9,6,6]]}'),
    ],
)
def test_a_snapshot_that_names_a_lease_which_it_does_not_hold_is_refused(section: str, line: bytes) -> None:
    some = machine()
    some.load("leases", [b'{"lease":1,"ttl_ms":1000}'])
    with pytest.raises(ValueError, match="it names lease 9, and does not hold it"):
        some.load(section, [line])


@pytest.mark.parametrize(
    ("section", "damaged"),
    [
        ("settings", b'{"history_changes":-1,"history_bytes":5,"first_rev":0}'),
        ("leases", b'{"lease":"x","ttl_ms":1000}'),
        ("keys", b'{"key":"a","value":1}'),
        ("locks", b'{"lock":"m","lease":1}'),
        ("history", b'{"key":"a"}'),
    ],
)
def test_a_damaged_line_is_told_from_one_of_a_newer_version(section: str, damaged: bytes) -> None:
    with pytest.raises(ValueError, match="it holds no "):
        machine().load(section, [damaged])
    with pytest.raises(ValueError, match="of a newer version: upgrade this node"):
        machine().load(section, [b'{"shape":"round"}'])


def test_history_begins_where_the_level_is_raised() -> None:
    some = machine(1)
    some.apply(1, [commands.Put("a", ONE), commands.Put("b", ONE)])
    some.raise_level(2, 3)
    some.apply(4, [commands.Put("c", ONE)])
    history = some.store.history
    assert history.first_rev == 3
    assert [history.change(position)[0] for position in range(history.first, history.end)] == ["c"]


def test_a_new_cluster_has_no_leases_no_locks_and_no_past() -> None:
    some = machine()
    some.apply(1, LEASED)
    some.renounce(10**12)
    lines = lines_of(some)
    assert {name: len(found) for name, found in lines.items()} == {
        "settings": 1,
        "leases": 0,
        "keys": 1,
        "locks": 0,
        "history": 0,
    }
    assert some.store.history.first_rev == 10**12
    assert some.store.locks.news == []


def test_a_transaction_that_reads_sees_one_moment_and_changes_nothing() -> None:
    some = machine()
    some.apply(1, LEASED)
    before = lines_of(some)
    query = commands.Txn([Check(key="tied", exists=True), Check(lock="m", fence=4)], [GetInside("free")])
    assert some.read(query) == Done(True, [some.store.get("free")], 0, 0)
    assert some.read(commands.Txn([Check(lease=9)], [], [GetInside("none")])) == Done(False, [None], 0, 0)
    assert some.size_of(query) == 1
    assert lines_of(some) == before


def test_locks_are_read_a_page_at_a_time() -> None:
    some = machine()
    some.apply(1, [*LEASED, commands.Lock("a", 5), commands.Lock("z", 5)])
    assert some.read(LocksQuery(None, 2)) == LockPage([LockItem("a", 5, 7, 0), LockItem("m", 1, 4, 1)], True)
    assert some.read(LocksQuery("m", 2)) == LockPage([LockItem("z", 5, 8, 0)], False)


def test_a_conflict_in_a_transaction_shows_the_key() -> None:
    some = machine()
    refused = some.apply(
        1,
        [
            commands.Put("a", msgspec.Raw(b'"text"')),
            commands.Txn([], [PutInside("b", ONE), IncrInside("a")]),
        ],
    )[2]
    assert isinstance(refused, Conflict)
    assert (refused.failed, refused.rev, refused.value) == (1, 1, b'"text"')
    assert some.read("b") is None


def test_values_are_equal_whatever_blanks_they_were_sent_with() -> None:
    some = machine()
    some.apply(1, [commands.Put("a", msgspec.Raw(b'{"b": [1, " "]}'))])
    assert some.read(commands.Txn([Check(key="a", value=msgspec.Raw(b'{ "b":[1," "] }'))], [])) == Done(True, [], 0, 0)
    assert some.read(commands.Txn([Check(key="a", value=msgspec.Raw(b'{"b":[1,""]}'))], [])) == Done(False, [], 0, 0)
