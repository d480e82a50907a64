"""The members of a cluster, the configuration that lists them, and the formation that it began with."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import msgspec

from trioraft.raft.messages import NodeId

Role = Literal["voter", "learner"]


class ChangeRefused(Exception):
    """Raised where the members cannot be changed this way, or not now. The text says why; nothing was appended."""


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """One member: the others dial `address`; `folder` is the id of the data folder that holds its votes."""

    id: NodeId
    address: str
    role: Role
    folder: str
    """Empty until the newcomer has shown itself; its folder is bound to it then."""
    promote: bool = False
    """Whether this learner becomes a voter once it has caught up."""


class Configuration(msgspec.Struct, frozen=True, dict=True):
    """The members, the id of the next newcomer, and the level at which the cluster began: it may have risen since."""

    members: tuple[Member, ...]
    next_id: NodeId
    level: int = 1

    @cached_property
    def voters(self) -> tuple[NodeId, ...]:
        """The ids of the members that vote."""
        return tuple(member.id for member in self.members if member.role == "voter")

    def member(self, node: NodeId) -> Member | None:
        """The member with that id, or None."""
        return next((member for member in self.members if member.id == node), None)


class Formation(msgspec.Struct, frozen=True):
    """The beginning of a cluster: its id and first configuration. Every first member syncs the same record."""

    cluster: str
    configuration: Configuration


# Changes: one member at a time, so that any two successive configurations share a quorum (thesis §4.1)


def with_learner(configuration: Configuration, address: str, promote: bool) -> Configuration:
    """Add a newcomer, with the next id and no vote yet. Raises ChangeRefused."""
    for member in configuration.members:
        if member.address == address:
            raise ChangeRefused(f"node {member.id} is at {address} already")
    newcomer = Member(configuration.next_id, address, "learner", "", promote)
    return msgspec.structs.replace(
        configuration, members=(*configuration.members, newcomer), next_id=configuration.next_id + 1
    )


def with_folder(configuration: Configuration, node: NodeId, folder: str) -> Configuration:
    """Bind the newcomer's data folder to it, for good. Raises ChangeRefused."""
    member = _member(configuration, node)
    if member.folder:
        raise ChangeRefused(f"node {node} has a folder already")
    return _with(configuration, msgspec.structs.replace(member, folder=folder))


def with_vote(configuration: Configuration, node: NodeId) -> Configuration:
    """Make that learner a voter. Raises ChangeRefused."""
    member = _member(configuration, node)
    if member.role == "voter":
        raise ChangeRefused(f"node {node} votes already")
    if not member.folder:
        raise ChangeRefused(f"node {node} has not been started yet")
    return _with(configuration, msgspec.structs.replace(member, role="voter", promote=False))


def with_promotion(configuration: Configuration, node: NodeId) -> Configuration:
    """Have that learner become a voter as soon as it has caught up. Raises ChangeRefused."""
    member = _member(configuration, node)
    if member.role == "voter":
        raise ChangeRefused(f"node {node} votes already")
    if member.promote:
        raise ChangeRefused(f"node {node} will vote as soon as it has caught up")
    return _with(configuration, msgspec.structs.replace(member, promote=True))


def without(configuration: Configuration, node: NodeId) -> Configuration:
    """Remove that member; its id is not used again. Raises ChangeRefused."""
    removed = _member(configuration, node)
    if configuration.voters == (node,):
        raise ChangeRefused(f"node {node} is the only one that votes")
    members = tuple(member for member in configuration.members if member is not removed)
    return msgspec.structs.replace(configuration, members=members)


def _member(configuration: Configuration, node: NodeId) -> Member:
    member = configuration.member(node)
    if member is None:
        raise ChangeRefused(f"there is no member {node}")
    return member


def _with(configuration: Configuration, changed: Member) -> Configuration:
    members = tuple(changed if member.id == changed.id else member for member in configuration.members)
    return msgspec.structs.replace(configuration, members=members)
