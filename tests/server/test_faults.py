"""Faults on command: whole nodes in virtual time that are cut off, slow, lossy, or have a disk that hangs."""

from __future__ import annotations

import gc
import math
import re
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from trioraft.addresses import parse_address
from trioraft.replica.ports import FaultRefused
from trioraft.server.config import NodeOptions
from trioraft.server.dialling import SILENT_SECONDS
from trioraft.server.disk_thread import WorkerThread
from trioraft.server.faults import FAIR, Faults
from trioraft.server.faulty_hub import RESEND_SECONDS, FaultyConnection, FaultyHub, Piece, _Lane
from trioraft.server.node import _open
from trioraft.server.sockets import SocketHub
from trioraft.server.transport import Connection
from trioraft.storage.folder import DataFolder
from trioraft.wire.codec import encode
from trioraft.wire.faults import Way
from trioraft.wire.operations import Fault
from trioraft.wire.parsing import RequestError, parse_request
from trioraft.wire.peers import PeerHello
from trioraft.wire.peers import encode as encode_peer

from ..helpers.virtual_cluster import Cluster

ELECTION = 1.0
"""The longest election timeout, in seconds."""
WRITE = {"op": "put", "key": "k", "value": 1}
STALE = {"op": "get", "key": "k", "read": "stale"}
PEERS = {1: "b:1", 2: "c:1"}


@pytest.fixture
async def cluster(nursery: trio.Nursery) -> Cluster:
    """Three started nodes that break on command, in virtual time."""
    cluster = Cluster(nursery, seed=1)
    cluster.allow_faults = True
    for node in cluster.nodes:
        node.start()
    return cluster


async def fault(cluster: Cluster, node: int, **fields: object) -> list[dict[str, Any]]:
    [reply] = await cluster.ask(node, {"op": "fault", **fields})
    assert reply["ok"], reply
    assert reply["node"] == node
    shown: list[dict[str, Any]] = reply["faults"]
    return shown


async def part(cluster: Cluster, one: Sequence[int], other: Sequence[int], way: str = "both") -> None:
    """Cut the links between two groups at both ends, or the way from the first to the second."""
    back = {"to": "from", "from": "to", "both": "both"}[way]
    for node in one:
        await fault(cluster, node, kind="cut", nodes=list(other), way=way)
    for node in other:
        await fault(cluster, node, kind="cut", nodes=list(one), way=back)


async def heal(cluster: Cluster) -> None:
    for node in range(3):
        assert await fault(cluster, node, heal=True) == []


async def has(cluster: Cluster, node: int, value: object) -> None:
    """Wait until the node itself has the value at k."""
    with trio.fail_after(10):
        while (await cluster.ask(node, STALE))[0]["value"] != value:
            await trio.sleep(0.02)


async def status(cluster: Cluster, node: int) -> dict[str, Any]:
    return (await cluster.ask(node, {"op": "status"}))[0]


class TestCut:
    async def test_a_leader_that_is_cut_off_leads_no_more_the_others_go_on_and_all_heals(
        self, cluster: Cluster
    ) -> None:
        old = await cluster.leader()
        others = [node for node in range(3) if node != old]
        await cluster.ask(old, {**WRITE, "value": "before"})
        await part(cluster, [old], others)
        began = trio.current_time()
        [lost] = await cluster.ask(old, {**WRITE, "value": "lost"})
        assert lost["error"]["code"] == "no_quorum"
        assert trio.current_time() - began <= 2 * ELECTION
        assert (await status(cluster, old))["leader"] is None
        [kept] = await cluster.ask(others[0], {**WRITE, "value": "kept"})
        assert kept["ok"]
        assert (await cluster.ask(old, STALE))[0]["value"] == "before"
        await trio.sleep(30)
        assert (await cluster.ask(old, STALE))[0]["value"] == "before"
        term = (await status(cluster, others[0]))["term"]
        await heal(cluster)
        await has(cluster, old, "kept")
        assert (await status(cluster, old))["term"] == term, "nobody was disturbed"

    @pytest.mark.parametrize("told", ["the one", "the others"])
    async def test_it_is_enough_that_one_end_is_told(self, cluster: Cluster, told: str) -> None:
        old = await cluster.leader()
        others = [node for node in range(3) if node != old]
        for node in [old] if told == "the one" else others:
            await fault(cluster, node, kind="cut", nodes=others if node == old else [old])
        [lost] = await cluster.ask(old, WRITE)
        assert lost["error"]["code"] == "no_quorum"
        assert (await cluster.ask(others[0], {**WRITE, "value": 2}))[0]["ok"]
        await trio.sleep(10)
        await heal(cluster)
        await has(cluster, old, 2)

    async def test_it_is_silence_and_nobody_takes_it_for_a_dead_process(self, cluster: Cluster) -> None:
        old = await cluster.leader()
        others = [node for node in range(3) if node != old]
        await part(cluster, [old], others)
        cluster.nodes[old].crash()
        await trio.sleep(0.3)
        assert [(await status(cluster, node))["leader"] for node in others] == [old, old]
        await trio.sleep(2 * ELECTION)
        assert await cluster.leader() in others

    async def test_followers_that_are_not_heard_end_the_lead(self, cluster: Cluster) -> None:
        old = await cluster.leader()
        others = [node for node in range(3) if node != old]
        await part(cluster, others, [old], "to")
        [lost] = await cluster.ask(old, WRITE)
        assert lost["error"]["code"] == "no_quorum"
        await heal(cluster)
        await cluster.leader()
        await cluster.ask(old, {**WRITE, "value": 2})
        for node in range(3):
            await has(cluster, node, 2)

    async def test_one_follower_that_does_not_hear_the_leader_changes_nothing(self, cluster: Cluster) -> None:
        leader = await cluster.leader()
        deaf = (leader + 1) % 3
        term = (await status(cluster, leader))["term"]
        await part(cluster, [leader], [deaf], "to")
        await trio.sleep(20 * ELECTION)
        seen = await status(cluster, leader)
        assert (seen["role"], seen["term"]) == ("leader", term), "the others would not vote for it"
        assert (await cluster.ask(leader, {**WRITE, "value": 2}))[0]["ok"]
        await heal(cluster)
        await has(cluster, deaf, 2)

    async def test_a_cut_ends_by_itself_where_it_has_a_time(self, cluster: Cluster) -> None:
        leader = await cluster.leader()
        far = (leader + 1) % 3
        rows = await fault(cluster, far, kind="cut", nodes=[leader], for_ms=5000)
        assert [row["left_ms"] for row in rows] == [5000, 5000]
        await trio.sleep(4)
        await cluster.ask(leader, {**WRITE, "value": 2})
        assert (await cluster.ask(far, STALE))[0]["value"] is None
        assert [row["left_ms"] for row in await fault(cluster, far)] == [1000, 1000]
        await trio.sleep(1.1)
        assert await fault(cluster, far) == []
        await has(cluster, far, 2)

    async def test_a_short_cut_loses_nothing_that_was_sent(self, cluster: Cluster) -> None:
        leader = await cluster.leader()
        far = (leader + 1) % 3
        await fault(cluster, far, kind="cut", nodes=[0, 1, 2][:far] + [0, 1, 2][far + 1 :], for_ms=300)
        began = trio.current_time()
        [reply] = await cluster.ask(far, WRITE)
        assert reply["ok"]
        assert trio.current_time() - began >= 0.29, "it waited for the link, and came"

    @pytest.mark.usefixtures("virtual_time")
    async def test_a_cluster_forms_once_a_cut_from_before_is_healed(self, nursery: trio.Nursery) -> None:
        cluster = Cluster(nursery, seed=1)
        cluster.allow_faults = True
        cluster.nodes[0].start()
        cluster.nodes[1].start()
        await trio.sleep(1)
        await fault(cluster, 0, kind="cut", nodes=[2])
        cluster.nodes[2].start()
        await trio.sleep(5)
        assert (await status(cluster, 0))["waiting_for"] == ["node 2 at node:3"]
        await heal(cluster)
        await cluster.leader()

    async def test_a_node_that_starts_anew_has_no_faults(self, cluster: Cluster) -> None:
        leader = await cluster.leader()
        far = (leader + 1) % 3
        await fault(cluster, far, kind="cut", nodes=[leader])
        cluster.nodes[far].crash()
        await trio.sleep(0.1)
        cluster.nodes[far].start()
        await cluster.ask(leader, {**WRITE, "value": 2})
        await has(cluster, far, 2)
        assert await fault(cluster, far) == []


class TestSlow:
    async def test_a_write_takes_as_long_as_its_way_to_a_majority_and_back(self, cluster: Cluster) -> None:
        leader = await cluster.leader()
        others = [node for node in range(3) if node != leader]
        for node in others:
            await fault(cluster, node, kind="slow", nodes=[leader], ms=100)
        await trio.sleep(1)
        began = trio.current_time()
        assert (await cluster.ask(leader, WRITE))[0]["ok"]
        assert 0.2 <= trio.current_time() - began < 0.25
        assert (await status(cluster, leader))["role"] == "leader"
        await heal(cluster)
        began = trio.current_time()
        assert (await cluster.ask(leader, WRITE))[0]["ok"]
        assert trio.current_time() - began < 0.01

    async def test_what_is_sent_arrives_in_order_when_the_delay_shrinks(self, cluster: Cluster) -> None:
        leader = await cluster.leader()
        far = (leader + 1) % 3
        await fault(cluster, far, kind="slow", nodes=[leader], way="to", ms=400)
        client = await cluster.connect(far)
        client.send({**WRITE, "value": 1})
        await trio.sleep(0.1)
        await fault(cluster, far, kind="slow", nodes=[leader], way="to", ms=1)
        client.send({**WRITE, "value": 2})
        assert [reply["ok"] for reply in await client.replies(2)] == [True, True]
        [last] = await cluster.ask(leader, {"op": "get", "key": "k"})
        assert last["value"] == 2

    async def test_both_ends_add_up(self, cluster: Cluster) -> None:
        leader = await cluster.leader()
        far = (leader + 1) % 3
        await fault(cluster, far, kind="slow", nodes=[leader], way="from", ms=50)
        await fault(cluster, leader, kind="slow", nodes=[far], way="to", ms=50)
        await trio.sleep(1)
        await cluster.ask(leader, WRITE)
        began = trio.current_time()
        await has(cluster, far, 1)
        assert trio.current_time() - began >= 0.05


class TestDrop:
    async def test_the_cluster_gets_on_slowly_and_nothing_acknowledged_is_lost(self, cluster: Cluster) -> None:
        await cluster.leader()
        for node in range(3):
            await fault(
                cluster, node, kind="drop", nodes=[one for one in range(3) if one != node], way="to", percent=20
            )
        done = 0
        with trio.move_on_after(120):
            while done < 20:
                [reply] = await cluster.ask(done % 3, {"op": "put", "key": f"k{done}", "value": done})
                done += reply["ok"]
        assert done == 20
        await heal(cluster)
        leader = await cluster.leader()
        [shown] = await cluster.ask(leader, {"op": "scan"})
        assert {item["key"]: item["value"] for item in shown["items"]} == {f"k{one}": one for one in range(20)}

    async def test_what_is_lost_again_and_again_breaks_the_connection(self, cluster: Cluster) -> None:
        old = await cluster.leader()
        others = [node for node in range(3) if node != old]
        await fault(cluster, old, kind="drop", nodes=others, percent=100)
        await trio.sleep(3 * ELECTION)
        assert (await status(cluster, old))["role"] != "leader"
        await heal(cluster)
        await cluster.leader()


class TestDisk:
    async def test_a_leader_whose_disk_hangs_is_replaced_or_commits_with_the_others(self, cluster: Cluster) -> None:
        leader = await cluster.leader()
        assert await fault(cluster, leader, kind="disk") == [{"kind": "disk"}]
        await trio.sleep(5 * ELECTION)
        await cluster.ask((leader + 1) % 3, {**WRITE, "value": 2})
        await trio.sleep(5 * ELECTION)
        assert (await status(cluster, leader))["role"] != "leader"
        await heal(cluster)
        await has(cluster, leader, 2)

    async def test_a_follower_whose_disk_hangs_acknowledges_nothing(self, cluster: Cluster) -> None:
        leader = await cluster.leader()
        one, other = [node for node in range(3) if node != leader]
        cluster.nodes[other].crash()
        await fault(cluster, one, kind="disk", for_ms=300)
        began = trio.current_time()
        assert (await cluster.ask(leader, WRITE))[0]["ok"]
        assert trio.current_time() - began >= 0.29


class Inner:
    """A connection that counts its ends, and does nothing else."""

    remote = "peer"

    def __init__(self) -> None:
        self.ends = 0

    def send(self, data: bytes) -> None: ...

    def close(self) -> None:
        self.ends += 1


class TestConnections:
    async def test_those_that_have_ended_are_freed_without_the_garbage_collector(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        leader = await cluster.leader()
        made: list[weakref.ref[FaultyConnection]] = []
        make = FaultyConnection.__init__

        def remember(self: FaultyConnection, *arguments: Any, **more: Any) -> None:
            made.append(weakref.ref(self))
            make(self, *arguments, **more)

        monkeypatch.setattr(FaultyConnection, "__init__", remember)
        gc.disable()
        try:
            for request in (WRITE, STALE, {"op": "nothing"}):
                await cluster.ask(leader, request)
            ended = await cluster.connect(leader)
            ended.send(WRITE)
            ended.connection.shut()
            await ended.replies(1)
            broken = await cluster.connect(leader)
            broken.send(STALE)
            await broken.replies(1)
            broken.connection.break_off()
            await trio.sleep(5)
        finally:
            gc.enable()
        assert len(made) == 5
        assert [one for one in made if one() is not None] == []

    @pytest.mark.parametrize(("way", "gets_through"), [("to", False), ("from", True)])
    async def test_no_end_of_one_gets_through_a_cut(self, way: Way, gets_through: bool) -> None:
        faults, inner, beneath = Faults(0, lambda: 0.0), Inner(), SocketHub()
        hub = FaultyHub(beneath, faults, Drawn(()))
        connection = FaultyConnection(hub, cast(Connection, inner), dialled=True)
        connection.send(encode_peer(PeerHello((2, 2), None, 0, 1, "a folder", 1, "run", 0, 0, [], None)))
        faults.obey(Fault(kind="cut", nodes=[1], way=way), PEERS)
        connection.close()
        assert inner.ends == gets_through
        faults.obey(Fault(heal=True), PEERS)
        assert inner.ends == 1
        beneath.close()

    async def test_a_cut_link_costs_no_turns_and_leaves_no_connections_open(self, cluster: Cluster) -> None:
        leader = await cluster.leader()
        far = (leader + 1) % 3
        driver = cluster.nodes[far].driver
        assert driver is not None
        before = len(cluster.nodes[far].hub.connections)
        await fault(cluster, far, kind="cut", nodes=[node for node in range(3) if node != far])
        await trio.sleep(10)
        turns: list[int] = []
        turn, driver.turn = driver.turn, lambda: (turns.append(1), turn())[1]  # type: ignore[method-assign, func-returns-value]
        await trio.sleep(60)
        assert len(turns) < 60 * 200
        assert len(cluster.nodes[far].hub.connections) <= 2 * before
        await heal(cluster)
        await trio.sleep(3)
        assert len(cluster.nodes[far].hub.connections) <= before + 1


class Drawn:
    """Randomness that is chosen."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = iter(numbers)

    def randrange(self, _: int, __: int) -> int:
        return next(self._numbers)


class TestTheOrderOnALink:
    def lane(self, faults: Faults, *drawn: int) -> tuple[_Lane, list[Piece]]:
        """The way to node 1, and what it delivers. What is drawn below the share of a loss is lost."""
        delivered: list[Piece] = []
        return _Lane(faults, Drawn(drawn), 1, "to", math.inf, delivered.append), delivered

    @pytest.mark.parametrize(
        "fault", [Fault(kind="cut", nodes=[1]), Fault(kind="slow", nodes=[1], ms=400)], ids=lambda fault: fault.kind
    )
    def test_what_is_sent_once_a_fault_is_healed_waits_for_what_is_held(self, fault: Fault) -> None:
        faults = Faults(0, lambda: 0.0)
        lane, delivered = self.lane(faults)
        faults.obey(fault, PEERS)
        lane.carry(b"1", 0.0)
        faults.obey(Fault(heal=True), PEERS)
        lane.carry(b"2", 0.1)
        lane.carry(b"3", 0.1)
        assert delivered == []
        lane.release(0.1)
        assert delivered == [b"1", b"2", b"3"]
        assert lane.bytes == 0
        lane.carry(b"4", 0.1)
        assert delivered[3:] == [b"4"]

    def test_what_is_lost_comes_later_and_nothing_is_missing(self) -> None:
        faults = Faults(0, lambda: 0.0)
        lane, delivered = self.lane(faults, 99, 0, 99, 99)
        faults.obey(Fault(kind="drop", nodes=[1], percent=20), PEERS)
        for piece in (b"1", b"2", b"3"):
            lane.carry(piece, 0.0)
        lane.release(0.1)
        assert delivered == [b"1"]
        assert lane.next_due == RESEND_SECONDS
        lane.release(RESEND_SECONDS)
        assert delivered == [b"1", b"2", b"3"]

    def test_what_is_lost_each_time_breaks_the_connection_and_nothing_behind_it_comes(self) -> None:
        faults = Faults(0, lambda: 0.0)
        lane, delivered = self.lane(faults, *[0] * 20)
        faults.obey(Fault(kind="drop", nodes=[1], percent=20), PEERS)
        lane.carry(b"1", 0.0)
        lane.carry(b"2", 0.0)
        lane.release(60.0)
        assert delivered == []
        assert lane.breaks_at == SILENT_SECONDS


class TestRefused:
    @pytest.mark.parametrize("allowed", [False, True])
    def test_a_node_can_be_broken_only_where_its_options_say_so(self, tmp_path: Path, allowed: bool) -> None:
        servers = ["127.0.0.1:1"]
        options = NodeOptions(0, [parse_address(servers[0])], tmp_path / "data", allow_faults=allowed)
        hub = SocketHub()
        writer, background = WorkerThread(hub.wake), WorkerThread(hub.wake, patience=0)
        folder = DataFolder.open(options.data_dir, 0)
        try:
            driver = _open(options, folder, hub, writer, background, servers)
            assert isinstance(driver.hub, FaultyHub) == allowed
            assert (driver.hub is hub) != allowed
        finally:
            folder.close()
            writer.close()
            background.close()
            hub.close()

    @pytest.mark.usefixtures("virtual_time")
    async def test_by_a_node_that_was_not_started_so(self, nursery: trio.Nursery) -> None:
        cluster = Cluster(nursery, seed=1)
        for node in cluster.nodes:
            node.start()
        await cluster.leader()
        for asked in ({"op": "fault"}, {"op": "fault", "kind": "disk"}, {"op": "fault", "heal": True}):
            [reply] = await cluster.ask(0, asked)
            assert reply["error"]["code"] == "bad_request"
            assert "--allow-faults" in reply["error"]["hint"]
        assert (await cluster.ask(0, WRITE))[0]["ok"]

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"kind": "cut"}, "has 'nodes'"),
            ({"kind": "cut", "nodes": []}, "has 'nodes'"),
            ({"kind": "cut", "nodes": [-1]}, "at least 0"),
            ({"kind": "cut", "nodes": [1], "ms": 5}, "'ms' is for faults of the kind slow"),
            ({"kind": "cut", "nodes": [1], "way": "up"}, "'way' cannot be 'up'"),
            ({"kind": "fire", "nodes": [1]}, "'kind' cannot be 'fire'"),
            ({"kind": "slow", "nodes": [1]}, "a fault of the kind slow has 'ms'"),
            ({"kind": "slow", "nodes": [1], "ms": 0}, "at least 1"),
            ({"kind": "slow", "nodes": [1], "ms": 60_001}, "at most 60000"),
            ({"kind": "slow", "nodes": [1], "ms": 1.5}, "'ms' must be a whole number"),
            ({"kind": "slow", "nodes": [1], "ms": 5, "percent": 5}, "'percent' is for faults of the kind drop"),
            ({"kind": "drop", "nodes": [1]}, "a fault of the kind drop has 'percent'"),
            ({"kind": "drop", "nodes": [1], "percent": 101}, "at most 100"),
            ({"kind": "disk", "nodes": [1]}, "are for faults of links"),
            ({"kind": "disk", "way": "to"}, "are for faults of links"),
            ({"kind": "disk", "ms": 5}, "'ms' is for faults of the kind slow"),
            ({"kind": "disk", "for_ms": 0}, "at least 1"),
            ({"kind": "disk", "for_ms": 10**30}, "'for_ms'"),
            ({"nodes": [1]}, "are for faults of links"),
            ({"way": "to"}, "are for faults of links"),
            ({"for_ms": 5}, "'for_ms' is for a fault that is set"),
            ({"heal": True, "for_ms": 5}, "'for_ms' is for a fault that is set"),
            ({"heal": True, "kind": "slow", "ms": 5}, "'ms' is for faults of the kind slow"),
            ({"heal": True, "nodes": []}, "has 'nodes'"),
            ({"heal": True, "kind": "disk", "nodes": [1]}, "are for faults of links"),
        ],
        ids=str,
    )
    def test_as_a_wrong_request(self, fields: dict[str, object], message: str) -> None:
        with pytest.raises(RequestError, match=re.escape(message)) as refused:
            parse_request(encode({"op": "fault", **fields}))
        assert refused.value.code == "bad_request"


class TestTheSwitch:
    def test_it_has_one_fault_of_a_kind_for_each_way_and_shows_them_in_order(self) -> None:
        faults = Faults(0, lambda: 0.0)
        faults.obey(Fault(kind="cut", nodes=[2, 1, 2]), PEERS)
        faults.obey(Fault(kind="slow", nodes=[1], way="to", ms=5), PEERS)
        faults.obey(Fault(kind="slow", nodes=[1], way="to", ms=7), PEERS)
        assert faults.obey(Fault(kind="disk"), PEERS) == [
            {"kind": "disk"},
            {"kind": "cut", "node": 1, "way": "to"},
            {"kind": "cut", "node": 1, "way": "from"},
            {"kind": "slow", "node": 1, "way": "to", "ms": 7},
            {"kind": "cut", "node": 2, "way": "to"},
            {"kind": "cut", "node": 2, "way": "from"},
        ]
        weather = faults.weather(1, "to")
        assert (weather.is_cut, weather.delay, weather.loss) == (True, 0.007, 0)
        assert faults.weather(3, "to") is FAIR

    @pytest.mark.parametrize(
        ("heal", "left"),
        [
            ({}, set()),
            ({"kind": "disk"}, {"cut1to", "cut1from", "slow2to", "cut2to"}),
            ({"kind": "cut"}, {"disk", "slow2to"}),
            ({"nodes": [2]}, {"disk", "cut1to", "cut1from"}),
            ({"kind": "cut", "nodes": [2]}, {"disk", "cut1to", "cut1from", "slow2to"}),
            ({"way": "from"}, {"disk", "cut1to", "slow2to", "cut2to"}),
            ({"nodes": [9]}, {"disk", "cut1to", "cut1from", "slow2to", "cut2to"}),
        ],
        ids=["all", "disk", "cut", "of 2", "cut of 2", "from", "of 9"],
    )
    def test_it_heals_what_is_named_alone(self, heal: dict[str, Any], left: set[str]) -> None:
        faults = Faults(0, lambda: 0.0)
        for one in (
            Fault(kind="cut", nodes=[1]),
            Fault(kind="slow", nodes=[2], way="to", ms=1),
            Fault(kind="cut", nodes=[2], way="to"),
            Fault(kind="disk"),
        ):
            faults.obey(one, PEERS)
        rows = faults.obey(Fault(heal=True, **heal), PEERS)
        assert {f"{row['kind']}{row.get('node', '')}{row.get('way', '')}" for row in rows} == left

    @pytest.mark.parametrize(("node", "message"), [(0, "this is node 0"), (7, "has no peer 7")])
    def test_it_refuses_itself_and_strangers_and_changes_nothing_then(self, node: int, message: str) -> None:
        faults = Faults(0, lambda: 0.0)
        with pytest.raises(FaultRefused, match=message):
            faults.obey(Fault(kind="cut", nodes=[1, node]), PEERS)
        assert faults.obey(Fault(), PEERS) == []

    @pytest.mark.parametrize("way", ["to", "from"])
    def test_a_dial_needs_both_ways(self, way: Way) -> None:
        faults = Faults(0, lambda: 0.0)
        faults.obey(Fault(kind="cut", nodes=[1], way=way), PEERS)
        assert [faults.reaches(address) for address in (*PEERS.values(), "stranger:1")] == [False, True, True]

    def test_what_has_a_time_ends_with_it(self) -> None:
        now = [0.0]
        told: list[float] = []
        faults = Faults(0, lambda: now[0])
        faults.on_change.append(lambda: told.append(now[0]))
        faults.obey(Fault(kind="cut", nodes=[1], for_ms=500), PEERS)
        faults.obey(Fault(kind="disk", for_ms=700), PEERS)
        assert not faults.reaches("b:1")
        assert faults.next_end == 0.5
        now[0] = 0.5
        faults.expire()
        assert faults.reaches("b:1")
        assert faults.disk_is_paused
        now[0] = 0.7
        assert faults.obey(Fault(), PEERS) == []
        assert not faults.disk_is_paused
        assert faults.next_end == math.inf
        assert told == [0.0, 0.0, 0.5, 0.7]
