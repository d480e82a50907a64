"""Rules of the paper, each by its section: everything that a node does when one thing happens to it."""

from __future__ import annotations

import pytest

from trioraft.raft.core import Core
from trioraft.raft.membership import Configuration, Member
from trioraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    HardState,
    Message,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
)
from trioraft.raft.ready import Lost, NotLeader, Ready, Won
from trioraft.wire import entries as codec
from trioraft.wire.entries import seal


class Patient:
    def randrange(self, start: int, stop: int) -> int:  # noqa: ARG002
        return start


def log_of(*terms: int) -> list[Entry]:
    return [seal(index, term, "command", b"1") for index, term in enumerate(terms, 1)]


def node(*terms: int, term: int | None = None, voted_for: int | None = None, nodes: int = 3) -> Core:
    members = tuple(Member(n, f"n{n}:1", "voter", f"f{n}") for n in range(nodes))
    hard_state = HardState(term if term is not None else max(terms, default=0), voted_for)
    configuration = Configuration(members, nodes)
    return Core(0, configuration, hard_state=hard_state, entries=log_of(*terms), codec=codec, random=Patient())


def leader(*terms: int, term: int, nodes: int = 3) -> Core:
    """Make a node that has just been elected in `term` and has synced its no-op."""
    core = node(*terms, term=term - 1, nodes=nodes)
    for _ in range(50):
        core.tick()
    for peer in range(1, nodes):
        core.step(peer, PreVoteReply(term, True))
    drain(core)
    for peer in range(1, nodes):
        core.step(peer, RequestVoteReply(term, True))
    drain(core)
    assert core.role == "leader"
    assert core.term == term
    return core


def drain(core: Core) -> list[tuple[int, Message]]:
    """Do everything that is ready, on a disk that syncs at once. Return the messages that left."""
    sent: list[tuple[int, Message]] = []
    while (ready := core.ready()) is not None:
        sent.extend(ready.messages)
        if ready.batch is not None:
            core.persisted(ready.batch.number)
            sent.extend(item for item in ready.batch.messages if item[0] != core.node)
        if ready.committed:
            core.applied(ready.committed[-1].index)
    return sent


def only(core: Core) -> Ready:
    """Everything that is ready, before any of it is done."""
    ready = core.ready()
    assert ready is not None
    return ready


def test_5_1_a_higher_term_is_adopted_and_a_lower_one_is_answered_with_ones_own() -> None:
    core = leader(1, term=2)
    core.step(1, AppendEntriesReply(3, False, 0, 0))
    assert (core.role, core.term, core.leader) == ("follower", 3, None)
    drain(core)
    core.step(1, AppendEntries(2, 0, 0, 0, 0, []))
    assert drain(core) == [(1, AppendEntriesReply(3, False, 0, 0, 0))]
    core.step(1, RequestVote(2, 9, 2))
    assert drain(core) == [(1, RequestVoteReply(3, False))]


def test_5_2_one_vote_a_term_first_come_first_served_and_the_same_answer_twice() -> None:
    core = node(1, term=1)
    core.step(1, RequestVote(2, 1, 1))
    assert drain(core) == [(1, RequestVoteReply(2, True))]
    core.step(2, RequestVote(2, 5, 1))
    assert drain(core) == [(2, RequestVoteReply(2, False))]
    core.step(1, RequestVote(2, 1, 1))
    assert drain(core) == [(1, RequestVoteReply(2, True))], "its first answer may have been lost"


def test_5_2_a_vote_that_was_granted_is_not_taken_back_by_a_late_refusal() -> None:
    core = node(1, nodes=5)
    for _ in range(50):
        core.tick()
    for peer in (1, 2):
        core.step(peer, PreVoteReply(2, True))
    drain(core)
    core.step(1, RequestVoteReply(2, True))
    core.step(1, RequestVoteReply(2, False))  # an answer to a request of an earlier term
    core.step(2, RequestVoteReply(2, True))
    assert core.role == "leader"


def test_5_2_a_late_request_of_an_earlier_term_is_no_reason_to_refuse_whom_one_voted_for() -> None:
    core = node(1, term=2)
    core.step(1, RequestVote(3, 1, 1))
    assert drain(core) == [(1, RequestVoteReply(3, True))]
    core.step(1, RequestVote(2, 1, 1))
    assert drain(core) == []


def test_5_2_a_vote_is_synced_before_it_is_told() -> None:
    core = node(1, term=1)
    core.step(1, RequestVote(2, 1, 1))
    ready = only(core)
    assert ready.messages == []
    assert ready.batch is not None
    assert ready.batch.hard_state == HardState(2, 1)
    assert ready.batch.messages == [(1, RequestVoteReply(2, True))]


def test_5_2_ones_own_vote_counts_when_it_is_synced() -> None:
    core = node(nodes=1)
    for _ in range(50):
        core.tick()
    ready = only(core)
    assert core.role == "candidate"
    assert ready.batch is not None
    core.persisted(ready.batch.number)
    assert core.role == "leader"


@pytest.mark.parametrize(
    ("last_index", "last_term", "granted"),
    [(3, 2, True), (4, 2, True), (1, 3, True), (2, 2, False), (9, 1, False)],
)
def test_5_4_1_votes_go_to_logs_at_least_as_up_to_date_by_term_and_then_index(
    last_index: int, last_term: int, granted: bool
) -> None:
    core = node(1, 1, 2, term=3)
    core.step(1, RequestVote(4, last_index, last_term))
    assert drain(core) == [(1, RequestVoteReply(4, granted))]


def test_5_3_entries_are_taken_only_after_the_one_before_them() -> None:
    core = node(1, 1, 2, term=2)
    core.step(1, AppendEntries(4, 5, 4, 0, 0, []))
    assert drain(core) == [(1, AppendEntriesReply(4, False, 0, 0, 5, 3, 2))]
    core.step(1, AppendEntries(4, 3, 3, 0, 0, []))
    assert drain(core) == [(1, AppendEntriesReply(4, False, 0, 0, 3, 3, 2))]
    core.step(1, AppendEntries(4, 2, 1, 2, 0, [seal(3, 4, "command", b"2")]))
    assert drain(core) == [(1, AppendEntriesReply(4, True, 3, 0))]
    assert [core.log.entry(index).term for index in (1, 2, 3)] == [1, 1, 4]
    assert core.commit_index == 2


def test_5_3_a_late_or_shorter_message_truncates_nothing() -> None:
    core = node(1, 1, 1, term=1)
    core.step(1, AppendEntries(1, 0, 0, 0, 0, log_of(1)))
    assert drain(core) == [(1, AppendEntriesReply(1, True, 1, 0))]
    assert core.last_index == 3


def test_5_3_an_acknowledgement_waits_for_the_sync_and_a_round_does_not() -> None:
    core = node(1, term=1)
    core.step(1, AppendEntries(1, 1, 1, 0, 7, [seal(2, 1, "command", b"2")]))
    ready = only(core)
    assert ready.messages == [(1, AppendEntriesReply(1, True, 1, 7))]
    assert ready.batch is not None
    assert ready.batch.messages == [(1, AppendEntriesReply(1, True, 2, 7))]


def test_figure_7_the_leader_finds_where_each_log_agrees_with_its_own() -> None:
    terms = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    followers = {
        "a": (1, 1, 1, 4, 4, 5, 5, 6, 6),
        "b": (1, 1, 1, 4),
        "c": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        "d": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        "e": (1, 1, 1, 4, 4, 4, 4),
        "f": (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    }
    for name, log in followers.items():
        core = leader(*terms, term=8)
        follower = node(*log, term=7)
        exchanges = 0
        while (append := core.next_append(1)) is not None:
            exchanges += 1
            follower.step(1, append)
            for _, reply in drain(follower):
                core.step(1, reply)
            drain(core)
        assert exchanges <= 5, name
        assert follower.log.slice(1, 11) == core.log.slice(1, 11), name


def test_5_4_2_figure_8_copies_of_an_older_term_commit_nothing() -> None:
    core = leader(1, 2, term=4)
    core.step(1, AppendEntriesReply(4, True, 2, 0))
    core.step(2, AppendEntriesReply(4, True, 2, 0))
    assert core.commit_index == 0
    core.step(1, AppendEntriesReply(4, True, 3, 0))
    assert core.commit_index == 3


def test_thesis_10_2_1_the_leaders_own_sync_waits_while_the_others_commit_without_it() -> None:
    core = leader(term=1)
    for peer in (1, 2):
        core.step(peer, AppendEntriesReply(1, True, 1, 0))
    drain(core)
    core.propose([b"{}"] * 3)
    few = core.ready()
    assert few is not None
    assert few.batch is not None, "a few do not wait"
    core.persisted(few.batch.number)
    core.propose([b"{}"] * 10)
    waiting = core.ready()
    assert waiting is None or waiting.batch is None
    assert core.ticks_until_due == 1
    for peer in (1, 2):
        core.step(peer, AppendEntriesReply(1, True, 14, 0))
    assert (core.commit_index, core.durable_index) == (14, 4)
    core.tick()
    late = core.ready()
    assert late is not None
    assert late.batch is not None
    assert late.batch.entries[-1].index == 14


def test_thesis_10_2_1_a_leader_syncs_at_once_where_the_others_do_not_suffice() -> None:
    core = leader(term=1)
    core.step(1, AppendEntriesReply(1, True, 1, 0))
    drain(core)
    core.propose([b"{}"] * 10)
    ready = core.ready()
    assert ready is not None
    assert ready.batch is not None


def test_5_3_the_leader_counts_itself_only_as_far_as_it_has_synced() -> None:
    core = leader(term=1)
    core.propose([b"1"])
    ready = only(core)
    core.step(1, AppendEntriesReply(1, True, 2, 0))
    assert core.commit_index == 1
    assert ready.batch is not None
    core.persisted(ready.batch.number)
    assert core.commit_index == 2


def test_a_late_answer_does_not_take_match_index_back() -> None:
    core = leader(term=1)
    core.propose([b"1", b"2"])
    drain(core)
    core.step(1, AppendEntriesReply(1, True, 3, 0))
    core.step(1, AppendEntriesReply(1, True, 1, 0))
    core.step(1, AppendEntriesReply(1, False, 0, 0, 2, 1, 1))
    assert core.progress[1].match_index == 3
    assert core.progress[1].next_index == 4


def test_thesis_4_2_3_who_hears_a_leader_refuses_candidates_and_keeps_its_term() -> None:
    core = node(1, term=1)
    core.step(1, AppendEntries(1, 1, 1, 0, 0, []))
    drain(core)
    core.step(2, RequestVote(2, 5, 1))
    core.step(2, PreVote(2, 5, 1))
    assert drain(core) == [(2, PreVoteReply(1, False))]
    assert core.term == 1
    core.peer_lost(1)
    core.step(2, PreVote(2, 5, 1))
    assert drain(core) == [(2, PreVoteReply(2, True))], "its leader's process is dead: there is nothing to protect"


def test_lost_ends_with_any_message_from_the_leader() -> None:
    core = node(1, term=1)
    core.step(1, AppendEntries(1, 1, 1, 0, 0, []))
    core.peer_lost(1)
    core.step(1, AppendEntries(1, 1, 1, 0, 0, []))
    drain(core)
    for _ in range(45):
        core.tick()
    assert core.role == "follower"
    core.step(2, PreVote(2, 5, 1))
    assert drain(core) == [(2, PreVoteReply(1, False))]


def test_thesis_9_6_a_pre_vote_changes_nothing_at_either_end() -> None:
    core = node(1, term=1)
    for _ in range(50):
        core.tick()
    assert drain(core) == [(1, PreVote(2, 1, 1)), (2, PreVote(2, 1, 1))]
    assert (core.role, core.hard_state) == ("pre-candidate", HardState(1, None))
    core.step(1, PreVote(2, 1, 1))
    assert drain(core) == [(1, PreVoteReply(2, True))]
    assert core.hard_state == HardState(1, None)


def test_thesis_6_4_a_read_waits_for_an_own_entry_a_round_and_the_state() -> None:
    core = leader(term=1)
    core.read_index(5)
    assert only_reads(core) == []
    append = core.next_append(1)
    assert isinstance(append, AppendEntries)
    core.step(1, AppendEntriesReply(1, True, 0, append.round))
    assert only_reads(core) == [], "it is followed, but does not know yet what earlier leaders committed"
    core.step(1, AppendEntriesReply(1, True, 1, 0))
    assert core.commit_index == 1
    assert only_reads(core) == [], "the answer was to a message sent before the read"
    append = core.next_append(1)
    assert isinstance(append, AppendEntries)
    core.step(1, AppendEntriesReply(1, True, 1, append.round))
    assert only_reads(core) == [5]


def test_thesis_6_4_a_read_waits_until_the_state_has_caught_up_with_its_index() -> None:
    core = leader(term=1)
    core.read_index(5)
    core.step(1, AppendEntriesReply(1, True, 1, 0))
    ready = core.ready()
    assert ready is not None
    append = core.next_append(1)
    assert isinstance(append, AppendEntries)
    core.step(1, AppendEntriesReply(1, True, 1, append.round))
    assert core.ready() is None, "the round is answered, and nothing is applied yet"
    core.applied(1)
    assert only_reads(core) == [5]


def only_reads(core: Core) -> list[int]:
    reads: list[int] = []
    while (ready := core.ready()) is not None:
        reads.extend(ready.reads)
        if ready.batch is not None:
            core.persisted(ready.batch.number)
        if ready.committed:
            core.applied(ready.committed[-1].index)
    return reads


def test_the_beginning_and_the_end_of_a_lead_are_told_once_each() -> None:
    core = node(term=0)
    for _ in range(50):
        core.tick()
    assert leads_told(core) == []
    core.step(1, PreVoteReply(1, True))
    assert leads_told(core) == []
    core.step(1, RequestVoteReply(1, True))
    assert leads_told(core) == [Won(1)]
    core.step(1, AppendEntriesReply(2, False, 0, 0))
    assert leads_told(core) == [Lost("leader_changed")]


def leads_told(core: Core) -> list[Won | Lost]:
    told = []
    while (ready := core.ready()) is not None:
        if ready.leadership is not None:
            told.append(ready.leadership)
        if ready.batch is not None:
            core.persisted(ready.batch.number)
    return told


def test_check_quorum_a_leader_that_nobody_answers_says_so() -> None:
    core = leader(term=1)
    core.propose([b"1"])
    drain(core)
    for _ in range(60):
        core.tick()
    ready = only(core)
    assert core.role == "follower"
    assert ready.leadership == Lost("no_quorum")
    with pytest.raises(NotLeader):
        core.propose([b"2"])


def test_a_leader_whose_disk_hangs_steps_down_though_its_peers_answer() -> None:
    core = leader(term=1)
    core.propose([b"1"])
    assert only(core).batch is not None
    for _ in range(110):
        core.tick()
        core.step(1, AppendEntriesReply(1, True, 1, 0)) if core.role == "leader" else None
    assert core.role == "follower"


def test_a_leader_whose_disk_is_slow_and_does_not_hang_goes_on() -> None:
    core = leader(term=1)
    core.propose([b"1"])
    assert only(core).batch is not None
    for tick in range(300):
        core.tick()
        core.step(1, AppendEntriesReply(1, True, 1, 0))
        if tick % 20 == 0:
            core.persisting()
    assert core.role == "leader"


def test_a_follower_whose_disk_is_slow_is_not_silent_and_promises_nothing_new() -> None:
    core = node(1)
    core.step(1, AppendEntries(1, 1, 1, 0, 0, [seal(2, 1, "command", b"1")]))
    ready = only(core)
    assert ready.batch is not None
    assert not ready.messages
    heartbeat = AppendEntries(1, 2, 1, 0, 0, [])
    for _ in range(core.settings.heartbeat_ticks):
        core.step(1, heartbeat)
        assert core.ready() is None, "a sync mostly takes less, and then there is one answer"
        core.tick()
    for part in range(3):
        for _ in range(40):
            core.step(1, heartbeat)
            assert only(core).messages == [(1, AppendEntriesReply(1, True, 1, 0))], part
            core.tick()
        core.persisting()
    for _ in range(60):
        core.tick()
        core.step(1, heartbeat)
        core.ready()
    core.step(1, heartbeat)
    assert core.ready() is None, "a disk that hangs is no sign of life"


def test_a_probe_carries_nothing_long() -> None:
    core = leader(term=1)
    long = [b'"%b"' % (b"x" * 2_000_000)]
    core.step(1, AppendEntriesReply(1, True, 1, 0))
    core.propose(long)
    append = core.next_append(1)
    assert isinstance(append, AppendEntries)
    assert len(append.entries) == 1
    core.peer_connected(1)  # again, because messages on their way may be lost
    append = core.next_append(1)
    assert isinstance(append, AppendEntries)
    assert not append.entries
    core.step(1, AppendEntriesReply(1, True, append.prev_index, 0))
    append = core.next_append(1)
    assert isinstance(append, AppendEntries)
    assert len(append.entries) == 1


def test_a_sync_of_200_ms_causes_no_election() -> None:
    core = leader(term=1)
    for _ in range(10):
        core.propose([b"1"])
        ready = only(core)
        for _ in range(20):
            core.tick()
            core.step(1, AppendEntriesReply(1, True, 1, 0))
        assert ready.batch is not None
        core.persisted(ready.batch.number)
        assert core.role == "leader"


def test_a_slow_follower_has_a_bounded_amount_on_its_way() -> None:
    core = leader(term=1)
    core.step(1, AppendEntriesReply(1, True, 1, 0))
    sent = 0
    for _ in range(200):
        core.propose([b"%d" % (10**5) for _ in range(100)])
        drain(core)
        while (append := core.next_append(1)) is not None:
            assert isinstance(append, AppendEntries)
            sent += bool(append.entries)
    assert sent <= core.settings.max_inflight


def test_an_answer_to_an_older_round_confirms_no_newer_one() -> None:
    core = leader(term=1)
    core.step(1, AppendEntriesReply(1, True, 1, 0))
    drain(core)
    for number in (1, 2):
        core.read_index(number)
        assert only_reads(core) == []
    core.step(1, AppendEntriesReply(1, True, 1, 1))
    assert only_reads(core) == [1]
    core.step(1, AppendEntriesReply(1, True, 1, 2))
    assert only_reads(core) == [2]


def test_what_was_truncated_while_it_was_written_is_not_durable_when_that_ends() -> None:
    core = node(1, term=1)
    core.step(1, AppendEntries(1, 1, 1, 0, 0, log_of(1, 1, 1)[1:]))
    batch = only(core).batch
    assert batch is not None
    core.step(2, AppendEntries(2, 1, 1, 0, 0, [seal(2, 2, "noop", b"null")]))
    core.persisted(batch.number)
    assert core.durable_index == 1
    later = only(core)
    assert later.batch is not None
    core.persisted(later.batch.number)
    assert core.durable_index == 2
