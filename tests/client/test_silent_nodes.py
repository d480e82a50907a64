"""Nodes that are connected to and say nothing, as one that is stopped: who is asked then, and what is told."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trioraft.addresses import Address
from trioraft.client import Client, NoNode, Unknown, blocking

Answer = Callable[[dict[str, Any]], dict[str, Any] | None]


class FakeNode:
    """Listens; what it answers to each request is up to `answer`. Silent ones accept no connection: the kernel does."""

    def __init__(self, answer: Answer | None) -> None:
        self.asked: list[str] = []
        self.answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self._connections: list[socket.socket] = []
        if answer is not None:
            threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    self.asked.append(request["op"])
                    assert self.answer is not None
                    fields = self.answer(request)
                    if fields is not None:
                        connection.sendall(json.dumps({"id": request["id"], "ok": True, **fields}).encode() + b"\n")
        except OSError:
            pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()


@pytest.fixture
def fake() -> Iterator[Callable[[Answer | None], FakeNode]]:
    nodes: list[FakeNode] = []

    def make(answer: Answer | None) -> FakeNode:
        nodes.append(FakeNode(answer))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same moments, shorter: it is their order that matters here."""
    monkeypatch.setattr(blocking, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(blocking, "FIRST_LOOK_SECONDS", 0.2)
    monkeypatch.setattr(blocking, "SECOND_LOOK_SECONDS", 0.3)
    monkeypatch.setattr(blocking, "FRESH_SECONDS", 0.0)


def well(request: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "value": 1, "rev": 7} if request["op"] != "ping" else {}


Make = Callable[[Answer | None], FakeNode]


@pytest.mark.parametrize("op", ["get", "put"])
def test_a_stopped_first_node_costs_neither_reads_nor_writes_and_is_not_tried_again(fake: Make, op: str) -> None:
    stopped, healthy = fake(None), fake(well)
    with Client([stopped.address, healthy.address]) as client:
        assert client.call(op, key="k", value=1).ok
        assert client.address == healthy.address
        client.close()
        assert client.call(op, key="k", value=1).ok
    assert healthy.asked == ["ping", op] * 2


def test_a_node_that_stops_between_two_calls_costs_no_write(fake: Make) -> None:
    silent = threading.Event()
    stopping = fake(lambda request: None if silent.is_set() else well(request))
    healthy = fake(well)
    with Client([stopping.address, healthy.address]) as client:
        assert client.call("put", key="k", value=1).ok
        silent.set()
        assert client.call("put", key="k", value=2).ok
        assert client.address == healthy.address
    assert stopping.asked.count("put") == 1


@pytest.mark.parametrize("op", ["get", "put", "pipeline"])
def test_what_a_node_was_asked_before_it_stopped(fake: Make, op: str) -> None:
    gone = threading.Event()

    def answer(request: dict[str, Any]) -> dict[str, Any] | None:
        if request["op"] != "ping":
            gone.set()
        return None if gone.is_set() else well(request)

    stopping, healthy = fake(answer), fake(well)
    with Client([stopping.address, healthy.address]) as client:
        if op == "get":
            assert client.call("get", key="k").ok  # asked again, of the next
        else:
            with pytest.raises(Unknown, match=r"may have been applied|lost after 0"):
                client.pipeline([{"op": "put"}]) if op == "pipeline" else client.call("put", key="k", value=1)
            assert healthy.asked == []  # it is not for the client to write twice
        assert client.call("put", key="k", value=2).ok
        assert client.address == healthy.address


@pytest.mark.parametrize("op", ["snapshot", "get", "put"])
def test_a_node_that_is_slow_to_answer_and_is_there_is_waited_for(fake: Make, op: str) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] != "ping":
            time.sleep(0.7)  # several silences
        return well(request)

    slow, other = fake(answer), fake(well)
    with Client([slow.address, other.address]) as client:
        assert client.call(op, key="k").ok
    assert slow.asked.count(op) == 1
    assert other.asked == []


def test_a_large_request_to_a_node_that_takes_it_slowly_is_sent_whole(fake: Make) -> None:
    slow = fake(well)
    slow._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with Client([slow.address]) as client:
        assert client.call("put", key="k", value="x" * 8_000_000).ok


def test_where_no_node_answers_it_is_said_soon(fake: Make) -> None:
    silent = [fake(None).address for _ in range(3)]
    with Client(silent) as client, pytest.raises(NoNode, match="timed out"):
        client.call("put", key="k", value=1)


def test_the_addresses_of_a_name_share_its_time(fake: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, healthy = fake(None), fake(well)
    places = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (a.address.host, a.address.port)) for a in (stopped, healthy)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    with Client([Address("a-name-of-two", 1)]) as client:
        assert client.call("put", key="k", value=1).ok


def test_an_abandoned_call_sends_nothing_more(fake: Make) -> None:
    silent = fake(None)
    client = Client([silent.address])
    failures: list[Exception] = []

    def call() -> None:
        try:
            client.call("put", key="k", value=1)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    client.abandon()
    thread.join(10)
    assert [type(failure) for failure in failures] == [NoNode]
