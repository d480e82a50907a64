"""A frozen view of the store, compared with a copy made at the same moment."""

from __future__ import annotations

import random

import msgspec
import pytest

from trioraft.kv.commands import Delete, Put
from trioraft.kv.items import Item
from trioraft.kv.store import Store
from trioraft.kv.view import StoreView


def contents(store: Store) -> list[tuple[str, Item]]:
    return store.scan("", None, 10**9, 10**9)[0]


def change(store: Store, chance: random.Random, index: int) -> None:
    key = f"k{chance.randrange(40):02}"
    if chance.random() < 0.4:
        Delete(key).apply(store, index)
    else:
        Put(key, msgspec.Raw(b"%d" % index)).apply(store, index)


def read_all(view: StoreView, limit: int) -> list[tuple[str, Item]]:
    given = []
    while items := view.next(limit):
        given += items
    return given


@pytest.mark.parametrize("seed", range(200))
def test_a_view_gives_what_was_there_when_it_was_frozen(seed: int) -> None:
    chance = random.Random(seed)
    store = Store()
    index = 0
    for _ in range(chance.randrange(120)):
        index += 1
        change(store, chance, index)
    before = contents(store)
    view = store.freeze()
    assert view.count == len(before)
    given = []
    while items := view.next(chance.randint(1, 5)):
        given += items
        for _ in range(chance.randrange(12)):
            index += 1
            change(store, chance, index)
    assert given == before
    view.close()


def test_no_more_large_values_are_given_at_once_than_are_enough() -> None:
    store = Store()
    for index, size in enumerate((10, 300, 10, 10, 10, 500), 1):
        Put(f"k{index}", msgspec.Raw(b"1" * size)).apply(store, index)
    view = store.freeze()
    given = [[key for key, _ in view.next(3, 100)] for _ in range(5)]
    assert given == [["k1", "k2"], ["k3", "k4", "k5"], ["k6"], [], []]


def test_one_view_at_a_time_and_another_when_it_is_closed() -> None:
    store = Store()
    Put("a", msgspec.Raw(b"1")).apply(store, 1)
    view = store.freeze()
    with pytest.raises(ValueError, match="frozen already"):
        store.freeze()
    view.close()
    assert read_all(store.freeze(), 3) == contents(store)


def test_a_store_that_is_loaded_in_slices_is_the_store_that_was_frozen() -> None:
    store = Store()
    for index in range(1, 500):
        Put(f"key-{index % 70}", msgspec.Raw(b'"%d"' % index)).apply(store, index)
    view, loaded = store.freeze(), Store()
    while items := view.next(7):
        loaded.load(items)
    assert contents(loaded) == contents(store)
