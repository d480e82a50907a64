"""What keeps this node and its peers apart at present, for `status`: whoever asks need not read the logs of both."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from trioraft.raft.messages import NodeId
from trioraft.replica.ports import TICK_MS
from trioraft.wire.peers import PeerRefused

Way = Literal["to", "at", "from"]

KEPT_TICKS: Final = 4000 // TICK_MS
"""A trouble that is not met again within this time is over: peers are dialled anew more often."""


class Trouble(msgspec.Struct, frozen=True):
    """Why this node and that peer are not connected, in one direction."""

    node: NodeId
    way: Way
    """`to`: this node cannot reach the peer, or is refused by it; `at`: it refuses whoever answers at the peer's
    address; `from`: it refuses whoever came as the peer.
    """
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
        """Note a refusal: the peer's, of this node (`to`), or this node's, of the peer (`at`, `from`)."""
        self.met(Trouble(peer, way, refused.reason, refused.message, refused.hint))

    def over(self, peer: NodeId, *ways: Way) -> None:
        """Note that there is a connection to the peer, or from it."""
        for way in ways:
            self._met.pop((peer, way), None)

    @property
    def present(self) -> list[Trouble]:
        """Those that go on, by peer."""
        self._met = {key: met for key, met in self._met.items() if self._now - met[0] <= KEPT_TICKS}
        return [self._met[key][1] for key in sorted(self._met)]
