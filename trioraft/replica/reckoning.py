"""About how many bytes a reply will have, before it is made: so much counts for it until it is sent.

What is made is then counted as it is (`Session.outgrown`): what matters here is that a client which does not read is
not made many large replies at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from trioraft.machine import Machine
from trioraft.raft.core import Core
from trioraft.replica.session import MAX_UNANSWERED_BYTES
from trioraft.wire.operations import Help, HelpInWords, Leases, Members, Metrics, ReadSnapshot, ShowLog, Status
from trioraft.wire.table import Operation, Request

MAX_LOG_BYTES: Final = 1024 * 1024
SMALL_REPLY_BYTES: Final = 1024
"""What is reckoned for a reply about the node itself,"""
MEMBER_BYTES: Final = 512
"""and for each member that it names."""
FIGURES_BYTES: Final = 2 * 1024
"""What is reckoned for a node's figures beside those of its members."""
HELP_BYTES: Final = 8 * 1024
"""What is reckoned for the list of operations."""
LEASE_BYTES: Final = 80
"""What is reckoned for each lease that may be listed."""


def reckoned(operation: Operation, requests: Sequence[Any], machine: Machine, core: Core) -> int:
    """About how many bytes the replies to requests that change nothing will have, as things are now."""
    if operation.query is not None:
        return sum(map(machine.size_of, map(operation.query, requests)))
    size = _SIZES.get(operation.request)
    return sum([SMALL_REPLY_BYTES if size is None else size(request, core) for request in requests])


def _log_size(request: ShowLog, core: Core) -> int:
    first = core.last_index if request.from_ is None else max(request.from_, core.log.first_index)
    return max(MAX_LOG_BYTES, core.log.run_size(first))


def _piece_size(request: ReadSnapshot, core: Core) -> int:  # noqa: ARG001
    return MAX_UNANSWERED_BYTES  # one at a time: a line of a snapshot may be long


def _leases_size(request: Leases, core: Core) -> int:  # noqa: ARG001
    return LEASE_BYTES * request.limit


def _members_size(request: Members | Status, core: Core) -> int:  # noqa: ARG001
    return SMALL_REPLY_BYTES + MEMBER_BYTES * len(core.configuration.members)


def _figures_size(request: Metrics, core: Core) -> int:  # noqa: ARG001
    return FIGURES_BYTES + MEMBER_BYTES * len(core.configuration.members)


def _help_size(request: Help | HelpInWords, core: Core) -> int:  # noqa: ARG001
    return HELP_BYTES


_SIZES: Final[dict[type[Request], Callable[[Any, Core], int]]] = {
    ShowLog: _log_size,
    ReadSnapshot: _piece_size,
    Leases: _leases_size,
    Members: _members_size,
    Metrics: _figures_size,
    Status: _members_size,
    Help: _help_size,
    HelpInWords: _help_size,
}
"""By operation: how many bytes a reply will have, where that is not little."""
