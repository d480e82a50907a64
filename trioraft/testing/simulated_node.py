"""One node of a simulation: the real core, storage, store and handling of requests, and a driver without time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any, Protocol

from trioraft.cluster.formation import Assembly
from trioraft.cluster.startup import point_of, recover
from trioraft.kv.store import Store
from trioraft.raft.core import Core
from trioraft.raft.invariants import Invariants, Violation
from trioraft.raft.membership import Member
from trioraft.raft.messages import InstallSnapshot, Message, NodeId
from trioraft.raft.ready import Batch, Lost
from trioraft.raft.settings import Settings
from trioraft.replica.administration import Administration
from trioraft.replica.removal import Removal
from trioraft.replica.reports import local_reply
from trioraft.replica.requests import Requests
from trioraft.replica.session import Session
from trioraft.replica.slots import ReadSlot, Slot
from trioraft.replica.snapshots import Snapshots, SnapshotSettings
from trioraft.storage.folder import DataFolder
from trioraft.storage.snapshots import Snapshot
from trioraft.testing.disk import MemoryDisk, PowerCut
from trioraft.testing.disk_threads import ImmediateThread
from trioraft.wire import entries as codec
from trioraft.wire.peers import Ask, NotProposed, Propose, Proposed, ReadIndexReply, ReadIndexRequest, Told
from trioraft.wire.replies import Reply

Forwarded = Propose | Proposed | NotProposed | ReadIndexRequest | ReadIndexReply | Ask | Told
MAX_REQUEST_BYTES = 64 * 1024


class World(Protocol):
    """What a node has around it."""

    invariants: Invariants

    def send(self, sender: NodeId, receiver: NodeId, message: Message) -> None:
        """One of Raft's messages: the network may lose, repeat, delay or reorder it."""

    def forward(self, sender: NodeId, receiver: NodeId, message: Forwarded) -> None:
        """A message about requests: in order while the connection lives, like all that goes over one."""

    def has_room(self, sender: NodeId, receiver: NodeId) -> bool:
        """Whether the connection can take another AppendEntries."""

    def linked(self, sender: NodeId, receiver: NodeId) -> bool:
        """Whether there is a connection, as far as the sender knows."""

    def begin_write(self, node: SimulatedNode) -> None:
        """The disk begins with the node's batch; `SimulatedNode.finish_write` is called when it has come so far."""

    def applied(self, node: SimulatedNode) -> None:
        """The node has applied entries to its store."""

    def installed(self, node: SimulatedNode) -> None:
        """The node goes on from a leader's snapshot."""

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

    def take(self) -> None:
        """Take what there is room for."""
        for slot in self._session.requests(0):
            self.node.requests.take(slot)

    def take_replies(self) -> bytes:
        """What may leave."""
        return self._session.take_replies()

    @property
    def done(self) -> bool:
        """Whether everything has been answered, and nothing can follow."""
        return self._session.done

    def _settled(self) -> None:
        self.node.dirty[self.number] = self


class _WatchedCore(Core):
    """The core; somebody wants to know when a read comes to it."""

    def __init__(self, on_read: Callable[[int], None], *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._on_read = on_read

    def read_index(self, context: int) -> None:
        super().read_index(context)
        self._on_read(context)


class SimulatedNode:
    """A node, over all its lives; what it keeps from one to the next is its disk."""

    assembly: Assembly | None = None
    """Its cluster has formed."""

    def __init__(
        self,
        node: NodeId,
        world: World,
        settings: Settings,
        snapshot_settings: SnapshotSettings,
        segment_bytes: int,
        random: Random,
    ) -> None:
        self.node = node
        self.removal = Removal(node)
        self.disk = MemoryDisk(f"node {node}")
        self.up = False
        self.life = 0
        self.dirty: dict[int, SimulatedSession] = {}
        self.reads_served = 0
        self._reads_began: dict[int, int] = {}
        """By context: how much was committed anywhere when the read came."""
        self._world = world
        self._settings = settings
        self._snapshot_settings = snapshot_settings
        self._segment_bytes = segment_bytes
        self._random = random

    # Life

    def folder(self) -> DataFolder:
        """Its data folder, opened; that counts as a start."""
        return DataFolder(self.disk, self.node, draw=lambda size: self._random.randbytes(size).hex())

    def start(self) -> None:
        """Recover from the disk. Raises StorageError, OSError, PowerCut."""
        folder = self.folder()
        formation = folder.formation
        if formation is None:
            raise Violation(f"Durability: node {self.node} has forgotten its cluster")
        recovered = recover(folder, formation, self._segment_bytes)
        self.log, self.store = recovered.log, recovered.store
        self.life += 1
        self._reads_began.clear()
        self.core: Core = _WatchedCore(
            self._read_began,
            self.node,
            recovered.configuration,
            hard_state=recovered.hard_state,
            entries=recovered.entries,
            codec=codec,
            random=self._random,
            settings=self._settings,
            base=recovered.base,
            snapshot=recovered.point,
            configuration_index=recovered.configuration_index,
        )
        hold_ticks = 4 * self._settings.election_ticks
        self.requests = requests = Requests(self, self.store, hold_ticks)
        self.administration = Administration(self, requests.forwarding, requests.answering, hold_ticks)
        self.batch: Batch | None = None
        self.snapshots = Snapshots(
            self,
            self.disk,
            formation.cluster,
            self.log,
            ImmediateThread(),
            recovered.snapshot,
            self._snapshot_settings,
            self._random,
        )
        self.up = True
        self._world.invariants.started(self.core)
        self._world.applied(self)

    def end(self, power: bool, torn: int | None) -> None:
        """Die: of the process, or of the machine's power; `torn` is the operation at which a write under way stops."""
        self.up = False
        self.dirty = {}
        if torn is not None and self._random.random() < 0.5:
            self.disk.fail_at = self.disk.operations + torn
            self.disk.failure = PowerCut()
            with suppress(PowerCut, OSError):
                self.snapshots.turn()
        elif self.batch is not None and torn is not None:
            self.disk.fail_at = self.disk.operations + torn
            self.disk.failure = PowerCut()
            with suppress(PowerCut, OSError):  # where it stops is where the next life begins
                self._write(self.batch)
        if power:
            self.disk.crash(self._random)
        else:
            self.disk.kill()

    # Events

    def tick(self) -> None:
        """A tick has passed by this node's clock. Raises OSError: then the node is to die."""
        self.snapshots.turn()
        self.core.tick()
        self.snapshots.tick(1)
        self.requests.tick(1)
        self.administration.tick(1)
        self.turn()

    def step(self, sender: NodeId, message: Message) -> None:
        """One of Raft's messages has come. Raises OSError: then the node is to die."""
        self.snapshots.turn()
        self.core.step(sender, message)
        self.turn()

    def hear(self, sender: NodeId, message: Forwarded) -> None:
        """A message about requests has come."""
        requests = self.requests
        match message:
            case Propose():
                requests.on_propose(sender, message)
            case Proposed():
                requests.on_proposed(sender, message)
            case NotProposed():
                requests.on_not_proposed(sender, message)
            case ReadIndexRequest():
                requests.on_read_index(sender, message)
            case ReadIndexReply():
                requests.on_read_index_reply(sender, message)
            case Ask():
                self.administration.on_ask(sender, message)
            case Told():
                self.administration.on_told(sender, message)
        self.turn()

    def serve(self, session: SimulatedSession, data: bytes) -> None:
        """A client's bytes have come."""
        session.receive(data)
        self.turn()

    def finish_write(self) -> None:
        """The disk has taken the batch. Raises OSError: then the node is to die."""
        batch = self.batch
        assert batch is not None
        self._write(batch)
        self.batch = None
        self._world.invariants.written(self.node)
        self.core.persisted(batch.number)
        for receiver, message in batch.messages:
            if receiver != self.node:
                self._say(receiver, message)
        self.turn()

    def _write(self, batch: Batch) -> None:
        if batch.base is not None:
            self.log.reset(batch.base.index, batch.base.term)
        self.log.write(batch.hard_state, batch.entries)

    def mark(self) -> None:
        """Vouch for the log, as a node does that has been idle. Raises OSError: then the node is to die."""
        if self.batch is None:
            self.log.mark()

    def disturb(self, event: Callable[[Core], None]) -> None:
        """Let something else happen to the core."""
        event(self.core)
        self.turn()

    # Turns, as the driver takes them

    def turn(self) -> None:
        """Carry out all that can be done now."""
        self._world.invariants.observe(self.core)
        self.requests.begin_turn()
        self.administration.turn()
        self.requests.route()
        while self._round() or self._reply():
            self.administration.turn()
            self.requests.route()

    def _reply(self) -> bool:
        """Let the replies that are there leave; that may have made room for requests that had waited."""
        dirty, self.dirty = self.dirty, {}
        for session in dirty.values():
            self._world.replied(session, session.take_replies())
            session.take()
        return bool(dirty)

    def _round(self) -> bool:
        core = self.core
        ready = core.ready()
        if ready is not None:
            for receiver, message in ready.messages:
                self._say(receiver, message)
            if ready.committed:
                self._world.invariants.observe(core)
                self.requests.apply(ready.committed)
                self.requests.applied(ready.committed[-1].index)
                self._world.applied(self)
            for _, piece in ready.pieces:
                self.snapshots.receive(piece)
            if ready.reads:
                self._check_reads(ready.reads)
                self.requests.servable(ready.reads)
            if isinstance(ready.leadership, Lost):
                self._reads_began.clear()
                self.requests.leadership_lost(ready.leadership.reason)
        self._send_appends()
        if ready is not None and ready.batch is not None:
            self.batch = ready.batch
            self._world.invariants.writing(self.node, ready.batch)
            self._world.begin_write(self)
        self._world.invariants.observe(core)
        return ready is not None

    def _read_began(self, context: int) -> None:
        self._reads_began[context] = len(self._world.invariants.committed)

    def _check_reads(self, contexts: list[int]) -> None:
        for context in contexts:
            began = self._reads_began.pop(context)
            if self.core.last_applied < began:
                raise Violation(
                    f"ReadIndex: node {self.node} serves a read as of {self.core.last_applied}; "
                    f"{began} entries were committed when it came"
                )
        self.reads_served += len(contexts)

    def _send_appends(self) -> None:
        core, world = self.core, self._world
        if core.role != "leader":
            return
        for peer in core.progress:
            while world.has_room(self.node, peer) and (append := core.next_append(peer)) is not None:
                if isinstance(append, InstallSnapshot):
                    filled = self.snapshots.filled(append)
                    if filled is not None:
                        self._say(peer, filled)
                else:
                    self._say(peer, append)

    def _say(self, receiver: NodeId, message: Message) -> None:
        self._world.invariants.said(self.node, receiver, message)
        self._world.send(self.node, receiver, message)

    # What the snapshots need of their node

    def install(self, store: Store, snapshot: Snapshot) -> None:
        """Go on from a leader's snapshot."""
        header = snapshot.header
        self.store = store
        self.core.installed(point_of(snapshot), header.configuration_index, header.configuration)
        self._world.installed(self)
        self.requests.restore(store, header.last_included_index, header.last_included_term)

    # What the requests need of their node

    def send(self, peer: NodeId, message: Forwarded) -> None:
        """Send to a peer, in order."""
        self._world.forward(self.node, peer, message)

    def linked(self, peer: NodeId) -> bool:
        """Whether a connection to that peer is up."""
        return self._world.linked(self.node, peer)

    def answer_locally(self, slot: ReadSlot) -> Reply:
        """The reply to a request about this node itself."""
        return local_reply(self, slot)

    @property
    def members(self) -> Sequence[Member]:
        """Those in force."""
        return self.core.configuration.members

    def administer(self, slot: Slot) -> None:
        """Take a request that concerns the cluster, or this node's snapshots, and is answered later."""
        self.administration.take(slot)

    def withdraw(self, slots: Sequence[Slot]) -> set[Slot]:
        """Let go of those of such requests that have not been begun."""
        return self.administration.withdraw(slots)

    def whom_to_wait_for(self) -> tuple[str, str]:
        """Why there is no leader, and what to do."""
        return "no leader is known", "wait"

    @property
    def is_removed(self) -> bool:
        """Nobody introduces itself here, and so none is told that it is removed."""
        return False
