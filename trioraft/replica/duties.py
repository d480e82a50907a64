"""What a leader proposes on its own account, asked by nobody: the folders of newcomers, and the votes of learners."""

from __future__ import annotations

from typing import Protocol

from trioraft.raft.core import Core
from trioraft.raft.leadership import Leadership
from trioraft.raft.membership import with_folder, with_vote
from trioraft.raft.messages import NodeId
from trioraft.raft.ready import Lost, Won


class Ports(Protocol):
    """What the duties need of their replica."""

    core: Core


class Duties:
    """The duties of one node while it leads. What others have shown it is kept in mind at all times."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._to_bind: dict[NodeId, str] = {}
        """Newcomers that have shown themselves, and their folders."""
        self._elapsed = 0
        """The number of ticks since the learners were looked at."""
        self._committed: int | None = None
        """What was committed then, or where the term of a new leader begins; None unless this node leads."""

    def bind(self, newcomer: NodeId, folder: str) -> None:
        """A member that has no folder yet has shown itself, with this one."""
        self._to_bind[newcomer] = folder

    def lead_changed(self, news: Won | Lost) -> None:
        """Begin with the duties of a new leader, or end them."""
        leadership = self._ports.core.leadership
        self._elapsed = 0
        self._committed = None if isinstance(news, Lost) or leadership is None else leadership.start

    def tick(self, ticks: int) -> None:
        """Count time, and propose what is due; one change of the members at a time is possible."""
        core = self._ports.core
        if self._to_bind:
            self._bind_folders(core)
        leadership = core.leadership
        if leadership is None or self._committed is None:
            return
        self._elapsed += ticks
        if self._elapsed >= core.settings.heartbeat_ticks:
            self._elapsed = 0
            committed, self._committed = self._committed, core.commit_index
            _promote_learner(core, leadership, committed)

    def _bind_folders(self, core: Core) -> None:
        for node, folder in list(self._to_bind.items()):
            newcomer = core.configuration.member(node)
            if newcomer is None or newcomer.folder:
                del self._to_bind[node]
            elif core.may_change:
                core.propose_configuration(with_folder(core.configuration, node, folder))


def _promote_learner(core: Core, leadership: Leadership, committed: int) -> None:
    """Give one learner its vote, if a majority of all that would vote then answers.

    It is to want its vote, to live, and to hold what was `committed` when the learners were looked at last.
    """
    for member in core.configuration.members:
        if not member.promote or not member.folder:
            continue
        progress = leadership.progress[member.id]
        if progress.live and progress.match_index >= committed:
            promoted = with_vote(core.configuration, member.id)
            if core.may_change and leadership.is_live(promoted):
                core.propose_configuration(promoted)
            return
