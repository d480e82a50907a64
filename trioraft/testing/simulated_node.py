"""One node of the fast simulation: a real replica, on ports without sockets, tasks or a clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any, Protocol

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
from trioraft.testing.stores import checked_machine, store_of
from trioraft.wire.peers import FormationView, PeerMessage

MAX_REQUEST_BYTES = 64 * 1024
MILLISECOND = 1000


class World(Protocol):
    """What a node has around it."""

    invariants: Invariants

    def after(self, delay: int, call: Callable[..., None], *arguments: Any) -> None:
        """Make that call so many microseconds from now."""

    def send(self, sender: NodeId, receiver: NodeId, message: Message) -> None:
        """One of Raft's messages: the network may lose, repeat, delay or reorder it."""

    def forward(self, sender: NodeId, receiver: NodeId, message: Forwarded) -> None:
        """A message about requests: in order while the connection lives, like all that goes over one."""

    def has_room(self, sender: NodeId, receiver: NodeId) -> bool:
        """Whether the connection can take another AppendEntries."""

    def linked(self, sender: NodeId, receiver: NodeId) -> bool:
        """Whether there is a connection, as far as the sender knows."""

    def disk_delay(self, node: NodeId) -> int:
        """How many microseconds the disk takes for the next write."""

    def wake(self, node: SimulatedNode, life: int) -> None:
        """The node is to take a turn, if it is still in that life."""

    def applied(self, node: SimulatedNode) -> None:
        """The node has applied entries to its store."""

    def installed(self, node: SimulatedNode) -> None:
        """The node goes on from a leader's snapshot."""

    def role_changed(self, node: SimulatedNode) -> None:
        """The node's term, role or leader is another."""

    def replied(self, session: SimulatedSession, replies: bytes) -> None:
        """Replies leave for a client."""


class SimulatedSession:
    """The node's end of a client's connection."""

    def __init__(self, node: SimulatedNode, number: int) -> None:
        self.node = node
        self.number = number
        self.life = node.life
        self._session = Session(MAX_REQUEST_BYTES, self._settled, node.requests.reply_size)

    def receive(self, data: bytes) -> None:
        """Bytes from the client; none at all is the end of what it asks."""
        self._session.receive(data)
        self.take()

    def take(self) -> bool:
        """Take what there is room for; whether there was anything."""
        slots = self._session.requests(0)
        for slot in slots:
            self.node.requests.accept(slot)
        return bool(slots)

    def take_replies(self) -> bytes:
        """What may leave."""
        return self._session.take_replies()

    @property
    def done(self) -> bool:
        """Whether everything has been answered, and nothing can follow."""
        return self._session.done

    def _settled(self) -> None:
        self.node.dirty[self] = None


class _Peers:
    """The connections of a node, which the simulation makes and breaks by itself."""

    heard: Collection[NodeId] = ()
    """Nobody introduces itself here, and nobody is dismissed."""

    def __init__(self, node: NodeId, world: World) -> None:
        self._node = node
        self._world = world

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
        """All is on its way already."""

    def dial(self, addresses: Mapping[NodeId, str], kept: Collection[NodeId]) -> None:
        """Whoever has a node is connected."""

    def redial(self, peer: NodeId) -> None:
        """The other end knows all members."""

    def dismiss(self, peer: NodeId) -> None:
        """Nobody is."""

    def begin_anew(self) -> None:
        """The cluster has formed."""


class _Witness(Observer):
    """Shows one node to the invariants, and to the simulation."""

    def __init__(self, node: SimulatedNode, world: World) -> None:
        self._node = node
        self._world = world
        self._invariants = world.invariants
        self._reads_began: dict[int, int] = {}
        """By context: how much was committed anywhere when the read came."""

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

    def role_changed(self, core: Core) -> None:  # noqa: ARG002
        self._world.role_changed(self._node)


class SimulatedNode:
    """A node, over all its lives; what it keeps from one to the next is its disk."""

    def __init__(self, node: NodeId, world: World, tuning: Tuning, gathering: float, random: Random) -> None:
        """`gathering`: how often the writes that have come wait for more to come, from 0 to 1."""
        self.node = node
        self.disk = MemoryDisk(f"node {node}")
        self.up = False
        self.life = 0
        self.dirty: dict[SimulatedSession, None] = {}
        """Those that may have replies to send, in order. A client that has come again has two."""
        self.reads_served = 0
        self._world = world
        self._tuning = tuning
        self._gathering = gathering
        self._random = random

    # Life

    def open_folder(self) -> DataFolder:
        """Its data folder; that counts as a start."""
        return DataFolder(self.disk, self.node, draw=lambda size: self._random.randbytes(size).hex())

    def start(self) -> None:
        """Recover from the disk. Raises StorageError, OSError, PowerCut."""
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
        """Die: of the process, or of the machine's power; `torn` is the operation at which a write under way stops."""
        self.up = False
        self.dirty = {}
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
        """Let the power be cut at that operation of a write: where it stops is where the next life begins."""
        self.disk.fail_at = self.disk.operations + torn
        self.disk.failure = PowerCut()
        with suppress(PowerCut, OSError):
            write()

    # What it consists of

    @property
    def core(self) -> Core:
        """Raft's part."""
        return self.replica.core

    @property
    def store(self) -> Store:
        """What the cluster holds, as far as this node knows."""
        return store_of(self.replica.machine)

    @property
    def requests(self) -> Requests:
        """Those that are under way here."""
        return self.replica.requests

    @property
    def snapshots(self) -> Snapshots:
        """Its own, and the leader's."""
        assert self.replica.snapshots is not None
        return self.replica.snapshots

    # Events. Each raises OSError where the disk has failed: then the node is to die.

    def turn(self, ticks: int = 0) -> None:
        """Carry out all that can be done now, and see to it that what waits for nothing goes on soon."""
        self.replica.turn(ticks)
        requests = self.requests
        if requests.gathering or requests.hurries:
            self._world.after(1 + self._random.randrange(MILLISECOND), self._world.wake, self, self.life)

    def tick(self) -> None:
        """A tick has passed by this node's clock."""
        self.turn(1)

    def hear(self, sender: NodeId, message: PeerMessage) -> None:
        """A message has come."""
        self.replica.hear(sender, message)
        self.turn()

    def lose_link(self, peer: NodeId) -> None:
        """A connection to that peer, or from it, is gone."""
        self.replica.link_down(peer)
        self.turn()

    def serve(self, session: SimulatedSession, data: bytes) -> None:
        """A client's bytes have come."""
        session.receive(data)
        self.turn()

    def disturb(self, event: Callable[[Core], None]) -> None:
        """Let something else happen to the core."""
        event(self.core)
        self._world.invariants.observe(self.core)
        self.turn()

    # What its replica needs beside peers and disk

    def flush(self) -> bool:
        """Let the replies that are there leave; True if that made room for requests that had waited."""
        more = False
        dirty, self.dirty = self.dirty, {}
        for session in dirty:
            self._world.replied(session, session.take_replies())
            more = session.take() or more
        return more

    def gathers(self, **_: int) -> bool:
        """Now and then, as a leader does that has writes under way."""
        return self._gathering > 0 and self._random.random() < self._gathering

    def takes_slice(self, **_: bool) -> bool:
        """A snapshot goes on with each turn."""
        return True

    def waits_for_disk(self, **_: int) -> bool:
        """Each turn waits for its write, and a write takes no time here."""
        return True


def _raise(error: BaseException) -> None:
    raise error
