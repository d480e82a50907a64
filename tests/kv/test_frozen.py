"""A frozen view of the store, against a copy made at the same moment."""

from __future__ import annotations

import random

import msgspec
import pytest

from trioraft.kv.commands import Delete, Put
from trioraft.kv.frozen import Frozen
from trioraft.kv.items import Item
from trioraft.kv.store import Store


def contents(store: Store) -> list[tuple[str, Item]]:
    return store.scan("", None, 10**9, 10**9)[0]


def change(store: Store, chance: random.Random, index: int) -> None:
    key = f"k{chance.randrange(40):02}"
    if chance.random() < 0.4:
        store.apply(index, Delete(key))
    else:
        store.apply(index, Put(key, msgspec.Raw(b"%d" % index)))


def take_all(frozen: Frozen, limit: int) -> list[tuple[str, Item]]:
    taken = []
    while items := frozen.take(limit):
        taken += items
    return taken


@pytest.mark.parametrize("seed", range(200))
def test_what_is_taken_is_what_was_there_when_it_was_frozen(seed: int) -> None:
    chance = random.Random(seed)
    store = Store()
    index = 0
    for _ in range(chance.randrange(120)):
        index += 1
        change(store, chance, index)
    before = contents(store)
    frozen = store.freeze()
    assert frozen.count == len(before)
    taken = []
    while items := frozen.take(chance.randint(1, 5)):
        taken += items
        for _ in range(chance.randrange(12)):
            index += 1
            change(store, chance, index)
    assert taken == before
    frozen.close()


def test_no_more_large_values_are_taken_at_once_than_are_enough() -> None:
    store = Store()
    for index, size in enumerate((10, 300, 10, 10, 10, 500), 1):
        store.apply(index, Put(f"k{index}", msgspec.Raw(b"1" * size)))
    frozen = store.freeze()
    taken = [[key for key, _ in frozen.take(3, 100)] for _ in range(5)]
    assert taken == [["k1", "k2"], ["k3", "k4", "k5"], ["k6"], [], []]


def test_one_view_at_a_time_and_another_when_it_is_closed() -> None:
    store = Store()
    store.apply(1, Put("a", msgspec.Raw(b"1")))
    frozen = store.freeze()
    with pytest.raises(ValueError, match="frozen already"):
        store.freeze()
    frozen.close()
    assert take_all(store.freeze(), 3) == contents(store)


def test_a_store_that_is_loaded_in_slices_is_the_store_that_was_frozen() -> None:
    store = Store()
    for index in range(1, 500):
        store.apply(index, Put(f"key-{index % 70}", msgspec.Raw(b'"%d"' % index)))
    frozen, loaded = store.freeze(), Store()
    while items := frozen.take(7):
        loaded.load(items)
    assert contents(loaded) == contents(store)
