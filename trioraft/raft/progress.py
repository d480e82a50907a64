"""What a leader knows of one peer: how far its log agrees, and what is on its way.

There are three states. In `probe`, the leader does not know where the logs agree: it sends one message at a time, and
steps back on each refusal. In `replicate`, it knows: messages follow each other without waiting, up to a bound, and
next_index runs ahead of match_index. In `snapshot`, the peer lacks entries that the leader's log no longer holds: it
gets the snapshot piece by piece, each once the one before is answered.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from trioraft.raft.ready import Point
from trioraft.raft.runs import NO_ENTRIES, Entries
from trioraft.raft.settings import Settings

State = Literal["probe", "replicate", "snapshot"]
PROBE_BYTES: Final = 1024 * 1024
"""The most that a probe carries: it may be in vain, and is repeated until it is answered."""


class Progress:
    """One peer during one term of leadership, with all transitions between its states."""

    def __init__(self, next_index: int, settings: Settings) -> None:
        self.state: State = "probe"
        self.match_index = 0
        self.next_index = next_index
        self.active = False
        """Whether the peer has answered since the last check of the quorum."""
        self.was_active = False
        """Whether it had answered between that check and the one before."""
        self._checked = False
        """Whether the quorum was checked in this term yet."""
        self._lost = False
        """Whether the peer's process is known to be dead."""
        self.silent_ticks = settings.election_ticks
        """The number of ticks since the peer answered; a peer that never did has been silent for long."""
        self.heartbeat_due = True
        self.round_wanted = 0
        """The newest round that the peer is asked to confirm; it may confirm others in passing."""
        self.round_sent = 0
        self.round_answered = 0
        self.commit_sent = 0
        self.commit_wanted = 0
        """The index whose commitment the peer waits for, because it forwarded a request."""
        self.snapshot = Point()
        """The end of the snapshot that is being sent."""
        self.offset = 0
        """The number of its bytes that the peer holds."""
        self._piece_due = False
        self._settings = settings
        self._probe_sent = False
        self._inflight: deque[tuple[int, int]] = deque()
        self._inflight_bytes = 0

    @property
    def live(self) -> bool:
        """Whether the peer has answered this leader lately."""
        return (self.active or self.was_active) and not self._lost

    @property
    def silent(self) -> bool:
        """Whether the peer is known not to be live. A new leader must wait for a check before it can say so."""
        return not self.live and (self._checked or self._lost)

    @property
    def may_lack(self) -> bool:
        """Whether the peer may soon ask for entries: it answers, or had no time to yet."""
        return self.active or self.was_active or not self._checked

    def heard(self) -> None:
        """Note an answer."""
        self.active = True
        self.silent_ticks = 0
        self._lost = False

    def lost(self) -> None:
        """Take the peer's process for dead until it answers again."""
        self._lost = True

    def check(self) -> bool:
        """Begin another election timeout; return whether the peer answered during the last one."""
        self.was_active, self.active = self.active, False
        self._checked = True
        return self.was_active

    @property
    def may_send_entries(self) -> bool:
        """Whether the messages on their way leave room for more entries."""
        if self.state == "probe":
            return not self._probe_sent
        if self.state == "snapshot":
            return False
        settings = self._settings
        return len(self._inflight) < settings.max_inflight and self._inflight_bytes < settings.max_inflight_bytes

    def fitting(self, entries: Entries) -> Entries:
        """The entries to send now: a long one waits until the logs are known to agree."""
        return NO_ENTRIES if self.state == "probe" and entries.size > PROBE_BYTES else entries

    def begin_snapshot(self, snapshot: Point) -> None:
        """Send the peer the snapshot that ends there."""
        self.probe(snapshot.index + 1)
        self.state = "snapshot"
        self.snapshot = snapshot
        self.offset = 0
        self._piece_due = True

    def take_piece(self) -> bool:
        """Whether to send a piece of the snapshot now; it counts as sent."""
        due, self._piece_due = self._piece_due, False
        return due

    def snapshot_held(self, last_included_index: int, offset: int) -> None:
        """Note how much of the snapshot the peer holds, and send the next piece if that is news."""
        if self.state == "snapshot" and self.snapshot.index == last_included_index and self.offset != offset:
            self.offset = offset
            self._piece_due = True

    def sent(self, last_index: int, size: int) -> None:
        """Note a message that went out; its entries, `size` bytes of them, end at `last_index`."""
        if self.state == "probe":
            self._probe_sent = True
        elif size:
            self.next_index = last_index + 1
            self._inflight.append((last_index, size))
            self._inflight_bytes += size

    def accepted(self, match_index: int) -> bool:
        """Note that the peer has synced the log up to match_index; return whether that is news.

        A late or repeated answer never lowers match_index.
        """
        if self.state != "replicate":
            self.state = "replicate"
            self._probe_sent = False
            self.next_index = max(self.match_index, match_index) + 1
        while self._inflight and self._inflight[0][0] <= match_index:
            self._inflight_bytes -= self._inflight.popleft()[1]
        if match_index <= self.match_index:
            return False
        self.match_index = match_index
        self.next_index = max(self.next_index, match_index + 1)
        return True

    def refused(self, rejected_index: int, next_index: int) -> None:
        """Step back to next_index: no entry fits at rejected_index. A stale refusal changes nothing."""
        if rejected_index <= self.match_index:
            return
        if self.state == "snapshot" or (self.state == "probe" and rejected_index != self.next_index - 1):
            return
        self.probe(next_index)

    def probe(self, next_index: int) -> None:
        """Begin again at next_index: the messages on their way did not fit, or were lost with the connection."""
        self.state = "probe"
        self.next_index = max(self.match_index + 1, next_index)
        self._probe_sent = False
        self._inflight.clear()
        self._inflight_bytes = 0

    def heartbeat(self) -> None:
        """Send a heartbeat, and repeat a probe or a piece of a snapshot that was not answered."""
        self.heartbeat_due = True
        self._probe_sent = False
        self._piece_due = self.state == "snapshot"
