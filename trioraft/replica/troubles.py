"""What keeps this node and its peers apart at present, for `status`: whoever asks need not read the logs of both."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from trioraft.raft.messages import NodeId
from trioraft.replica.ports import TICK_MS
from trioraft.wire.peers import PeerRefused

Way = Literal["to", "from"]

KEPT_TICKS: Final = 4000 // TICK_MS
"""A trouble that is not met again within this time is over: peers are dialled anew more often."""


class Trouble(msgspec.Struct, frozen=True):
    """Why there is no connection to that peer, or none from it."""

    node: NodeId
    way: Way
    """`to`: this node dialled the peer in vain; `from`: this node refused the peer."""
    reason: str
    """A word for programs: `connect`, `silent`, or the reason of a refusal (`PeerRefused.reason`)."""
    message: str
    hint: str


class Troubles:
    """The newest trouble with each peer, in each direction."""

    def __init__(self) -> None:
        self._now = 0
        self._met: dict[tuple[NodeId, Way], tuple[int, Trouble]] = {}

    def pass_time(self, ticks: int) -> None:
        """Note that time has passed."""
        self._now += ticks

    def met(self, trouble: Trouble) -> None:
        """Note that something keeps a peer and this node apart."""
        self._met[trouble.node, trouble.way] = self._now, trouble

    def refuses(self, peer: NodeId, way: Way, refused: PeerRefused) -> None:
        """Note a refusal: the peer's, of this node (`to`), or this node's, of the peer (`from`)."""
        self.met(Trouble(peer, way, refused.reason, refused.message, refused.hint))

    def over(self, peer: NodeId, way: Way) -> None:
        """Note that there is a connection to the peer, or from it."""
        self._met.pop((peer, way), None)

    @property
    def present(self) -> list[Trouble]:
        """Those that go on, by peer."""
        self._met = {key: met for key, met in self._met.items() if self._now - met[0] <= KEPT_TICKS}
        return [self._met[key][1] for key in sorted(self._met)]
