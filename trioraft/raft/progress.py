"""What a leader knows of one peer: how far it follows, and what is on its way to it.

Three states. In `probe` the leader does not know where the logs agree: one message at a time, stepping back
on each refusal. In `replicate` it does: messages follow each other without waiting, up to a bound, and
next_index runs ahead of match_index. In `snapshot` the peer lacks what the leader's log does not hold any more:
it gets the snapshot, a piece after the other, each when the one before has been answered.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from trioraft.raft.ready import Point
from trioraft.raft.runs import NO_ENTRIES, Entries
from trioraft.raft.settings import Settings

State = Literal["probe", "replicate", "snapshot"]
PROBE_BYTES: Final = 1024 * 1024
"""A probe carries no more than so much: it may be in vain, and is repeated while there is no answer."""


class Progress:
    """One peer, in one term of leadership. All transitions are in this class."""

    def __init__(self, next_index: int, settings: Settings) -> None:
        self.state: State = "probe"
        self.match_index = 0
        self.next_index = next_index
        self.active = False
        """Whether it answered since the last check of the quorum."""
        self.was_active = False
        """Whether it had at that check."""
        self._checked = False
        """Whether there has been one."""
        self._lost = False
        """Whether its process is known to be dead."""
        self.heartbeat_due = True
        self.round_wanted = 0
        """The newest round that this peer is asked to confirm; others it may confirm in passing."""
        self.round_sent = 0
        self.round_answered = 0
        self.commit_sent = 0
        self.commit_wanted = 0
        """The index whose commitment the peer waits for, to answer a request passed on through it."""
        self.snapshot = Point()
        """Where the snapshot ends that is being sent."""
        self.offset = 0
        """How much of it the peer holds."""
        self._piece_due = False
        self._settings = settings
        self._probe_sent = False
        self._inflight: deque[tuple[int, int]] = deque()
        self._inflight_bytes = 0

    @property
    def live(self) -> bool:
        """Whether it has answered this leader lately."""
        return (self.active or self.was_active) and not self._lost

    @property
    def silent(self) -> bool:
        """Whether it is known not to live: what a new leader has not heard of yet may be anything."""
        return not self.live and (self._checked or self._lost)

    @property
    def may_lack(self) -> bool:
        """Whether it may soon ask for what it lacks: it answers, or has not had the time to."""
        return self.active or self.was_active or not self._checked

    def heard(self) -> None:
        """It has answered."""
        self.active = True
        self._lost = False

    def lost(self) -> None:
        """Its process is dead, until it answers again."""
        self._lost = True

    def check(self) -> bool:
        """Another election timeout has passed; whether it has answered meanwhile."""
        self.was_active, self.active = self.active, False
        self._checked = True
        return self.was_active

    @property
    def may_send_entries(self) -> bool:
        """Whether what is on its way leaves room for more entries."""
        if self.state == "probe":
            return not self._probe_sent
        if self.state == "snapshot":
            return False
        settings = self._settings
        return len(self._inflight) < settings.max_inflight and self._inflight_bytes < settings.max_inflight_bytes

    def fitting(self, entries: Entries) -> Entries:
        """What of these is to be sent as things are: a long one waits until the logs are known to agree."""
        return NO_ENTRIES if self.state == "probe" and entries.size > PROBE_BYTES else entries

    def begin_snapshot(self, snapshot: Point) -> None:
        """The peer needs the snapshot that ends there."""
        self.probe(snapshot.index + 1)
        self.state = "snapshot"
        self.snapshot = snapshot
        self.offset = 0
        self._piece_due = True

    def take_piece(self) -> bool:
        """Whether the next piece of the snapshot is to go now: then it is under way."""
        due, self._piece_due = self._piece_due, False
        return due

    def snapshot_held(self, last_included_index: int, offset: int) -> None:
        """The peer says how much it holds; without news the same piece goes again after a heartbeat interval."""
        if self.state == "snapshot" and self.snapshot.index == last_included_index and self.offset != offset:
            self.offset = offset
            self._piece_due = True

    def sent(self, last_index: int, size: int) -> None:
        """A message went out whose entries, if it had any, end at last_index."""
        if self.state == "probe":
            self._probe_sent = True
        elif size:
            self.next_index = last_index + 1
            self._inflight.append((last_index, size))
            self._inflight_bytes += size

    def accepted(self, match_index: int) -> bool:
        """The peer holds and has synced all up to match_index; True when that is news.

        An answer that comes late, or twice, never takes match_index back.
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
        """The peer has no entry at rejected_index that fits; try at next_index, unless the news is old."""
        if rejected_index <= self.match_index:
            return
        if self.state == "snapshot" or (self.state == "probe" and rejected_index != self.next_index - 1):
            return
        self.probe(next_index)

    def probe(self, next_index: int) -> None:
        """Begin again at next_index: what was on its way did not fit, or went down with its connection."""
        self.state = "probe"
        self.next_index = max(self.match_index + 1, next_index)
        self._probe_sent = False
        self._inflight.clear()
        self._inflight_bytes = 0

    def heartbeat(self) -> None:
        """A heartbeat interval has passed: speak again, and repeat a probe or a piece that had no answer."""
        self.heartbeat_due = True
        self._probe_sent = False
        self._piece_due = self.state == "snapshot"
