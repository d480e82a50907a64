"""ReadIndex: linearizable reads without a clock (thesis §6.4).

A read notes the commit index on arrival and waits for a round of messages that begins after it and that a majority
answers. No later leader can have committed anything before the read arrived, then. Reads that arrive together share
a round. A round asks no more peers than a majority takes; if they stay silent for a tick, it asks all.
"""

from __future__ import annotations

from collections import deque


class Reads:
    """The reads of one term of leadership, from their arrival until they may be served."""

    def __init__(self) -> None:
        self.round = 0
        """The newest round; every attempt gets a fresh number."""
        self._arrived: list[int] = []
        self._confirming: deque[tuple[int, int, list[int]]] = deque()
        self._confirmed: deque[tuple[int, list[int]]] = deque()
        self._round_at_tick = 0

    @property
    def unconfirmed(self) -> bool:
        """Whether a round is under way."""
        return bool(self._confirming)

    @property
    def recent(self) -> bool:
        """Whether a round began since the last tick, or is not confirmed yet."""
        return self.unconfirmed or self.round > self._round_at_tick

    def tick(self) -> bool:
        """Count one unit of time; return whether a round has been under way for all of it."""
        overdue = bool(self._confirming) and self._confirming[0][0] <= self._round_at_tick
        self._round_at_tick = self.round
        return overdue

    def add(self, context: int) -> None:
        """Add a read that has arrived; the caller knows it by `context`."""
        self._arrived.append(context)

    def begin_round(self, commit_index: int) -> bool:
        """Number a round for the reads since the last one; return False where there are none."""
        if not self._arrived:
            return False
        self.round += 1
        self._confirming.append((self.round, commit_index, self._arrived))
        self._arrived = []
        return True

    def round_answered(self, by_majority: int) -> None:
        """Note that a majority, the leader included, has answered every round up to this one."""
        while self._confirming and self._confirming[0][0] <= by_majority:
            _, index, contexts = self._confirming.popleft()
            self._confirmed.append((index, contexts))

    def take_servable(self, last_applied: int) -> list[int]:
        """Hand out, once each, the confirmed reads whose read index has been applied."""
        servable: list[int] = []
        while self._confirmed and self._confirmed[0][0] <= last_applied:
            servable.extend(self._confirmed.popleft()[1])
        return servable
