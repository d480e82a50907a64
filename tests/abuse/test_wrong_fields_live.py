"""Every operation and every message between nodes, with each field of every wrong kind: none finds a bug.

The operations, messages and fields are the code's own lists.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from trioraft.wire.operations import OPERATIONS
from trioraft.wire.peers import PeerHello, Underway, encode

from ..helpers.bystanders import nobody_is_harmed
from ..helpers.processes import Cluster, Line, running_cluster
from ..server.test_unforeseen import MESSAGES
from .test_peers_live import as_node_1, introduced, line

WRONG: list[Any] = [
    *[None, True, 0, -1, 1, 1.5, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**40],
    *["", "x", "linearizable", "\x00", "\ud800", "é" * 700, "a..b:8000", "[::1]:0", "x" * 5000],
    *[[], [1, "x", None], {}, {"op": "get"}],
]
FORESEEN = {
    *["bad_json", "bad_request", "unknown_op", "too_deep", "line_too_long"],
    *["conflict", "not_leader", "compacted", "membership", "timeout"],
    *["lease_expired", "session_expired"],
}
"""The errors for a request that is wrong, or that is valid by chance and asks for something missing."""


def _requests(op: str) -> Iterator[bytes]:
    true = json.loads(OPERATIONS[op].example) | {"timeout_ms": 500}
    for name in ["op", "unknown", *[field.encode_name for field in msgspec.structs.fields(OPERATIONS[op].request)]]:
        for value in WRONG:
            for forward in (True, False):
                asked = true | {"forward": forward} | {name: value}
                if asked["op"] != "remove_member" or asked["member"] not in (0, 1, 2):  # the members must stay
                    yield json.dumps(asked).encode() + b"\n"


def _reply(connection: Line) -> dict[str, Any]:
    """Read the next reply, and pass over the events of what goes on."""
    while True:
        said = connection.read()
        if "event" not in said:
            return said


@pytest.mark.slow
@pytest.mark.parametrize("op", OPERATIONS)
def test_a_request_with_a_wrong_field_is_refused_and_nothing_else(steady: Cluster, op: str) -> None:
    requests = list(_requests(op))
    with nobody_is_harmed(steady):
        for node in steady.nodes:
            with Line(node.port) as connection:
                connection.send(*requests)
                for request in requests:
                    reply = _reply(connection)
                    assert reply["ok"] or reply["error"]["code"] in FORESEEN, (request, reply)


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two of three nodes; what they hear of the third will keep it out for good."""
    with running_cluster(tmp_path_factory.mktemp("disturbed")) as cluster:
        cluster.nodes[1].kill()
        cluster.leader()
        yield cluster


KINDS = sorted([kind for kind in MESSAGES if kind is not Underway], key=lambda kind: kind is PeerHello)
"""The messages, with the introduction last: nodes may believe a wrong one, and then no other."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_with_a_wrong_field_ends_its_connection_alone(disturbed: Cluster, kind: type) -> None:
    cluster = disturbed
    node = cluster.nodes[0]
    process, said = node.process, len(node.log)
    header, _, data = encode(MESSAGES[kind]).partition(b"\n")
    true = as_node_1(cluster) if kind is PeerHello else json.loads(header)
    for name in [*true, "unknown"]:
        for value in WRONG:
            with Line(node.port) if kind is PeerHello else introduced(cluster) as connection:
                connection.send(line(true | {name: value}) + data, b"nonsense\n")
                connection.socket.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionError):
                    while connection.socket.recv(1 << 16):
                        pass
    # A member may raise the term and disturb the leader; no node may stop.
    cluster.write_until_done("after", kind.__name__, seconds=20.0)
    assert node.running
    assert node.process is process
    assert "which is a bug" not in node.log[said:]
