"""The members of the cluster: how they are shown, and how a servers.txt is carried out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from trioraft.addresses import Address
from trioraft.client import Client, NoNode, Refused, Reply, Unknown
from trioraft.wire.codec import decode
from trioraft_cli import render, where
from trioraft_cli.words import shell_word

CAUGHT_UP_SECONDS: Final = 600.0
"""How long a newcomer may take to be started, and to catch up."""
MOST_REMOVED: Final = 5
"""How many removed nodes are asked one after the other, each for the members that it knows of."""
ATTEMPTS: Final = 5
"""How often a change is tried whose outcome nobody can tell."""


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
    """None from who does not lead: it does not know who lives."""
    removed: bool = False
    """Whether the node that answers is a member no more."""


class Step(msgspec.Struct, frozen=True):
    """One change of the members."""

    op: str
    member: int
    address: str

    def __str__(self) -> str:
        return f"add node {self.member} at {self.address}" if self.op == "add_member" else f"remove node {self.member}"


class PlanError(ValueError):
    """The file asks for something that cannot be done so: what, and what to write instead."""


def ask_members(client: Client) -> Members:
    """The members as the leader sees them, or, where there is none, as the node does that answers.

    A removed node is asked only for those that it knows of.
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


def show(members: Members) -> None:
    """A table, and what the cluster can survive."""
    rows = []
    for member in members.members:
        role = "leader" if member.leader else member.role
        if member.promote:
            role += ", to vote when it has caught up"
        live = {True: "yes", False: "no", None: "?"}[member.live]
        index = "?" if member.match_index is None else str(member.match_index)
        rows.append([str(member.id), member.address, role, live, index])
    render.show("", ["NODE#", "ADDRESS", "ROLE", "LIVE", "HAS#"], rows)
    if members.removed:
        print("can lose: not known: who answers has been removed from the cluster, and no member can be reached")
        return
    if members.can_lose is None:
        led = any(member.leader for member in members.members)
        print(f"can lose: not known: {'the leader does not answer' if led else 'no leader'}")
        return
    down = [str(member.id) for member in members.members if member.role == "voter" and member.live is False]
    reason = f", while node {' and node '.join(down)} does not answer" if down else ""
    print(f"can lose {members.can_lose} of {members.voters}{reason}")


def added(reply: Reply) -> Member:
    """The newcomer, from the reply to add_member."""
    return decode(reply.raw("member"), Member)


def plan(listed: Sequence[Address | None], members: Members) -> list[Step]:
    """The changes from the members to the file, in an order that is safe: newcomers first, the leader last.

    Raises PlanError.
    """
    present = {member.id: member for member in members.members}
    adds: list[Step] = []
    for position, address in enumerate(listed):
        member = present.get(position)
        if address is None or (member is not None and member.address == str(address)):
            continue
        if member is not None:
            raise PlanError(
                f"line {position} says {address}, and node {position} is at {member.address}: an id keeps its address; "
                f"to move it, put '-' in its place and the new address in a line at the end"
            )
        if position < members.next_id:
            raise PlanError(
                f"line {position} says {address}, and the id {position} was used before: put '-' in its place and "
                "the address in a line at the end"
            )
        if position != members.next_id + len(adds):
            raise PlanError(f"line {position} says {address}, and the next id is {members.next_id + len(adds)}")
        adds.append(Step("add_member", position, str(address)))
    kept = {position for position, address in enumerate(listed) if address is not None}
    gone = sorted((member for member in members.members if member.id not in kept), key=lambda member: member.leader)
    if not kept:
        raise PlanError("the file lists no node at all")
    return [*adds, *(Step("remove_member", member.id, member.address) for member in gone)]


def carry_out(members: Members, steps: Sequence[Step], file: Path, tell: Callable[[str], None]) -> None:
    """Do them one by one, as that file has it; each newcomer is waited for until it votes.

    Raises ClientError, PlanError.
    """
    servers = shell_word(str(file))
    addresses = where.of_members({member.id: member.address for member in members.members})
    for step in steps:
        if step.op == "remove_member":
            addresses.pop(step.member, None)  # who is gone, or about to go, is not asked any more
            with Client(list(addresses.values())) as client:
                _do(client, step, member=step.member)
            tell(f"removed node {step.member}")
            continue
        with Client(list(addresses.values())) as client:
            _do(client, step, address=step.address)
            tell(f"added node {step.member} at {step.address}: start it with 'trioraft node {step.member} {servers}'")
            wait_for_vote(client, step.member)
        addresses |= where.of_members({step.member: step.address})
        tell(f"node {step.member} has caught up, and votes")


def _do(client: Client, step: Step, **fields: Any) -> None:
    """Carry out one step. Raises ClientError.

    Where nobody can say what became of it, because the leader changed, say, the members tell; and it is tried again.
    """
    doubt: Refused | Unknown | None = None
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            try:
                client.call(step.op, **fields)
                return
            except (Refused, Unknown) as error:
                if not attempts_left or (isinstance(error, Refused) and error.applied != "unknown"):
                    raise
                doubt = error
            present = step.member in {member.id for member in ask_members(client).members}
        except NoNode as error:
            raise doubt or error from None  # an earlier attempt may have been applied
        if present == (step.op == "add_member"):
            return


def wait_for_vote(client: Client, node: int) -> None:
    """Wait until that newcomer votes. Raises ClientError, PlanError."""
    deadline = time.monotonic() + CAUGHT_UP_SECONDS
    while time.monotonic() < deadline:
        if any(member.id == node and member.role == "voter" for member in ask_members(client).members):
            return
        time.sleep(0.2)
    raise PlanError(f"node {node} has not caught up in {CAUGHT_UP_SECONDS:.0f} s: is it started?")
