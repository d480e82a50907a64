"""The level of the cluster, as this node has applied it, and the levels that the other members support.

A level is a set of features that all members know. It is raised by an entry, once every member supports the next.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from trioraft.machine import Machine
from trioraft.raft.core import Core
from trioraft.raft.messages import NodeId
from trioraft.wire.peers import PeerHello


class Ports(Protocol):
    """What the levels need of their replica."""

    node: NodeId
    core: Core
    machine: Machine


class _Said(NamedTuple):
    """The levels in a peer's introduction, which itself is not kept."""

    level: int
    cluster_level: int


class Levels:
    """The levels, as one node knows them."""

    def __init__(self, ports: Ports, supported: int) -> None:
        """`supported` is the newest level that this node supports."""
        self.supported = supported
        self._ports = ports
        self._said: dict[NodeId, _Said] = {}
        """What the peers that have a connection to this node have said."""

    @property
    def applied(self) -> int:
        """The level of the cluster, as of the entries that this node has applied."""
        return self._ports.machine.level

    def heard(self, hello: PeerHello) -> None:
        """A peer was accepted, and says what it supports. Another version of it would introduce itself anew."""
        self._said[hello.sender] = _Said(hello.level, hello.cluster_level)

    def gone(self, peer: NodeId) -> None:
        """Its connection is gone: whoever comes next may be of another version."""
        self._said.pop(peer, None)

    def is_reached_elsewhere(self, level: int) -> bool:
        """Whether a peer has applied the entry that raises the cluster to that level: it will come to this node too."""
        return any(said.cluster_level >= level for said in self._said.values())

    def obstacles(self, level: int) -> list[str]:
        """The members that keep the cluster from that level, as this node sees it, for people."""
        ports = self._ports
        found = []
        for member in ports.core.configuration.members:
            said = self._said.get(member.id)
            name = f"node {member.id} at {member.address}"
            if member.id == ports.node:
                if self.supported < level:
                    found.append(f"{name}, which knows no level above {self.supported}")
            elif said is None:
                found.append(f"{name}, which is not connected")
            elif said.level < level:
                found.append(f"{name}, which knows no level above {said.level}")
        return found
