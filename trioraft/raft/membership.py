"""Who belongs to the cluster: members, the configuration that lists them, and the formation that began it."""

from __future__ import annotations

from typing import Literal

import msgspec

from trioraft.raft.messages import NodeId

Role = Literal["voter", "learner"]


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """One member: `address` is where the others dial it, `folder` the data folder that holds its votes."""

    id: NodeId
    address: str
    role: Role
    folder: str
    """Empty until the newcomer has shown itself, and its folder is bound to it."""
    promote: bool = False
    """Whether this learner is to become a voter once it has caught up."""


class Configuration(msgspec.Struct, frozen=True):
    """The members in force, the id that the next newcomer gets, and the level of the commands in use."""

    members: tuple[Member, ...]
    next_id: NodeId
    level: int = 1

    @property
    def voters(self) -> tuple[NodeId, ...]:
        """The ids of the members that vote."""
        return tuple(member.id for member in self.members if member.role == "voter")

    def member(self, node: NodeId) -> Member | None:
        """The member of that id, if it is one."""
        return next((member for member in self.members if member.id == node), None)


class Formation(msgspec.Struct, frozen=True):
    """How a cluster began: its id and its first configuration. Every first member syncs the same record."""

    cluster: str
    configuration: Configuration
