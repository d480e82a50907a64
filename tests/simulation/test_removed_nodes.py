"""The fast simulation tells a node that was removed while nobody could tell it, as its handshake does in earnest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trioraft.raft.membership import without
from trioraft.testing.simulated_connections import Conversation
from trioraft.testing.simulated_node import SimulatedNode
from trioraft.testing.simulation import TICK, Simulation
from trioraft.wire.codec import encode


class Watcher:
    """A client that watches everything, and does nothing of itself."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def hear(self, conversation: Conversation, lines: Sequence[bytes]) -> None:
        del conversation
        self.lines += lines

    def lose(self, conversation: Conversation) -> None:
        raise AssertionError(f"the connection to node {conversation.node} ends")


def run_until(simulation: Simulation, condition: Callable[[], bool]) -> None:
    simulation._run_until(condition, 40 * simulation.election_ticks * TICK, "it never comes to this")


def remove_unheard(simulation: Simulation, gone: SimulatedNode, *, alive: bool) -> None:
    """Remove a node that hears nobody, and let another node lead, to which it is no peer."""
    leader, network = simulation.leader(), simulation.network
    assert leader is not None
    if alive:
        network.cut(pair for pair in network.links if gone.node in pair)
    else:
        simulation.kill(gone, power=False, rest=20 * simulation.election_ticks * TICK, torn=False)
    index = leader.core.propose_configuration(without(leader.core.configuration, gone.node))
    simulation.disturb(leader, lambda _: None)
    run_until(simulation, lambda: leader.core.commit_index >= index)
    simulation.disturb(leader, lambda core: core.transfer_leadership(None))
    run_until(simulation, lambda: simulation.leader() not in (None, leader))


def cluster() -> tuple[Simulation, SimulatedNode]:
    """A cluster that works, and one of its followers."""
    simulation = Simulation(1, nodes=5, faults=())
    run_until(simulation, simulation._agrees)
    leader = simulation.leader()
    assert leader is not None
    return simulation, simulation.nodes[(leader.node + 1) % 5]


def test_one_that_was_cut_off_hears_of_it_and_ends_what_its_clients_wait_for() -> None:
    simulation, gone = cluster()
    watcher = Watcher()
    conversation = simulation.connections.converse(watcher, 2000, gone)
    conversation.send([encode({"op": "watch", "id": 1, "prefix": ""}) + b"\n"])
    run_until(simulation, lambda: any(b'"waiting":true' in line for line in watcher.lines))
    remove_unheard(simulation, gone, alive=True)
    assert not gone.replica.is_removed
    simulation.network.mend()
    run_until(simulation, lambda: any(b'"closed"' in line and b'"no_quorum"' in line for line in watcher.lines))
    assert gone.replica.is_removed


def test_one_that_was_down_hears_of_it_when_it_is_back() -> None:
    simulation, gone = cluster()
    remove_unheard(simulation, gone, alive=False)
    run_until(simulation, lambda: gone.up)
    assert not gone.replica.is_removed
    run_until(simulation, lambda: gone.replica.is_removed)
