"""The merging of requests that come on many connections at once."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from trioraft.replica.session import MAX_UNANSWERED_BYTES
from trioraft.server import gathering
from trioraft.server.gathering import FEW, MANY, Merged
from trioraft.testing.network import MemoryConnection
from trioraft.wire.codec import encode

from ..helpers.virtual_cluster import Client, Cluster

AWAY = pytest.mark.parametrize("away", [0, 1])
"""How far the asked node is from the leader: 0 is the leader, which carries requests out; others forward them."""


@pytest.fixture
def merged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For each merge, the number of clients whose requests were merged."""
    sizes: list[int] = []

    class Counted(Merged):
        def __init__(self, host: Any, some: Sequence[Any], *asked: Any) -> None:
            sizes.append(len(some))
            super().__init__(host, some, *asked)

    monkeypatch.setattr(gathering, "Merged", Counted)
    return sizes


async def connected(cluster: Cluster, index: int, count: int) -> list[Client]:
    """Connect that many clients, which the node knows to be no peers."""
    some = [await cluster.connect(index) for _ in range(count)]
    for client in some:
        client.send({"op": "ping"})
    for client in some:
        await client.replies(1)
        client.lines = b""
    return some


def put(id: int, value: object = None) -> dict[str, object]:
    return {"id": id, "op": "put", "key": f"k{id}", "value": id if value is None else value}


def get(id: int) -> dict[str, object]:
    return {"id": id, "op": "get", "key": f"k{id}"}


class Standstill:
    """Freeze the other nodes, so that nothing that this node is asked is committed or confirmed."""

    def __init__(self, cluster: Cluster, asked: int) -> None:
        self._others = [node.hub for node in cluster.nodes if node.index != asked]

    def __enter__(self) -> None:
        for hub in self._others:
            hub.freeze()

    def __exit__(self, *_: object) -> None:
        for hub in self._others:
            hub.thaw()


@AWAY
async def test_each_gets_its_own_reply(cluster: Cluster, merged: list[int], away: int) -> None:
    some = await connected(cluster, (await cluster.leader() + away) % 3, 3 * MANY)
    for number, client in enumerate(some):
        client.send(put(number))
    for number, client in enumerate(some):
        [reply] = await client.replies(1)
        assert (reply["id"], reply["ok"]) == (number, True)
        client.lines = b""
        client.send(get(number))
    for number, client in enumerate(some):
        [reply] = await client.replies(1)
        assert (reply["id"], reply["value"], reply["version"]) == (number, number, 1)
    assert merged == [MANY] * 6


@AWAY
async def test_who_asks_several_at_once_gets_all_its_replies(cluster: Cluster, merged: list[int], away: int) -> None:
    some = await connected(cluster, (await cluster.leader() + away) % 3, MANY)
    for ask in (put, get):
        for number, client in enumerate(some):
            client.lines = b""
            client.send(*[ask(100 * number + more) for more in range(1 + number % 7)])
        for number, client in enumerate(some):
            replies = await client.replies(1 + number % 7)
            assert [reply["id"] for reply in replies] == [100 * number + more for more in range(1 + number % 7)]
            assert all(reply["ok"] and reply.get("value", reply["id"]) == reply["id"] for reply in replies)
    assert merged == [MANY, MANY]


async def test_requests_of_few_are_not_merged(cluster: Cluster, merged: list[int]) -> None:
    some = await connected(cluster, await cluster.leader(), FEW - 1)
    for number, client in enumerate(some):
        client.send(put(number))
    for client in some:
        assert (await client.replies(1))[0]["ok"]
    assert not merged


async def test_who_asks_for_more_than_is_allowed_is_told_so_also_among_many(
    cluster: Cluster, merged: list[int]
) -> None:
    index = await cluster.leader()
    driver = cluster.nodes[index].driver
    assert driver is not None
    driver.max_request_bytes = 1024
    some = await connected(cluster, index, 2 * FEW)
    for number, client in enumerate(some):
        client.send(put(number, "x" * (2000 if number < FEW else 500)))
    for number, client in enumerate(some):
        [reply] = await client.replies(1)
        assert reply["ok"] == (number >= FEW)
        assert reply["ok"] or reply["error"]["code"] == "line_too_long"
    assert merged == [FEW]


async def test_who_has_more_under_way_asks_alone(cluster: Cluster, merged: list[int]) -> None:
    leader = await cluster.leader()
    some = await connected(cluster, leader, FEW + 2)
    with Standstill(cluster, leader):
        some[0].send({"id": "first", "op": "incr", "key": "k"})
        some[1].connection.send(b'{"id":"half","key":')
        await trio.sleep(0.01)
        for number, client in enumerate(some):
            client.send(put(number))
        await trio.sleep(0.01)
    replies = await some[0].replies(2)
    assert [(reply["id"], reply["ok"]) for reply in replies] == [("first", True), (0, True)]
    [reply] = await some[1].replies(1)
    assert not reply["ok"]
    for number, client in enumerate(some[2:], 2):
        [reply] = await client.replies(1)
        assert (reply["id"], reply["ok"]) == (number, True)
    assert merged == [FEW]


async def test_other_requests_among_them_are_answered_as_ever(cluster: Cluster, merged: list[int]) -> None:
    lines = [
        b'{"id":0,"op":"put","key":"a","value":{"nested":[1]}}\n',
        b'{"id":1,"op":"put","key":"a","value":2,"if_rev":0}\n',
        b'{"id":2,"op":"put","key":"a"}\n',
        b'{"id":3,"op":"put","key":"b","value":"put"}\r\n',
        b'{"id":4,"op":"get","key":"put"}\n',
        b'{"id":5,"op":"incr","key":"c"}\n',
        b"ping\n",
        b'{"id":7,"op":"put","key":"d","value":1}\n{"id":8,"op":"get","key":"d"}\n',
        b'\n{"id":9,"op":"get","key":"e"}\n',
    ]
    some = await connected(cluster, await cluster.leader(), len(lines))
    for client, line in zip(some, lines, strict=True):
        client.connection.send(line)
    said = [await client.replies(line.count(b'"op"') or 1) for client, line in zip(some, lines, strict=True)]
    assert [[reply["ok"] for reply in replies] for replies in said] == [
        [True],
        [False],
        [False],
        [True],
        [True],
        [True],
        [True],
        [True, True],
        [True],
    ]
    assert [[reply["id"] for reply in replies] for replies in said[:6]] == [[0], [1], [2], [3], [4], [5]]
    assert said[7][1]["value"] == 1
    assert not merged


@AWAY
async def test_what_a_client_asks_next_comes_after(cluster: Cluster, merged: list[int], away: int) -> None:
    index = (await cluster.leader() + away) % 3
    some = await connected(cluster, index, FEW)
    stale = {**get(0), "read": "stale"}
    with Standstill(cluster, index):
        for number, client in enumerate(some):
            client.send(put(number))
        await trio.sleep(0.01)
        some[0].send(stale, get(0))
        await trio.sleep(0.01)
        some[0].send(put(0, "later"), get(0))
        await trio.sleep(0.01)
    replies = await some[0].replies(5)
    assert [reply.get("value") for reply in replies] == [None, 0, 0, None, "later"]
    for number, client in enumerate(some[1:], 1):
        [reply] = await client.replies(1)
        assert reply["id"] == number
    assert merged == [FEW]


@AWAY
async def test_a_read_among_others_does_not_see_the_write_behind_it(
    cluster: Cluster, merged: list[int], away: int
) -> None:
    index = (await cluster.leader() + away) % 3
    some = await connected(cluster, index, FEW)
    with Standstill(cluster, index):
        for number, client in enumerate(some):
            client.send(get(number))
        await trio.sleep(0.01)
        some[0].send(put(0), get(0))
        await trio.sleep(0.01)
    replies = await some[0].replies(3)
    assert [reply.get("rev") for reply in replies] == [0, replies[1]["rev"], replies[1]["rev"]]
    for client in some[1:]:
        assert (await client.replies(1))[0]["rev"] == 0
    assert merged == [FEW]


async def test_a_write_that_is_committed_confirms_the_reads_before_it(
    cluster: Cluster, merged: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = await cluster.leader()
    some = await connected(cluster, index, FEW)
    leader = cluster.nodes[index].driver
    assert leader is not None
    monkeypatch.setattr(leader.replica.core, "read_index", lambda _: None)  # no other confirmation comes
    for client in some:
        client.send(get(0))
    await trio.sleep(0.01)
    some[0].send(put(0))
    replies = await some[0].replies(2)
    assert [reply["ok"] for reply in replies] == [True, True]
    for client in some:
        [reply, *_] = await client.replies(1)
        assert reply["rev"] == 0
    assert merged == [FEW]


async def test_who_has_asked_the_last_is_answered_and_then_it_ends(cluster: Cluster, merged: list[int]) -> None:
    leader = await cluster.leader()
    some = await connected(cluster, leader, FEW + 2)
    with Standstill(cluster, leader):
        for number, client in enumerate(some):
            if number != 1:
                client.send(put(number))
        await trio.sleep(0.01)
        some[2].connection.close()
        some[0].connection.other.handler.received(b"")
        served = some[1].connection.other.handler
        served.received(encode(put(1)) + b"\n")
        served.received(b"")
        await trio.sleep(0.01)
    for number, client in enumerate(some):
        if number != 2:
            [reply] = await client.replies(1)
            assert (reply["id"], reply["ok"]) == (number, True)
    with trio.fail_after(5):
        while not (some[0].ended and some[1].ended):
            await trio.sleep(0.01)
    assert not any(client.ended for client in some[3:])
    [reply] = await cluster.ask(leader, get(2))
    assert reply["value"] == 2
    assert merged == [FEW + 1]


async def test_each_is_told_that_it_failed(cluster: Cluster, merged: list[int]) -> None:
    leader = await cluster.leader()
    some = await connected(cluster, leader, FEW)
    for node in cluster.nodes:
        if node.index != leader:
            node.crash()
    for applied in ("unknown", "no"):
        for number, client in enumerate(some):
            client.lines = b""
            client.send(put(number))
        await trio.sleep(0.001)
        some[0].send({**get(0), "read": "stale"})
        for number, client in enumerate(some):
            [reply, *more] = await client.replies(1 if number else 2)
            error: Any = reply["error"]
            assert (reply["id"], error["code"], error["applied"]) == (number, "no_quorum", applied)
            assert [one["rev"] for one in more] == ([] if number else [0])
    assert merged == [FEW, FEW]


async def test_merged_requests_are_answered_through_a_change_of_leaders(cluster: Cluster, merged: list[int]) -> None:
    leader = await cluster.leader()
    some = await connected(cluster, (leader + 1) % 3, FEW)
    cluster.nodes[leader].hub.freeze()
    for number, client in enumerate(some):
        client.send(put(number))
    await trio.sleep(0.01)
    cluster.nodes[leader].crash()
    for number, client in enumerate(some):
        [reply] = await client.replies(1)
        error: Any = reply.get("error")
        assert reply["id"] == number
        assert reply["ok"] or error["applied"] == "unknown"
    assert merged == [FEW]


async def test_who_does_not_read_asks_alone_and_is_read_from_no_more(
    cluster: Cluster, merged: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = await connected(cluster, await cluster.leader(), FEW)
    monkeypatch.setattr(MemoryConnection, "unsent", property(lambda _: MAX_UNANSWERED_BYTES))
    for number, client in enumerate(some):
        client.send(put(number))
    await trio.sleep(1)
    assert not any(client.lines for client in some)
    assert not merged


async def test_large_values_are_read_by_each_alone(cluster: Cluster, merged: list[int]) -> None:
    some = await connected(cluster, await cluster.leader(), FEW)
    values = [str(number) * 20_000 for number in range(FEW)]
    for number, client in enumerate(some):
        client.send(put(number, values[number]))
    for number, client in enumerate(some):
        assert (await client.replies(1))[0]["ok"]
        client.lines = b""
        client.send(get(number))
    for number, client in enumerate(some):
        [reply] = await client.replies(1)
        assert (reply["id"], reply["value"]) == (number, values[number])
    assert not merged


async def test_values_that_grow_before_they_are_read_reach_each_in_its_turn(
    cluster: Cluster, merged: list[int]
) -> None:
    index = await cluster.leader()
    writer, *readers = await connected(cluster, index, FEW + 1)
    value = "v" * 900_000
    with Standstill(cluster, index):
        writer.send(put(0, value))
        await trio.sleep(0.01)
        for number, client in enumerate(readers):
            client.send(*[{**get(0), "id": f"{number} {more}"} for more in range(1 + number)])
        await trio.sleep(0.01)
        readers[0].send({"id": "next", "op": "ping"})
        await trio.sleep(0.01)
    for number, client in enumerate(readers):
        replies = await client.replies(1 + number + (number == 0))
        assert [reply["id"] for reply in replies[: 1 + number]] == [f"{number} {more}" for more in range(1 + number)]
        assert all(reply["value"] == value for reply in replies[: 1 + number])
    assert (await readers[0].replies(2))[1]["id"] == "next"
    assert merged == [FEW]


async def test_nothing_is_left_of_merged_requests_that_have_been_answered(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Merged]] = []

    class Remembered(Merged):
        def __init__(self, host: Any, some: Sequence[Any], *asked: Any) -> None:
            super().__init__(host, some, *asked)
            made.append(weakref.ref(self))

    monkeypatch.setattr(gathering, "Merged", Remembered)
    some = await connected(cluster, await cluster.leader(), FEW)
    gc.disable()
    try:
        for ask in (put, get):
            for number, client in enumerate(some):
                client.lines = b""
                client.send(ask(number))
            for client in some:
                await client.replies(1)
        assert [one() for one in made] == [None, None]
    finally:
        gc.enable()


class Script:
    """The requests of one client about its own keys, and the replies that it must get whatever others do."""

    def __init__(self, number: int, random: Random) -> None:
        self.number = number
        self.random = random
        self.values: dict[str, int] = {}
        self.expected: list[dict[str, object]] = []

    def line(self, op: str) -> bytes:
        key = f"client {self.number} key {self.random.randrange(3)}"
        request: dict[str, object] = {"id": len(self.expected), "op": op, "key": key}
        reply: dict[str, object] = {"id": len(self.expected), "ok": True}
        if op == "put":
            request["value"] = self.values[key] = self.random.randrange(1000)
        elif op == "incr":
            reply["value"] = self.values[key] = self.values.get(key, 0) + 1
        elif op == "delete":
            reply["deleted"] = int(self.values.pop(key, None) is not None)
        else:
            reply["value"] = self.values.get(key)
            if self.random.random() < 0.1:
                request["read"] = "stale"
        self.expected.append(reply)
        return encode(request) + b"\n"

    def pieces(self, ops: Sequence[str]) -> list[bytes]:
        """Draw some requests of these kinds, mostly in one piece."""
        data = b"".join([self.line(self.random.choice(ops)) for _ in range(self.random.choice((1, 1, 1, 2, 5)))])
        if self.random.random() < 0.8:
            return [data]
        cut = self.random.randrange(len(data))
        return [data[:cut], data[cut:]]


@pytest.mark.parametrize("few", [1, 3])
@pytest.mark.parametrize("seed", range(4))
async def test_each_is_answered_as_if_it_were_alone(
    cluster: Cluster, merged: list[int], monkeypatch: pytest.MonkeyPatch, seed: int, few: int
) -> None:
    monkeypatch.setattr(gathering, "FEW", few)
    leader = await cluster.leader()
    random = Random(seed)
    some = await connected(cluster, leader, 8) + await connected(cluster, (leader + 1) % 3, 8)
    scripts = [Script(number, Random(f"{seed} {number}")) for number in range(len(some))]
    for _ in range(100):
        ops = random.choice((["put"], ["get"], ["put", "get", "incr", "delete"]))
        for client, script in zip(some, scripts, strict=True):
            if random.random() < 0.6:
                for piece in script.pieces(ops):
                    client.connection.send(piece)
                    if random.random() < 0.1:
                        await trio.sleep(random.choice((0, 0.001)))
        await trio.sleep(random.choice((0, 0.0005, 0.01)))
    for client, script in zip(some, scripts, strict=True):
        replies = await client.replies(len(script.expected))
        for reply, wanted in zip(replies, script.expected, strict=True):
            assert {name: reply.get(name) for name in wanted} == wanted
    assert len(merged) > 20
