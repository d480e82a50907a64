"""Clusters that exist as evidence alone: what `check` hears of three nodes that are well, and what a test changes."""

from __future__ import annotations

from typing import Any

import msgspec
from trioraft_cli.checking.evidence import (
    Answer,
    Evidence,
    Kind,
    Member,
    Metrics,
    Place,
    Silence,
    Source,
    Status,
    Trouble,
)
from trioraft_cli.membership import Member as Row
from trioraft_cli.membership import Members

from trioraft.addresses import Address

MIB = 1024 * 1024


def at(node: int) -> Address:
    """The address of that node."""
    return Address("host", 8000 + node)


class MadeCluster:
    """Nodes of one cluster, of which node 0 leads. A test changes what they say, and what nobody says."""

    def __init__(self, size: int = 3, learners: int = 0) -> None:
        self.members = [
            Member(node, str(at(node)), "voter" if node < size else "learner", f"folder-{node}")
            for node in range(size + learners)
        ]
        self.next_id = size + learners
        self.live: dict[int, bool] = {}
        """The members that the leader does not take for live, or none of them."""
        self.status: dict[int, dict[str, Any]] = {member.id: {} for member in self.members}
        self.answer: dict[int, dict[str, Any]] = {member.id: {} for member in self.members}
        self.silences: dict[Address, Silence] = {}
        self.more: dict[Address, Answer] = {}
        """What answers at further addresses, or in the place of a member."""
        self.before: dict[Address, Status] = {}
        self.leader: int | None = 0
        self.listed: list[Address | None] = [at(member.id) for member in self.members]
        self.file: str | None = "servers.txt"
        self.options = ""
        self.typed_at: Place = "shell"

    def is_silent(self, node: int, kind: Kind = "refused", words: str = "Connection refused") -> None:
        """Let a node give no answer, and the leader not hear it."""
        self.silences[at(node)] = Silence(kind, words)
        self.live[node] = False
        self.status.pop(node, None)

    def tells(self, node: int, about: int, reason: str, way: str = "to", message: str = "m", hint: str = "h") -> None:
        """Let a node tell of a trouble with another."""
        self.status[node].setdefault("troubles", []).append(Trouble(about, way, reason, message, hint))

    def says(self, node: int, /, **fields: Any) -> None:
        """Let a node say something else in its status."""
        self.status[node] |= fields

    def measures(self, node: int, **fields: Any) -> None:
        """Let a node say something in its metrics."""
        self.answer[node]["metrics"] = Metrics(**fields)

    def status_of(self, node: int, /, **fields: Any) -> Status:
        """What a node says of itself, with these fields otherwise."""
        said = {
            "node": node,
            "role": "leader" if node == self.leader else "follower",
            "term": 4,
            "leader": self.leader,
            "commit_index": 20,
            "last_applied": 20,
            "last_index": 20,
            "members": self.members,
            "cluster": "ours",
            "folder": f"folder-{node}",
            "servers": [str(address or "-") for address in self.listed],
        }
        return Status(**{**said, **fields})

    def unformed(self, node: int, **fields: Any) -> Answer:
        """What a node answers that belongs to no cluster yet."""
        fields = {"role": "unformed", "members": [], "cluster": None, "leader": None, "waiting_for": [], **fields}
        return Answer(at(node), "0.2.0", self.status_of(node, **fields))

    def rows(self) -> Members:
        """What the leader knows of the members."""
        rows = [Row(m.id, m.address, m.role, live=self.live.get(m.id, True)) for m in self.members]
        voters = [row for row in rows if row.role == "voter"]
        live = sum(1 for row in voters if row.live)
        return Members(rows, self.next_id, len(voters), max(0, live - len(voters) // 2 - 1))

    @property
    def evidence(self) -> Evidence:
        """All of it."""
        answers = {}
        for node, fields in self.status.items():
            members = self.rows()
            if node != self.leader:
                members = Members([Row(m.id, m.address, m.role) for m in self.members], self.next_id, members.voters)
            answer = Answer(at(node), "0.2.0", self.status_of(node, **fields), members)
            answers[at(node)] = msgspec.structs.replace(answer, **self.answer[node])
        source = Source(self.listed, self.file, self.options, self.typed_at)
        return Evidence(source, {**answers, **self.more}, self.silences, self.before)
