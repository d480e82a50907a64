"""The connections of one node to its peers and from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

import trio

from trioraft.cluster.handshake import Acknowledged
from trioraft.raft.messages import Message, NodeId
from trioraft.replica.failures import decides
from trioraft.replica.ports import Forwarded
from trioraft.replica.replica import Replica
from trioraft.replica.troubles import Trouble
from trioraft.server.door import Door
from trioraft.server.election_timer import ElectionTimer
from trioraft.server.links import Incoming, Link
from trioraft.server.replicator import Replicator
from trioraft.server.transport import Hub
from trioraft.wire.peers import FormationView, PeerHello, PeerMessage, PeerRefused

MAX_SEND: Final = 1024 * 1024
"""How many bytes may be put on one link before its socket must be free again."""


class Host(Protocol):
    """The parts of the node that the connections use."""

    hub: Hub
    door: Door
    timer: ElectionTimer
    replica: Replica


class PeerConnections:
    """The peers of one replica (`trioraft.replica.ports.Peers`), as connections of the hub."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._links: dict[NodeId, Link] = {}
        self._incoming: dict[NodeId, Incoming] = {}
        self._early: dict[NodeId, list[Forwarded]] = {}
        """The answers that wait for a connection to a peer whose own connection to this node is up."""
        self._replicators: dict[NodeId, Replicator] = {}
        self._nursery: trio.Nursery | None = None

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to dial, in that nursery."""
        self._nursery = nursery
        self._host.replica.introductions.dial()

    def close(self) -> None:
        """Drop all connections from peers."""
        self._incoming.clear()

    # What the replica needs

    @property
    def heard(self) -> Collection[NodeId]:
        """The peers that have a connection to this node."""
        return self._incoming

    def tell(self, peer: NodeId, message: Message | FormationView) -> None:
        """Send a message with the next `flush`; drop it if no connection to that peer is up."""
        link = self._links.get(peer)
        if link is not None:
            link.put(message)

    def send(self, peer: NodeId, message: Forwarded) -> None:
        """Send a message in order, with the next `flush`. If only the peer's connection is up, wait for one to it."""
        if (link := self._links.get(peer)) is not None:
            link.put(message)
        elif peer in self._incoming:
            self._early.setdefault(peer, []).append(message)

    def linked(self, peer: NodeId) -> bool:
        """Whether requests can be forwarded to that peer, and its answers come back."""
        return peer in self._links and peer in self._incoming

    def has_room(self, peer: NodeId) -> bool:
        """Whether the connection to that peer takes another AppendEntries now."""
        link = self._links.get(peer)
        return link is not None and link.queued < MAX_SEND and not link.connection.unsent

    def flush(self) -> None:
        """Send the messages put on the links since the last call."""
        for link in self._links.values():
            if link.queued:
                link.flush()

    def dial(self, addresses: Mapping[NodeId, str], kept: Collection[NodeId]) -> None:
        """Stay connected to these peers at their addresses, and to no others; a connection to one of `kept` stays."""
        assert self._nursery is not None
        for peer, address in addresses.items():
            if (replicator := self._replicators.get(peer)) is None:
                replicator = self._replicators[peer] = Replicator(self._host.hub, self, peer, address)
                self._nursery.start_soon(replicator.run)
            replicator.address = address
        for peer in [peer for peer in self._replicators if peer not in addresses and peer not in kept]:
            self._replicators.pop(peer).stop()

    def redial(self, peer: NodeId) -> None:
        """Replace the connection to that peer by one with a new introduction."""
        if (replicator := self._replicators.get(peer)) is not None:
            replicator.redial()

    def dismiss(self, peer: NodeId) -> None:
        """Close that peer's connection to this node."""
        if (incoming := self._incoming.get(peer)) is not None:
            incoming.close()
            self.lose(incoming)

    def begin_anew(self) -> None:
        """Replace all connections, in both directions."""
        for incoming in self._incoming.values():
            incoming.close()
        self._incoming = {}
        for replicator in self._replicators.values():
            replicator.redial()

    # Connections to peers

    def introduction(self, peer: NodeId) -> PeerHello:
        """The introduction to that peer."""
        return self._host.replica.introductions.introduction(peer)

    def acknowledged(self, peer: NodeId) -> Acknowledged:
        """The entry up to which the peer is now known to have synced."""
        return self._host.replica.introductions.acknowledged(peer)

    def objection(self, peer: NodeId, answer: PeerHello, asked: Acknowledged) -> PeerRefused | None:
        """Say why the node that answered a dial to that peer must not be used, or None."""
        return self._host.replica.introductions.objection(peer, answer, asked)

    def is_removed_by(self, peer: NodeId, refused: PeerRefused, asked: Acknowledged) -> bool:
        """Whether that peer's refusal tells that this node has been removed; if so, it is noted."""
        return self._host.replica.introductions.is_removed_by(peer, refused, asked)

    @decides
    def link_up(self, peer: NodeId, link: Link) -> None:
        """Take an outgoing connection that is ready."""
        self._links[peer] = link
        self._host.replica.link_up(peer)
        for message in self._early.pop(peer, ()):
            link.put(message)
        self._host.hub.wake()

    def link_down(self, peer: NodeId) -> None:
        """Note that an outgoing connection is gone."""
        self._links.pop(peer, None)
        self._host.replica.link_down(peer)
        self._host.hub.wake()

    def link_free(self) -> None:
        """Wake the node, because a link has room again: the next turn takes what is to be sent."""

    def in_trouble(self, trouble: Trouble) -> None:
        """Note why there is no connection to a peer."""
        self._host.replica.introductions.troubles.met(trouble)

    def peer_lost(self, peer: NodeId) -> None:
        """Note that nobody listens at the peer's address."""
        self._host.replica.peer_lost(peer)
        self._host.timer.hurry()

    # Connections from peers

    @property
    def door(self) -> Door:
        """The door with the connections that are not known yet."""
        return self._host.door

    def greet(self, incoming: Incoming, hello: PeerHello) -> PeerHello | PeerRefused:
        """Answer a peer that introduces itself."""
        answer = self._host.replica.introductions.greet(hello)
        if isinstance(answer, PeerHello):
            self._welcome(incoming, hello)
        return answer

    @decides
    def _welcome(self, incoming: Incoming, hello: PeerHello) -> None:
        """Take the messages on that connection as the peer's from now on."""
        old = self._incoming.get(hello.sender)
        if old is not None:
            # The peer's new connection supersedes the unread bytes of its old one.
            old.close()
            self.lose(old)
        self._incoming[hello.sender] = incoming
        self._host.replica.welcome(hello)
        if hello.sender in self._replicators and hello.sender not in self._links:
            self._replicators[hello.sender].hurry()

    def hear(self, incoming: Incoming, message: PeerMessage) -> None:
        """Take a message of an accepted peer."""
        assert incoming.peer is not None
        self._host.replica.hear(incoming.peer, message)

    def lose(self, incoming: Incoming) -> None:
        """Note that a peer's connection to this node is gone. If the process died, the connection to it ends too."""
        peer = incoming.peer
        if peer is None or self._incoming.get(peer) is not incoming:
            return
        del self._incoming[peer]
        self._early.pop(peer, None)
        self._host.replica.peer_gone(peer)
