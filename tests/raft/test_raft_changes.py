"""Members that change (thesis §4), a lead that is handed over (§3.10), logs that begin at a snapshot (paper §7)."""

from __future__ import annotations

import msgspec
import pytest

from trioraft.raft.core import Core
from trioraft.raft.membership import (
    ChangeRefused,
    Configuration,
    with_folder,
    with_learner,
    with_promotion,
    with_vote,
    without,
)
from trioraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from trioraft.raft.ready import NotLeader, Point, Transferring
from trioraft.wire.entries import seal, write_configuration

from .test_raft_paper import drain, leader, log_of, node


def acknowledge(core: Core, *peers: int) -> list[tuple[int, Message]]:
    """Let these peers sync all that the leader has."""
    for peer in peers:
        while core.next_append(peer) is not None:
            pass
        core.step(peer, AppendEntriesReply(core.term, True, core.last_index, 0))
    return drain(core)


def settled(nodes: int = 3) -> Core:
    """Make a leader whose no-op is committed everywhere."""
    core = leader(term=1, nodes=nodes)
    acknowledge(core, *range(1, nodes))
    assert core.commit_index == core.last_index == 1
    return core


def grown(core: Core) -> Configuration:
    configuration = with_learner(core.configuration, "new:1", promote=True)
    return with_folder(configuration, configuration.next_id - 1, "f-new")


# Members


def test_thesis_4_1_a_configuration_is_in_force_as_soon_as_it_is_appended() -> None:
    core = settled()
    core.propose_configuration(grown(core))
    assert core.configuration.member(3) is not None
    assert 3 in core.progress
    assert core.commit_index == 1


@pytest.mark.parametrize("change", ["demoted", "removed"])
def test_who_has_no_vote_forgets_a_leader_that_is_silent_too(change: str) -> None:
    core = node(1)
    members = core.configuration
    if change == "removed":
        changed = without(members, 0)
    else:
        demoted = msgspec.structs.replace(members.members[0], role="learner")
        changed = msgspec.structs.replace(members, members=(demoted, *members.members[1:]))
    entry = seal(2, 1, "configuration", write_configuration(changed))
    core.step(1, AppendEntries(1, 1, 1, 2, 1, [entry]))
    drain(core)
    assert core.leader == 1
    for _ in range(3 * core.settings.election_ticks):
        core.tick()
    assert core.role == "follower"
    assert core.leader is None, "those whose requests wait for it would never hear that it is gone"


def test_thesis_4_1_one_change_at_a_time() -> None:
    core = settled()
    core.propose_configuration(grown(core))
    drain(core)
    assert not core.may_change
    with pytest.raises(ChangeRefused):
        core.propose_configuration(without(core.configuration, 1))
    acknowledge(core, 1)
    assert core.may_change


def test_no_change_before_an_entry_of_the_leaders_own_term_is_committed() -> None:
    core = leader(term=1)
    with pytest.raises(ChangeRefused):
        core.propose_configuration(grown(core))
    acknowledge(core, 1)
    core.propose_configuration(grown(core))


def test_thesis_4_1_a_configuration_goes_with_its_entry_when_that_is_truncated() -> None:
    core = node(1, term=1)
    changed = without(core.configuration, 2)
    entry = seal(2, 1, "configuration", write_configuration(changed))
    core.step(1, AppendEntries(1, 1, 1, 1, 0, [entry]))
    assert core.configuration == changed
    core.step(2, AppendEntries(2, 1, 1, 1, 0, [seal(2, 2, "noop", b"null")]))
    assert core.configuration.voters == (0, 1, 2)


def test_thesis_4_2_2_a_leader_that_is_removed_leads_until_that_is_committed_and_does_not_count_itself() -> None:
    core = settled(nodes=4)
    core.propose_configuration(without(core.configuration, 0))
    drain(core)
    acknowledge(core, 1)
    assert core.role == "leader"
    assert core.commit_index == 1  # two of three, and it is not one of them
    acknowledge(core, 2)
    assert core.commit_index == 2
    assert core.role == "follower"
    for _ in range(500):
        core.tick()
    assert drain(core) == []
    assert core.term == 1


def test_a_removed_member_hears_of_it_before_it_is_forgotten() -> None:
    core = settled()
    core.propose_configuration(without(core.configuration, 2))
    drain(core)
    assert isinstance(core.next_append(2), AppendEntries)
    acknowledge(core, 1, 2)
    for _ in range(12):
        core.tick()
    while (append := core.next_append(2)) is not None:
        assert isinstance(append, AppendEntries)
        assert append.commit_index == 2
    for _ in range(12):
        core.tick()
    assert 2 not in core.progress


def test_an_id_is_not_used_again() -> None:
    configuration = settled().configuration
    for expected in (3, 4, 5):
        configuration = with_learner(configuration, "a:1", promote=False)
        assert [member.id for member in configuration.members] == [0, 1, 2, expected]
        configuration = without(configuration, expected)


def test_changes_that_make_no_sense_are_refused() -> None:
    configuration = settled(2).configuration
    new = with_learner(configuration, "a:1", promote=False)
    with pytest.raises(ChangeRefused, match="already"):
        with_learner(new, "a:1", promote=False)
    with pytest.raises(ChangeRefused, match="not been started"):
        with_vote(new, 2)
    with pytest.raises(ChangeRefused, match="votes already"):
        with_promotion(new, 1)
    with pytest.raises(ChangeRefused, match="no member 9"):
        without(new, 9)
    with pytest.raises(ChangeRefused, match="only one that votes"):
        without(without(new, 1), 0)


# Handing over the lead


def test_thesis_3_10_the_successor_is_told_once_it_has_everything_and_it_is_committed() -> None:
    core = settled()
    core.propose([b"1"])
    assert core.transfer_leadership(2) == 2
    assert not any(isinstance(message, TimeoutNow) for _, message in drain(core))
    acknowledge(core, 1)
    assert core.commit_index == 2
    assert (2, TimeoutNow(1)) in acknowledge(core, 2)


def test_thesis_3_10_nothing_new_is_taken_meanwhile() -> None:
    core = settled()
    core.transfer_leadership(None)
    with pytest.raises(Transferring):
        core.propose([b"1"])
    with pytest.raises(ChangeRefused):
        core.propose_configuration(grown(core))


def test_thesis_3_10_a_transfer_that_comes_to_nothing_is_given_up_after_an_election_timeout() -> None:
    core = settled()
    core.transfer_leadership(1)
    for _ in range(49):
        core.tick()
        acknowledge(core, 1, 2)
        assert core.transferring
    core.tick()
    assert not core.transferring
    core.propose([b"1"])


def test_thesis_3_10_what_is_lost_is_said_again() -> None:
    core = settled()
    core.transfer_leadership(1)
    assert (1, TimeoutNow(1)) in drain(core)
    assert (1, TimeoutNow(1)) not in drain(core)
    for _ in range(10):
        core.tick()
    assert (1, TimeoutNow(1)) in drain(core)


def test_thesis_3_10_the_successor_stands_at_once_and_is_voted_for_though_the_leader_lives() -> None:
    core = node(1, term=1)
    core.step(1, AppendEntries(1, 1, 1, 1, 0, []))
    core.step(2, TimeoutNow(1))  # a node that does not lead has nothing to hand over
    assert core.role == "follower"
    core.step(1, TimeoutNow(1))
    assert core.role == "candidate"
    assert (2, RequestVote(2, 1, 1, True)) in drain(core)
    voter = node(1, term=1)
    voter.step(1, AppendEntries(1, 1, 1, 1, 0, []))
    voter.step(2, RequestVote(2, 1, 1, True))
    assert (2, RequestVoteReply(2, True)) in drain(voter)


def test_the_lead_is_handed_to_another_voter_alone() -> None:
    core = settled()
    for target in (0, 7):
        with pytest.raises(ChangeRefused):
            core.transfer_leadership(target)
    with pytest.raises(ChangeRefused):
        settled_alone().transfer_leadership(None)
    with pytest.raises(NotLeader):
        node(1).transfer_leadership(None)


def settled_alone() -> Core:
    core = node(nodes=1)
    for _ in range(100):
        core.tick()
        drain(core)
    assert core.role == "leader"
    return core


# Snapshots


def compacted(entries: int = 10) -> Core:
    """Make a leader whose first entries are only in its snapshot."""
    core = leader(*[1] * entries, term=2)
    acknowledge(core, 1)
    core.compacted(Point(entries, 1), entries)
    assert core.log.first_index == entries + 1
    return core


def test_7_who_lacks_what_the_log_does_not_hold_is_sent_the_snapshot_piece_by_piece() -> None:
    core = compacted()
    core.next_append(2)
    core.step(2, AppendEntriesReply(2, False, 0, 0, rejected_index=10))
    assert core.next_append(2) == InstallSnapshot(2, 10, 1, 0)
    assert not isinstance(core.next_append(2), InstallSnapshot)  # one at a time
    core.step(2, InstallSnapshotReply(2, 10, 700))
    assert core.next_append(2) == InstallSnapshot(2, 10, 1, 700)
    core.peer_connected(2)  # its connection broke: the snapshot goes on from the offset that the peer itself names
    assert core.next_append(2) == InstallSnapshot(2, 10, 1, 0)
    core.step(2, InstallSnapshotReply(2, 10, 700))
    assert core.next_append(2) == InstallSnapshot(2, 10, 1, 700)
    core.step(2, AppendEntriesReply(2, True, 10, 0))
    following = core.next_append(2)
    assert isinstance(following, AppendEntries)
    assert following.prev_index == 10


def test_7_whose_log_has_an_older_term_at_the_base_is_sent_the_snapshot_too() -> None:
    core = compacted()
    core.next_append(2)
    core.step(2, AppendEntriesReply(2, False, 0, 0, rejected_index=10, hint_index=10, hint_term=0))
    assert core.next_append(2) == InstallSnapshot(2, 10, 1, 0)


def test_what_a_follower_that_answers_still_lacks_is_known() -> None:
    core = leader(*[1] * 10, term=2)
    acknowledge(core, 1)
    core.step(2, AppendEntriesReply(2, True, 7, 0))
    assert core.lacking_index == 8
    for _ in range(3 * core.settings.election_ticks):
        core.step(1, AppendEntriesReply(2, True, 11, 0))
        core.tick()
    assert core.lacking_index == 12  # the leader has not heard of the other peer


def test_7_while_it_is_sent_the_leader_is_heard_all_the_same() -> None:
    core = compacted()
    core.next_append(2)
    core.step(2, AppendEntriesReply(2, False, 0, 0, rejected_index=10))
    core.next_append(2)
    for _ in range(10):
        core.tick()
    assert isinstance(core.next_append(2), InstallSnapshot)
    heartbeat = core.next_append(2)
    assert isinstance(heartbeat, AppendEntries)
    assert (heartbeat.prev_index, heartbeat.entries) == (0, [])


def test_7_a_log_that_conflicts_with_the_snapshot_is_discarded_whole() -> None:
    core = node(1, 1, 1, 2, 2, term=3)
    core.step(1, InstallSnapshot(3, 4, 3, 0, True, b""))
    ready = core.ready()
    assert ready is not None
    assert [piece.last_included_index for _, piece in ready.pieces] == [4]
    core.installed(Point(4, 3), 0, core.configuration)
    assert (core.log.first_index, core.last_index, core.commit_index) == (5, 4, 4)
    ready = core.ready()
    assert ready is not None
    assert ready.batch is not None
    assert ready.batch.base == Point(4, 3)


def test_7_what_follows_the_snapshot_in_the_log_stays() -> None:
    core = node(1, 1, 1, 2, 2, term=3)
    core.step(1, InstallSnapshot(3, 4, 2, 0, True, b""))
    core.installed(Point(4, 2), 0, core.configuration)
    assert (core.log.first_index, core.last_index, core.commit_index) == (5, 5, 4)
    assert (1, AppendEntriesReply(3, True, 4, 0)) in drain(core)


def test_7_a_snapshot_of_what_is_committed_changes_nothing() -> None:
    core = node(1, 1, 1, term=1)
    core.step(1, AppendEntries(1, 3, 1, 3, 0, []))
    drain(core)
    core.step(1, InstallSnapshot(1, 2, 1, 0, True, b""))
    ready = core.ready()
    assert ready is not None
    assert not ready.pieces
    assert ready.messages == [(1, AppendEntriesReply(1, True, 2, 0))]


def test_what_is_not_synced_stays_in_the_log_though_a_snapshot_holds_it() -> None:
    core = node(1, term=1)
    core.step(1, AppendEntries(1, 1, 1, 3, 0, log_of(1, 1, 1)[1:]))
    ready = core.ready()
    assert ready is not None
    core.applied(3)
    core.compacted(Point(3, 1), 3)
    assert core.log.first_index == 2  # the disk has not finished the second and the third


def test_entries_before_the_base_are_taken_for_what_they_are() -> None:
    core = node(1, 1, 1, term=1)
    core.step(1, AppendEntries(1, 3, 1, 3, 0, []))
    drain(core)
    core.compacted(Point(3, 1), 3)
    core.step(1, AppendEntries(1, 1, 1, 3, 0, log_of(1, 1, 1, 1)[1:]))
    assert core.last_index == 4
    assert (1, AppendEntriesReply(1, True, 4, 0)) in drain(core)


def test_a_node_begins_where_its_snapshot_ends() -> None:
    old = node(1)
    member = msgspec.structs.replace(old.configuration.members[0], role="learner")
    configuration = msgspec.structs.replace(old.configuration, members=(member, *old.configuration.members[1:]))
    again = Core(
        0,
        configuration,
        hard_state=old.hard_state,
        entries=log_of(1, 1, 1, 1)[3:],
        codec=old._codec,
        random=old._random,
        base=Point(3, 1),
        snapshot=Point(3, 1),
        configuration_index=2,
    )
    assert (again.commit_index, again.last_applied, again.last_index) == (3, 3, 4)
    assert again.configuration_at(3) == (2, configuration)
