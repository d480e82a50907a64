"""The real core in every order of events, within small bounds; and cores that are wrong, which must be found out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from trioraft.raft import quorum
from trioraft.raft.core import Core
from trioraft.raft.leadership import Leadership
from trioraft.raft.log import Log
from trioraft.raft.messages import HardState, NodeId, RequestVote, RequestVoteReply

from ..helpers.explorer import Bounds, Explorer

EMPTY: list[list[int]] = [[], [], []]
FIGURE_8 = [[1], [1, 2], [1, 3]]
"""Figure 8 (b): one node has an entry of term 2, and another one of term 3."""
UNEQUAL = [[1, 1], [1, 2, 2], [1, 3]]


@dataclass(frozen=True)
class Variant:
    """The start and the bounds of an exploration. `states` is their number: another number is another search."""

    logs: Sequence[Sequence[int]]
    terms: int
    candidates: Sequence[NodeId]
    bounds: Bounds
    states: int


QUICK = {
    "a write and a crash": Variant(EMPTY, 1, (0,), Bounds(timeouts=1, proposals=1, crashes=1), 41_258),
    "Figure 8, one election": Variant(FIGURE_8, 5, (1, 2), Bounds(timeouts=1), 6_856),
}
LONG = {
    "two elections at once": Variant(EMPTY, 1, (0, 1), Bounds(timeouts=2), 45_584),
    "unequal logs and a crash": Variant(UNEQUAL, 4, (0, 1, 2), Bounds(timeouts=1, crashes=1), 48_275),
    "a write, and a message twice": Variant(EMPTY, 1, (0,), Bounds(timeouts=1, proposals=1, duplicates=1), 97_095),
    "unequal logs, and a message twice": Variant(UNEQUAL, 4, (0, 1, 2), Bounds(timeouts=1, duplicates=1), 158_194),
    "two elections at once and a crash": Variant(EMPTY, 1, (0, 1), Bounds(timeouts=2, crashes=1), 203_827),
    "two terms": Variant(EMPTY, 2, (0, 1), Bounds(timeouts=2), 1_562_012),
}


def explore(variant: Variant) -> None:
    explorer = Explorer(variant.logs, variant.bounds, terms=variant.terms, candidates=variant.candidates)
    result = explorer.explore(2 * variant.states)
    assert result.broken is None, "\n".join([result.broken, *result.trace])
    assert result.exhausted
    assert result.elected, "nobody was ever elected: nothing was explored"
    assert result.committed, "nothing was ever committed: nothing was explored"
    print(f"{result.states} states, {result.transitions} transitions")
    assert result.states == variant.states


@pytest.mark.parametrize("variant", QUICK.values(), ids=list(QUICK))
def test_no_order_of_events_breaks_a_property(variant: Variant) -> None:
    explore(variant)


@pytest.mark.slow
@pytest.mark.parametrize("variant", LONG.values(), ids=list(LONG))
def test_no_order_of_events_breaks_a_property_further_out(variant: Variant) -> None:
    explore(variant)


# Cores that are wrong


class CommitsByCounting(Core):
    """Figure 8: the leader counts copies of an entry of an older term, and commits it."""

    def _advance_commit_index(self, leadership: Leadership) -> None:
        matches = [
            self.durable_index if voter == self.node else leadership.progress[voter].match_index
            for voter in self.configuration.voters
        ]
        self.commit_index = max(self.commit_index, quorum.reached_by_majority(matches))


class VotesTwice(Core):
    def _on_request_vote(self, sender: NodeId, message: RequestVote) -> None:
        self.hard_state = HardState(self.term)
        super()._on_request_vote(sender, message)


class AnswersAtOnce(Core):
    """A vote leaves before it is synced."""

    def _on_request_vote(self, sender: NodeId, message: RequestVote) -> None:
        super()._on_request_vote(sender, message)
        outbox = self._outbox
        answers = [gated for gated in outbox._gated if isinstance(gated[1], RequestVoteReply)]
        outbox._gated = [gated for gated in outbox._gated if gated not in answers]
        outbox._messages.extend(answers)


class LongerLog(Log):
    def is_up_to_date(self, last_index: int, last_term: int) -> bool:  # noqa: ARG002
        return last_index >= self.last_index


class ComparesLengths(Core):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.log = LongerLog(self.log.slice(1, self.last_index))


class CountsBeforeTheSync(Core):
    """The leader counts itself for entries that it has not synced."""

    def _advance_commit_index(self, leadership: Leadership) -> None:
        self._outbox.durable_index = self.log.last_index
        super()._advance_commit_index(leadership)


@pytest.mark.parametrize(
    ("core", "logs", "terms", "bounds", "found"),
    [
        (CommitsByCounting, FIGURE_8, 5, Bounds(timeouts=2), "Leader Completeness"),
        (VotesTwice, EMPTY, 1, Bounds(timeouts=2), "One vote a term"),
        (AnswersAtOnce, EMPTY, 1, Bounds(timeouts=1), "Sync before answer"),
        (ComparesLengths, [[1], [1, 2], [1, 1, 1]], 4, Bounds(timeouts=2), "Election restriction"),
        (CountsBeforeTheSync, EMPTY, 1, Bounds(timeouts=1), "Durability"),
    ],
)
def test_a_wrong_core_is_found_out(
    core: type[Core], logs: list[list[int]], terms: int, bounds: Bounds, found: str
) -> None:
    result = Explorer(logs, bounds, terms=terms, candidates=(1, 2), core=core).explore(300_000, deep=True)
    assert result.broken is not None
    assert found in result.broken
    assert result.trace
