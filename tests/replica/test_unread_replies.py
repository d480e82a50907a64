"""Clients that ask and do not read: whatever they ask for, the memory kept for them is bounded."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from trioraft.replica.session import MAX_UNANSWERED, MAX_UNANSWERED_BYTES
from trioraft.server.driver import Driver
from trioraft.wire.codec import decode, encode
from trioraft.wire.operations import OPERATIONS
from trioraft.wire.replies import Piece

from ..helpers.virtual_cluster import Client, Cluster

LARGE = "x" * 3_000_000
MAX_REQUEST_BYTES = 8 * 1024 * 1024
MANY = 4
VARIED: dict[str, dict[str, object]] = {
    "get": {"key": "large"},
    "put": {"key": "large", "value": 1, "if_rev": 1},
    "delete": {"key": "large", "if_rev": 1},
    "incr": {"key": "large"},
    "scan": {"prefix": ""},
    "remove_member": {"member": 99},
    "promote_member": {"member": 99},
    "transfer_leadership": {"target": 99},
    "add_member": {"address": "node:1"},
}
"""Fields that turn the examples into requests that change nothing, with the largest possible replies."""
SHARED = {"get", "put", "delete", "incr", "scan", "show_log"}
"""Operations whose replies share the large value: many replies cost no more than one."""
COPIED = {"read_snapshot"}
"""Operations whose replies are read from the disk for each client."""


def held_by(driver: Driver) -> dict[int, int]:
    """The unsent memory that the node keeps for clients: each piece, and its size in bytes."""
    held: dict[int, int] = {}
    for client in driver.clients:
        for slot in client._session._slots:
            pieces: list[Piece] = slot.reply if isinstance(slot.reply, list) else [slot.reply or b""]
            for piece in pieces:
                whole: Any = piece.obj if isinstance(piece, memoryview) else piece
                held[id(whole)] = len(whole)
    return held


async def prepared(cluster: Cluster) -> tuple[Driver, dict[str, dict[str, object]]]:
    """Put a large value into the leader's state, log and snapshot. Return the leader, and how the last two are read."""
    driver = cluster.nodes[await cluster.leader()].driver
    assert driver is not None
    driver.max_request_bytes = MAX_REQUEST_BYTES
    await cluster.ask(driver.node, {"op": "put", "key": "large", "value": LARGE})
    (snapshot,) = await cluster.ask(driver.node, {"op": "snapshot"})
    (put,) = await cluster.ask(driver.node, {"op": "put", "key": "large", "value": LARGE + "y"})
    of_snapshot = {"index": snapshot["index"]}
    (start,) = await cluster.ask(driver.node, {"op": "read_snapshot", **of_snapshot})
    of_snapshot["offset"] = len(str(start["data"]))  # the large value is in the next line
    return driver, {"read_snapshot": of_snapshot, "show_log": {"from": put["rev"]}}


async def asking(cluster: Cluster, driver: Driver, request: dict[str, object], count: int) -> list[Client]:
    """Make clients that have asked that as often as allowed, and got every reply that they ever get."""
    clients = [await cluster.connect(driver.node) for _ in range(count)]
    for client in clients:
        client.connection.pause()
        client.connection.send((encode(request) + b"\n") * (MAX_UNANSWERED - 1))
    await trio.sleep(0.5)
    return clients


async def test_what_is_kept_for_clients_that_do_not_read_is_bounded(cluster: Cluster) -> None:
    driver, where = await prepared(cluster)
    largest = len(LARGE) + 1000
    for operation in sorted(OPERATIONS, key="snapshot".__eq__):  # last, as it takes what others ask for
        example = decode(OPERATIONS[operation].example.encode())
        request = {**example, **VARIED.get(operation, {}), **where.get(operation, {})}
        clients = await asking(cluster, driver, request, 1)
        one = sum(held_by(driver).values())
        assert one <= MAX_UNANSWERED_BYTES + largest, operation
        clients += await asking(cluster, driver, request, MANY - 1)
        many = sum(held_by(driver).values())
        if operation in COPIED:
            assert many <= MANY * (MAX_UNANSWERED_BYTES + largest), operation
        elif operation in SHARED:
            assert many <= 2 * largest, operation
        else:
            assert many <= MANY * MAX_UNANSWERED_BYTES, operation
        for client in clients:
            client.connection.other.break_off()
        await trio.sleep(0.1)


async def test_conflicts_with_ever_another_large_value_wait_for_room(cluster: Cluster) -> None:
    driver, _ = await prepared(cluster)
    client = await cluster.connect(driver.node)
    client.connection.pause()
    for number in range(6):
        await cluster.ask(driver.node, {"op": "put", "key": "large", "value": LARGE + str(number)})
        client.send({"op": "incr", "key": "large"})
        await trio.sleep(0.1)
    assert sum(held_by(driver).values()) < MAX_UNANSWERED_BYTES + 2 * len(LARGE)
    client.connection.resume()
    replies: list[Any] = await client.replies(6)
    assert [reply["error"]["code"] for reply in replies] == ["conflict"] * 6


async def test_long_entries_that_differ_wait_for_room_before_they_are_shown(cluster: Cluster) -> None:
    driver, _ = await prepared(cluster)
    puts: list[dict[str, object]] = [{"op": "put", "key": "large", "value": LARGE + str(n)} for n in range(4)]
    (*_, last) = [(await cluster.ask(driver.node, put))[0]["rev"] for put in puts]
    assert isinstance(last, int)
    client = await cluster.connect(driver.node)
    client.connection.pause()
    client.send(*[{"op": "show_log", "from": index, "limit": 1} for index in range(last - 3, last + 1)])
    await trio.sleep(0.5)
    assert sum(held_by(driver).values()) < MAX_UNANSWERED_BYTES + len(LARGE)
    client.connection.resume()
    replies: list[Any] = await client.replies(4)
    assert [reply["entries"][0]["command"] for reply in replies] == puts


@pytest.mark.parametrize(("limit", "start"), [(1, None), (2, None), (1000, None), (1000, 3), (1, 3)])
async def test_the_newest_of_a_log_are_shown_whatever_their_size(
    cluster: Cluster, limit: int, start: int | None
) -> None:
    driver, _ = await prepared(cluster)
    puts: list[dict[str, object]] = [{"op": "put", "key": "k", "value": "x" * size} for size in (1, 10_000, 300_000, 2)]
    await cluster.ask(driver.node, *puts)
    last = driver.replica.core.last_index
    asked: dict[str, object] = {"op": "show_log", "limit": limit}
    if start is not None:
        asked["from"] = start
    replies: list[Any] = await cluster.ask(driver.node, asked)
    entries = replies[0]["entries"]
    if start is None:
        shown = min(limit, 4)  # the one before them is as long as a reply may be
        assert [entry["index"] for entry in entries] == list(range(last - shown + 1, last + 1))
        assert [entry["command"] for entry in entries] == puts[-shown:]
        assert not replies[0]["more"]
    else:
        assert len(entries) == 1
        assert entries[0]["command"] == {"op": "put", "key": "large", "value": LARGE + "y"}
        assert replies[0]["more"]
    assert all(entry["committed"] and entry["applied"] for entry in entries)
