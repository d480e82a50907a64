"""Entries, hard state, and the messages between peers.

Every message carries the sender's term (Figure 2). Indexes count from 1; index 0, of term 0, is the empty log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

NodeId = int
Kind = Literal["noop", "command", "configuration"]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of the log. `line` is its only encoding: on the wire, on disk and on the screen."""

    index: int
    term: int
    kind: Kind
    line: bytes


class HardState(msgspec.Struct, frozen=True):
    """The term and vote, synced before any message that rests on them (Figure 2, "persistent state")."""

    term: int = 0
    voted_for: NodeId | None = None


class PreVote(msgspec.Struct, frozen=True, tag_field="type", tag="pre_vote"):
    """Would you vote for me in `term`? Asked before any term is raised (thesis §9.6)."""

    term: int
    last_index: int
    last_term: int


class PreVoteReply(msgspec.Struct, frozen=True, tag_field="type", tag="pre_vote_reply"):
    """The answer to PreVote. `term` is the term asked about where granted, and the sender's own where refused."""

    term: int
    granted: bool


class RequestVote(msgspec.Struct, frozen=True, tag_field="type", tag="request_vote", omit_defaults=True):
    """Vote for me in `term` (§5.2); my log ends at `last_index`, `last_term` (§5.4.1)."""

    term: int
    last_index: int
    last_term: int
    transfer: bool = False
    """Whether the leader itself asked for this election: a live leader is no reason to refuse it."""


class RequestVoteReply(msgspec.Struct, frozen=True, tag_field="type", tag="request_vote_reply"):
    """The answer to RequestVote, sent once the vote is synced."""

    term: int
    granted: bool


class AppendEntries(msgspec.Struct, frozen=True, tag_field="type", tag="append_entries"):
    """The entries after `prev_index` (§5.3); a heartbeat where there are none.

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

    Accepted: the follower's log agrees with the leader's up to `match_index`, and is synced up to there.
    Refused: `match_index` is 0, `rejected_index` is the prev_index that did not fit, and the two logs can agree no
    later than at (`hint_index`, `hint_term`).
    """

    term: int
    accepted: bool
    match_index: int
    round: int
    rejected_index: int = 0
    hint_index: int = 0
    hint_term: int = 0


class InstallSnapshot(msgspec.Struct, frozen=True, tag_field="type", tag="install_snapshot"):
    """A piece of the leader's snapshot, for a peer that lacks entries which the leader no longer holds (§7).

    `data` is the file's content from `offset` on, up to its end where `done`. The core leaves `data` empty: the
    sender fills it from the file.
    """

    term: int
    last_included_index: int
    last_included_term: int
    offset: int
    done: bool = False
    data: bytes = b""


class InstallSnapshotReply(msgspec.Struct, frozen=True, tag_field="type", tag="install_snapshot_reply"):
    """The answer to InstallSnapshot: the sender holds the snapshot up to `offset`.

    Once it has installed the snapshot, it sends an AppendEntriesReply.
    """

    term: int
    last_included_index: int
    offset: int


class TimeoutNow(msgspec.Struct, frozen=True, tag_field="type", tag="timeout_now"):
    """The leader's request to its successor: stand at once (thesis §3.10)."""

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
