"""Keepalives and lists of leases: passed on together, confirmed by a round of their own, and answered by the leader."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from tests.replica.test_lease_clock import Fake
from tests.replica.test_passed_on import HOLD_TICKS, LEADER, THIRD, Place, put
from trioraft.raft.messages import AppendEntries, AppendEntriesReply, NodeId
from trioraft.wire.codec import decode
from trioraft.wire.entries import seal
from trioraft.wire.peers import AdminReply, AdminRequest

from ..helpers.virtual_cluster import Cluster

KEPT = {"op": "lease_keepalive", "lease": 7}


class LeasedPlace(Place):
    """A node whose machine has two leases."""

    def __init__(self) -> None:
        super().__init__()
        self.leases = Fake({7: 1000, 8: 5000})

        class Machine:
            leasing = self.leases
            level = 2

        self.machine = Machine()  # type: ignore[assignment]

    def lead(self) -> None:
        super().lead()
        self.acknowledge()
        self.lease_clock.begin(self.leases)
        self.tell(2)

    def tell(self, ticks: int) -> None:
        """Tell the clock single ticks."""
        for _ in range(ticks):
            self.lease_clock.pass_time()
            self.lease_clock.tick(1, counts=True)

    def asked(self) -> list[tuple[int, int, dict[str, Any]]]:
        """What the leader was asked: whom, under which number, and the request."""
        sent = [(peer, message) for peer, message in self.sent if isinstance(message, AdminRequest)]
        return [(peer, message.number, decode(bytes(message.request))) for peer, message in sent]

    def told(self) -> list[tuple[bool, Any]]:
        """What peers were told, each with whether this node leads."""
        return [(one.leads, decode(bytes(one.reply))) for _, one in self.sent if isinstance(one, AdminReply)]

    def confirm(self, match_index: int | None = None) -> None:
        """Let a peer answer the newest round; it holds the log up to that index, or all of it."""
        assert self.core.leadership is not None
        index = self.core.last_index if match_index is None else match_index
        self.core.step(LEADER, AppendEntriesReply(self.core.term, True, index, self.core.leadership.reads.round))
        self.settle_down()

    def answer(self, number: int, reply: bytes, index: int, leader: NodeId = LEADER) -> None:
        """Let the leader answer; what it says is true once that entry is applied."""
        self.requests.leases.on_reply(leader, AdminReply(number, msgspec.Raw(reply), index=index))

    def ask_as_peer(self, number: int, request: bytes) -> None:
        self.administration.on_request(THIRD, AdminRequest(number, msgspec.Raw(request)))
        self.turn()


@pytest.fixture
def place() -> LeasedPlace:
    place = LeasedPlace()
    place.follow(LEADER, 1, commit_index=1)
    return place


@pytest.fixture
def leading() -> LeasedPlace:
    place = LeasedPlace()
    place.lead()
    return place


# At the leader


def test_a_keepalive_is_answered_once_a_round_is_confirmed_that_began_after_it(leading: LeasedPlace) -> None:
    leading.ask(KEPT)
    assert leading.replies() == []
    leading.ask({**KEPT, "id": 2})  # it came after the round of the first one
    leading.acknowledge(1)
    assert leading.replies() == [{"ok": True}]
    leading.acknowledge(2)
    assert leading.replies() == [{"id": 2, "ok": True}]


def test_it_moves_the_end_as_it_arrives_and_not_as_it_is_confirmed(leading: LeasedPlace) -> None:
    leading.tell(124)
    leading.ask(KEPT)
    leading.tell(100)
    assert not leading.lease_clock.over()
    assert leading.lease_clock.remaining_ms(7) == 260


def test_an_ended_lease_says_so(leading: LeasedPlace) -> None:
    del leading.leases.ttls[7]
    leading.ask(KEPT, {"op": "lease_keepalive", "leases": [7, 8, 9]})
    leading.confirm()
    one, some = leading.replies()
    assert one["error"]["code"] == "lease_expired"  # type: ignore[index]
    assert "applied" not in one["error"]  # type: ignore[operator]
    assert some == {"ok": True, "expired": [7, 9]}


def test_a_keepalive_waits_for_the_entry_that_ends_its_lease(leading: LeasedPlace) -> None:
    index = leading.core.propose([b'{"op":"put","key":"k","value":1}'])
    leading.lease_clock.expire([7], index)
    leading.ask(KEPT)
    leading.confirm(match_index=index - 1)
    assert leading.replies() == []
    del leading.leases.ttls[7]
    leading.acknowledge()
    [reply] = leading.replies()
    assert reply["error"]["code"] == "lease_expired"  # type: ignore[index]


def test_one_that_waited_looks_again_for_its_other_leases(leading: LeasedPlace) -> None:
    """The next entry of the leader may end another one of them by then."""
    first = leading.core.propose([b'{"op":"put","key":"k","value":1}'] * 2)
    leading.lease_clock.expire([7], first)
    leading.ask({"op": "lease_keepalive", "leases": [7, 8]})
    leading.confirm(match_index=first - 1)
    leading.lease_clock.expire([8], first + 1)
    del leading.leases.ttls[7]
    leading.confirm(match_index=first)
    assert leading.replies() == []
    del leading.leases.ttls[8]
    leading.acknowledge()
    assert leading.replies() == [{"ok": True, "expired": [7, 8]}]


def test_no_entry_confirms_a_keepalive(leading: LeasedPlace) -> None:
    """What was proposed before it came may have been acknowledged before it came, too."""
    leading.core.propose([b'{"op":"put","key":"k","value":1}'])
    leading.ask(KEPT)
    leading.acknowledge()
    assert leading.core.commit_index == leading.core.last_index
    assert leading.replies() == []
    leading.confirm()
    assert leading.replies() == [{"ok": True}]


def test_one_of_a_peer_moves_the_end_as_it_arrives(leading: LeasedPlace) -> None:
    leading.tell(124)
    leading.ask_as_peer(5, b'{"op":"lease_keepalive","leases":[7]}')
    leading.tell(100)
    assert not leading.lease_clock.over()


def test_several_in_a_row_share_a_round_and_a_write_behind_them_waits(leading: LeasedPlace) -> None:
    last = leading.core.last_index
    leading.ask(KEPT, {"op": "lease_keepalive", "lease": 8}, {"op": "leases"}, put(1))
    assert leading.core.last_index == last
    leading.confirm()
    kept, other, listed = leading.replies()
    assert kept == other == {"ok": True}
    rows = [{"lease": 7, "ttl_ms": 1000, "remaining_ms": 1250, "keys": 1}]
    rows += [{"lease": 8, "ttl_ms": 5000, "remaining_ms": 6250, "keys": 0}]
    assert listed == {"ok": True, "leases": rows, "more": False, "at": last}
    leading.turn()
    assert leading.core.last_index == last + 1


def test_the_list_goes_on_where_it_ended(leading: LeasedPlace) -> None:
    leading.ask({"op": "leases", "limit": 1}, {"op": "leases", "after": 7})
    leading.confirm()
    first, rest = leading.replies()
    assert [row["lease"] for row in first["leases"]] == [7]  # type: ignore[attr-defined]
    assert first["more"]
    assert [row["lease"] for row in rest["leases"]] == [8]  # type: ignore[attr-defined]
    assert not rest["more"]


def test_one_behind_a_read_waits_for_it(leading: LeasedPlace) -> None:
    leading.ask({"op": "get", "key": "k"}, KEPT)
    assert not leading.requests.leases.gathered
    leading.confirm()
    leading.turn()
    leading.confirm()
    get, kept = leading.replies()
    assert get["rev"] == 0
    assert kept == {"ok": True}


def test_while_the_lead_is_handed_over_it_waits_though_it_has_arrived(leading: LeasedPlace) -> None:
    leading.tell(124)
    leading.core.transfer_leadership(LEADER)
    leading.ask(KEPT)
    leading.tell(50)
    assert not leading.lease_clock.over()
    while leading.core.transferring:
        leading.core.tick()
        leading.acknowledge()
    leading.turn()
    leading.confirm()
    assert leading.replies() == [{"ok": True}]


def test_what_a_deposed_leader_was_asked_goes_to_the_next_one(leading: LeasedPlace) -> None:
    leading.ask(KEPT)
    leading.ask_as_peer(5, b'{"op":"lease_keepalive","leases":[7]}')
    leading.follow(LEADER, leading.core.term + 1)
    leading.turn()
    assert leading.replies() == []
    assert leading.told() == [(False, None)]
    [(peer, _, request)] = leading.asked()
    assert (peer, request["leases"]) == (LEADER, [7])


def test_a_peer_is_told_what_has_ended_and_which_entry_shows_it(leading: LeasedPlace) -> None:
    leading.ask_as_peer(5, b'{"op":"lease_keepalive","leases":[7,9]}')
    leading.confirm()
    [(peer, reply)] = [one for one in leading.sent if isinstance(one[1], AdminReply)]
    assert isinstance(reply, AdminReply)
    assert (peer, reply.number, reply.index) == (THIRD, 5, leading.core.last_applied)
    assert leading.told() == [(True, {"ok": True, "expired": [9]})]


def test_a_peer_that_has_gone_is_told_nothing(leading: LeasedPlace) -> None:
    leading.ask_as_peer(5, b'{"op":"lease_keepalive","leases":[7]}')
    leading.requests.link_lost(THIRD)
    leading.confirm()
    assert leading.told() == []


# At another node


def test_keepalives_of_one_turn_travel_together_and_each_has_its_own_answer(place: LeasedPlace) -> None:
    place.ask(KEPT, {"op": "lease_keepalive", "leases": [8, 9], "id": 2}, {"op": "leases"})
    (_, first, kept), (_, second, listed) = sorted(place.asked(), key=lambda one: "leases" not in one[2])
    assert kept["leases"] == [7, 8, 9]
    assert listed["op"] == "leases"
    place.answer(second, b'{"ok":true,"leases":[],"more":false,"at":1}', 1)
    assert place.replies() == []
    place.answer(first, b'{"ok":true,"expired":[9]}', 1)
    assert place.replies() == [
        {"ok": True},
        {"id": 2, "ok": True, "expired": [9]},
        {"ok": True, "leases": [], "more": False, "at": 1},
    ]


def test_an_end_is_told_once_this_node_has_applied_it(place: LeasedPlace) -> None:
    place.ask(KEPT)
    [(_, number, _)] = place.asked()
    place.answer(number, b'{"ok":true,"expired":[7]}', 2)
    assert place.replies() == []
    place.core.step(LEADER, AppendEntries(1, 1, 1, 2, 0, [seal(2, 1, "noop", b"null")]))
    place.settle_down()
    [reply] = place.replies()
    assert reply["error"]["code"] == "lease_expired"  # type: ignore[index]


def test_another_leader_is_asked_again(place: LeasedPlace) -> None:
    place.ask(KEPT)
    place.follow(THIRD, 2)
    place.turn()
    assert [peer for peer, _, _ in place.asked()] == [LEADER, THIRD]
    _, (_, number, _) = place.asked()
    place.answer(0, b'{"ok":true,"expired":[]}', 0)  # too late
    assert place.replies() == []
    place.answer(number, b'{"ok":true,"expired":[]}', 0, THIRD)
    assert place.replies() == [{"ok": True}]


def test_who_does_not_lead_says_so_and_is_not_asked_twice(place: LeasedPlace) -> None:
    place.ask(KEPT)
    [(_, number, _)] = place.asked()
    place.requests.leases.on_reply(LEADER, AdminReply(number, msgspec.Raw(b"null"), leads=False))
    place.turn()
    assert len(place.asked()) == 1
    place.follow(LEADER, 2)
    place.turn()
    assert len(place.asked()) == 2


def test_a_broken_link_is_no_reason_to_fail(place: LeasedPlace) -> None:
    place.ask(KEPT)
    place.requests.link_lost(LEADER)
    place.turn()
    assert len(place.asked()) == 2
    assert place.replies() == []


def test_without_a_leader_it_waits_for_a_while(place: LeasedPlace) -> None:
    place.linked_to.clear()
    place.ask(KEPT)
    place.tick(HOLD_TICKS - 1)
    assert place.replies() == []
    place.tick(1)
    [reply] = place.replies()
    assert reply["error"]["code"] == "no_quorum"  # type: ignore[index]
    assert "applied" not in reply["error"]  # type: ignore[operator]


def test_a_leader_that_does_not_answer_is_given_up(place: LeasedPlace) -> None:
    place.ask(KEPT)
    place.tick(HOLD_TICKS + 1)
    [reply] = place.replies()
    assert reply["error"]["code"] == "no_quorum"  # type: ignore[index]


def test_its_own_deadline_ends_it(place: LeasedPlace) -> None:
    place.ask({**KEPT, "timeout_ms": 100})
    place.tick(10)
    [reply] = place.replies()
    assert reply["error"]["code"] == "timeout"  # type: ignore[index]
    assert "applied" not in reply["error"]  # type: ignore[operator]


def test_it_is_not_passed_on_where_the_client_does_not_wish_it(place: LeasedPlace) -> None:
    place.ask({**KEPT, "forward": False})
    [reply] = place.replies()
    assert reply["error"]["code"] == "not_leader"  # type: ignore[index]
    assert place.asked() == []


def test_more_leases_than_one_request_may_name_are_asked_in_several(place: LeasedPlace) -> None:
    many: dict[str, object] = {"op": "lease_keepalive", "leases": list(range(1, 4001))}
    place.ask(many, many, many)
    assert [len(request["leases"]) for _, _, request in place.asked()] == [8000, 4000]


def test_a_node_that_is_behind_gives_up(place: LeasedPlace) -> None:
    """To answer would show what the node itself has not applied."""
    place.ask(KEPT)
    [(_, number, _)] = place.asked()
    place.answer(number, b'{"ok":true,"expired":[7]}', 2)
    place.tick(HOLD_TICKS)
    [reply] = place.replies()
    assert reply["error"]["code"] == "timeout"  # type: ignore[index]


async def test_each_node_answers_at_once_though_it_was_asked_nothing_for_long(cluster: Cluster) -> None:
    await cluster.leader()
    await trio.sleep(1)  # the cluster comes to its level
    for node in range(3):
        [granted] = await cluster.ask(node, {"op": "lease_grant", "ttl_ms": 60_000})
        for _ in range(2):
            await trio.sleep(1)
            with trio.fail_after(0.1):
                [kept, listed] = await cluster.ask(
                    node, {"op": "lease_keepalive", "lease": granted["lease"]}, {"op": "leases"}
                )
            assert kept["ok"]
            assert granted["lease"] in [row["lease"] for row in listed["leases"]]
