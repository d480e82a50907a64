"""The keys in order, compared with a sorted list."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

import pytest

from trioraft.kv import keys as module
from trioraft.kv.keys import Keys


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHUNK", 8)


@pytest.mark.parametrize("seed", range(300))
def test_they_are_gone_through_in_order_whatever_was_added_and_removed(seed: int) -> None:
    chance = random.Random(seed)
    keys, model = Keys(), set[str]()
    growth = chance.choice((0.3, 0.6, 0.9))
    frozen: Iterator[str] = iter(())
    before: list[str] = []
    for _ in range(chance.randrange(250)):
        if model and chance.random() > growth:
            key = chance.choice(sorted(model))
            keys.remove(key)
            model.remove(key)
        else:
            key = chance.choice((f"{chance.randrange(200)}", "é", "\U0001f600", "z" * chance.randint(1, 3)))
            if key not in model:
                keys.add(key)
                model.add(key)
        if chance.random() < 0.1:
            start = chance.choice(("", "1", "15", "é", "zz", "\U0001f601"))
            assert list(keys.since(start)) == sorted(key for key in model if key >= start)
        if chance.random() < 0.1:  # a view stays as it was, and is read a few keys at a time
            given = list(islice(frozen, chance.randint(1, 30)))
            assert given == before[: len(given)]
            del before[: len(given)]
        if not before and chance.random() < 0.1:
            keys.thaw()
            frozen, before = keys.freeze(), sorted(model)
    assert list(frozen) == before
    assert list(keys.since("")) == sorted(model)
