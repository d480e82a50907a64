"""The bounds of the store, and the types of fields that they bound. Lengths of texts count characters here."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

MAX_KEY_BYTES: Final = 1024
"""The longest key, prefix or name of a lock, in UTF-8."""
MAX_INTEGER: Final = 2**63 - 1
"""The largest revision, and the largest absolute value that is counted to."""
MAX_LEASES: Final = 100_000
MAX_KEYS_A_LEASE: Final = 10_000
MAX_LOCKS_A_LEASE: Final = 10_000
"""The most locks that a lease may hold or wait for."""
MAX_WAITERS: Final = 10_000
"""The most leases that may wait for a lock."""
MAX_CHECKS: Final = 128
MAX_OPERATIONS: Final = 128
"""The most operations in a branch of a transaction."""
HISTORY_CHANGES: Final = 100_000
"""How many changes of keys the history holds, unless the cluster is set otherwise,"""
HISTORY_BYTES: Final = 16 * 1024 * 1024
"""and how many bytes of keys and values."""

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY_BYTES)]
Prefix = Annotated[str, msgspec.Meta(max_length=MAX_KEY_BYTES)]
Revision = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
Step = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
"""What is added to an integer."""
Index = Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]
"""The index of an entry: a lease or a fence."""
