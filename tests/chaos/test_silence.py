"""Packets vanish for a minute, with no connection closed: the cluster is whole as soon as the network is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..helpers.processes import Cluster, Node, eventually
from .switch import CannotSwitch, Switch

SILENCE_SECONDS = 30.0
"""How long the silence lasts. TCP alone retries some 25 s and 51 s after the cut: it would be silent for 20 s more."""
BACK_SECONDS = 12.0
"""How long the recovery may take: it takes less than 2 s, and longer on busy machines."""


@pytest.fixture
def switched(tmp_path: Path) -> Iterator[tuple[Cluster, Switch]]:
    """Three nodes, each on its own port of a switch."""
    with Cluster(tmp_path) as cluster, contextlib.ExitStack() as stack:
        try:
            switch = stack.enter_context(Switch([node.port for node in cluster.nodes]))
        except CannotSwitch as reason:
            pytest.skip(f"no switch can be had here: {reason}")
        cluster.servers.write_text("".join(f"{switch.address(node.index)}:{node.port}\n" for node in cluster.nodes))
        for node in cluster.nodes:
            node.wrapper = switch.wrapper(node.index)
        cluster.start()
        cluster.leader()
        assert cluster.nodes[0].put("k", 0)["ok"]
        cluster.caught_up()
        yield cluster, switch


def test_a_link_whose_packets_vanish_is_given_up_and_made_anew(switched: tuple[Cluster, Switch]) -> None:
    cluster, switch = switched
    leader, cut_off = cluster.leader(), cluster.followers()[0]
    made, gone = f"connected to node {cut_off.index}", f"the connection to node {cut_off.index} is gone"
    before = leader.log.count(gone)
    switch.unplug(cut_off.index)
    eventually(lambda: leader.log.count(gone) > before, "the leader gives the silent link up", 8.0)
    before = leader.log.count(made)
    switch.plug_in(cut_off.index)
    eventually(lambda: leader.log.count(made) > before, "it is made anew")


def seconds_until_all_agree(nodes: list[Node], value: int) -> float:
    """Wait until a write through one of them is acknowledged, and read at each. Return how many seconds that took."""
    began = time.monotonic()

    def done() -> bool:
        with contextlib.suppress(OSError, ValueError):
            written = nodes[0].ask({"op": "put", "key": "k", "value": value}, 3.0)
            return bool(written["ok"]) and all(
                node.ask({"op": "get", "key": "k"}, 3.0).get("value") == value for node in nodes
            )
        return False

    eventually(done, "a write is seen everywhere", 90.0)
    return time.monotonic() - began


@pytest.mark.slow
def test_a_follower_cut_off_silently_is_back_as_soon_as_the_network_is(switched: tuple[Cluster, Switch]) -> None:
    cluster, switch = switched
    follower = cluster.followers()[0]
    others = [node for node in cluster.nodes if node is not follower]
    switch.unplug(follower.index)
    assert cluster.write_until_done("k", 1, nodes=others) < 10
    time.sleep(SILENCE_SECONDS)
    assert follower.get("k", "stale")["value"] == 0
    term = max(node.status()["term"] for node in others)
    switch.plug_in(follower.index)
    took = seconds_until_all_agree([follower, *others], 2)
    print(f"a follower was back {took:.2f} s after the healing")
    assert took < BACK_SECONDS
    assert max(node.status()["term"] for node in others) == term, "its return made an election"


@pytest.mark.slow
def test_a_leader_cut_off_silently_is_back_as_soon_as_the_network_is(switched: tuple[Cluster, Switch]) -> None:
    cluster, switch = switched
    leader = cluster.leader()
    others = cluster.followers()
    switch.unplug(leader.index)
    assert cluster.write_until_done("k", 1, nodes=others) < 10
    time.sleep(SILENCE_SECONDS)
    switch.plug_in(leader.index)
    took = seconds_until_all_agree([leader, *others], 2)
    print(f"a leader of before was back {took:.2f} s after the healing")
    assert took < BACK_SECONDS


@pytest.mark.slow
def test_with_one_of_three_down_there_is_a_quorum_as_soon_as_the_network_is(switched: tuple[Cluster, Switch]) -> None:
    cluster, switch = switched
    down, _ = cluster.followers()
    down.kill()
    rest = cluster.running
    leader = cluster.leader()
    switch.unplug(leader.index)
    eventually(lambda: leader.put("k", 1).get("error", {}).get("code") == "no_quorum", "it says that it has no quorum")
    time.sleep(SILENCE_SECONDS)
    switch.plug_in(leader.index)
    took = seconds_until_all_agree(rest, 2)
    print(f"there was a quorum {took:.2f} s after the healing")
    assert took < BACK_SECONDS
