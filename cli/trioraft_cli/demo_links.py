"""The links between the nodes of a demo: who cannot hear whom, and how slow each is. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

Requests = list[dict[str, Any]]


class Links:
    """What is to be wrong with the links. A node that starts anew has to be told again."""

    def __init__(self) -> None:
        self.groups: list[frozenset[int]] = []
        """The sides of a partition; none where all hear each other."""
        self.slow: dict[int, int] = {}
        """By how many milliseconds all is late that a node sends, and that is sent to it."""

    @property
    def are_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.groups and not self.slow

    def heal(self) -> None:
        """Make all links whole."""
        self.groups = []
        self.slow = {}

    def side_of(self, node: int) -> frozenset[int] | None:
        """The side of the partition on which the node is; None where there is none, or it is on no side."""
        return next((group for group in self.groups if node in group), None)

    def join(self, node: int, other: int) -> None:
        """Put a newcomer on the side of that other node."""
        self.groups = [group | {node} if other in group else group for group in self.groups]

    def sides(self, nodes: Collection[int]) -> list[list[int]]:
        """These nodes in groups that hear each other."""
        sides = [sorted(group.intersection(nodes)) for group in self.groups] or [sorted(nodes)]
        return [side for side in sides if side]

    def delays(self, node: int, others: Sequence[int]) -> list[int]:
        """By how many milliseconds what that node sends to each of these is late."""
        return [self.slow.get(node, 0) + self.slow.get(other, 0) for other in others]

    def requests(self, node: int, nodes: Collection[int]) -> Requests:
        """What that node is to be asked so that its links to all `nodes` are as they are to be.

        Each end of a cut is told, so that it outlives a restart of the other. Of a slow link the sender is told.
        """
        found: Requests = [{"op": "fault", "heal": True}]
        own = self.side_of(node)
        if cut := sorted(other for other in nodes if own and other not in own and self.side_of(other)):
            found.append({"op": "fault", "kind": "cut", "nodes": cut})
        others = sorted(set(nodes) - {node})
        for other, late in zip(others, self.delays(node, others), strict=True):
            if late:
                found.append({"op": "fault", "kind": "slow", "nodes": [other], "way": "to", "ms": late})
        return found


def parse_sides(text: str, nodes: Sequence[int], leader: int | None) -> list[frozenset[int]]:
    """The sides that are typed, as in `0 1 | 2`; nodes that are not named are one side more. Raises ValueError."""
    sides = [[_node(word, nodes, leader) for word in part.replace(",", " ").split()] for part in text.split("|")]
    named = [node for side in sides for node in side]
    if twice := sorted({node for node in named if named.count(node) > 1}):
        raise ValueError(f"node {twice[0]} cannot be on two sides")
    if rest := [node for node in nodes if node not in named]:
        sides.append(rest)
    found = [frozenset(side) for side in sides if side]
    if len(found) < 2:
        raise ValueError(r"all nodes would be on one side: type who is on which, as in \partition 0 1 | 2")
    return found


def _node(word: str, nodes: Sequence[int], leader: int | None) -> int:
    if word == "leader":
        if leader is None:
            raise ValueError("no node leads now: type its number")
        return leader
    if not word.isascii() or not word.isdigit() or int(word[:9]) not in nodes:
        raise ValueError(f"there is no node '{word}': there are {', '.join(map(str, nodes))}")
    return int(word)
