"""Unforeseen exceptions, put into one place at a time where a node handles input from outside.

Where the node's own state cannot be half-changed, the request is answered `internal`, or the connection is closed. The
node and all other connections go on. Everywhere else the node stops and says why, and its clients are told nothing. The
lists of operations, messages and handlers are the code's own.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol, get_args

import msgspec
import pytest
import trio

import trioraft.server
from trioraft.addresses import Address
from trioraft.cluster.handshake import PROTOCOL, Evidence
from trioraft.kv.sections import View
from trioraft.kv.store import Store
from trioraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from trioraft.replica import administration, reports, session, snapshots
from trioraft.replica.introductions import Introductions
from trioraft.replica.reader import Reader
from trioraft.replica.replica import Replica
from trioraft.replica.requests import Requests
from trioraft.replica.session import Session
from trioraft.server import NodeOptions, accepting, driver, links, logs, node, replicator, run_node
from trioraft.server.accepting import Recognizer
from trioraft.server.clients import ClientConnection
from trioraft.server.door import Door
from trioraft.server.faulty_hub import FaultyConnection
from trioraft.server.gathering import FEW
from trioraft.server.peers import PeerConnections
from trioraft.server.replicator import Replicator
from trioraft.server.sockets import SocketHub
from trioraft.storage.errors import UnknownFormat
from trioraft.storage.folder import DataFolder
from trioraft.storage.snapshots import IncomingSnapshot, SnapshotReader, SnapshotWriter
from trioraft.wire.commands import UnknownCommand
from trioraft.wire.framing import LineBuffer
from trioraft.wire.operations import OPERATIONS
from trioraft.wire.peers import (
    LONG_BYTES,
    PART_BYTES,
    AdminReply,
    AdminRequest,
    FormationView,
    NotProposed,
    PeerDecoder,
    PeerHello,
    PeerMessage,
    PeerRefused,
    Propose,
    Proposed,
    ReadIndexReply,
    ReadIndexRequest,
    Underway,
    encode,
)

from ..helpers import virtual_cluster
from ..helpers.virtual_cluster import ADDRESSES, Cluster, Node
from ..replica.test_failing_snapshots import OFTEN, caught_up, leave_one_behind, unfinished
from .test_pipelines import plainest

Records = list[logging.LogRecord]

CHANGES = [op for op, row in OPERATIONS.items() if row.kind == "write"]
READS = [op for op, row in OPERATIONS.items() if row.kind in ("read", "local")]
ADMINISTRATIVE = [op for op, row in OPERATIONS.items() if row.kind == "leader"]


def _fail(*_: object, **__: object) -> NoReturn:
    raise ZeroDivisionError("put here by the test")


def _request(op: str) -> dict[str, object]:
    return {"id": f"the {op}", "op": op, **plainest(op)}


def seen(unforeseen: Records) -> None:
    """Check that the failure was logged with its traceback, and no other one."""
    errors = [record.exc_info[1] for record in unforeseen if record.exc_info]
    assert errors
    causes = [error.__cause__ or error for error in errors if error is not None]
    assert all(isinstance(cause, ZeroDivisionError) and cause.__traceback__ is not None for cause in causes)
    unforeseen.clear()


class Bystander:
    """A client that was connected before the failure, and is still served after it."""

    def __init__(self, client: virtual_cluster.Client) -> None:
        self._client = client
        self._count = 0

    async def is_served(self) -> None:
        self._count += 1
        self._client.send({"op": "put", "key": "mine", "value": self._count}, {"op": "get", "key": "mine"})
        put, got = (await self._client.replies(2 * self._count))[-2:]
        assert put["ok"]
        assert got["value"] == self._count


async def bystander(cluster: Cluster, index: int) -> Bystander:
    """Connect a client to that node, and let it be served once."""
    one = Bystander(await cluster.connect(index))
    await one.is_served()
    return one


# Requests


async def test_a_request_of_any_kind_that_cannot_be_read_is_answered(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records
) -> None:
    leader = await cluster.leader()
    other = await bystander(cluster, leader)
    for place in [(session, "parse_request"), (Requests, "reply_size")]:
        asked = [op for op in OPERATIONS if place[0] is session or op not in CHANGES]
        with monkeypatch.context() as patch:
            patch.setattr(*place, _fail)
            replies = await cluster.ask(leader, *map(_request, asked))
        assert [reply["id"] for reply in replies] == [f"the {op}" for op in asked]
        assert {(reply["error"]["code"], reply["error"]["applied"]) for reply in replies} == {("internal", "no")}
        seen(unforeseen)
        await other.is_served()


async def test_a_read_of_any_kind_that_fails_is_answered(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records
) -> None:
    leader = await cluster.leader()
    other = await bystander(cluster, leader)
    for op in READS:
        with monkeypatch.context() as patch:
            patch.setattr(Reader, "_read", _fail)
            [reply] = await cluster.ask(leader, _request(op))
        assert (reply["id"], reply["error"]["code"]) == (f"the {op}", "internal")
        seen(unforeseen)
    await other.is_served()


@pytest.mark.parametrize("index", [0, 1])
async def test_what_is_passed_on_and_cannot_be_read_there_is_answered(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records, index: int
) -> None:
    leader = await cluster.leader()
    follower = (leader + 1 + index) % 3
    for op in ADMINISTRATIVE:
        with monkeypatch.context() as patch:
            patch.setattr(administration, "parse_request", _fail)
            [reply] = await cluster.ask(follower, _request(op))
        assert reply["id"] == f"the {op}"
        assert (reply["error"]["code"], reply["error"]["applied"]) == ("internal", "no")
        seen(unforeseen)
    await (await bystander(cluster, leader)).is_served()


@pytest.mark.parametrize(("owner", "name"), [(session, "parse_alike"), (Store, "value_size")])
@pytest.mark.parametrize("count", [1, FEW])
async def test_requests_that_cannot_be_read_together_are_read_one_by_one(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records, owner: object, name: str, count: int
) -> None:
    leader = await cluster.leader()
    some = [await cluster.connect(leader) for _ in range(count)]
    for client in some:
        client.send({"op": "put", "key": "k", "value": 1})
        await client.replies(1)
    tried: list[int] = []

    def fail_together(*_: object) -> int:
        tried.append(1)
        if owner is Store and len(tried) > 1:
            return 0
        _fail()

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fail_together)
        for client in some:
            client.send({"op": "get", "key": "k"}, {"op": "get", "key": "k"})
        for client in some:
            assert [reply.get("value", 1) for reply in await client.replies(3)] == [1, 1, 1]
    seen(unforeseen)


async def test_the_place_of_a_failure_deeper_down_makes_no_difference(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records
) -> None:
    leader = await cluster.leader()
    places: list[tuple[object, str, dict[str, object]]] = [
        (Store, "get", {"op": "get", "key": "k"}),
        (Store, "get", {"op": "get", "key": "k", "read": "stale"}),
        (Store, "scan", {"op": "scan"}),
        (reports, "_status", {"op": "status"}),
        (reports, "_first_of_newest", {"op": "show_log"}),
        (reports, "_members", {"op": "members"}),
        (reports, "described", {"op": "help"}),
    ]
    for owner, name, request in places:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, _fail)
            [reply] = await cluster.ask(leader, request)
        assert reply["error"]["code"] == "internal", request
        seen(unforeseen)


# Connections

HANDLERS = [
    kind
    for module in pkgutil.iter_modules(trioraft.server.__path__, "trioraft.server.")
    for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
    if kind.__module__ == module.name and {"received", "drained", "broken"} <= set(vars(kind))
    if not kind.__name__.startswith("_") and Protocol not in kind.__bases__
]
"""A class that handles what comes on a connection."""

ON_A_CONNECTION: list[tuple[Any, str]] = [
    *[(handler, "received") for handler in HANDLERS],
    (driver, "Recognizer"),
    (Door, "enter"),
    (Door, "admits_client"),
    (Session, "receive"),
    (Session, "requests"),
    (Session, "take_replies"),
    (LineBuffer, "feed"),
    (ClientConnection, "_take_lines"),
    (accepting, "ClientConnection"),
    (accepting, "Incoming"),
    (links, "decode_handshake"),
    (PeerDecoder, "feed"),
    (PeerDecoder, "_begin"),
    (PeerDecoder, "_complete"),
    (Introductions, "introduction"),
    (Introductions, "acknowledged"),
    (Introductions, "objection"),
    (PeerConnections, "greet"),
    (Evidence, "contradicts"),
    (Replicator, "_judge"),
    (Replicator, "_dial"),
    (replicator, "encode"),
]
OF_CLIENTS = (driver, Recognizer, Door, Session, LineBuffer, ClientConnection, FaultyConnection)
"""A function through which all bytes of a client pass."""


async def _all_connected(cluster: Cluster) -> None:
    drivers = [node.driver for node in cluster.nodes if node.driver is not None]
    with trio.fail_after(10):
        while not all(one.peers.linked(two.node) for one in drivers for two in drivers if one is not two):
            await trio.sleep(0.01)


def _redial(node: Node) -> None:
    assert node.driver is not None
    for one in node.driver.peers._replicators.values():
        one.redial()


async def _ask_at_once(cluster: Cluster, index: int, *requests: dict[str, object]) -> list[virtual_cluster.Client]:
    """Clients of that node that ask at once, enough of them to be merged."""
    some = [await cluster.connect(index) for _ in range(FEW)]
    for client in some:
        client.send(*requests)
    return some


PUT: dict[str, object] = {"op": "put", "key": "k", "value": 1}
GET: dict[str, object] = {"op": "get", "key": "k"}


@pytest.mark.parametrize(
    ("owner", "name"), ON_A_CONNECTION, ids=[f"{owner.__name__} {name}" for owner, name in ON_A_CONNECTION]
)
async def test_a_failure_on_a_connection_ends_no_more_than_the_connection(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records, owner: Any, name: str
) -> None:
    if owner is FaultyConnection:
        await cluster.leader()
        cluster.allow_faults = True
        for node in cluster.nodes:
            node.crash()
            node.start()
    leader = await cluster.leader()
    others = [await bystander(cluster, index) for index in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _fail)
        for node in cluster.nodes:
            _redial(node)
        some = await _ask_at_once(cluster, leader, PUT, GET)
        await trio.sleep(0.2)
        if owner in OF_CLIENTS or name == "ClientConnection":
            assert all(client.ended and not client.lines for client in some)
    await _all_connected(cluster)
    await cluster.leader()
    seen(unforeseen)
    for other in others:
        await other.is_served()


# Snapshots


@pytest.mark.parametrize(("owner", "name"), [(SnapshotWriter, "append"), (SnapshotWriter, "finish"), (View, "slices")])
async def test_a_snapshot_that_fails_unforeseen_is_answered_and_tried_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records, owner: object, name: str
) -> None:
    leader = await cluster.leader()
    other = await bystander(cluster, leader)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _fail)
        [reply] = await cluster.ask(leader, _request("snapshot"))
    assert (reply["id"], reply["error"]["code"]) == ("the snapshot", "internal")
    seen(unforeseen)
    assert unfinished(cluster.nodes[leader]) == []
    [reply] = await cluster.ask(leader, _request("snapshot"))
    assert reply["ok"]
    await other.is_served()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (IncomingSnapshot, "append"),
        (IncomingSnapshot, "verify"),
        (IncomingSnapshot, "finish"),
        (snapshots, "load_snapshot"),
        (SnapshotReader, "lines"),
    ],
)
async def test_a_leaders_snapshot_that_fails_unforeseen_is_asked_for_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records, owner: object, name: str
) -> None:
    cluster.tune(OFTEN)
    leader, behind = await leave_one_behind(cluster)
    assert (await cluster.ask(leader, {"op": "snapshot"}))[0]["ok"]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _fail)
        behind.start()
        await trio.sleep(1)
        with trio.fail_after(10):
            while unfinished(behind):  # it is put away before it is asked for again
                await trio.sleep(0.001)
    await caught_up(cluster)
    seen(unforeseen)
    await trio.sleep(5)
    assert unfinished(behind) == []
    await (await bystander(cluster, leader)).is_served()


async def test_a_newer_versions_snapshot_ends_no_follower(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.tune(OFTEN)
    leader, behind = await leave_one_behind(cluster)
    assert (await cluster.ask(leader, {"op": "snapshot"}))[0]["ok"]

    def of_a_newer_version(*_: object) -> NoReturn:
        raise UnknownFormat("snapshot-1", 2)

    with monkeypatch.context() as patch:
        patch.setattr(IncomingSnapshot, "verify", of_a_newer_version)
        behind.start()
        await trio.sleep(1)
    assert "the leader's snapshot is a newer version's: upgrade this node" in caplog.text
    await caught_up(cluster)


# Code that only looks, and code that decides

LOOKS: dict[tuple[Any, Any], set[str]] = {
    (links.Host, PeerConnections): {"greet", "hear", "lose"},
    (replicator.Host, PeerConnections): {
        "introduction",
        "acknowledged",
        "objection",
        "is_removed_by",
        "link_down",
        "link_free",
        "in_trouble",
        "peer_lost",
    },
    (snapshots.Node, Replica): set(),
}
"""Work for others that does not change the node's own state, or leaves that to a marked function."""


@pytest.mark.parametrize(("host", "who"), LOOKS, ids=lambda one: str(one.__module__))
def test_what_changes_the_nodes_own_state_is_marked(host: Any, who: Any) -> None:
    calls = {name for name, value in vars(host).items() if inspect.isfunction(value) and not name.startswith("_")}
    assert {name for name in calls if not hasattr(getattr(who, name), "__wrapped__")} == LOOKS[host, who]


@pytest.mark.parametrize("name", ["hear", "peer_gone", "link_up", "link_down", "peer_lost"])
def test_what_the_connections_of_the_peers_leave_to_the_replica_is_marked(name: str) -> None:
    assert hasattr(getattr(Replica, name), "__wrapped__")


# What stops a node

MESSAGES: dict[type, PeerMessage] = {
    type(message): message
    for message in (
        PreVote(1, 1, 1),
        PreVoteReply(1, True),
        RequestVote(1, 1, 1),
        RequestVoteReply(1, True),
        AppendEntries(1, 0, 0, 0, 0, ()),
        AppendEntriesReply(1, True, 0, 0),
        InstallSnapshot(1, 1, 1, 0),
        InstallSnapshotReply(1, 1, 0),
        TimeoutNow(1),
        FormationView(None),
        Propose(0, [b'{"op":"put","key":"k","value":1}'], 1),
        Proposed(0, 1, 1, 1),
        NotProposed(0, 1, "code", "message", "hint"),
        ReadIndexRequest(1),
        ReadIndexReply(1, 1),
        AdminRequest(1, msgspec.Raw(b'{"op":"remove_member","member":9}')),
        AdminReply(1, msgspec.Raw(b"null")),
        Underway(1),
        PeerHello(PROTOCOL, None, 1, 0, "folder", 1, "incarnation", 0, 0, [str(one) for one in ADDRESSES], None),
        PeerRefused("code", "message", "hint"),
    )
}
BEFORE_IT_HAS_FORMED: dict[type, str] = {
    FormationView: "replica.assembly.ready_for",
    PeerHello: "replica.assembly.heard",
}
"""The part of the replica that handles the message then."""


def test_every_message_there_is_is_tried() -> None:
    assert set(MESSAGES) == set(get_args(PeerMessage))


def _break(node: Node, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let that part of this node's driver fail, and of no other node's."""
    owner: Any = node.driver
    *path, name = place.split(".")
    for part in path:
        owner = getattr(owner, part)
    assert hasattr(owner, name)
    monkeypatch.setattr(owner, name, _fail)


def _break_hearing(node: Node, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this node's handling of such messages fail."""
    assert node.driver is not None
    if kind in (handlers := node.driver.replica._handlers):
        monkeypatch.setitem(handlers, kind, _fail)
    else:
        _break(node, "replica.core.step", monkeypatch)


def _begun() -> bytes:
    """The beginning of a long message with forwarded writes; its sign of life is never sent itself."""
    value = b'{"op":"put","key":"k","value":"%b"}' % (b"x" * (LONG_BYTES + PART_BYTES))
    return encode(Propose(0, [value], 1))[: PART_BYTES + 1000]


async def _ends(node: Node, unforeseen: Records) -> None:
    """Check that the node stops, and says why."""
    with trio.fail_after(10):
        while node.code is None:
            await trio.sleep(0.01)
    assert node.code == 70
    assert {record.getMessage() for record in unforeseen} == {
        f"node {node.index} stops, which is a bug: ZeroDivisionError: put here by the test"
    }
    seen(unforeseen)


async def _victim(cluster: Cluster, leads: bool) -> Node:
    """A node whose end does not end the test."""
    leader = await cluster.leader()
    node = cluster.nodes[(leader + 1) % 3]
    node.crash()
    await trio.sleep(0.1)
    node.start(may_end=True)
    await _all_connected(cluster)
    if leads:
        await caught_up(cluster)
        await cluster.hand_over(node.index)
    await cluster.leader()
    return node


@pytest.mark.parametrize("kind", [kind for kind in MESSAGES if kind not in (PeerRefused, PeerHello, FormationView)])
async def test_what_a_member_says_and_fails_half_way_stops_the_node(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records, kind: type
) -> None:
    node = await _victim(cluster, leads=False)
    silent, other = [cluster.nodes[(node.index + step) % 3] for step in (1, 2)]
    assert silent.driver is not None
    hello = silent.driver.replica.introductions.introduction(node.index)
    silent.crash()
    peer = await cluster.connect(node.index)
    peer.connection.send(
        encode(msgspec.structs.replace(hello, starts=hello.starts + 1, incarnation="another", last_index=2**40))
    )
    [answer] = await peer.replies(1)
    assert answer["peer"] == "hello"
    _break_hearing(node, kind, monkeypatch)
    peer.connection.send(_begun() if kind is Underway else encode(MESSAGES[kind]))
    await _ends(node, unforeseen)
    assert len(await peer.replies(2)) == 1
    silent.start()
    await cluster.leader()
    await (await bystander(cluster, other.index)).is_served()


@pytest.mark.parametrize("kind", [PeerHello, FormationView])
async def test_what_fails_half_way_while_the_cluster_forms_stops_the_node(
    nursery: trio.Nursery,
    virtual_time: None,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    unforeseen: Records,
    kind: type,
) -> None:
    cluster = Cluster(nursery, 1)
    node = cluster.nodes[0]
    node.start(may_end=True)
    _break(node, BEFORE_IT_HAS_FORMED[kind], monkeypatch)
    peer = await cluster.connect(0)
    peer.connection.send(encode(MESSAGES[PeerHello]) + encode(MESSAGES[FormationView]))
    await _ends(node, unforeseen)


@pytest.mark.parametrize("op", CHANGES + ADMINISTRATIVE)
async def test_a_change_that_fails_half_way_is_answered_by_nobody(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records, op: str
) -> None:
    node = await _victim(cluster, leads=True)
    other = await bystander(cluster, (node.index + 1) % 3)
    for place in ("replica.machine.apply", "replica.administration._begin"):
        _break(node, place, monkeypatch)
    client = await cluster.connect(node.index)
    assert node.driver is not None
    own = {"client": f"{node.driver.replica.cluster[:8]}-1"} if op == "close_session" else {}
    client.send({**_request(op), **own})
    await _ends(node, unforeseen)
    assert await client.replies(1) == []
    await cluster.leader()
    await other.is_served()


@pytest.mark.parametrize(
    ("place", "leads"),
    [
        ("replica.administration.accept", True),
        ("replica.requests.route", True),
        ("replica.requests.servable", True),
        ("replica.requests.give_up_late", False),
        ("replica.requests.link_lost", False),
        ("replica.administration.advance", False),
        ("replica.administration.link_lost", False),
        ("replica.core.tick", False),
        ("replica.core.ready", False),
        ("replica.core.persisted", True),
        ("replica.core.next_append", True),
        ("replica.core.peer_connected", False),
        ("replica.core.peer_lost", False),
        ("replica.core.compacted", True),
        ("replica.introductions._evidence.remember", False),
        ("replica.snapshots.tick", False),
        ("hub.expire", False),
    ],
)
async def test_what_else_decides_and_fails_stops_the_node(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records, place: str, leads: bool
) -> None:
    node = await _victim(cluster, leads)
    silent, other = [cluster.nodes[(node.index + step) % 3] for step in (1, 2)]
    _break(node, place, monkeypatch)
    _redial(node)
    _redial(silent)
    await _ask_at_once(cluster, node.index, GET, PUT, {"op": "snapshot"})
    await trio.sleep(0.1)
    silent.crash()
    await _ends(node, unforeseen)
    silent.start()
    await cluster.leader()
    await (await bystander(cluster, other.index)).is_served()


async def test_replies_that_fail_while_they_are_dealt_out_stop_the_node(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records
) -> None:
    node = await _victim(cluster, leads=True)
    some = await _ask_at_once(cluster, node.index, {"op": "ping"})
    for client in some:
        await client.replies(1)  # by now the node knows that they are clients
    monkeypatch.setattr(ClientConnection, "deliver", _fail)
    for client in some:
        client.send(GET)
    await _ends(node, unforeseen)
    for client in some:
        assert len(await client.replies(2)) == 1


@pytest.mark.parametrize("place", ["replica.core.snapshot_stored", "replica.requests.restore"])
async def test_a_leaders_snapshot_that_fails_half_way_stops_the_node(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unforeseen: Records, place: str
) -> None:
    cluster.tune(OFTEN)
    leader, behind = await leave_one_behind(cluster)
    assert (await cluster.ask(leader, {"op": "snapshot"}))[0]["ok"]
    behind.start(may_end=True)
    _break(behind, place, monkeypatch)
    await _ends(behind, unforeseen)
    await (await bystander(cluster, leader)).is_served()


# The log


@pytest.mark.parametrize("format", ["text", "json"])
async def test_a_node_that_must_stop_says_why_with_the_cause_itself(
    cluster: Cluster,
    own_log: None,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    format: str,
) -> None:
    node = await _victim(cluster, leads=False)
    _break(node, "replica.administration.accept", monkeypatch)
    logs.configure(format, "critical")
    client = await cluster.connect(node.index)
    client.send({"op": "snapshot"})
    with trio.fail_after(10):
        while node.code is None:
            await trio.sleep(0.01)
    logging.getLogger("trioraft").handlers[0].flush()
    said = capfd.readouterr().err
    if format == "json":
        said = json.loads(said.splitlines()[0])["traceback"]
    else:
        assert (
            f"node {node.index} stops, which is a bug: ZeroDivisionError: put here by the test" in said.splitlines()[0]
        )
    assert said.index("in _fail") < said.index("HalfDone"), "the cause comes first"
    assert "ExceptionGroup" not in said


def _raise(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UnknownCommand("entry 7 comes from a newer version, upgrade this node"), 1, "upgrade this node"),
        (UnknownFormat("log-1", 9), 1, "log-1 has format 9, which this version does not know (upgrade this node)"),
        (OSError(5, "Input/output error", "log-1"), 74, "its disk has failed: log-1: Input/output error"),
    ],
    ids=["command", "format", "disk"],
)
async def test_what_is_no_bug_stops_a_node_without_a_traceback(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    code: int,
    said: str,
) -> None:
    node = await _victim(cluster, leads=False)
    assert node.driver is not None
    monkeypatch.setattr(node.driver.requests, "apply", _raise(error))
    assert (await cluster.ask(await cluster.leader(), {"op": "put", "key": "k", "value": 1}))[0]["ok"]
    with trio.fail_after(10):
        while node.code is None:
            await trio.sleep(0.01)
    assert node.code == code
    assert said in caplog.text


@pytest.mark.parametrize(
    ("owner", "name"), [(node, "Driver"), (DataFolder, "open"), (node, "WorkerThread"), (node, "serve")]
)
def test_what_fails_before_a_node_lives_is_in_its_log(
    tmp_path: Path,
    own_log: None,  # noqa: ARG001
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    owner: object,
    name: str,
) -> None:
    monkeypatch.setattr(owner, name, _fail)
    options = NodeOptions(0, [Address("127.0.0.1", 1)], tmp_path / "data", listen=Address("127.0.0.1", 0))
    assert run_node(options) == 70
    logging.getLogger("trioraft").handlers[0].flush()
    said = capfd.readouterr().err
    assert "node 0 stops, which is a bug: ZeroDivisionError: put here by the test" in said
    assert "in _fail" in said


class _Hears:
    """A handler that may fail at each call."""

    def __init__(self, hear: Callable[[bytes], object]) -> None:
        self._hear = hear
        self.is_broken = False

    def received(self, data: bytes) -> None:
        self._hear(data)

    def drained(self) -> None: ...

    def broken(self) -> None:
        self.is_broken = True


async def test_what_fails_on_a_socket_ends_that_alone(unforeseen: Records) -> None:
    hub = SocketHub()
    listener = hub.listen(Address("127.0.0.1", 0))
    heard: list[bytes] = []
    failing, other = _Hears(_fail), _Hears(heard.append)
    ends = []
    with trio.fail_after(10):
        for handler in (failing, other):
            ends.append(await trio.open_tcp_stream("127.0.0.1", listener.address.port))
            [connection] = await listener.accept()
            connection.handler = handler
            connection.resume()
            await ends[-1].send_all(b"bytes")
        while not heard:
            await hub.wait()
            hub.serve()
        assert await ends[0].receive_some() == b""
    assert failing.is_broken
    assert not other.is_broken
    seen(unforeseen)
    for end in ends:
        await end.aclose()
    listener.close()
    hub.close()
