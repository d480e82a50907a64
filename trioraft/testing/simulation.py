"""The fast simulation: a cluster in one process and virtual time, with every fault drawn from one seed.

    report = simulate(7)                  # raises SimulationFailed where something is wrong
    report = simulate(7, nodes=5, faults=("kill", "partition"))

The nodes are real replicas on real storage code. The network, the disks, the clock and the clients are simulated.
After every event the properties of Raft (`trioraft.raft.invariants`) and of the store (`trioraft.kv.invariants`) are
checked. When the faults have ended, the cluster must recover, and the clients' history must be linearizable. The same
seed gives the same run, in any process.
"""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any, Final

import msgspec

from trioraft.kv.invariants import BrokenStore
from trioraft.raft.core import Core
from trioraft.raft.invariants import Invariants, Violation
from trioraft.raft.membership import ChangeRefused, Configuration, Formation, Member
from trioraft.raft.messages import Message, NodeId
from trioraft.raft.ready import NotLeader
from trioraft.raft.settings import Settings
from trioraft.replica.failures import HalfDone
from trioraft.replica.fan_out import Portions
from trioraft.replica.ports import Forwarded
from trioraft.replica.replica import Tuning
from trioraft.replica.snapshots import SnapshotSettings
from trioraft.storage.errors import StorageError
from trioraft.storage.snapshots import snapshot_names
from trioraft.testing.disk import PowerCut, spares_the_node
from trioraft.testing.faults import KINDS, SLOWEST, Faults
from trioraft.testing.history import History, Outcome
from trioraft.testing.lease_clients import TTLS_MS, LeaseClients
from trioraft.testing.lease_watch import LeaseWatch
from trioraft.testing.linearizability import check
from trioraft.testing.log_judge import judge, log_of
from trioraft.testing.outcome import SimulationFailed, is_eventful
from trioraft.testing.quorum_watch import QuorumWatch
from trioraft.testing.simulated_clients import Clients
from trioraft.testing.simulated_connections import Connections
from trioraft.testing.simulated_network import MILLISECOND, Network, Traffic
from trioraft.testing.simulated_node import SimulatedNode, SimulatedSession
from trioraft.testing.simulated_users import start_users
from trioraft.testing.stores import empty_model
from trioraft.testing.timeline import Happening, Timeline
from trioraft.testing.users.crew import draw_users, verify
from trioraft.wire.cluster_commands import LEVEL

TICK: Final = 10 * MILLISECOND
USERS_LIMIT: Final = 20_000 * MILLISECOND
"""How long users may take to bring their work to an end: some wait for leases to end first."""
_AGAIN: Final = 20 * TICK
"""How long after a node was refused, or heard no answer, it introduces itself again."""

logging.getLogger("trioraft").addHandler(logging.NullHandler())  # the timeline replaces the log of simulated nodes


class Report(msgspec.Struct, frozen=True):
    """The figures of one run."""

    seed: int
    nodes: int
    events: int
    seconds: float
    """The virtual time that passed."""
    elections: int
    committed: int
    """How many commands were committed."""
    truncations: int
    snapshots: int
    """How many snapshots the nodes that live at the end have taken since their last start."""
    installations: int
    """How often a leader's snapshot replaced a log."""
    reads: int
    """How many linearizable reads a leader confirmed, for its own clients and for other nodes."""
    stale_reads: int
    operations: dict[str, int]
    """The number of operations by outcome."""
    asked: dict[str, int]
    """The number of answered requests by operation."""
    faults: dict[str, int]
    """The number of faults by kind."""
    verdict: str
    trace: str
    """A checksum of all events, in order."""

    @property
    def counts(self) -> bool:
        """Whether enough happened for the run to prove something."""
        return is_eventful(self.elections, self.committed, len(self.faults))


def simulate(
    seed: int,
    *,
    nodes: int | None = None,
    steps: int | None = None,
    faults: Collection[str] = KINDS,
) -> Report:
    """Run one seed. `steps` is the number of events before the faults end; it is drawn if not given.

    Raises SimulationFailed.
    """
    return Simulation(seed, nodes=nodes, steps=steps, faults=faults).run()


class Simulation:
    """One run: the clock, the agenda of events, the nodes and their surroundings."""

    def __init__(
        self,
        seed: int,
        *,
        nodes: int | None = None,
        steps: int | None = None,
        faults: Collection[str] = KINDS,
    ) -> None:
        self.seed = seed
        self.random = random = Random(seed)
        self.now = 0
        self.tick = TICK
        self._agenda: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()
        self.events = 0
        self._faults_seen: dict[str, int] = {}
        self._digests: dict[int, int] = {}
        size = nodes or random.choice((3, 3, 5, 5, 7))
        self.timeline = Timeline(size)
        self._steps = steps or random.choice((2000, 4000)) * (size + 1) // 4
        self.election_ticks = random.choice((10, 10, 20, 50))
        self.lease_tick_ms = random.choice((500, 1000, 2000)) // self.election_ticks
        """A second of a ttl lasts for half an election timeout to two: runs are short."""
        tuning = self._draw_tuning(random)
        gathering = random.choice((0.0, 0.0, 0.3))
        self.enabled = enabled = frozenset(faults)
        self.leases = LeaseWatch(self.lease_tick_ms)
        self.network = Network(size, self, random, Traffic(random, enabled), self.count, self._deliver, self._hear)
        self.invariants = Invariants()
        self._quorum = QuorumWatch((2 * self.election_ticks + 4) * int((TICK + 600) / SLOWEST))
        self.nodes = [SimulatedNode(node, self, tuning, gathering, Random(seed * 16 + node)) for node in range(size)]
        self._paused: dict[NodeId, deque[tuple[Callable[..., None], tuple[Any, ...]]]] = {}
        self._missed: dict[NodeId, int] = {}
        """For each node that stands still: how many ticks of its clock it was not told of."""
        self._form()
        changes = bool(enabled & {"members", "transfer"})
        self.history = History()
        self.connections = Connections(self, random, self.history)
        self.clients = Clients(self, self.connections, random, 12 * self.election_ticks * TICK, changes)
        self.users = draw_users(random, self.lease_tick_ms)
        start_users(self.users, self, self.connections, random, 12 * self.election_ticks * TICK)
        self.lease_clients = LeaseClients(
            self, self.connections, random, self.leases, 12 * self.election_ticks * TICK, TICK, self.lease_tick_ms
        )
        self.faults = Faults(self, random, enabled)

    def _draw_tuning(self, random: Random) -> Tuning:
        raft = Settings(
            election_ticks=self.election_ticks,
            heartbeat_ticks=max(2, self.election_ticks // 5),
            lost_ticks=self.election_ticks // 4,
            max_append_bytes=random.choice((1, 1, 2000, 512 * 1024)),
            max_inflight=random.choice((1, 3, 64)),
            max_uncommitted_bytes=random.choice((2000, 64 * 1024 * 1024)),
        )
        segment_bytes = random.choice((2_000, 20_000, 1_000_000))
        mark_ticks = random.choice((1, 10, 100))
        snapshots, portions = draw_snapshot_settings(random), draw_portions(self.seed)
        return Tuning(raft, snapshots, segment_bytes, mark_ticks, self.lease_tick_ms, portions=portions)

    def _form(self) -> None:
        """Give every node the folder of a member of a cluster that has just formed."""
        folders = [node.open_folder() for node in self.nodes]
        members = tuple(Member(n, f"node-{n}:1", "voter", folder.id) for n, folder in enumerate(folders))
        for folder in folders:
            folder.adopt(Formation("5eed" * 8, Configuration(members, len(folders), LEVEL)))
        for node in self.nodes:
            self._start(node)
            self.after(self.random.randrange(TICK), self._tick, node)

    # The run

    def run(self) -> Report:
        """Run from the first event to the verdict. Raises SimulationFailed."""
        try:
            self._suffer()
            self._settle()
            return self._report(self._judge())
        except (Exception, HalfDone) as error:
            cause = error.__cause__ if isinstance(error, HalfDone) else error
            names_itself = isinstance(cause, (Violation, BrokenStore, _Unsettled))
            raise self._failed(str(cause) if names_itself else f"{type(cause).__name__}: {cause}") from error

    def _failed(self, reason: str) -> SimulationFailed:
        return SimulationFailed(self.seed, reason, self.timeline.text())

    def _suffer(self) -> None:
        """Run while the faults last, and longer where little has happened yet."""
        for _ in range(8):
            end = self.events + self._steps
            while self.events < end:
                self._next()
            if self._is_eventful():
                return
            if self.enabled:
                self.faults.ease()

    def _is_eventful(self) -> bool:
        elections = len(self.invariants.leaders)  # each leader begins with a no-op, which is no write
        return is_eventful(elections, len(self.invariants.committed) - elections, len(self._faults_seen))

    def _next(self) -> None:
        self.now, _, call, arguments = heapq.heappop(self._agenda)
        self.events += 1
        call(*arguments)

    def _settle(self) -> None:
        """End all faults, and wait for one leader (within ten election timeouts), agreement, and every reply."""
        self.record(None, "the faults end")
        self.faults.calm = self.clients.calm = self.lease_clients.calm = True
        for user in self.users:
            user.finishing = True
        self.network.heal()
        for node in self.nodes:
            node.disk.full, node.disk.no_snapshots, node.disk.failing_syncs = False, False, 0
            self._wake(node)
        timeouts = 2 * self.election_ticks * TICK
        self._run_until(lambda: all(node.up for node in self.nodes), 30 * timeouts, "a node does not come back")
        self._run_until(self._has_one_leader, 10 * timeouts, "no leader within ten election timeouts")
        backlog = max(node.core.last_index for node in self._members())
        self._run_until(self._agrees, 20 * timeouts + 10 * backlog * TICK, "the nodes do not converge")
        self._run_until(self._removed_know, 20 * timeouts, "a removed node does not hear of it")
        self._await_answers(20 * timeouts)
        self._run_until(
            lambda: all(user.done for user in self.users), 20 * timeouts + USERS_LIMIT, "a user comes to no end"
        )
        if self.lease_clients.lets_end:
            longest = self.lease_clients.microseconds(2 * max(TTLS_MS))
            self._run_until(self._leases_have_ended, longest + 20 * timeouts, "a lease comes to no end")
        keys = self.clients.keys
        for node in self._members():
            self.clients.ask_all(keys, node)
        self._await_answers(20 * timeouts)
        # A client's last write may have come since: it is committed before the leader's own disk has it.
        self._run_until(self._agrees, 20 * timeouts, "the nodes do not converge")
        self.invariants.settled([node.core for node in self._members()])

    def _run_until(self, condition: Callable[[], bool], limit: int, failure: str) -> None:
        end = self.now + limit
        while not condition():
            if self.now > end:
                raise _Unsettled(failure)
            self._next()

    def _has_one_leader(self) -> bool:
        members = self._members()
        leaders = [node for node in members if node.core.role == "leader"]
        return len(leaders) == 1 and all(node.core.leader == leaders[0].node for node in members)

    def _members(self) -> list[SimulatedNode]:
        """The nodes that are still members, as far as the newest leader knows."""
        leader = self.leader()
        if leader is None:
            return self.nodes
        members = leader.core.configuration_at(leader.core.commit_index)[1]
        return [node for node in self.nodes if members.member(node.node) is not None]

    def _agrees(self) -> bool:
        total = len(self.invariants.committed)
        return self._has_one_leader() and all(
            node.core.last_applied == node.core.last_index == node.core.durable_index == total
            for node in self._members()
        )

    def _removed_know(self) -> bool:
        members = self._members()
        return all(node.replica.is_removed for node in self.nodes if node not in members)

    def _await_answers(self, limit: int) -> None:
        """Wait until every client is answered; a snapshot is written a line a turn at worst, and perhaps twice."""
        lines = max(sum(node.replica.machine.sections.values()) for node in self.nodes)
        self._run_until(
            lambda: not (self.clients.waiting or self.lease_clients.waiting),
            limit + 4 * lines * TICK,
            "a client has no answer",
        )

    def _leases_have_ended(self) -> bool:
        leader = self.leader()
        return leader is not None and not any(leader.store.leases.get(one) for one in self.lease_clients.granted)

    def _judge(self) -> str:
        """Judge the clients' history. Raises Violation."""
        # In this simulation, entries may overtake the message that says whose they are; on a connection they cannot.
        verdict = check(self.history.operations, ahead=False)
        if verdict.outcome != "linearizable":
            raise Violation(f"{verdict.outcome}: {verdict.explanation}")
        try:
            verify(
                self.users,
                judge(log_of(self.invariants.committed), self.history, model=empty_model(), ahead=False),
            )
        except AssertionError as error:
            raise Violation(f"violation: {error}") from error
        return verdict.outcome

    def _report(self, verdict: str) -> Report:
        history = self.history
        outcomes: tuple[Outcome, ...] = ("done", "conflict", "refused", "unknown")
        return Report(
            self.seed,
            len(self.nodes),
            self.events,
            self.now / 1e6,
            len(self.invariants.leaders),
            sum(entry.kind == "command" for entry in self.invariants.committed),
            self.invariants.truncations,
            sum(node.snapshots.taken for node in self.nodes),
            self.invariants.installations,
            sum(node.reads_served for node in self.nodes),
            self.clients.stale_reads,
            {outcome: history.count(outcome) for outcome in outcomes},
            self.clients.asked,
            dict(sorted(self._faults_seen.items())),
            verdict,
            f"{self.timeline.checksum:08x}",
        )

    # Time

    def after(self, delay: int, call: Callable[..., None], *arguments: Any) -> None:
        """Make the call `delay` microseconds from now."""
        heapq.heappush(self._agenda, (self.now + delay, next(self._numbers), call, arguments))

    def record(self, node: NodeId | None, what: Happening) -> None:
        """Add an event to the timeline."""
        self.timeline.add(self.now, node, what)

    def count(self, fault: str) -> None:
        """Count an injected fault."""
        self._faults_seen[fault] = self._faults_seen.get(fault, 0) + 1

    def leader(self) -> SimulatedNode | None:
        """The leader of the highest term that is up; None where there is none."""
        leaders = [node for node in self.nodes if node.up and node.core.role == "leader"]
        return max(leaders, key=lambda node: node.core.term, default=None)

    # Nodes

    def _tick(self, node: SimulatedNode) -> None:
        if node.node in self._paused:
            self._missed[node.node] = self._missed.get(node.node, 0) + 1
        elif node.up:
            self.do(node, node.tick)
            if node.up:
                self._quorum.check(self.now, node.core)
        # Clocks run differently: no tick is exactly as long as another.
        length = TICK - 500 + self.random.randrange(1000)
        self.after(int(length / self.faults.clock_rate(node.node)), self._tick, node)

    def do(self, node: SimulatedNode, act: Callable[..., None], *arguments: Any) -> None:
        """Let a node do something. A failing disk ends the node, as it ends a process."""
        if node.node in self._paused:
            self._paused[node.node].append((act, arguments))
            return
        try:
            act(*arguments)
        except OSError as error:
            if spares_the_node(error):
                raise Violation(f"Availability: node {node.node} ends for its snapshots' sake: {error}") from error
            self.record(node.node, f"stops: {error.strerror}")
            self.kill(node, power=False, rest=self.election_ticks * TICK, torn=False)

    def _start(self, node: SimulatedNode) -> None:
        """Start a node; try again later where its disk fails."""
        if node.up:
            return
        calm = hasattr(self, "faults") and self.faults.calm
        if hasattr(self, "faults") and not calm and self.random.random() < 0.05:
            node.disk.failure = PowerCut()
            node.disk.fail_at = node.disk.operations + self.random.randint(1, 8)
        try:
            node.start()
        except PowerCut:
            self.count("cut_while_starting")
            node.disk.crash(self.random)
            self.after(TICK, self._start, node)
            return
        except OSError:
            node.disk.kill()
            self.after(self.election_ticks * TICK, self._start, node)
            return
        except StorageError as error:
            raise Violation(f"Durability: node {node.node} refuses its own folder: {error.message}") from error
        node.disk.fail_at = None
        self._quorum.excuse(node.node)
        self.record(node.node, f"starts: term {node.core.term}, log to {node.core.last_index}")
        for a, b in self.network.links:
            if node.node in (a, b):
                self.after(1 + self.random.randrange(5 * TICK), self._reconnect, a, b)

    def kill(self, node: SimulatedNode, *, power: bool, rest: int, torn: bool = True) -> None:
        """End a node, which comes back after `rest` microseconds. `torn`: it may end in the middle of a write."""
        if not node.up:
            return
        self._paused.pop(node.node, None)
        self._missed.pop(node.node, None)
        self.record(node.node, "power cut" if power else "killed")
        node.end(power, self.random.choice((None, 1, 2, 3, 4, 9)) if torn else None)
        self.connections.node_died(node.node)
        for other in self.nodes:
            if other is not node:
                self._break_one(node.node, other.node)
                self._break_one(other.node, node.node)
                if other.up and self.random.random() < 0.8:
                    self.after(1 + self.random.randrange(2 * TICK), self._hear_of_death, other, other.life, node.node)
        self.after(rest, self._start, node)

    def _hear_of_death(self, node: SimulatedNode, life: int, dead: NodeId) -> None:
        if node.up and node.life == life:
            self.do(node, node.disturb, lambda core: core.peer_lost(dead))

    def disturb(self, node: SimulatedNode, event: Callable[[Core], object]) -> None:
        """Let `event` happen to a node's core, if it is up; a refusal is no failure."""

        def happen(core: Core) -> None:
            with suppress(NotLeader, ChangeRefused):
                event(core)

        if node.up:
            self.do(node, node.disturb, happen)

    def pause(self, node: SimulatedNode, duration: int) -> None:
        """Let a node stand still for `duration` microseconds; it finds afterwards what came meanwhile."""
        if node.node not in self._paused:
            self.record(node.node, "stands still")
            self._paused[node.node] = deque()
            self.after(duration, self._wake, node)

    def _wake(self, node: SimulatedNode) -> None:
        waiting = self._paused.pop(node.node, None)
        if waiting is None:
            return
        self.record(node.node, "goes on")
        self._quorum.excuse(node.node)
        life = node.life
        if (missed := self._missed.pop(node.node, 0)) and node.up:
            # Some of what waits is read before the node is told how late it is, and some behind that.
            waiting.insert(self.random.randrange(len(waiting) + 1), (node.tick, (missed,)))
        for act, arguments in waiting:
            if node.up and node.life == life:
                self.do(node, act, *arguments)

    def rot(self, node: SimulatedNode, rest: int) -> None:
        """Kill a node, and flip a bit of data that its log vouches for: its start must refuse the folder."""
        self.kill(node, power=False, rest=rest + 2, torn=False)
        places = _vouched(node)
        if not places:
            return
        name, size = self.random.choice(places)
        offset, bit = self.random.randrange(size), self.random.randrange(8)
        node.disk.flip(name, offset, bit)
        try:
            node.start()
        except StorageError:
            self.record(node.node, f"refuses its folder: bit {bit} of {name} at {offset} has turned over")
        except OSError:
            node.disk.kill()  # the disk failed in another way before the damage was read
        else:
            raise Violation(f"Damage: node {node.node} starts with bit {bit} of {name} at {offset} turned over")
        node.disk.flip(name, offset, bit)

    # The network

    def send(self, sender: NodeId, receiver: NodeId, message: Message) -> None:
        """Send one of Raft's messages."""
        self.network.send(sender, receiver, message)

    def forward(self, sender: NodeId, receiver: NodeId, message: Forwarded) -> None:
        """Send a message about requests."""
        self.network.forward(sender, receiver, message)

    def has_room(self, sender: NodeId, receiver: NodeId) -> bool:
        """Whether the link can take another AppendEntries."""
        return self.network.has_room(sender, receiver)

    def linked(self, sender: NodeId, receiver: NodeId) -> bool:
        """Whether requests can be forwarded and answered between the two nodes; a newcomer may have no node yet."""
        links = [self.network.links.get(way) for way in ((sender, receiver), (receiver, sender))]
        return all(link is not None and link.up for link in links)

    def break_link(self, a: NodeId, b: NodeId) -> None:
        """Break the connections between two nodes, in both directions."""
        for one, other in ((a, b), (b, a)):
            self._break_one(one, other)
            self.after(1 + self.random.randrange(20 * TICK), self._reconnect, one, other)

    def _break_one(self, sender: NodeId, receiver: NodeId) -> None:
        self.network.kill((sender, receiver))
        self.after(self.random.randrange(10 * TICK), self._notice, sender, receiver)

    def _notice(self, sender: NodeId, receiver: NodeId) -> None:
        link = self.network.links[sender, receiver]
        if not link.dead or not link.up:
            return
        link.up = False
        for node, other in ((self.nodes[sender], receiver), (self.nodes[receiver], sender)):
            if node.up:
                self.do(node, node.lose_link, other)

    def _reconnect(self, sender: NodeId, receiver: NodeId) -> None:
        node = self.nodes[sender]
        link = self.network.links[sender, receiver]
        if not link.dead or not (node.up and self.nodes[receiver].up):
            return
        self._notice(sender, receiver)
        self.network.connect((sender, receiver))
        self.do(node, node.disturb, lambda core: core.peer_connected(receiver))
        self._introduce(sender, receiver, link.epoch)

    def _introduce(self, sender: NodeId, receiver: NodeId, epoch: int) -> None:
        """Let a node introduce itself on that connection, again and again until nothing is cut and it is accepted."""
        link = self.network.links[sender, receiver]
        if link.dead or link.epoch != epoch:
            return
        if self.network.is_cut(sender, receiver):
            self.after(_AGAIN, self._introduce, sender, receiver, epoch)
        else:
            self.do(self.nodes[receiver], self._greet, sender, receiver, epoch)

    def _greet(self, sender: NodeId, receiver: NodeId, epoch: int) -> None:
        link = self.network.links[sender, receiver]
        if link.dead or link.epoch != epoch:
            return  # the one that was to answer has stood still meanwhile
        # One that is refused is heard all the same: the members must withstand whatever a removed node says.
        if not self.nodes[sender].is_accepted_by(self.nodes[receiver]):
            self.after(_AGAIN, self._introduce, sender, receiver, epoch)

    def heard(self, receiver: NodeId) -> list[NodeId]:
        """The nodes that have a connection to this one."""
        return [a for (a, b), link in self.network.links.items() if b == receiver and not link.dead]

    def dismiss(self, receiver: NodeId, sender: NodeId) -> None:
        """Close the connection from `sender`, which makes another and introduces itself again."""
        self._break_one(sender, receiver)
        self.after(1 + self.random.randrange(20 * TICK), self._reconnect, sender, receiver)

    def _deliver(self, sender: NodeId, receiver: NodeId, message: Message) -> None:
        node = self.nodes[receiver]
        if node.up:
            self.record(receiver, message)
            self._quorum.delivered(self.now, node.core, sender, message)
            self.do(node, node.hear, sender, message)

    def _hear(self, sender: NodeId, receiver: NodeId, message: Forwarded) -> None:
        node = self.nodes[receiver]
        if node.up:
            self.do(node, node.hear, sender, message)

    # Disks, stores and clients

    def disk_delay(self, node: NodeId) -> int:
        """How many microseconds a node's disk takes for its next write."""
        return self.faults.disk_delay(node)

    def wake(self, node: SimulatedNode, life: int) -> None:
        """Let a node take a turn, unless it has died meanwhile."""
        if node.up and node.life == life:
            self.do(node, node.turn)

    def applied(self, node: SimulatedNode) -> None:
        """Check a node that has applied entries: nodes with the same applied index must hold the same state."""
        self.leases.committed(self.now, self.invariants.committed)
        index = node.core.last_applied
        found = node.digest()
        if self._digests.setdefault(index, found) != found:
            raise Violation(f"State Machine Safety: node {node.node}'s store differs from another's at index {index}")

    def installed(self, node: SimulatedNode) -> None:
        """Note that a node has installed a leader's snapshot."""
        self.record(node.node, f"installs the snapshot up to {node.core.snapshot.index}")
        self.applied(node)

    def role_changed(self, node: SimulatedNode) -> None:
        """Note that a node's term, role or leader has changed."""
        self.record(node.node, f"{node.core.role} {node.core.term}")

    def replied(self, session: SimulatedSession, replies: bytes) -> None:
        """Let replies leave for a client."""
        if replies:
            self.record(session.node.node, f"answers client {session.number}")
            self.connections.replied(session, replies)


def draw_snapshot_settings(random: Random) -> SnapshotSettings:
    """Draw settings for snapshots that are frequent, in small slices and pieces; or, now and then, for none."""
    never = 1_000_000_000
    return SnapshotSettings(
        least_log_bytes=random.choice((1_000, 10_000, never)),
        least_log_entries=random.choice((10, 50, never)),
        keep_entries=random.choice((0, 3, 30)),
        slice_lines=random.choice((3, 20, 100)),
        write_bytes=random.choice((300, 3000)),
        piece_bytes=random.choice((500, 3000, 1_000_000)),
        retry_ticks=random.choice((1, 20)),
        most_retry_ticks=100,
    )


def draw_portions(seed: int) -> Portions:
    """Draw how much is told of changes at once: mostly so little that watches fall behind."""
    random = Random(f"portions {seed}")
    return Portions(
        events_a_turn=random.choice((1, 3, 256)),
        slice=random.choice((1, 5, 1024)),
        page_keys=random.choice((1, 2, 256)),
        pending_bytes=random.choice((50, 200, 64 * 1024)),
    )


class _Unsettled(AssertionError):
    """The cluster does not recover after the faults."""


def _vouched(node: SimulatedNode) -> list[tuple[str, int]]:
    """The files of a node, each with how many of its bytes are vouched for: damage there must be noticed."""
    places = [("node.json", len(node.disk.read("node.json")))]
    places += [(name, len(node.disk.read(name))) for name in snapshot_names(node.disk)[-1:]]
    for name in node.disk.names():
        if name.startswith("log-") and name.endswith(".jsonl"):
            data = node.disk.read(name)
            # Nothing vouches for the newest mark itself, or for what follows it.
            places.append((name, data.rfind(b"\n", 0, data.rfind(b'"synced":')) + 1))
    return [place for place in places if place[1] > 0]
