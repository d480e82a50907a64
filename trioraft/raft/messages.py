"""What the core stores and says: entries, hard state, and the messages between peers.

Every message carries the sender's term (Figure 2). Indexes count from 1; index 0 is the empty log, of term 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

NodeId = int
Kind = Literal["noop", "command", "configuration"]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One slot of the log. `line` is its one encoding: on the wire, on disk and on the screen."""

    index: int
    term: int
    kind: Kind
    line: bytes


class HardState(msgspec.Struct, frozen=True):
    """What a node must have synced before it answers anything that rests on it (Figure 2, "persistent state")."""

    term: int = 0
    voted_for: NodeId | None = None


class PreVote(msgspec.Struct, frozen=True, tag_field="type", tag="pre_vote"):
    """Would you vote for me in `term`? Asked before any term is raised (thesis §9.6)."""

    term: int
    last_index: int
    last_term: int


class PreVoteReply(msgspec.Struct, frozen=True, tag_field="type", tag="pre_vote_reply"):
    """`term` is the term asked about where granted, and the answerer's own where not."""

    term: int
    granted: bool


class RequestVote(msgspec.Struct, frozen=True, tag_field="type", tag="request_vote", omit_defaults=True):
    """Vote for me in `term` (§5.2); my log ends at `last_index`, `last_term` (§5.4.1)."""

    term: int
    last_index: int
    last_term: int
    transfer: bool = False
    """Whether the leader itself asked for this election: then its being alive is no reason to refuse."""


class RequestVoteReply(msgspec.Struct, frozen=True, tag_field="type", tag="request_vote_reply"):
    """The answer to RequestVote, sent once the vote is synced."""

    term: int
    granted: bool


class AppendEntries(msgspec.Struct, frozen=True, tag_field="type", tag="append_entries"):
    """Entries that follow `prev_index` (§5.3); without entries, a heartbeat.

    `round` numbers the leader's attempts to confirm that it still leads (thesis §6.4).
    """

    term: int
    prev_index: int
    prev_term: int
    commit_index: int
    round: int
    entries: Sequence[Entry]


class AppendEntriesReply(msgspec.Struct, frozen=True, tag_field="type", tag="append_entries_reply"):
    """The answer to AppendEntries.

    Accepted: the follower's log agrees with the leader's up to `match_index`, and is synced that far.
    Refused: `match_index` is 0, `rejected_index` the prev_index that did not fit, and (`hint_index`,
    `hint_term`) the last place where the two logs could agree.
    """

    term: int
    accepted: bool
    match_index: int
    round: int
    rejected_index: int = 0
    hint_index: int = 0
    hint_term: int = 0


class InstallSnapshot(msgspec.Struct, frozen=True, tag_field="type", tag="install_snapshot"):
    """A piece of the leader's snapshot, for a peer that lacks what the leader's log does not hold any more (§7).

    `data` is what stands in the file from `offset` on; with `done` it is the last of it. The core leaves `data`
    empty: whoever sends the message fills it from the file.
    """

    term: int
    last_included_index: int
    last_included_term: int
    offset: int
    done: bool = False
    data: bytes = b""


class InstallSnapshotReply(msgspec.Struct, frozen=True, tag_field="type", tag="install_snapshot_reply"):
    """The sender holds that snapshot up to `offset`. Once it is installed, an AppendEntriesReply says so."""

    term: int
    last_included_index: int
    offset: int


class TimeoutNow(msgspec.Struct, frozen=True, tag_field="type", tag="timeout_now"):
    """The leader asks its successor to stand for leader at once (thesis §3.10)."""

    term: int


Message = (
    PreVote
    | PreVoteReply
    | RequestVote
    | RequestVoteReply
    | AppendEntries
    | AppendEntriesReply
    | InstallSnapshot
    | InstallSnapshotReply
    | TimeoutNow
)
