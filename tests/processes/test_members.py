"""Members that come and go, leads that are handed over, snapshots, and new clusters, with real nodes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ..helpers import prepared
from ..helpers.processes import HOST, Cluster, Line, Node, eventually, free_ports


def command(*words: object, at: Node) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line against that node."""
    environment = {**os.environ, "TRIORAFT_SERVERS": f"{HOST}:{at.port}"}
    return prepared.run(list(map(str, words)), environment)


def told(*words: object, at: Node) -> str:
    done = command(*words, at=at)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def writers(among: list[Node], many: int = 4) -> Iterator[list[dict[str, Any]]]:
    """Clients that write all the time, each through one node, and record every failure."""
    refused: list[dict[str, Any]] = []
    ended = threading.Event()
    written: dict[str, int] = {}

    def write(number: int) -> None:
        with Line(among[number % len(among)].port) as line:
            count = 0
            while not ended.is_set():
                reply = line.ask({"op": "put", "key": f"writer-{number}", "value": count})
                if reply["ok"]:
                    written[f"writer-{number}"] = count
                else:
                    refused.append(reply)
                count += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(many)]
    for thread in threads:
        thread.start()
    try:
        yield refused
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert len(written) == many
    for key, value in written.items():
        assert among[0].get(key)["value"] >= value, "an acknowledged write is lost"


def newcomer(cluster: Cluster, at: Node) -> Node:
    """Add another node, start it, and wait until it votes."""
    (port,) = free_ports(1)
    node = len(cluster.nodes)
    assert f"node {node} at" in told("members", "add", f"{HOST}:{port}", at=at)
    lines = cluster.servers.read_text().splitlines()
    servers = cluster.folder / f"servers-{node}.txt"
    servers.write_text("\n".join([*lines, *["-"] * (node - len(lines)), f"{HOST}:{port}", ""]))
    new = Node(node, port, servers, cluster.folder)
    cluster.nodes.append(new)
    cluster.start([new])
    votes(at, node)
    return new


def members(at: Node) -> dict[int, str]:
    reply = at.ask({"op": "members"})
    return {member["id"]: member["role"] for member in reply["members"]}


def votes(at: Node, node: int) -> None:
    eventually(lambda: members(at).get(node) == "voter", f"node {node} votes", 20.0)


@pytest.mark.slow
def test_from_three_to_five_and_back_and_every_first_member_replaced_while_clients_write(cluster: Cluster) -> None:
    first = list(cluster.nodes)
    late = [newcomer(cluster, first[0]), newcomer(cluster, first[0])]
    with writers(late) as refused:
        for gone in first[:2]:
            told("members", "remove", gone.index, at=late[0])
            gone.kill()
        late.append(newcomer(cluster, late[0]))
        told("members", "remove", first[2].index, at=late[0])
        first[2].kill()
    assert refused == []
    assert sorted(members(late[0])) == [3, 4, 5]
    assert "can lose 1 of 3" in told("members", at=late[1])


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGHUP, signal.SIGHUP]], ids=["SIGTERM", "SIGHUP"])
def test_a_leader_that_is_told_to_stop_hands_over_and_nobody_else_notices(
    cluster: Cluster, signals: list[signal.Signals]
) -> None:
    """A closed terminal sends SIGHUP, and its shell sends it again."""
    leader = cluster.leader()
    others = [node for node in cluster.nodes if node is not leader]
    with writers(others) as refused:
        time.sleep(0.3)
        began = time.monotonic()
        for number in signals:
            leader.signal(number)
        assert leader.wait() == 0
        assert time.monotonic() - began < 2.5
        time.sleep(0.3)
    assert refused == []
    said = [line for line in leader.log.splitlines() if "stop" in line or "hands the lead to" in line]
    assert [line.rpartition(f"node {leader.index} ")[2].split(" to node")[0] for line in said] == [
        f"is told to stop ({signals[0].name})",
        "hands the lead",
        "stops",
    ]


def test_a_node_that_does_not_belong_to_its_terminal_stays_when_that_is_closed(unstarted: Cluster) -> None:
    [node, *_] = unstarted.nodes
    node.wrapper = ["nohup"]
    node.start()
    node.listens()
    node.signal(signal.SIGHUP)
    assert node.ask({"op": "ping"})["ok"]
    assert node.stop() == 0
    assert "SIGHUP" not in node.log


def test_the_lead_goes_where_it_is_told_to(cluster: Cluster) -> None:
    follower, other = cluster.followers()
    assert f"node {follower.index} leads" in told("transfer", follower.index, at=other)
    assert cluster.leader() is follower
    refused = command("transfer", 9, at=other)
    assert refused.returncode == 4
    assert "membership" in refused.stderr


def test_a_wiped_member_is_refused_and_told_how_to_come_back_and_that_works(cluster: Cluster) -> None:
    wiped, other = cluster.followers()
    other.put("k", 1)
    wiped.kill()
    shutil.rmtree(wiped.data)
    wiped.start()
    wiped.listens()
    eventually(lambda: f"members remove {wiped.index}" in wiped.log, "it is told what to do")
    told("members", "remove", wiped.index, at=other)
    wiped.kill()
    again = newcomer(cluster, other)
    assert again.get("k")["value"] == 1
    assert "has been removed" not in again.log


@pytest.mark.slow
def test_a_removed_node_stays_out_and_is_told_so(cluster: Cluster) -> None:
    gone, other = cluster.followers()
    told("members", "remove", gone.index, at=other)
    eventually(lambda: "has been removed" in gone.log, "it says so")
    gone.restart()
    term = other.status()["term"]
    time.sleep(1.5)
    assert other.status()["term"] == term, "it does not disturb"
    assert command("members", "remove", gone.index, at=other).returncode == 4
    assert gone.status()["role"] == "removed"
    assert "can lose 0 of 2" in told("members", at=gone), "it knows whom to ask"
    assert f"ask a member: {HOST}:" in command("get", "k", at=gone).stderr


def test_a_change_that_leaves_no_live_majority_is_refused_unless_forced(cluster: Cluster) -> None:
    dead, other = cluster.followers()
    leader = cluster.leader()
    dead.pause()
    alone = f"can lose 0 of 3, while node {dead.index} does not answer"
    eventually(lambda: alone in told("members", at=other), "the leader knows that it is dead")
    for gone in (leader, other):
        refused = command("members", "remove", gone.index, at=other)
        assert refused.returncode == 4
        assert f"while node {dead.index} does not answer" in refused.stderr
    assert cluster.leader() is leader
    assert other.put("k", 1)["ok"]
    with ThreadPoolExecutor() as pool:
        forced = pool.submit(command, "members", "remove", leader.index, "--force", at=other)
        eventually(lambda: other.status()["role"] == "leader", "the lead is handed over")
        dead.resume()  # a majority of those that stay must agree, and one of the two was dead
        assert forced.result().returncode == 0, forced.result().stderr
    assert sorted(members(other)) == sorted([dead.index, other.index])
    assert other.put("k", 2)["ok"]


def test_the_dead_one_may_be_removed_and_then_nothing_may_be_lost(cluster: Cluster) -> None:
    dead, _ = cluster.followers()
    leader = cluster.leader()
    dead.kill()
    told("members", "remove", dead.index, at=leader)
    assert "can lose 0 of 2" in told("members", at=leader)


def test_members_apply_shows_what_it_would_do_and_does_it(cluster: Cluster) -> None:
    at = cluster.leader()
    (port,) = free_ports(1)
    lines = cluster.servers.read_text().splitlines()
    gone = next(node.index for node in cluster.nodes if node is not at)
    wanted = cluster.folder / "wanted.txt"
    wanted.write_text("\n".join(["-" if i == gone else line for i, line in enumerate(lines)] + [f"{HOST}:{port}", ""]))
    shown = told("members", "apply", wanted, "--dry-run", at=at)
    assert shown.splitlines() == [f"would add node 3 at {HOST}:{port}", f"would remove node {gone}"]
    assert sorted(members(at)) == [0, 1, 2]
    new = Node(3, port, wanted, cluster.folder)
    cluster.nodes.append(new)
    new.start()
    told("members", "apply", wanted, at=at)
    assert sorted(members(at)) == sorted({0, 1, 2, 3} - {gone})
    assert "nothing to do" in told("members", "apply", wanted, at=at)


@pytest.mark.slow
def test_the_whole_cluster_moves_and_newcomers_found_none_of_their_own(cluster: Cluster) -> None:
    old = list(cluster.nodes)
    old[0].put("k", 1)
    wanted = cluster.folder / "wanted.txt"
    ports = free_ports(3)
    wanted.write_text("\n".join([*["-"] * 3, *[f"{HOST}:{port}" for port in ports], ""]))
    new = [Node(3 + position, port, wanted, cluster.folder) for position, port in enumerate(ports)]
    cluster.nodes += new
    for node in new:
        node.start()
    for node in new:
        node.listens()
    time.sleep(0.5)  # long enough to form a cluster, if that were allowed
    assert [node.status()["term"] for node in new] == [0] * 3
    told("members", "apply", wanted, at=old[0])
    assert sorted(members(new[0])) == [3, 4, 5]
    for node in old:
        node.kill()
    assert new[1].get("k")["value"] == 1


@pytest.mark.slow
def test_who_was_away_catches_up_though_a_newcomer_leads_that_it_does_not_know(cluster: Cluster) -> None:
    away, other = cluster.followers()
    away.kill()
    new = newcomer(cluster, other)
    told("transfer", new.index, at=other)
    other.put("k", 1)
    away.start()
    away.listens()
    eventually(lambda: away.ask({"op": "get", "key": "k", "read": "stale"})["value"] == 1, "it has caught up", 5.0)


def test_a_follower_that_was_away_for_long_comes_back_by_snapshot(cluster: Cluster) -> None:
    away, other = cluster.followers()
    away.kill()
    with Line(other.port) as line:
        for number in range(6000):
            line.send({"op": "put", "key": f"key-{number % 50}", "value": "x" * 100})
            if number % 500 == 499:
                for _ in range(500):
                    assert line.read()["ok"]
        time.sleep(1.2)  # the entries are kept that a follower lacks which has just answered
        assert cluster.leader(among=cluster.running).ask({"op": "snapshot"})["ok"]
    term = other.status()["term"]
    away.start()
    away.listens()
    cluster.caught_up()
    assert other.status()["term"] == term, "no election"
    assert away.everything() == other.everything()
    assert away.status()["first_index"] > 500
    assert [name for name in os.listdir(away.data) if name.startswith("snapshot-")]


def test_a_backup_becomes_a_cluster_of_its_own(cluster: Cluster, tmp_path: Path) -> None:
    at = cluster.leader()
    for number in range(300):
        at.put(f"key-{number}", {"number": number, "text": "\u00e9\u2028\n"})
    file = tmp_path / "backup.jsonl"
    assert "300 keys" in told("backup", file, at=at)
    before = at.get("key-7")
    (port,) = free_ports(1)
    servers = tmp_path / "one.txt"
    servers.write_text(f"{HOST}:{port}\n")
    told("restore", file, "--data-dir", tmp_path / "n0-restored", "--address", f"{HOST}:{port}", at=at)
    one = Node(0, port, servers, tmp_path)
    one.data = tmp_path / "n0-restored"
    cluster.nodes.append(one)
    cluster.start([one])
    one.status()
    eventually(lambda: one.get("key-7").get("ok"), "it leads")
    assert one.get("key-7") | {"at": before["at"]} == before
    assert one.everything() == at.everything()
    assert one.put("new", 1)["rev"] > 10**12
    assert command("restore", file, "--data-dir", one.data, "--address", f"{HOST}:{port}", at=at).returncode == 1


def test_a_survivor_becomes_a_cluster_and_the_old_one_is_refused(cluster: Cluster) -> None:
    survivor, other = cluster.followers()
    revision = survivor.put("k", "kept")["rev"]
    for node in cluster.nodes:
        node.signal(signal.SIGKILL)
    for node in cluster.nodes:
        node.wait()
    said = told("recover", "--data-dir", survivor.data, "--force-members", f"{HOST}:{survivor.port}", at=survivor)
    assert "before-" in said
    survivor.start()
    survivor.listens()
    eventually(lambda: survivor.get("k").get("value") == "kept", "it leads, with what it had")
    assert survivor.get("k")["rev"] == revision
    assert survivor.put("k", "new")["rev"] > 10**12
    other.start()  # one of the lost nodes comes back after all
    other.listens()
    eventually(lambda: "belongs to cluster" in other.log or "no member" in other.log, "it is refused")
    new = newcomer(cluster, survivor)
    assert new.get("k")["value"] == "new"
