"""Handing over the lead (thesis §3.10): the leader accepts nothing new, and a successor that has all stands."""

from __future__ import annotations

from trioraft.raft.messages import NodeId


class Transfer:
    """One attempt. It ends when the leader steps down, or after an election timeout."""

    def __init__(self, target: NodeId, chosen: bool) -> None:
        """Begin. A target that the caller has `chosen` is not replaced where it turns out not to be live."""
        self.target = target
        self.chosen = chosen
        self._elapsed = 0
        self._due = True

    def tick(self, election_ticks: int) -> bool:
        """Count one unit of time; return whether the attempt has lasted too long."""
        self._elapsed += 1
        return self._elapsed >= election_ticks

    def heartbeat(self) -> None:
        """Tell the target again: the last message may be lost."""
        self._due = True

    def take_due(self, ready: bool) -> bool:
        """Whether to tell the target now. It is `ready` once it holds the leader's whole log, and all is committed."""
        if not (ready and self._due):
            return False
        self._due = False
        return True
