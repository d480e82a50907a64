"""How long a lease is certain to live, by its holder's own count, and when it is kept alive again. Pure.

Times are seconds of a clock that goes on while the machine is suspended; `now` is read by whoever asks.
"""

from __future__ import annotations

from typing import Final

from trioraft.client.attempts import growing_pause

MARGIN: Final = 0.1
"""The part of the ttl that clocks may be wrong by."""
_KEEPALIVES: Final = 3
"""How many keepalives go into a ttl."""


class Tenure:
    """One lease. It is counted from when the last answered keepalive was sent: nobody knows when it arrived."""

    def __init__(self, ttl: float, sent: float) -> None:
        """The lease was granted to a request sent at `sent`."""
        self._ttl = ttl
        self._failures = 0
        self._due = sent + self.interval
        self._ends = sent + ttl * (1 - MARGIN)
        self._is_over = False

    @property
    def interval(self) -> float:
        """How long after a keepalive the next is sent."""
        return self._ttl / _KEEPALIVES

    @property
    def margin(self) -> float:
        """How long after its loss the lease may live still, whatever the clocks."""
        return self._ttl * MARGIN

    def kept(self, sent: float) -> None:
        """Count anew: a keepalive sent at `sent` was answered."""
        self._failures = 0
        self._due = max(self._due, sent + self.interval)
        self._ends = max(self._ends, sent + self._ttl * (1 - MARGIN))

    def failed(self, now: float) -> None:
        """Try again soon: a keepalive was not answered."""
        self._due = now + min(growing_pause(self._failures), self.interval)
        self._failures += 1

    def end(self) -> None:
        """The cluster says that the lease has ended."""
        self._is_over = True

    def until_due(self, now: float) -> float:
        """How long until the next keepalive is to be sent."""
        return max(0.0, self._due - now)

    def until_lost(self, now: float) -> float:
        """How long the lease is certain to live. A lease that was lost stays so."""
        if now >= self._ends:
            self._is_over = True
        return 0.0 if self._is_over else self._ends - now
