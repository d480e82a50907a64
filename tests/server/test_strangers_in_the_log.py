"""Strangers at the port, or at a peer's address, however often: only a handful of log lines tell of them."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import trio

from trioraft.replica import session
from trioraft.server import links
from trioraft.server.listener import serve_listener
from trioraft.server.logs import PatientHandler, _Text
from trioraft.server.transport import Connection
from trioraft.testing.network import MemoryHub
from trioraft.wire.peers import PeerHello, PeerRefused, encode

from ..helpers.virtual_cluster import ADDRESSES, Cluster

TIMES = 400
DIALS = 50
HANDFUL = 3
"""The most lines: the first, the count of the others, and the end of a member whose place is taken."""
A_PEERS_HANDFUL = 50
"""The most lines about a stranger at a peer's address, whose errors may be of several kinds, in turn."""


class Log:
    """The nodes' log lines, as if they stood in the log of one node."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._handler = PatientHandler(self._file.fileno())
        self._handler.setFormatter(_Text())

    def begin(self) -> None:
        logger = logging.getLogger("trioraft")
        logger.handlers = [self._handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False

    def end(self) -> list[str]:
        logging.getLogger("trioraft").handlers = []
        self._handler.flush()
        self._file.close()
        return [line for line in self._path.read_text().split("\n")[:-1] if not line.startswith(" ")]


@pytest.fixture
def log(own_log: None, tmp_path: Path) -> Iterator[Log]:  # noqa: ARG001
    log = Log(tmp_path / "log")
    yield log
    log.end()


def hello(number: int, **changes: object) -> bytes:
    fields = {"cluster": None, "sender": 1, "receiver": 0, "folder": f"{number:032x}", "protocol": (2, 2), **changes}
    made = PeerHello(**fields, starts=1, incarnation="run", term=0, last_index=2**40, servers=[], formation=None)  # type: ignore[arg-type]
    return encode(made)


# Each function makes the bytes of the stranger of that number.
SAYS: dict[str, Callable[[int], bytes]] = {
    "nothing": lambda _: b"",
    "TLS": lambda _: b"\x16\x03\x01",
    "HTTP": lambda number: b"GET /%d HTTP/1.1\r\nHost: here\r\n\r\n" % number,
    "no JSON": lambda number: b"what is %d\n{\xff\n{[]\n" % number,
    "a request that is wrong": lambda number: b'{"op":"nothing %d"}\n' % number,
    "half a request": lambda number: b'{"op":"put","key":"%d' % number,
    "a line that is too long": lambda number: b"%d" % number * 2000,
    "half an introduction": lambda number: hello(number)[:-20],
    "an introduction that is too long": lambda _: hello(0, cluster="x" * 2000),
    "an introduction without sense": lambda number: b'{"peer":"nobody %d"}\n' % number,
    "a message before its introduction": lambda number: b'{"type":"request_vote","term":%d}\n' % number,
    "that it is of another cluster": lambda number: hello(number, cluster=f"{number:032x}"),
    "that it is a node that there is not": lambda number: hello(number, sender=number + 3),
    "that it looks for another node": lambda number: hello(number, receiver=number + 1),
    "that it is a member, with another folder": hello,
    "that it speaks another version": lambda number: hello(number, protocol=(number + 3, number + 3)),
}


async def visit(cluster: Cluster, data: bytes) -> None:
    """Send that to node 0, and leave."""
    client = await cluster.connect(0)
    if data:
        client.connection.send(data)
    await trio.sleep(0.5)
    client.connection.finish()
    await trio.sleep(2)


@pytest.mark.parametrize("what", SAYS)
async def test_as_many_strangers_as_there_may_be_are_a_handful_of_lines_whatever_they_say(
    cluster: Cluster, log: Log, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await cluster.leader()
    monkeypatch.setattr(links, "MAX_INTRODUCTION", 1500)
    driver = cluster.nodes[0].driver
    assert driver is not None
    driver.max_request_bytes = 1500
    log.begin()
    async with trio.open_nursery() as nursery:
        for number in range(TIMES):
            nursery.start_soon(visit, cluster, SAYS[what](number))
    lines = log.end()
    assert len(lines) <= HANDFUL, lines
    if lines:
        assert f"{TIMES - 1} more lines like this within the last minute" in lines[-1]


async def test_what_a_stranger_says_forges_no_line(cluster: Cluster, log: Log) -> None:
    await cluster.leader()
    forged = "\n12:00:00.000 INFO    all is well\n" * 10
    log.begin()
    await visit(cluster, hello(1, folder=f"{forged}\x1b[2J"))
    await visit(cluster, hello(1, folder=f"{forged}{'y' * 100_000}"))
    first, rest = log.end()
    assert "all is well" in first
    assert "all is well" in rest
    assert max(len(first), len(rest)) < 10_000
    assert "\x1b" not in first + rest


async def test_a_member_that_makes_no_sense_again_and_again_is_a_handful_of_lines(cluster: Cluster, log: Log) -> None:
    leader = await cluster.leader()
    speaker, hearer = cluster.nodes[leader - 1], cluster.nodes[leader]
    assert speaker.driver is not None
    introduction = encode(speaker.driver.replica.introductions.introduction(hearer.index))
    speaker.crash()
    await cluster.leader()
    log.begin()
    for _ in range(TIMES):
        client = await cluster.connect(hearer.index)
        client.connection.send(introduction + b"nonsense\n")
        with trio.fail_after(10):
            while not client.ended:
                await client.news.wait()
                client.news = trio.Event()
    lines = log.end()
    assert "makes no sense" in lines[0]
    assert len(lines) <= A_PEERS_HANDFUL, lines


def _fail(*_: object) -> NoReturn:
    raise ZeroDivisionError("put here by the test")


async def test_requests_that_fail_unforeseen_are_one_traceback(
    cluster: Cluster, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = await cluster.leader()
    log.begin()
    with monkeypatch.context() as patch:
        patch.setattr(session, "parse_request", _fail)
        replies = await cluster.ask(leader, *[{"op": "ping", "id": number} for number in range(TIMES)])
    assert len(replies) == TIMES
    assert len(log.end()) == 2


async def test_connections_that_cannot_be_taken_are_a_handful_of_lines(
    autojump_clock: trio.abc.Clock,  # noqa: ARG001
    log: Log,
) -> None:
    class Listener:
        address = ADDRESSES[0]
        left = TIMES

        async def accept(self) -> list[Connection]:
            self.left -= 1
            if self.left % 2:
                return []  # now and then it succeeds
            if self.left <= 0:
                await trio.sleep_forever()
            raise OSError(errno.EMFILE, "Too many open files")

        def close(self) -> None: ...

    log.begin()
    with trio.move_on_after(1000):
        await serve_listener(Listener(), lambda _: None)
    assert len(log.end()) == 2


Answer = Callable[[int, bytes], bytes]

ANSWERS: dict[str, Answer] = {
    "no node": lambda number, _: b"I am number %d\n" % number,
    "a node that refuses": lambda number, _: encode(PeerRefused(f"c {number}", f"m {number}", f"h {number}")),
    "a member that hangs up": lambda _, introduction: introduction,
    "silence": lambda _number, _introduction: b"",
}
"""The words of a stranger at a peer's address; the introduction is the peer's own."""


@pytest.mark.parametrize("who", ANSWERS)
async def test_whoever_is_reached_at_a_peers_address_again_and_again_is_a_handful_of_lines(
    cluster: Cluster, log: Log, nursery: trio.Nursery, who: str
) -> None:
    leader = await cluster.leader()
    gone = cluster.nodes[leader - 1]
    assert gone.driver is not None
    introduction = encode(gone.driver.replica.introductions.introduction(leader))
    gone.crash()
    hub = MemoryHub(cluster.network, "impostor")
    listener = hub.listen(ADDRESSES[gone.index])
    nursery.start_soon(_serve, hub)
    log.begin()
    began = trio.current_time()
    with trio.fail_after(500):
        for number in range(DIALS):
            for connection in await listener.accept():
                connection.resume()
                connection.send(ANSWERS[who](number, introduction))
                connection.close()
    lines = log.end()
    assert len(lines) <= A_PEERS_HANDFUL, lines
    assert trio.current_time() - began > DIALS / 60, "it is not dialled again at once, and again"
    await cluster.leader()


async def _serve(hub: MemoryHub) -> None:
    while True:
        await hub.wait()
        hub.serve()
