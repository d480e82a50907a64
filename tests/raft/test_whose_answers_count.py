"""Whose answers count, and from when on: only voters' answers, and only those given to this leader."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trioraft.raft.core import Core
from trioraft.raft.membership import Configuration, Member, without
from trioraft.raft.messages import AppendEntriesReply, HardState, PreVoteReply, RequestVoteReply
from trioraft.wire import entries as codec

from .test_raft_changes import acknowledge
from .test_raft_paper import Patient, drain

VOTERS = (0, 1, 2)
LEARNER, REMOVED, STRANGER = 3, 4, 7
WHO = {"a voter": 1, "a learner": LEARNER, "one that is removed": REMOVED, "a stranger": STRANGER}


def settled() -> Core:
    """Make a leader of three voters and a learner, one of which was removed. Its peers have been silent lately."""
    members = [Member(n, f"n{n}:1", "voter", f"f{n}") for n in VOTERS]
    members += [Member(LEARNER, "n3:1", "learner", "f3"), Member(REMOVED, "n4:1", "learner", "f4")]
    configuration = Configuration(tuple(members), 5)
    core = Core(0, configuration, hard_state=HardState(0, None), entries=[], codec=codec, random=Patient())
    stand(core)
    core.step(1, PreVoteReply(1, True))
    drain(core)
    core.step(1, RequestVoteReply(1, True))
    drain(core)
    acknowledge(core, 1, LEARNER, REMOVED)
    core.propose_configuration(without(core.configuration, REMOVED))
    drain(core)
    acknowledge(core, 1, LEARNER, REMOVED)
    assert core.commit_index == core.last_index == 2
    return core


def stand(core: Core) -> None:
    for _ in range(core.settings.election_ticks):
        core.tick()
    drain(core)


def answer(core: Core, peer: int) -> None:
    """Let the peer acknowledge the leader's whole log and confirm every round."""
    assert core.leadership is not None
    core.step(peer, AppendEntriesReply(core.term, True, core.last_index, core.leadership.reads.round))
    drain(core)


def reads(core: Core, peer: int) -> bool:
    assert core.leadership is not None
    core.read_index(1)
    ready = core.ready()
    assert ready is None or not ready.reads
    drain(core)
    core.step(peer, AppendEntriesReply(core.term, True, core.last_index, core.leadership.reads.round))
    ready = core.ready()
    return ready is not None and ready.reads == [1]


def commits(core: Core, peer: int) -> bool:
    core.propose([b"1"])
    drain(core)
    answer(core, peer)
    return core.commit_index == core.last_index


def keeps_the_lead(core: Core, peer: int) -> bool:
    for _ in range(2 * core.settings.election_ticks):
        answer(core, peer)
        core.tick()
    drain(core)
    return core.role == "leader"


def spares_another(core: Core, peer: int) -> bool:
    """Whether the third voter may be removed: the leader and the peers that answered must then be a majority."""
    for one in core.progress.values():
        one.check()
        assert not one.check()
    answer(core, peer)
    return core.is_live(without(core.configuration, 2)) is True


def votes(core: Core, peer: int) -> bool:
    core.step(1, AppendEntriesReply(core.term + 1, False, 0, 0))  # another node stood for election meanwhile
    stand(core)
    core.step(1, PreVoteReply(core.term + 1, True))
    drain(core)
    assert core.role == "candidate"
    core.step(peer, RequestVoteReply(core.term, True))
    return core.role == "leader"


def pre_votes(core: Core, peer: int) -> bool:
    core.step(1, AppendEntriesReply(core.term + 1, False, 0, 0))
    stand(core)
    core.step(peer, PreVoteReply(core.term + 1, True))
    return core.role == "candidate"


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("what", [reads, commits, keeps_the_lead, spares_another, votes, pre_votes])
def test_only_a_voters_answer_counts(who: str, what: Callable[[Core, int], bool]) -> None:
    assert what(settled(), WHO[who]) == (who == "a voter")


# A new leader


def elected(voters: int = 3, learner: bool = False) -> Core:
    """Make a leader that has synced its no-op and has heard of nobody."""
    members = [Member(n, f"n{n}:1", "voter", f"f{n}") for n in range(voters)]
    if learner:
        members.append(Member(voters, "new:1", "learner", "f-new", promote=True))
    configuration = Configuration(tuple(members), len(members))
    core = Core(0, configuration, hard_state=HardState(0, None), entries=[], codec=codec, random=Patient())
    stand(core)
    for peer in range(1, voters):
        core.step(peer, PreVoteReply(1, True))
    drain(core)
    for peer in range(1, voters):
        core.step(peer, RequestVoteReply(1, True))
    drain(core)
    assert core.role == "leader"
    return core


def test_a_new_leader_does_not_know_who_lives_until_they_answer_it() -> None:
    core = elected()
    without_one = without(core.configuration, 1)
    assert core.is_live(without_one) is None
    answer(core, 1)
    assert core.is_live(without_one) is None  # the vote of node 2 proves nothing: it may have died since
    answer(core, 2)
    assert core.is_live(without_one) is True


def test_whom_a_leader_has_not_heard_of_for_an_election_timeout_does_not_live() -> None:
    core = elected()
    for _ in range(core.settings.election_ticks):
        assert core.is_live(without(core.configuration, 1)) is None
        answer(core, 1)
        core.tick()
    assert core.is_live(without(core.configuration, 1)) is False
    assert core.is_live(without(core.configuration, 2)) is True


def test_whose_process_is_dead_does_not_live_until_it_answers() -> None:
    core = elected()
    answer(core, 1)
    answer(core, 2)
    core.peer_lost(2)
    assert core.is_live(without(core.configuration, 1)) is False
    answer(core, 2)
    assert core.is_live(without(core.configuration, 1)) is True


def test_a_peer_that_is_taken_for_dead_has_answered_all_the_same() -> None:
    core = elected()
    answer(core, 1)
    core.peer_lost(1)
    for _ in range(core.settings.election_ticks):
        core.tick()
    assert core.role == "leader"


def test_a_lead_that_nobody_chose_a_successor_for_goes_to_one_that_answers() -> None:
    core = elected()
    assert core.transfer_leadership(None) == 1  # nobody has answered yet
    answer(core, 2)
    sent = drain(core)
    assert core.commit_index == core.last_index
    core.tick()
    sent += drain(core)
    assert {receiver for receiver, _ in sent} <= {2}
    assert core.leadership is not None
    assert core.leadership.transfer is not None
    assert core.leadership.transfer.target == 2


def test_the_lead_goes_to_who_lives_also_right_after_a_check_of_the_quorum() -> None:
    core = elected()
    answer(core, 1)
    for _ in range(2 * core.settings.election_ticks):
        answer(core, 2)
        core.tick()
    assert core.progress[1].match_index == core.progress[2].match_index
    assert core.transfer_leadership(None) == 2


def test_a_new_leader_keeps_what_those_may_lack_that_it_has_not_heard_of() -> None:
    core = elected()
    answer(core, 1)
    assert core.lacking_index == 1
    for _ in range(core.settings.election_ticks):
        answer(core, 1)
        core.tick()
    assert core.lacking_index == core.last_index + 1


def test_a_leader_is_followed_at_a_tick_only_if_a_majority_answered_within_the_last_election_timeout() -> None:
    core = elected()
    leadership = core.leadership
    assert leadership is not None
    assert not leadership.is_followed  # who voted for it has not answered it yet
    acknowledge(core, 1)
    for _ in range(core.settings.election_ticks - 1):
        core.tick()
        assert leadership.is_followed
    core.tick()
    assert not leadership.is_followed
    acknowledge(core, 2)
    assert leadership.is_followed
