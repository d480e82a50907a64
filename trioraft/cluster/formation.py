"""The forming of a cluster, once: all nodes of servers.txt must be up together, unformed and with the same list.

Each node tells the others its folder and its list, and then which cluster it is ready to form. The cluster's id follows
from the folders, the addresses and the level, so nodes that see the same compute the same id. The level is the highest
that all of them support. A node forms the cluster only once
every other node is ready for that id: a node that is wiped half-way then leaves no second cluster behind.
A node that finds a formed cluster which lists its folder adopts that cluster's record instead. A node whose list has a
'-', the place of a removed member, does only that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from trioraft.raft.membership import Configuration, Formation, Member
from trioraft.raft.messages import NodeId


class View:
    """The statements of one peer about itself on its present connection."""

    def __init__(self, folder: str, servers: Sequence[str], formation: Formation | None, level: int) -> None:
        self.folder = folder
        self.servers = list(servers)
        self.formation = formation
        self.level = level
        """The newest level that it supports."""
        self.ready: str | None = None


class Assembly:
    """One unformed node's part in the forming of its cluster."""

    def __init__(self, node: NodeId, folder: str, servers: Sequence[str], level: int) -> None:
        """`servers` are the lines of servers.txt in order, '-' where a removed member was.

        `level` is the newest that this node supports.
        """
        self.node = node
        self.folder = folder
        self.servers = list(servers)
        self.level = level
        self.views: dict[NodeId, View] = {}
        self._refusals: dict[NodeId, str] = {}
        """The peers that refuse this node, and why."""

    def heard(self, peer: NodeId, view: View) -> None:
        """Note that a peer has introduced itself."""
        self.views[peer] = view
        self._refusals.pop(peer, None)

    def refused(self, peer: NodeId, why: str | None) -> None:
        """Note why a peer refuses this node's introduction; None where the peer is not there any more."""
        if why is None:
            self._refusals.pop(peer, None)
        else:
            self._refusals[peer] = why

    def ready_for(self, peer: NodeId, cluster: str | None) -> None:
        """Note which cluster a peer is ready to form."""
        if (view := self.views.get(peer)) is not None:
            view.ready = cluster

    def gone(self, peer: NodeId) -> None:
        """Note that a peer's connection broke; it introduces itself anew when it comes back."""
        self.views.pop(peer, None)

    @property
    def others(self) -> list[NodeId]:
        """The other nodes of the list."""
        return [peer for peer, address in enumerate(self.servers) if address != "-" and peer != self.node]

    @property
    def ready(self) -> str | None:
        """The id of the cluster that this node is ready to form; None while it waits for somebody."""
        return None if self.waiting_for else self._record().cluster

    @property
    def waiting_for(self) -> dict[NodeId, str]:
        """The nodes that keep the cluster from forming, and why."""
        waiting = {}
        if "-" in self.servers:
            # A member was removed, so the cluster has formed long ago: newcomers must not found another one.
            waiting[self.node] = "a member to take this node in: the '-' in servers.txt says that there is a cluster"
        for peer in self.others:
            view = self.views.get(peer)
            if peer in self._refusals:
                waiting[peer] = f"node {peer} at {self.servers[peer]}, which refuses this node: {self._refusals[peer]}"
            elif view is None:
                waiting[peer] = f"node {peer} at {self.servers[peer]}"
            elif view.formation is not None:
                waiting[peer] = f"node {peer}, which belongs to a cluster that does not list this folder"
            elif view.servers != self.servers:
                waiting[peer] = f"node {peer}, whose servers.txt differs: {', '.join(view.servers)}"
        return waiting

    @property
    def lacking(self) -> str:
        """One line that says who keeps the cluster from forming, and how many of how many; empty where nobody does."""
        waiting = self.waiting_for
        reasons = ", ".join(waiting.values())
        if not waiting or self.node in waiting:
            return reasons
        return f"{len(waiting)} of {len(self.others) + 1}: {reasons}"

    def is_its_own(self, formation: Formation) -> bool:
        """Whether this node's list founded the cluster of that record, rather than the cluster having taken it in."""
        members = [(member.address, member.role) for member in formation.configuration.members]
        return members == [
            (address, "voter") for address in self.servers
        ]  # a member that was taken in has no vote at first

    def formed(self) -> Formation | None:
        """The cluster's record, for the folder; None until it is certain."""
        for view in self.views.values():
            if view.formation is not None:
                member = view.formation.configuration.member(self.node)
                if member is not None and member.folder == self.folder:
                    return view.formation
        ready = self.ready
        if ready is None or any(self.views[peer].ready != ready for peer in self.others):
            return None
        return self._record()

    def _record(self) -> Formation:
        folders = {peer: view.folder for peer, view in self.views.items()} | {self.node: self.folder}
        members = tuple(
            Member(node, address, "voter", folders[node]) for node, address in enumerate(self.servers) if address != "-"
        )
        level = min([self.level, *(view.level for view in self.views.values())])
        names = [f"{member.id} {member.address} {member.folder}" for member in members]
        if level > 1:  # nodes that know level 1 alone name only the members
            names.append(f"level {level}")
        cluster = hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]
        return Formation(cluster, Configuration(members, len(self.servers), level))
