"""The faults of the fast simulation, and their times, drawn from its seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final, Protocol

import msgspec

from trioraft.raft.core import Core
from trioraft.raft.membership import Role
from trioraft.raft.messages import NodeId
from trioraft.testing.simulated_network import MILLISECOND, Network
from trioraft.testing.simulated_node import SimulatedNode

TRAFFIC: Final = ("loss", "duplicate", "delay")
"""The faults of single messages."""
EVENTS: Final = (
    "partition",
    "one_way",
    "clog",
    "break",
    "kill",
    "power_cut",
    "kill_many",
    "coup",
    "usurper",
    "late_answers",
    "pause",
    "slow_disk",
    "sync_error",
    "full_disk",
    "no_snapshots",
    "bit_flip",
    "rumour",
    "transfer",
    "round_trip",
    "members",
    "drift",
)
KINDS: Final = (*TRAFFIC, *EVENTS)
PACE: Final = 20 * MILLISECOND
SLOWEST, QUICKEST = 0.9, 1.1
"""How clocks may run, beside one that is right."""


class World(Protocol):
    """The parts of the simulation that the faults use."""

    now: int
    nodes: list[SimulatedNode]
    network: Network
    tick: int
    """The length of a tick, in microseconds."""
    election_ticks: int

    def after(self, delay: int, call: Callable[..., None], *arguments: Any) -> None:
        """Make the call `delay` microseconds from now."""

    def count(self, fault: str) -> None:
        """Count an injected fault."""

    def leader(self) -> SimulatedNode | None:
        """The leader of the highest term that is up; None where there is none."""

    def kill(self, node: SimulatedNode, *, power: bool, rest: int) -> None:
        """End a node; it comes back after `rest` microseconds."""

    def disturb(self, node: SimulatedNode, event: Callable[[Core], object]) -> None:
        """Let `event` happen to a node's core."""

    def pause(self, node: SimulatedNode, duration: int) -> None:
        """Let a node stand still for `duration` microseconds."""

    def break_link(self, a: NodeId, b: NodeId) -> None:
        """Break the connections between two nodes, in both directions."""

    def rot(self, node: SimulatedNode, rest: int) -> None:
        """Kill a node, and flip a bit of data that its log vouches for: a start must notice it."""


class Faults:
    """The adversary of one run: it draws faults in storms, between lulls."""

    def __init__(self, world: World, random: Random, enabled: frozenset[str]) -> None:
        self.calm = False
        self._world = world
        self._random = random
        self._slow_disks: dict[NodeId, int] = {}
        """For each node with a slow disk: the most microseconds that a write takes."""
        self._clock_rates: dict[NodeId, float] = {}
        """For each node whose clock is wrong: how it runs beside one that is right."""
        self._acts: dict[str, Callable[[], None]] = {
            "partition": self._partition,
            "one_way": self._one_way,
            "clog": self._clog,
            "break": self._break,
            "kill": self._kill,
            "power_cut": self._power_cut,
            "kill_many": self._kill_many,
            "coup": self._coup,
            "transfer": self._transfer,
            "round_trip": self._round_trip,
            "members": self._members,
            "usurper": self._usurper,
            "late_answers": self._late_answers,
            "pause": self._pause,
            "slow_disk": self._slow_disk,
            "sync_error": self._sync_error,
            "full_disk": self._full_disk,
            "no_snapshots": self._no_snapshots,
            "bit_flip": self._bit_flip,
            "rumour": self._rumour,
            "drift": self._drift,
        }
        kinds = [kind for kind in EVENTS if kind in enabled]
        if len(kinds) > 3 and random.random() < 0.8:  # all kinds at once are not the worst: each hides others
            kinds = random.sample(kinds, random.randint(3, len(kinds)))
        self._rates = {kind: random.choice((0.003, 0.01, 0.03)) for kind in kinds}
        if "round_trip" in kinds:
            self._rates["round_trip"] = random.choice((0.03, 0.1))  # often: it needs a client that writes just then
        if "late_answers" in kinds:
            self._rates["late_answers"] = 0.03  # likewise: what was sent last must be under way just then
        self._storm = False
        self._storm_length, self._lull_length = random.choice(((60, 3), (30, 3), (15, 6)))
        """In election timeouts."""
        world.after(PACE, self._go_on)
        self._turn_weather()

    def disk_delay(self, node: NodeId) -> int:
        """Draw the duration of a node's next write, in microseconds."""
        longest = 0 if self.calm else self._slow_disks.get(node, 0)
        return 50 + self._random.randrange(500) + (self._random.randrange(longest) if longest else 0)

    def clock_rate(self, node: NodeId) -> float:
        """How the clock of that node runs beside one that is right."""
        return self._clock_rates.get(node, 1.0)

    def ease(self) -> None:
        """Make storms shorter from now on, and let a leader fall: too little has happened so far."""
        self._storm_length, self._lull_length = 8, 15
        self._coup()

    def _go_on(self) -> None:
        if self.calm:
            return
        for kind, rate in self._rates.items():
            if self._storm and self._random.random() < rate:
                self._acts[kind]()
        self._world.after(PACE, self._go_on)

    def _turn_weather(self) -> None:
        """Switch between storm and lull. The harm that a storm has done shows when things go on in a lull."""
        if self.calm:
            return
        self._storm = not self._storm
        length = self._storm_length if self._storm else self._lull_length
        self._world.after(length * self._world.election_ticks * self._world.tick, self._turn_weather)
        if self._storm:
            self._world.network.calm = False
        else:
            self._world.network.heal()

    def _rest(self) -> int:
        """Draw a duration in microseconds, from a moment to many election timeouts."""
        timeouts = self._random.choice((0.02, 0.2, 1, 3, 15))
        return int(timeouts * self._world.election_ticks * self._world.tick)

    def _alive(self) -> list[SimulatedNode]:
        return [node for node in self._world.nodes if node.up]

    def _drawn(self) -> SimulatedNode | None:
        """Draw a node that is up, the leader more often than another."""
        leader = self._world.leader()
        alive = self._alive()
        if not alive or (leader is not None and self._random.random() < 0.3):
            return leader
        return self._random.choice(alive)

    # The network

    def _partition(self) -> None:
        """Cut links at random, in both directions."""
        nodes = range(len(self._world.nodes))
        density = self._random.choice((0.1, 0.3, 0.6))
        cut = [(a, b) for a in nodes for b in nodes if a < b and self._random.random() < density]
        self._cut("partition", [pair for a, b in cut for pair in ((a, b), (b, a))])

    def _one_way(self) -> None:
        """Cut random links in one direction each; or all links to one node, or all from it."""
        nodes = range(len(self._world.nodes))
        if self._random.random() < 0.5:
            cut = [(a, b) for a in nodes for b in nodes if a != b and self._random.random() < 0.2]
        else:
            deaf = self._random.choice(nodes)
            cut = [(other, deaf) for other in nodes if other != deaf]
            if self._random.random() < 0.5:
                cut = [(b, a) for a, b in cut]
        self._cut("one_way", cut)

    def _cut(self, kind: str, links: list[tuple[NodeId, NodeId]]) -> None:
        if not links:
            return
        self._world.count(kind)
        self._world.network.cut(links)
        self._world.after(self._rest(), self._world.network.mend)

    def _clog(self) -> None:
        """Hold up one or two links."""
        links = sorted(self._world.network.links)
        for pair in self._random.sample(links, min(len(links), 2)):
            self._world.count("clog")
            self._hold_up(pair, self._rest())

    def _hold_up(self, pair: tuple[NodeId, NodeId], duration: int) -> None:
        link = self._world.network.links[pair]
        if link.clogged is None:
            link.clogged = []
            self._world.after(duration, self._world.network.open_clog, pair)

    def _break(self) -> None:
        """Break one or several connections."""
        pairs = [(a, b) for a, b in self._world.network.links if a < b]
        for a, b in self._random.sample(pairs, min(len(pairs), self._random.choice((1, 1, 3)))):
            self._world.count("break")
            self._world.break_link(a, b)

    def _rumour(self) -> None:
        """Tell a node, wrongly, that a peer is dead, or that it is back."""
        node = self._drawn()
        if node is None:
            return
        self._world.count("rumour")
        about = self._random.randrange(len(self._world.nodes))
        lost = self._random.random() < 0.7
        event: Callable[[Core], object] = (
            (lambda core: core.peer_lost(about)) if lost else (lambda core: core.peer_connected(about))
        )
        self._world.disturb(node, event)

    def _transfer(self) -> None:
        """Ask a leader to hand over the lead; now and then ask a node that does not lead."""
        node = self._world.leader() if self._random.random() < 0.8 else self._drawn()
        if node is None:
            return
        self._world.count("transfer")
        target = self._random.choice((None, self._random.randrange(len(self._world.nodes))))
        self._world.disturb(node, lambda core: core.transfer_leadership(target))

    def _round_trip(self) -> None:
        """Let the lead go to another node and come back, while a third hears nobody but is heard."""
        leader = self._world.leader()
        others = [node for node in self._alive() if node is not leader]
        if leader is None or len(others) < 2:
            return
        self._world.count("round_trip")
        deaf, other = sorted(self._random.sample(others, 2), key=lambda node: node.requests.idle)
        ticks = self._random.uniform(0.4, 0.95) * self._world.election_ticks
        for sender in range(len(self._world.nodes)):
            if sender != deaf.node:
                self._hold_up((sender, deaf.node), int(ticks * self._world.tick))
        self._world.disturb(leader, lambda core: core.transfer_leadership(other.node))
        self._give_back(other, leader, 4 * self._world.election_ticks)

    def _give_back(self, successor: SimulatedNode, leader: SimulatedNode, patience: int) -> None:
        if self.calm or patience == 0 or not successor.up:
            return
        if successor.core.role == "leader":
            pause = self._random.randrange(self._world.election_ticks * self._world.tick // 3)
            transfer: Callable[[Core], object] = lambda core: core.transfer_leadership(leader.node)  # noqa: E731
            self._world.after(pause, self._world.disturb, successor, transfer)
        else:
            self._world.after(self._world.tick // 4, self._give_back, successor, leader, patience - 1)

    def _members(self) -> None:
        """Take a voter's vote, or give a learner one: the members stay the same, and the quorum changes."""
        node = self._world.leader()
        if node is None:
            return
        self._world.count("members")
        changed = self._random.randrange(len(self._world.nodes))
        self._world.disturb(node, lambda core: _change_role(core, changed))

    # Nodes

    def _kill(self) -> None:
        if (node := self._drawn()) is not None:
            self._world.count("kill")
            self._world.kill(node, power=False, rest=self._rest())

    def _power_cut(self) -> None:
        if (node := self._drawn()) is not None:
            self._world.count("power_cut")
            self._world.kill(node, power=True, rest=self._rest())

    def _kill_many(self) -> None:
        """Kill several nodes at once, perhaps all."""
        alive = self._alive()
        if not alive:
            return
        self._world.count("kill_many")
        power = self._random.random() < 0.5
        for node in self._random.sample(alive, self._random.randint(1, len(alive))):
            self._world.kill(node, power=power, rest=self._rest())

    def _pause(self) -> None:
        """Let a node stand still, often for so short that a leader goes on leading."""
        if (node := self._drawn()) is not None:
            self._world.count("pause")
            short = int(self._random.uniform(0.3, 1) * self._world.election_ticks * self._world.tick)
            self._world.pause(node, self._random.choice((self._rest(), short)))

    def _coup(self) -> None:
        """Kill the leader, or cut it off with a few others while its clients go on."""
        leader = self._world.leader()
        if leader is None:
            return
        self._world.count("coup")
        if self._random.random() < 0.4:
            self._world.kill(leader, power=self._random.random() < 0.5, rest=self._rest())
        else:
            self._isolate(leader.node)
            self._world.after(self._rest(), self._world.network.mend)

    def _isolate(self, leader: NodeId) -> None:
        """Cut a leader off, alone or with others: both ways, or outwards only, or so that answers come late."""
        nodes = range(len(self._world.nodes))
        others = [node for node in nodes if node != leader]
        inside = {leader, *self._random.sample(others, self._random.randint(0, (len(nodes) - 1) // 2))}
        out = [(a, b) for a in inside for b in nodes if b not in inside]
        way = self._random.choice(("both", "both", "out", "late"))
        self._world.network.cut(out)
        for a, b in out:
            if way == "both":
                self._world.network.cut([(b, a)])
            elif way == "late":
                self._hold_up((b, a), self._random.randrange(3 * self._world.election_ticks) * self._world.tick)

    def _usurper(self) -> None:
        """Cut a leader off, which goes on writing. Once another has led for a moment, kill that one (Figure 8)."""
        leader = self._world.leader()
        if leader is None:
            return
        self._world.count("usurper")
        self._isolate(leader.node)
        self._await_successor(leader, 20 * self._world.election_ticks)

    def _await_successor(self, old: SimulatedNode, patience: int) -> None:
        successor = self._world.leader()
        if self.calm or patience < 0:
            self._world.network.mend()
        elif successor is None or successor is old or not successor.up:
            self._world.after(self._world.tick, self._await_successor, old, patience - 1)
        else:
            self._world.after(self._random.randrange(20 * self._world.tick), self._fell, successor)

    def _fell(self, successor: SimulatedNode) -> None:
        self._world.network.mend()
        if successor.up and not self.calm:
            self._world.kill(successor, power=self._random.random() < 0.5, rest=self._rest())

    def _drift(self) -> None:
        """Let every clock run at a rate of its own from now on; often one runs as quick as another is slow."""
        self._world.count("drift")
        for node in self._world.nodes:
            wrong = (SLOWEST, QUICKEST, self._random.uniform(SLOWEST, QUICKEST))
            self._clock_rates[node.node] = self._random.choice(wrong)

    def _late_answers(self) -> None:
        """Let the others take a leader for dead, and their answers to what it sent last reach it only later."""
        leader = self._world.leader()
        if leader is None:
            return
        self._world.count("late_answers")
        others = [node.node for node in self._world.nodes if node is not leader]
        ticks = self._random.uniform(0.3, 1.8) * self._world.election_ticks
        for other in others:
            self._hold_up((other, leader.node), int(ticks * self._world.tick))
        self._world.after(3 * MILLISECOND, self._take_for_dead, leader.node, others)
        self._world.after(int(2 * ticks * self._world.tick), self._world.network.mend)

    def _take_for_dead(self, leader: NodeId, others: list[NodeId]) -> None:
        if not self.calm:
            self._world.network.cut([(leader, other) for other in others])
            for other in others:
                if (node := self._world.nodes[other]).up:
                    self._world.disturb(node, lambda core: core.peer_lost(leader))

    # Disks

    def _slow_disk(self) -> None:
        if (node := self._drawn()) is not None:
            self._world.count("slow_disk")
            self._slow_disks[node.node] = self._random.choice((2, 20, 200)) * MILLISECOND
            self._world.after(self._rest(), self._quicken, node.node)

    def _quicken(self, node: NodeId) -> None:
        self._slow_disks.pop(node, None)

    def _sync_error(self) -> None:
        """Let the next sync fail: the node stops, and starts again."""
        if (node := self._drawn()) is not None:
            self._world.count("sync_error")
            node.disk.failing_syncs = 1

    def _full_disk(self) -> None:
        if (node := self._drawn()) is not None:
            self._world.count("full_disk")
            node.disk.full = True
            self._world.after(self._rest(), setattr, node.disk, "full", False)

    def _no_snapshots(self) -> None:
        """Leave some disks, perhaps all, without room for snapshots: no node may stop because of that."""
        nodes = self._world.nodes
        self._world.count("no_snapshots")
        for node in self._random.sample(nodes, self._random.randint(1, len(nodes))):
            node.disk.no_snapshots = True
            self._world.after(self._rest(), setattr, node.disk, "no_snapshots", False)

    def _bit_flip(self) -> None:
        if (node := self._drawn()) is not None:
            self._world.count("bit_flip")
            self._world.rot(node, self._rest())


def _change_role(core: Core, node: NodeId) -> None:
    configuration = core.configuration
    member = configuration.member(node)
    if member is None:
        return  # a client has removed it
    if member.role == "voter" and len(configuration.voters) < 3:
        return
    role: Role = "learner" if member.role == "voter" else "voter"
    changed = msgspec.structs.replace(member, role=role, promote=False)
    members = tuple(changed if other is member else other for other in configuration.members)
    core.propose_configuration(msgspec.structs.replace(configuration, members=members))
