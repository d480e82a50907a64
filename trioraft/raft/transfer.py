"""Handing over the lead (thesis §3.10): the leader takes nothing new, and its successor stands once it has it all."""

from __future__ import annotations

from trioraft.raft.messages import NodeId


class Transfer:
    """One attempt. It is over when the leader steps down, or has waited for an election timeout."""

    def __init__(self, target: NodeId, chosen: bool) -> None:
        """`chosen`: that very node was asked for; else another may take its place that is found to be nearer to it."""
        self.target = target
        self.chosen = chosen
        self._elapsed = 0
        self._due = True

    def tick(self, election_ticks: int) -> bool:
        """Whether it has lasted too long."""
        self._elapsed += 1
        return self._elapsed >= election_ticks

    def heartbeat(self) -> None:
        """What was said may be lost: say it again."""
        self._due = True

    def take_due(self, ready: bool) -> bool:
        """Whether the target is to be told now; `ready`: it has all that the leader has, and that is committed."""
        if not (ready and self._due):
            return False
        self._due = False
        return True
