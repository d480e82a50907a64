"""Answers about the node itself, given by any node, with or without a leader."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import accumulate, chain, takewhile
from typing import Any, Final, Protocol

import trioraft
from trioraft.cluster.formation import Assembly
from trioraft.cluster.handshake import PROTOCOL
from trioraft.cluster.startup import Recovered, point_of
from trioraft.machine import contents, counted
from trioraft.raft import quorum
from trioraft.raft.core import Core
from trioraft.raft.log import Log
from trioraft.raft.membership import Configuration, Formation, Member
from trioraft.raft.messages import InstallSnapshot, NodeId
from trioraft.replica import metrics
from trioraft.replica.failures import internal_reply
from trioraft.replica.introductions import Introductions
from trioraft.replica.levels import Levels
from trioraft.replica.ports import FaultRefused, FaultSwitch
from trioraft.replica.reckoning import MAX_LOG_BYTES
from trioraft.replica.removal import Removal
from trioraft.replica.slots import ReadSlot
from trioraft.storage.errors import MORE_FILES, NO_ROOM, TOO_MANY_FILES, describe
from trioraft.storage.folder import DataFolder
from trioraft.storage.snapshots import Snapshot
from trioraft.wire import replies
from trioraft.wire.operations import (
    Fault,
    Hello,
    Help,
    HelpInWords,
    Members,
    Metrics,
    Ping,
    ReadSnapshot,
    ShowLog,
    Status,
    described,
    help_text,
)
from trioraft.wire.replies import Reply
from trioraft.wire.table import Request

log = logging.getLogger("trioraft.node")


class Node(metrics.Node, Protocol):
    """What the answers are about."""

    removal: Removal
    levels: Levels
    folder: DataFolder
    introductions: Introductions
    faults: FaultSwitch | None

    @property
    def assembly(self) -> Assembly | None:
        """The forming of the cluster, while that is under way."""

    @property
    def cluster(self) -> str:
        """The id of its cluster; empty before that has formed."""

    @property
    def members(self) -> Sequence[Member]:
        """Those in force."""

    @property
    def is_removed(self) -> bool:
        """Whether this node knows that it is a member no more, and knows no leader."""


def local_reply(node: Node, slot: ReadSlot) -> Reply:
    """The reply to a request that needs no other node."""
    return _ANSWERS[slot.operation.request](node, slot.id, slot.request)


def snapshot_reply(id: bytes, snapshot: Snapshot | Exception) -> bytes:
    """The reply to who asked for a snapshot: the one that there is now, or why there is none."""
    if isinstance(snapshot, OSError):
        return _disk_failed(id, "the snapshot could not be written", snapshot)
    if isinstance(snapshot, Exception):
        return internal_reply(id, None, snapshot)
    header = snapshot.header
    fields: dict[str, object] = {
        "index": header.last_included_index,
        **counted(header.sections),
        "bytes": snapshot.size,
    }
    return replies.object_reply(id, fields)


def _piece(node: Node, id: bytes, request: ReadSnapshot) -> bytes:
    newest = node.snapshots.newest if node.snapshots is not None else None
    if newest is None or newest.header.last_included_index != request.index:
        why = f"the snapshot up to entry {request.index} is not there, or not any more"
        return replies.error_reply(id, "compacted", why, "ask for 'snapshot', and read that one", None)
    point = point_of(newest)
    assert node.snapshots is not None
    try:
        piece = node.snapshots.fill(InstallSnapshot(0, point.index, point.term, request.offset))
    except OSError as error:
        return _disk_failed(id, "the snapshot cannot be read", error)
    assert piece is not None  # it is the newest
    try:
        data = piece.data.decode()
    except UnicodeDecodeError:
        why = f"'offset' {request.offset} is in the middle of a character of the snapshot"
        return replies.error_reply(id, "bad_request", why, "begin at 0, and go on where the last piece ended", None)
    return replies.object_reply(id, {"data": data, "done": piece.done, "size": newest.size})


def _disk_failed(id: bytes, what: str, error: OSError) -> bytes:
    if error.errno in NO_ROOM:
        return replies.error_reply(id, "no_space", f"{what}: {describe(error)}", "make room on the node's disk", None)
    hint = MORE_FILES if error.errno in TOO_MANY_FILES else "see to the node's disk, or ask another node"
    return replies.error_reply(id, "internal", f"{what}: {describe(error)}", hint, None)


def _members(node: Node) -> dict[str, object]:
    """The members, and of each what this node knows: as leader it knows how far they are."""
    core = node.core
    configuration = _committed(node)
    rows: list[dict[str, object]] = []
    for member in configuration.members:
        row: dict[str, object] = {"id": member.id, "address": member.address, "role": member.role}
        if member.promote:
            row["promote"] = True
        progress = core.progress.get(member.id)
        if member.id == node.node:
            row |= {"match_index": core.durable_index, "live": True}
        elif progress is not None:
            if progress.match_index or progress.live:  # else this leader has not heard of it yet
                row["match_index"] = progress.match_index
            if progress.live or progress.silent:
                row["live"] = progress.live
        if core.leader == member.id:
            row["leader"] = True
        rows.append(row)
    voters = configuration.voters
    reply: dict[str, object] = {"members": rows, "next_id": configuration.next_id, "voters": len(voters)}
    if core.role == "leader":
        reply["can_lose"] = _can_lose(core, voters)
    if node.is_removed:
        reply["removed"] = True
    return reply


def _committed(node: Node) -> Configuration:
    """The members, without what may yet be undone; of a removed node as it was told of them."""
    if node.is_removed and node.removal.configuration is not None:
        return node.removal.configuration
    return node.core.configuration_at(node.core.commit_index)[1]


def _can_lose(core: Core, voters: Sequence[NodeId]) -> int:
    """How many more of the voters may fail, counting those that live, as this leader knows."""
    heard = {peer for peer, progress in core.progress.items() if progress.live}
    live = [voter for voter in voters if voter == core.node or voter in heard]
    return max(0, len(live) - quorum.majority(len(voters)))


def why_no_leader(node: Node) -> tuple[str, str]:
    """Why this node knows no leader, and what to do, for a person."""
    if node.assembly is not None:
        waiting = ", ".join(node.assembly.waiting_for.values()) or "the others to agree"
        hint = "start every node of servers.txt: a cluster forms once all of them are up together"
        return f"the cluster has not formed yet: waiting for {waiting}", hint
    if node.is_removed:
        others = " or ".join(member.address for member in _committed(node).members)
        return f"node {node.node} has been removed from the cluster", f"ask a member: {others}"
    hint = "see which nodes answer with 'status'; a majority must be up"
    return "no leader is known: no majority of the nodes answers", hint


def say_role(core: Core) -> None:
    """Say in the log what this node is now, and whom it follows."""
    if core.role == "leader":
        votes = ", ".join(str(voter) for voter in core.votes)
        log.info("node %d leads in term %d, with the votes of %s", core.node, core.term, votes)
    elif core.leader is not None:
        log.info("node %d follows node %d in term %d", core.node, core.leader, core.term)
    elif core.role == "candidate":
        log.info("node %d stands for leader in term %d", core.node, core.term)


def say_recovered(formation: Formation, recovered: Recovered) -> None:
    """Say in the log what the folder of a formed node held."""
    for notice in recovered.notices:
        log.warning("%s", notice, extra={"about": notice})
    index = recovered.point.index
    snapshot = f"a snapshot of {contents(recovered.machine.sections)} up to entry {index} and " if index else ""
    entries = "1 entry" if len(recovered.entries) == 1 else f"{len(recovered.entries)} entries"
    found = f"{snapshot}a log of {entries}, term {recovered.hard_state.term}"
    log.info("cluster %s: recovered %s", formation.cluster, found)


def _status(node: Node) -> dict[str, object]:
    core = node.core
    leader = None if core.leader is None else core.configuration.member(core.leader)
    status: dict[str, object] = {
        "node": node.node,
        "role": _role(node),
        "term": core.term,
        "leader": core.leader,
        "leader_address": leader.address if leader else None,
        "commit_index": core.commit_index,
        "last_applied": core.last_applied,
        "first_index": core.log.first_index,
        "last_index": core.last_index,
        "at": core.last_applied,
        "members": _committed(node).members if node.is_removed else node.members,
        **_levels(node),
        "cluster": node.cluster or None,
        "folder": node.folder.id,
        "servers": node.introductions.servers,
        "troubles": node.introductions.troubles.present,
    }
    if node.assembly is not None:
        status["waiting_for"] = list(node.assembly.waiting_for.values())
    return status


def _reported(node: Node) -> dict[str, object]:
    """The figures that other answers give too."""
    core = node.core
    tolerance = _can_lose(core, _committed(node).voters) if core.role == "leader" else None
    return {"role": _role(node), "failure_tolerance": tolerance, **_levels(node)}


def _role(node: Node) -> str:
    if node.assembly is not None:
        return "unformed"
    return "removed" if node.is_removed else node.core.role


def _show_log(node: Node, id: bytes, request: ShowLog) -> Reply:
    core = node.core
    first = request.from_ if request.from_ is not None else _first_of_newest(core.log, request.limit)
    first = max(first, core.log.first_index)
    entries = core.log.slice_bytes(first, MAX_LOG_BYTES)[: request.limit]
    more = first + len(entries) <= core.last_index
    return replies.log_reply(id, entries, core.commit_index, core.last_applied, more)


def _first_of_newest(log: Log, limit: int) -> int:
    """The index from which on there are so many entries, or as many as fit in one reply."""
    runs = log.slice(log.last_index - limit + 1, log.last_index).runs
    sizes = chain.from_iterable(reversed(run.sizes) for run in reversed(runs))
    fitting = sum(1 for _ in takewhile(lambda size: size <= MAX_LOG_BYTES, accumulate(sizes)))
    return max(1, log.last_index - max(1, fitting) + 1)


def _help(node: Node, id: bytes, request: Help | HelpInWords) -> Reply:  # noqa: ARG001
    return help_text().encode() if request.as_text else replies.object_reply(id, {"operations": described()})


def _hello(node: Node) -> dict[str, object]:
    return {"version": trioraft.__version__, "node": node.node, "protocol": list(PROTOCOL), **_levels(node)}


def _levels(node: Node) -> dict[str, object]:
    return {
        "level": node.levels.applied if node.assembly is None else None,
        "supported_level": node.levels.supported,
    }


def _fault(node: Node, id: bytes, request: Fault) -> bytes:
    if node.faults is None:
        why = f"node {node.node} was started without --allow-faults, and breaks nothing on command"
        return replies.error_reply(id, "bad_request", why, "start the nodes with --allow-faults", None)
    try:
        rows = node.faults.obey(request, node.introductions.addresses)
    except FaultRefused as error:
        return replies.error_reply(id, "bad_request", error.message, error.hint, None)
    return replies.object_reply(id, {"node": node.node, "faults": rows})


_ANSWERS: Final[dict[type[Request], Callable[[Node, bytes, Any], Reply]]] = {
    Status: lambda node, id, _: replies.object_reply(id, _status(node)),
    Metrics: lambda node, id, _: replies.object_reply(id, metrics.metrics(node, _reported(node))),
    ShowLog: _show_log,
    ReadSnapshot: _piece,
    Members: lambda node, id, _: replies.object_reply(id, _members(node)),
    Ping: lambda _, id, __: replies.object_reply(id, {}),
    Help: _help,
    Hello: lambda node, id, _: replies.object_reply(id, _hello(node)),
    Fault: _fault,
}
"""By operation: its answer."""
