"""The settings of the core."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True):
    """The core's settings. Times are in ticks, sizes in bytes."""

    election_ticks: int = 50
    """The shortest time without a leader before a campaign; it is drawn anew each time, up to twice this (§5.2)."""
    heartbeat_ticks: int = 10
    lost_ticks: int = 5
    """The longest wait before a campaign when the leader's process is dead."""
    max_append_bytes: int = 512 * 1024
    max_inflight: int = 64
    """The number of AppendEntries with entries that may be on their way to one peer."""
    max_inflight_bytes: int = 8 * 1024 * 1024
    max_uncommitted_bytes: int = 64 * 1024 * 1024

    @property
    def most_ticks(self) -> int:
        """The most ticks that may pass at once: a node that stood still reads what came before it judges others."""
        return max(1, self.election_ticks * 3 // 10)
