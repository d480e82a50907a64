"""Who the other nodes are: whom this node dials, what it says to them first, and whom it lets speak to it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from trioraft.cluster.formation import Assembly, View
from trioraft.cluster.handshake import PROTOCOL, Acknowledged, Evidence, refusal
from trioraft.raft.core import Core
from trioraft.raft.membership import Configuration, Formation, Member
from trioraft.raft.messages import NodeId
from trioraft.replica.duties import Duties
from trioraft.replica.levels import Levels
from trioraft.replica.ports import Peers
from trioraft.replica.removal import Removal
from trioraft.replica.troubles import Troubles
from trioraft.storage.folder import DataFolder
from trioraft.wire.peers import PeerHello, PeerRefused

log = logging.getLogger("trioraft.node")


class Ports(Protocol):
    """What the introductions need of their replica."""

    node: NodeId
    core: Core
    folder: DataFolder
    assembly: Assembly | None
    peers: Peers
    duties: Duties
    removal: Removal
    levels: Levels


class Introductions:
    """All that one node does about who the others are."""

    def __init__(self, ports: Ports, servers: Sequence[str]) -> None:
        """`servers` are the lines of servers.txt, '-' where a removed member was."""
        self._ports = ports
        self.servers = list(servers)
        """The lines of this node's servers.txt."""
        self.troubles = Troubles()
        self._evidence = Evidence()
        self._committed = Configuration((), 0)
        """The members as they are committed, as far as they were looked at."""
        self._unheard: dict[NodeId, Member] = {}
        """Members that have introduced themselves, and that this node's own log does not know of yet."""
        self._dialled: tuple[dict[NodeId, str], list[NodeId]] = {}, []
        """What `Peers.dial` was told last."""

    @property
    def addresses(self) -> dict[NodeId, str]:
        """The other nodes, and where to dial them."""
        ports = self._ports
        if ports.assembly is not None:
            return {peer: self.servers[peer] for peer in ports.assembly.others}
        members = [*self._unheard.values(), *self._committed.members, *ports.core.configuration.members]
        return {member.id: member.address for member in members if member.id != ports.node}

    def dial(self) -> bool:
        """See to it that every peer is dialled, at the address where it is now; whether something changed in that."""
        wanted = self.addresses, list(self._ports.core.progress)
        if wanted == self._dialled:
            return False
        self._dialled = wanted
        self._ports.peers.dial(*wanted)
        return True

    def follow_members(self) -> None:
        """Keep connections to those who belong to the cluster now, and to no others."""
        core, peers = self._ports.core, self._ports.peers
        for node in [node for node in self._unheard if node < core.configuration.next_id]:
            del self._unheard[node]  # by now this node knows it, or that it is gone again
        before, committed = self._committed, core.configuration_at(core.commit_index)[1]
        self._committed = committed
        if not self.dial() and committed is before:
            return
        for member in committed.members:
            old = before.member(member.id)
            if old is not None and old.folder != member.folder:
                peers.redial(member.id)  # it is to hear that it belongs to the cluster now
        self._ports.removal.commits(committed)
        addresses, kept = self._dialled
        for peer in list(peers.heard):
            if peer not in addresses and peer not in kept and peer < committed.next_id:
                peers.dismiss(peer)  # when it introduces itself again it is told that it was removed

    def introduction(self, peer: NodeId) -> PeerHello:
        """What this node says first to that peer."""
        core, folder = self._ports.core, self._ports.folder
        formation = folder.formation
        if formation is not None:
            formation = Formation(formation.cluster, core.configuration_at(core.commit_index)[1])
        return PeerHello(
            PROTOCOL,
            formation.cluster if formation else None,
            self._ports.node,
            peer,
            folder.id,
            folder.starts,
            folder.incarnation,
            core.term,
            core.durable_index,
            self.servers,
            formation,
            self._ports.levels.supported,
            self._ports.levels.applied,
        )

    def acknowledged(self, peer: NodeId) -> Acknowledged:
        """How far this leader knows that peer to have synced by now."""
        core = self._ports.core
        progress = core.progress.get(peer)
        return Acknowledged(core.term, 0 if progress is None else progress.match_index)

    def objection(self, peer: NodeId, answer: PeerHello, asked: Acknowledged) -> PeerRefused | None:
        """Why the one who answered a call to that peer is not to be spoken to, or None.

        `asked` is what was acknowledged when it was asked.
        """
        return self._judge(answer, self.introduction(peer), asked)

    def is_removed_by(self, peer: NodeId, refused: PeerRefused, asked: Acknowledged) -> bool:
        """Whether the refusal, of one that is that peer, tells that this node has been removed; it is noted."""
        self.troubles.refuses(peer, "to", refused)
        ports, hello = self._ports, refused.introduction
        if ports.assembly is not None:
            ports.assembly.refused(peer, refused.message)
        if hello is None or self.objection(peer, hello, asked) is not None:
            return False
        return ports.removal.is_told_by(hello, ports.core.configuration)

    def greet(self, hello: PeerHello) -> PeerHello | PeerRefused:
        """The answer to a peer that introduces itself; with a PeerHello it is accepted, and to be made `welcome`."""
        mine = self.introduction(hello.sender)
        refused = self._judge(hello, mine, self.acknowledged(hello.sender))
        if refused is None:
            return mine
        about = (hello.sender, refused.hint) if hello.sender in self.addresses else None
        if about is not None:  # whoever reaches the port can say what ids it likes
            self.troubles.refuses(hello.sender, "from", refused)
        log.warning("refused a connection: %s", refused.message, extra={"about": about})
        return refused

    def welcome(self, hello: PeerHello) -> None:
        """Take what the peer has said of itself for true from now on."""
        ports = self._ports
        self._evidence.remember(hello)
        self.troubles.over(hello.sender, "from")
        ports.levels.heard(hello)
        if ports.assembly is not None:
            view = View(hello.folder, hello.servers, hello.formation, hello.level)
            ports.assembly.heard(hello.sender, view)
        self._get_to_know(hello)

    def _get_to_know(self, hello: PeerHello) -> None:
        """Dial a member that was taken in while this node was away: it may lead, and this node's answers must reach it.

        Else it could never bring this node up to date, for it is from its log that this node would learn of it.
        """
        if self._ports.folder.formation is None or hello.formation is None:
            return
        member = hello.formation.configuration.member(hello.sender)
        if member is not None and member.id >= self._ports.core.configuration.next_id:
            self._unheard[member.id] = member
            self.dial()

    def _judge(self, hello: PeerHello, mine: PeerHello, known: Acknowledged) -> PeerRefused | None:
        refused = refusal(hello, mine, self._evidence.contradicts(hello, known))
        member = None if mine.formation is None else mine.formation.configuration.member(hello.sender)
        if refused is None and member is not None and not member.folder:
            self._ports.duties.bind(hello.sender, hello.folder)
        return refused
