"""What one process of a load counts, and the sum over all of them. Pure.

Times are nanoseconds of the system's monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from trioraft_cli.bench.kinds import EVENT

_BITS: Final = 8
"""How many leading bits of a time are kept: a bucket is at most 1/128 as wide as the times in it."""


class Histogram(msgspec.Struct):
    """Times, counted in buckets that grow with them. Count, sum, least and most are exact."""

    buckets: dict[int, int] = msgspec.field(default_factory=dict)
    count: int = 0
    total: int = 0
    least: int = 0
    most: int = 0

    def add(self, time: int, count: int = 1) -> None:
        """Count a time, `count` times."""
        shift = max(0, time.bit_length() - _BITS)
        bucket = (shift << _BITS) + (time >> shift)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        if time < self.least or not self.count:
            self.least = time
        if time > self.most:
            self.most = time
        self.count += count
        self.total += time * count

    def merge(self, other: Histogram) -> None:
        """Count all that the other one has counted."""
        if not other.count:
            return
        self.least = min(self.least, other.least) if self.count else other.least
        self.most = max(self.most, other.most)
        self.count += other.count
        self.total += other.total
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def percentile(self, share: float) -> float:
        """The time that this share of all times, from 0 to 1, does not exceed; to within 1 %. 0 without any."""
        rank = max(1, math.ceil(share * self.count))
        if rank == self.count:
            return self.most
        for time, count in self.middles():
            rank -= count
            if rank <= 0:
                return min(max(time, self.least), self.most)
        return self.most

    def middles(self) -> Iterator[tuple[float, int]]:
        """Yield the middle of each bucket, and how many times it holds, in order."""
        for bucket in sorted(self.buckets):
            shift, kept = bucket >> _BITS, bucket & ((1 << _BITS) - 1)
            yield (kept << shift) + ((1 << shift) - 1) / 2, self.buckets[bucket]

    @property
    def mean(self) -> float:
        """The mean; 0 without any."""
        return self.total / self.count if self.count else 0.0


class Figures(msgspec.Struct):
    """What one process has seen, or several together."""

    latencies: dict[str, Histogram] = msgspec.field(default_factory=dict)
    """Of `put`, `get` and `event`: the time until each answer that was no error."""
    errors: dict[str, int] = msgspec.field(default_factory=dict)
    """How many answers had each code of an error."""
    messages: dict[str, str] = msgspec.field(default_factory=dict)
    """For each code, what the first answer with it said."""
    lost: dict[str, int] = msgspec.field(default_factory=dict)
    """How many connections broke, for each reason."""
    unanswered: int = 0
    """How many requests were under way on these."""
    unconnected: dict[str, int] = msgspec.field(default_factory=dict)
    """How many connections were not open at the end, for each reason."""
    began: int = 0
    ended: int = 0
    longest_gap: int = 0
    """The longest time without any answer."""
    processor: float = 0.0
    """Seconds of processor time."""

    def histogram(self, kind: str) -> Histogram:
        """The times of that kind."""
        found = self.latencies.get(kind)
        if found is None:
            found = self.latencies[kind] = Histogram()
        return found

    def refuse(self, code: str, message: str) -> None:
        """Count an error."""
        self.errors[code] = self.errors.get(code, 0) + 1
        self.messages.setdefault(code, message)

    def lose(self, why: str) -> None:
        """Count a connection that broke."""
        self.lost[why] = self.lost.get(why, 0) + 1

    @property
    def answered(self) -> int:
        """How many requests had an answer that was no error."""
        return sum(times.count for kind, times in self.latencies.items() if kind != EVENT)

    @property
    def events(self) -> int:
        """How many events the watchers were sent."""
        return self.histogram(EVENT).count if EVENT in self.latencies else 0

    @property
    def refused(self) -> int:
        """How many answers were errors."""
        return sum(self.errors.values())

    @property
    def seconds(self) -> float:
        """How long it was counted."""
        return (self.ended - self.began) / 1e9

    @property
    def rate(self) -> float:
        """Answers a second that were no errors."""
        return self.answered / self.seconds if self.seconds > 0 else 0.0

    @property
    def busy(self) -> float:
        """The share of the time in which a processor worked for it."""
        return self.processor / self.seconds if self.seconds > 0 else 0.0


def together(parts: Sequence[Figures]) -> Figures:
    """The sum of what several processes have seen. The longest gap is that of one of them."""
    whole = Figures(
        began=min((part.began for part in parts if part.began), default=0),
        ended=max((part.ended for part in parts), default=0),
        unanswered=sum(part.unanswered for part in parts),
        longest_gap=max((part.longest_gap for part in parts), default=0),
        processor=sum(part.processor for part in parts),
    )
    for part in parts:
        for kind, times in part.latencies.items():
            whole.histogram(kind).merge(times)
        whole.messages = {**part.messages, **whole.messages}
        for mine, theirs in (
            (whole.errors, part.errors),
            (whole.lost, part.lost),
            (whole.unconnected, part.unconnected),
        ):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count
    return whole
