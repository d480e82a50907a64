"""Keepalives and lists of leases: the leader answers them, from its own clock, and they change nothing in the log.

A keepalive is a confirmed read. The leader moves the lease's end as soon as the request arrives, confirms its lead by a
round that begins after that, and then says ok, unless an entry of its log ends the lease. That is enough:

- only a leader ends leases, and an entry of a leader that is deposed counts only if its successor has it;
- the round shows that no successor was elected before the request arrived, and a successor gives each lease its full
  time again;
- a round begins once an entry of the leader's own term is committed, and is over when that is applied: by then the
  state shows all that earlier leaders ended. What this leader itself is about to end, its clock knows.

No later write of its connection confirms a keepalive, as it does a read: that would not show when the leader led.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Final, NamedTuple, Protocol

import msgspec

from trioraft.machine import Machine
from trioraft.raft.core import Core
from trioraft.raft.messages import NodeId
from trioraft.replica.answering import Answering
from trioraft.replica.forwarding import Forwarding, Lead, PassedOn
from trioraft.replica.held import Held
from trioraft.replica.lease_clock import LeaseClock
from trioraft.replica.slots import LeaseSlot, Slot
from trioraft.wire import replies
from trioraft.wire.codec import decode
from trioraft.wire.operations import MOST_LEASES, LeaseKeepalive, Leases
from trioraft.wire.parsing import without_id
from trioraft.wire.peers import AdminReply, AdminRequest
from trioraft.wire.table import AnyRequest

_ENDED: Final = "the lease has ended, or was never granted"
_ENDED_HINT: Final = "grant a new one; the keys and locks of the old one are gone"


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core
    machine: Machine

    def send(self, peer: NodeId, message: AdminRequest | AdminReply) -> None:
        """Send to a peer, in order."""

    def read_began(self, context: int) -> None:
        """The core confirms reads under that context."""

    def leases_renewed(self, keepalive: object, leases: Sequence[int]) -> None:
        """The time of these leases begins again."""

    def leases_kept(self, keepalive: object, leases: Sequence[int]) -> None:
        """That keepalive is answered, and these leases live on."""

    def whom_to_wait_for(self) -> tuple[str, str]:
        """Why there is no leader, and what to do, for a person."""

    @property
    def is_removed(self) -> bool:
        """Whether there will be no leader for this node."""


class _Remote(msgspec.Struct, eq=False):
    """A request that a peer has passed on."""

    peer: NodeId
    number: int
    request: AnyRequest


_Asked = LeaseSlot | _Remote


class _Told(NamedTuple):
    """The leader's reply, until this node has applied what it is about."""

    awaited: int
    """The index that this node is to apply first."""
    number: int
    reply: bytes
    slots: list[LeaseSlot]


class LeaseRequests(Held[LeaseSlot]):
    """The requests about leases at one node: those of its clients, and those that peers ask this leader."""

    def __init__(
        self,
        node: Ports,
        forwarding: Forwarding,
        answering: Answering,
        clock: LeaseClock,
        contexts: count[int],
        hold_ticks: int,
    ) -> None:
        """`contexts` numbers what the core confirms. `hold_ticks`: how long a request waits without a leader."""
        super().__init__(forwarding)
        self.may_wait = False
        """Whether anything may be under way here, of a client or of a peer; most turns have nothing to do with it."""
        self._node = node
        self._answering = answering
        self._clock = clock
        self._contexts = contexts
        self._hold_ticks = hold_ticks
        self._now = 0
        self._numbers = count()
        self._from_peers: list[_Remote] = []
        """Those of peers that are to be confirmed."""
        self._under_way: dict[int, list[_Asked]] = {}
        """By context: those that this node confirms as leader."""
        self._ending: list[tuple[int, int, _Asked]] = []
        """Those that wait for an entry which ends one of their leases: (index, number, request), a heap."""
        self._lead = Lead(None, 0)
        """The leader that was asked last."""
        self._passed_on: PassedOn[list[LeaseSlot]] = PassedOn(forwarding.admin_numbers)
        self._told: list[_Told] = []
        """A heap."""

    @property
    def idle(self) -> bool:
        """Whether nothing of a client is under way."""
        return not (self.held or self._under_way or self._ending or self._passed_on or self._told)

    # From the clients

    def accept(self, slot: LeaseSlot) -> None:
        """Accept a client's request, and begin it if all before it on its connection allow that."""
        slot.accepted = True
        if slot.is_first or slot.may_begin:
            self.begin(slot)

    def begin(self, slot: LeaseSlot) -> None:
        """Begin a request that has come, and those like it that follow on its connection."""
        self.may_wait = True
        following: Slot | None = slot
        while type(following) is LeaseSlot:
            following.may_begin = True
            if not following.accepted or following.begun or following.reply is not None:
                return
            following.begun = True
            following.since = self._now
            self.hold(following)
            self._renew(following)
            following = following.following

    def route(self) -> None:
        """Send on its way what is held, and ask again what was asked of a leader that another has followed."""
        core, forwarding = self._node.core, self._forwarding
        if self._passed_on and core.leader is not None and self._lead != (core.leader, core.term):
            self._hold_again(self._passed_on.pop_all())
        if core.transferring:
            return  # requests wait for whoever leads then
        self.gathered = 0
        if not (self.held or self._from_peers):
            return
        if core.role == "leader":
            self._confirm()
        elif (leader := forwarding.to) is not None:
            self._pass_on(leader)
        else:
            self.refuse_to_forward()
            if self._node.is_removed:
                self._give_up_held(self._now)

    def _hold_again(self, groups: Iterable[Sequence[LeaseSlot]]) -> None:
        """Ask these again, which changes nothing. Where this node leads by now, they arrive now."""
        for slots in groups:
            waiting = [slot for slot in slots if slot.reply is None]
            self.held.extend(waiting)
            for slot in waiting:
                self._renew(slot)

    def _pass_on(self, leader: NodeId) -> None:
        """Ask the leader; all keepalives together, as far as one request may name so many leases."""
        self._lead = Lead(leader, self._node.core.term)
        together: list[LeaseSlot] = []
        leases: list[int] = []
        for slot in self._forwarding.kept(self._take()):
            request = slot.request
            if not isinstance(request, LeaseKeepalive):
                self._ask(leader, [slot], request)
                continue
            if len(leases) + len(request.named) > MOST_LEASES:
                self._ask(leader, together, LeaseKeepalive(leases=leases))
                together, leases = [], []
            together.append(slot)
            leases += request.named
        if together:
            self._ask(leader, together, LeaseKeepalive(leases=leases))

    def _ask(self, leader: NodeId, slots: list[LeaseSlot], request: AnyRequest) -> None:
        number = self._passed_on.add(slots, self._lead)
        self._node.send(leader, AdminRequest(number, msgspec.Raw(without_id(request))))

    def on_reply(self, sender: NodeId, message: AdminReply) -> bool:
        """The leader answers. Return whether it was asked that from here."""
        if (answered := self._passed_on.pop(sender, message.number)) is None:
            return False
        slots, lead = answered
        if not message.leads:
            self._forwarding.depose(lead)
            self._hold_again([slots])
        else:
            # What follows on its connection must find the ended leases gone here as well.
            told = _Told(message.index, message.number, bytes(message.reply), slots)
            heapq.heappush(self._told, told)
            self.applied(self._node.core.last_applied)
        return True

    def _tell(self, told: _Told) -> None:
        """Give each client its part of the leader's reply."""
        reply = told.reply + b"\n"
        fields = decode(told.reply)
        if not isinstance(told.slots[0].request, LeaseKeepalive) or not fields["ok"]:
            for slot in told.slots:
                self._answering.answer(slot, replies.with_id(slot.id, reply))
            return
        expired = set(fields["expired"])
        for slot in told.slots:
            request = slot.request
            assert isinstance(request, LeaseKeepalive)
            self._answering.answer(slot, _kept(slot.id, request, [one for one in request.named if one in expired]))

    # From the peers, to this leader

    def on_request(self, sender: NodeId, number: int, request: AnyRequest) -> None:
        """A peer passes on requests."""
        remote = _Remote(sender, number, request)
        if self._node.core.role != "leader":
            self._refuse(remote)
            return
        self._renew(remote)
        self.may_wait = True
        self._from_peers.append(remote)
        self.gathered += 1

    def _refuse(self, remote: _Remote) -> None:
        self._node.send(remote.peer, AdminReply(remote.number, msgspec.Raw(b"null"), leads=False))

    def link_lost(self, peer: NodeId) -> None:
        """Ask others what that peer was asked, and answer nothing that it has asked: it may be another process soon."""
        self._hold_again(self._passed_on.pop_from(peer))
        self._from_peers = [one for one in self._from_peers if one.peer != peer]
        for context, asked in self._under_way.items():
            self._under_way[context] = [one for one in asked if isinstance(one, LeaseSlot) or one.peer != peer]
        ending = [one for one in self._ending if isinstance(one[2], LeaseSlot) or one[2].peer != peer]
        heapq.heapify(ending)
        self._ending = ending

    # As leader

    def _renew(self, asked: _Asked) -> None:
        """Begin the time of the leases again that a keepalive names: it has arrived."""
        request = asked.request
        if isinstance(request, LeaseKeepalive) and self._node.core.role == "leader":
            self._clock.renew(request.named)
            self._node.leases_renewed(asked, request.named)

    def _confirm(self) -> None:
        """Confirm by one round that this node led when all these arrived."""
        asked: list[_Asked] = [slot for slot in self._take() if slot.reply is None]
        asked += self._from_peers
        self._from_peers = []
        if asked:
            context = next(self._contexts)
            self._under_way[context] = asked
            self._node.core.read_index(context)
            self._node.read_began(context)

    def servable(self, contexts: Sequence[int]) -> None:
        """Answer what was confirmed: this node led after it had arrived, and has applied what others ended before."""
        for context in contexts:
            for asked in self._under_way.pop(context, ()):
                self._answer(asked)

    def _answer(self, asked: _Asked) -> None:
        """Answer as the state is now, or once the entry is applied that ends one of the leases."""
        request = asked.request
        if isinstance(request, LeaseKeepalive):
            index = max(map(self._clock.ending_at, request.named), default=0)
            if index > self._node.core.last_applied:
                heapq.heappush(self._ending, (index, next(self._numbers), asked))
                return
        self._finish(asked)

    def _finish(self, asked: _Asked) -> None:
        core, leasing = self._node.core, self._node.machine.leasing
        ttls = {} if leasing is None else leasing.ttls
        request = asked.request
        id = asked.id if isinstance(asked, LeaseSlot) else b""
        if isinstance(request, LeaseKeepalive):
            expired = [lease for lease in request.named if lease not in ttls]
            self._node.leases_kept(asked, [lease for lease in request.named if lease in ttls])
            reply, index = _kept(id, request, expired), core.last_applied if expired else 0
        else:
            assert isinstance(request, Leases)
            reply, index = self._listed(id, request), core.last_applied
        if isinstance(asked, LeaseSlot):
            self._answering.answer(asked, reply)
        else:
            core.want_commit(asked.peer, index)
            self._node.send(asked.peer, AdminReply(asked.number, msgspec.Raw(reply[:-1]), index=index))

    def _listed(self, id: bytes, request: Leases) -> bytes:
        leasing = self._node.machine.leasing
        rows: list[dict[str, int]] = []
        more = False
        if leasing is not None:
            ttls = leasing.ttls
            for lease in [lease for lease in ttls if lease > request.after]:
                if more := len(rows) == request.limit:
                    break
                remaining, keys = self._clock.remaining_ms(lease), leasing.keys_of(lease)
                rows.append({"lease": lease, "ttl_ms": ttls[lease], "remaining_ms": remaining, "keys": keys})
        return replies.object_reply(id, {"leases": rows, "more": more, "at": self._node.core.last_applied})

    def leadership_lost(self) -> None:
        """Hold again what this node was asked as leader, and have the peers ask the next one."""
        asked = [one for some in self._under_way.values() for one in some] + [one for _, _, one in self._ending]
        self._under_way, self._ending = {}, []
        for remote in [*self._from_peers, *(one for one in asked if isinstance(one, _Remote))]:
            self._refuse(remote)
        self._from_peers = []
        self._hold_again([[one for one in asked if isinstance(one, LeaseSlot)]])

    def applied(self, index: int) -> None:
        """Answer what waited for that index to be applied."""
        while self._ending and self._ending[0][0] <= index:
            self._answer(heapq.heappop(self._ending)[2])
        while self._told and self._told[0].awaited <= index:
            self._tell(heapq.heappop(self._told))

    # From the clock

    def pass_time(self, ticks: int) -> None:
        """Note that time has passed: what comes from now on came after that."""
        self._now += ticks

    def give_up_late(self) -> None:
        """Give up what has waited too long."""
        if self.idle and not self._from_peers:
            self.may_wait, self.gathered = False, 0
            return
        oldest = self._now - self._hold_ticks
        self._hold_again(self._passed_on.pop_if(lambda slots: slots[0].since <= oldest))
        self._give_up_held(oldest)
        self._give_up_told(oldest)

    def _give_up_told(self, oldest: int) -> None:
        """Fail what has waited since that tick for what this node lacks: it takes in a snapshot, or its disk hangs."""
        late = [told for told in self._told if told.slots[0].since <= oldest]
        if late:
            self._told = [told for told in self._told if told not in late]
            heapq.heapify(self._told)
            for told in late:
                for slot in told.slots:
                    self._answering.fail_behind(slot, told.awaited)

    def _give_up_held(self, oldest: int) -> None:
        """Refuse what has waited for a leader since that tick."""
        for slot in self._take():
            if slot.since > oldest:
                self.held.append(slot)
            elif slot.reply is None:
                self._answering.fail(slot, "no_quorum", *self._node.whom_to_wait_for(), "")


def _kept(id: bytes, request: LeaseKeepalive, expired: Sequence[int]) -> bytes:
    """The reply to a keepalive, of whose leases these have ended."""
    if request.lease is None:
        return replies.object_reply(id, {"expired": expired})
    if expired:
        return replies.error_reply(id, "lease_expired", _ENDED, _ENDED_HINT, None)
    return replies.object_reply(id, {})
