"""The figures that `top` shows: of the cluster, and of each node, from what the nodes say. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import inf

import msgspec

from trioraft_cli.status import has_leader, remarks
from trioraft_cli.top_poll import Answer, Seen


class Row(msgspec.Struct, omit_defaults=True):
    """One node. What is not known is None."""

    node: int | None
    address: str
    role: str | None = None
    term: int | None = None
    commit_index: int | None = None
    lag: int | None = None
    """How many entries it lacks."""
    heard_ms: int | None = None
    """How long ago the leader heard it; without a leader, how long ago it heard one."""
    sync_ms: float | None = None
    requests_per_second: float | None = None
    rss_bytes: int | None = None
    has_leader: bool = False
    failure: str | None = None
    """Why it does not answer."""
    silent_seconds: float | None = None


class Cluster(msgspec.Struct, omit_defaults=True):
    """All of them."""

    nodes: list[Row]
    leader: int | None = None
    term: int | None = None
    commit_index: int | None = None
    commits_per_second: float | None = None
    can_lose: int | None = None
    remarks: list[str] = []
    """What is not as it should be."""


def shown(nodes: Collection[Seen]) -> list[Seen]:
    """Those that are shown, by number: the members, and who else answers; until members are known, all.

    A node that has two addresses is shown once.
    """
    answers = [seen.answer for seen in nodes if seen.answer is not None]
    told = _best(answers)
    members = {} if told is None else {member.address: member.id for member in told.status.members}
    found: dict[object, tuple[float, Seen]] = {}
    for seen in nodes:
        number = members.get(str(seen.address))
        if number is None and seen.answer is not None:
            number = seen.answer.status.node
        is_member = str(seen.address) in members
        if members and not is_member and not seen.answers:
            continue
        who = seen.address if number is None else number
        if who not in found or is_member:
            found[who] = inf if number is None else number, seen
    return [seen for _, seen in sorted(found.values(), key=lambda one: (one[0], str(one[1].address)))]


def cluster_of(nodes: Sequence[Seen], now: float) -> Cluster:
    """The figures of the nodes that are shown, in that order, at that time."""
    live = [seen.answer for seen in nodes if seen.answers and seen.answer is not None]
    best = _best(live)
    leader = best if best is not None and best.status.role == "leader" else None
    statuses = {seen.address: seen.answer.status for seen in nodes if seen.answers and seen.answer is not None}
    led = has_leader(statuses.values())
    by_address = {} if best is None else {member.address: member.id for member in best.status.members}
    commit = max((answer.status.commit_index for answer in live), default=None)
    return Cluster(
        [_row(seen, by_address.get(str(seen.address)), leader, commit or 0, now) for seen in nodes],
        leader=leader.status.node if leader is not None and led else None,
        term=max((answer.status.term for answer in live), default=None),
        commit_index=commit,
        commits_per_second=max((seen.commits for seen in nodes if seen.commits is not None), default=None),
        can_lose=leader.figures.failure_tolerance if leader is not None else None,
        remarks=remarks(statuses),
    )


def _row(seen: Seen, number: int | None, leader: Answer | None, commit: int, now: float) -> Row:
    answer = seen.answer
    if number is None and answer is not None:
        number = answer.status.node
    row = Row(number, str(seen.address))
    if leader is not None and number != leader.status.node:
        row.lag = leader.figures.peer_lag_entries.get(str(number))
        row.heard_ms = leader.figures.peer_heard_ms.get(str(number))
    if seen.failure is not None:
        row.failure, row.silent_seconds = seen.failure, now - seen.silent_since
        return row
    if answer is None:
        return row
    status, figures = answer.status, answer.figures
    row.role = status.role if status.waiting_for is None else "not formed"
    row.term, row.commit_index, row.has_leader = status.term, status.commit_index, status.leader is not None
    row.lag = commit - status.last_applied if row.lag is None else row.lag
    row.heard_ms = figures.leader_heard_ms if row.heard_ms is None else row.heard_ms
    row.sync_ms = None if seen.sync_seconds is None else seen.sync_seconds * 1000
    row.requests_per_second, row.rss_bytes = seen.rate, figures.rss_bytes
    return row


def _best(answers: Collection[Answer]) -> Answer | None:
    """The answer of who knows most of the cluster: the leader of the newest term, or who is furthest."""
    return max(
        answers,
        key=lambda one: (one.status.role != "removed", one.status.role == "leader", one.status.term, one.at),
        default=None,
    )
