"""How long something took, each time: a histogram of all, and the last few as they are."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import accumulate
from typing import Final

BOUNDS: Final = tuple(0.0001 * 2**power for power in range(15))
"""The upper bounds of the buckets but the last, in seconds: from 0.1 ms to 1.6 s."""
RECENT: Final = 64
"""How many of the last are kept as they are."""


class Durations:
    """Counts durations. One thread adds them; another may look."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0
        self._recent: deque[float] = deque(maxlen=RECENT)

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self._sum += seconds
        self._recent.append(seconds)

    def figures(self) -> dict[str, object]:
        """The number of all, their sum in seconds, mean and maximum of the last 64, and how many fit below each bound.

        Empty before the first.
        """
        recent = list(self._recent)
        if not recent:
            return {}
        counts = list(accumulate(self._counts))
        names = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
        return {
            "count": counts[-1],
            "sum": self._sum,
            "recent": sum(recent) / len(recent),
            "worst": max(recent),
            "buckets": dict(zip(names, counts, strict=True)),
        }
