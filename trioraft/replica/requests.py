"""What becomes of a request: held until there is a leader, proposed or confirmed here or by it, and answered here.

A node that leads proposes writes and confirms reads itself. Any other passes them to the leader, once and in
order; the leader only names the entry (index and term) that a write became, or the index that a read must
see, and this node answers from its own state when it has applied so far. Without a leader, requests are held
for a while and then refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count
from typing import Any, Protocol

from trioraft.machine import Machine
from trioraft.raft.messages import NodeId
from trioraft.raft.ready import LostReason
from trioraft.raft.runs import Entries
from trioraft.replica import applier, forwarding, lease_requests, level_check, proposals, reader, subscriptions
from trioraft.replica.alarms import Alarms
from trioraft.replica.answering import Answering
from trioraft.replica.applier import Applier
from trioraft.replica.failures import decides
from trioraft.replica.fan_out import Portions
from trioraft.replica.forwarding import Forwarding
from trioraft.replica.freshness import Freshness
from trioraft.replica.lease_clock import LeaseClock
from trioraft.replica.lease_requests import LeaseRequests
from trioraft.replica.level_check import LevelCheck
from trioraft.replica.placed import Placed
from trioraft.replica.ports import Forwarded, ticks_of
from trioraft.replica.proposals import Proposals
from trioraft.replica.reader import Reader
from trioraft.replica.reads import Reads
from trioraft.replica.slots import LeaseSlot, ReadSlot, Slot, WriteSlot, is_unanswered
from trioraft.replica.subscriptions import Subscriptions
from trioraft.wire.operations import Lock
from trioraft.wire.peers import NotProposed, Propose, Proposed, ReadIndexReply, ReadIndexRequest
from trioraft.wire.replies import Reply
from trioraft.wire.table import AnyRequest, InSession, KeyRead, Operation, ReadRequest, Write


class Ports(
    reader.Ports,
    forwarding.Ports,
    proposals.Ports,
    applier.Ports,
    lease_requests.Ports,
    level_check.Ports,
    subscriptions.Ports,
    Protocol,
):
    """What requests need of the node around them."""

    def send(self, peer: NodeId, message: Forwarded) -> None:
        """Send to a peer, in order."""

    def administer(self, slot: Slot) -> None:
        """Take a request that concerns the cluster, and is answered later."""

    def withdraw(self, slots: Sequence[Slot]) -> set[Slot]:
        """Let go of those of such requests that have not been begun; these, which never will be."""


class Requests:
    """The requests at this node that are not answered yet, whoever they came from."""

    def __init__(
        self, node: Ports, machine: Machine, lease_clock: LeaseClock, hold_ticks: int, portions: Portions
    ) -> None:
        """`hold_ticks`: how long a request is held without a leader, two election timeouts."""
        self.now = 0
        """In ticks."""
        self.reader = Reader(node, machine)
        self.freshness = Freshness(node)
        self.end_turn = self.freshness.end_turn
        """Notes what the leader has said until now."""
        self.answering = Answering(self.reader, self.freshness, self._hold_write, self._begin_lease)
        self.forwarding = Forwarding(node, self.answering)
        self.placed = Placed(node, self.answering)
        self.proposals = Proposals(node, self.forwarding, self.placed, self.answering)
        contexts = count()
        self.reads = Reads(node, self.forwarding, self.answering, contexts)
        self.leases = LeaseRequests(node, self.forwarding, self.answering, lease_clock, contexts, hold_ticks)
        answer = self.answering.answer
        self.subscriptions = Subscriptions(node, machine, hold_ticks, self.accept, self._write, answer, portions)
        self.applier = Applier(node, self.reader, self.placed, self.answering, self.subscriptions.locks)
        self.deadlines: Alarms[Slot] = Alarms(is_unanswered)
        """When the time is over that was given with a request; most are answered long before."""
        self.level_check = LevelCheck(node, self.answering)
        self._node = node
        self._hold_ticks = hold_ticks
        self._numbers = count()
        self._leaderless_since = 0

    @property
    def idle(self) -> bool:
        """Whether no write or read is under way."""
        waits = not self.proposals.idle or self.placed.by_index or not self.reads.idle or not self.leases.idle
        waits = waits or not self.answering.idle or bool(self.level_check.held)
        return not waits and self.deadlines.idle

    @property
    def stopping(self) -> bool:
        """Whether no more writes are taken."""
        return self.proposals.stopping

    @stopping.setter
    def stopping(self, stopping: bool) -> None:
        self.proposals.stopping = stopping
        if stopping:
            self.subscriptions.stop()

    @property
    def gathered(self) -> int:
        """How many requests wait to be sent on their way, or have come since."""
        return self.proposals.gathered + self.reads.gathered + self.leases.gathered

    @property
    def gathering(self) -> bool:
        """Whether writes wait for nothing but that more come."""
        return self.proposals.gathering

    def begin_turn(self) -> None:
        """Serve the reads that the last turn had no room for, as far as this one has."""
        self.proposals.begin_turn()
        self.answering.begin_turn()
        if self.subscriptions.fan_out.opened:
            self.subscriptions.begin_turn()

    @property
    def hurries(self) -> bool:
        """Whether the next turn has something to do, whatever comes in."""
        if self.subscriptions.fan_out.opened and self.subscriptions.hurries:
            return True
        return self.answering.postpones or self.proposals.hurries

    # From the clients

    @decides
    def accept(self, slot: Slot) -> None:
        """Accept a client's request; those of one connection come in order."""
        slot.since = self.now
        slot.number = next(self._numbers)
        if self.level_check.is_needed and not self.level_check.admits(slot):
            self._note_deadline(slot)
        else:
            self._admitted(slot)

    def _admitted(self, slot: Slot) -> None:
        """Begin a request that the level of the cluster allows."""
        request = slot.requests[0]
        if type(slot) is WriteSlot:
            if self.proposals.stopping:
                self.answering.fail(slot, "shutting_down", "this node is stopping", "ask another node", "no")
                return
            if isinstance(request, InSession):
                if request.client is not None and request.is_of_another(self._node.cluster):
                    self._refuse_session(slot)
                    return
                if type(request) is Lock and (refusal := self.subscriptions.refusal_of_lock(slot)) is not None:
                    self.answering.fail(slot, *refusal, "no")
                    return
            slot.commands = slot.operation.commands(slot.requests)
            if slot.waits:
                self._note_deadline(slot)
                return
            self.proposals.hold(slot)
        elif type(slot) is LeaseSlot:
            self.leases.accept(slot)
        elif type(slot) is not ReadSlot:
            self._node.administer(slot)
            self._note_deadline(slot)
            return
        else:
            if isinstance(request, ReadRequest):
                slot.min_rev = request.min_rev
            kind = slot.operation.kind
            if kind == "stream":
                self.subscriptions.claim(slot)
            if kind in ("read", "stream") and (not request.is_stale or self._must_be_confirmed(slot, request)):
                self.reads.hold(slot)
            else:
                self.answering.confirm([slot])
                self._note_deadline(slot)
                return
        if request.timeout_ms is not None:
            self._note_deadline(slot)

    def _write(self, slot: WriteSlot, command: Any) -> None:
        """Take a write of this node's own."""
        slot.since = self.now
        slot.number = next(self._numbers)
        slot.commands = [command]
        self._hold_write(slot)

    def _note_deadline(self, slot: Slot) -> None:
        """Note when the request must have been answered, if it says so."""
        timeout = slot.request.timeout_ms
        if timeout is not None and slot.reply is None:
            self.deadlines.set(slot.since + ticks_of(timeout), slot)

    def _refuse_session(self, slot: WriteSlot) -> None:
        why = "the session is another cluster's: this one was made by 'trioraft recover' or 'restore', or never knew it"
        hint, applied = (
            "an earlier attempt may have been applied: see how things are, and open a new session",
            "unknown",
        )
        if not isinstance(slot.request, Write):
            hint, applied = "there is nothing to close here", "no"
        self.answering.fail(slot, "session_expired", why, hint, applied)

    def _must_be_confirmed(self, slot: ReadSlot, request: AnyRequest) -> bool:
        """Whether a stale read is linearizable here: it may not be old, and nobody tells a leader what is committed."""
        if isinstance(request, KeyRead) and request.max_age_ms is not None:
            if self._node.core.role == "leader":
                return True
            slot.max_age_ms = request.max_age_ms
        return False

    def _hold_write(self, write: WriteSlot) -> None:
        """What held it up on its connection is over."""
        self.proposals.hold(write)

    def _begin_lease(self, slot: LeaseSlot) -> None:
        """All before it on its connection are answered."""
        self.leases.begin(slot)

    def route(self, gather: bool = False) -> None:
        """Send on its way what has come since the last time, and what was held for want of a leader.

        `gather`: where this node leads, the writes wait for more to come.
        """
        core, proposals, reads = self._node.core, self.proposals, self.reads
        if self.level_check.is_needed:
            for slot in self.level_check.advance():
                self._admitted(slot)
        if self.leases.may_wait:
            self.leases.route()
        proposals.gathering = False
        proposals.go_on()
        if self.forwarding.is_outdated:
            if proposals.unplaced and self.forwarding.hears_from_old_leader(self.now):
                return
            self._give_up_forwarded()
            self.forwarding.update()
        if core.transferring:
            return  # what has come waits for the next leader, or for this one to go on
        proposals.gathered = reads.gathered = 0
        if not proposals.held and not reads.held:
            return
        if core.role == "leader":
            proposals.propose(gather)
            reads.confirm()
        elif (leader := self.forwarding.to) is not None:
            proposals.pass_on(leader)
            reads.pass_on(leader)
        else:
            proposals.refuse_to_forward()
            reads.refuse_to_forward()
            if self._node.is_removed:
                self._give_up_held(self.now)

    @decides
    def answer(self, slot: Slot, reply: Reply) -> None:
        """Answer a request that was handled elsewhere."""
        self.answering.answer(slot, reply)

    # From the peers

    def on_propose(self, sender: NodeId, message: Propose) -> None:
        """A peer passes on writes of its clients."""
        self.proposals.on_propose(sender, message)

    def on_proposed(self, sender: NodeId, message: Proposed) -> None:
        """The leader says which entries the writes passed on to it became."""
        self.proposals.on_proposed(sender, message)

    def on_not_proposed(self, sender: NodeId, message: NotProposed) -> None:
        """The leader has refused writes; they are in no log."""
        self.proposals.on_not_proposed(sender, message)

    def on_read_index(self, sender: NodeId, message: ReadIndexRequest) -> None:
        """A peer asks which index its reads must see."""
        self.reads.on_read_index(sender, message)

    def on_read_index_reply(self, sender: NodeId, message: ReadIndexReply) -> None:
        """The leader says which index reads must see, or that it leads no more."""
        self.reads.on_read_index_reply(sender, message)

    def link_lost(self, peer: NodeId) -> None:
        """A connection to or from that peer broke: what it was asked and has not answered is not answered any more.

        Neither is what it has asked: it may be another process when it comes back, which counts anew.
        """
        self.proposals.link_lost(peer)
        self.reads.link_lost(peer)
        self.leases.link_lost(peer)
        if self.forwarding.link_lost(peer):
            self._give_up_forwarded()

    # From the core

    def apply(self, entries: Entries) -> None:
        """Apply committed entries in order, and answer those who wait for them."""
        self.applier.apply(entries)

    def applied(self, index: int) -> None:
        """All up to that index has been applied: serve what waited for it."""
        self.reads.applied(index)
        if self.leases.may_wait:
            self.leases.applied(index)
        self.answering.applied(index)

    def restore(self, machine: Machine, former: int, index: int, term: int) -> None:
        """The state is another, as of that entry: what became of the writes that it skips nobody here can tell.

        The `former` state was as of that entry.
        """
        self.reader.machine = machine
        self.placed.skip_to(index, term)
        self.applied(index)
        self.subscriptions.restore(machine, former)

    def servable(self, contexts: Sequence[int]) -> None:
        """These reads were confirmed: this node led when they had arrived, and has applied all that they must see."""
        self.reads.servable(contexts)
        self.leases.servable(contexts)

    def leadership_lost(self, reason: LostReason) -> None:
        """This node led and does no more: what it proposed may or may not survive; reads are asked again."""
        self.reads.leadership_lost()
        self.leases.leadership_lost()
        self.placed.give_up(reason)

    # From the clock

    def pass_time(self, ticks: int, lost: int = 0) -> None:
        """Note that time has passed: what is accepted from now on came after that. `lost`: see `Replica.pass_time`."""
        self.now += ticks
        self.freshness.pass_time(ticks, lost)
        self.leases.pass_time(ticks)
        self.subscriptions.fan_out.now = self.now

    @property
    def waits_for_time(self) -> bool:
        """Whether something here may be over once some time has passed."""
        return bool(self.subscriptions.fan_out.opened or self.deadlines)

    @property
    def ticks_until_due(self) -> int:
        """The number of ticks after which time changes something here; very many where it does not."""
        return min(self.deadlines.next, self.subscriptions.next_due) - self.now

    def give_up_late(self) -> None:
        """Give up what has waited too long."""
        self.subscriptions.tick()
        self._expire()
        self.leases.give_up_late()
        core = self._node.core
        if core.leader is not None:
            self._leaderless_since = self.now
        oldest = self.now - self._hold_ticks
        self.reads.give_up_asked(oldest)  # first: what is held again must not be asked again
        self._give_up_held(oldest)
        if self._leaderless_since <= oldest:
            self.placed.give_up("no_quorum")
            self.reads.leaderless()
        unplaced = self.proposals.unplaced
        if unplaced and unplaced.first[0].since <= oldest - self._hold_ticks:
            self._give_up_forwarded()  # its connection lives, but it does not answer
        self.answering.give_up_where_behind(oldest)
        if core.role != "leader":
            # A write, whose entry may yet come, is waited for twice as long as a read.
            self.reads.give_up_where_behind(oldest)
            self.placed.give_up_where_behind(oldest - self._hold_ticks)

    def _give_up_held(self, oldest: int) -> None:
        """Refuse what has waited for a leader since that tick."""
        late: list[Slot] = [slot for slot in chain(self.reads.held, self.proposals.held) if slot.since <= oldest]
        if late:
            self._hold_no_longer(late)
            for slot in sorted(late, key=lambda slot: slot.number):
                self.answering.fail(slot, "no_quorum", *self._node.whom_to_wait_for(), "no")
        self.level_check.give_up(oldest)

    def _expire(self) -> None:
        """Fail those for which the time given with them is over; what has not been begun is let go of."""
        due = self.deadlines.pop_due(self.now)
        if not due:
            return
        waiting = self._node.withdraw(due).union(self.proposals.held, self.reads.held)
        waiting.update(slot for slot in due if type(slot) is WriteSlot and slot.waits)
        waiting.update(one.slot for one in self.level_check.held)
        self._hold_no_longer(due)
        for slot in due:
            applied = "no" if slot in waiting else "unknown"
            why = "the time given with the request is over"
            hint = "give it more, or see 'status'"
            self.answering.fail(slot, "timeout", why, hint, applied, late=applied == "unknown")

    # Within

    def _hold_no_longer(self, slots: Sequence[Slot]) -> None:
        late = set(slots)
        self.proposals.remove(late)
        self.reads.remove(late)
        self.leases.remove(late)

    def _give_up_forwarded(self) -> None:
        """Nothing that was passed on is passed on twice: writes may have been appended, reads can be asked again."""
        self.proposals.give_up_unplaced()
        self.reads.ask_again()

    def reply_size(self, operation: Operation, requests: Sequence[AnyRequest]) -> int:
        """About how many bytes the replies to requests that change nothing will have, as things are now."""
        return self.reader.reply_size(operation, requests)
