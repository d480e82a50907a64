"""The time of leases, counted by the leader alone, in its own ticks. No clock is in the log.

What a lease is promised is a lower bound: it lives at least its ttl after it was granted, or last kept alive. So all
doubts count in its favour:

- it ends after 1¼ of its ttl, so that clocks of clients and leaders may be wrong by a tenth;
- its time begins behind the first ticks that are told after the renewal arrived: they may have begun before that;
- ticks count only while a majority answers, and after a stall only a few do (`Settings.most_ticks`);
- each leader begins the full time of every lease again: it cannot know what its predecessor was told;
- a lease that was renewed while its end was near lives on, as long as the entry that ends it is not in the log.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from itertools import takewhile
from typing import Final

from trioraft.machine import Leasing
from trioraft.replica.alarms import NEVER

LOOKED_AT: Final = 4000
"""The most leases that one tick looks at, and that may wait for an entry which ends them: some milliseconds' work."""
FEW_ENDS: Final = 1000
"""Up to this many ends of leases that live no more are left where they are."""


class LeaseClock:
    """The clock of one node: it runs from the node's election until the node leads no more."""

    def __init__(self, tick_ms: int) -> None:
        """`tick_ms`: how much of a ttl one tick uses up."""
        self._tick_ms = tick_ms
        self._forget()

    def _forget(self) -> None:
        self._leasing: Leasing | None = None
        """The leases that live; None unless this node leads."""
        self._now = 0
        """The ticks that count since the election."""
        self._newest = 0
        """The newest lease that is counted."""
        self._ends: dict[int, int] = {}
        """For each lease whose time has begun: the tick at which it is over."""
        self._heap: list[tuple[int, int]] = []
        """The same as (end, lease), one for each of these leases. An end that has moved is found when it comes up."""
        self._renewed: dict[int, None] = {}
        """The leases that were renewed or granted since ticks were told last,"""
        self._to_begin: dict[int, None] = {}
        """and those before that, whose time begins behind these ticks."""
        self._over: dict[int, None] = {}
        """The leases whose time is over, in the order of their ends, and that no entry ends yet."""
        self._ending: dict[int, int] = {}
        """For each lease that an entry of this leader is to end: the index of that entry."""

    def begin(self, leasing: Leasing | None) -> None:
        """Begin the full time of every lease, as this node leads from now on."""
        self._forget()
        self._leasing = leasing
        self._see_granted()

    def stop(self) -> None:
        """Count no more, as this node leads no more."""
        self._forget()

    @property
    def _ttls(self) -> Mapping[int, int]:
        return {} if self._leasing is None else self._leasing.ttls

    def renew(self, leases: Iterable[int]) -> None:
        """Begin the full time of these leases again; one that an entry already ends stays as it is."""
        for lease in leases:
            if lease not in self._ending:
                self._renewed[lease] = None
                self._over.pop(lease, None)

    def pass_time(self) -> None:
        """Note that ticks are told, of which the next `tick` decides: what is renewed from now on came after them."""
        if self._leasing is not None:
            self._see_granted()
            self._to_begin.update(self._renewed)
            self._renewed = {}

    def tick(self, ticks: int, counts: bool) -> None:
        """Act on the ticks that were told; `counts`: a majority answers, and so they count."""
        if counts:
            self._now += ticks
        begun, self._to_begin = self._to_begin, {}
        self._begin(begun)
        self._find_over()
        if self._ending:
            ttls = self._ttls
            self._ending = {lease: index for lease, index in self._ending.items() if lease in ttls}

    def over(self) -> Collection[int]:
        """The leases whose time is over and that no entry ends yet, in the order of their ends."""
        return self._over

    def expire(self, leases: Iterable[int], index: int) -> None:
        """Note that the entry at that index is to end these leases."""
        for lease in leases:
            self._over.pop(lease, None)
            self._ending[lease] = index

    def ending_at(self, lease: int) -> int:
        """The index of this leader's entry that is to end the lease and is not applied yet, as far as ticks have told.

        0 where there is none.
        """
        return self._ending.get(lease, 0)

    def remaining_ms(self, lease: int) -> int:
        """The rest of the lease's time."""
        if lease in self._ending or lease in self._over:
            return 0
        end = self._ends.get(lease)
        if end is None or lease in self._renewed or lease in self._to_begin:
            end = self._now + self._ticks_of(self._ttls[lease])
        return max(0, end - self._now) * self._tick_ms

    @property
    def ticks_until_due(self) -> int:
        """The number of ticks until a lease's time may be over; very many where none is counted."""
        if self._over:
            return 1
        return max(1, self._heap[0][0] - self._now) if self._heap else NEVER

    def _ticks_of(self, ttl_ms: int) -> int:
        """The ticks that a lease lives: 1¼ of its ttl, and a part of a tick counts as one."""
        return -(-ttl_ms * 5 // (4 * self._tick_ms))

    def _see_granted(self) -> None:
        """Renew the leases that have been granted since the last time: numbers rise, and new ones come last."""
        granted = list(takewhile(lambda lease: lease > self._newest, reversed(self._ttls)))
        if granted:
            self._newest = granted[0]
            self._renewed.update(dict.fromkeys(reversed(granted)))

    def _begin(self, leases: Iterable[int]) -> None:
        """Begin the time of these leases now."""
        ttls, fresh = self._ttls, []
        for lease in leases:
            if lease in ttls and lease not in self._ending:
                end = self._now + self._ticks_of(ttls[lease])
                if lease not in self._ends:
                    fresh.append((end, lease))
                self._ends[lease] = end
        if len(fresh) > len(self._heap):
            self._heap += fresh
            heapq.heapify(self._heap)
        else:
            for one in fresh:
                heapq.heappush(self._heap, one)

    def _find_over(self) -> None:
        """Move on the leases whose time is over, and now and then forget those that live no more."""
        heap, ends, ttls = self._heap, self._ends, self._ttls
        for _ in range(LOOKED_AT - len(self._over)):
            if not heap or heap[0][0] > self._now:
                break
            lease = heapq.heappop(heap)[1]
            end = ends[lease]
            if lease not in ttls:
                del ends[lease]
            elif lease in self._renewed:
                heapq.heappush(heap, (self._now + 1, lease))
            elif end > self._now:
                heapq.heappush(heap, (end, lease))
            else:
                del ends[lease]
                self._over[lease] = None
        if len(heap) > 2 * len(ttls) + FEW_ENDS:
            self._ends = {lease: end for lease, end in ends.items() if lease in ttls}
            self._heap = [(end, lease) for lease, end in self._ends.items()]
            heapq.heapify(self._heap)
        if self._over:
            self._over = {lease: None for lease in self._over if lease in ttls}
