"""Impossible addresses: they are refused where they are given, and tolerated where a cluster holds them already."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trioraft.raft.membership import Configuration, Formation, Member
from trioraft.raft.messages import HardState
from trioraft.storage.disk import RealDisk
from trioraft.storage.folder import DataFolder, Identity
from trioraft.storage.log import SegmentedLog
from trioraft.storage.snapshots import SnapshotWriter
from trioraft.wire import entries
from trioraft.wire.snapshots import FORMAT, SnapshotHeader

from ..helpers.processes import HOST, Cluster, Node, eventually, free_ports
from .test_members import command, told, votes

CANNOT_BE = ["a..b:8000", "a" * 64 + ":1", "b\xfc" + "c" * 70 + ":80", "a\x00b:1", "no address"]
CLUSTER, FOLDER = "c" * 32, "f" * 32


@pytest.fixture
def alone(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path, 1)


def make_folder(node: Node, where: str, own: str = "") -> None:
    """Members that an earlier version let in: a voter, and learners at impossible addresses."""
    voter = Member(0, own or f"{HOST}:{node.port}", "voter", FOLDER)
    first = Configuration((voter,), 1)
    learners = [Member(id, address, "learner", "") for id, address in enumerate(CANNOT_BE, 1)]
    bad = Configuration((voter, *learners), 1 + len(learners))
    node.data.mkdir()
    disk = RealDisk(node.data)
    DataFolder.write_identity(
        disk, Identity(1, 0, FOLDER, 0, Formation(CLUSTER, bad if where == "formation" else first))
    )
    if where == "snapshot":
        SnapshotWriter(disk, SnapshotHeader(FORMAT, CLUSTER, 1, 1, 1, bad, {})).finish()
        SegmentedLog.create(disk, FOLDER, 1, 1)
    else:
        SegmentedLog.create(disk, FOLDER)
    if where == "log":
        log, _ = SegmentedLog.open(disk, FOLDER)
        log.write(HardState(1, 0), [entries.seal(1, 1, "configuration", entries.write_configuration(bad))])
        log.close()


@pytest.mark.parametrize(
    "where", ["log", *[pytest.param(place, marks=pytest.mark.slow) for place in ("formation", "snapshot")]]
)
def test_a_cluster_that_holds_addresses_that_cannot_be_lives_and_gets_rid_of_them(alone: Cluster, where: str) -> None:
    (node,) = alone.nodes
    make_folder(node, where)
    with alone:
        alone.start()
        alone.leader()
        assert node.put("k", 1)["ok"]
        for id in range(1, 1 + len(CANNOT_BE)):
            said = re.compile(rf"node {id} at .* cannot be reached: \S.*")
            eventually(lambda said=said: said.search(node.log), f"why node {id} cannot be reached")  # type: ignore[misc]
            assert len(said.findall(node.log)) == 1, "said once"
        assert "Traceback" not in node.log
        shown = command("status", at=node)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "a..b:8000" in shown.stdout
        assert "no address" in told("members", at=node)
        for id in range(1, 1 + len(CANNOT_BE)):
            assert node.ask({"op": "remove_member", "member": id})["ok"]
        assert [member["id"] for member in node.ask({"op": "members"})["members"]] == [0]
        node.restart()
        alone.leader()


def test_a_node_whose_own_address_cannot_be_says_so_or_listens_elsewhere(alone: Cluster) -> None:
    (node,) = alone.nodes
    make_folder(node, "formation", own="a..b:8000")
    with alone:
        node.start()
        assert node.wait() == 1
        assert "cannot listen on a..b:8000" in node.log
        assert "Traceback" not in node.log
        node.options = ["--listen", f"{HOST}:{node.port}"]
        node.start()
        node.listens()
        eventually(lambda: node.put("k", 1)["ok"], "it takes writes")


def test_an_address_that_cannot_be_is_refused_wherever_it_is_given(steady: Cluster, tmp_path: Path) -> None:
    at, (port,) = steady.nodes[0], free_ports(1)
    bad = tmp_path / "bad.txt"
    bad.write_text(f"{HOST}:{port}\na..b:8000\n")
    good = tmp_path / "good.txt"
    good.write_text(f"{HOST}:{port}\n")
    backup = tmp_path / "all.jsonl"
    told("backup", backup, at=at)
    for words in (
        ["members", "add", "a..b:8000"],
        ["members", "add", "b\xfccher:80"],
        ["members", "apply", bad],
        ["get", "k", "--connect", "a..b:8000"],
        ["get", "k", "--servers", bad],
        ["status", "--connect", f"{HOST}:{at.port}", "--connect", "a:1" + "1" * 5000],
        ["shell", "a..b:8000"],
        ["node", 0, bad, "--data-dir", tmp_path / "n"],
        ["node", 0, good, "--data-dir", tmp_path / "n", "--listen", "300.1.1.1:80"],
        ["restore", backup, "--data-dir", tmp_path / "n", "--address", "a..b:8000"],
        ["recover", "--data-dir", at.data, "--force-members", "a..b:8000"],
    ):
        refused = command(*words, at=at)
        assert refused.returncode == 2, words
        assert "no address" in refused.stderr or "no port" in refused.stderr, words
        assert "Traceback" not in refused.stderr, words
    assert not (tmp_path / "n").exists(), "nothing was done"
    environment = {**os.environ, "TRIORAFT_SERVERS": "a..b:8000"}
    line = [sys.executable, "-m", "trioraft_cli", "get", "k"]
    assert subprocess.run(line, env=environment, capture_output=True, timeout=60).returncode == 2
    members = at.ask({"op": "members"})
    for address in CANNOT_BE:
        error = at.ask({"op": "add_member", "address": address})["error"]
        assert (error["code"], error["applied"]) == ("bad_request", "no"), error
    assert at.ask({"op": "members"}) == members


GONE = ("[100::1]:8000", "[100::2]:8000", "[100::3]:8000")
"""Addresses that no machine has: packets to them are discarded (RFC 6666)."""
LOGS = {0: [1, 1], 1: [1, 1, 2], 2: [1, 1, 1, 1]}
"""The terms of each node's entries. Node 1's last entry has the highest term: it has everything committed."""


def make_moved(cluster: Cluster) -> None:
    """Make three folders whose cluster has the nodes at lost addresses; servers.txt has the new ones."""
    members = tuple(Member(id, address, "voter", f"{id}" * 32) for id, address in enumerate(GONE))
    formation = Formation(CLUSTER, Configuration(members, 3))
    for node in cluster.nodes:
        node.data.mkdir()
        disk = RealDisk(node.data)
        folder = members[node.index].folder
        DataFolder.write_identity(disk, Identity(1, node.index, folder, 0, formation))
        SegmentedLog.create(disk, folder)
        log, _ = SegmentedLog.open(disk, folder)
        terms = LOGS[node.index]
        commands = [b'{"op":"put","key":"k%d","value":%d}' % (index, term) for index, term in enumerate(terms, 1)]
        written = [
            entries.seal(index, term, "command", command)
            for index, (term, command) in enumerate(zip(terms, commands, strict=True), 1)
        ]
        log.write(HardState(terms[-1]), written)
        log.close()


@pytest.mark.slow
def test_when_all_addresses_have_changed_the_way_that_is_named_keeps_the_data(unstarted: Cluster) -> None:
    """The steps of docs/operations.md, command by command."""
    cluster = unstarted
    make_moved(cluster)
    new = [f"{HOST}:{node.port}" for node in cluster.nodes]
    for node in cluster.nodes:
        node.start()
        assert node.wait() == 1
        assert f"cannot listen on {GONE[node.index]}, where the cluster has it" in node.log
        assert f"in servers.txt {new[node.index]}" in node.log
        assert f"recover --data-dir {node.data} --force-members {new[node.index]}" in node.log
        assert "Traceback" not in node.log
    for node, place in zip(cluster.nodes, new, strict=True):
        node.options = ["--listen", place]
    cluster.start()
    ends = {}
    for node in cluster.nodes:
        shown = json.loads(told("show-log", "--limit", 1, "-o", "json", at=node))["entries"][-1]
        ends[node.index] = (shown["term"], shown["index"])
        assert "and a member keeps its address" in node.log
    most = cluster.nodes[max(ends, key=lambda index: ends[index])]
    assert most.index == 1
    for node in cluster.nodes:
        assert node.stop() == 0
        node.options = []
    told("recover", "--data-dir", most.data, "--force-members", new[most.index], at=most)
    most.start()
    most.listens()
    eventually(lambda: most.get("k3").get("value") == 2, "it leads, with all that was committed")
    lines = ["-" if node is not most else new[most.index] for node in cluster.nodes]
    for node in [node for node in cluster.nodes if node is not most]:
        place = new[node.index]
        id = json.loads(told("members", "add", place, "-o", "json", at=most))["member"]["id"]
        lines += ["-"] * (id - len(lines)) + [place]
        cluster.servers.write_text("".join(f"{line}\n" for line in lines))
        node.data.rename(node.data.with_suffix(".old"))
        node.index = id
        node.start()
        votes(most, id)
    assert "can lose 1 of 3" in told("members", at=most)
    assert all(node.get("k3")["value"] == 2 for node in cluster.nodes)
