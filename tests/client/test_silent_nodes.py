"""Nodes that accept connections and stay silent, like a stopped process: who is asked then, and what is raised."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from trioraft.addresses import Address
from trioraft.client import Client, NoNode, Unknown, attempts

from ..helpers.fake_nodes import Make


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter times in the same order, which is all that matters here."""
    monkeypatch.setattr(attempts, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(attempts, "FIRST_LOOK_SECONDS", 0.2)
    monkeypatch.setattr(attempts, "SECOND_LOOK_SECONDS", 0.3)
    monkeypatch.setattr(attempts, "FRESH_SECONDS", 0.0)


def well(request: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "value": 1, "rev": 7} if request["op"] != "ping" else {}


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
            assert healthy.asked == []  # the client must not write twice
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
