"""Connections from false or faulty nodes: the node lives, and its cluster goes on."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest

from trioraft.wire.entries import seal

from ..helpers.processes import HOST, Cluster, end_sending, running_cluster

HUGE = 2**63
ACCEPTED = b'"peer":"hello"'


def as_node_1(cluster: Cluster, /, **changes: Any) -> dict[str, Any]:
    """The introduction of node 1 to node 0, as if it were started now."""
    record = json.loads((cluster.nodes[1].data / "node.json").read_text())
    true = {
        "peer": "hello",
        "protocol": [2, 2],
        "cluster": record["formation"]["cluster"],
        "sender": 1,
        "receiver": 0,
        "folder": record["folder"],
        "starts": record["starts"] + 1,
        "incarnation": "00",
        "term": 1,
        "last_index": 2**40,
        "servers": cluster.servers.read_text().split(),
        "formation": record["formation"],
        "level": 2,
        "cluster_level": 2,
    }
    return true | changes


def say(port: int, *lines: dict[str, Any] | bytes) -> bytes:
    """Send lines, and return all bytes until the node closes or falls silent."""
    received = b""
    with socket.create_connection((HOST, port), 10) as connection:
        try:
            for line in lines:
                connection.sendall(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
            end_sending(connection)
            while part := connection.recv(1 << 16):
                received += part
        except OSError:
            pass  # the node may have closed in the middle
    return received


def unharmed(cluster: Cluster) -> None:
    """Check that every node that was not killed lives, and takes writes and reads."""
    assert not [node for node in cluster.nodes if node.process and node.process.poll() not in (None, -signal.SIGKILL)]
    for node in cluster.running:
        assert node.put("after", node.index)["ok"]
        assert node.get("after")["value"] == node.index
    assert not any("Traceback" in node.log for node in cluster.nodes)


@pytest.mark.parametrize(
    "garbage",
    [
        b'{"peer":"hello"}\n',
        b'{"peer":7}\n',
        b'{"peer":"hello","protocol":[2,2],"sender":-1}\n',
        b'{"peer":"refused"}\n',
        b'{"peer":"hello",' + b"[" * 5000 + b"\n",
        b'{"peer":\xff\xff}\n',
        b'{"peer":"hel',
        b"\x00" * 4096 + b"\n",
    ],
)
def test_a_garbled_introduction(steady: Cluster, garbage: bytes) -> None:
    reply = say(steady.nodes[0].port, garbage)
    assert ACCEPTED not in reply
    unharmed(steady)


@pytest.mark.parametrize(
    "changes",
    [
        {"cluster": "00" * 16},
        {"receiver": 2},
        {"sender": 0},
        {"folder": "00" * 16},
        {"protocol": [7, 9]},
        {"starts": 0},
        {"sender": HUGE},
        {"term": -5},
        {"formation": None, "cluster": None, "folder": "11" * 16},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_introduction_with_one_wrong_field_is_refused(without_node_1: Cluster, changes: dict[str, Any]) -> None:
    cluster = without_node_1
    before = cluster.leader().status()["term"]
    reply = say(cluster.nodes[0].port, as_node_1(cluster, **changes), hijack(before))
    assert ACCEPTED not in reply
    unharmed(cluster)
    assert cluster.leader().status()["term"] == before


def test_the_introduction_of_these_tests_is_accepted_as_it_is(without_node_1: Cluster) -> None:
    assert ACCEPTED in say(without_node_1.nodes[0].port, as_node_1(without_node_1))
    unharmed(without_node_1)


def announced(*lines: bytes) -> dict[str, Any]:
    """The fields of a header about the lines that follow it."""
    data = b"".join(line + b"\n" for line in lines)
    return {"count": len(lines), "bytes": len(data), "crc": f"{crc32(data):08x}"}


def hijack(term: int) -> dict[str, Any]:
    """A vote request that a node would have to obey if it came from a member."""
    return {"type": "request_vote", "term": term + 100, "last_index": 10**6, "last_term": term + 99}


@pytest.mark.parametrize(
    "message",
    [
        {"type": "request_vote", "term": -1, "last_index": 1, "last_term": 1},
        {"type": "request_vote", "term": HUGE, "last_index": 1, "last_term": 1},
        {"type": "request_vote", "term": 10**30, "last_index": 1, "last_term": 1},
        {"type": "request_vote", "term": "9", "last_index": 1, "last_term": 1},
        {
            "type": "append_entries",
            "term": 1,
            "prev_index": -1,
            "prev_term": 0,
            "commit_index": 0,
            "round": 0,
            **announced(),
        },
        {
            "type": "append_entries",
            "term": 1,
            "prev_index": 0,
            "prev_term": 0,
            "commit_index": 0,
            "round": 0,
            **announced() | {"count": 10**9},
        },
        {"type": "append_entries_reply", "term": 1, "accepted": True, "match_index": -7, "round": 1},
        {"type": "propose", "number": -1, **announced(b"{}")},
        {"type": "no_such_type"},
        {"no": "type"},
        b"not json at all\n",
        b"[" * 100_000 + b"\n",
    ],
    ids=str,
)
def test_a_member_that_talks_nonsense(without_node_1: Cluster, message: dict[str, Any] | bytes) -> None:
    cluster = without_node_1
    say(cluster.nodes[0].port, as_node_1(cluster), message)
    unharmed(cluster)


def test_a_member_with_an_absurd_term_does_not_use_up_the_terms(cluster: Cluster) -> None:
    cluster.nodes[1].kill()
    cluster.leader()
    for term in (2**62, 2**63 - 1):
        vote = {"type": "request_vote", "term": term, "last_index": 2**62, "last_term": term - 1}
        say(cluster.nodes[0].port, as_node_1(cluster), vote)
        say(cluster.nodes[0].port, as_node_1(cluster), {"type": "request_vote_reply", "term": term, "granted": False})
    cluster.write_until_done("after", 1, seconds=5.0)
    unharmed(cluster)


@pytest.fixture(scope="module")
def without_node_1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two of three nodes; a test that has node 1's folder may speak for it."""
    with running_cluster(tmp_path_factory.mktemp("liar")) as cluster:
        cluster.nodes[1].kill()
        cluster.leader()
        yield cluster


@pytest.mark.parametrize("wrong", ["the entry's own", "that of all"])
def test_entries_with_a_wrong_checksum_are_not_taken(without_node_1: Cluster, wrong: str) -> None:
    cluster = without_node_1
    node = cluster.nodes[0]
    status = node.status()
    index, term = status["last_index"] + 1, status["term"] + 1
    header = {"type": "append_entries", "term": term, "prev_index": index - 1, "prev_term": status["term"]}
    entry = seal(index, term, "command", b'{"op":"put","key":"forged","value":1}').line
    if wrong == "that of all":
        header |= announced(entry) | {"crc": "00000000"}
    else:
        entry = b'{"crc":"00000000"' + entry[17:]
        header |= announced(entry)
    header |= {"commit_index": index, "round": 1, "commands_of": term}
    say(node.port, as_node_1(cluster), header, entry + b"\n")
    unharmed(cluster)
    assert node.get("forged", "stale")["value"] is None


def test_the_true_member_is_heard_again(without_node_1: Cluster) -> None:
    cluster = without_node_1
    cluster.start([cluster.nodes[1]])
    cluster.nodes[1].restart()  # a second start, because the liar was one start ahead
    cluster.leader()
    cluster.caught_up()
    unharmed(cluster)
