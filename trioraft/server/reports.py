"""Answers about the node itself, given by any node, with or without a leader."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trioraft
from trioraft.raft.log import Log
from trioraft.server.handshake import PROTOCOL
from trioraft.server.requests import MAX_LOG_BYTES
from trioraft.server.session import ReadSlot
from trioraft.wire import replies
from trioraft.wire.operations import help_text, operations
from trioraft.wire.requests import Hello, Help, Ping, ShowLog, Status

if TYPE_CHECKING:
    from trioraft.server.driver import Driver


def local_reply(node: Driver, slot: ReadSlot) -> bytes:
    """The reply to a request that needs no other node."""
    match slot.request:
        case Status():
            return replies.object_reply(slot.id, _status(node))
        case ShowLog() as request:
            return _show_log(node, slot.id, request)
        case Ping():
            return replies.object_reply(slot.id, {})
        case Help(words=True):
            return help_text().encode()
        case Help():
            return replies.object_reply(slot.id, {"operations": operations()})
        case Hello():
            return replies.object_reply(
                slot.id, {"version": trioraft.__version__, "node": node.node, "protocol": list(PROTOCOL)}
            )
    raise TypeError(f"{slot.request!r} is not answered locally")


def _status(node: Driver) -> dict[str, object]:
    core = node.core
    leader = None if core.leader is None else core.configuration.member(core.leader)
    status: dict[str, object] = {
        "node": node.node,
        "role": core.role,
        "term": core.term,
        "leader": core.leader,
        "leader_address": leader.address if leader else None,
        "commit_index": core.commit_index,
        "last_applied": core.last_applied,
        "first_index": core.log.first_index,
        "last_index": core.last_index,
        "members": node.members,
    }
    if node.assembly is not None:
        status["waiting_for"] = list(node.assembly.waiting_for.values())
    return status


def _show_log(node: Driver, id: bytes, request: ShowLog) -> bytes:
    core = node.core
    first = request.from_ if request.from_ is not None else _first_of_newest(core.log, request.limit)
    first = max(first, core.log.first_index)
    entries = core.log.slice_bytes(first, MAX_LOG_BYTES)[0][: request.limit]
    more = first + len(entries) <= core.last_index
    return replies.log_reply(id, entries, core.commit_index, core.last_applied, more)


def _first_of_newest(log: Log, limit: int) -> int:
    """The index from which on there are so many entries, or as many as fit in one reply."""
    first, size = log.last_index, 0
    for index in range(log.last_index, max(log.base_index, log.last_index - limit), -1):
        size += len(log.entry(index).line)
        if size > MAX_LOG_BYTES:
            break
        first = index
    return max(1, first)
