"""Faults of a whole cluster: what each node is to be asked for its own end of the links. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any, Final

Request = dict[str, Any]
Wanted = dict[int, list[Request]]
"""For each node what it is to be asked."""
Way = tuple[int, int]
"""Who says something, and who hears it."""

TOLD_AT_BOTH_ENDS: Final = ("cut",)
"""The kinds of which both ends are told, so that a restart of one changes nothing. The others would add up."""


class FaultError(Exception):
    """What was asked for cannot be, in words."""


def both_ways(node: int, other: int) -> list[Way]:
    """The ways of a link."""
    return [(node, other), (other, node)]


def between(sides: Sequence[Collection[int]]) -> list[Way]:
    """All ways from one side to another."""
    return [(node, other) for one, two in permutations(sides, 2) for node in one for other in two]


def breaking(kind: str, ways: Sequence[Way], alive: Collection[int], how: Mapping[str, Any]) -> Wanted:
    """What breaks these ways so.

    Of a way whose ends are not to be told both, the one that says something is told, or the other if that is not alive.
    """
    peers: dict[tuple[int, str], list[int]] = {}
    for sender, receiver in ways:
        if kind in TOLD_AT_BOTH_ENDS or sender in alive or receiver not in alive:
            peers.setdefault((sender, "to"), []).append(receiver)
        if kind in TOLD_AT_BOTH_ENDS or (sender not in alive and receiver in alive):
            peers.setdefault((receiver, "from"), []).append(sender)
    found: Wanted = {}
    for (node, way), others in sorted(peers.items()):
        found.setdefault(node, []).append({"op": "fault", "kind": kind, "nodes": others, "way": way, **how})
    return found


def healing(named: Sequence[int], kind: str | None, nodes: Collection[int]) -> Wanted:
    """What heals everything, or all about one node, or one link. Raises FaultError."""
    request: Request = {"op": "fault", "heal": True} | ({} if kind is None else {"kind": kind})
    if not named:
        return {node: [request] for node in nodes}
    if len(named) == 1:
        [one] = named
        others = [] if kind == "disk" else [node for node in nodes if node != one]
        return {one: [request]} | {node: [{**request, "nodes": [one]}] for node in others}
    if len(named) > 2 or kind == "disk":
        raise FaultError("name no node, or one, or the two ends of a link; a disk is one node's")
    one, other = named
    return {one: [{**request, "nodes": [other]}], other: [{**request, "nodes": [one]}]}


def parse_sides(words: Sequence[str], nodes: Collection[int]) -> list[list[int]]:
    """The sides that are typed, as in `0,1 2` or `0 1 / 2`; the nodes that are not named are one side more.

    Raises FaultError.
    """
    texts = " ".join(words).split("/") if any("/" in word for word in words) else words
    sides = [side for text in texts if (side := [_node(word, nodes) for word in text.replace(",", " ").split()])]
    named = [node for side in sides for node in side]
    if twice := sorted({node for node in named if named.count(node) > 1}):
        raise FaultError(f"node {twice[0]} stands twice")
    if rest := sorted(set(nodes).difference(named)):
        sides.append(rest)
    if len(sides) < 2:
        raise FaultError("all nodes would be on one side: the sides are words, as in '0,1 2', or parted by '/'")
    return sides


def known(node: int, nodes: Collection[int]) -> int:
    """The node, which must be one of these. Raises FaultError."""
    if node not in nodes:
        raise FaultError(f"there is no node {node}: there are {', '.join(map(str, sorted(nodes)))}")
    return node


def _node(word: str, nodes: Collection[int]) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise FaultError(f"'{word}' is no node: there are {', '.join(map(str, sorted(nodes)))}")
    return known(int(word), nodes)


def uncovered(ways: Sequence[Way], told: Collection[int]) -> Iterator[Way]:
    """The ways of which neither end was told."""
    return (way for way in ways if not set(way) & set(told))
