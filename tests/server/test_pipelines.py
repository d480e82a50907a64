"""Random legal requests on one connection, cut anywhere: all are answered in order, and no node ends."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
import trio

from trioraft.testing.history import History
from trioraft.testing.linearizability import check
from trioraft.testing.pipelines import ONE_OF, Exchange, Pipelines
from trioraft.wire.operations import OPERATIONS

from ..helpers.virtual_cluster import Client, Cluster

REQUESTS = 60


class Scene:
    """Requests that leave the members as they are, so that the cluster lives."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._values = 0

    def key(self, op: str) -> str:
        del op
        return f"key {self._random.randrange(5)}"

    def value(self) -> bytes:
        self._values += 1
        return b"%d" % self._values

    def rev(self, key: str) -> int:
        return len(key)

    def snapshot(self) -> int:
        return self._random.randrange(50)

    def address(self) -> str:
        return f"new:{self._random.randint(1, 9)}"

    def removable(self) -> int:
        return self._random.randint(3, 9)

    def target(self) -> int:
        return self._random.randrange(3)


def plainest(op: str) -> dict[str, Any]:
    """A request of that operation without optional fields."""
    needed = {field.encode_name for field in msgspec.structs.fields(OPERATIONS[op].request) if field.required}
    needed.update(ONE_OF.get(op, ()))
    asked = Pipelines(Random(1), Scene(Random(1))).request(op)
    if op == "txn":
        asked["then"] = [{"op": "put", "key": "a", "value": 1}]  # without it, it would be a read
    return {name: value for name, value in asked.items() if name == "op" or name in needed}


async def _speak(client: Client, random: Random, history: History) -> None:
    """Send requests in pieces that end anywhere, and check that each is answered in its place."""
    pipelines = Pipelines(random, Scene(random))
    exchange = Exchange(random.randrange(1000), history)
    requests = pipelines.draw(REQUESTS)
    for asked in requests:
        exchange.ask(asked, trio.current_time())
    ends = random.random() < 0.5
    for piece in pipelines.cut(pipelines.lines(requests, ends)):
        client.connection.send(piece)
        await trio.sleep(random.choice([0, 0.001, 0.05]))
    if ends:
        client.connection.shut()
    with trio.fail_after(120):
        taken = 0
        while exchange.waiting:
            lines = client.lines.split(b"\n")[:-1]
            for line in lines[taken:]:
                exchange.take(line, trio.current_time())
            taken = len(lines)
            if client.ended or not exchange.waiting:
                break
            await client.news.wait()
            client.news = trio.Event()
    assert not exchange.waiting
    if ends and not (exchange.streams.open or exchange.streams.nameless):
        with trio.fail_after(5):
            while not client.ended:
                await client.news.wait()
                client.news = trio.Event()


@pytest.mark.parametrize("op", OPERATIONS)
async def test_every_operation_may_stand_before_a_write(cluster: Cluster, op: str) -> None:
    leader = await cluster.leader()
    first = Pipelines(Random(1), Scene(Random(1))).request(op)
    replies = await cluster.ask(leader, first, {"op": "put", "key": "a", "value": 1})
    assert len(replies) == 2
    assert replies[1]["ok"]


@pytest.mark.parametrize("seed", range(8))
async def test_random_pipelines_are_answered_in_order_through_every_node(cluster: Cluster, seed: int) -> None:
    await cluster.leader()
    random = Random(seed)
    history = History()
    async with trio.open_nursery() as nursery:
        for index in range(3):
            client = await cluster.connect(index)
            nursery.start_soon(_speak, client, random, history)
    await cluster.leader()
    assert check(history.operations).outcome == "linearizable"


@pytest.mark.parametrize("through", [0, 1])
async def test_what_follows_a_change_finds_it_done_though_a_write_follows(cluster: Cluster, through: int) -> None:
    node = (await cluster.leader() + through) % 3
    put: dict[str, object] = {"op": "put", "key": "a", "value": 1}
    add: dict[str, object] = {"op": "add_member", "address": "new:1"}
    replies = await cluster.ask(node, put, add, {"op": "members"}, put, {"op": "get", "key": "a"}, put)
    assert replies[1]["member"]["id"] == 3
    assert replies[2]["next_id"] == 4
    assert replies[4]["rev"] == replies[3]["rev"]
    revs = [reply["rev"] for reply in (replies[0], replies[3], replies[5])]
    assert revs[1] > revs[0] + 1, "the change is between them"
    assert revs[2] == revs[1] + 1


@pytest.mark.parametrize("through", [0, 1])
async def test_a_snapshot_holds_what_was_written_before_it_and_is_read_behind_it(
    cluster: Cluster, through: int
) -> None:
    node = (await cluster.leader() + through) % 3
    put: dict[str, object] = {"op": "put", "key": "a", "value": 1}
    snapshot: dict[str, object] = {"op": "snapshot"}
    replies = await cluster.ask(node, put, snapshot, {"op": "read_snapshot", "index": 2}, put, snapshot)
    assert (replies[0]["rev"], replies[1]["index"]) == (2, 2)
    assert replies[2]["done"]
    assert (replies[3]["rev"], replies[4]["index"]) == (3, 3)


async def test_a_write_behind_what_fails_at_once_is_done_once(cluster: Cluster) -> None:
    await cluster.leader()
    for node in cluster.nodes:
        node.crash()
    for node in cluster.nodes:
        node.start()
    put: dict[str, object] = {"op": "put", "key": "a", "value": 1}
    replies = await cluster.ask(0, {"op": "snapshot"}, put, {"op": "get", "key": "a"})
    assert not replies[0]["ok"], "nothing has been applied yet"
    assert replies[2]["version"] == 1


async def test_a_write_behind_what_takes_too_long_goes_on_and_had_no_effect_before(cluster: Cluster) -> None:
    leader = await cluster.leader()
    client = await cluster.connect(leader)
    for node in cluster.nodes:
        if node.index != leader:
            node.crash()
    add: dict[str, object] = {"op": "add_member", "address": "new:1", "timeout_ms": 300}
    client.send(
        add, {"op": "put", "key": "a", "value": 1, "timeout_ms": 100}, add, {"op": "put", "key": "b", "value": 1}
    )
    replies = await client.replies(4)
    assert [reply["ok"] for reply in replies] == [False] * 4
    assert replies[0]["error"]["applied"] == "unknown"
    assert (replies[1]["error"]["code"], replies[1]["error"]["applied"]) == ("timeout", "no")


@pytest.mark.parametrize("op", ["put", "get", "add_member", "remove_member", "promote_member", "transfer_leadership"])
async def test_every_request_keeps_to_its_time(cluster: Cluster, op: str) -> None:
    leader = await cluster.leader()
    follower = (leader + 1) % 3
    client = await cluster.connect(follower)
    for node in cluster.nodes:
        if node.index != follower:
            node.crash()
    began = trio.current_time()
    client.send({**plainest(op), "timeout_ms": 300}, {"op": "get", "key": "a", "read": "stale", "timeout_ms": 200})
    replies = await client.replies(2)
    assert trio.current_time() - began < 1
    assert replies[0]["error"]["code"] == "timeout"
    assert ("applied" in replies[0]["error"]) == (op != "get")
    assert replies[1]["error"]["code"] == "timeout"


async def test_a_snapshot_of_nothing_is_refused_at_once(cluster: Cluster) -> None:
    await cluster.leader()
    for node in cluster.nodes:
        node.crash()
    await trio.sleep(1)
    cluster.nodes[0].start()
    await trio.sleep(1)
    [reply] = await cluster.ask(0, {"op": "snapshot"})
    assert reply["error"]["code"] == "no_quorum"
    assert "nothing has been applied" in reply["error"]["message"]


async def test_a_piece_of_a_snapshot_begins_where_a_character_does(cluster: Cluster) -> None:
    leader = await cluster.leader()
    put, taken = await cluster.ask(leader, {"op": "put", "key": "k", "value": "é"}, {"op": "snapshot"})
    assert put["ok"]
    ask = {"op": "read_snapshot", "index": taken["index"], "id": 7}
    [whole] = await cluster.ask(leader, ask)
    assert isinstance(whole["data"], str)
    inside = whole["data"].encode().index("é".encode()) + 1
    first, wrong, last = await cluster.ask(leader, *[ask | {"offset": inside + step} for step in (-1, 0, 1)])
    assert str(first["data"]).startswith("é")
    assert (wrong["id"], wrong["error"]["code"]) == (7, "bad_request")
    assert last["ok"]
