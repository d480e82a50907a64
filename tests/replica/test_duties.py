"""The leader's own proposals: a learner gets its vote once it has caught up, lives, and a majority answers."""

from __future__ import annotations

from collections.abc import Sequence

from tests.raft.test_raft_changes import acknowledge, grown, settled
from tests.raft.test_raft_paper import drain
from tests.raft.test_whose_answers_count import elected
from trioraft.key_values import key_value_machine
from trioraft.machine import Machine
from trioraft.raft.core import Core
from trioraft.raft.membership import with_learner, with_vote
from trioraft.raft.messages import AppendEntries, AppendEntriesReply, PreVoteReply, RequestVoteReply
from trioraft.raft.ready import Lost, Won
from trioraft.replica.duties import Duties
from trioraft.replica.lease_clock import LeaseClock
from trioraft.replica.levels import Levels
from trioraft.wire.entries import seal


class Place:
    """A leading core and its duties, without the rest of a replica."""

    def __init__(self, core: Core, machine: Machine | None = None) -> None:
        self.core = core
        self.node = core.node
        self.machine: Machine = machine or key_value_machine()
        self.levels = Levels(self, 1)
        self.clock = LeaseClock(10)
        self.duties = Duties(self, self.clock)
        self.duties.lead_changed(Won(core.term))

    def tick(self) -> None:
        self.core.tick()
        self.duties.tick(1)

    def leases_expire(self, leases: Sequence[int], index: int) -> None: ...


def test_a_learner_has_no_vote_until_it_has_caught_up_and_gets_it_by_itself() -> None:
    core = settled()
    place = Place(core)
    core.propose_configuration(grown(core))
    drain(core)
    acknowledge(core, 1, 2)
    assert core.configuration.voters == (0, 1, 2)
    for _ in range(30):
        place.tick()
        acknowledge(core, 1, 2)
    assert core.configuration.voters == (0, 1, 2)  # nobody has heard of the newcomer yet
    for _ in range(30):
        place.tick()
        acknowledge(core, 1, 2, 3)
    assert core.configuration.voters == (0, 1, 2, 3)


def test_a_new_leader_gives_no_vote_to_a_learner_that_has_only_shown_itself() -> None:
    core = elected(learner=True)
    place = Place(core)
    acknowledge(core, 1, 2)
    for _ in range(3 * core.settings.heartbeat_ticks):
        core.step(3, AppendEntriesReply(core.term, False, 0, 0, rejected_index=core.last_index))
        acknowledge(core, 1, 2)
        place.tick()
    assert 3 not in core.configuration.voters
    for _ in range(3 * core.settings.heartbeat_ticks):
        acknowledge(core, 1, 2, 3)
        place.tick()
    assert 3 in core.configuration.voters


def test_a_vote_is_given_only_where_a_majority_of_all_that_would_vote_has_answered_this_leader() -> None:
    core = elected(learner=True)
    place = Place(core)
    acknowledge(core, 1)
    assert core.is_live(with_vote(core.configuration, 3)) is None
    for _ in range(2 * core.settings.heartbeat_ticks):
        place.tick()
    assert 3 not in core.configuration.voters


def test_a_learner_that_has_caught_up_and_is_silent_gets_no_vote() -> None:
    core = elected(learner=True)
    place = Place(core)
    acknowledge(core, 1, 2, 3)
    core.peer_lost(3)
    for _ in range(5 * core.settings.heartbeat_ticks):
        acknowledge(core, 1, 2)
        place.tick()
    assert core.commit_index == core.progress[3].match_index
    assert 3 not in core.configuration.voters


def test_a_folder_whose_binding_is_undone_is_bound_by_whoever_leads_then() -> None:
    """The newcomer does not introduce itself again, as its connections stay."""
    core = settled()
    place = Place(core)
    core.propose_configuration(with_learner(core.configuration, "new:1", promote=True))
    drain(core)
    acknowledge(core, 1, 2)
    place.duties.bind(3, "f-new")
    for _ in range(3):
        place.tick()
    assert folder(core) == "f-new"
    end, term = core.commit_index, core.log.term_at(core.commit_index) or 0
    core.step(1, AppendEntries(core.term + 1, end, term, end + 1, 0, [seal(end + 1, core.term + 1, "noop", b"null")]))
    drain(core)
    place.tick()
    assert folder(core) == ""
    while core.role == "follower":
        place.tick()
        drain(core)
    core.step(1, PreVoteReply(core.term + 1, True))
    drain(core)
    core.step(1, RequestVoteReply(core.term, True))
    drain(core)
    acknowledge(core, 1, 2)
    place.tick()
    assert folder(core) == "f-new"


def folder(core: Core) -> str:
    """The folder that the newcomer is bound to, as the node's log has it."""
    newcomer = core.configuration.member(3)
    assert newcomer is not None
    return newcomer.folder


def test_who_leads_no_more_gives_no_vote() -> None:
    core = elected(learner=True)
    place = Place(core)
    place.duties.lead_changed(Lost("no_quorum"))
    for _ in range(3 * core.settings.heartbeat_ticks):
        acknowledge(core, 1, 2, 3)
        place.tick()
    assert 3 not in core.configuration.voters
