"""What goes in and out of the core beside messages: what is to be done, what is refused, and what it draws on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol

import msgspec

from trioraft.raft.membership import Configuration
from trioraft.raft.messages import Entry, HardState, InstallSnapshot, Kind, Message, NodeId
from trioraft.raft.runs import Entries

Role = Literal["follower", "pre-candidate", "candidate", "leader"]
LostReason = Literal["no_quorum", "leader_changed"]


class Point(msgspec.Struct, frozen=True):
    """A place in the log: an entry's index and term. Where nothing precedes: 0 and 0."""

    index: int = 0
    term: int = 0


NOWHERE: Final = Point()
"""Before the first entry."""


class Codec(Protocol):
    """How entries are written: the core makes them, and reads those that concern it."""

    def seal(self, index: int, term: int, kind: Kind, payload: bytes, /) -> Entry:
        """Make an entry, and its line."""

    def seal_commands(self, first: int, term: int, payloads: Sequence[bytes], /) -> Entries:
        """Make an entry for each command, from that index on."""

    def read_configuration(self, entry: Entry, /) -> Configuration:
        """What an entry of that kind carries."""

    def write_configuration(self, configuration: Configuration, /) -> bytes:
        """The payload of an entry that carries it."""


class Random(Protocol):
    """The one thing the core asks of randomness: an integer from start to stop - 1."""

    def randrange(self, start: int, stop: int) -> int:
        """Draw one."""


class NotLeader(Exception):
    """This node does not lead; nothing was appended."""


class Transferring(Exception):
    """This node is handing over the lead, and takes nothing new; nothing was appended."""


class Overloaded(Exception):
    """Too much is appended and not yet committed; nothing more was appended."""


class Batch(msgspec.Struct, frozen=True):
    """What must be durable before `messages` may go: votes and acknowledgements rest on it.

    The hard state and the entries are written in one piece and synced; then `Core.persisted(number)` is
    called, and the messages are sent. One batch is outstanding at a time.
    """

    number: int
    hard_state: HardState
    entries: Entries
    messages: list[tuple[NodeId, Message]]
    base: Point | None = None
    """Where the log begins anew before these entries: a snapshot has taken the place of what was before."""


class Won(msgspec.Struct, frozen=True):
    """This node has begun to lead: the duties of a leader are its own from now on."""

    term: int


class Lost(msgspec.Struct, frozen=True):
    """This node leads no more. What it had proposed and not seen committed may or may not survive.

    A lead that ended before it was told of is told of by this alone.
    """

    reason: LostReason


class Ready(msgspec.Struct, frozen=True):
    """What is to be done, in this order: send `messages`, persist `batch`, apply `committed`, serve `reads`."""

    batch: Batch | None
    messages: list[tuple[NodeId, Message]]
    """These promise nothing that is not durable: they go at once."""
    committed: Entries
    """To be applied in order; then `Core.applied(index)`."""
    reads: list[int]
    """The contexts of reads that may be served from the state as applied now."""
    leadership: Won | Lost | None
    """Whether this node has begun or ceased to lead."""
    pieces: list[tuple[NodeId, InstallSnapshot]]
    """Of the leader's snapshot: to be stored, and then `Core.snapshot_stored`, or in the end `Core.installed`."""
