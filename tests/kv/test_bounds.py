"""The bounds of leases, locks and the history: each is met to the last, and refused without a trace beyond."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trioraft.kv import commands, leases, locks
from trioraft.kv.history import Gone, revision
from trioraft.kv.invariants import KnownHistory, digest
from trioraft.kv.results import Deleted, Done, Granted, Queued, Refused, Result, Written
from trioraft.kv.store import Store
from trioraft.kv.transactions import PutInside

ONE = msgspec.Raw(b"1")


class Log:
    """A store, and the index of the next entry."""

    def __init__(self) -> None:
        self.store = Store()
        self.index = 0

    def add(self, command: commands.Command) -> Result:
        self.index += 1
        before = digest(self.store, self.index - 1, KnownHistory())
        result = self.store.apply_all(self.index, [command]).get(self.index, Written(self.index))
        after = digest(self.store, self.index, KnownHistory())
        if isinstance(result, Refused):
            assert after == before
        return result

    def grant(self) -> int:
        granted = self.add(commands.LeaseGrant(1000))
        assert isinstance(granted, Granted)
        return granted.lease


def code(result: Any) -> str:
    assert isinstance(result, Refused), result
    return result.code


def test_there_are_so_many_leases_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "MAX_LEASES", 3)
    log = Log()
    first, *_ = [log.grant() for _ in range(3)]
    assert code(log.add(commands.LeaseGrant(1000))) == "overloaded"
    log.add(commands.Expire([first]))
    log.grant()


def test_a_lease_has_so_many_keys_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "MAX_KEYS_A_LEASE", 2)
    log = Log()
    lease = log.grant()
    for key in ("a", "b", "a"):
        assert isinstance(log.add(commands.Put(key, ONE, None, lease)), Written)
    assert code(log.add(commands.Put("c", ONE, None, lease))) == "overloaded"
    refused = log.add(commands.Txn([], [PutInside("d", ONE), PutInside("c", ONE, lease)]))
    assert code(refused) == "overloaded"
    assert isinstance(refused, Refused)
    assert refused.failed == 1
    untied = log.add(commands.Txn([], [PutInside("a", ONE), PutInside("c", ONE, lease)]))
    assert isinstance(untied, Done), "one key has made room for the other"


def test_a_lease_has_a_place_at_so_many_locks_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "MAX_LOCKS_A_LEASE", 2)
    log = Log()
    lease, other = log.grant(), log.grant()
    log.add(commands.Lock("waits", other))
    for name in ("held", "waits", "held"):
        assert not isinstance(log.add(commands.Lock(name, lease)), Refused)
    assert code(log.add(commands.Lock("third", lease))) == "overloaded"
    log.add(commands.Unlock("held", lease))
    assert not isinstance(log.add(commands.Lock("third", lease)), Refused)


def test_so_many_wait_for_a_lock_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "MAX_WAITERS", 2)
    log = Log()
    holder, first, second, third = [log.grant() for _ in range(4)]
    for lease in (holder, first, second, second):
        log.add(commands.Lock("m", lease))
    assert code(log.add(commands.Lock("m", third))) == "overloaded"
    log.add(commands.Unlock("m", holder))
    queued = log.add(commands.Lock("m", third))
    assert queued == Queued(2, log.index), "its holder and one that waits"


# The history


def changes(store: Store) -> list[tuple[str, int]]:
    history = store.history
    return [(key, revision(change)) for key, change in map(history.change, range(history.first, history.end))]


def test_the_history_is_cut_by_whole_entries() -> None:
    log = Log()
    log.add(commands.SetHistory(3, 1000))
    log.add(commands.Txn([], [PutInside("a", ONE), PutInside("b", ONE)]))
    log.add(commands.Put("c", ONE))
    assert changes(log.store) == [("a", 2), ("b", 2), ("c", 3)]
    assert log.store.history.first_rev == 0
    log.add(commands.Put("d", ONE))
    assert changes(log.store) == [("c", 3), ("d", 4)]
    assert log.store.history.first_rev == 2


def test_the_newest_entry_stays_whole_however_long_it_is() -> None:
    log = Log()
    log.add(commands.SetHistory(2, 3))
    log.add(commands.Txn([], [PutInside(key, ONE) for key in "abcd"]))
    assert changes(log.store) == [(key, 2) for key in "abcd"]
    assert log.add(commands.DeletePrefix("", 10)) == Deleted(4, 3, False)
    assert changes(log.store) == [(key, 3) for key in "abcd"]
    log.add(commands.SetHistory(100, 100))
    assert log.store.history.first_rev == 2, "what was cut does not come back"


def test_keys_and_values_count_in_bytes() -> None:
    log = Log()
    log.add(commands.SetHistory(100, 12))
    log.add(commands.Put("é", msgspec.Raw('"ü"'.encode())))  # 2 and 4
    log.add(commands.Put("ab", msgspec.Raw(b'"xy"')))  # 2 and 4
    assert len(changes(log.store)) == 2
    log.add(commands.Delete("é"))  # 2
    assert changes(log.store) == [("ab", 3), ("é", 4)]


def test_positions_stay_the_same_when_what_is_before_them_is_cut() -> None:
    log = Log()
    log.add(commands.SetHistory(16, 10**6))
    for number in range(500):
        log.add(commands.Put(f"k{number % 7}", msgspec.Raw(b"%d" % number)))
        history = log.store.history
        assert history.end == number + 1
        for position in range(history.first, history.end):
            assert history.rev_at(position) == position + 2
            assert history.position_after(position + 1) == position
        assert history.position_after(log.index) == history.end
    assert len(log.store.history.keys) < 40, "what is beyond the bounds does not stay in memory"


def test_the_history_keeps_the_stores_own_items() -> None:
    """So a change costs two references, also where it came from a snapshot."""
    log = Log()
    log.add(commands.Put("a", ONE))
    log.add(commands.Put("a", msgspec.Raw(b'"%b"' % (b"x" * 5000))))
    log.add(commands.Delete("b"))
    view, loaded = log.store.history.freeze(), Store()
    loaded.load([("a", item)] if (item := log.store.get("a")) else [])
    loaded.load_history(view.next(10, 10**6))
    for store in (log.store, loaded):
        assert store.history.items[-1] is store._items["a"]


def test_where_the_past_is_unknown_the_history_begins_before_the_next_command() -> None:
    store = Store()
    store.history.begin(2**63 - 1)
    store.apply_all(50, [commands.Put("a", ONE), commands.Delete("a")])
    assert store.history.first_rev == 49
    assert changes(store) == [("a", 50), ("a", 51)]


def test_what_a_snapshot_shows_of_the_history_goes_on_being_cut_as_before() -> None:
    log = Log()
    log.add(commands.SetHistory(5, 1000))
    for number in range(9):
        log.add(commands.Put(f"k{number}", ONE))
    loaded = Store()
    loaded.load([(key, item) for key in log.store.keys("", 100)[0] if (item := log.store.get(key))])
    loaded.history.restore([log.store.history.settings])
    loaded.load_history(log.store.history.freeze().next(100, 10**6))
    for store in (log.store, loaded):
        store.apply_all(11, [commands.Delete("k0")])
        assert changes(store) == [("k5", 7), ("k6", 8), ("k7", 9), ("k8", 10), ("k0", 11)]
        assert store.history.change(store.history.end - 1) == ("k0", Gone(11))
        assert store.history.first_rev == 6


def test_memory_is_let_go_of_though_the_bounds_are_looked_at_more_often_than_changes_are_measured() -> None:
    store = Store()
    store.history.bound(1000, 500)
    for index in range(1, 200):
        store.apply_all(index, [commands.Put("k", msgspec.Raw(b"%020d" % index))])
        assert store.history.first_rev < index
        assert len(store.history.keys) <= 30  # 500 bytes, and an eighth of them


def test_memory_is_let_go_of_with_the_entry_that_narrows_the_bounds() -> None:
    store = Store()
    for index in range(1, 101):
        store.apply_all(index, [commands.Put("k", msgspec.Raw(b"%020d" % index))])
    store.apply_all(101, [commands.SetHistory(1000, 210)])
    assert len(store.history.keys) == 10
