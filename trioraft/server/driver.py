"""The node's turns: the only place that touches the core.

A turn takes what has come in (the hub calls the handlers, these call the core and `Requests`), then carries out
what the core wants done: send, start the write, apply and answer. What waits for the disk goes out when the write
ends, in the same turn where the disk is quick. Everything is paid a turn, not an entry: one write to the log, one
send to each peer, one to each client.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import trio

from trioraft.cluster.formation import Assembly, View
from trioraft.cluster.handshake import PROTOCOL, Acknowledged, Evidence, refusal
from trioraft.cluster.startup import point_of, recover
from trioraft.kv.store import Store
from trioraft.raft.core import Core
from trioraft.raft.membership import Configuration, Formation, Member, with_folder
from trioraft.raft.messages import AppendEntries, Entry, HardState, InstallSnapshot, Message, NodeId
from trioraft.raft.ready import NOWHERE, Batch, Lost, Point, Random, Ready, Role
from trioraft.raft.settings import Settings
from trioraft.replica.administration import Administration
from trioraft.replica.failures import decides
from trioraft.replica.ports import DiskThread
from trioraft.replica.removal import Removal
from trioraft.replica.reports import local_reply, say_role, why_no_leader
from trioraft.replica.requests import Requests
from trioraft.replica.slots import ReadSlot, Slot
from trioraft.replica.snapshots import Snapshots, SnapshotSettings
from trioraft.server.clients import Client, Crowd, Recognizer, take_joining
from trioraft.server.door import Door
from trioraft.server.election_timer import ElectionTimer
from trioraft.server.links import Incoming, Link
from trioraft.server.replicator import Replicator
from trioraft.server.transport import Connection, Hub
from trioraft.storage.folder import DataFolder
from trioraft.storage.log import SegmentedLog
from trioraft.storage.snapshots import Snapshot
from trioraft.wire import entries as codec
from trioraft.wire.peers import (
    Ask,
    FormationView,
    NotProposed,
    PeerHello,
    PeerMessage,
    PeerRefused,
    Propose,
    Proposed,
    ReadIndexReply,
    ReadIndexRequest,
    Told,
    Underway,
)
from trioraft.wire.replies import Reply

MAX_SEND: Final = 1024 * 1024
"""Bytes put on one link before its socket has to be free again."""
RESTFUL_TICKS: Final = 10
"""How long a node rests at most: what an idle one costs is its turns."""
SOON_TICKS: Final = 6
"""What is due so soon was not foreseen when the timer went to rest: another try after a split vote."""
GATHER_SECONDS: Final = 0.001
"""How long writes wait at most for more to come, while others are under way."""
SLICE_PAUSE_SECONDS: Final = 0.001
"""From one slice of a snapshot to the next so long at least, while there are requests: these come first."""
PLENTY: Final = 128
"""So many requests do not wait for more: what a batch costs beside its entries is little for each of them."""
MANY_UNCOMMITTED: Final = 32
"""A leader with more than so many entries under way does not wait for its own disk: the others commit them without."""
GATHER_ROUNDS: Final = 8
"""How often more is taken in before a turn, at most."""
REPLIES_A_TURN: Final = 4 * 1024 * 1024
"""So many bytes of replies are sent in a turn; the next, which follows at once, begins with peers and the clock."""
IDLE_TICKS: Final = 100
"""Without a write for so long, the log is marked."""
WAITING_REPORT_TICKS: Final = 50

log = logging.getLogger("trioraft.node")


class Driver:
    """One node, from the inside."""

    snapshot_settings = SnapshotSettings()
    reply_room = REPLIES_A_TURN
    """How many bytes of replies this turn may still send."""

    def __init__(
        self,
        node: NodeId,
        servers: Sequence[str],
        folder: DataFolder,
        hub: Hub,
        writer: DiskThread,
        background: DiskThread,
        random: Random,
        max_request_bytes: int,
    ) -> None:
        """`servers` are the lines of servers.txt, '-' where a removed member was; `background` writes snapshots.

        Raises StorageError, OSError.
        """
        self.node = node
        self.servers = list(servers)
        self.folder = folder
        self.hub = hub
        self.settings = Settings()
        self.store = Store()
        self.snapshots: Snapshots | None = None
        """None before the cluster has formed."""
        self.max_request_bytes = max_request_bytes
        self.door = Door(hub)
        self.clients: set[Client] = set()
        self.dirty: deque[Client | Crowd] = deque()
        """Clients with replies to send at the end of the turn, or of the next where it has sent enough."""
        self.joining: list[Client] = []
        """Clients that have asked what has not been looked at yet."""
        self.assembly: Assembly | None = None
        self._writer = writer
        self._background = background
        self._random = random
        self._log: SegmentedLog | None = None
        self._batch: Batch | None = None
        self._marking = False
        """Whether the log is being marked; a batch waits for that."""
        self._idle_ticks = 0
        self._gather_until = math.inf
        """When the writes that wait for more to come have waited long enough."""
        self._next_slice = -math.inf
        """When a snapshot may go on, while there is other work."""
        self._ticks = 0
        self._links: dict[NodeId, Link] = {}
        self._incoming: dict[NodeId, Incoming] = {}
        self._early: dict[NodeId, list[PeerMessage]] = {}
        """Answers that wait for the connection to a peer, whose own to this node is up."""
        self._evidence = Evidence()
        self._replicators: dict[NodeId, Replicator] = {}
        self._nursery: trio.Nursery | None = None
        self.timer = ElectionTimer(self.tick, self.ticks_to_rest)
        self._said: tuple[int, Role, NodeId | None] = (0, "follower", None)
        self._waiting_said = ""
        self._view_said: str | None = None
        if folder.formation is None:
            self.assembly = Assembly(node, folder.id, self.servers)
            self.core = self._new_core(Configuration((), 0), HardState(), [], NOWHERE, NOWHERE, 0)
        else:
            self._start(folder.formation)
        hold_ticks = 4 * self.settings.election_ticks
        self.requests = requests = Requests(self, self.store, hold_ticks)
        self.administration = Administration(self, requests.forwarding, requests.answering, hold_ticks)
        self.removal = Removal(node)
        self._committed = Configuration((), 0)
        """The members as they are committed, as far as they were looked at."""
        self._unheard: dict[NodeId, Member] = {}
        """Members that have introduced themselves, and that this node's own log does not know of yet."""
        self._to_bind: dict[NodeId, str] = {}
        """Newcomers that have shown themselves, and their folders."""

    # Life

    async def run(self) -> None:
        """Take turns for ever. Raises OSError when the disk fails: then nothing more may be promised."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self.timer.run)
            self._dial_peers()
            while True:
                # Without writes a leader waits only for answers that come at once, and each read waits for it twice.
                await self.hub.wait(self.core.role == "leader" and self._idle_ticks > 0, self._pause)
                self._serve()
                for _ in range(GATHER_ROUNDS):
                    # Where no client has asked for anything, the peers wait, and more would keep them waiting.
                    if not 0 < self.requests.gathered < PLENTY or not self.hub.more():
                        break
                    self._serve()
                self.turn()

    def _serve(self) -> None:
        """Take in what has come."""
        self.hub.serve()
        take_joining(self)

    def turn(self) -> None:
        """Carry out all that can be done now."""
        self.reply_room = REPLIES_A_TURN
        self.requests.begin_turn()
        ticked = self._ticks > 0
        if ticked:
            self._pass_time()
        if self.snapshots is not None and (ticked or self.snapshots.active):
            self._go_on_with(self.snapshots)
        if self.assembly is not None:
            self._try_to_form(self.assembly)
        gather = self._gathers()
        more = True
        while more:
            self.administration.turn()  # first: what it brings to its end may have held up writes
            self.requests.route(gather)
            while self._step():
                self.administration.turn()
                self.requests.route(gather=True)
            more = self._flush_clients()
        if self.core.leader is None and self.core.ticks_until_due < SOON_TICKS:
            self.timer.hurry()
        self._report_changes()

    def _go_on_with(self, snapshots: Snapshots) -> None:
        """Take the next step of a snapshot; while there is other work, not one right after the other."""
        now = trio.current_time()
        if self._quiet or now >= self._next_slice:
            snapshots.turn()
            self._next_slice = now + SLICE_PAUSE_SECONDS

    @property
    def _quiet(self) -> bool:
        """Whether nobody waits for this node: neither a client of its own nor, through its leader, one of another's."""
        return self._idle_ticks > 0 and self.requests.idle

    def _gathers(self) -> bool:
        """Whether the writes that have come wait for more to come.

        While others are under way, their clients are about to write again: all of them then share a batch, and come
        back together. What is not gathered so costs each node a batch of its own.
        """
        core, gathered = self.core, self.requests.gathered
        if core.role != "leader" or core.commit_index == core.last_index or not 0 < gathered < PLENTY:
            self._gather_until = math.inf
            return False
        now = trio.current_time()
        self._gather_until = min(self._gather_until, now + GATHER_SECONDS)
        return now < self._gather_until

    @property
    def _pause(self) -> float | None:
        """For how many seconds the next turn waits for something to come in, where not as long as it takes."""
        if self.dirty or self.requests.hurries:
            return 0
        if self.snapshots is not None and self.snapshots.busy:
            return 0 if self._quiet else SLICE_PAUSE_SECONDS
        if not self.requests.gathering:
            return None
        return GATHER_SECONDS if self.core.commit_index < self.core.last_index else 0

    def tick(self, ticks: int) -> None:
        """Time has passed; taken up in the next turn, which comes at once."""
        self._ticks += ticks
        self.hub.wake()

    def ticks_to_rest(self) -> int:
        """How many ticks may pass untold."""
        return min(self.core.ticks_until_due, RESTFUL_TICKS)

    async def stop(self, seconds: float) -> None:
        """Take no more writes, finish what is under way for so long at most, and mark the log."""
        with trio.move_on_after(seconds):
            await self._hand_over()
            self.requests.stopping = True
            while not self.requests.idle or any(client.busy for client in self.clients):
                await trio.sleep(0.01)

    async def _hand_over(self) -> None:
        """Let another lead, if this node does: the clients of the others shall notice nothing."""
        core = self.core
        if core.role != "leader" or len(core.configuration.voters) < 2:
            return
        term, target = core.term, core.transfer_leadership(None)
        log.info("node %d hands the lead to node %d", self.node, target)
        self.hub.wake()
        while core.term == term and core.transferring:
            await trio.sleep(0.002)
        with trio.move_on_after(0.1):
            while core.leader is None:
                await trio.sleep(0.002)
        if core.leader == self.node:
            log.info("node %d did not take over in time", target)

    def close(self) -> None:
        """Let go of clients and peers, and leave the log marked and closed, if the disk allows it."""
        self.door.close()
        for client in list(self.clients):
            client.abandon()
        self._incoming.clear()
        if self.snapshots is not None:
            self.snapshots.close()
        if self._log is not None:
            if self._batch is None and not self._marking:
                self._log.mark()
            self._log.close()
        self.folder.close()

    @property
    def peers(self) -> dict[NodeId, str]:
        """The other nodes, and where to dial them."""
        if self.assembly is not None:
            return {peer: self.servers[peer] for peer in self.assembly.others}
        members = [*self._unheard.values(), *self._committed.members, *self.core.configuration.members]
        return {member.id: member.address for member in members if member.id != self.node}

    def _dial_peers(self) -> None:
        """See to it that every peer is dialled, at the address where it is now."""
        assert self._nursery is not None
        for peer, address in self.peers.items():
            if (replicator := self._replicators.get(peer)) is None:
                replicator = self._replicators[peer] = Replicator(self.hub, self, peer, address)
                self._nursery.start_soon(replicator.run)
            replicator.address = address
        for peer in [peer for peer in self._replicators if peer not in self.peers and peer not in self.core.progress]:
            self._replicators.pop(peer).stop()

    def _follow_members(self) -> None:
        """Keep connections to those who belong to the cluster now, and bind the folders of newcomers."""
        if self.assembly is not None:
            return
        for node in [node for node in self._unheard if node < self.core.configuration.next_id]:
            del self._unheard[node]  # by now this node knows it, or that it is gone again
        before, committed = self._committed, self.core.configuration_at(self.core.commit_index)[1]
        if self._nursery is not None and (committed is not before or len(self._replicators) != len(self.peers)):
            self._committed = committed
            self._dial_peers()
            for member in committed.members:
                old = before.member(member.id)
                bound = old is not None and old.folder != member.folder
                if bound and member.id in self._replicators:
                    self._replicators[member.id].redial()  # it is to hear that it belongs to the cluster now
            self.removal.commits(committed)
            for peer, incoming in list(self._incoming.items()):
                if peer not in self.peers and peer not in self.core.progress and peer < committed.next_id:
                    incoming.close()  # when it introduces itself again it is told that it was removed
                    self.lose(incoming)
        for node, folder in list(self._to_bind.items()):
            newcomer = self.core.configuration.member(node)
            if newcomer is None or newcomer.folder:
                del self._to_bind[node]
            elif self.core.may_change:
                self.core.propose_configuration(with_folder(self.core.configuration, node, folder))

    def _new_core(
        self,
        configuration: Configuration,
        hard_state: HardState,
        entries: list[Entry],
        base: Point,
        snapshot: Point,
        configuration_index: int,
    ) -> Core:
        return Core(
            self.node,
            configuration,
            hard_state=hard_state,
            entries=entries,
            codec=codec,
            random=self._random,
            settings=self.settings,
            base=base,
            snapshot=snapshot,
            configuration_index=configuration_index,
        )

    def _start(self, formation: Formation) -> None:
        """Begin, or go on, as a member of a formed cluster."""
        recovered = recover(self.folder, formation)
        self._log, self.store = recovered.log, recovered.store
        for notice in recovered.notices:
            log.warning("%s", notice, extra={"about": notice})
        keys, index = len(recovered.store), recovered.point.index
        snapshot = f"a snapshot of {keys} {'key' if keys == 1 else 'keys'} up to entry {index} and " if index else ""
        entries = "1 entry" if len(recovered.entries) == 1 else f"{len(recovered.entries)} entries"
        found = f"{snapshot}a log of {entries}, term {recovered.hard_state.term}"
        log.info("cluster %s: recovered %s", formation.cluster, found)
        self.core = self._new_core(
            recovered.configuration,
            recovered.hard_state,
            recovered.entries,
            recovered.base,
            recovered.point,
            recovered.configuration_index,
        )
        self.snapshots = Snapshots(
            self,
            self.folder.disk,
            formation.cluster,
            recovered.log,
            self._background,
            recovered.snapshot,
            self.snapshot_settings,
            self._random,
        )

    # Turns

    def _step(self) -> bool:
        """One round of what the core wants; False when there was nothing, or only the disk can bring more."""
        ready = self.core.ready()
        if ready is not None:
            for receiver, message in ready.messages:
                self._put(receiver, message)
        # The peers, and the disk, do their part while this node applies and answers.
        self._send_appends()
        self._flush_links()
        if ready is not None:
            if ready.batch is not None:
                self._persist(ready.batch)
                if self.core.role != "leader" and self._check_write():
                    self._flush_links()  # its leader waits for that, and nobody for what it applies
            self._carry_out(ready)
            self._flush_links()
            self._flush_clients()
        return self._check_write() or ready is not None

    def _carry_out(self, ready: Ready) -> None:
        """Apply what is committed, and serve what waited for it."""
        if ready.committed:
            self.requests.apply(ready.committed)
            self.requests.applied(ready.committed.last_index)
        if ready.pieces and self.snapshots is not None:
            for _, piece in ready.pieces:
                self.snapshots.receive(piece)
        if ready.reads:
            self.requests.servable(ready.reads)
        if isinstance(ready.leadership, Lost):
            self.requests.leadership_lost(ready.leadership.reason)

    def _persist(self, batch: Batch) -> None:
        """Write a batch, after the mark that may be under way."""
        self._batch = batch
        self._idle_ticks = 0
        if not self._marking:
            self._start_write(batch)

    def _start_write(self, batch: Batch) -> None:
        self._writer.start(lambda: self._write(batch))

    def _write(self, batch: Batch) -> None:
        """In the writer's thread."""
        segments = self._log
        assert segments is not None  # the core of a node without a cluster has nothing to persist
        if batch.base is not None:
            segments.reset(batch.base.index, batch.base.term)
        segments.write(batch.hard_state, batch.entries)

    @decides
    def install(self, store: Store, snapshot: Snapshot) -> None:
        """Go on from a leader's snapshot, which is durable; the store holds what it held."""
        header = snapshot.header
        self.store = store
        self.core.installed(point_of(snapshot), header.configuration_index, header.configuration)
        self.requests.restore(store, header.last_included_index, header.last_included_term)

    def _check_write(self) -> bool:
        """Whether a batch has been written and synced; then what rested on it goes out."""
        if self._marking:
            if not self._writer.finished():
                return False
            self._marking = False
            if self._batch is not None:
                self._start_write(self._batch)
        batch = self._batch
        if batch is None or not self._writer.finished(self._waits_for_disk):
            return False
        self._batch = None
        self.core.persisted(batch.number)
        for receiver, message in batch.messages:
            if receiver != self.node:
                self._put(receiver, message)
        return True

    @property
    def _waits_for_disk(self) -> bool:
        """Whether this turn waits for its write. A leader with much under way has better things to do."""
        core = self.core
        return core.role != "leader" or core.last_index - core.commit_index <= MANY_UNCOMMITTED

    def _pass_time(self) -> None:
        ticks, self._ticks = self._ticks, 0
        for _ in range(ticks):
            self.core.tick()
        self.requests.tick(ticks)
        self.administration.tick(ticks)
        if self.snapshots is not None:
            self.snapshots.tick(ticks)
        self._follow_members()
        self.hub.expire(now := trio.current_time())
        self.door.expire(now)
        self._report_waiting()
        self._idle_ticks += ticks
        segments = self._log
        if segments is not None and segments.moved:
            segments.moved = False
            self.core.persisting()
        at_rest = self._idle_ticks >= IDLE_TICKS and self._batch is None and not self._marking
        if at_rest and segments is not None and not segments.marked:
            self._marking = True
            self._writer.start(segments.mark)

    # Peers: out

    def _send_appends(self) -> None:
        """Give each peer what it lacks, as far as its connection takes it."""
        if self.core.role != "leader":
            return
        for peer, link in self._links.items():
            if not link.connection.unsent:
                while link.queued < MAX_SEND and (append := self.core.next_append(peer)) is not None:
                    message = self._filled(append)
                    if message is not None:
                        link.put(message)

    def _filled(self, message: AppendEntries | InstallSnapshot) -> Message | None:
        """Put the piece into a message that is to carry one of a snapshot."""
        if isinstance(message, InstallSnapshot):
            return None if self.snapshots is None else self.snapshots.filled(message)
        return message

    def _flush_links(self) -> None:
        for link in self._links.values():
            link.flush()

    def _put(self, receiver: NodeId, message: Message) -> None:
        link = self._links.get(receiver)
        if link is not None:
            link.put(message)

    def send(
        self,
        peer: NodeId,
        message: Propose | Proposed | NotProposed | ReadIndexRequest | ReadIndexReply | Ask | Told,
    ) -> None:
        """Send to a peer, in order: at once, or, if it has a connection to this node, when there is one to it."""
        if (link := self._links.get(peer)) is not None:
            link.put(message)
        elif peer in self._incoming:
            self._early.setdefault(peer, []).append(message)

    def linked(self, peer: NodeId) -> bool:
        """Whether requests can be passed to that peer, and its answers come back."""
        return peer in self._links and peer in self._incoming

    def introduction(self, peer: NodeId) -> PeerHello:
        """What this node says first to that peer."""
        formation = self.folder.formation
        if formation is not None:
            formation = Formation(formation.cluster, self.core.configuration_at(self.core.commit_index)[1])
        return PeerHello(
            PROTOCOL,
            formation.cluster if formation else None,
            self.node,
            peer,
            self.folder.id,
            self.folder.starts,
            self.folder.incarnation,
            self.core.term,
            self.core.durable_index,
            self.servers,
            formation,
        )

    def acknowledged(self, peer: NodeId) -> Acknowledged:
        """How far this leader knows that peer to have synced by now."""
        progress = self.core.progress.get(peer)
        return Acknowledged(self.core.term, 0 if progress is None else progress.match_index)

    def objection(self, peer: NodeId, answer: PeerHello, asked: Acknowledged) -> PeerRefused | None:
        """Why the one who answered a call to that peer is not to be spoken to, or None."""
        return self._judge(answer, self.introduction(peer), asked)

    def is_removed_by(self, peer: NodeId, refused: PeerRefused, asked: Acknowledged) -> bool:
        """Whether the refusal, of one that is that peer, tells that this node has been removed; it is noted."""
        hello = refused.introduction
        if self.assembly is not None:
            self.assembly.refused(peer, refused.message)
        if hello is None or self.objection(peer, hello, asked) is not None:
            return False
        return self.removal.is_told_by(hello, self.core.configuration)

    @property
    def is_removed(self) -> bool:
        """Whether this node knows that it is a member no more, and no leader that it could ask all the same."""
        return self.removal.configuration is not None and self.core.leader is None

    @decides
    def link_up(self, peer: NodeId, link: Link) -> None:
        """An outgoing connection is ready."""
        self._links[peer] = link
        self.core.peer_connected(peer)
        if self.assembly is not None:
            link.put(FormationView(self.assembly.ready))
        for message in self._early.pop(peer, ()):
            link.put(message)
        self.hub.wake()

    @decides
    def link_down(self, peer: NodeId) -> None:
        """An outgoing connection is gone."""
        self._links.pop(peer, None)
        self.requests.link_lost(peer)
        self.administration.link_lost(peer)
        self.hub.wake()

    def link_free(self) -> None:
        """A link has room again: the next turn, which follows at once, pulls what is to be sent."""

    @decides
    def peer_lost(self, peer: NodeId) -> None:
        """Nobody listens at the peer's address."""
        if peer == self.core.leader:
            log.info("node %d, the leader, is gone", peer)
        self.core.peer_lost(peer)
        if self.assembly is not None:
            self.assembly.refused(peer, None)
        self.timer.hurry()

    # Peers: in

    def accept(self, connection: Connection) -> None:
        """A new connection, from a client or a peer: its first bytes tell."""
        connection.handler = Recognizer(connection, self)
        connection.resume()

    def greet(self, incoming: Incoming, hello: PeerHello) -> PeerHello | PeerRefused:
        """Answer a peer that introduces itself."""
        mine = self.introduction(hello.sender)
        refused = self._judge(hello, mine, self.acknowledged(hello.sender))
        if refused is not None:
            about = (hello.sender, refused.hint) if hello.sender in self.peers else None
            log.warning("refused a connection: %s", refused.message, extra={"about": about})
            return refused
        self._welcome(incoming, hello)
        return mine

    @decides
    def _welcome(self, incoming: Incoming, hello: PeerHello) -> None:
        """Take what comes on that connection for what the peer says from now on."""
        old = self._incoming.get(hello.sender)
        if old is not None:
            # What the peer says now supersedes what it said before and this node has not read.
            old.close()
            self.lose(old)
        self._incoming[hello.sender] = incoming
        self._evidence.remember(hello)
        if self.assembly is not None:
            self.assembly.heard(hello.sender, View(hello.folder, hello.servers, hello.formation))
        self._get_to_know(hello)
        if hello.sender in self._replicators and hello.sender not in self._links:
            self._replicators[hello.sender].hurry()

    def _get_to_know(self, hello: PeerHello) -> None:
        """Dial a member that was taken in while this node was away: it may lead, and this node's answers must reach it.

        Else it could never bring this node up to date, for it is from its log that this node would learn of it.
        """
        if self._nursery is None or self.folder.formation is None or hello.formation is None:
            return
        member = hello.formation.configuration.member(hello.sender)
        if member is not None and member.id >= self.core.configuration.next_id:
            self._unheard[member.id] = member
            self._dial_peers()

    def _judge(self, hello: PeerHello, mine: PeerHello, known: Acknowledged) -> PeerRefused | None:
        refused = refusal(hello, mine, self._evidence.contradicts(hello, known))
        member = None if mine.formation is None else mine.formation.configuration.member(hello.sender)
        if refused is None and member is not None and not member.folder:
            self._to_bind[hello.sender] = hello.folder
        return refused

    @decides
    def hear(self, incoming: Incoming, message: PeerMessage) -> None:
        """A message of an accepted peer."""
        peer = incoming.peer
        assert peer is not None
        if isinstance(message, FormationView):
            if self.assembly is not None:
                self.assembly.ready_for(peer, message.ready)
        elif self.folder.formation is not None:
            self._hear_member(peer, message)

    def _hear_member(self, peer: NodeId, message: PeerMessage) -> None:
        match message:
            case Propose():
                self.requests.on_propose(peer, message)
            case Proposed():
                self.requests.on_proposed(peer, message)
            case NotProposed():
                self.requests.on_not_proposed(peer, message)
            case ReadIndexRequest():
                self.requests.on_read_index(peer, message)
            case ReadIndexReply():
                self.requests.on_read_index_reply(peer, message)
            case Ask():
                self.administration.on_ask(peer, message)
            case Told():
                self.administration.on_told(peer, message)
            case Underway():
                if message.term == self.core.term and (progress := self.core.progress.get(peer)) is not None:
                    progress.heard()
            case FormationView() | PeerHello() | PeerRefused():
                pass  # said before the cluster was formed, or twice
            case _:
                self.core.step(peer, message)

    @decides
    def lose(self, incoming: Incoming) -> None:
        """A peer's connection to this node is gone; if its process is, so is the one to it, which tells."""
        peer = incoming.peer
        if peer is None or self._incoming.get(peer) is not incoming:
            return
        del self._incoming[peer]
        self._early.pop(peer, None)
        if self.assembly is not None:
            self.assembly.gone(peer)
        self.requests.link_lost(peer)
        self.administration.link_lost(peer)

    # Formation

    def _try_to_form(self, assembly: Assembly) -> None:
        """Tell the others what this node sees, and form or join the cluster once that is settled."""
        if assembly.ready != self._view_said:
            self._view_said = assembly.ready
            for link in self._links.values():
                link.put(FormationView(assembly.ready))
        formation = assembly.formed()
        if formation is None:
            return
        self._flush_links()
        news = "the cluster has formed" if assembly.is_its_own(formation) else f"node {self.node} is in the cluster now"
        self.folder.adopt(formation)
        self.assembly = None
        self._start(formation)
        self.requests.restore(self.store, 0, 0)
        log.info("%s: %s", news, ", ".join(f"node {m.id} at {m.address}" for m in self.members))
        # The others are to hear who this node is now, and to say it of themselves.
        for incoming in self._incoming.values():
            incoming.close()
        self._incoming = {}
        if self._nursery is not None:
            self._dial_peers()
        for replicator in self._replicators.values():
            replicator.redial()

    @property
    def members(self) -> Sequence[Member]:
        """The members in force; none before the cluster has formed."""
        return self.core.configuration.members

    # Clients

    def answer_locally(self, slot: ReadSlot) -> Reply:
        """The reply to a request about this node itself."""
        return local_reply(self, slot)

    def administer(self, slot: Slot) -> None:
        """Take a request that concerns the cluster, or this node's snapshots, and is answered later."""
        self.administration.take(slot)

    def withdraw(self, slots: Sequence[Slot]) -> set[Slot]:
        """Let go of those of such requests that have not been begun."""
        return self.administration.withdraw(slots)

    def _flush_clients(self) -> bool:
        """Send the replies that are ready, to each client a portion; True if that made room for more requests."""
        more = False
        dirty = self.dirty
        while dirty and self.reply_room > 0:
            more = dirty.popleft().flush() or more
        return more

    # What a person sees

    def whom_to_wait_for(self) -> tuple[str, str]:
        """Why there is no leader, and what to do."""
        return why_no_leader(self)

    def _report_waiting(self) -> None:
        """Say once for whom the cluster waits to form, and again when that changes."""
        if self.assembly is None or self.requests.now < WAITING_REPORT_TICKS:
            return
        said = self.assembly.lacking
        if said and said != self._waiting_said:
            log.info("waiting for %s", said)
        self._waiting_said = said

    def _report_changes(self) -> None:
        """One line for each change of term, role or leader."""
        core = self.core
        now = (core.term, core.role, core.leader)
        if now == self._said:
            return
        self._said = now
        if core.leader is not None:
            self.removal.follows()
        say_role(core)
