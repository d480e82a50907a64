"""The check that no lease ends early, and that no keepalive is answered ok which a later leader may not know of.

The ttl is a lower bound, so there is one property for whoever counts and one for whoever relies on it:

- A leader ends a lease only after 1¼ of its ttl, in ticks that it was told after its election and after each keepalive
  that reached it, and that count: while a majority answers, and after a stall only a few.
- What a client was told lives on for its ttl after the client asked, by a clock that is never wrong: an expiry that is
  committed before is a violation, whoever proposed it.

Two more hold at the moment of the answer, and show which step of the argument broke: no later leader was elected before
the keepalive reached this one, and no expiry of the lease is in its log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from trioraft.raft import quorum
from trioraft.raft.core import Core
from trioraft.raft.invariants import Violation
from trioraft.raft.messages import AppendEntriesReply, Entry, InstallSnapshotReply, Message, NodeId
from trioraft.raft.ready import Point
from trioraft.wire.codec import Decoder

_EXPIRES: Final = b'"op":"expire"'


class _Command(msgspec.Struct):
    leases: list[int]


class _Line(msgspec.Struct):
    command: _Command


_lines: Final = Decoder(_Line)


class _Lead:
    """One node in one term of its lead."""

    def __init__(self, term: int) -> None:
        self.term = term
        self.ticks = 0
        """The ticks that it was told,"""
        self.counted = 0
        """and those of them that count."""
        self.heard: dict[NodeId, int] = {}
        """For each peer that has answered: the ticks told by then."""
        self.begun: dict[int, int] = {}
        """For each lease: the ticks that counted when its time began."""
        self.renewed: set[int] = set()
        """The leases that were kept alive since ticks were told last."""
        self.arrivals: dict[object, int] = {}
        """When each keepalive came that is not answered yet."""
        self.ending: set[int] = set()
        """The leases that an entry of this leader ends."""


class LeaseWatch:
    """The watch over the leases of one cluster; times are in microseconds."""

    def __init__(self, tick_ms: int) -> None:
        """`tick_ms`: how much of a ttl one tick uses up."""
        self.expiries = 0
        """How many leases were ended by leaders."""
        self.kept = 0
        """How many keepalives were answered ok."""
        self._tick_ms = tick_ms
        self._leads: dict[NodeId, _Lead] = {}
        self._elected: dict[int, int] = {}
        """For each term: when its leader was first seen."""
        self._ended: dict[int, tuple[int, Point]] = {}
        """For each lease that an expiry has ended: when that was committed, and the entry."""
        self._promised: dict[int, int] = {}
        """For each lease: the time before which it must not end."""
        self._scanned = 0

    # At the nodes

    def _lead(self, core: Core) -> _Lead | None:
        """What is known of this node's lead; None where it does not lead."""
        if core.role != "leader":
            self._leads.pop(core.node, None)
            return None
        lead = self._leads.get(core.node)
        if lead is None or lead.term != core.term:
            lead = self._leads[core.node] = _Lead(core.term)
        return lead

    def stopped(self, node: NodeId) -> None:
        """Note that a node has ended."""
        self._leads.pop(node, None)

    def heard(self, core: Core, sender: NodeId, message: Message) -> None:
        """Note a message that a node takes in now."""
        if isinstance(message, AppendEntriesReply | InstallSnapshotReply) and message.term == core.term:
            lead = self._lead(core)
            if lead is not None:
                lead.heard[sender] = lead.ticks

    def told(self, core: Core, ticks: int, leases: Iterable[int]) -> None:
        """Note that a node, which knows of these leases, is told that ticks have passed, before it acts on them."""
        lead = self._lead(core)
        if lead is None:
            return
        ticks = min(ticks, core.settings.most_ticks)
        lead.ticks += ticks
        recent = [peer for peer, at in lead.heard.items() if lead.ticks - at < core.settings.election_ticks]
        if quorum.heard_from(core.configuration.voters, [core.node, *recent]):
            lead.counted += ticks
        for lease in lead.renewed:
            lead.begun[lease] = lead.counted
        lead.renewed.clear()
        for lease in leases:
            lead.begun.setdefault(lease, lead.counted)

    def elected(self, now: int, core: Core) -> None:
        """Note that a node's role may have changed."""
        if self._lead(core) is not None:
            self._elected.setdefault(core.term, now)

    def renewed(self, now: int, core: Core, keepalive: object, leases: Sequence[int]) -> None:
        """Note that a keepalive has reached a leader."""
        lead = self._lead(core)
        assert lead is not None, f"node {core.node} takes a keepalive and does not lead"
        lead.arrivals[keepalive] = now
        lead.renewed.update(lease for lease in leases if lease not in lead.ending)

    def expires(self, core: Core, leases: Sequence[int], ttls: Sequence[int]) -> None:
        """Check leases, and their ttls in ms, that a leader is about to end. Raises Violation."""
        lead = self._lead(core)
        assert lead is not None, f"node {core.node} ends leases and does not lead"
        for lease, ttl_ms in zip(leases, ttls, strict=True):
            counted = lead.counted - lead.begun[lease]
            if lease in lead.renewed or counted * self._tick_ms < ttl_ms * 5 / 4:
                raise Violation(
                    f"Leases: node {core.node} ends lease {lease}, of {ttl_ms} ms, after {counted} ticks that count, "
                    f"of {self._tick_ms} ms each"
                )
            lead.ending.add(lease)

    def answers(self, core: Core, keepalive: object, leases: Sequence[int]) -> None:
        """Check a keepalive that a leader answers ok for these leases. Raises Violation."""
        lead = self._lead(core) or _Lead(0)  # it may just have lost its lead, with a keepalive that was confirmed
        came = lead.arrivals.pop(keepalive, 0)  # one that came before the election is answered too
        later = [term for term, at in self._elected.items() if term > lead.term and at < came]
        if later:
            raise Violation(
                f"Leases: node {core.node} answers a keepalive in term {lead.term} that came at {came}, when term "
                f"{later[0]} had a leader since {self._elected[later[0]]}"
            )
        for lease in leases:
            self.kept += 1
            _, entry = self._ended.get(lease, (0, None))
            # A leader that stood still may answer what it had confirmed long before, and lack what came after.
            if lease in lead.ending or (entry is not None and core.log.term_at(entry.index) == entry.term):
                raise Violation(f"Leases: node {core.node} keeps lease {lease} alive, and an entry of its log ends it")

    # In the log, and at the clients

    def committed(self, now: int, entries: Sequence[Entry]) -> None:
        """Note all entries that are committed anywhere. Raises Violation."""
        for entry in entries[self._scanned :]:
            if _EXPIRES in entry.line:
                for lease in _lines.decode(entry.line).command.leases:
                    if lease not in self._ended:
                        self.expiries += 1
                        self._ended[lease] = now, Point(entry.index, entry.term)
                        self._check(lease)
        self._scanned = len(entries)

    def promised(self, lease: int, until: int) -> None:
        """Note that a client was told that the lease lives, and relies on it until then. Raises Violation."""
        self._promised[lease] = max(until, self._promised.get(lease, 0))
        self._check(lease)

    def released(self, lease: int) -> None:
        """Note that a client relies on the lease no more."""
        self._promised.pop(lease, None)

    def _check(self, lease: int) -> None:
        if lease in self._ended:
            (ended, _), until = self._ended[lease], self._promised.get(lease, 0)
            if ended < until:
                raise Violation(f"Leases: lease {lease} has ended at {ended}, and was promised until {until}")
