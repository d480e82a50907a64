"""The cluster's level: agreed on as it forms, raised once every member supports the next, and waited for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from tests.replica.test_newest_member import ADDRESS, NEW, hello, introduce
from tests.replica.test_passed_on import LEADER, Place, put
from trioraft.key_values import key_value_machine
from trioraft.raft.membership import with_learner
from trioraft.replica.levels import Levels
from trioraft.replica.replica import Replica, Tuning
from trioraft.storage.snapshots import newest
from trioraft.testing.disk import MemoryDisk
from trioraft.wire.cluster_commands import RaiseLevel
from trioraft.wire.codec import decode
from trioraft.wire.commands import encode_commands
from trioraft.wire.entries import payload
from trioraft.wire.peers import PeerHello, PeerRefused

from ..helpers.virtual_cluster import Cluster

OPEN: dict[str, object] = {"op": "open_session"}


def start(cluster: Cluster, index: int, level: int) -> None:
    """Start a node of a version that supports that level; one that runs is stopped first."""
    node = cluster.nodes[index]
    if node.driver is not None:
        node.crash()
    cluster.tuning = Tuning(level=level)
    node.start()


async def formed(cluster: Cluster, *levels: int) -> Cluster:
    """Let the cluster form from nodes that support these levels."""
    await trio.sleep(0)  # they begin
    for node in cluster.nodes:
        node.crash()
        node.disk = MemoryDisk(f"disk of node {node.index}")
    for index, level in enumerate(levels):
        start(cluster, index, level)
    await cluster.leader()
    return cluster


def replica(cluster: Cluster, index: int) -> Replica:
    driver = cluster.nodes[index].driver
    assert driver is not None
    return driver.replica


def levels(cluster: Cluster) -> list[int]:
    return [replica(cluster, index).levels.applied for index in range(3)]


async def until_raised(cluster: Cluster) -> None:
    with trio.fail_after(10):
        while levels(cluster) != [2, 2, 2]:
            await trio.sleep(0.01)


async def caught_up(cluster: Cluster, *nodes: int) -> None:
    """Wait until these nodes have applied all that there is."""
    with trio.fail_after(10):
        while True:
            leader = replica(cluster, await cluster.leader()).core
            if all(replica(cluster, node).core.last_applied == leader.last_index for node in nodes):
                return
            await trio.sleep(0.01)


def raises(cluster: Cluster, index: int) -> list[int]:
    """The entries in that node's log that raise the level."""
    log = replica(cluster, index).core.log
    entries = log.slice(log.first_index, log.last_index)
    return [one.index for one in entries if one.kind == "command" and b"raise_level" in payload(one)]


async def test_a_cluster_forms_at_the_highest_level_and_says_so(cluster: Cluster) -> None:
    await formed(cluster, 2, 2, 2)
    assert levels(cluster) == [2, 2, 2]
    leader = await cluster.leader()
    opened, said, status = await cluster.ask(leader, OPEN, {"op": "hello"}, {"op": "status"})
    assert opened["client"].startswith(replica(cluster, 0).cluster[:8] + "-")
    assert (said["level"], said["supported_level"]) == (status["level"], status["supported_level"]) == (2, 2)
    assert raises(cluster, leader) == []


async def test_a_cluster_that_forms_with_an_older_node_has_its_level_and_its_id(cluster: Cluster) -> None:
    """The id is what older nodes compute, who name no level."""
    await formed(cluster, 2, 1, 2)
    assert levels(cluster) == [1, 1, 1]
    assert len({replica(cluster, index).cluster for index in range(3)}) == 1
    for index in range(3):
        assert replica(cluster, index).folder.formation.configuration.level == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("last", [0, 1, 2])
async def test_the_level_rises_with_the_last_member_that_is_upgraded(cluster: Cluster, last: int) -> None:
    await formed(cluster, 1, 1, 1)
    for index in range(3):
        if index != last:
            start(cluster, index, 2)
            await cluster.leader()
    newer = (last + 1) % 3
    await caught_up(cluster, 0, 1, 2)
    [refused] = await cluster.ask(newer, {**OPEN, "id": 7})
    assert (refused["error"]["code"], refused["error"]["applied"], refused["id"]) == ("needs_upgrade", "no", 7)
    assert f"node {last} at node:{last + 1}, which knows no level above 1" in refused["error"]["message"]
    [said] = await cluster.ask(newer, {"op": "hello"})
    assert (said["level"], said["supported_level"]) == (1, 2)
    start(cluster, last, 2)
    await until_raised(cluster)
    assert len(raises(cluster, newer)) == 1
    for index in range(3):
        [opened] = await cluster.ask(index, OPEN)
        assert opened["ok"]


async def test_until_then_snapshots_are_those_of_before(cluster: Cluster) -> None:
    await formed(cluster, 1, 2, 2)
    await cluster.ask(1, {"op": "put", "key": "k", "value": 1}, {"op": "snapshot"})
    snapshot = newest(cluster.nodes[1].disk)
    assert snapshot is not None
    assert snapshot.header.sections == {"keys": 1}
    start(cluster, 0, 2)
    await until_raised(cluster)
    await cluster.ask(1, {"op": "snapshot"})
    snapshot = newest(cluster.nodes[1].disk)
    assert snapshot is not None
    assert list(snapshot.header.sections)[:2] == ["cluster", "sessions"]


async def test_a_node_that_is_started_again_does_not_refuse_what_its_log_allows(cluster: Cluster) -> None:
    """It knows the level only once it has applied its log again: until then such requests wait."""
    await formed(cluster, 1, 1, 1)
    for index in range(3):
        start(cluster, index, 2)
    await until_raised(cluster)
    follower = (await cluster.leader() + 1) % 3
    await caught_up(cluster, follower)
    start(cluster, follower, 2)
    assert replica(cluster, follower).levels.applied == 1
    client = await cluster.connect(follower)
    client.send(OPEN)
    [opened] = await client.replies(1)
    assert opened["ok"]


async def test_a_member_that_is_not_there_holds_the_level_up_until_it_is_removed(cluster: Cluster) -> None:
    await formed(cluster, 1, 1, 1)
    cluster.nodes[2].crash()
    for index in (0, 1):
        start(cluster, index, 2)
    leader = await cluster.leader()
    await caught_up(cluster, 0, 1)
    [refused] = await cluster.ask(leader, OPEN)
    assert "node 2 at node:3, which is not connected" in refused["error"]["message"]
    await trio.sleep(2)
    assert replica(cluster, leader).levels.applied == 1
    [removed, opened] = await cluster.ask(leader, {"op": "remove_member", "member": 2}, OPEN)
    assert removed["ok"]
    assert opened["ok"], "nothing holds it up any more, so the request waited for it"


async def test_a_learner_holds_it_up_too(cluster: Cluster) -> None:
    await formed(cluster, 1, 1, 1)
    leader = await cluster.leader()
    await cluster.ask(leader, {"op": "add_member", "address": ADDRESS, "learner": True})
    for index in range(3):
        start(cluster, index, 2)
        await cluster.leader()
    await trio.sleep(2)
    assert levels(cluster) == [1, 1, 1]
    await cluster.ask(await cluster.leader(), {"op": "remove_member", "member": NEW})
    await until_raised(cluster)


async def test_an_older_node_is_refused_at_the_door_of_a_newer_cluster(cluster: Cluster) -> None:
    await formed(cluster, 2, 2, 2)
    driver = replica(cluster, await cluster.leader())
    driver.core.propose_configuration(with_learner(driver.core.configuration, ADDRESS, promote=True))
    await trio.sleep(1)
    said = hello(cluster, 0, "f-new")
    _, answer = await introduce(cluster, msgspec.structs.replace(said, level=1))
    assert isinstance(answer, PeerRefused)
    assert (answer.code, answer.hint) == ("needs_upgrade", "upgrade node 3")
    assert "the cluster is at level 2, and node 3 knows no level above 1" in answer.message
    _, answer = await introduce(cluster, said)
    assert isinstance(answer, PeerHello)
    assert answer.cluster_level == 2


class OldPlace(Place):
    """A node whose cluster is still at level 1."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = self.requests.reader.machine = key_value_machine()
        self.levels = Levels(self, 2)
        for peer in (1, 2):
            self.introduce(peer, 2)

    def introduce(self, peer: int, level: int) -> None:
        said = PeerHello((2, 2), "c", peer, 0, f"f{peer}", 1, "i", 1, 1, [], None, level)
        self.levels.heard(said)

    def rise(self) -> None:
        """Let the leader's entry that raises the level be committed, and applied."""
        self.core.propose(encode_commands([RaiseLevel(2)]))
        self.settle_down()
        self.acknowledge()
        self.turn()

    def codes(self) -> list[Any]:
        """The replies, as their error codes where they failed."""
        replies: list[Any] = self.replies()
        return [reply["error"]["code"] if not reply["ok"] else reply for reply in replies]

    def commands(self) -> list[str]:
        """The operations of the entries in the log, in order."""
        entries = self.core.log.slice(1, self.core.last_index)
        return [decode(payload(one))["op"] for one in entries if one.kind == "command"]


@pytest.fixture
def old() -> OldPlace:
    place = OldPlace()
    place.lead()
    return place


ONCE: dict[str, object] = {"op": "put", "key": "k", "value": 1, "client": "c0ffee00-9", "seq": 1}


def test_what_needs_the_next_level_waits_while_it_is_being_reached_and_later_writes_stay_behind(old: OldPlace) -> None:
    old.ask(put(1), ONCE, put(2), {"op": "get", "key": "k", "read": "stale"})
    assert old.commands() == ["put"]
    old.rise()
    assert old.commands() == ["put", "raise_level", "once", "put"]


def test_a_write_between_two_that_wait_keeps_its_place_when_the_first_waits_no_longer(old: OldPlace) -> None:
    old.ask({**ONCE, "timeout_ms": 50}, put(1), {**ONCE, "seq": 2}, put(2))
    old.tick(5)
    old.rise()
    old.acknowledge()
    assert old.commands() == ["put", "raise_level", "once", "put"]
    timed_out, first, _, second = old.codes()
    assert timed_out == "timeout"
    assert first["rev"] < second["rev"]


def test_the_time_of_a_write_that_waits_behind_another_counts_from_when_it_came(old: OldPlace) -> None:
    old.ask({**ONCE, "timeout_ms": 50}, {**put(1), "timeout_ms": 100})
    old.tick(9)
    assert old.codes() == ["timeout"]
    old.tick(1)
    assert old.codes() == ["timeout"]


def test_the_writes_of_others_do_not_wait(old: OldPlace) -> None:
    old.ask(ONCE)
    other = OldPlace()
    other.requests, other.core = old.requests, old.core
    other.session._reply_size = old.requests.reply_size
    other.ask(put(3))
    assert old.commands() == ["put"]


def test_it_waits_no_longer_than_a_request_is_held(old: OldPlace) -> None:
    old.ask(ONCE, put(2))
    old.tick(199)
    assert old.replies() == []
    old.tick(1)
    old.acknowledge()
    refused, behind = old.replies()
    assert refused["error"]["code"] == "needs_upgrade"  # type: ignore[index]
    assert behind["ok"]


def test_its_own_time_ends_the_wait_too_and_nothing_was_applied(old: OldPlace) -> None:
    old.ask({**ONCE, "timeout_ms": 50})
    old.tick(5)
    [reply] = old.replies()
    assert (reply["error"]["code"], reply["error"]["applied"]) == ("timeout", "no")  # type: ignore[index]
    old.rise()
    assert old.commands() == ["raise_level"]


def test_who_is_found_to_hold_it_up_ends_the_wait(old: OldPlace) -> None:
    old.ask(ONCE)
    assert old.replies() == []
    old.introduce(2, 1)
    old.turn()
    assert old.codes() == ["needs_upgrade"]
    old.levels.gone(1)
    old.ask(ONCE)
    [reply] = old.replies()
    assert "node 1 at n1:1, which is not connected and node 2" in reply["error"]["message"]  # type: ignore[index]


def test_a_peer_that_has_applied_it_says_that_it_will_come(old: OldPlace) -> None:
    old.levels.gone(1)
    old.levels.heard(PeerHello((2, 2), "c", 2, 0, "f2", 1, "i", 1, 1, [], None, 2, 2))
    old.ask(ONCE)
    assert old.replies() == []


def test_what_may_raise_the_level_is_waited_for(old: OldPlace) -> None:
    """It may be among the entries that are in the log and not applied yet, as after a start."""
    old.core.propose(encode_commands([RaiseLevel(2)]))
    old.introduce(2, 1)
    old.ask(ONCE)
    assert old.replies() == []
    old.acknowledge()
    old.turn()
    assert old.commands() == ["raise_level", "once"]


def test_without_a_leader_nobody_knows_the_level() -> None:
    place = OldPlace()
    place.introduce(1, 1)
    place.ask(ONCE)
    place.tick(200)
    [reply] = place.replies()
    assert (reply["error"]["code"], reply["error"]["applied"]) == ("no_quorum", "no")  # type: ignore[index]


def test_a_follower_holds_back_what_it_would_pass_on() -> None:
    place = OldPlace()
    place.follow(LEADER, 1, commit_index=1)
    place.ask(ONCE, put(2))
    assert place.proposals() == []


def test_the_session_of_another_cluster_is_refused_at_the_door() -> None:
    place = Place()
    place.lead()
    place.ask({**ONCE, "client": "c0ffee01-9"}, {"op": "close_session", "client": "c0ffee01-9"}, ONCE)
    place.acknowledge()
    foreign, closed, unknown = place.replies()
    for reply, applied in ((foreign, "unknown"), (closed, "no"), (unknown, "unknown")):
        assert (reply["error"]["code"], reply["error"]["applied"]) == ("session_expired", applied)  # type: ignore[index]
    assert place.machine.read("k") is None


def test_a_write_in_a_session_is_answered_as_the_first_time() -> None:
    place = Place()
    place.lead()
    place.ask(OPEN)
    place.acknowledge()
    [opened] = place.replies()
    incr = {"op": "incr", "key": "n", "client": opened["client"], "seq": 1}
    place.ask(incr, {**incr, "id": 1, "timeout_ms": 500, "acked": 0}, {**incr, "by": 2}, {**incr, "acked": 1})
    place.acknowledge()
    first, again, other, old = place.replies()
    assert again == {"id": 1, **first, "replayed": True}
    assert (other["error"]["code"], other["error"]["applied"]) == ("seq_reused", "no")  # type: ignore[index]
    assert (old["error"]["code"], old["error"]["applied"]) == ("seq_too_old", "unknown")  # type: ignore[index]
    place.ask({"op": "close_session", "client": opened["client"]}, {**incr, "seq": 2})
    place.acknowledge()
    closed, expired = place.replies()
    assert closed == {"ok": True}
    assert expired["error"]["code"] == "session_expired"  # type: ignore[index]
