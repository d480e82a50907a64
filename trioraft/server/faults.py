"""The faults of one node that are set on command: which links are cut, slow or lossy, and whether the disk is paused.

They are for clusters that are broken on purpose, and a node has them only if it was started so. They end with its
process.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from trioraft.addresses import AddressError, member_address
from trioraft.raft.messages import NodeId
from trioraft.replica.ports import FaultRefused
from trioraft.wire.faults import FaultKind, FaultRequest, Way

log = logging.getLogger("trioraft.node")


class Weather(msgspec.Struct):
    """What is wrong with one direction of one link."""

    is_cut: bool = False
    delay: float = 0.0
    """The seconds that everything takes longer."""
    loss: int = 0
    """How many of a hundred messages are lost, and have to be sent again."""


Place = tuple[FaultKind, NodeId | None, Way | None]

FAIR: Final = Weather()
"""A direction with which nothing is wrong."""


class _Set(msgspec.Struct):
    """A fault in force."""

    kind: FaultKind
    until: float
    """When it ends by itself, on the node's clock; infinite where it is to be healed."""
    ms: int | None = None
    percent: int | None = None
    node: NodeId | None = None
    way: Way | None = None

    @property
    def place(self) -> Place:
        """What it is about: of these there is one fault at a time."""
        return self.kind, self.node, self.way

    @property
    def rank(self) -> tuple[int, FaultKind, bool]:
        """Where it stands among others: by the peer, and the disk first."""
        return -1 if self.node is None else self.node, self.kind, self.way == "from"

    def row(self, now: float) -> dict[str, object]:
        """Itself as the reply shows it."""
        fields = {"kind": self.kind, "node": self.node, "way": self.way, "ms": self.ms, "percent": self.percent}
        if self.until < math.inf:
            fields["left_ms"] = math.ceil((self.until - now) * 1000)
        return {name: value for name, value in fields.items() if value is not None}

    def __str__(self) -> str:
        where = f"goes to node {self.node}" if self.way == "to" else f"comes from node {self.node}"
        match self.kind:
            case "cut":
                return f"nothing {where}"
            case "slow":
                return f"what {where} is {self.ms} ms late"
            case "drop":
                return f"{self.percent} % of what {where} is lost"
            case "disk":
                return "the disk is paused"


class Faults:
    """The switch (`trioraft.replica.ports.FaultSwitch`)."""

    def __init__(self, node: NodeId, now: Callable[[], float]) -> None:
        """`now` is the node's clock, in seconds."""
        self.on_change: list[Callable[[], None]] = []
        """Is called whenever a fault was set, was healed or has ended."""
        self._node = node
        self._now = now
        self._set: dict[Place, _Set] = {}
        self._weather: dict[tuple[NodeId, Way], Weather] = {}
        self._addresses: dict[str, NodeId] = {}
        """The addresses of those to which there are faults."""

    # What is in force

    @property
    def disk_is_paused(self) -> bool:
        """Whether writes have to wait."""
        return ("disk", None, None) in self._set

    def weather(self, peer: NodeId, way: Way) -> Weather:
        """What is wrong with that direction of the link to that peer."""
        return self._weather.get((peer, way), FAIR)

    def reaches(self, address: str) -> bool:
        """Whether a dial to that address arrives, and its answer comes back."""
        peer = self._addresses.get(address)
        return peer is None or not (self.weather(peer, "to").is_cut or self.weather(peer, "from").is_cut)

    @property
    def next_end(self) -> float:
        """When the next fault ends by itself."""
        return min((one.until for one in self._set.values()), default=math.inf)

    # Changes

    def obey(self, request: FaultRequest, peers: Mapping[NodeId, str]) -> list[dict[str, object]]:
        """Set or heal what the request says; the faults that are in force then. Raises FaultRefused."""
        self.expire()
        for node in request.nodes or ():
            if node == self._node:
                hint = "name its peers; its disk is paused with the kind disk"
                raise FaultRefused(f"this is node {node}, and there is no link from it to itself", hint)
            if node not in peers and not request.heal:
                known = ", ".join(map(str, sorted(peers))) or "none"
                raise FaultRefused(f"node {self._node} has no peer {node}", f"its peers are: {known}")
        if request.heal:
            self._heal(request)
        elif request.kind is not None:
            self._break(request, peers)
        now = self._now()
        return [one.row(now) for one in sorted(self._set.values(), key=lambda one: one.rank)]

    def expire(self) -> None:
        """End the faults whose time is over."""
        now = self._now()
        self._end([one for one in self._set.values() if one.until <= now], "by itself")

    def _break(self, request: FaultRequest, peers: Mapping[NodeId, str]) -> None:
        until = math.inf if request.for_ms is None else self._now() + request.for_ms / 1000
        for one in _asked_for(request, until):
            self._set[one.place] = one
            if one.node is not None:
                with contextlib.suppress(AddressError):  # nobody can dial that one
                    self._addresses[str(member_address(peers[one.node]))] = one.node
            how_long = "" if until == math.inf else f", for {request.for_ms} ms"
            log.info("a fault on command: %s%s", one, how_long, extra={"about": one.place})
        self._changed()

    def _heal(self, request: FaultRequest) -> None:
        def concerns(one: _Set) -> bool:
            if request.kind not in (None, one.kind):
                return False
            if one.kind == "disk":
                return request.nodes is None and request.way is None
            return (request.nodes is None or one.node in request.nodes) and one.way in request.ways

        self._end([one for one in self._set.values() if concerns(one)], "on command")

    def _end(self, ended: list[_Set], why: str) -> None:
        for one in ended:
            del self._set[one.place]
            log.info("a fault ends %s: %s", why, one, extra={"about": one.place})
        if ended:
            self._changed()

    def _changed(self) -> None:
        self._weather = {}
        for one in self._set.values():
            if one.node is not None and one.way is not None:
                weather = self._weather.setdefault((one.node, one.way), Weather())
                weather.is_cut = weather.is_cut or one.kind == "cut"
                weather.delay += (one.ms or 0) / 1000
                weather.loss += one.percent or 0
        for tell in self.on_change:
            tell()


def _asked_for(request: FaultRequest, until: float) -> Iterator[_Set]:
    """The faults that the request sets."""
    assert request.kind is not None
    if request.kind == "disk":
        yield _Set("disk", until)
    for node in dict.fromkeys(request.nodes or ()):
        for way in request.ways:
            yield _Set(request.kind, until, request.ms, request.percent, node, way)
