"""How old the state of a node may be, by what the leader has told it (`max_age_ms` on stale reads)."""

from __future__ import annotations

import math
from typing import Protocol

from trioraft.raft.core import Core
from trioraft.replica.ports import TICK_MS
from trioraft.replica.slots import ReadSlot
from trioraft.wire import replies


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core


class Freshness:
    """When the newest message of a leader came whose commit_index is applied here. It counts all time that passes."""

    def __init__(self, node: Ports) -> None:
        self._node = node
        self._now = 0
        """In ticks, also of the time for which the node stood still."""
        self._turned = 0
        """When the last turn ended."""
        self._stood_still = False
        """Whether the node stood still since then: what it reads now may have come at any time since."""
        self._fresh: int | None = None
        """When that message came."""
        self._told: tuple[int, int] | None = None
        """The commit_index of a later message, which is not applied yet, and when that came."""

    def pass_time(self, ticks: int, lost: int) -> None:
        """Note that time has passed; `lost` are the ticks of a standstill, which count for nothing else."""
        self._now += ticks + lost
        self._stood_still = self._stood_still or lost > 0

    def end_turn(self) -> None:
        """Note what the leader said last, and what is applied by now."""
        core = self._node.core
        came = self._turned if self._stood_still else self._now
        index, core.told_commit_index = core.told_commit_index, None
        if index is not None and index <= core.last_applied:
            self._fresh, self._told = came, None
        else:
            if self._told is not None and self._told[0] <= core.last_applied:
                self._fresh, self._told = self._told[1], None
            if index is not None and self._told is None:
                self._told = (index, came)
        self._turned, self._stood_still = self._now, False

    @property
    def age_ms(self) -> float:
        """How old the state may be, a part of a tick counting as one; infinite before a leader was heard."""
        return math.inf if self._fresh is None else (self._now - self._fresh + 1) * TICK_MS

    def refusal(self, read: ReadSlot) -> bytes:
        """The reply to a read that allows for less."""
        if self._fresh is None:
            why = "this node has not heard from another what is committed, since it started"
        else:
            why = f"this node was last told {self.age_ms:.0f} ms ago what is committed"
        hint = "ask another node, allow a larger 'max_age_ms', or leave out 'read'"
        return replies.error_reply(read.id, "no_quorum", why, hint, None)
