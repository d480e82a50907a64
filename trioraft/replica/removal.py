"""A node's own removal: known from its log, or from a member that refuses it and says so.

Who was away when it was removed is nobody's peer any more, and so no leader ever sends it the entry. A member that it
introduces itself to refuses it, and introduces itself in the refusal, with the members as they are committed. The node
judges that introduction as any other: the cluster, the ids and the folder have to be those that it knows.

An id is not used again, and what is committed stays so: however old the answer is, it holds. Raft is not told of it;
it changes only what this node answers to its clients while it knows no leader.
"""

from __future__ import annotations

import logging

from trioraft.raft.membership import Configuration
from trioraft.raft.messages import NodeId
from trioraft.wire.peers import PeerHello

log = logging.getLogger("trioraft.node")


class Removal:
    """Whether one node is a member no more, as far as it knows."""

    def __init__(self, node: NodeId) -> None:
        self.configuration: Configuration | None = None
        """The members without this node, as far as it was told of them; None while it takes itself for a member."""
        self._node = node
        self._by_log = False
        self._said = False

    def commits(self, configuration: Configuration) -> None:
        """These are the members by this node's own log."""
        if self._is_gone_from(configuration):
            self._by_log = True
            self._take("", configuration)

    def is_told_by(self, hello: PeerHello, own: Configuration) -> bool:
        """Whether the introduction, which was judged and accepted, tells of it; `own` are the members known here."""
        member, formation = own.member(hello.sender), hello.formation
        if member is None or not member.folder or member.folder != hello.folder or formation is None:
            return False
        if not self._is_gone_from(formation.configuration):
            return False
        self._take(f", as node {hello.sender} says", formation.configuration)
        return True

    def follows(self) -> None:
        """A leader has sent this node something: what another said counts only once that is over."""
        if not self._by_log:
            self.configuration = None

    def _is_gone_from(self, configuration: Configuration) -> bool:
        """Whether it had been taken in and is gone; a newcomer's log begins with members of before its time."""
        return self._node < configuration.next_id and configuration.member(self._node) is None

    def _take(self, by: str, configuration: Configuration) -> None:
        self.configuration = configuration
        if not self._said:
            self._said = True
            log.warning("node %d has been removed from the cluster%s: it may be stopped", self._node, by)
