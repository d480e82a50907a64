"""The core's interface beside messages: what it asks to be done, what it refuses, and what it needs."""

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
    """A place in the log: an entry's index and term; 0 and 0 before the first entry."""

    index: int = 0
    term: int = 0


NOWHERE: Final = Point()
"""The place before the first entry."""


class Codec(Protocol):
    """The encoding of entries, of which the core reads only configurations."""

    def seal(self, index: int, term: int, kind: Kind, payload: bytes, /) -> Entry:
        """Make an entry with its line."""

    def seal_commands(self, first: int, term: int, payloads: Sequence[bytes], /) -> Entries:
        """Make an entry for each command, from index `first` on."""

    def read_configuration(self, entry: Entry, /) -> Configuration:
        """Decode the configuration that an entry carries."""

    def write_configuration(self, configuration: Configuration, /) -> bytes:
        """Encode a configuration as an entry's payload."""


class Random(Protocol):
    """The core's only source of randomness."""

    def randrange(self, start: int, stop: int) -> int:
        """Draw an integer from start to stop - 1."""


class NotLeader(Exception):
    """Raised where this node does not lead; nothing was appended."""


class Transferring(Exception):
    """Raised while this node hands over the lead and accepts nothing new; nothing was appended."""


class Overloaded(Exception):
    """Raised where too many bytes are not committed yet; nothing was appended."""


class Batch(msgspec.Struct, frozen=True):
    """Hard state and entries to sync, and the votes and acknowledgements that rest on them.

    Write both in one piece and sync them; then call `Core.persisted(number)` and send `messages`. One batch is
    outstanding at a time.
    """

    number: int
    hard_state: HardState
    entries: Entries
    messages: list[tuple[NodeId, Message]]
    base: Point | None = None
    """Where the log begins anew before these entries, if a snapshot has taken the place of the old one."""


class Won(msgspec.Struct, frozen=True):
    """This node has begun to lead `term`: the duties of a leader are its own from now on."""

    term: int


class Lost(msgspec.Struct, frozen=True):
    """This node leads no more. What it proposed and did not see committed may or may not survive.

    A lead that ends before its `Won` was handed out is reported by this alone.
    """

    reason: LostReason


class Ready(msgspec.Struct, frozen=True):
    """What to do, in this order: send `messages`, persist `batch`, apply `committed`, serve `reads`."""

    batch: Batch | None
    messages: list[tuple[NodeId, Message]]
    """Messages that promise nothing which is not durable: they go at once."""
    committed: Entries
    """Entries to apply in order; then call `Core.applied(index)`."""
    reads: list[int]
    """The contexts of the reads that may be served from the state as applied now."""
    leadership: Won | Lost | None
    """Whether this node has begun or ceased to lead since the last Ready."""
    pieces: list[tuple[NodeId, InstallSnapshot]]
    """Pieces of the leader's snapshot to store; then call `Core.snapshot_stored`, or `Core.installed` at the end."""
