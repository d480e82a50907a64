"""The arithmetic of majorities, apart from everything that uses it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from trioraft.raft.messages import NodeId


def majority(voters: int) -> int:
    """How many of so many voters are more than half."""
    return voters // 2 + 1


def reached_by_majority(values: Sequence[int]) -> int:
    """The highest value that a majority has reached; one value a voter. No voters have reached 0.

    With match_index values it is the index that a majority holds (§5.3); with acknowledged rounds, the
    newest round in which a majority still followed (thesis §6.4).
    """
    if not values:
        return 0
    return sorted(values, reverse=True)[majority(len(values)) - 1]


def won(voters: Sequence[NodeId], votes: Mapping[NodeId, bool]) -> bool:
    """Whether a majority of the voters granted its vote."""
    return sum(votes.get(voter, False) for voter in voters) >= majority(len(voters))


def heard_from(voters: Sequence[NodeId], active: Iterable[NodeId]) -> bool:
    """Whether the active nodes hold a majority of the voters."""
    return len(set(voters) & set(active)) >= majority(len(voters))


def live(voters: Sequence[NodeId], live: Iterable[NodeId], silent: Iterable[NodeId]) -> bool | None:
    """Whether a majority of the voters is known to live; None where that depends on those that are not known yet."""
    if heard_from(voters, live):
        return True
    return None if heard_from(voters, set(voters) - set(silent)) else False
