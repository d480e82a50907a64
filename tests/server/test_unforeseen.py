"""An exception that nobody foresaw, put into one place at a time: the request fails, or the node stops and says why."""

from __future__ import annotations

import json
import logging
from typing import NoReturn

import pytest
import trio

from trioraft.kv.store import Store
from trioraft.server import logs, reports, session
from trioraft.server.driver import Driver
from trioraft.server.node import serve

from .virtual_cluster import ADDRESSES, Cluster

PLACES: list[tuple[object, str, dict[str, object]]] = [
    (session, "parse_request", {"op": "ping"}),
    (Store, "get", {"op": "get", "key": "k"}),
    (Store, "get", {"op": "get", "key": "k", "read": "stale"}),
    (Store, "scan", {"op": "scan"}),
    (reports, "_status", {"op": "status"}),
    (reports, "_show_log", {"op": "show_log"}),
    (reports, "_members", {"op": "members"}),
    (reports, "_piece", {"op": "read_snapshot", "index": 1}),
    (reports, "operations", {"op": "help"}),
]


def _fail(*_: object) -> NoReturn:
    raise ZeroDivisionError("put here by the test")


@pytest.mark.parametrize(("owner", "name", "request_"), PLACES, ids=[f"{place[1]} {place[2]}" for place in PLACES])
async def test_a_request_that_fails_unforeseen_is_answered_and_the_node_goes_on(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    request_: dict[str, object],
) -> None:
    leader = await cluster.leader()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _fail)
        [reply] = await cluster.ask(leader, request_)
    assert reply["error"]["code"] == "internal"  # type: ignore[index]
    put, get = await cluster.ask(leader, {"op": "put", "key": "k", "value": 1}, {"op": "get", "key": "k"})
    assert put["ok"]
    assert get["value"] == 1


@pytest.mark.parametrize("format", ["text", "json"])
async def test_a_node_that_must_stop_says_why_with_the_cause_itself(
    cluster: Cluster,
    own_log: None,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    format: str,
) -> None:
    await cluster.leader()
    node = cluster.nodes[0]
    driver = node.driver
    assert driver is not None
    node.crash()
    await trio.sleep(0.1)
    logs.configure(format, "info")
    monkeypatch.setattr(Driver, "run", _fail)
    assert await serve(driver, node.hub.listen(ADDRESSES[0])) == 70
    logging.getLogger("trioraft").handlers[0].flush()
    said = capfd.readouterr().err
    if format == "json":
        said = json.loads(said.splitlines()[0])["traceback"]
    else:
        assert "node 0 stops, which is a bug: ZeroDivisionError: put here by the test" in said.splitlines()[0]
    assert "in _fail" in said
    assert "ExceptionGroup" not in said
