"""The user that watches finds every way in which a watch can be wrong."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from trioraft.testing.store_model import StoreModel
from trioraft.testing.streams import Push
from trioraft.testing.users.watching import Watching
from trioraft.wire.codec import encode

RIGHT = [
    {"event": "put", "key": "a", "value": 1, "rev": 2, "created": 2, "version": 1},
    {"event": "synced", "at": 2},
    {"event": "put", "key": "a", "value": 2, "rev": 3, "created": 2, "version": 2, "more": True},
    {"event": "put", "key": "b", "value": 1, "rev": 3, "created": 3, "version": 1},
    {"event": "delete", "key": "a", "rev": 4},
    {"event": "progress", "at": 5},
]


def model() -> StoreModel:
    """The store after the entries of which RIGHT tells; entry 6 raises the level."""
    both = [{"op": "put", "key": "a", "value": 2}, {"op": "put", "key": "b", "value": 1}]
    entries: list[dict[str, Any]] = [
        {"op": "put", "key": "a", "value": 1},
        {"op": "txn", "checks": [], "then": both, "else": []},
        {"op": "delete", "key": "a"},
        {"op": "delete", "key": "a"},
        {"op": "raise_level", "level": 2},
    ]
    some = StoreModel()
    for index, entry in enumerate(entries, 2):
        some.apply(index, encode(entry))
    return some


def watching(*, at: int = 1) -> Watching:
    """A user whose watch of all keys begins after that revision."""
    user = Watching(Random(1), {"prefix": ""})
    assert user.connected() == [{"op": "watch", "id": 1, "prefix": ""}]
    user.answered({"op": "watch", "id": 1, "prefix": ""}, {"ok": True, "waiting": True, "at": at})
    return user


def tell(user: Watching, events: list[dict[str, Any]]) -> None:
    for event in events:
        user.told(None, msgspec.json.decode(encode(event), type=Push))


def test_what_is_right_is_found_right() -> None:
    user = watching()
    tell(user, RIGHT)
    user.verify(model())


@pytest.mark.parametrize("left_out", [0, 2, 4])
def test_a_change_that_is_left_out_is_found(left_out: int) -> None:
    user = watching()
    tell(user, RIGHT[:left_out] + RIGHT[left_out + 1 :])
    with pytest.raises(AssertionError, match=r"the log has|it was told"):
        user.verify(model())


@pytest.mark.parametrize(
    ("place", "wrong"),
    [(0, {"value": 7}), (0, {"version": 2}), (3, {"created": 2}), (4, {"by": "lease"}), (0, {"key": "b"})],
)
def test_a_change_that_is_told_wrongly_is_found(place: int, wrong: dict[str, Any]) -> None:
    user = watching()
    tell(user, [*RIGHT[:place], RIGHT[place] | wrong, *RIGHT[place + 1 :]])
    with pytest.raises(AssertionError, match="the log has"):
        user.verify(model())


@pytest.mark.parametrize(
    "events",
    [
        [RIGHT[0], RIGHT[0]],
        [RIGHT[1], RIGHT[0]],
        [RIGHT[2], RIGHT[4]],
        [RIGHT[2], RIGHT[1]],
        [RIGHT[5], RIGHT[4]],
    ],
    ids=["twice", "after it was synced", "an entry in two parts", "synced within an entry", "after progress"],
)
def test_a_wrong_order_is_found_at_once(events: list[dict[str, Any]]) -> None:
    user = watching()
    with pytest.raises(AssertionError):
        tell(user, events)


@pytest.mark.parametrize(
    ("position", "first_rev", "wrong"),
    [
        (1, 6, None),
        (2, 4, None),
        (1, 7, "never began above 7"),
        (6, 6, "reached back to 6"),
    ],
    ids=["where it was raised", "of a node's own before", "beyond", "not cut at all"],
)
def test_a_history_that_is_said_to_be_cut_must_be(position: int, first_rev: int, wrong: str | None) -> None:
    user = watching(at=position)
    user.answered(
        {"op": "watch", "id": 1, "prefix": "", "after_rev": position},
        {"ok": False, "error": {"code": "compacted", "first_rev": first_rev}},
    )
    if wrong is None:
        user.verify(model())
    else:
        with pytest.raises(AssertionError, match=wrong):
            user.verify(model())
