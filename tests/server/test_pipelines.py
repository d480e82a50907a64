"""Any legal requests, in any company on one connection, cut anywhere: all are answered in order, and no node ends."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
import trio

from trioraft.wire.codec import decode, encode
from trioraft.wire.requests import EXAMPLES

from .virtual_cluster import Client, Cluster

REQUESTS = 60
KEYS = [f"key {number}" for number in range(5)]


def _read(random: Random) -> dict[str, object]:
    return {"read": random.choice(["linearizable", "stale"])}


FIELDS: dict[str, Callable[[Random], dict[str, object]]] = {
    "get": lambda random: {"key": random.choice(KEYS), **_read(random)},
    "put": lambda random: {"key": random.choice(KEYS), "value": random.randrange(100)},
    "delete": lambda random: {"key": random.choice(KEYS)},
    "scan": lambda random: {"prefix": "key", "limit": random.randint(1, 9), **_read(random)},
    "incr": lambda random: {"key": random.choice(KEYS)},
    "status": lambda _: {},
    "show_log": lambda random: {"limit": random.randint(1, 20)},
    "ping": lambda _: {},
    "help": lambda _: {},
    "hello": lambda _: {},
    "members": lambda _: {},
    # The members of the cluster itself stay: it is to live.
    "add_member": lambda random: {"address": f"new:{random.randint(1, 9)}", "learner": random.random() < 0.5},
    "remove_member": lambda random: {"member": random.randint(3, 9)},
    "promote_member": lambda random: {"member": random.randint(3, 9)},
    "transfer_leadership": lambda random: {"target": random.randrange(3)},
    "snapshot": lambda _: {},
    "read_snapshot": lambda random: {"index": random.randrange(50)},
}
"""What a legal request of each operation has; a new operation is to be added."""


def _pipeline(random: Random) -> list[dict[str, object]]:
    operations = random.choices(list(FIELDS), k=REQUESTS)
    return [{"id": number, "op": op, **FIELDS[op](random)} for number, op in enumerate(operations)]


async def _speak(client: Client, random: Random, requests: list[dict[str, object]]) -> None:
    """Send the requests in pieces that end anywhere, and see each answered in its place."""
    rest = b"".join(encode(request) + b"\n" for request in requests)
    while rest:
        size = random.choice([1, 7, 50, 400, 5000])
        client.connection.send(rest[:size])
        rest = rest[size:]
        await trio.sleep(random.choice([0, 0.001, 0.05]))
    with trio.fail_after(120):
        while client.lines.count(b"\n") < len(requests) and not client.ended:
            await client.news.wait()
            client.news = trio.Event()
    replies = [decode(line) for line in client.lines.splitlines()]
    assert [reply["id"] for reply in replies] == [request["id"] for request in requests]


def test_each_operation_there_is_has_its_requests() -> None:
    assert set(FIELDS) == set(EXAMPLES)


@pytest.mark.parametrize("op", EXAMPLES)
async def test_every_operation_may_stand_before_a_write(cluster: Cluster, op: str) -> None:
    leader = await cluster.leader()
    first: dict[str, object] = {"op": op, **FIELDS[op](Random(1))}
    replies = await cluster.ask(leader, first, {"op": "put", "key": "a", "value": 1})
    assert len(replies) == 2
    assert replies[1]["ok"]


@pytest.mark.parametrize("seed", range(5))
async def test_random_pipelines_are_answered_in_order_through_every_node(cluster: Cluster, seed: int) -> None:
    await cluster.leader()
    random = Random(seed)
    async with trio.open_nursery() as nursery:
        for index in range(3):
            client = await cluster.connect(index)
            nursery.start_soon(_speak, client, random, _pipeline(random))
    await cluster.leader()


@pytest.mark.parametrize("op", ["put", "get", "add_member", "remove_member", "promote_member", "transfer_leadership"])
async def test_every_request_keeps_to_its_time(cluster: Cluster, op: str) -> None:
    leader = await cluster.leader()
    follower = (leader + 1) % 3
    client = await cluster.connect(follower)
    for node in cluster.nodes:
        if node.index != follower:
            node.crash()
    began = trio.current_time()
    fields = {**FIELDS[op](Random(1)), **({"read": "linearizable"} if op == "get" else {})}
    client.send({"op": op, "timeout_ms": 300, **fields}, {"op": "get", "key": "a", "read": "stale", "timeout_ms": 200})
    replies = await client.replies(2)
    assert trio.current_time() - began < 1
    assert replies[0]["error"]["code"] == "timeout"  # type: ignore[index]
    assert ("applied" in replies[0]["error"]) == (op != "get")  # type: ignore[operator]
    assert replies[1]["error"]["code"] == "timeout"  # type: ignore[index]


async def test_a_snapshot_of_nothing_is_refused_at_once(cluster: Cluster) -> None:
    await cluster.leader()
    for node in cluster.nodes:
        node.crash()
    await trio.sleep(1)
    cluster.nodes[0].start()
    await trio.sleep(1)
    [reply] = await cluster.ask(0, {"op": "snapshot"})
    assert reply["error"]["code"] == "no_quorum"  # type: ignore[index]
    assert "nothing has been applied" in reply["error"]["message"]  # type: ignore[index]
