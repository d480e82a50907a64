"""What the evidence of `check` says of one cluster: which nodes belong to it, who leads, how each member is. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from trioraft.addresses import Address
from trioraft_cli import where
from trioraft_cli.checking.evidence import Answer, Evidence, Member, Trouble
from trioraft_cli.checking.findings import Advice, Severity

UNREACHED: Final = ("connect", "silent")
"""The reasons of troubles that are no refusals."""
REFUSALS: Final = ("older_copy", "two_processes", "needs_upgrade", "protocol")
"""The reasons for which a member is refused that runs with the folder of its cluster; the others are seen otherwise."""
_UNTOLD: Final = ""
"""The reason of a refusal by an older version, which tells none."""

_MADE_ANEW: Final = 10**12
"""The log of a cluster that was made from another begins beyond this index."""


class State(msgspec.Struct, frozen=True):
    """How a member is: `there`, or a code of what is wrong with it, with the words of who knows."""

    code: str
    words: str = ""


class View:
    """The cluster that the evidence is about: of several, the one that has a leader, or else the larger one."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        answers = evidence.answers.values()
        self.unformed = [answer for answer in answers if answer.status.role == "unformed"]
        formed = [answer for answer in answers if answer.status.role not in ("unformed", "removed")]
        removed = [answer for answer in answers if answer.status.role == "removed"]
        self.cluster = _main_cluster(formed)
        self.own = [answer for answer in formed if answer.status.cluster in (self.cluster, None)]
        """The answers of nodes that belong to it."""
        self.leader = _leader(self.own)
        known = self.own or removed
        newest = self.leader or max(known, key=lambda a: (a.status.commit_index, a.status.term), default=None)
        self.newest = newest
        self.members: list[Member] = newest.status.members if newest else []
        self.next_id = newest.members.next_id if newest and newest.members else len(self.members)
        self.addresses = where.of_members({member.id: member.address for member in self.members})
        self.states: dict[int, State] = {member.id: self._state(member) for member in self.members}
        self.voters = [member.id for member in self.members if member.role == "voter"]
        self.majority = len(self.voters) // 2 + 1
        self.voters_there = [voter for voter in self.voters if self.states[voter].code == "there"]
        self.advice = Advice(evidence.source, self.next_id)

    @property
    def led_from_afar(self) -> int | None:
        """The leader that gave no answer here, and that a majority of the voters still is or follows."""
        if self.leader is not None:
            return None
        followed = Counter((answer.status.leader, answer.status.term) for answer in self.own)
        for (leader, _), followers in followed.items():
            if leader in self.voters and self.states[leader].code != "there" and followers + 1 >= self.majority:
                return leader
        return None

    @property
    def can_write(self) -> bool:
        """Whether a leader hears a majority of the voters."""
        if self.leader is None:
            return self.led_from_afar is not None
        return len(self._heard_by_leader & set(self.voters)) >= self.majority

    @property
    def too_few(self) -> bool:
        """Whether nothing can be written because too few voters are there."""
        return not self.can_write and len(self.voters_there) < self.majority

    @property
    def severity_of_cuts(self) -> Severity:
        """How bad it is that members which are there do not hear each other."""
        return "now" if self.can_write or self.too_few else "down"

    def hears(self, member: int) -> bool | None:
        """Whether the leader hears that member; None where it does not know, or there is none."""
        if member == self.led_from_afar:
            return True
        if self.leader is None or self.leader.members is None:
            return None
        return next((row.live for row in self.leader.members.members if row.id == member), None)

    def answer_of(self, member: int) -> Answer | None:
        """What that member said, if it is there."""
        if self.states[member].code != "there":
            return None
        return self.evidence.answers.get(self.addresses[member])

    def label(self, member: int) -> str:
        """How a member is called in a sentence."""
        return next((known.label for known in self.members if known.id == member), f"node {member}")

    @property
    def strangers(self) -> list[tuple[Address, Answer]]:
        """The nodes that answer at addresses of no member, but for members that are reached by another name."""
        members, folders = set(self.addresses.values()), {member.folder for member in self.members if member.folder}
        return [
            (address, answer)
            for address, answer in self.evidence.answers.items()
            if address not in members and answer.status.folder not in folders
        ]

    @property
    def refused_as(self) -> Mapping[int, list[Trouble]]:
        """By member: the refusals that members which are there tell of whoever came as it, or answers in its place."""
        refusals: dict[int, list[Trouble]] = {}
        for answer in self.own:
            for trouble in answer.status.troubles:
                if trouble.way != "to" and trouble.reason not in UNREACHED:
                    refusals.setdefault(trouble.node, []).append(trouble)
        return refusals

    @property
    def _heard_by_leader(self) -> set[int]:
        if self.leader is None or self.leader.members is None:
            return set()
        return {row.id for row in self.leader.members.members if row.live}

    def _state(self, member: Member) -> State:
        address = self.addresses.get(member.id)
        if address is None:
            return State("unresolved", "its address cannot be asked for")
        answer = self.evidence.answers.get(address)
        if answer is None:
            silence = self.evidence.silences[address]
            code = "not_running" if silence.kind == "refused" else silence.kind
            return State("never_started" if not member.folder and code == "not_running" else code, silence.words)
        status = answer.status
        if status.role != "unformed" and None not in (status.cluster, self.cluster) and status.cluster != self.cluster:
            return State("other_cluster", status.cluster or "")
        if status.node != member.id:
            return State("other_node", f"node {status.node}")
        if status.role == "unformed":
            return State("wiped" if member.folder and member.folder != status.folder else "joining")
        if member.folder and status.folder and member.folder != status.folder:
            return State("wiped")
        return self._refused(member.id, answer)

    def _refused(self, member: int, answer: Answer) -> State:
        """The state of a member that runs with its own folder: refused by others, or there."""
        told = [t for t in answer.status.troubles if t.way == "to" and t.reason in (*REFUSALS, _UNTOLD)]
        if not answer.status.folder:  # an older version, which tells nothing of that: the others do
            told = [t for t in self.refused_as.get(member, []) if t.reason in REFUSALS]
        if not told or (self.leader is not None and self.hears(member)):
            return State("there")
        reason = told[0].reason
        return State(reason if reason in REFUSALS else "refused", f"{told[0].message} ({told[0].hint})")


def _main_cluster(formed: list[Answer]) -> str | None:
    """The id of the cluster that is judged; None where no node tells one.

    It is one that has a leader; of several the one that `recover` or `restore` made of another, or else the larger one.
    """
    clusters: dict[str, list[Answer]] = {}
    for answer in formed:
        if answer.status.cluster is not None:
            clusters.setdefault(answer.status.cluster, []).append(answer)

    def weight(cluster: str) -> tuple[bool, bool, int]:
        nodes = clusters[cluster]
        is_made_anew = any(answer.status.last_index >= _MADE_ANEW for answer in nodes)
        return any(map(_leads, nodes)), is_made_anew, len(nodes)

    return max(clusters, key=weight, default=None)


def _leads(answer: Answer) -> bool:
    """Whether it leads, and hears a majority, as far as it knows."""
    if answer.status.role != "leader":
        return False
    if answer.members is None:
        return True
    live = [row for row in answer.members.members if row.role == "voter" and row.live is not False]
    return len(live) > answer.members.voters // 2


def _leader(own: list[Answer]) -> Answer | None:
    """The leader of the highest term."""
    return max((answer for answer in own if answer.status.role == "leader"), key=lambda a: a.status.term, default=None)
