"""One node of the fast simulation: a real replica, on ports without sockets, tasks or a clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any, Protocol

from trioraft.kv.invariants import KnownHistory
from trioraft.kv.store import Store
from trioraft.machine import Machine
from trioraft.raft.core import Core
from trioraft.raft.invariants import Invariants, Violation
from trioraft.raft.messages import Message, NodeId
from trioraft.raft.ready import Batch
from trioraft.replica.ports import Forwarded, Observer
from trioraft.replica.replica import Ports, Replica, Tuning
from trioraft.replica.requests import Requests
from trioraft.replica.session import Session
from trioraft.replica.snapshots import Snapshots
from trioraft.storage.folder import DataFolder
from trioraft.testing.disk import MemoryDisk, PowerCut
from trioraft.testing.disk_threads import ImmediateThread, SimulatedThread
from trioraft.testing.lease_watch import LeaseWatch
from trioraft.testing.stores import checked_machine, digest_of, store_of
from trioraft.wire.peers import FormationView, PeerMessage, PeerRefused

MAX_REQUEST_BYTES = 64 * 1024
EVENT_BYTES = 2048
"""The most bytes of events that leave at once: a real connection takes more."""
MILLISECOND = 1000


class World(Protocol):
    """The surroundings of a node."""

    now: int
    invariants: Invariants
    leases: LeaseWatch

    def after(self, delay: int, call: Callable[..., None], *arguments: Any) -> None:
        """Make the call `delay` microseconds from now."""

    def send(self, sender: NodeId, receiver: NodeId, message: Message) -> None:
        """Send one of Raft's messages: the network may lose, repeat, delay or reorder it."""

    def forward(self, sender: NodeId, receiver: NodeId, message: Forwarded) -> None:
        """Send a message about requests, which arrives once and in order while the connection lives."""

    def has_room(self, sender: NodeId, receiver: NodeId) -> bool:
        """Whether the connection can take another AppendEntries."""

    def linked(self, sender: NodeId, receiver: NodeId) -> bool:
        """Whether the sender believes that there is a connection."""

    def heard(self, receiver: NodeId) -> Collection[NodeId]:
        """The nodes that have a connection to that one."""

    def dismiss(self, receiver: NodeId, sender: NodeId) -> None:
        """Close the connection from `sender`, which makes another and introduces itself again."""

    def disk_delay(self, node: NodeId) -> int:
        """How many microseconds the disk takes for the next write."""

    def wake(self, node: SimulatedNode, life: int) -> None:
        """Let the node take a turn, if it is still in that life."""

    def applied(self, node: SimulatedNode) -> None:
        """Note that the node has applied entries to its store."""

    def installed(self, node: SimulatedNode) -> None:
        """Note that the node has installed a leader's snapshot."""

    def role_changed(self, node: SimulatedNode) -> None:
        """Note that the node's term, role or leader has changed."""

    def replied(self, session: SimulatedSession, replies: bytes) -> None:
        """Let replies leave for a client."""


class SimulatedSession:
    """The node's end of a client's connection."""

    def __init__(self, node: SimulatedNode, number: int) -> None:
        self.node = node
        self.number = number
        self.life = node.life
        self._session = Session(MAX_REQUEST_BYTES, self._settled, node.requests.reply_size)

    def receive(self, data: bytes) -> None:
        """Take bytes from the client; no bytes mean that it asks no more."""
        self._session.receive(data)
        self.take()

    def take(self) -> bool:
        """Accept the requests that there is room for; whether there were any."""
        slots = self._session.requests(0)
        for slot in slots:
            self.node.requests.accept(slot)
        return bool(slots)

    def take_replies(self) -> bytes:
        """The replies and events that may leave now."""
        data = self._session.take_replies() + self._session.take_events(EVENT_BYTES)
        if data and self._session.has_events:
            self._settled()
        return data

    def abandon(self) -> None:
        """Note that the client is gone."""
        self._session.abandon()

    @property
    def done(self) -> bool:
        """Whether every request is answered, and no more can follow."""
        return self._session.done

    def _settled(self) -> None:
        self.node.dirty[self] = None


class _Peers:
    """The connections of a node; the simulation itself makes and breaks them."""

    def __init__(self, node: NodeId, world: World) -> None:
        self._node = node
        self._world = world

    @property
    def heard(self) -> Collection[NodeId]:
        return self._world.heard(self._node)

    def tell(self, peer: NodeId, message: Message | FormationView) -> None:
        assert not isinstance(message, FormationView), "the cluster has formed"
        self._world.send(self._node, peer, message)

    def send(self, peer: NodeId, message: Forwarded) -> None:
        self._world.forward(self._node, peer, message)

    def linked(self, peer: NodeId) -> bool:
        return self._world.linked(self._node, peer)

    def has_room(self, peer: NodeId) -> bool:
        return self._world.has_room(self._node, peer)

    def flush(self) -> None:
        """Do nothing: everything is on its way already."""

    def dial(self, addresses: Mapping[NodeId, str], kept: Collection[NodeId]) -> None:
        """Do nothing: every member with a node is connected."""

    def redial(self, peer: NodeId) -> None:
        """Do nothing: the other end knows all members."""

    def dismiss(self, peer: NodeId) -> None:
        self._world.dismiss(self._node, peer)

    def begin_anew(self) -> None:
        """Do nothing: the cluster has formed."""


class _Witness(Observer):
    """Shows one node to the invariants and to the simulation."""

    def __init__(self, node: SimulatedNode, world: World) -> None:
        self._node = node
        self._world = world
        self._invariants = world.invariants
        self._reads_began: dict[int, int] = {}
        """For each read's context: how many entries were committed anywhere when it came."""

    def started(self, core: Core) -> None:
        self._invariants.started(core)

    def changed(self, core: Core) -> None:
        self._invariants.observe(core)

    def said(self, receiver: NodeId, message: Message) -> None:
        self._invariants.said(self._node.node, receiver, message)

    def writing(self, batch: Batch) -> None:
        self._invariants.writing(self._node.node, batch)

    def written(self) -> None:
        self._invariants.written(self._node.node)

    def applied(self) -> None:
        self._world.applied(self._node)

    def installed(self, core: Core) -> None:
        self._invariants.installed(core)
        self._world.installed(self._node)

    def read_began(self, context: int) -> None:
        self._reads_began[context] = len(self._invariants.committed)

    def reads_confirmed(self, contexts: Sequence[int]) -> None:
        applied = self._node.core.last_applied
        for context in contexts:
            began = self._reads_began.pop(context)
            if applied < began:
                raise Violation(
                    f"ReadIndex: node {self._node.node} serves a read as of {applied}; "
                    f"{began} entries were committed when it came"
                )
        self._node.reads_served += len(contexts)

    def leadership_lost(self) -> None:
        self._reads_began.clear()

    def leases_renewed(self, keepalive: object, leases: Sequence[int]) -> None:
        self._world.leases.renewed(self._world.now, self._node.core, keepalive, leases)

    def leases_kept(self, keepalive: object, leases: Sequence[int]) -> None:
        self._world.leases.answers(self._node.core, keepalive, leases)

    def leases_expire(self, leases: Sequence[int], index: int) -> None:  # noqa: ARG002
        ttls = self._node.store.leases.ttls
        self._world.leases.expires(self._node.core, leases, [ttls[lease] for lease in leases])

    def role_changed(self, core: Core) -> None:
        self._world.leases.elected(self._world.now, core)
        self._world.role_changed(self._node)


class SimulatedNode:
    """A node through all its lives; only its disk lasts from one life to the next."""

    def __init__(self, node: NodeId, world: World, tuning: Tuning, gathering: float, random: Random) -> None:
        """`gathering`: how often writes wait for more to come, from 0 to 1."""
        self.node = node
        self.disk = MemoryDisk(f"node {node}")
        self.up = False
        self.life = 0
        self.dirty: dict[SimulatedSession, None] = {}
        """The sessions that may have replies to send, in order. A client that has reconnected has two."""
        self.reads_served = 0
        self._known_history = KnownHistory()
        self._world = world
        self._tuning = tuning
        self._gathering = gathering
        self._random = random

    # Life

    def open_folder(self) -> DataFolder:
        """Open the data folder, which counts as a start."""
        return DataFolder(self.disk, self.node, draw=lambda size: self._random.randbytes(size).hex())

    def start(self) -> None:
        """Start from the disk. Raises StorageError, OSError, PowerCut."""
        folder = self.open_folder()
        if folder.formation is None:
            raise Violation(f"Durability: node {self.node} has forgotten its cluster")
        world, life = self._world, self.life + 1
        self._thread = SimulatedThread(
            world, lambda: world.wake(self, life), lambda: world.disk_delay(self.node), _raise
        )
        peers, witness = _Peers(self.node, world), _Witness(self, world)
        ports = Ports(peers, self, self, self._thread, ImmediateThread(), self._random, self._new_machine, witness)
        self.replica = Replica(self.node, (), folder, ports, self._tuning)
        self.life = life
        self.up = True
        world.applied(self)

    def _new_machine(self) -> Machine:
        return checked_machine(lambda: self.core.log)

    def end(self, power: bool, torn: int | None) -> None:
        """End the process, or the machine's power. `torn`: the disk operation at which a write under way stops."""
        self.up = False
        self.dirty = {}
        self._world.leases.stopped(self.node)
        if torn is not None and self._random.random() < 0.5:
            self._end_in(torn, self.snapshots.advance)
        elif torn is not None and self._thread.busy:
            self._end_in(torn, self._thread.end)
        self._thread.close()
        if power:
            self.disk.crash(self._random)
        else:
            self.disk.kill()

    def _end_in(self, torn: int, write: Callable[[], None]) -> None:
        """Cut the power at that operation of a write; the next life finds what was written so far."""
        self.disk.fail_at = self.disk.operations + torn
        self.disk.failure = PowerCut()
        with suppress(PowerCut, OSError):
            write()

    # What it consists of

    @property
    def core(self) -> Core:
        """The node's core."""
        return self.replica.core

    @property
    def store(self) -> Store:
        """The keys and values that this node has applied."""
        return store_of(self.replica.machine)

    def digest(self) -> int:
        """A checksum of all that this node has applied. Raises BrokenStore."""
        return digest_of(self.replica.machine, self.core.last_applied, self._known_history)

    @property
    def requests(self) -> Requests:
        """The requests that are under way on this node."""
        return self.replica.requests

    @property
    def snapshots(self) -> Snapshots:
        """The node's own snapshots, and those from the leader."""
        assert self.replica.snapshots is not None
        return self.replica.snapshots

    # Events. Each raises OSError where the disk has failed: then the node is to die.

    def turn(self, ticks: int = 0) -> None:
        """Do everything that can be done now, and schedule a turn for work that only waits for time."""
        if ticks:
            self.replica.pass_time(ticks)
            self._world.leases.told(self.core, ticks, self.store.leases)
        self.replica.turn()
        requests = self.requests
        if requests.gathering or requests.hurries or self.dirty:
            self._world.after(1 + self._random.randrange(MILLISECOND), self._world.wake, self, self.life)

    def tick(self, ticks: int = 1) -> None:
        """Let some ticks pass on this node's clock."""
        self.turn(ticks)

    def hear(self, sender: NodeId, message: PeerMessage) -> None:
        """Take a message."""
        if isinstance(message, Message):
            self._world.leases.heard(self.core, sender, message)
        self.replica.hear(sender, message)
        self.turn()

    def lose_link(self, peer: NodeId) -> None:
        """Note that a connection to that peer, or from it, is gone."""
        self.replica.link_down(peer)
        self.turn()

    def is_accepted_by(self, other: SimulatedNode) -> bool:
        """Introduce this node to another, which may refuse it, and tell it that it has been removed."""
        mine, theirs = self.replica.introductions, other.replica.introductions
        known = mine.acknowledged(other.node)
        answer = theirs.greet(mine.introduction(other.node))
        if isinstance(answer, PeerRefused):
            mine.is_removed_by(other.node, answer, known)
            return False
        return True

    def serve(self, session: SimulatedSession, data: bytes) -> None:
        """Take bytes from a client."""
        session.receive(data)
        self.turn()

    def disturb(self, event: Callable[[Core], None]) -> None:
        """Let `event` happen to the core."""
        event(self.core)
        self._world.invariants.observe(self.core)
        self.turn()

    # What its replica needs beside peers and disk

    def flush(self) -> bool:
        """Let all replies leave; whether that made room for requests that had waited."""
        more = False
        dirty, self.dirty = self.dirty, {}
        for session in dirty:
            self._world.replied(session, session.take_replies())
            more = session.take() or more
        return more

    def gathers(self, **_: int) -> bool:
        """Wait now and then, like a leader that has writes under way."""
        return self._gathering > 0 and self._random.random() < self._gathering

    def takes_slice(self, **_: bool) -> bool:
        """Let a snapshot go on with each turn."""
        return True

    def waits_for_disk(self, **_: int) -> bool:
        """Wait for each write within its turn: a write takes no time here."""
        return True


def _raise(error: BaseException) -> None:
    raise error
