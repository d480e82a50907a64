"""The leader ends leases by entries of its own, once their time is over; none is more than a turn can apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.raft.test_raft_changes import acknowledge, settled
from tests.raft.test_raft_paper import drain
from tests.replica.test_duties import Place
from tests.replica.test_lease_clock import Fake
from trioraft.raft.core import Core
from trioraft.replica.duties import ENDED_LEASES, ENDED_WEIGHT
from trioraft.wire.codec import decode
from trioraft.wire.entries import payloads


class Leased(Place):
    """A leader whose machine has these leases, all of one ttl, and whose peers answer."""

    def __init__(self, count: int, core: Core | None = None, weight: int = 1) -> None:
        self.leases = leases = Fake(dict.fromkeys(range(1, count + 1), 1000))
        self.leases.weight = lambda lease: weight  # type: ignore[method-assign]  # noqa: ARG005

        class Machine:
            leasing = leases
            level = 2

        self.expired: list[list[int]] = []
        super().__init__(core or settled(), Machine())  # type: ignore[arg-type]

    def leases_expire(self, leases: Sequence[int], index: int) -> None:
        assert index == self.core.last_index
        self.expired.append(list(leases))

    def pass_ticks(self, ticks: int, *peers: int) -> None:
        """Let time pass while these peers answer all that they are asked."""
        for _ in range(ticks):
            self.clock.pass_time()
            self.tick()
            acknowledge(self.core, *peers)

    def apply(self) -> None:
        """Let the machine apply what was proposed."""
        for leases in self.expired:
            for lease in leases:
                self.leases.ttls.pop(lease, None)

    def logged(self) -> list[Any]:
        """What the log holds behind the no-op."""
        return [
            decode(bytes(one)) for run in self.core.log.slice(2, self.core.last_index).runs for one in payloads(run)
        ]


def test_a_lease_that_is_over_is_ended_once_by_an_entry() -> None:
    place = Leased(2)
    place.pass_ticks(125, 1)
    assert place.logged() == []
    place.pass_ticks(50, 1)
    assert place.logged() == [[1, 2]]
    assert place.expired == [[1, 2]]


def test_time_counts_only_while_a_majority_answers() -> None:
    place = Leased(1)
    place.pass_ticks(60, 1)
    place.pass_ticks(80)  # of these, an election timeout counts
    assert place.core.role == "leader"
    assert place.expired == []
    place.pass_ticks(10, 1)
    assert place.expired == []
    place.pass_ticks(10, 1)
    assert place.expired == [[1]]


def test_nothing_ends_while_the_lead_is_handed_over() -> None:
    place = Leased(1)
    place.pass_ticks(120, 1)
    place.core.transfer_leadership(2)  # which does not answer
    place.pass_ticks(10, 1)
    assert place.core.transferring
    assert place.expired == []
    place.pass_ticks(place.core.settings.election_ticks, 1)
    assert not place.core.transferring
    assert place.expired == [[1]]


def test_an_overloaded_leader_ends_them_later() -> None:
    place = Leased(1)
    place.pass_ticks(120, 1)
    big = b'"' + b"x" * place.core.settings.max_uncommitted_bytes + b'"'
    place.core.propose([big])
    for _ in range(10):
        place.clock.pass_time()
        place.tick()
    assert place.expired == []
    place.pass_ticks(10, 1)
    assert place.expired == [[1]]


def test_one_entry_ends_no_more_than_a_turn_can_apply() -> None:
    place = Leased(2 * ENDED_LEASES + 1)
    place.pass_ticks(130, 1)
    assert [len(leases) for leases in place.expired] == [ENDED_LEASES, ENDED_LEASES, 1]
    place = Leased(5, weight=ENDED_WEIGHT // 2)
    place.pass_ticks(130, 1)
    assert [len(leases) for leases in place.expired] == [2, 2, 1]
    place = Leased(2, weight=3 * ENDED_WEIGHT)
    place.pass_ticks(130, 1)
    assert [len(leases) for leases in place.expired] == [1, 1]


def test_who_leads_no_more_ends_nothing() -> None:
    place = Leased(1)
    place.pass_ticks(60, 1)
    for _ in range(3 * place.core.settings.election_ticks):
        place.clock.pass_time()
        place.tick()
        drain(place.core)
    assert place.core.role != "leader"
    assert place.expired == []
