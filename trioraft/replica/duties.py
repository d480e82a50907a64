"""What a leader proposes on its own account, asked by nobody: it binds the folders of newcomers."""

from __future__ import annotations

from typing import Protocol

from trioraft.raft.core import Core
from trioraft.raft.membership import with_folder
from trioraft.raft.messages import NodeId


class Ports(Protocol):
    """What the duties need of their replica."""

    core: Core


class Duties:
    """Those of one node, which any node keeps in mind and a leader carries out."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._to_bind: dict[NodeId, str] = {}
        """Newcomers that have shown themselves, and their folders."""

    def bind(self, newcomer: NodeId, folder: str) -> None:
        """A member that has no folder yet has shown itself, with this one."""
        self._to_bind[newcomer] = folder

    def tick(self) -> None:
        """Propose what is due."""
        core = self._ports.core
        for node, folder in list(self._to_bind.items()):
            newcomer = core.configuration.member(node)
            if newcomer is None or newcomer.folder:
                del self._to_bind[node]
            elif core.may_change:
                core.propose_configuration(with_folder(core.configuration, node, folder))
