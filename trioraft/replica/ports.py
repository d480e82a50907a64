"""What a replica needs of what is around it: peers, disk, clients, and the pace at which it works."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

from trioraft.raft.core import Core
from trioraft.raft.messages import Message, NodeId
from trioraft.raft.ready import Batch
from trioraft.wire.faults import FaultRequest
from trioraft.wire.peers import (
    AdminReply,
    AdminRequest,
    FormationView,
    NotProposed,
    Propose,
    Proposed,
    ReadIndexReply,
    ReadIndexRequest,
)

TICK_SECONDS: Final = 0.01
"""How long a tick lasts."""
TICK_MS: Final = 10
"""The same in milliseconds."""

Forwarded = Propose | Proposed | NotProposed | ReadIndexRequest | ReadIndexReply | AdminRequest | AdminReply
"""A message about requests, in one direction or the other."""


def ticks_of(milliseconds: int) -> int:
    """The ticks that last so long at least: a part of one counts as one."""
    return -(-milliseconds // TICK_MS)


class Peers(Protocol):
    """The connections to the other nodes, and from them."""

    @property
    def heard(self) -> Collection[NodeId]:
        """Those that have a connection to this node."""

    def tell(self, peer: NodeId, message: Message | FormationView) -> None:
        """Send with the next `flush`; dropped where no connection to that peer is up."""

    def send(self, peer: NodeId, message: Forwarded) -> None:
        """Send in order with what was sent before: with the next `flush`, or as soon as the connection is up."""

    def linked(self, peer: NodeId) -> bool:
        """Whether requests can be forwarded to that peer, and its answers come back."""

    def has_room(self, peer: NodeId) -> bool:
        """Whether the connection to that peer takes another AppendEntries now."""

    def flush(self) -> None:
        """Send what was told and sent since the last time."""

    def dial(self, addresses: Mapping[NodeId, str], kept: Collection[NodeId]) -> None:
        """Be connected to these at their addresses, and to no others; a connection to one of `kept` stays."""

    def redial(self, peer: NodeId) -> None:
        """Replace the connection to that peer by one with a new introduction."""

    def dismiss(self, peer: NodeId) -> None:
        """Close that peer's connection to this node; `Replica.peer_gone` is called."""

    def begin_anew(self) -> None:
        """Replace all connections, in both directions; the replica is not told of those that close."""


class DiskThread(Protocol):
    """Runs one write at a time."""

    def start(self, write: Callable[[], None]) -> None:
        """Begin a write; the one before must have ended. What it raises, `finished` raises."""

    def finished(self, wait: bool = True) -> bool:
        """Whether the write has ended, after waiting for it a moment. Raises what the write raised.

        Where it is not waited for, `wake` is called when it ends.
        """

    def close(self) -> None:
        """Stop, once the write under way has ended or is given up."""


class Vitals(Protocol):
    """The process of the node: its clock, its memory, its disk, its connections."""

    def figures(self) -> dict[str, object]:
        """What it knows of itself at this moment, under the names of `metrics`."""


class Clients(Protocol):
    """The connections of the clients."""

    def flush(self) -> bool:
        """Send the replies that are ready, to each client a portion; True if that made room for more requests."""


class Pace(Protocol):
    """When this node waits, which is a matter of its clock and its load."""

    def gathers(self, *, leads: bool, uncommitted: int, gathered: int) -> bool:
        """Whether the `gathered` requests, which are not on their way yet, wait for more to come."""

    def takes_slice(self, *, quiet: bool) -> bool:
        """Whether a snapshot takes its next step in this turn; `quiet`: nobody waits for this node."""

    def waits_for_disk(self, *, leads: bool, uncommitted: int) -> bool:
        """Whether this turn waits a moment for its write."""


class FaultRefused(Exception):
    """A fault that cannot be set, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class FaultSwitch(Protocol):
    """The faults of one node that are set on command."""

    def obey(self, request: FaultRequest, peers: Mapping[NodeId, str]) -> list[dict[str, object]]:
        """Set or heal what the request says; the faults that are in force then, as the reply shows them.

        `peers` are the addresses of those to which there may be links. Raises FaultRefused: nothing has changed then.
        """


class Observer:
    """Hears what happens to one replica, at the moment when it happens. Override what is of interest.

    Nothing is paid for it while nobody observes, and then once a turn, a batch or a message, never once an entry.
    """

    def started(self, core: Core) -> None:
        """The replica begins as a member, with that core."""

    def changed(self, core: Core) -> None:
        """Something may have changed in the core: a message, a tick, a write that ended, a step of the turn."""

    def said(self, receiver: NodeId, message: Message) -> None:
        """One of Raft's messages leaves."""

    def writing(self, batch: Batch) -> None:
        """The disk begins with that batch."""

    def written(self) -> None:
        """The batch is synced, and nothing that rests on it has left yet."""

    def applied(self) -> None:
        """Committed entries have been applied."""

    def installed(self, core: Core) -> None:
        """The replica goes on from a leader's snapshot."""

    def read_began(self, context: int) -> None:
        """This node leads, and confirms reads under that context."""

    def reads_confirmed(self, contexts: Sequence[int]) -> None:
        """The reads of these contexts are about to be served."""

    def leadership_lost(self) -> None:
        """This node led and does no more; reads that were not confirmed begin again."""

    def leases_renewed(self, keepalive: object, leases: Sequence[int]) -> None:
        """A keepalive has arrived at this leader: the time of these leases, as far as they live, begins again."""

    def leases_kept(self, keepalive: object, leases: Sequence[int]) -> None:
        """This leader is about to answer that keepalive, and these leases live on."""

    def leases_expire(self, leases: Sequence[int], index: int) -> None:
        """This leader has just proposed the entry at that index, which ends these leases."""

    def role_changed(self, core: Core) -> None:
        """The term, the role or the known leader is another than at the end of the turn before."""

    def turned(self, core: Core) -> None:
        """A turn is over."""
