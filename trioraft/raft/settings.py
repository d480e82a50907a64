"""The numbers that a node of Raft runs by."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True):
    """The core's numbers. Times are in ticks, sizes in bytes."""

    election_ticks: int = 50
    """The least time without a leader before a campaign; the most is twice that, drawn anew each time (§5.2)."""
    heartbeat_ticks: int = 10
    lost_ticks: int = 5
    """The longest wait before a campaign when the leader's process is known to be dead."""
    max_append_bytes: int = 512 * 1024
    max_inflight: int = 64
    """AppendEntries with entries on their way to one peer."""
    max_inflight_bytes: int = 8 * 1024 * 1024
    max_uncommitted_bytes: int = 64 * 1024 * 1024
