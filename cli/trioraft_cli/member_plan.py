"""How the members become those that a servers.txt lists: a plan, carried out a safe change after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from trioraft.addresses import Address
from trioraft.client import Client, NoNode, Refused, Reply, Unknown
from trioraft_cli import where
from trioraft_cli.membership import Members, ask_members
from trioraft_cli.words import shell_word

CAUGHT_UP_SECONDS: Final = 600.0
"""How long a newcomer may take to be started, and to catch up."""
ATTEMPTS: Final = 5
"""How often a change is tried while its outcome is unknown."""


class Step(msgspec.Struct, frozen=True):
    """One change of the members."""

    op: str
    member: int
    address: str

    def __str__(self) -> str:
        return f"add node {self.member} at {self.address}" if self.op == "add_member" else f"remove node {self.member}"


class PlanError(ValueError):
    """The file asks for something that cannot be done so: what, and what to write instead."""


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


def carry_out(
    client_of: Callable[[Sequence[Address]], Client],
    members: Members,
    steps: Sequence[Step],
    file: Path,
    tell: Callable[[str], None],
) -> Iterator[Reply]:
    """Carry out the steps one by one, and wait for each newcomer until it votes; `file` is the one it is started with.

    Yields the reply to each change, where one came. Raises ClientError, PlanError.
    """
    servers = shell_word(str(file))
    addresses = where.of_members({member.id: member.address for member in members.members})
    for step in steps:
        if step.op == "remove_member":
            addresses.pop(step.member, None)  # who is gone, or about to go, is not asked any more
            with client_of(list(addresses.values())) as client:
                yield from _do(client, step, member=step.member)
            tell(f"removed node {step.member}")
            continue
        with client_of(list(addresses.values())) as client:
            yield from _do(client, step, address=step.address)
            tell(f"added node {step.member} at {step.address}: start it with 'trioraft node {step.member} {servers}'")
            wait_for_vote(client, step.member)
        addresses |= where.of_members({step.member: step.address})
        tell(f"node {step.member} has caught up, and votes")


def _do(client: Client, step: Step, **fields: Any) -> Iterator[Reply]:
    """Carry out one step; yields the reply, where one came. Raises ClientError.

    Where its outcome is unknown, after a change of leader say, the members show it; if it failed, it is tried again.
    """
    doubt: Refused | Unknown | None = None
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            try:
                yield client.call(step.op, **fields)
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
