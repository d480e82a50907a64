"""About how many bytes a reply will have, before it is made: so much counts for it until it is sent.

What is made is then counted as it is (`Session.outgrown`): what matters here is that a client which does not read is
not made many large replies at once.
"""

from __future__ import annotations

from typing import Final

from trioraft.kv.store import Store
from trioraft.raft.core import Core
from trioraft.replica.session import MAX_UNANSWERED_BYTES
from trioraft.wire.requests import AnyRequest, Get, Members, PlainGet, ReadSnapshot, Scan, ShowLog, Status

MAX_SCAN_BYTES: Final = 1024 * 1024
MAX_LOG_BYTES: Final = 1024 * 1024
MAX_SCAN_ITEM_BYTES: Final = 6 * 1024
"""What is reckoned for an item of a scan: a key, a value that is copied, and what is around them."""
SMALL_REPLY_BYTES: Final = 1024
"""What is reckoned for a reply about the node itself,"""
MEMBER_BYTES: Final = 512
"""and for each member that it names."""


def reckoned(request: AnyRequest, store: Store, core: Core) -> int:
    """About how many bytes the reply to a request that changes nothing will have, as things are now."""
    if isinstance(request, (PlainGet, Get)):
        return store.value_size(request.key)
    if isinstance(request, Scan):
        return min(MAX_SCAN_BYTES, request.limit * MAX_SCAN_ITEM_BYTES)
    if isinstance(request, ShowLog):
        first = core.last_index if request.from_ is None else max(request.from_, core.log.first_index)
        return max(MAX_LOG_BYTES, core.log.run_size(first))
    if isinstance(request, ReadSnapshot):
        return MAX_UNANSWERED_BYTES  # one at a time: a line of a snapshot may be long
    if isinstance(request, (Members, Status)):
        return SMALL_REPLY_BYTES + MEMBER_BYTES * len(core.configuration.members)
    return SMALL_REPLY_BYTES
