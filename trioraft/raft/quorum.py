"""The arithmetic of majorities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from trioraft.raft.messages import NodeId


def majority(voters: int) -> int:
    """The size of a majority of `voters`."""
    return voters // 2 + 1


def reached_by_majority(values: Sequence[int]) -> int:
    """The highest value that a majority has reached, given one value for each voter; 0 where there are none.

    Of match_index values, it is the index up to which a majority holds the log (§5.3). Of answered rounds, it is the
    newest round in which a majority still followed (thesis §6.4).
    """
    if not values:
        return 0
    return sorted(values, reverse=True)[majority(len(values)) - 1]


def won(voters: Sequence[NodeId], votes: Mapping[NodeId, bool]) -> bool:
    """Whether a majority of the voters granted their votes."""
    return sum(votes.get(voter, False) for voter in voters) >= majority(len(voters))


def heard_from(voters: Sequence[NodeId], active: Iterable[NodeId]) -> bool:
    """Whether a majority of the voters is among the active nodes."""
    return len(set(voters) & set(active)) >= majority(len(voters))


def live(voters: Sequence[NodeId], live: Iterable[NodeId], silent: Iterable[NodeId]) -> bool | None:
    """Whether a majority of the voters is live; None where that depends on voters in neither list."""
    if heard_from(voters, live):
        return True
    return None if heard_from(voters, set(voters) - set(silent)) else False
