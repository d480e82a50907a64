"""Real nodes that break on command: cut off, slow, with a disk that hangs, killed meanwhile; and the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ..helpers.processes import Cluster, Node, eventually, running_cluster
from .test_command_line import trioraft

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("breakable"), options=["--allow-faults"]) as cluster:
        yield cluster


@pytest.fixture
def breakable(started: Cluster) -> Iterator[Cluster]:
    """Three nodes that break on command, with a leader; whole again after the test."""
    started.leader()
    yield started
    started.start([node for node in started.nodes if not node.running])
    assert trioraft(started, "fault", "heal").returncode == 0
    started.leader()
    started.caught_up()


def fault(cluster: Cluster, *words: str) -> list[str]:
    """Run the command; the lines that it prints."""
    result = trioraft(cluster, "fault", *words)
    assert result.returncode == 0, result
    return result.stdout.splitlines()


def stale(node: Node, key: str) -> Any:
    return node.get(key, read="stale")["value"]


def test_a_leader_that_is_cut_off_acknowledges_nothing_and_all_is_well_once_it_is_healed(breakable: Cluster) -> None:
    old = breakable.leader()
    others = [node for node in breakable.nodes if node is not old]
    old.put("seen", 1)
    breakable.caught_up()
    assert fault(breakable, "partition", str(old.index)) == [
        f"{old.index} | {others[0].index} {others[1].index}: the sides hear nothing of each other"
    ]
    lost = old.put("lost", 1)
    assert lost["error"]["code"] in ("no_quorum", "leader_changed")
    breakable.leader(among=others)
    for number in range(10):
        assert others[number % 2].put(f"kept {number}", number)["ok"]
    assert stale(old, "seen") == 1
    assert stale(old, "kept 9") is None
    assert old.status()["leader"] is None
    shown = trioraft(breakable, "fault", "show", "-o", "json").stdout.splitlines()
    assert [len(json.loads(line)["faults"]) for line in shown] == [4 if node is old else 2 for node in breakable.nodes]
    assert fault(breakable, "heal") == ["healed: every fault"]
    breakable.caught_up()
    for node in breakable.nodes:
        assert [stale(node, f"kept {number}") for number in range(10)] == list(range(10))
        assert stale(node, "lost") is None


@SLOW
def test_a_process_that_dies_behind_a_cut_is_missed_and_not_known_to_be_dead(breakable: Cluster) -> None:
    old = breakable.leader()
    others = [node for node in breakable.nodes if node is not old]
    fault(breakable, "partition", str(old.index))
    old.kill()
    breakable.leader(among=others)
    assert not any(f"node {old.index}, the leader, is gone" in node.log for node in others)
    told = trioraft(breakable, "fault", "cut", str(old.index), str(others[0].index))
    assert (told.returncode, told.stderr.count("does not answer")) == (0, 1)
    breakable.start([old])
    others[0].put("missed", 1)
    assert stale(old, "missed") is None, "the other ends of its links are still cut"
    fault(breakable, "heal")
    breakable.caught_up()


@SLOW
@pytest.mark.parametrize("one_way", [[], ["--one-way"]], ids=["both ways", "one way"])
def test_a_write_is_acknowledged_no_sooner_than_slow_links_let_it(breakable: Cluster, one_way: list[str]) -> None:
    leader = breakable.leader()
    for node in breakable.followers():
        fault(breakable, "slow", str(leader.index), str(node.index), "--ms", "150", *one_way)
    began = time.monotonic()
    assert leader.put("k", 1)["ok"]
    assert time.monotonic() - began >= (0.15 if one_way else 0.3)


@SLOW
def test_another_node_leads_where_the_disk_of_the_leader_hangs(breakable: Cluster) -> None:
    old = breakable.leader()
    others = [node for node in breakable.nodes if node is not old]
    assert fault(breakable, "disk", str(old.index), "--for", "60") == [f"the disk of node {old.index} hangs, for 60 s"]
    others[0].put("begins a write there", 1)
    breakable.leader(among=others)
    assert others[1].put("hung", 1)["ok"]
    assert stale(old, "hung") is None
    fault(breakable, "heal", str(old.index), "--kind", "disk")
    eventually(lambda: stale(old, "hung") == 1, "it has caught up")


@SLOW
def test_a_node_whose_disk_hangs_stops_when_it_is_told_to(breakable: Cluster) -> None:
    node = breakable.followers()[0]
    fault(breakable, "disk", str(node.index))
    breakable.leader().put("k", 1)
    assert node.stop() == 0
    breakable.start([node])
    breakable.caught_up()


@SLOW
def test_followers_that_cannot_be_heard_end_the_lead(breakable: Cluster) -> None:
    old = breakable.leader()
    for node in breakable.followers():
        fault(breakable, "cut", str(node.index), str(old.index), "--one-way")
    assert old.put("k", 1)["error"]["code"] == "no_quorum"
    eventually(lambda: old.status()["role"] != "leader", "it leads no more")
    fault(breakable, "heal")
    breakable.write_until_done("k", 2)


@SLOW
def test_nothing_acknowledged_is_lost_on_links_that_lose_much(breakable: Cluster) -> None:
    for one, other in (("0", "1"), ("1", "2"), ("2", "0")):
        fault(breakable, "drop", one, other, "--percent", "20")
    for number in range(20):
        breakable.write_until_done(f"dropped {number}", number, 60.0)
    fault(breakable, "heal")
    breakable.caught_up()
    for node in breakable.nodes:
        assert [stale(node, f"dropped {number}") for number in range(20)] == list(range(20))


def test_nodes_that_were_not_started_so_refuse_and_say_what_to_do(steady: Cluster) -> None:
    for words in (["heal"], ["partition", "0"]):
        result = trioraft(steady, "fault", *words)
        assert (result.returncode, result.stdout) == (2, "")
        assert "start the nodes with --allow-faults" in result.stderr


@SLOW
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cut", "0", "7"], "there is no node 7: there are 0, 1, 2"),
        (["cut", "0", "0"], "a link has two ends"),
        (["disk", "7"], "there is no node 7"),
        (["heal", "7"], "there is no node 7"),
        (["partition", "0,1,2"], "all nodes would be on one side"),
        (["slow", "0", "1", "--ms", "nan"], "'nan' is not a valid integer"),
        (["slow", "0", "1", "--ms", "60001"], "not in the range"),
        (["drop", "0", "1", "--percent", "0"], "not in the range"),
        (["disk", "0", "--for", "nan"], "'nan' is not a valid number"),
        (["heal", "0", "1", "2"], "name no node, or one, or the two ends"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_said_before_anything_is_broken(steady: Cluster, words: list[str], said: str) -> None:
    result = trioraft(steady, "fault", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
