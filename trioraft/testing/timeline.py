"""The events of a simulation: a checksum of all, and the last ones as text, one column a node."""

from __future__ import annotations

import zlib
from collections import deque

from trioraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    NodeId,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)

Happening = str | Message
KEPT = 120
WIDTH = 30


class Timeline:
    """The events of one run."""

    def __init__(self, nodes: int, kept: int = KEPT) -> None:
        self.checksum = 0
        self._nodes = nodes
        self._last: deque[tuple[int, NodeId | None, str]] = deque(maxlen=kept)

    def add(self, now: int, node: NodeId | None, what: Happening) -> None:
        """Add an event at `now` microseconds; `node` is None for one that concerns all."""
        text = what if isinstance(what, str) else describe(what)
        self.checksum = zlib.crc32(b"%d %d %b" % (now, -1 if node is None else node, text.encode()), self.checksum)
        self._last.append((now, node, text))

    def text(self) -> str:
        """The last events as text."""
        lines = [f"{'ms':>10}  " + "".join(f"node {node}".ljust(WIDTH) for node in range(self._nodes))]
        for now, node, text in self._last:
            start = f"{now / 1000:>10.2f}  "
            lines.append(start + (f"-- {text}" if node is None else " " * (WIDTH * node) + text).rstrip())
        return "\n".join(lines)


def describe(message: Message) -> str:
    """Describe a message in few words."""
    match message:
        case AppendEntries():
            many = len(message.entries)
            entries = f"+{many} " if many else ""
            return f"append t{message.term} {message.prev_index}:{message.prev_term} {entries}c{message.commit_index}"
        case AppendEntriesReply():
            return f"append{'ed' if message.accepted else ' no'} t{message.term} {message.match_index}"
        case PreVote():
            return f"pre-vote? t{message.term} {message.last_index}:{message.last_term}"
        case PreVoteReply():
            return f"pre-vote {'yes' if message.granted else 'no'} t{message.term}"
        case RequestVote():
            asked = " by the leader" if message.transfer else ""
            return f"vote? t{message.term} {message.last_index}:{message.last_term}{asked}"
        case TimeoutNow():
            return f"stand for leader! t{message.term}"
        case RequestVoteReply():
            return f"vote {'yes' if message.granted else 'no'} t{message.term}"
        case InstallSnapshot():
            end = " done" if message.done else ""
            return f"snapshot t{message.term} {message.last_included_index} @{message.offset}+{len(message.data)}{end}"
        case InstallSnapshotReply():
            return f"stored t{message.term} {message.last_included_index} @{message.offset}"
