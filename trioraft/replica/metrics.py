"""A node's figures: those of its replica, and those of the process around it.

Each has the name under which monitoring is to know it. A figure that this node does not know is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import trioraft
from trioraft.machine import Machine, counted
from trioraft.raft.core import Core
from trioraft.raft.messages import NodeId
from trioraft.replica.lock_waits import LockWait
from trioraft.replica.ports import TICK_MS, Peers, Vitals
from trioraft.replica.requests import Requests
from trioraft.replica.snapshots import Snapshots
from trioraft.storage.folder import DataFolder


class Node(Protocol):
    """What the figures are about."""

    node: NodeId
    core: Core
    machine: Machine
    requests: Requests
    peers: Peers
    folder: DataFolder
    vitals: Vitals | None
    leader_changes: int

    @property
    def snapshots(self) -> Snapshots | None:
        """None before the cluster has formed."""


def metrics(node: Node, reported: Mapping[str, object]) -> dict[str, object]:
    """The figures; `reported` are those that other answers about the node give too."""
    figures: dict[str, object] = {
        "node": node.node,
        "version": trioraft.__version__,
        "data_dir": node.folder.disk.name,
        **reported,
        **_of_raft(node.core),
        "leader_changes_total": node.leader_changes,
        **_of_requests(node.requests),
        **counted(node.machine.sections),
        **_of_files(node.snapshots),
        **_of_peers(node),
        **({} if node.vitals is None else node.vitals.figures()),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def _of_raft(core: Core) -> dict[str, object]:
    silent = core.silent_ticks
    return {
        "term": core.term,
        "has_leader": core.leader is not None,
        "is_leader": core.role == "leader",
        "leader": core.leader,
        "leader_heard_ms": None if silent is None else silent * TICK_MS,
        "commit_index": core.commit_index,
        "last_applied": core.last_applied,
        "first_index": core.log.first_index,
        "last_index": core.last_index,
        "proposals_pending": core.last_index - core.commit_index,
    }


def _of_requests(requests: Requests) -> dict[str, object]:
    fan_out = requests.subscriptions.fan_out
    waiting = fan_out.counts[LockWait]
    return {
        "writes_total": requests.proposals.total,
        "reads_total": requests.reads.total,
        "watches": len(fan_out.opened) - waiting,
        "locks_waiting": waiting,
    }


def _of_files(snapshots: Snapshots | None) -> dict[str, object]:
    if snapshots is None:
        return {}
    newest = snapshots.newest
    return {
        "log_bytes": snapshots.log_bytes,
        "snapshot_index": None if newest is None else newest.header.last_included_index,
        "snapshot_bytes": None if newest is None else newest.size,
    }


def _of_peers(node: Node) -> dict[str, object]:
    """Whom this node is connected to; and as leader how far each is behind, and when it was heard last."""
    core = node.core
    others = [member.id for member in core.configuration.members if member.id != node.node]
    linked: dict[str, object] = {"peers_linked": [peer for peer in others if node.peers.linked(peer)]}
    if core.role != "leader":
        return linked
    progress = {str(peer): one for peer, one in core.progress.items()}
    heard = {peer: one.silent_ticks * TICK_MS for peer, one in progress.items() if one.match_index or one.live}
    lag = {peer: core.last_index - one.match_index for peer, one in progress.items() if peer in heard}
    return {**linked, "peer_lag_entries": lag, "peer_heard_ms": heard}
