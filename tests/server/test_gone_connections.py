"""Nothing is left of connections that are gone, however they ended, even without the garbage collector."""

from __future__ import annotations

import gc
import logging
import socket
import struct
import time
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from trioraft.addresses import Address
from trioraft.replica import session, slots, subscriber
from trioraft.server import clients, links, sockets
from trioraft.server.driver import Driver
from trioraft.server.gathering import FEW
from trioraft.server.node import live
from trioraft.server.sockets import SocketHub
from trioraft.storage.folder import DataFolder
from trioraft.testing.disk import MemoryDisk
from trioraft.testing.disk_threads import ImmediateThread
from trioraft.wire import framing, peers
from trioraft.wire.codec import encode
from trioraft.wire.peers import PeerHello, PeerRefused

HOST = "127.0.0.1"
LIMIT = 1024 * 1024
ROOMS = {module.__name__ for module in (clients, framing, links, peers, session, slots, sockets, subscriber)}
"""The modules whose classes make up a connection."""
LASTING = {"SocketHub", "SocketListener", "_Nobody"}
"""The classes of these modules whose objects live as long as the node."""
LARGE = b'{"op":"put","key":"large","value":"%b"}\n' % (b"x" * 1_000_000)


def everything() -> list[Any]:
    """All objects of all connections, whether the garbage collector tracks them or not."""
    return [
        thing for thing in gc.get_objects() if type(thing).__module__ in ROOMS and type(thing).__name__ not in LASTING
    ]


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Silence the log: pytest keeps its records, whose errors keep the frames in which they were raised."""
    logger = logging.getLogger("trioraft")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.fixture(autouse=True)
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps as soon as all tasks wait, so no task may wait by itself."""
    monkeypatch.setattr(sockets, "ALONE_SECONDS", 0.0)


@contextmanager
def without_collector() -> Iterator[None]:
    """Switch the garbage collector off, after collecting what other tests have left.

    What still lives then is never looked at again, here or by the collector.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Node:
    """A node on real sockets, and its clients and peers."""

    driver: Driver

    def __init__(self) -> None:
        self.hub = SocketHub()
        self.listener = self.hub.listen(Address(HOST, 0))
        self.scope = trio.CancelScope()

    def found(self, index: int, servers: Sequence[str]) -> None:
        folder = DataFolder(MemoryDisk("disk"), index)
        self.driver = Driver(
            index, servers, folder, self.hub, ImmediateThread(), ImmediateThread(), Random(index + 1), LIMIT
        )

    async def live(self) -> None:
        try:
            with self.scope:
                await live(self.driver, self.listener, trio.CancelScope())
        finally:
            self.driver.close()
            self.hub.close()

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(HOST, self.listener.address.port)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 10  # of real time, in which sockets live
        while not condition():
            assert time.monotonic() < deadline, what
            await trio.sleep(0.001)

    @property
    def connected(self) -> int:
        return len(self.hub._connections)


@asynccontextmanager
async def running(others: Sequence[str] = ()) -> AsyncIterator[Node]:
    """A cluster of one node, which leads."""
    node = Node()
    node.found(0, [str(node.listener.address), *others])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.live)
        if not others:
            await node.until(lambda: node.driver.replica.core.role == "leader", "it leads")
        yield node
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def three() -> AsyncIterator[list[Node]]:
    """A cluster of three nodes, the leader first."""
    nodes = [Node() for _ in range(3)]
    servers = [str(node.listener.address) for node in nodes]
    async with trio.open_nursery() as nursery:
        for index, node in enumerate(nodes):
            node.found(index, servers)
            nursery.start_soon(node.live)
        await nodes[0].until(
            lambda: all(node.driver.replica.core.leader is not None for node in nodes), "there is a leader"
        )
        nodes.sort(key=lambda node: node.driver.replica.core.role != "leader")
        await nodes[0].until(lambda: all(node.connected == 4 for node in nodes), "all are connected with all")
        yield nodes
        nursery.cancel_scope.cancel()


def reset(stream: trio.SocketStream) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def to_the_end(stream: trio.SocketStream) -> bytes:
    said = b""
    async for part in stream:
        said += part
    return said


async def says_all(stream: trio.SocketStream, data: bytes) -> None:
    """Send bytes, and let nobody read the replies."""
    with trio.move_on_after(0.3):
        await stream.send_all(data)


def introduction(receiver: int = 0) -> bytes:
    hello = PeerHello((2, 2), None, 1, receiver, "a folder", 1, "run", 0, 0, [], None)
    return encode(hello) + b"\n"


# How a connection ends: the acts of the other end.


async def is_reset_before_a_word(node: Node, stream: trio.SocketStream) -> None:
    await node.until(lambda: node.connected == 1, "it is taken")
    reset(stream)


async def is_reset_within_a_long_line(node: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(LARGE[:-200_000])
    await node.until(lambda: [one for one in everything() if getattr(one, "pending", 0) > 700_000], "it has come")
    reset(stream)


async def is_reset_with_large_replies_unread(node: Node, stream: trio.SocketStream) -> None:
    await says_all(stream, LARGE + b'{"op":"get","key":"large"}\n' * 400)
    await node.until(lambda: any(one.unsent for one in node.hub._connections.values()), "nobody reads")
    reset(stream)


async def is_reset_with_small_requests_on_their_way(node: Node, stream: trio.SocketStream) -> None:
    lines = b'{"op":"get","key":"a"}\n{"op":"put","key":"a","value":1}\n{"op":"incr","key":"a"}\n{"op":"ping"}\n'
    await stream.send_all(lines * 500)
    await node.until(lambda: node.driver.clients, "it is a client")
    reset(stream)


async def is_half_closed(_: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(b'{"op":"get","key":"a"}\n{"op":"put","key":"a","value":1}\n{"op":"get","key":"a"}\n' * 300)
    await stream.send_eof()
    assert (await to_the_end(stream)).count(b'"ok":true') == 900


async def is_half_closed_with_large_replies(_: Node, stream: trio.SocketStream) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, LARGE + b'{"op":"get","key":"large"}\n' * 20)
        received = 0
        while received < 20_000_000:
            received += len(await stream.receive_some(LIMIT))
    await stream.send_eof()
    await to_the_end(stream)


async def is_half_closed_within_a_line(_: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(b'{"op":"ping"}\n{"op":')
    await stream.send_eof()
    assert b'"bad_json"' in await to_the_end(stream)


async def asks_what_is_wrong(_: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(b'{"op":"nothing"}\n{"op":"get"}\n\xff\n{"op":"put","key":"k","value":1,"if_rev":9}\n')
    await stream.send_eof()
    assert (await to_the_end(stream)).count(b'"ok":false') == 4


async def has_deadlines_of_a_day(_: Node, stream: trio.SocketStream) -> None:
    day = b',"timeout_ms":86400000}\n'
    await stream.send_all((b'{"op":"get","key":"a"' + day + b'{"op":"put","key":"a","value":1' + day) * 100)
    await stream.send_eof()
    assert (await to_the_end(stream)).count(b'"ok":true') == 200


async def says_too_much_in_a_line(_: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(b"[" * (LIMIT + 10))
    assert b"line_too_long" in await to_the_end(stream)


async def says_too_much_and_does_not_go(node: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(b"[" * (LIMIT + 10))
    await node.until(lambda: not node.connected, "it is closed")


async def speaks_http(_: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert b"400" in await to_the_end(stream)


async def speaks_tls(node: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(b"\x16\x03\x01")
    await node.until(lambda: not node.connected, "it is closed")


async def is_a_peer_that_is_refused(_: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(introduction())
    assert b'"refused"' in await to_the_end(stream)


async def is_a_peer_that_makes_no_sense(_: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(b'{"peer":"nobody"}\n')
    assert await to_the_end(stream) == b""


async def may_yet_be_a_peer(node: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(b'{"pe')
    await node.until(lambda: node.connected == 1, "it is taken")
    reset(stream)


async def is_merged_with_others(node: Node, stream: trio.SocketStream) -> None:
    some = [stream, *[await node.connect() for _ in range(2 * FEW)]]
    for one in some:
        await one.send_all(b'{"op":"ping"}\n')
        await one.receive_some()
    for line in (b'{"op":"put","key":"a","value":1}\n', b'{"op":"get","key":"a"}\n') * 3:
        for one in some:
            await one.send_all(line)
        for one in some[::2]:
            await one.receive_some()
    for one in some:
        await one.send_all(b'{"op":"put","key":"a","value":2}\n')
        reset(one)


WATCHES = (
    b'{"op":"watch","id":1,"prefix":""}\n{"op":"watch","id":2,"prefix":"","initial":true}\n'
    b'{"op":"watch","id":3,"key":"large","after_rev":0}\n{"op":"watch","key":"large","after_rev":1000000}\n'
    b'{"op":"wait","id":4,"key":"none","exists":true}\n'
    b'{"op":"wait","key":"none","exists":true,"wait_ms":86400000}\n'
)


async def watches_and_is_reset(_: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(WATCHES + LARGE)
    said = b""
    while said.count(b'"event":"put"') < 3:
        said += await stream.receive_some()
    reset(stream)


async def watches_and_reads_nothing(node: Node, stream: trio.SocketStream) -> None:
    await says_all(stream, WATCHES + LARGE * 10)
    await node.until(lambda: any(one.unsent for one in node.hub._connections.values()), "nobody reads")
    reset(stream)


async def is_half_closed_and_waits(node: Node, stream: trio.SocketStream) -> None:
    await stream.send_all(b'{"op":"wait","id":1,"key":"a","exists":true}\n')
    await stream.send_eof()
    assert b'"waiting":true' in await stream.receive_some()
    other = await node.connect()
    await other.send_all(b'{"op":"put","key":"a","value":1}\n')
    await other.receive_some()
    other.socket.close()
    assert b'"held"' in await to_the_end(stream)


ENDS = [
    watches_and_is_reset,
    watches_and_reads_nothing,
    is_half_closed_and_waits,
    is_reset_before_a_word,
    is_reset_within_a_long_line,
    is_reset_with_large_replies_unread,
    is_reset_with_small_requests_on_their_way,
    is_half_closed,
    is_half_closed_with_large_replies,
    is_half_closed_within_a_line,
    asks_what_is_wrong,
    has_deadlines_of_a_day,
    says_too_much_in_a_line,
    says_too_much_and_does_not_go,
    speaks_http,
    speaks_tls,
    is_a_peer_that_is_refused,
    is_a_peer_that_makes_no_sense,
    may_yet_be_a_peer,
    is_merged_with_others,
]


@pytest.mark.parametrize("end", ENDS)
async def test_nothing_is_left_of_a_connection_that(end: Callable[[Node, trio.SocketStream], Awaitable[None]]) -> None:
    async with running() as node:
        with without_collector():
            stream = await node.connect()
            await end(node, stream)
            stream.socket.close()
            await node.until(lambda: not node.connected, "the node has noticed")
            await node.until(lambda: node.driver.requests.idle, "what was asked has taken its course")
            assert not everything()


async def test_all_that_a_connection_is_made_of_dies_with_it() -> None:
    async with running(["127.0.0.1:1", "127.0.0.1:2"]) as node:  # no other node is there, so requests are held
        with without_collector():
            stream = await node.connect()
            one = b'{"op":"get","key":"a"}\n{"op":"put","key":"a","value":1}\n{"op":"ping"}\n{"op":"snapshot"}\n'
            await stream.send_all(one * 10 + b'{"op":"get"')
            await node.until(lambda: not node.driver.requests.idle, "they are held")
            parts = {type(thing).__name__ for thing in everything()}
            assert {"SocketConnection", "ClientConnection", "Session", "LineBuffer", "WriteSlot", "ReadSlot"} <= parts
            assert "LaterSlot" in parts
            held = [weakref.ref(thing) for thing in everything() if type(thing).__weakrefoffset__]
            reset(stream)
            await node.until(lambda: not node.connected, "the node has noticed")
            left = {type(thing).__name__ for thing in everything()}
            assert not left & {"SocketConnection", "ClientConnection"}, (
                "nothing but the requests that are held is waited for"
            )
            await node.until(lambda: node.driver.requests.idle, "they have been refused")
            assert not [thing for one in held if (thing := one()) is not None]
            assert not everything()


async def test_nothing_is_left_of_connections_when_the_node_ends() -> None:
    with without_collector():
        async with running() as node:
            some = [await node.connect() for _ in range(3)]
            await some[0].send_all(b'{"op":"get","key":"a"}\n')
            await says_all(some[1], LARGE + b'{"op":"get","key":"large"}\n' * 400)
            await some[2].send_all(introduction()[:20])
            await node.until(lambda: node.connected == 3, "all are there")
        for stream in some:
            stream.socket.close()
        assert not everything()


async def test_nothing_is_left_of_a_connection_whose_requests_are_passed_on(mock_clock: trio.testing.MockClock) -> None:
    mock_clock.rate = 1.0  # the virtual time must not run ahead of the sockets
    some = b'{"op":"get","key":"a"}\n{"op":"put","key":"a","value":1}\n{"op":"incr","key":"a"}\n{"op":"ping"}\n' * 100
    some += LARGE + b'{"op":"members"}\n{"op":"get","key":"large"}\n' * 5
    async with three() as nodes:
        follower = nodes[1]
        for ends in (reset, trio.SocketStream.aclose, None):
            with without_collector():
                stream = await follower.connect()
                await stream.send_all(some)
                await follower.until(lambda: follower.driver.requests.proposals.unplaced, "they are passed on")
                if ends is None:
                    await stream.send_eof()
                    assert (await to_the_end(stream)).count(b'"ok":true') == some.count(b"\n")
                    stream.socket.close()
                elif (closing := ends(stream)) is not None:
                    await closing
                await follower.until(lambda: follower.connected == 4, "the node has noticed")
                await follower.until(
                    lambda: all(node.driver.requests.idle for node in nodes), "all has taken its course"
                )
                await follower.until(lambda: not everything(), "nothing is left")


async def test_nothing_is_left_of_the_connections_of_a_peer_that_goes_away(mock_clock: trio.testing.MockClock) -> None:
    mock_clock.rate = 1.0
    with without_collector():
        async with three() as nodes:
            assert Counter(type(thing).__name__ for thing in everything())["Incoming"] == 6
            nodes.pop().scope.cancel()
            parts = ("Incoming", "PeerDecoder", "Link", "Outgoing", "LineBuffer", "PeerHello")
            left = {"SocketConnection": 4, **dict.fromkeys(parts, 2)}
            await nodes[0].until(
                lambda: Counter(type(thing).__name__ for thing in everything()) == left,
                "nothing is left but what the two others have with each other",
            )


ANSWERS = {
    "nothing": b"",
    "a refusal": encode(PeerRefused("code", "message", "hint")) + b"\n",
    "what makes no sense": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "half an answer": b'{"peer":"hello",',
    "a line without an end": b"x" * (links.MAX_INTRODUCTION + 10),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
async def test_nothing_is_left_of_connections_to_who_answers_no_peer(answer: bytes) -> None:
    with socket.socket() as peer:
        peer.bind((HOST, 0))
        peer.listen()
        peer.setblocking(False)
        listener = trio.socket.from_stdlib_socket(peer)
        async with running([f"{HOST}:{peer.getsockname()[1]}"]) as node:
            with without_collector():
                for _ in range(5):
                    accepted, _ = await listener.accept()
                    assert (await accepted.recv(1000)).startswith(b'{"peer":"hello"')
                    with suppress(OSError):  # it need not read to the end
                        await trio.SocketStream(accepted).send_all(answer)
                    accepted.close()
                    await node.until(lambda: not node.connected, "the node has noticed")
                    await node.until(lambda: not everything(), "nothing is left")
