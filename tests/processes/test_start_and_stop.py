"""From `trioraft node` to a leader, and to a clean end."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import pytest

from ..helpers.processes import FIRST_LEADER_SECONDS, HOST, Cluster, eventually, running_cluster

LEADS = re.compile(r"node (\d) leads in term (\d+)")


def test_three_nodes_have_a_leader_within_two_seconds_and_say_so_once(unstarted: Cluster) -> None:
    unstarted.start()
    leader = unstarted.leader(FIRST_LEADER_SECONDS)
    term = leader.status()["term"]
    said = [match.groups() for node in unstarted.nodes for match in LEADS.finditer(node.log)]
    assert said.count((str(leader.index), str(term))) == 1
    assert len({term for _, term in said}) == len(said), "two leaders of one term"


@pytest.mark.slow
def test_a_node_that_waits_says_for_whom(unstarted: Cluster) -> None:
    unstarted.start(unstarted.nodes[:2])
    last = unstarted.nodes[2]
    for node in unstarted.nodes[:2]:
        line = f"waiting for 1 of 3: node 2 at {HOST}:{last.port}"
        eventually(lambda node=node, line=line: line in node.log, "whom it waits for")  # type: ignore[misc]
        assert node.log.count(line) == 1
    refused = unstarted.nodes[0].put("key", "value")
    assert (refused["error"]["code"], refused["error"]["applied"]) == ("no_quorum", "no")
    unstarted.start([last])
    unstarted.leader()


def test_one_line_is_a_cluster_of_one(tmp_path: Path) -> None:
    with running_cluster(tmp_path, size=1) as cluster:
        (node,) = cluster.nodes
        assert node.put("name", "Alice")["ok"]
        node.restart()
        cluster.leader()
        assert node.get("name")["value"] == "Alice"


def test_sigterm_and_sigint_end_a_node_with_code_0(cluster: Cluster) -> None:
    assert cluster.nodes[0].put("name", "Alice")["ok"]
    assert cluster.nodes[1].stop() == 0
    cluster.nodes[2].signal(signal.SIGINT)
    assert cluster.nodes[2].wait() == 0
    assert cluster.nodes[0].stop() == 0
    cluster.start()
    cluster.leader()
    assert all(node.get("name")["value"] == "Alice" for node in cluster.nodes)


def test_a_leader_that_is_told_to_stop_answers_what_it_was_asked(cluster: Cluster) -> None:
    """Pipelined writes are done or say what happened to them; none is left without an answer."""
    leader = cluster.leader()
    with socket.create_connection((HOST, leader.port), 10) as connection:
        requests = [b'{"id":%d,"op":"put","key":"k%d","value":1}\n' % (n, n) for n in range(500)]
        connection.sendall(b"".join(requests[:400]))
        file = connection.makefile("rb")
        first = file.readline()
        assert b'"ok":true' in first
        leader.signal(signal.SIGTERM)
        answers = [first, *file]
        file.close()
    assert leader.wait() == 0
    assert len(answers) == 400
    done = sum(b'"ok":true' in answer for answer in answers)
    refused = sum(b'"applied":"no"' in answer or b'"applied":"unknown"' in answer for answer in answers)
    assert done + refused == 400
    cluster.leader()
    kept = cluster.running[0].ask({"op": "scan", "prefix": "k", "limit": 1000})["items"]
    assert len(kept) >= done


def test_a_busy_port_is_named(unstarted: Cluster) -> None:
    node = unstarted.nodes[0]
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, node.port))
        holder.listen()
        node.start()
        assert node.wait() not in (0, None)
    assert f"{HOST}:{node.port}" in node.log
    assert "servers.txt" in node.log
    assert "Traceback" not in node.log


def test_an_index_that_is_not_in_the_file_gets_the_numbered_addresses(unstarted: Cluster) -> None:
    node = unstarted.nodes[2]
    node.index = 7
    node.start()
    assert node.wait() == 2
    for index, other in enumerate(unstarted.nodes):
        assert re.search(rf"{index}\s+{HOST}:{other.port}", node.log)
    assert "Traceback" not in node.log
