"""The handshake of two nodes: each says who it is and whom it takes the other for, and each checks every field.

Two clusters that meet by mistake refuse each other. A folder that was wiped, replaced, rolled back or copied is
refused too: it may have forgotten votes, or two processes may vote for it, and either could elect two leaders.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trioraft.raft.membership import Formation
from trioraft.raft.messages import NodeId
from trioraft.wire.peers import PeerHello, PeerRefused

PROTOCOL: Final = (2, 2)
"""The lowest and highest version of the protocol between peers that this program speaks."""


class Acknowledged(msgspec.Struct, frozen=True):
    """Up to which entry a leader of `term` knows that a peer has synced. A later leader may have had the log cut."""

    term: int
    index: int


class Contradiction(msgspec.Struct, frozen=True):
    """Why a folder cannot be the one that was known before: a word for programs, and words for people."""

    reason: str
    message: str


class Evidence:
    """The starts and processes that this node has seen of its peers' folders, which expose older copies."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, str]] = {}

    def contradicts(self, hello: PeerHello, known: Acknowledged) -> Contradiction | None:
        """Say why the folder cannot be the one known before, or None. `known` must be older than the hello."""
        acknowledged = known.index if hello.term <= known.term else 0
        starts, incarnation = self._seen.get(hello.folder, (0, ""))
        if hello.starts < starts:
            seen = f"its folder was started {hello.starts} times, and has been seen with {starts}: it is an older copy"
            return Contradiction("older_copy", seen)
        if hello.starts == starts and hello.incarnation != incarnation:
            return Contradiction("two_processes", "another process runs, or ran, on a copy of the same folder")
        if hello.last_index < acknowledged:
            return Contradiction(
                "older_copy",
                f"its log ends at {hello.last_index}, and it had acknowledged {acknowledged}: it is an older copy, "
                "or the end of its log was damaged and is cut, which it then said at its start",
            )
        return None

    def remember(self, hello: PeerHello) -> None:
        """Note that the peer was accepted with this hello."""
        self._seen[hello.folder] = (hello.starts, hello.incarnation)


def refusal(hello: PeerHello, mine: PeerHello, contradiction: Contradiction | None) -> PeerRefused | None:
    """Say why the peer must not be heard, or None. `mine` is this node's own introduction to it."""
    if hello.protocol[0] > mine.protocol[1] or hello.protocol[1] < mine.protocol[0]:
        return PeerRefused(
            "bad_request",
            f"the peers' protocol: node {mine.sender} speaks {_range(mine)}, node {hello.sender} {_range(hello)}",
            "upgrade the older one",
            reason="protocol",
        )
    if hello.receiver != mine.sender or hello.sender != mine.receiver:
        return PeerRefused(
            "membership",
            f"this is node {mine.sender}, and not the node {hello.receiver} that node {hello.sender} looks for",
            "compare servers.txt on both machines, and the INDEX that each node was started with",
            reason="wrong_node",
        )
    if (stranger := _stranger(hello, mine)) is not None:
        return stranger
    # The folder's owner comes first: an emptied folder would also contradict what was seen of the one before.
    if (other := _other_folder(hello, mine)) is not None:
        return other
    if contradiction is not None:
        return PeerRefused(
            "membership",
            f"node {hello.sender} is refused: {contradiction.message}",
            _FOLDER_HINT.format(hello.sender),
            reason=contradiction.reason,
        )
    return _too_old(hello, mine) or _too_old(mine, hello)


def _too_old(one: PeerHello, other: PeerHello) -> PeerRefused | None:
    """Refuse a connection where `one` does not know what the other's cluster has come to use."""
    if one.level >= other.cluster_level:
        return None
    return PeerRefused(
        "needs_upgrade",
        f"the cluster is at level {other.cluster_level}, and node {one.sender} knows no level above {one.level}",
        f"upgrade node {one.sender}",
        reason="needs_upgrade",
    )


def _other_folder(hello: PeerHello, mine: PeerHello) -> PeerRefused | None:
    """Refuse a peer whose folder belongs to another cluster, or is not the one that the cluster knows of it."""
    if mine.formation is None and hello.formation is None:
        return None  # both wait for the cluster to form
    if mine.formation is None or hello.formation is None:
        formed, other = (mine, hello) if hello.formation is None else (hello, mine)
        assert formed.formation is not None
        return _folder_refusal(formed.formation, other.sender, other.folder, other.servers)
    if hello.cluster != mine.cluster:
        return _of_another_cluster(hello, mine)
    return _folder_refusal(mine.formation, hello.sender, hello.folder, hello.servers)


def _stranger(hello: PeerHello, mine: PeerHello) -> PeerRefused | None:
    """Refuse a node that is no member here: a stranger could lead this node wherever it likes."""
    node = hello.sender
    known = node != mine.sender
    if mine.formation is None:
        # A node that waits for its cluster hears every member of a formed one: they may tell it that it belongs there.
        known = known and (hello.formation is not None or (node < len(mine.servers) and mine.servers[node] != "-"))
    elif known and mine.formation.configuration.member(node) is None:
        if hello.cluster == mine.cluster and node < mine.formation.configuration.next_id:
            return PeerRefused(
                "membership",
                f"node {node} has been removed from the cluster",
                "stop it; to take its machine in again, empty its folder, say 'trioraft members add ADDRESS', "
                "and start it with the id that it gets",
                mine,
                "removed",
            )
        known = hello.cluster == mine.cluster  # this node may not have heard yet that the peer was taken in
    if known:
        return None
    if mine.formation is not None and hello.formation is not None and hello.cluster != mine.cluster:
        return _of_another_cluster(hello, mine)
    return PeerRefused(
        "membership",
        f"node {node} is no member of the cluster of node {mine.sender}",
        "compare servers.txt on both machines, and the INDEX that each node was started with; "
        "'trioraft members add ADDRESS' takes in a new one",
        reason="stranger",
    )


def _of_another_cluster(hello: PeerHello, mine: PeerHello) -> PeerRefused:
    node = hello.sender
    return PeerRefused(
        "membership",
        f"the data folder of node {node} belongs to cluster {hello.cluster}, and that of node {mine.sender} to "
        f"{mine.cluster}",
        f"if node {mine.sender} was made by 'trioraft recover' or 'restore', stop node {node}: its machine is taken in "
        "with an empty folder, by 'trioraft members add ADDRESS'. Else two clusters share an address: compare "
        "servers.txt on both machines",
        reason="other_cluster",
    )


def _folder_refusal(formation: Formation, node: NodeId, folder: str, servers: list[str]) -> PeerRefused | None:
    """Refuse a member that comes with another folder than its own, or with another address than it was taken in at."""
    member = formation.configuration.member(node)
    if member is not None and not member.folder and servers[node : node + 1] != [member.address]:
        return PeerRefused(
            "membership",
            f"node {node} was taken in at {member.address}, and its own servers.txt has it elsewhere",
            f"put {member.address} in line {node} of its servers.txt, counted from 0",
            reason="moved",
        )
    if member is None or not member.folder or member.folder == folder:
        return None  # a newcomer's folder is bound to it once it has introduced itself
    return PeerRefused(
        "membership",
        f"node {node} comes with data folder {folder}, but belongs to the cluster with folder {member.folder}: "
        "its folder was emptied or replaced, and with it the votes that it gave",
        _FOLDER_HINT.format(node),
        reason="other_folder",
    )


_FOLDER_HINT: Final = (
    "start it with its own folder, as it last was: an older copy could elect two leaders. If that is lost or damaged, "
    "say 'trioraft members remove {0}' and 'trioraft members add ADDRESS', and start it with the new id and an "
    "empty folder"
)


def _range(hello: PeerHello) -> str:
    low, high = hello.protocol
    return f"{low}" if low == high else f"{low} to {high}"
