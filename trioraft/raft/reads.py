"""ReadIndex: linearizable reads without a clock (thesis §6.4).

A read notes the commit_index on arrival and waits for a round of messages, begun after it came, that a
majority answers: then no later leader had committed anything when the read arrived. Reads that come
together share a round. Only as many are asked as it takes; where these are silent for a tick, everybody is.
"""

from __future__ import annotations

from collections import deque


class Reads:
    """The reads of one term of leadership, from arrival to the moment that they may be served."""

    def __init__(self) -> None:
        self.round = 0
        """The newest round begun; every attempt gets a fresh number."""
        self._arrived: list[int] = []
        self._confirming: deque[tuple[int, int, list[int]]] = deque()
        self._confirmed: deque[tuple[int, list[int]]] = deque()
        self._round_at_tick = 0

    @property
    def recent(self) -> bool:
        """Whether a round was begun since the last tick, or is not confirmed yet."""
        return bool(self._confirming) or self.round > self._round_at_tick

    def tick(self) -> bool:
        """One unit of time has passed; whether a round has been under way for all of it."""
        overdue = bool(self._confirming) and self._confirming[0][0] <= self._round_at_tick
        self._round_at_tick = self.round
        return overdue

    def add(self, context: int) -> None:
        """A read has arrived; the caller knows it by `context`."""
        self._arrived.append(context)

    def begin_round(self, commit_index: int) -> bool:
        """Number a round for the reads that have arrived since the last; False when there are none."""
        if not self._arrived:
            return False
        self.round += 1
        self._confirming.append((self.round, commit_index, self._arrived))
        self._arrived = []
        return True

    def round_answered(self, by_majority: int) -> None:
        """A majority, the leader included, has answered every round up to this one."""
        while self._confirming and self._confirming[0][0] <= by_majority:
            _, index, contexts = self._confirming.popleft()
            self._confirmed.append((index, contexts))

    def take_servable(self, last_applied: int) -> list[int]:
        """The confirmed reads whose read index has been applied, each handed out once."""
        servable: list[int] = []
        while self._confirmed and self._confirmed[0][0] <= last_applied:
            servable.extend(self._confirmed.popleft()[1])
        return servable
