"""Large replies to many: no turn sends or makes all of them, and everybody has a share of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trioraft.kv.store import Store
from trioraft.server.driver import Driver
from trioraft.server.requests import MAX_SCAN_BYTES
from trioraft.server.session import Session
from trioraft.testing.network import MemoryConnection
from trioraft.wire.codec import encode

from .virtual_cluster import Client, Cluster

MEBIBYTE = 1024 * 1024
A_TURN = 8 * MEBIBYTE
"""More than a turn may send or make; what takes a node some milliseconds."""
MANY = 40
GETS = 6
LARGE = "x" * 500_000
OWN = b"own-key"


class Turns:
    """What is done in each turn of all nodes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[Counter[Any]] = [Counter()]
        turn = Driver.turn

        def watched(driver: Driver) -> None:
            self.done.append(Counter())
            turn(driver)

        monkeypatch.setattr(Driver, "turn", watched)
        self._monkeypatch = monkeypatch

    def count(self, owner: type, name: str, what: Callable[..., tuple[Any, int]]) -> None:
        """Count what is done by calls of that method."""
        method = getattr(owner, name)

        def counted(*arguments: Any) -> Any:
            kind, number = what(*arguments)
            self.done[-1][kind] += number
            return method(*arguments)

        self._monkeypatch.setattr(owner, name, counted)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Iterator[Turns]:
    return Turns(monkeypatch)


async def asking(cluster: Cluster, requests: list[dict[str, object]]) -> list[Client]:
    """Clients of the leader that ask all that, each for its own key where it says so, and do not read."""
    leader = await cluster.leader()
    some = [await cluster.connect(leader) for _ in range(MANY)]
    for number, client in enumerate(some):
        client.connection.pause()
        lines = b"".join(encode(request) + b"\n" for request in requests)
        client.connection.send(lines.replace(OWN, b"own-%02d" % number))
    return some


async def test_values_are_sent_in_portions_to_each_in_its_turn(cluster: Cluster, turns: Turns) -> None:
    leader = await cluster.leader()
    await cluster.ask(leader, {"op": "put", "key": "large", "value": LARGE})
    turns.count(MemoryConnection, "send", lambda connection, data: (connection, len(data)))
    some = await asking(cluster, [{"id": number, "op": "get", "key": "large"} for number in range(GETS)])
    for client in some:
        client.connection.resume()
    sent: Counter[MemoryConnection] = Counter()
    for client in some:
        replies = await client.replies(GETS)
        assert [reply["id"] for reply in replies] == list(range(GETS))
        assert all(reply["value"] == LARGE for reply in replies)
    for turn in turns.done:
        assert turn.total() < A_TURN
        sent += turn
        shares = [sent[client.connection.other] for client in some]
        assert max(shares) - min(shares) < MEBIBYTE, "nobody is far ahead of anybody"
    assert sum(sent[client.connection.other] for client in some) > MANY * GETS * len(LARGE)


async def test_scans_that_wait_for_their_turn_do_not_see_the_writes_behind_them(cluster: Cluster, turns: Turns) -> None:
    leader = await cluster.leader()
    await cluster.ask(leader, *[{"op": "put", "key": f"k{number}", "value": "x" * 3000} for number in range(400)])
    turns.count(Store, "scan", lambda *_: ("scans", 1))
    scans = [{"id": number, "op": "scan", "prefix": "k"} for number in range(4)]
    own: list[dict[str, object]] = [
        {"id": 4, "op": "scan", "prefix": "own-key"},
        {"id": 5, "op": "put", "key": "own-key", "value": "new"},
        {"id": 6, "op": "scan", "prefix": "own-key"},
    ]
    some = await asking(cluster, [*scans, *own])
    for client in some:
        client.connection.resume()
    for client in some:
        replies: list[Any] = await client.replies(7)
        assert [reply["id"] for reply in replies] == list(range(7))
        assert all(len(reply["items"]) > 300 for reply in replies[:4])
        assert [len(reply["items"]) for reply in (replies[4], replies[6])] == [0, 1], "a write is seen by what follows"
    assert sum(turn["scans"] for turn in turns.done) == MANY * 6


async def test_scans_are_made_a_few_a_turn(cluster: Cluster, turns: Turns) -> None:
    leader = await cluster.leader()
    turns.count(Store, "scan", lambda *_: ("scans", 1))
    some = await asking(cluster, [{"id": number, "op": "scan"} for number in range(4)])
    for client in some:
        client.connection.resume()
    await cluster.ask(leader, {"op": "put", "key": "k", "value": 1})
    for client in some:
        assert len(await client.replies(4)) == 4
    assert sum(turn["scans"] for turn in turns.done) == MANY * 4
    assert max(turn["scans"] for turn in turns.done) * MAX_SCAN_BYTES <= A_TURN


async def test_who_leaves_while_its_scans_wait_is_not_served(cluster: Cluster, turns: Turns) -> None:
    await cluster.leader()
    turns.count(Store, "scan", lambda *_: ("scans", 1))
    some = await asking(cluster, [{"id": number, "op": "scan"} for number in range(4)])
    await trio.sleep(0.0)
    for client in some:
        client.connection.other.break_off()
    await trio.sleep(1)
    assert sum(turn["scans"] for turn in turns.done) < MANY * 4


@given(
    st.lists(st.one_of(st.binary(min_size=1, max_size=9), st.lists(st.binary(max_size=9), min_size=1, max_size=5))),
    st.lists(st.integers(1, 12), min_size=1),
)
def test_replies_come_whole_and_in_order_whatever_portions_they_are_taken_in(
    replies: list[Any], rooms: list[int]
) -> None:
    session = Session(1000, lambda: None, lambda _: 0)
    for reply in replies:
        session.reserve(0).answer(reply)
    taken = b""
    for turn in range(10_000):
        part = session.take_replies(room := rooms[turn % len(rooms)])
        assert len(part) <= room
        taken += part
        if len(part) < room and session.idle:
            break
    assert taken == b"".join(reply if isinstance(reply, bytes) else b"".join(reply) for reply in replies)
