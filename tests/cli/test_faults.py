"""What each node is asked for a fault of the whole cluster. Pure."""

from __future__ import annotations

import pytest
from trioraft_cli.fault_plan import FaultError, between, both_ways, breaking, healing, parse_sides, uncovered

NODES = (0, 1, 2)


@pytest.mark.parametrize(
    ("typed", "sides"),
    [
        ("0 1,2", [[0], [1, 2]]),
        ("0,1 2", [[0, 1], [2]]),
        ("0 1 / 2", [[0, 1], [2]]),
        ("0 1/2", [[0, 1], [2]]),
        ("0 / 1 / 2", [[0], [1], [2]]),
        ("0 1 2", [[0], [1], [2]]),
        ("0", [[0], [1, 2]]),
        ("2,0", [[2, 0], [1]]),
        ("/ 1 /", [[1], [0, 2]]),
    ],
)
def test_sides_are_words_or_stand_between_slashes(typed: str, sides: list[list[int]]) -> None:
    assert parse_sides(typed.split(), NODES) == sides


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("0 0", "node 0 stands twice"),
        ("0,1 1,2", "node 1 stands twice"),
        ("0,1,2", "all nodes would be on one side"),
        ("/", "all nodes would be on one side"),
        ("3", "there is no node 3: there are 0, 1, 2"),
        ("-1", "'-1' is no node"),
        ("x", "'x' is no node"),
        ("²", "'²' is no node"),
        ("9" * 5000, "is no node"),
    ],
)
def test_others_are_refused(typed: str, said: str) -> None:
    with pytest.raises(FaultError, match=said):
        parse_sides(typed.split(), NODES)


def test_both_ends_of_a_cut_are_told_whoever_is_alive() -> None:
    assert breaking("cut", both_ways(0, 1), {0}, {"for_ms": 5}) == {
        0: [
            {"op": "fault", "kind": "cut", "nodes": [1], "way": "from", "for_ms": 5},
            {"op": "fault", "kind": "cut", "nodes": [1], "way": "to", "for_ms": 5},
        ],
        1: [
            {"op": "fault", "kind": "cut", "nodes": [0], "way": "from", "for_ms": 5},
            {"op": "fault", "kind": "cut", "nodes": [0], "way": "to", "for_ms": 5},
        ],
    }


@pytest.mark.parametrize(
    ("alive", "told"),
    [
        ({0, 1}, {0: "to", 1: "to"}),
        ({0}, {0: "both"}),
        ({1}, {1: "both"}),
        (set(), {0: "to", 1: "to"}),
    ],
    ids=str,
)
def test_of_a_slow_way_one_end_is_told(alive: set[int], told: dict[int, str]) -> None:
    asked = breaking("slow", both_ways(0, 1), alive, {"ms": 9})
    ways = {node: [str(request["way"]) for request in requests] for node, requests in asked.items()}
    assert {node: "both" if len(both) > 1 else both[0] for node, both in ways.items()} == told
    assert all(request["ms"] == 9 for requests in asked.values() for request in requests)


def test_a_partition_cuts_each_node_from_all_of_the_other_sides() -> None:
    asked = breaking("cut", between([[0, 3], [1], [2]]), {0, 1, 2, 3}, {})
    assert {node: requests[0]["nodes"] for node, requests in asked.items()} == {
        0: [1, 2],
        1: [0, 3, 2],
        2: [0, 3, 1],
        3: [1, 2],
    }


def test_what_is_healed_is_all_or_about_a_node_or_a_link() -> None:
    assert healing((), "cut", NODES) == {node: [{"op": "fault", "heal": True, "kind": "cut"}] for node in NODES}
    about = {"op": "fault", "heal": True, "nodes": [1]}
    assert healing((1,), None, NODES) == {1: [{"op": "fault", "heal": True}], 0: [about], 2: [about]}
    assert healing((1,), "disk", NODES) == {1: [{"op": "fault", "heal": True, "kind": "disk"}]}
    assert healing((0, 1), None, NODES) == {0: [about], 1: [{**about, "nodes": [0]}]}
    for named, kind in (((0, 1, 2), None), ((0, 1), "disk")):
        with pytest.raises(FaultError, match="name no node, or one"):
            healing(named, kind, NODES)


def test_a_way_is_covered_where_one_of_its_ends_was_told() -> None:
    assert list(uncovered(both_ways(0, 1), {1, 2})) == []
    assert list(uncovered([(0, 1), (1, 2)], {2})) == [(0, 1)]
