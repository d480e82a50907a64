"""The state of the whole cluster: every node asked for its own, at the same time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any

import msgspec

from trioraft.addresses import Address
from trioraft.background import in_background
from trioraft.client import Client, ClientError, Reply
from trioraft.wire.codec import decode
from trioraft_cli import render, where
from trioraft_cli.membership import Member
from trioraft_cli.outcomes import NO_NODE, NOT_NOW
from trioraft_cli.streams import say

ASK_SECONDS = 1.0
COLUMNS = ["NODE#", "ADDRESS", "ROLE", "TERM#", "COMMIT#", "APPLIED#", "LAG#", "LOG"]


class NodeStatus(msgspec.Struct):
    """One node's answer to `status`."""

    node: int
    role: str
    term: int
    leader: int | None
    commit_index: int
    last_applied: int
    first_index: int
    last_index: int
    members: list[Member]
    servers: list[str] = []
    """The lines of its servers.txt."""
    waiting_for: list[str] | None = None
    """Of a node of no cluster yet: which nodes, and why."""

    @property
    def known(self) -> dict[int, str]:
        """The addresses of the nodes that it knows, by id: the members, or those that are to form a cluster."""
        if self.waiting_for is not None:
            return {node: line for node, line in enumerate(self.servers) if line != "-"}
        return {member.id: member.address for member in self.members}


class ClusterStatus:
    """The nodes' answers to `status`, by address, and why the others gave none."""

    def __init__(self, known: Sequence[Address], down: Mapping[Address, str] | None = None) -> None:
        """Ask the known nodes, and those that they know; those of `down` are known to be killed or paused."""
        self.replies: dict[Address, Reply] = {}
        self.failures: dict[Address, str] = {}
        self._down = down or {}
        self._ask([address for address in known if address not in self._down])
        members = [member for status in self.statuses.values() for member in status.members]
        told = set(where.of_members({member.id: member.address for member in members}).values())
        self._ask(told - {*self.replies, *self.failures, *self._down})

    @property
    def statuses(self) -> dict[Address, NodeStatus]:
        """The answers, by address."""
        return {address: decode(reply.line, NodeStatus) for address, reply in self.replies.items()}

    @property
    def has_leader(self) -> bool:
        """Whether a leader has a quorum."""
        return has_leader(self.statuses.values())

    def rows(self) -> list[list[str]]:
        """One row a node, by number: who, where, role, term, commit, applied, lag, log.

        Nodes whose number is unknown come last.
        """
        statuses = self.statuses
        ids = {member.address: member.id for status in statuses.values() for member in status.members}
        commit = max((status.commit_index for status in statuses.values()), default=0)
        rows: list[tuple[float, list[str]]] = []
        for address, status in statuses.items():
            cells = [
                str(status.node),
                str(address),
                status.role if status.waiting_for is None else "not formed",
                str(status.term),
                str(status.commit_index),
                str(status.last_applied),
                str(commit - status.last_applied),
                f"{status.first_index}..{status.last_index}" if status.last_index else "empty",
            ]
            rows.append((status.node, cells))
        failures = {address: f"no answer: {failure}" for address, failure in self.failures.items()}
        for address, why in {**failures, **self._down}.items():
            number = ids.get(str(address))
            cells = ["?" if number is None else str(number), str(address), why, *["-"] * 5]
            rows.append((inf if number is None else number, cells))
        return [cells for _, cells in sorted(rows, key=lambda row: row[0])]

    def _ask(self, addresses: Sequence[Address] | set[Address]) -> None:
        for address, asked in [(address, in_background(partial(_ask_one, address))) for address in addresses]:
            answer = asked.result()
            if isinstance(answer, Reply):
                self.replies[address] = answer
            else:
                self.failures[address] = answer


def has_leader(statuses: Collection[NodeStatus]) -> bool:
    """Whether a leader has a quorum."""
    return leading(statuses) is not None


def leading(statuses: Collection[NodeStatus]) -> NodeStatus | None:
    """The leader that has a quorum, of nodes that hear each other: it leads, and a majority of the voters follow it."""
    for leader in statuses:
        if leader.role == "leader":
            voters = {member.id for member in leader.members if member.role == "voter"}
            following = {s.node for s in statuses if s.leader == leader.node and s.term == leader.term}
            if len(voters & following) > len(voters) // 2:
                return leader
    return None


def remarks(statuses: Mapping[Address, NodeStatus]) -> list[str]:
    """What there is to say of these nodes: why no writes are taken, and which belong to no cluster yet."""
    if not statuses:
        return ["no node answers"]
    unformed = {address: status for address, status in statuses.items() if status.waiting_for is not None}
    if len(unformed) == len(statuses):
        reasons = dict.fromkeys(reason for status in unformed.values() for reason in status.waiting_for or ())
        return [f"the cluster has not formed yet: {_waiting_for(reasons)}"]
    said = [
        f"node {status.node} at {address} belongs to no cluster yet: {_waiting_for(status.waiting_for or ())}"
        for address, status in unformed.items()
    ]
    said += [
        f"node {status.node} at {address} has been removed from the cluster: stop it, and put '-' in its line of "
        "servers.txt"
        for address, status in statuses.items()
        if status.role == "removed"
    ]
    if not has_leader(statuses.values()):
        said.append("no leader has a majority: writes are not taken now")
    return said


def show_status(cluster: ClusterStatus) -> int:
    """Print a table of the nodes, and what is not as it should be; the exit code."""
    render.show("", COLUMNS, cluster.rows())
    return judge(cluster)


def judge(cluster: ClusterStatus) -> int:
    """Say what is not as it should be; the exit code, 0 while writes are taken."""
    for remark in remarks(cluster.statuses):
        say(remark)
    if not cluster.replies:
        return NO_NODE
    return 0 if cluster.has_leader else NOT_NOW


def _waiting_for(reasons: Iterable[str]) -> str:
    return f"waiting for {'; '.join(reasons) or 'the nodes to agree'}"


def ask_node(address: Address, requests: Sequence[dict[str, Any]]) -> list[Reply] | str:
    """Ask one node all that at once: its replies, errors among them, or why there are none."""
    with Client([address], timeout=ASK_SECONDS) as client:
        try:
            return client.pipeline(requests)
        except ClientError as error:
            return in_few_words(error)


def in_few_words(error: ClientError) -> str:
    """Why one node, which was asked alone, gave no answer."""
    return error.message.rpartition(": ")[2].rstrip(")")


def _ask_one(address: Address) -> Reply | str:
    found = ask_node(address, [{"op": "status"}])
    if isinstance(found, str):
        return found
    [reply] = found
    return reply if reply.ok else reply.error.message
