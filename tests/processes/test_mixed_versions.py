"""A cluster of the last release and of this one: upgraded node by node while clients write, and back again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from trioraft.addresses import Address
from trioraft.client import Client
from trioraft.client.errors import Unknown

from ..helpers.former import former_release
from ..helpers.load import Threads
from ..helpers.processes import HOST, Cluster, Node, eventually, free_ports

NEEDS_LEVEL_2 = {"op": "open_session"}
LONG = "x" * 900_000
"""Five values of this size are more than a leader keeps in memory once a snapshot covers them."""


@pytest.fixture(scope="module")
def former() -> Iterator[Path]:
    """The source tree of the last release."""
    with former_release() as tree:
        yield tree


@pytest.fixture
def cluster(tmp_path: Path, former: Path) -> Iterator[Cluster]:
    """Three nodes of the last release, with a leader."""
    with Cluster(tmp_path) as cluster:
        for node in cluster.nodes:
            node.program = former
        cluster.start()
        cluster.leader()
        assert not any("level" in node.status() for node in cluster.nodes), "they are of the last release"
        yield cluster


class Clients(Threads):
    """A context in which clients write and read through the library. A write that fails is raised at its end.

    Each client has a key of its own. So a write whose outcome is unknown may go out again: it changes nothing then.
    """

    def __init__(self, nodes: Sequence[Node], count: int = 6) -> None:
        self.written = [0] * count
        self._addresses = [Address(HOST, node.port) for node in nodes]
        super().__init__(30, [partial(self._work, number) for number in range(count)])

    def _work(self, number: int) -> None:
        first = number % len(self._addresses)
        key = f"client-{number}"
        with Client([*self._addresses[first:], *self._addresses[:first]]) as client:
            while not self._stop.is_set():
                value = self.written[number] + 1
                self._put(client, key, value)
                self.written[number] = value
                assert client.call("get", key=key)["value"] == value

    @staticmethod
    def _put(client: Client, key: str, value: int) -> None:
        for attempt in range(3):
            try:
                client.call("put", key=key, value=value)
            except Unknown:
                if attempt == 2:
                    raise
            else:
                return

    def go_on(self) -> None:
        """Wait until each client has written some more."""
        before = list(self.written)

        def look() -> bool:
            if self.errors:
                raise self.errors[0]
            return all(now >= then + 5 for now, then in zip(self.written, before, strict=True))

        eventually(look, "every client goes on", 20.0)


def move(cluster: Cluster, node: Node, program: Path | None) -> None:
    """Let a node go to another release: stop it, start it with the same folder, and wait until it has all again."""
    assert node.stop() == 0
    node.program = program
    cluster.start([node])
    cluster.leader()


def same_everywhere(cluster: Cluster, clients: Clients) -> None:
    """Check that all nodes hold the same keys, and what the clients wrote last."""
    cluster.caught_up()
    first, *others = [node.everything() for node in cluster.nodes]
    assert all(other == first for other in others)
    assert [first[f"client-{number}"] for number in range(len(clients.written))] == clients.written


def test_a_cluster_is_upgraded_node_by_node_and_no_write_fails(cluster: Cluster) -> None:
    *first, last = [*cluster.followers(), cluster.leader()]
    with Clients(cluster.nodes) as clients:
        for node in first:
            clients.go_on()
            move(cluster, node, None)
            refused = node.ask(NEEDS_LEVEL_2)["error"]
            assert (refused["code"], refused["applied"]) == ("needs_upgrade", "no")
            assert f"node {last.index} at {HOST}:{last.port}" in refused["message"]
        clients.go_on()
        move(cluster, last, None)
        level_rises(cluster)
        clients.go_on()
    same_everywhere(cluster, clients)


@pytest.mark.slow
def test_no_node_of_the_last_release_joins_an_upgraded_cluster(cluster: Cluster, former: Path) -> None:
    for node in cluster.nodes:
        move(cluster, node, None)
    level_rises(cluster)
    at, back = cluster.leader(), cluster.followers()[0]
    assert back.stop() == 0
    is_refused(back, former)
    port = free_ports(1)[0]
    number = at.ask({"op": "add_member", "address": f"{HOST}:{port}"})["member"]["id"]
    cluster.servers.write_text(cluster.servers.read_text() + f"{HOST}:{port}\n")
    late = Node(number, port, cluster.servers, cluster.folder)
    cluster.nodes.append(late)
    is_refused(late, former)
    assert at.put("after", 1)["ok"]
    for node in (back, late):
        node.kill()
        node.program = None
    cluster.start([back, late])
    cluster.caught_up()
    assert back.everything() == late.everything() == at.everything()


def is_refused(node: Node, former: Path) -> None:
    """Start a node of the last release, and wait until its log says that it is to be upgraded."""
    node.program = former
    said = len(node.log)
    node.start()
    eventually(lambda: f"upgrade node {node.index}" in node.log[said:], "it is told to be upgraded")


def level_rises(cluster: Cluster) -> None:
    """Wait until each node knows that the cluster is at level 2."""
    for node in cluster.nodes:
        eventually(lambda node=node: node.status()["level"] == 2, f"node {node.index} is at level 2")  # type: ignore[misc]
        assert node.ask(NEEDS_LEVEL_2)["ok"]


@pytest.mark.slow
def test_each_node_may_lead_in_this_release_and_go_back(cluster: Cluster, former: Path) -> None:
    """Each starts from a snapshot that the other release has written."""
    with Clients(cluster.nodes) as clients:
        for kept in cluster.nodes:
            newer = [node for node in cluster.nodes if node is not kept]
            for program in (None, former):
                for node in newer:
                    assert node.ask({"op": "snapshot"})["ok"]
                    move(cluster, node, program)
                    lead(cluster, node)
                    clients.go_on()
    same_everywhere(cluster, clients)


def lead(cluster: Cluster, node: Node) -> None:
    """Hand the lead to that node, once it has caught up."""
    request = {"op": "transfer_leadership", "target": node.index}
    eventually(lambda: cluster.leader() is node or node.ask(request).get("ok"), f"node {node.index} leads")


@pytest.mark.slow
@pytest.mark.parametrize("newer", ["leader", "follower"])
def test_a_snapshot_travels_between_the_releases(cluster: Cluster, former: Path, newer: str) -> None:
    away, leader = cluster.followers()
    if newer == "leader":
        move(cluster, leader, None)
    lead(cluster, leader)
    assert leader.put("before", 1)["ok"]
    cluster.caught_up()
    behind: int = away.status()["last_index"]
    assert away.stop() == 0
    for number in range(6):
        assert leader.put(f"long-{number}", LONG)["ok"]

    def forgets() -> bool:
        """A leader keeps what a follower lacks that has answered a moment ago."""
        assert leader.put("again", 1)["ok"]
        assert leader.ask({"op": "snapshot"})["ok"]
        first: int = leader.status()["first_index"]
        return first > behind + 1

    eventually(forgets, "the leader has forgotten what the follower lacks")
    away.program = None if newer == "follower" else former
    cluster.start([away])
    cluster.caught_up()
    assert away.status()["first_index"] > behind + 1
    assert away.everything() == leader.everything()
