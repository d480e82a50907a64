"""kill -9 and SIGSTOP in the middle of writes: acknowledged writes stay, and refused ones never show."""

from __future__ import annotations

import time

import pytest

from ..helpers.load import Writers, check
from ..helpers.processes import Cluster, Line, Node, eventually

NO_QUORUM_SECONDS = 3.0


def back_and_whole(cluster: Cluster, writers: Writers, *dead: Node) -> None:
    """Start the dead nodes again, and compare every node with the replies to the writers."""
    cluster.start(dead)
    cluster.leader()
    cluster.caught_up(30)
    for node in cluster.nodes:
        check(writers, node)
    states = [node.everything() for node in cluster.nodes]
    assert states[0] == states[1] == states[2]


def under_way(writers: Writers, more: int = 200) -> None:
    """Wait until that many more writes are acknowledged."""
    goal = writers.count + more
    eventually(lambda: writers.count >= goal, f"{more} more writes", 20)


@pytest.mark.slow
def test_a_follower_killed(cluster: Cluster) -> None:
    with Writers(cluster.nodes) as writers:
        under_way(writers)
        dead = cluster.followers()[0]
        dead.kill()
        under_way(writers)
    back_and_whole(cluster, writers, dead)


def test_the_leader_killed(cluster: Cluster) -> None:
    with Writers(cluster.nodes) as writers:
        under_way(writers)
        dead = cluster.leader()
        dead.kill()
        under_way(writers)
    back_and_whole(cluster, writers, dead)


def test_all_killed_at_once(cluster: Cluster) -> None:
    with Writers(cluster.nodes) as writers:
        under_way(writers, 500)
        for node in cluster.nodes:
            node.signal(9)
        for node in cluster.nodes:
            node.wait()
    assert writers.count >= 500
    back_and_whole(cluster, writers, *cluster.nodes)


@pytest.mark.slow
def test_killed_again_and_again(cluster: Cluster) -> None:
    """For sixty seconds one, two or three nodes are dead in turn, while everybody writes."""
    deadline = time.monotonic() + 60
    turn = 0
    with Writers(cluster.nodes) as writers:
        while time.monotonic() < deadline:
            under_way(writers, 100)
            dead = [cluster.nodes[(turn + n) % 3] for n in range(turn % 3 + 1)]
            if turn % 2:
                leader = cluster.leader()
                dead = [leader, *(node for node in dead if node is not leader)]
            for node in dead:
                node.signal(9)
            for node in dead:
                node.wait()
            time.sleep((turn % 5) * 0.1)
            cluster.start(dead)
            turn += 1
    assert turn >= 6
    back_and_whole(cluster, writers)


def test_a_killed_leader_is_replaced_quickly(cluster: Cluster) -> None:
    """Its closed connections show its death, so no election timeout passes."""
    gaps = []
    for number in range(3):
        leader = cluster.leader()
        survivors = [node for node in cluster.nodes if node is not leader]
        assert leader.put("gap", number)["ok"]
        leader.kill()
        gaps.append(cluster.write_until_done("gap", -number, nodes=survivors))
        cluster.start([leader])
        cluster.leader()
        cluster.caught_up()
    assert sorted(gaps)[1] < 0.4, gaps
    assert max(gaps) < 1.5, gaps


@pytest.mark.slow
@pytest.mark.parametrize("leads", [True, False], ids=["leader", "follower"])
def test_two_of_three_killed_then_one_is_back(cluster: Cluster, leads: bool) -> None:
    """The last node refuses writes within the promised time, whether it led or followed."""
    assert cluster.nodes[0].put("name", "Alice")["ok"]
    cluster.caught_up()
    alone = cluster.leader() if leads else cluster.followers()[0]
    dead = [node for node in cluster.nodes if node is not alone]
    for node in dead:
        node.signal(9)
    for node in dead:
        node.wait()
    began = time.monotonic()
    error = alone.ask({"op": "put", "key": "name", "value": "Bob"})["error"]
    took = time.monotonic() - began
    assert (error["code"], took < NO_QUORUM_SECONDS) == ("no_quorum", True), (error, took)
    assert error["applied"] in ("no", "unknown")
    read = alone.get("name")["error"]
    assert read["code"] == "no_quorum"
    assert "applied" not in read
    stale = alone.get("name", "stale")
    assert stale["value"] == "Alice"
    assert alone.status()["role"] != "leader"
    assert alone.ask({"op": "show_log"})["entries"]
    cluster.start(dead[:1])
    cluster.write_until_done("name", "Alice")
    cluster.start(dead[1:])
    cluster.leader()
    cluster.caught_up()
    assert all(node.get("name")["value"] == "Alice" for node in cluster.nodes)


@pytest.mark.slow
def test_a_write_that_may_yet_take_effect_is_not_called_refused(cluster: Cluster) -> None:
    """The leader loses both followers with a write in its log: that write is `unknown`, and later ones too, or `no`."""
    leader = cluster.leader()
    followers = [node for node in cluster.nodes if node is not leader]
    for node in followers:
        node.pause()
    error = leader.ask({"op": "put", "key": "limbo", "value": 1})["error"]
    assert (error["code"], error["applied"]) == ("no_quorum", "unknown")
    later = leader.ask({"op": "put", "key": "later", "value": 1})["error"]
    assert (later["code"], later["applied"]) == ("no_quorum", "no")
    for node in followers:
        node.resume()
    cluster.write_until_done("after", 1)
    cluster.caught_up()
    assert all(node.get("later")["value"] is None for node in cluster.nodes)
    assert len({node.get("limbo")["value"] for node in cluster.nodes}) == 1


def test_a_paused_leader_is_replaced_and_steps_down_when_it_wakes(cluster: Cluster) -> None:
    with Writers(cluster.nodes) as writers:
        under_way(writers)
        leader = cluster.leader()
        term = leader.status()["term"]
        others = [node for node in cluster.nodes if node is not leader]
        leader.pause()
        gap = cluster.write_until_done("paused", 1, nodes=others)
        assert gap < 3.0
        assert cluster.leader(among=others) is not leader
        under_way(writers, 50)
        leader.resume()
        eventually(lambda: leader.status()["role"] == "follower", "the old leader follows")
        assert leader.status()["term"] > term
        assert leader.get("paused")["value"] == 1
        under_way(writers)
    back_and_whole(cluster, writers)


def test_a_paused_leader_serves_no_stale_read_when_it_wakes(cluster: Cluster) -> None:
    """A read that waited in the socket of a stopped leader is not answered from the old state."""
    leader = cluster.leader()
    others = [node for node in cluster.nodes if node is not leader]
    assert leader.put("seen", "old")["ok"]
    with Line(leader.port) as line:
        assert line.ask({"op": "get", "key": "seen"})["value"] == "old"
        leader.pause()
        cluster.write_until_done("seen", "new", nodes=others)
        line.send({"op": "get", "key": "seen"})
        leader.resume()
        reply = line.read()
    assert reply.get("value", "new") == "new", reply


def test_a_paused_follower_delays_nobody_and_catches_up(cluster: Cluster) -> None:
    follower, other = cluster.followers()
    leader = cluster.leader()
    follower.pause()
    term = leader.status()["term"]
    for number in range(200):
        assert other.put(f"while-{number}", number)["ok"]
    follower.resume()
    cluster.caught_up()
    assert follower.get("while-199", "stale")["value"] == 199
    assert cluster.leader().status()["term"] == term, "a follower that slept forced an election"
