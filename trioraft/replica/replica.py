"""Everything that one node decides, and nothing else: no connection, clock, thread or randomness of its own.

What comes in is handed in by calls: what peers and clients say, how much time has passed. Then `turn` carries out what
can be done: send, write, apply, answer. What goes out goes through ports (`trioraft.replica.ports`), so that the real
node and the simulations drive the same object. Everything is paid a turn, not an entry: one write to the log, one send
to each peer, one to each client.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from trioraft.cluster.formation import Assembly
from trioraft.cluster.startup import point_of, recover
from trioraft.machine import Machine
from trioraft.raft.core import Core
from trioraft.raft.membership import Configuration, Formation, Member
from trioraft.raft.messages import AppendEntries, Entry, HardState, InstallSnapshot, Message, NodeId
from trioraft.raft.ready import NOWHERE, Batch, Lost, Point, Random, Ready, Role
from trioraft.raft.settings import Settings
from trioraft.replica.administration import Administration
from trioraft.replica.alarms import NEVER
from trioraft.replica.duties import Duties
from trioraft.replica.failures import decides
from trioraft.replica.fan_out import Portions
from trioraft.replica.introductions import Introductions
from trioraft.replica.lease_clock import LeaseClock
from trioraft.replica.levels import Levels
from trioraft.replica.log_writer import LogWriter
from trioraft.replica.ports import TICK_MS, Clients, DiskThread, FaultSwitch, Forwarded, Observer, Pace, Peers, Vitals
from trioraft.replica.removal import Removal
from trioraft.replica.reports import local_reply, say_recovered, say_role, why_no_leader
from trioraft.replica.requests import Requests
from trioraft.replica.slots import ReadSlot, Slot
from trioraft.replica.snapshots import Snapshots, SnapshotSettings
from trioraft.storage.folder import DataFolder
from trioraft.storage.log import SEGMENT_BYTES
from trioraft.storage.snapshots import Snapshot
from trioraft.wire import entries as codec
from trioraft.wire.cluster_commands import LEVEL
from trioraft.wire.peers import (
    AdminReply,
    AdminRequest,
    FormationView,
    NotProposed,
    PeerHello,
    PeerMessage,
    PeerRefused,
    Propose,
    Proposed,
    ReadIndexReply,
    ReadIndexRequest,
    Underway,
)
from trioraft.wire.replies import Reply
from trioraft.wire.table import AnyRequest

WAITING_REPORT_TICKS: Final = 50

log = logging.getLogger("trioraft.node")


class Ports(msgspec.Struct):
    """What is around one replica."""

    peers: Peers
    clients: Clients
    pace: Pace
    log_thread: DiskThread
    snapshot_thread: DiskThread
    random: Random
    new_machine: Callable[[], Machine]
    """Makes an empty machine of the kind that is replicated."""
    observer: Observer | None = None
    vitals: Vitals | None = None
    """None where there is no process that has any."""
    faults: FaultSwitch | None = None
    """None where the node was not started to be broken on purpose."""


class Tuning(msgspec.Struct, frozen=True):
    """What simulations and tests set otherwise than a node does."""

    raft: Settings = Settings()
    snapshots: SnapshotSettings = SnapshotSettings()
    segment_bytes: int = SEGMENT_BYTES
    """A segment of the log that has grown to this is the last but one."""
    mark_ticks: int = 100
    """After this time without a write the log is marked."""
    lease_tick_ms: int = TICK_MS
    """How much of a lease's ttl one tick uses up."""
    level: int = LEVEL
    """The newest level that this node supports."""
    portions: Portions = Portions()
    """How much is told of changes at once."""


class Replica:
    """One node, from the inside."""

    def __init__(
        self, node: NodeId, servers: Sequence[str], folder: DataFolder, ports: Ports, tuning: Tuning | None = None
    ) -> None:
        """Begin with what the folder holds. `servers` are the lines of servers.txt, '-' where a removed member was.

        Raises StorageError, OSError.
        """
        self.node = node
        self.folder = folder
        self.peers = ports.peers
        self.machine = ports.new_machine()
        self.log: LogWriter | None = None
        """None before the cluster has formed, and so are the snapshots."""
        self.snapshots: Snapshots | None = None
        self.assembly: Assembly | None = None
        """The forming of the cluster, while that is under way."""
        self.vitals = ports.vitals
        self.leader_changes = 0
        """How often another leader, or the same one in another term, became known."""
        self.idle_ticks = 0
        """For how long nothing was written."""
        self._ticks = 0
        """The ticks that have passed since the last turn."""
        self._ports = ports
        self._clients = ports.clients
        self._pace = ports.pace
        self._observer = ports.observer
        self.faults = ports.faults
        self.tuning = tuning = tuning or Tuning()
        self.levels = Levels(self, tuning.level)
        self._said: tuple[int, Role, NodeId | None] = (0, "follower", None)
        self._followed: tuple[int, NodeId] | None = None
        self._level_said = 0
        self._waiting_said = ""
        self._view_said: str | None = None
        if folder.formation is None:
            self.assembly = Assembly(node, folder.id, servers, tuning.level)
            self.core = self._new_core(Configuration((), 0), HardState(), [], NOWHERE, NOWHERE, 0)
        else:
            self._start(folder.formation)
        hold_ticks = 4 * tuning.raft.election_ticks
        self._lease_clock = LeaseClock(tuning.lease_tick_ms)
        self.requests = requests = Requests(self, self.machine, self._lease_clock, hold_ticks, tuning.portions)
        self.administration = Administration(self, requests.forwarding, requests.answering, hold_ticks)
        self.removal = Removal(node)
        self.duties = Duties(self, self._lease_clock)
        self.introductions = Introductions(self, servers)
        self._handlers: dict[type, Callable[[NodeId, Any], None]] = {
            Propose: requests.on_propose,
            Proposed: requests.on_proposed,
            NotProposed: requests.on_not_proposed,
            ReadIndexRequest: requests.on_read_index,
            ReadIndexReply: requests.on_read_index_reply,
            AdminRequest: self.administration.on_request,
            AdminReply: self._on_admin_reply,
            Underway: self._on_underway,
            # Said before the cluster was formed, or twice:
            FormationView: _ignore,
            PeerHello: _ignore,
            PeerRefused: _ignore,
        }

    # Life

    def _start(self, formation: Formation) -> None:
        """Begin, or go on, as a member of a formed cluster."""
        ports, tuning = self._ports, self.tuning
        recovered = recover(self.folder, formation, self.machine, tuning.segment_bytes)
        self._level_said = self.machine.level
        say_recovered(formation, recovered)
        self.log = LogWriter(recovered.log, ports.log_thread, self._observer)
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
            ports.snapshot_thread,
            recovered.snapshot,
            ports.new_machine,
            tuning.snapshots,
            ports.random,
        )
        if self._observer is not None:
            self._observer.started(self.core)

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
            random=self._ports.random,
            settings=self.tuning.raft,
            base=base,
            snapshot=snapshot,
            configuration_index=configuration_index,
        )

    def close(self) -> None:
        """Leave the log marked and closed, if the disk allows it. Raises OSError."""
        if self.snapshots is not None:
            self.snapshots.close()
        if self.log is not None:
            self.log.close()
        self.folder.close()

    # Turns

    def pass_time(self, ticks: int, lost: int = 0) -> None:
        """Note that time has passed: what is handed in from now on came after that. The next turn acts on it.

        After this node stood still, only a few of the ticks count: it reads what came before it judges who is silent.
        `lost` are ticks that the caller does not count for that reason; they make the state older all the same.
        """
        counted = min(ticks, self.tuning.raft.most_ticks - self._ticks)
        self._ticks += counted
        self.introductions.troubles.pass_time(counted)
        self.requests.pass_time(counted, lost + ticks - counted)
        self.administration.pass_time(counted)
        self._lease_clock.pass_time()

    def turn(self) -> None:
        """Carry out all that can be done now.

        Raises OSError when the disk fails: then nothing more may be promised.
        """
        requests = self.requests
        requests.begin_turn()
        ticks, self._ticks = self._ticks, 0
        if ticks:
            self._act_on_time(ticks)
        snapshots = self.snapshots
        if snapshots is not None and (ticks or snapshots.active) and self._pace.takes_slice(quiet=self.is_quiet):
            snapshots.advance()
        if self.assembly is not None:
            self._try_to_form(self.assembly)
        gather = self._pace.gathers(leads=self.leads, uncommitted=self.uncommitted, gathered=requests.gathered)
        more = True
        while more:
            self.administration.advance()  # first: what it brings to its end may have held up writes
            requests.route(gather)
            while self._step():
                self.administration.advance()
                requests.route(gather=True)
            more = self._clients.flush()
            subscriptions = requests.subscriptions
            if not more and subscriptions.fan_out.is_used and subscriptions.bring():  # behind the replies
                more = self._clients.flush()
        requests.end_turn()
        self._report_changes()
        if self._observer is not None:
            self._observer.turned(self.core)

    def _act_on_time(self, ticks: int) -> None:
        """Do what has become due within these ticks."""
        core = self.core
        for _ in range(ticks):
            core.tick()
            if self._observer is not None:
                self._observer.changed(core)
        self.requests.give_up_late()
        self.administration.give_up_late()
        if self.snapshots is not None:
            self.snapshots.tick(ticks)
        self.idle_ticks += ticks
        if self.log is None:
            self._report_waiting()
            return
        self.introductions.follow_members()
        self.duties.tick(ticks)
        if self.log.moved_on():
            core.persisting()
        if self.idle_ticks >= self.tuning.mark_ticks:
            self.log.mark()

    def _step(self) -> bool:
        """One round of what the core wants; False when there was nothing, or only the disk can bring more."""
        core, peers = self.core, self.peers
        ready = core.ready()
        if ready is not None:
            for receiver, message in ready.messages:
                self._tell(receiver, message)
        # The peers, and the disk, do their part while this node applies and answers.
        if core.role == "leader":
            self._send_appends()
        peers.flush()
        if ready is not None:
            if ready.batch is not None:
                self._persist(ready.batch)
                if core.role != "leader" and self._check_write():
                    peers.flush()  # its leader waits for that, and nobody for what it applies
            self._carry_out(ready)
            peers.flush()
            self._clients.flush()
            if self._observer is not None:
                self._observer.changed(core)
        return self._check_write() or ready is not None

    def _carry_out(self, ready: Ready) -> None:
        """Apply what is committed, and serve what waited for it."""
        requests, observer = self.requests, self._observer
        if ready.committed:
            if observer is not None:
                observer.changed(self.core)
            requests.apply(ready.committed)
            requests.applied(ready.committed.last_index)
            if observer is not None:
                observer.applied()
        if ready.pieces and self.snapshots is not None:
            for _, piece in ready.pieces:
                self.snapshots.receive(piece)
        if ready.reads:
            if observer is not None:
                observer.reads_confirmed(ready.reads)
            requests.servable(ready.reads)
        if ready.leadership is not None:
            self.duties.lead_changed(ready.leadership)
            if isinstance(ready.leadership, Lost):
                if observer is not None:
                    observer.leadership_lost()
                requests.leadership_lost(ready.leadership.reason)

    def _persist(self, batch: Batch) -> None:
        assert self.log is not None  # the core of a node without a cluster has nothing to persist
        self.idle_ticks = 0
        self.log.write(batch)

    def _check_write(self) -> bool:
        """Whether a batch has been written and synced; then what rested on it goes out."""
        if self.log is None or not self.log.busy:
            return False
        wait = self._pace.waits_for_disk(leads=self.leads, uncommitted=self.uncommitted)
        batch = self.log.finished(wait)
        if batch is None:
            return False
        self.core.persisted(batch.number)
        if self._observer is not None:
            self._observer.changed(self.core)
        for receiver, message in batch.messages:
            if receiver != self.node:
                self._tell(receiver, message)
        return True

    @property
    def ticks_until_due(self) -> int:
        """The number of ticks after which this node has something to do, if nothing else happens."""
        return min(self.core.ticks_until_due, self.requests.ticks_until_due, self._lease_clock.ticks_until_due)

    @property
    def ticks_until_news(self) -> int:
        """The number of ticks after which something is due that may not have been due when time passed last.

        NEVER where there is no such thing: `ticks_until_due` takes too long to be asked at each turn. A leader's
        heartbeats, and the patience of a follower, are not new.
        """
        core = self.core
        if core.leader is None or self.requests.waits_for_time:
            return self.ticks_until_due
        return 1 if core.leadership is not None and core.leadership.waits_for_tick else NEVER

    @property
    def leads(self) -> bool:
        """Whether this node leads."""
        return self.core.leadership is not None

    @property
    def uncommitted(self) -> int:
        """The number of entries that are not committed yet, as far as this node knows."""
        return self.core.last_index - self.core.commit_index

    @property
    def is_quiet(self) -> bool:
        """Whether nobody waits for this node: neither a client of its own nor, through its leader, one of another's."""
        return self.idle_ticks > 0 and self.requests.idle

    def _send_appends(self) -> None:
        """Give each peer what it lacks, as far as its connection takes it."""
        core, has_room = self.core, self.peers.has_room
        for peer in core.progress:
            while has_room(peer) and (append := core.next_append(peer)) is not None:
                message = self._filled(append)
                if message is not None:
                    self._tell(peer, message)

    def _filled(self, message: AppendEntries | InstallSnapshot) -> Message | None:
        """Put the piece into a message that is to carry one of a snapshot."""
        if isinstance(message, InstallSnapshot):
            return None if self.snapshots is None else self.snapshots.filled(message)
        return message

    def _tell(self, receiver: NodeId, message: Message) -> None:
        if self._observer is not None:
            self._observer.said(receiver, message)
        self.peers.tell(receiver, message)

    @decides
    def install(self, machine: Machine, snapshot: Snapshot) -> None:
        """Go on from a leader's snapshot, which is durable; `machine` has loaded it."""
        header = snapshot.header
        self.machine = machine
        former = self.core.last_applied
        self.core.installed(point_of(snapshot), header.configuration_index, header.configuration)
        if self._observer is not None:
            self._observer.installed(self.core)
        self.requests.restore(machine, former, header.last_included_index, header.last_included_term)

    # From the peers

    @decides
    def hear(self, peer: NodeId, message: PeerMessage) -> None:
        """A message of a peer that was accepted."""
        if self.assembly is not None:
            if isinstance(message, FormationView):
                self.assembly.ready_for(peer, message.ready)
            return
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(peer, message)
            return
        self.core.step(peer, message)  # type: ignore[arg-type]  # all that is not about requests is Raft's
        if self._observer is not None:
            self._observer.changed(self.core)

    def _on_admin_reply(self, peer: NodeId, message: AdminReply) -> None:
        """The leader answers what was passed on to it: about leases, or about the cluster."""
        if not self.requests.leases.on_reply(peer, message):
            self.administration.on_reply(peer, message)

    def _on_underway(self, peer: NodeId, message: Underway) -> None:
        """A long message of that peer arrives: it lives, though nothing of it is whole."""
        if message.term == self.core.term and (progress := self.core.progress.get(peer)) is not None:
            progress.heard()

    def welcome(self, hello: PeerHello) -> None:
        """A peer that was accepted has a connection to this node."""
        self.introductions.welcome(hello)

    @decides
    def peer_gone(self, peer: NodeId) -> None:
        """A peer's connection to this node is gone; if its process is, so is the one to it, which tells."""
        self.levels.gone(peer)
        if self.assembly is not None:
            self.assembly.gone(peer)
        self._link_lost(peer)

    @decides
    def link_up(self, peer: NodeId) -> None:
        """A connection to the peer is up."""
        self.introductions.troubles.over(peer, "to", "at")
        self.core.peer_connected(peer)
        if self.assembly is not None:
            self.peers.tell(peer, FormationView(self.assembly.ready))

    @decides
    def link_down(self, peer: NodeId) -> None:
        """It is gone."""
        self._link_lost(peer)

    def _link_lost(self, peer: NodeId) -> None:
        self.requests.link_lost(peer)
        self.administration.link_lost(peer)

    @decides
    def peer_lost(self, peer: NodeId) -> None:
        """The peer's process is dead: nobody listens at its address."""
        if peer == self.core.leader:
            log.info("node %d, the leader, is gone", peer)
        self.core.peer_lost(peer)
        if self.assembly is not None:
            self.assembly.refused(peer, None)

    # Formation

    def _try_to_form(self, assembly: Assembly) -> None:
        """Tell the others what this node sees, and form or join the cluster once that is agreed."""
        if assembly.ready != self._view_said:
            self._view_said = assembly.ready
            for peer in assembly.others:
                self.peers.tell(peer, FormationView(assembly.ready))
        formation = assembly.formed()
        if formation is None:
            return
        self.peers.flush()
        news = "the cluster has formed" if assembly.is_its_own(formation) else f"node {self.node} is in the cluster now"
        self.folder.adopt(formation)
        self.assembly = None
        self._start(formation)
        self.requests.restore(self.machine, 0, 0, 0)
        log.info("%s: %s", news, ", ".join(f"node {m.id} at {m.address}" for m in self.members))
        # The others are to hear who this node is now, and to say it of themselves.
        self.introductions.dial()
        self.peers.begin_anew()

    # What its parts need of it

    @property
    def members(self) -> Sequence[Member]:
        """The members in force; none before the cluster has formed."""
        return self.core.configuration.members

    @property
    def is_removed(self) -> bool:
        """Whether this node knows that it is a member no more, and no leader that it could ask all the same."""
        return self.removal.configuration is not None and self.core.leader is None

    @property
    def cluster(self) -> str:
        """The id of its cluster; empty before that has formed."""
        formation = self.folder.formation
        return "" if formation is None else formation.cluster

    def send(self, peer: NodeId, message: Forwarded) -> None:
        """Send a message about requests, in order."""
        self.peers.send(peer, message)

    def linked(self, peer: NodeId) -> bool:
        """Whether requests can be forwarded to that peer, and its answers come back."""
        return self.peers.linked(peer)

    def answer_locally(self, slot: ReadSlot) -> Reply:
        """The reply to a request about this node itself."""
        return local_reply(self, slot)

    def begin_stream(self, slot: ReadSlot) -> Reply | None:
        """The first answer to a request that may go on, or None where it follows later."""
        return self.requests.subscriptions.begin(slot)

    def administer(self, slot: Slot) -> None:
        """Take a request that concerns the cluster, or this node's snapshots, and is answered later."""
        self.administration.accept(slot)

    def ask_about_leases(self, peer: NodeId, number: int, request: AnyRequest) -> None:
        """Have a request about leases carried out that the peer has passed on under that number."""
        self.requests.leases.on_request(peer, number, request)

    def leases_renewed(self, keepalive: object, leases: Sequence[int]) -> None:
        """The time of these leases begins again, as far as they live."""
        if self._observer is not None:
            self._observer.leases_renewed(keepalive, leases)

    def leases_kept(self, keepalive: object, leases: Sequence[int]) -> None:
        """That keepalive is answered, and these leases live on."""
        if self._observer is not None:
            self._observer.leases_kept(keepalive, leases)

    def leases_expire(self, leases: Sequence[int], index: int) -> None:
        """The entry at that index, which was just proposed, ends these leases."""
        if self._observer is not None:
            self._observer.leases_expire(leases, index)

    def withdraw(self, slots: Sequence[Slot]) -> set[Slot]:
        """Let go of those of such requests that have not been begun."""
        return self.administration.withdraw(slots)

    def whom_to_wait_for(self) -> tuple[str, str]:
        """Why there is no leader, and what to do."""
        return why_no_leader(self)

    def read_began(self, context: int) -> None:
        """Reads are being confirmed under that context."""
        if self._observer is not None:
            self._observer.read_began(context)

    # What a person sees

    def _report_waiting(self) -> None:
        """Say once for whom the cluster waits to form, and again when that changes."""
        if self.assembly is None or self.requests.now < WAITING_REPORT_TICKS:
            return
        said = self.assembly.lacking
        if said and said != self._waiting_said:
            log.info("waiting for %s", said)
        self._waiting_said = said

    def _report_changes(self) -> None:
        """One line for each change of term, role or leader, and of the cluster's level."""
        core = self.core
        if self.machine.level > self._level_said > 0:
            log.info("the cluster is at level %d now: no member can go back to an older version", self.machine.level)
            self._level_said = self.machine.level
        now = (core.term, core.role, core.leader)
        if now == self._said:
            return
        self._said = now
        if core.leader is not None:
            self.removal.follows()
            if (core.term, core.leader) != self._followed:
                self._followed = core.term, core.leader
                self.leader_changes += 1
        say_role(core)
        if self._observer is not None:
            self._observer.role_changed(core)


def _ignore(peer: NodeId, message: PeerMessage) -> None:
    """Nothing is made of it."""
