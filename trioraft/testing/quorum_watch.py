"""The check that a leader which no majority answers steps down in time (check-quorum): this property needs a clock."""

from __future__ import annotations

from trioraft.raft import quorum
from trioraft.raft.core import Core
from trioraft.raft.invariants import Violation
from trioraft.raft.messages import AppendEntriesReply, InstallSnapshotReply, Message, NodeId


class QuorumWatch:
    """The watch over the leaders of one cluster; times are in microseconds."""

    def __init__(self, patience: int) -> None:
        """`patience`: the time of two checks of the quorum, and a little for clocks that drift."""
        self._patience = patience
        self._heard: dict[NodeId, dict[NodeId, int]] = {}
        """For each leader and each peer: when the leader last heard from the peer."""
        self._terms: dict[NodeId, tuple[int, tuple[NodeId, ...]]] = {}
        """For each leader: its term and its voters. When either changes, its time begins again."""

    def delivered(self, now: int, core: Core, sender: NodeId, message: Message) -> None:
        """Note a message that is about to reach a node."""
        if (
            isinstance(message, AppendEntriesReply | InstallSnapshotReply)
            and core.role == "leader"
            and message.term == core.term
        ):
            self._heard.setdefault(core.node, {})[sender] = now

    def excuse(self, node: NodeId) -> None:
        """Let a node's time begin again, because it stood still or stopped."""
        self._terms.pop(node, None)
        self._heard[node] = {}

    def check(self, now: int, core: Core) -> None:
        """Check a node at its tick. Raises Violation."""
        if core.role != "leader":
            self._terms.pop(core.node, None)
            return
        voters = core.configuration.voters
        if self._terms.get(core.node) != (core.term, voters):
            self._terms[core.node] = core.term, voters
            self._heard[core.node] = {}
        known = self._heard[core.node]
        heard = sorted((now if voter == core.node else known.setdefault(voter, now) for voter in voters), reverse=True)
        latest = heard[quorum.majority(len(voters)) - 1]
        if now - latest > self._patience:
            raise Violation(f"Check-quorum: node {core.node} leads on, and no majority answers for {now - latest} us")
