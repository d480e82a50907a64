"""Messages over the links between nodes, from strangers and from a member that went mad."""

from __future__ import annotations

import contextlib
import json
from typing import Any
from zlib import crc32

import pytest

from trioraft.wire.cluster_commands import LEVEL
from trioraft.wire.entries import seal

from ..helpers.bystanders import MEBIBYTE, nobody_is_harmed
from ..helpers.lines import INTRODUCTIONS, PEERS, TRUE_INTRODUCTION
from ..helpers.processes import Cluster, Line, end_sending
from .test_corpus_live import exchange

PARTS = 4


def as_node_1(cluster: Cluster, /, **changes: Any) -> dict[str, Any]:
    """The introduction of node 1 to node 0, as if it were started now."""
    record = json.loads((cluster.nodes[1].data / "node.json").read_text())
    true = {
        "cluster": record["formation"]["cluster"],
        "folder": record["folder"],
        "starts": record["starts"] + 1,
        "term": 1,
        "last_index": 2**40,
        "servers": cluster.servers.read_text().split(),
        "formation": record["formation"],
        "level": LEVEL,
    }
    return TRUE_INTRODUCTION | true | changes


def line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def announced(header: dict[str, Any], *entries: bytes) -> bytes:
    """A header and the lines that it announces."""
    data = b"".join(entry + b"\n" for entry in entries)
    return line(header | {"count": len(entries), "bytes": len(data), "crc": f"{crc32(data):08x}"}) + data


def introduced(cluster: Cluster) -> Line:
    """Open a connection on which node 0 takes the test for node 1."""
    connection = Line(cluster.nodes[0].port)
    assert connection.ask(as_node_1(cluster))["peer"] == "hello"
    return connection


def closed(connection: Line) -> bool:
    """Whether the node closes without another word."""
    with contextlib.suppress(ConnectionError):
        assert connection.socket.recv(1 << 16) == b""
    return True


@pytest.mark.parametrize("part", range(PARTS))
def test_a_member_that_says_what_no_member_says_is_hung_up_on(without_node_1: Cluster, part: int) -> None:
    cluster = without_node_1
    with nobody_is_harmed(cluster):
        for peer in PEERS[part::PARTS]:
            with introduced(cluster) as connection:
                with contextlib.suppress(ConnectionError):
                    connection.send(*[line + b"\n" for line in peer.lines])
                assert closed(connection), peer.name


def test_an_introduction_with_anything_wrong_in_it_is_refused(without_node_1: Cluster) -> None:
    cluster = without_node_1
    with nobody_is_harmed(cluster):
        for introduction in INTRODUCTIONS:
            hello = as_node_1(cluster, **introduction.change)
            vote = {"type": "request_vote", "term": 2**32, "last_index": 2**40, "last_term": 2**31}
            reply = exchange(cluster.nodes[0].port, line(hello) + line(vote))
            assert reply == b"" or json.loads(reply)["peer"] == "refused", (introduction.name, reply)


@pytest.mark.parametrize(
    "stranger",
    [{"sender": 7, "cluster": "00" * 16}, {"sender": 99, "cluster": None, "formation": None, "folder": "00" * 16}],
    ids=str,
)
def test_a_stranger_cannot_lead_a_node_anywhere(steady: Cluster, stranger: dict[str, Any]) -> None:
    before = steady.leader().status()
    term = before["term"] + 1000
    entry = seal(1, term, "command", b'{"op":"put","key":"forged","value":1}')
    append = {"type": "append_entries", "term": term, "prev_index": 0, "prev_term": 0, "commit_index": 1, "round": 1}
    with nobody_is_harmed(steady):
        for node in steady.nodes:
            hello = as_node_1(steady, receiver=node.index, **stranger)
            messages = [announced(append, entry.line)]
            messages += [line({"type": "request_vote_reply", "term": term, "granted": False})]
            reply = exchange(node.port, line(hello) + b"".join(messages))
            assert json.loads(reply)["peer"] == "refused"
    after = steady.leader().status()
    assert (after["term"], after["leader"]) == (before["term"], before["leader"])
    assert all(node.get("forged", "stale")["value"] is None for node in steady.nodes)


def test_messages_before_the_introduction_are_no_messages(steady: Cluster) -> None:
    vote = {"type": "request_vote", "term": 2**32, "last_index": 2**40, "last_term": 2**31}
    term = steady.leader().status()["term"]
    with nobody_is_harmed(steady):
        for node in steady.nodes:
            reply = json.loads(exchange(node.port, line(vote)))
            assert reply["error"]["code"] == "bad_request"
    assert steady.leader().status()["term"] == term


@pytest.mark.parametrize("cut", ["header", "after the header", "entry", "after an entry", "introduction"])
def test_a_message_that_breaks_off_is_no_message(without_node_1: Cluster, cut: str) -> None:
    cluster = without_node_1
    node = cluster.nodes[0]
    status = node.status()
    index, term = status["last_index"] + 1, status["term"]
    header = {"type": "append_entries", "term": term, "prev_index": index - 1, "prev_term": term}
    header |= {"commit_index": index, "round": 1}
    entries = [seal(index + i, term, "command", b'{"op":"put","key":"cut","value":1}').line for i in range(3)]
    message = announced(header, *entries)
    head, entry = message.splitlines(keepends=True)[:2]
    with nobody_is_harmed(cluster):
        if cut == "introduction":
            assert exchange(node.port, line(as_node_1(cluster))[:-20]) == b""
        else:
            with introduced(cluster) as connection:
                part = {"header": head[:-20], "after the header": head, "entry": head + entry[:-20]}.get(cut)
                connection.send(part or head + entry)
                end_sending(connection.socket)
                assert closed(connection)
    assert node.get("cut", "stale")["value"] is None


def test_a_million_promised_entries_that_never_come_cost_nothing(without_node_1: Cluster) -> None:
    cluster = without_node_1
    header = {"type": "append_entries", "term": 1, "prev_index": 0, "prev_term": 0, "commit_index": 0, "round": 0}
    with nobody_is_harmed(cluster, 16), introduced(cluster) as connection:
        connection.send(line(header | {"count": 1_000_000, "bytes": 2**32, "crc": "00000000"}))
        for _ in range(3):
            cluster.leader()


def test_an_introduction_without_an_end_is_not_kept(steady: Cluster) -> None:
    node = steady.nodes[0]
    with nobody_is_harmed(steady):
        start = b'{"peer":"hello","cluster":"'
        assert exchange(node.port, start + b"x" * (100 * MEBIBYTE)) == b""
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                connection = stack.enter_context(Line(node.port))
                connection.send(start + b"x" * 200_000)
            assert node.status()["ok"]


def test_a_member_that_dials_again_and_again_is_one_member(without_node_1: Cluster) -> None:
    cluster = without_node_1
    with nobody_is_harmed(cluster), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(introduced(cluster)) for _ in range(100)]
        for connection in connections[:-1]:
            assert closed(connection), "the newest supersedes the others"
        connections[-1].send({"type": "read_index", "number": 1})
        connections[-1].send(b"nonsense\n")
        assert closed(connections[-1])
