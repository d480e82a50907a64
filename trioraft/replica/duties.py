"""What a leader proposes on its own account, asked by nobody.

These are the folders of newcomers, the votes of learners, the ends of leases, and the next level of the cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final, Protocol

from trioraft.machine import Leasing, Machine
from trioraft.raft.core import Core
from trioraft.raft.leadership import Leadership
from trioraft.raft.membership import with_folder, with_vote
from trioraft.raft.messages import NodeId
from trioraft.raft.ready import Lost, Overloaded, Won
from trioraft.replica.lease_clock import LeaseClock
from trioraft.replica.levels import Levels
from trioraft.wire.cluster_commands import RaiseLevel
from trioraft.wire.commands import encode_commands

ENDED_LEASES: Final = 1000
"""The most leases that one entry ends,"""
ENDED_WEIGHT: Final = 10_000
"""and the most keys and locks that go with them, unless one lease alone has more: they go in one turn of each node."""


class Ports(Protocol):
    """What the duties need of their replica."""

    core: Core
    levels: Levels

    @property
    def machine(self) -> Machine:
        """What is replicated."""

    def leases_expire(self, leases: Sequence[int], index: int) -> None:
        """The entry at that index, which was just proposed, ends these leases."""


class Duties:
    """The duties of one node while it leads. What others have shown it is kept in mind at all times."""

    def __init__(self, ports: Ports, lease_clock: LeaseClock) -> None:
        self._ports = ports
        self._lease_clock = lease_clock
        self._to_bind: dict[NodeId, str] = {}
        """Newcomers that have shown themselves, and their folders."""
        self._elapsed = 0
        """The number of ticks since the learners were looked at."""
        self._committed: int | None = None
        """What was committed then, or where the term of a new leader begins; None unless this node leads."""
        self._proposed_level = 0
        """The level that this leader has proposed to raise the cluster to."""

    def bind(self, newcomer: NodeId, folder: str) -> None:
        """A member that has no folder yet has shown itself, with this one."""
        self._to_bind[newcomer] = folder

    def lead_changed(self, news: Won | Lost) -> None:
        """Begin with the duties of a new leader, or end them."""
        leadership = self._ports.core.leadership
        self._elapsed = self._proposed_level = 0
        if isinstance(news, Lost) or leadership is None:
            self._committed = None
            self._lease_clock.stop()
        else:
            self._committed = leadership.start
            self._lease_clock.begin(self._ports.machine.leasing)

    def tick(self, ticks: int) -> None:
        """Count time, and propose what is due; one change of the members at a time is possible."""
        core = self._ports.core
        if self._to_bind:
            self._bind_folders(core)
        leadership = core.leadership
        if leadership is None or self._committed is None:
            return
        if (leasing := self._ports.machine.leasing) is not None:
            self._end_leases(core, leasing, leadership, ticks)
        self._elapsed += ticks
        if self._elapsed >= core.settings.heartbeat_ticks:
            self._elapsed = 0
            committed, self._committed = self._committed, core.commit_index
            _promote_learner(core, leadership, committed)
            if core.last_applied >= leadership.start and not core.transferring:  # else the level may have risen already
                self._raise_level(core)

    def _raise_level(self, core: Core) -> None:
        """Raise the cluster to the next level once every member supports it, learners too."""
        levels = self._ports.levels
        level = levels.applied + 1
        if not self._proposed_level < level <= levels.supported or levels.obstacles(level):
            return
        if self._propose(core, RaiseLevel(level)) is not None:
            self._proposed_level = level

    def _end_leases(self, core: Core, leasing: Leasing, leadership: Leadership, ticks: int) -> None:
        """End some of the leases whose time is over: what came in this turn has been read, and has renewed others."""
        clock = self._lease_clock
        clock.tick(ticks, leadership.is_followed)
        over = clock.over()
        if not over or core.transferring:
            return
        leases: list[int] = []
        weight = 0
        for lease in islice(over, ENDED_LEASES):
            weight += leasing.weight(lease)
            if leases and weight > ENDED_WEIGHT:
                break
            leases.append(lease)
        if (index := self._propose(core, leasing.expiry(leases))) is not None:
            clock.expire(leases, index)
            self._ports.leases_expire(leases, index)

    def _propose(self, core: Core, command: Any) -> int | None:
        """Propose a command of the leader's own; return its index, or None where too much waits to be committed."""
        try:
            return core.propose(encode_commands([command]))
        except Overloaded:
            return None

    def _bind_folders(self, core: Core) -> None:
        committed = core.configuration_at(core.commit_index)[1]
        for node, folder in list(self._to_bind.items()):
            newcomer = committed.member(node)  # what is not committed may yet be undone, and is to be proposed again
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
