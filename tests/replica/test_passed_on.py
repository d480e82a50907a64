"""Requests forwarded to the leader: their order and number, their receiver, and their fate at a deposed leader."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest

from trioraft.key_values import key_value_machine
from trioraft.kv.commands import Put
from trioraft.machine import Machine
from trioraft.raft.core import Core
from trioraft.raft.membership import Configuration, Member
from trioraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    HardState,
    NodeId,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
)
from trioraft.raft.ready import Lost
from trioraft.replica.administration import Administration
from trioraft.replica.fan_out import Portions
from trioraft.replica.forwarding import FAREWELL_TICKS
from trioraft.replica.lease_clock import LeaseClock
from trioraft.replica.levels import Levels
from trioraft.replica.requests import Requests
from trioraft.replica.session import Session
from trioraft.replica.slots import ReadSlot, Slot
from trioraft.wire import entries as codec
from trioraft.wire.cluster_commands import LEVEL
from trioraft.wire.codec import decode, encode
from trioraft.wire.commands import decode_command, encode_commands
from trioraft.wire.entries import seal
from trioraft.wire.peers import (
    AdminReply,
    AdminRequest,
    NotProposed,
    Propose,
    Proposed,
    ReadIndexReply,
    ReadIndexRequest,
)
from trioraft.wire.table import AnyRequest

ME, LEADER, THIRD = 0, 1, 2
HOLD_TICKS = 200
MEMBERS = tuple(Member(node, f"n{node}:1", "voter", f"f{node}") for node in range(3))


class Place:
    """The requests of one node, with a core that hears its peers from the test, and without real connections."""

    snapshots: Any = object()
    """Snapshots exist, because the cluster has formed; nobody asks for one."""

    def __init__(self) -> None:
        self.node = ME
        configuration = Configuration(MEMBERS, 3)
        self.core = Core(ME, configuration, hard_state=HardState(0, None), entries=[], codec=codec, random=Random(1))
        self.linked_to = {LEADER, THIRD}
        self.sent: list[tuple[NodeId, object]] = []
        self.machine: Machine = key_value_machine()
        self.machine.raise_level(LEVEL, 0)
        self.levels = Levels(self, LEVEL)
        self.lease_clock = LeaseClock(10)
        self.requests = Requests(self, self.machine, self.lease_clock, HOLD_TICKS, Portions())
        self.administration = Administration(self, self.requests.forwarding, self.requests.answering, HOLD_TICKS)
        self.session = Session(1024 * 1024, lambda: None, self.requests.reply_size)

    # The node as requests see it

    def send(self, peer: NodeId, message: object) -> None:
        self.sent.append((peer, message))

    def linked(self, peer: NodeId) -> bool:
        return peer in self.linked_to

    def answer_locally(self, slot: ReadSlot) -> bytes:
        raise AssertionError(f"{slot.request} is none of these")

    def begin_stream(self, slot: ReadSlot) -> bytes:
        raise AssertionError(f"{slot.request} is none of these")

    def administer(self, slot: Slot) -> None:
        self.administration.accept(slot)

    def read_began(self, context: int) -> None: ...

    def leases_renewed(self, keepalive: object, leases: Sequence[int]) -> None: ...

    def leases_kept(self, keepalive: object, leases: Sequence[int]) -> None: ...

    def ask_about_leases(self, peer: NodeId, number: int, request: AnyRequest) -> None:
        self.requests.leases.on_request(peer, number, request)

    def withdraw(self, slots: Sequence[Slot]) -> set[Slot]:
        return self.administration.withdraw(slots)

    def whom_to_wait_for(self) -> tuple[str, str]:
        return "somebody", "wait"

    is_removed = False
    cluster = "c0ffee00" * 4

    # The steps of the tests

    def follow(self, leader: NodeId, term: int, commit_index: int = 0) -> None:
        """Hear of that leader, whose no-op replaces the uncommitted entries."""
        index = self.core.commit_index + 1
        entry = seal(index, term, "noop", b"null")
        self.core.step(
            leader, AppendEntries(term, index - 1, self.core.log.term_at(index - 1) or 0, commit_index, 0, [entry])
        )
        self.settle_down()

    def lead(self) -> None:
        while self.core.role != "leader":
            self.core.tick()
            self.settle_down()
            self.core.step(LEADER, PreVoteReply(self.core.term + 1, True))
            self.settle_down()
            self.core.step(LEADER, RequestVoteReply(self.core.term, True))
        self.acknowledge()

    def acknowledge(self, round: int = 0) -> None:
        self.core.step(LEADER, AppendEntriesReply(self.core.term, True, self.core.last_index, round))
        self.settle_down()

    def settle_down(self) -> None:
        """Do everything that the core wants, except sending its messages."""
        while (ready := self.core.ready()) is not None:
            if ready.batch is not None:
                self.core.persisted(ready.batch.number)
            if ready.committed:
                self.requests.apply(ready.committed)
                self.core.applied(ready.committed.last_index)
                self.requests.applied(ready.committed.last_index)
            if ready.reads:
                self.requests.servable(ready.reads)
            if isinstance(ready.leadership, Lost):
                self.requests.leadership_lost(ready.leadership.reason)

    def ask(self, *requests: dict[str, object]) -> None:
        """Let these requests come from a client, in one piece."""
        self.session.receive(b"".join(encode(request) + b"\n" for request in requests))
        for slot in self.session.requests(0):
            self.requests.accept(slot)
        self.turn()

    def turn(self) -> None:
        self.requests.route()
        self.administration.advance()
        self.settle_down()
        self.administration.advance()

    def tick(self, ticks: int) -> None:
        for _ in range(ticks):
            self.requests.pass_time(1)
            self.administration.pass_time(1)
            self.requests.give_up_late()
            self.administration.give_up_late()
            self.turn()

    def replies(self) -> list[dict[str, object]]:
        return [decode(line) for line in self.session.take_replies().splitlines()]

    def proposals(self) -> list[tuple[NodeId, Propose]]:
        return [(peer, message) for peer, message in self.sent if isinstance(message, Propose)]

    def values(self) -> list[bytes]:
        """The forwarded messages, in order."""
        commands = [decode_command(line) for _, message in self.proposals() for line in message.commands]
        return [bytes(command.value) for command in commands if isinstance(command, Put)]


@pytest.fixture
def place() -> Place:
    place = Place()
    place.follow(LEADER, 1, commit_index=1)
    return place


@pytest.fixture
def leading() -> Place:
    place = Place()
    place.lead()
    return place


def put(value: int, key: str = "k") -> dict[str, object]:
    return {"op": "put", "key": key, "value": value}


# The numbers of forwarded requests, over connections that come and go


@pytest.mark.parametrize("kind", ["named", "refused"])
def test_an_answer_about_writes_of_an_earlier_connection_says_nothing_of_the_present_ones(
    place: Place, kind: str
) -> None:
    """The link from the leader may outlive the link to it: its late answers concern writes that were given up."""
    place.ask(put(1))
    [(_, first)] = place.proposals()
    place.requests.link_lost(LEADER)
    [reply] = place.replies()
    assert reply["error"]["applied"] == "unknown"  # type: ignore[index]
    place.ask(put(2))
    _, (_, second) = place.proposals()
    if kind == "named":
        place.requests.on_proposed(LEADER, Proposed(first.number, 1, 2, 1))
    else:
        place.requests.on_not_proposed(LEADER, NotProposed(first.number, 1, "overloaded", "", ""))
    assert place.replies() == []
    place.core.step(
        LEADER, AppendEntries(1, 1, 1, 3, 0, codec.seal_commands(2, 1, [*first.commands, *second.commands]))
    )
    place.requests.on_proposed(LEADER, Proposed(second.number, 1, 3, 1))
    place.settle_down()
    assert place.replies() == [{"ok": True, "rev": 3}]


def test_writes_that_came_together_are_counted_one_by_one(place: Place) -> None:
    place.ask(put(1), put(2), put(3))
    place.ask(put(4), put(5))
    place.ask(put(6))
    assert [message.number for _, message in place.proposals()] == [0, 3, 5]
    number, index = 0, 2
    for _, message in place.proposals():
        count = len(message.commands)
        entries = codec.seal_commands(index, 1, message.commands)
        place.core.step(LEADER, AppendEntries(1, index - 1, 1, index + count - 1, 0, entries))
        place.requests.on_proposed(LEADER, Proposed(number, count, index, 1))
        number, index = number + count, index + count
        place.settle_down()
    assert [reply["rev"] for reply in place.replies()] == [2, 3, 4, 5, 6, 7]


# A deposed leader


def test_what_is_refused_one_after_the_other_goes_to_the_next_leader_in_its_order(place: Place) -> None:
    for value in range(4):
        place.ask(put(value))
    for _, message in place.proposals():
        place.requests.on_not_proposed(LEADER, NotProposed(message.number, 1, "leader_changed", "", ""))
    place.ask(put(4))
    place.follow(THIRD, 2)
    place.sent.clear()
    place.turn()
    assert place.values() == [b"0", b"1", b"2", b"3", b"4"]


def test_who_has_said_that_it_leads_no_more_is_asked_nothing_until_there_is_another(place: Place) -> None:
    place.ask(put(1))
    [(_, message)] = place.proposals()
    place.requests.on_not_proposed(LEADER, NotProposed(message.number, 1, "leader_changed", "", ""))
    for _ in range(10):
        place.tick(1)
    assert len(place.proposals()) == 1
    place.follow(LEADER, 3)  # it leads again, in another term
    place.turn()
    assert [(peer, message.term) for peer, message in place.proposals()] == [(LEADER, 1), (LEADER, 3)]


def test_an_old_leader_that_is_connected_and_says_nothing_is_not_waited_for_for_long(place: Place) -> None:
    place.ask(put(1))
    place.follow(THIRD, 2)
    place.ask(put(2))
    assert [peer for peer, _ in place.proposals()] == [LEADER], "the old one may yet say what became of the first"
    place.tick(FAREWELL_TICKS)
    assert [peer for peer, _ in place.proposals()] == [LEADER, THIRD]
    [reply] = place.replies()
    assert reply["error"]["applied"] == "unknown"  # type: ignore[index]


def test_a_node_that_is_stopping_takes_nothing_that_others_pass_on(leading: Place) -> None:
    leading.requests.stopping = True
    last = leading.core.last_index
    leading.requests.on_propose(THIRD, Propose(7, encode_commands([Put("k", msgspec.Raw(b"1"))]), leading.core.term))
    [(_, answer)] = leading.sent
    assert isinstance(answer, NotProposed)
    assert (answer.number, answer.count, answer.code) == (7, 1, "leader_changed")
    assert leading.core.last_index == last


def test_what_comes_during_a_handover_is_taken_in_its_order(leading: Place) -> None:
    command = encode_commands([Put("k", msgspec.Raw(b"1"))])
    leading.core.transfer_leadership(LEADER)
    for number in range(3):
        leading.requests.on_propose(THIRD, Propose(number, command, leading.core.term))
    for _ in range(leading.core.settings.election_ticks):
        leading.acknowledge()
        leading.core.tick()
    assert leading.core.role == "leader"
    assert not leading.core.transferring
    leading.turn()
    answers = [message for _, message in leading.sent if isinstance(message, Proposed)]
    assert [answer.number for answer in answers] == [0, 1, 2]
    assert [answer.index for answer in answers] == sorted(answer.index for answer in answers)


def test_who_asks_a_node_that_does_not_lead_what_its_reads_must_see_is_told_so(place: Place) -> None:
    place.requests.on_read_index(THIRD, ReadIndexRequest(5))
    assert place.sent == [(THIRD, ReadIndexReply(5, None))]


def test_whose_reads_a_leader_was_confirming_hears_that_it_leads_no_more(leading: Place) -> None:
    leading.requests.on_read_index(THIRD, ReadIndexRequest(5))
    leading.core.step(
        LEADER, RequestVote(leading.core.term + 1, leading.core.last_index, leading.core.log.last_term, True)
    )
    leading.settle_down()
    assert leading.core.role == "follower"
    assert leading.sent == [(THIRD, ReadIndexReply(5, None))]


def test_what_the_reads_of_an_earlier_process_must_see_is_not_said_to_the_next(leading: Place) -> None:
    """The node would take the number for one of its own requests, for which the index may be too old."""
    leading.requests.on_read_index(THIRD, ReadIndexRequest(5))
    leading.requests.link_lost(THIRD)
    leading.settle_down()
    leading.acknowledge(round=1)
    assert leading.sent == []
    leading.requests.on_read_index(THIRD, ReadIndexRequest(6))
    leading.settle_down()
    leading.acknowledge(round=2)
    assert leading.sent == [(THIRD, ReadIndexReply(6, leading.core.commit_index))]


@pytest.mark.parametrize(
    "read",
    [
        {"op": "get", "key": "k"},
        {"op": "scan"},
        {"op": "txn", "then": [{"op": "get", "key": "k"}]},
        {"op": "locks"},
        {"op": "watch", "key": "k"},
        {"op": "wait", "key": "k", "exists": True},
    ],
    ids=lambda read: str(read["op"]),
)
def test_a_read_is_given_up_that_a_living_leader_does_not_confirm(place: Place, read: dict[str, object]) -> None:
    place.ask(read)
    place.tick(HOLD_TICKS - 1)
    assert place.replies() == []
    place.tick(1)
    [reply] = place.replies()
    assert reply["error"]["code"] == "no_quorum"  # type: ignore[index]
    place.tick(HOLD_TICKS)
    assert len([message for _, message in place.sent if isinstance(message, ReadIndexRequest)]) == 1


# A write behind a read that is answered while its fate is open

READ: dict[str, object] = {"op": "get", "key": "k"}
LATE: dict[str, object] = {"op": "put", "key": "k", "value": 9, "timeout_ms": 10}


def commit(place: Place, leader: NodeId, term: int) -> None:
    """Let the leader name the entries of the last forwarded writes, and commit them."""
    message = place.proposals()[-1][1]
    before, count = place.core.last_index, len(message.commands)
    place.requests.on_proposed(leader, Proposed(message.number, count, before + 1, term))
    entries = codec.seal_commands(before + 1, term, message.commands)
    place.core.step(
        leader, AppendEntries(term, before, place.core.log.term_at(before) or 0, before + count, 0, entries)
    )
    place.settle_down()


def confirm(place: Place, leader: NodeId) -> None:
    """Let the leader say that the reads must see every entry."""
    for _, message in list(place.sent):
        if isinstance(message, ReadIndexRequest):
            place.requests.on_read_index_reply(leader, ReadIndexReply(message.number, place.core.last_index))
    place.settle_down()


def test_a_read_does_not_see_a_write_behind_it_that_was_answered_before_it_was_applied(place: Place) -> None:
    place.ask(READ, LATE)
    place.tick(2)
    commit(place, LEADER, 1)
    confirm(place, LEADER)
    read, late = place.replies()
    assert read["value"] is None
    assert late["error"]["applied"] == "unknown"  # type: ignore[index]


def test_nor_one_that_comes_behind_a_late_one_that_was_refused(place: Place) -> None:
    place.ask(READ, LATE, put(2))
    place.tick(2)
    [(_, message)] = place.proposals()
    place.requests.on_not_proposed(LEADER, NotProposed(message.number, 2, "leader_changed", "", ""))
    place.follow(THIRD, 2)
    place.turn()
    assert place.values() == [b"9", b"2", b"2"], "the late one is not begun again"
    commit(place, THIRD, 2)
    confirm(place, THIRD)
    read, _, write = place.replies()
    assert (read["value"], write["ok"]) == (None, True)


def test_nor_one_that_comes_behind_a_late_one_in_whose_place_anothers_entry_is(place: Place) -> None:
    place.ask(READ, LATE)
    place.tick(2)
    [(_, message)] = place.proposals()
    place.requests.on_proposed(LEADER, Proposed(message.number, 1, 2, 1))
    place.follow(THIRD, 2, commit_index=2)
    place.settle_down()
    place.ask(put(2))
    commit(place, THIRD, 2)
    confirm(place, THIRD)
    read, _, write = place.replies()
    assert (read["value"], write["ok"]) == (None, True)


@pytest.mark.parametrize("write", [LATE, put(9)], ids=["late", "without a time"])
def test_a_read_is_refused_where_a_write_behind_it_may_take_effect_unseen(
    place: Place, write: dict[str, object]
) -> None:
    place.ask(READ, write)
    place.tick(2)
    place.requests.link_lost(LEADER)
    place.turn()
    read, lost = place.replies()
    assert read["error"]["code"] == "leader_changed"  # type: ignore[index]
    assert "applied" not in read["error"]  # type: ignore[operator]
    assert lost["error"]["applied"] == "unknown"  # type: ignore[index]


def test_also_where_one_between_them_is_known_not_to_be_applied(place: Place) -> None:
    place.ask(READ, put(1))
    place.ask(put(8))
    place.ask(put(9))
    for (_, message), index in zip(place.proposals(), (2, 3, 3), strict=True):  # the last replaces the second
        place.requests.on_proposed(LEADER, Proposed(message.number, 1, index, 1))
    place.follow(THIRD, 2, commit_index=2)
    place.settle_down()
    read, refused, unknown, _ = place.replies()
    assert read["error"]["code"] == "leader_changed"  # type: ignore[index]
    assert refused["error"]["applied"] == "no"  # type: ignore[index]
    assert unknown["error"]["applied"] == "unknown"  # type: ignore[index]


# Changes of the members at a deposed leader


def test_who_has_said_that_it_leads_no_more_is_asked_for_no_change_until_there_is_another(place: Place) -> None:
    place.ask({"op": "add_member", "address": "new:1"})
    [(peer, asked)] = place.sent
    assert (peer, isinstance(asked, AdminRequest)) == (LEADER, True)
    place.administration.on_reply(LEADER, AdminReply(asked.number, msgspec.Raw(b"null"), leads=False))  # type: ignore[attr-defined]
    place.tick(10)
    assert len(place.sent) == 1
    place.follow(THIRD, 2)
    place.turn()
    assert [peer for peer, _ in place.sent] == [LEADER, THIRD]


def test_a_change_that_was_passed_on_is_not_passed_on_again(place: Place) -> None:
    place.administration.on_request(THIRD, AdminRequest(5, msgspec.Raw(b'{"op":"add_member","address":"new:1"}')))
    place.turn()
    [(peer, answer)] = place.sent
    assert peer == THIRD
    assert isinstance(answer, AdminReply)
    assert (answer.number, answer.leads) == (5, False)


def test_anothers_entry_in_its_place_is_not_taken_for_the_change(leading: Place) -> None:
    leading.ask({"op": "add_member", "address": "new:1"})
    index = leading.core.last_index
    assert leading.core.configuration.member(3) is not None
    leading.follow(LEADER, leading.core.term + 1, commit_index=index)
    assert leading.core.commit_index == index
    assert leading.core.configuration.member(3) is None
    leading.turn()
    [reply] = leading.replies()
    assert not reply["ok"]


@pytest.mark.parametrize("begun", [True, False])
def test_what_an_earlier_process_of_a_peer_has_asked_is_not_answered_to_the_next(leading: Place, begun: bool) -> None:
    """Each node counts its forwarded requests from 1 on: it would take the answer for that to its own first request."""
    if not begun:
        leading.ask({"op": "add_member", "address": "other:1"})  # one change at a time
    leading.administration.on_request(THIRD, AdminRequest(1, msgspec.Raw(b'{"op":"add_member","address":"new:1"}')))
    leading.turn()
    leading.administration.link_lost(THIRD)
    leading.administration.on_request(THIRD, AdminRequest(1, msgspec.Raw(b'{"op":"promote_member","member":7}')))
    leading.turn()
    for _ in range(2):
        leading.acknowledge()
        leading.turn()
    [(peer, answer)] = leading.sent
    assert isinstance(answer, AdminReply)
    assert (peer, answer.number) == (THIRD, 1)
    assert decode(bytes(answer.reply))["error"]["message"] == "there is no member 7"
