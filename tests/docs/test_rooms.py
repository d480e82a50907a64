"""docs/architecture.md shows the rooms as the tests hold them."""

from __future__ import annotations

import pytest

from tests.architecture import imports as rules
from tests.docs import rooms


def test_the_page_shows_the_rooms_as_they_are() -> None:
    page = rooms.PAGE.read_text()
    assert rooms.updated(page) == page, "write it with `python -m tests.docs`"


def test_every_rule_has_a_row() -> None:
    rows = rooms.table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [room.removeprefix("trioraft.") for room in rules.ALLOWED]
    assert all(row.split("|")[2].strip() for row in rows)


def test_the_picture_leaves_out_what_follows_from_the_rest() -> None:
    arrows = {tuple(line.split(" --> ")) for line in rooms.picture().splitlines() if "-->" in line}
    assert {(above.strip(), below) for above, below in arrows} >= {("storage", "wire"), ("key_values", "replica")}
    assert not any((above.strip(), below) == ("server", "raft") for above, below in arrows)


def test_a_page_without_a_place_for_them_is_refused() -> None:
    with pytest.raises(ValueError, match="0 places"):
        rooms.updated("nothing here")
