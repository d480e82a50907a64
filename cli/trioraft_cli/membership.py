"""The members as the cluster reports them: asked for, and shown."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Final

import msgspec

from trioraft.addresses import Address
from trioraft.client import Client, NoNode, Reply
from trioraft.wire.codec import decode
from trioraft_cli import render, where
from trioraft_cli.outcomes import NOT_NOW
from trioraft_cli.streams import say

MOST_REMOVED: Final = 5
"""How many removed nodes are asked one after the other, each for the members that it knows of."""


class Member(msgspec.Struct):
    """A row of `members`."""

    id: int
    address: str
    role: str
    promote: bool = False
    match_index: int | None = None
    live: bool | None = None
    leader: bool = False


class Members(msgspec.Struct):
    """What a node answers to `members`."""

    members: list[Member]
    next_id: int
    voters: int
    can_lose: int | None = None
    """How many voters may fail; None from a node that does not lead, which does not know who is live."""
    removed: bool = False
    """Whether the node that answers has been removed."""


def ask_members(client: Client) -> Members:
    """The members as the leader sees them; without a leader, as the node that answers sees them.

    A removed node is only asked whom it knows of, and they are asked then.
    """
    found = _ask_members(client)
    for _ in range(MOST_REMOVED):
        if not found.removed:
            break
        others = where.of_members({member.id: member.address for member in found.members})
        try:
            with Client(list(others.values()), timeout=2.0) as direct:
                found = _ask_members(direct)
        except NoNode:
            break
    return found


def _ask_members(client: Client) -> Members:
    reply = client.call("status")
    if reply["leader_address"] is not None:
        leader = where.of_members({reply["leader"]: reply["leader_address"]})
        with Client(list(leader.values()), timeout=2.0) as direct, contextlib.suppress(NoNode):
            return decode(direct.call("members").line, Members)
    return decode(client.call("members").line, Members)


def show_members(members: Members, down: Mapping[Address, str] | None = None) -> int:
    """Print a table of the members, and how many of them may fail; the exit code.

    `down` are known to be killed or paused, with the word for it.
    """
    words = {str(address): word for address, word in (down or {}).items()}
    if not members.members:
        say("the cluster has not formed yet, and has no members: 'status' tells which nodes are waited for")
        return NOT_NOW
    rows = []
    for member in members.members:
        role = "leader" if member.leader else member.role
        if member.promote:
            role += ", to vote when it has caught up"
        live = words.get(member.address) or {True: "yes", False: "no", None: "?"}[member.live]
        index = "?" if member.match_index is None else str(member.match_index)
        rows.append([str(member.id), member.address, role, live, index])
    render.show("", ["NODE#", "ADDRESS", "ROLE", "LIVE", "HAS#"], rows)
    print(_what_may_fail(members))
    return 0


def _what_may_fail(members: Members) -> str:
    """How many voters the cluster can lose, in a line, or why nobody knows."""
    if members.removed:
        return "can lose: not known: who answers has been removed from the cluster, and no member can be reached"
    if members.can_lose is None:
        led = any(member.leader for member in members.members)
        return f"can lose: not known: {'the leader does not answer' if led else 'no leader'}"
    down = [str(member.id) for member in members.members if member.role == "voter" and member.live is False]
    reason = f", while node {' and node '.join(down)} does not answer" if down else ""
    return f"can lose {members.can_lose} of {members.voters}{reason}"


def added(reply: Reply) -> Member:
    """The newcomer, from the reply to add_member."""
    return decode(reply.raw("member"), Member)
