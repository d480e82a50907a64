"""Events between two steps of a change of members: a snapshot, a silence, a new term; and who is asked meanwhile."""

from __future__ import annotations

import pytest

from trioraft.raft.core import Core
from trioraft.raft.membership import Configuration, Member, with_learner, without
from trioraft.raft.messages import (
    AppendEntries,
    Entry,
    HardState,
    PreVoteReply,
    RequestVoteReply,
    TimeoutNow,
)
from trioraft.raft.ready import Overloaded, Point
from trioraft.raft.settings import Settings
from trioraft.wire import entries as codec
from trioraft.wire.entries import seal, write_configuration

from .test_raft_changes import acknowledge, settled
from .test_raft_paper import Patient, drain, log_of, node
from .test_whose_answers_count import LEARNER, elected
from .test_whose_answers_count import settled as with_a_learner

FIRST = node().configuration
SECOND = with_learner(FIRST, "new:1", promote=False)
THIRD = with_learner(SECOND, "newer:1", promote=False)


def changed(index: int, configuration: Configuration) -> Entry:
    return seal(index, 1, "configuration", write_configuration(configuration))


# Snapshots between two steps of a change


def test_7_a_change_behind_the_snapshot_stays_in_force_where_that_is_installed() -> None:
    core = node(1, 1, term=1)
    core.step(1, AppendEntries(1, 2, 1, 0, 0, [*log_of(1, 1, 1)[2:], changed(4, SECOND)]))
    drain(core)
    core.installed(Point(3, 1), 0, FIRST)
    assert core.configuration == SECOND
    assert core.configuration_at(3) == (0, FIRST)


def test_7_a_change_behind_the_snapshot_goes_where_its_entry_is_truncated() -> None:
    core = node(1, 1, 1, term=1)
    core.step(1, AppendEntries(1, 3, 1, 3, 0, [changed(4, SECOND)]))
    drain(core)
    core.compacted(Point(3, 1), 3)
    assert core.configuration == SECOND
    core.step(2, AppendEntries(2, 3, 1, 3, 0, [seal(4, 2, "noop", b"null")]))
    assert core.configuration == FIRST


# Who counts, and who is asked, between two steps


def test_the_lead_goes_to_no_learner_though_that_has_most() -> None:
    core = with_a_learner()
    core.propose([b"1"])
    drain(core)
    acknowledge(core, LEARNER)
    assert core.transfer_leadership(None) in (1, 2)


def test_the_lead_goes_to_the_one_that_was_asked_for_or_to_none() -> None:
    core = elected()
    acknowledge(core, 1)
    core.peer_lost(2)
    assert core.transfer_leadership(2) == 2
    sent = drain(core)
    for _ in range(core.settings.election_ticks - 1):
        acknowledge(core, 1)
        core.tick()
        sent += drain(core)
    assert not [message for _, message in sent if isinstance(message, TimeoutNow)]
    assert core.role == "leader"


def test_thesis_4_2_2_who_is_being_removed_may_stand_until_that_is_committed() -> None:
    """Of two voters, perhaps only the removed one has the entry that removes it: without its vote nobody could lead."""
    core = node(1, term=1)
    core.step(1, AppendEntries(1, 1, 1, 1, 0, [changed(2, without(FIRST, 0))]))
    drain(core)
    assert 0 not in core.configuration.voters
    for _ in range(2 * core.settings.election_ticks):
        core.tick()
    assert core.votes == [0], "it asks whether it could win"
    core.step(1, PreVoteReply(2, True))
    core.step(2, PreVoteReply(2, True))
    drain(core)
    for peer in (1, 2):
        core.step(peer, RequestVoteReply(2, True))
    assert core.role == "leader"


def test_who_is_removed_is_told_that_it_is_committed_before_it_is_forgotten() -> None:
    core = settled()
    core.propose_configuration(without(core.configuration, 2))
    drain(core)
    acknowledge(core, 2)  # it has the entry, but does not know that it is committed
    acknowledge(core, 1)
    told = []
    for _ in range(3 * core.settings.heartbeat_ticks):
        core.tick()
        if 2 in core.progress and (append := core.next_append(2)) is not None:
            assert isinstance(append, AppendEntries)
            told.append(append.commit_index)
    assert 2 not in core.progress
    assert max(told, default=0) == core.commit_index


def test_thesis_4_2_2_a_leader_that_is_being_removed_asks_as_many_as_it_takes() -> None:
    """A leader without a vote does not count itself: a majority of the others confirms its reads."""
    core = settled(nodes=4)
    core.propose_configuration(without(core.configuration, 0))
    drain(core)
    core.read_index(1)
    core.ready()
    asked = [peer for peer in (1, 2, 3) if core.progress[peer].round_wanted]
    assert len(asked) == 2


# A new term


def test_a_new_leader_takes_nothing_new_while_too_much_that_it_finds_is_uncommitted() -> None:
    members = (Member(0, "n0:1", "voter", "f0"), Member(1, "n1:1", "voter", "f1"))
    core = Core(
        0,
        Configuration(members, 2),
        hard_state=HardState(1, None),
        entries=[seal(1, 1, "command", b'"%b"' % (b"x" * 1_000))],
        codec=codec,
        random=Patient(),
        settings=Settings(max_uncommitted_bytes=1_000),
    )
    lead(core)
    with pytest.raises(Overloaded):
        core.propose([b"1"])
    acknowledge(core, 1)
    assert core.propose([b"1"]) == 3


def lead(core: Core) -> None:
    """Let node 1, the only other voter, elect it."""
    while core.role != "leader":
        core.tick()
        drain(core)
        core.step(1, PreVoteReply(core.term + 1, True))
        drain(core)
        core.step(1, RequestVoteReply(core.term, True))


def test_a_leader_that_leads_again_counts_nothing_of_what_it_had_under_way_before() -> None:
    members = (Member(0, "n0:1", "voter", "f0"), Member(1, "n1:1", "voter", "f1"))
    core = Core(
        0,
        Configuration(members, 2),
        hard_state=HardState(0, None),
        entries=[],
        codec=codec,
        random=Patient(),
        settings=Settings(max_uncommitted_bytes=10_000),
    )
    large = b'"%b"' % (b"x" * 5_000)
    for _ in range(4):
        lead(core)
        acknowledge(core, 1)
        core.propose([large])
        drain(core)
        last, log_term = core.last_index, core.log.last_term
        # Another node leads, and has none of these entries.
        core.step(
            1,
            AppendEntries(core.term + 1, last - 1, log_term, last - 1, 0, [seal(last, core.term + 1, "noop", b"null")]),
        )
        drain(core)
        core.step(1, AppendEntries(core.term, last, core.term, last, 0, []))
        drain(core)
        assert core.leader == 1
