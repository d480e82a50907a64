"""Holds or refuses requests that need a higher level than this node has applied.

What a node passes on is as safe as what it proposes: the entry that raised the level is before it in every log.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from trioraft.raft.core import Core
from trioraft.replica.answering import Answering
from trioraft.replica.levels import Levels
from trioraft.replica.slots import Owner, Slot, WriteSlot
from trioraft.wire.cluster_commands import LEVEL


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core
    levels: Levels

    @property
    def cluster(self) -> str:
        """The id of its cluster; empty before that has formed."""

    def whom_to_wait_for(self) -> tuple[str, str]:
        """Why there is no leader, and what to do, for a person."""


class _Held(NamedTuple):
    slot: Slot
    level: int
    """The level that it needs; 0 for a write that only stands behind another one of its connection."""
    newest: int
    """The last entry of this node's log when it came: none up to this one is unknown once it is applied."""


class LevelCheck:
    """The requests at one node that wait for a level."""

    def __init__(self, node: Ports, answering: Answering) -> None:
        self.is_needed = True
        """Whether some requests may have to wait, or do; False for good once the cluster is at the newest level."""
        self.held: list[_Held] = []
        """In the order in which they came."""
        self._node = node
        self._answering = answering

    def admits(self, slot: Slot) -> bool:
        """Whether the request may go on; else it is held, or refused."""
        level = slot.operation.level_of(slot.request)
        if level <= self._level:
            if type(slot) is not WriteSlot or all(slot.owner is not one.slot.owner for one in self.held):
                return True
            level = 0
        self.held.append(_Held(slot, level, self._node.core.last_index))
        return False

    def advance(self) -> list[Slot]:
        """Refuse what waits for nothing, and return what may go on now, in order."""
        waiting, self.held = self.held, []
        self.is_needed = self._level < LEVEL
        released: list[Slot] = []
        behind: list[Owner] = []
        for one in waiting:
            slot = one.slot
            if slot.reply is not None:
                continue
            if one.level > self._level and not self._may_come(one):
                self._refuse(one)
            elif one.level > self._level or (slot.owner in behind and type(slot) is WriteSlot):
                self.held.append(one)
                behind.append(slot.owner)
            else:
                released.append(slot)
        return released

    def give_up(self, oldest: int) -> None:
        """Refuse what has waited since that tick; what only stands behind it goes on then."""
        for one in self.held:
            if one.level and one.slot.since <= oldest:
                self._refuse(one)

    def _refuse(self, one: _Held) -> None:
        """Say who keeps the cluster from that level, or why nothing is known of it."""
        core, slot = self._node.core, one.slot
        if core.leader is None:
            self._answering.fail(slot, "no_quorum", *self._node.whom_to_wait_for(), "no")
            return
        who = " and ".join(self._node.levels.obstacles(one.level)) or "the leader, which raises it as soon as it can"
        why = f"this needs level {one.level} of the cluster, which is at level {self._level}, because of {who}"
        hint = "upgrade every member; the level rises by itself then"
        self._answering.fail(slot, "needs_upgrade", why, hint, "no")

    @property
    def _level(self) -> int:
        return self._node.levels.applied if self._node.cluster else 1

    def _may_come(self, one: _Held) -> bool:
        """Whether the level may be reached soon: then the request waits."""
        core, levels = self._node.core, self._node.levels
        if not self._node.cluster or core.leader is None or core.last_applied < one.newest:
            return True  # the entry that raised it may be among those that are not applied yet
        return levels.is_reached_elsewhere(one.level) or not levels.obstacles(one.level)
