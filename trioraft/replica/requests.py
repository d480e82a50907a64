"""What becomes of a request: proposed here, passed on to the leader, held until there is one, or answered here.

A node that leads proposes writes and confirms reads itself. Any other passes them to the leader, once and in
order; the leader only names the entry (index and term) that a write became, or the index that a read must
see, and this node answers from its own state when it has applied so far. Without a leader, requests are held
for a while and then refused.

The writes of a connection take effect in the order of their asking, because:

- what waits here is in that order, and so is what is under way to one leader on one connection;
- a write that is passed on is for one leader in one term (`Propose.term`). A node that does not lead that term refuses
  it, and, as nobody leads a term twice, refuses all that was sent behind it for that term;
- to another leader, or to the same one in another term, nothing is passed on, nor proposed here, before each write
  under way has been given an entry, is refused, or is given up as unknown. What was refused goes first then;
- entries of a later term follow those of an earlier one in every log (the terms that a node is in only rise).

What takes its time, a change of the members, say, holds up the writes behind it on its connection until it is done.

Reads need no such care: a read is answered from this node's state once all before it on its connection are answered,
and whichever leader confirms it, of whichever term, does so after it was asked.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from itertools import accumulate, chain, count, takewhile
from typing import Final, Protocol, cast
from weakref import ReferenceType, ref

from trioraft.kv.commands import Command
from trioraft.kv.commands import Put as PutCommand
from trioraft.kv.store import Store
from trioraft.raft.core import Core
from trioraft.raft.messages import NodeId
from trioraft.raft.ready import LostReason, Overloaded
from trioraft.raft.runs import RUN_BYTES, Entries, Run
from trioraft.replica.failures import decides, internal_reply
from trioraft.replica.reckoning import MAX_SCAN_BYTES, reckoned
from trioraft.replica.slots import LaterSlot, ReadSlot, Slot, WriteSlot
from trioraft.wire import replies
from trioraft.wire.commands import UnknownCommand, commands_of, decode_command, encode_commands
from trioraft.wire.peers import NotProposed, Propose, Proposed, ReadIndexReply, ReadIndexRequest
from trioraft.wire.replies import Reply
from trioraft.wire.requests import (
    AdminRequest,
    AnyRequest,
    Delete,
    Get,
    Incr,
    PlainGet,
    Put,
    Scan,
    ShowLog,
)
from trioraft.wire.writes import to_commands

WRITES_A_TURN: Final = 4 * 1024 * 1024
"""So many bytes of writes are sent on their way in a turn, or one that is longer; the next turn follows at once."""
MADE_A_TURN: Final = 4 * 1024 * 1024
"""Of replies that have to be made, and are not at hand as values are, so many bytes a turn."""
LEAST_MADE: Final = 16 * 1024
"""What each of them counts for at least."""

FEW_DEADLINES: Final = 64
"""So many are not looked through for those of requests that are answered."""
FAREWELL_TICKS: Final = 30
"""How long a leader that is none any more is waited for, to say what became of the writes passed on to it."""

_Remote = tuple[NodeId, int]


class Surroundings(Protocol):
    """What requests need of the node around them."""

    core: Core

    def send(self, peer: NodeId, message: Propose | Proposed | NotProposed | ReadIndexRequest | ReadIndexReply) -> None:
        """Send to a peer, in order."""

    def linked(self, peer: NodeId) -> bool:
        """Whether a connection to that peer is up."""

    def answer_locally(self, slot: ReadSlot) -> Reply:
        """The reply to a request about this node itself."""

    def administer(self, slot: Slot) -> None:
        """Take a request that concerns the cluster, and is answered later."""

    def withdraw(self, slots: Sequence[Slot]) -> set[Slot]:
        """Let go of those of such requests that have not been begun; these, which never will be."""

    def whom_to_wait_for(self) -> tuple[str, str]:
        """Why there is no leader, and what to do, for a person."""

    @property
    def is_removed(self) -> bool:
        """Whether there will be no leader for this node."""


class Requests:
    """The requests at this node that are not answered yet, whoever they came from."""

    def __init__(self, node: Surroundings, store: Store, hold_ticks: int) -> None:
        """`hold_ticks`: how long a request is held without a leader, two election timeouts."""
        self.now = 0
        """In ticks."""
        self.stopping = False
        self._node = node
        self._store = store
        self._hold_ticks = hold_ticks
        self._held: deque[Slot] = deque()
        self.gathered = 0
        """How many requests wait to be sent on their way, or have come since."""
        self.gathering = False
        """Whether writes wait for nothing but that more come."""
        self._deadlines: list[tuple[int, int, ReferenceType[Slot]]] = []
        """A heap. Long before a deadline its request is mostly answered, and then it must not be held for this."""
        self._most_deadlines = FEW_DEADLINES
        self._numbers = count()

        self._proposed: dict[int, WriteSlot] = {}
        """By index: the writes of this node that have been given an entry, by itself or by the leader."""
        self._reads: dict[int, list[ReadSlot] | _Remote] = {}
        """By context: the reads that this node, leading, confirms."""

        self._leader: NodeId | None = None
        """To whom what follows was passed on,"""
        self._leader_term = 0
        """and in which term it was taken for the leader."""
        self._unnamed: deque[WriteSlot] = deque()
        self._unnamed_number = 0
        """The number of the first of _unnamed, in the count of all that was passed on."""
        self._asked: dict[int, list[ReadSlot]] = {}
        self._waiting: list[tuple[int, int, list[ReadSlot]]] = []
        """Reads that may be served once an index is applied: (index, number, reads), a heap."""
        self._room = MADE_A_TURN
        """How many bytes of replies this turn may still make."""
        self._write_room = WRITES_A_TURN
        """And how many bytes of writes it may still send on their way."""
        self._postponed: deque[ReferenceType[ReadSlot]] = deque()
        """Reads that this turn had no room for; held by who waits for them."""
        self._leaderless_since = 0
        self._farewell: int | None = None
        """Until when what an old leader has to say of writes passed on to it is waited for."""
        self._delayed: list[tuple[NodeId, Propose]] = []
        """What peers passed on while this leader hands over the lead."""
        self._deposed: tuple[NodeId, int] | None = None
        """The leader, and its term, that has said itself that it leads no more."""
        self._applied_term = 0
        """The term of the newest entry that was applied."""

    @property
    def idle(self) -> bool:
        """Whether no write or read is under way."""
        waits = self._held or self._proposed or self._reads or self._unnamed or self._asked or self._waiting
        return not waits and not self._postponed and not any(map(_is_open, self._deadlines))

    def begin_turn(self) -> None:
        """Serve the reads that the last turn had no room for, as far as this one has."""
        self._room = MADE_A_TURN
        self._write_room = WRITES_A_TURN
        while self._postponed and self._room > 0:
            if (slot := self._postponed.popleft()()) is not None:
                self._advance(slot)

    @property
    def hurries(self) -> bool:
        """Whether the next turn has something to do, whatever comes in."""
        return bool(self._postponed) or (self._write_room <= 0 and bool(self._held))

    # From the clients

    @decides
    def take(self, slot: Slot) -> None:
        """A client's request; those of one connection in order."""
        slot.since = self.now
        slot.number = next(self._numbers)
        request = slot.requests[0]
        if type(slot) is WriteSlot:
            if self.stopping:
                self._answer(slot, _failure(slot, "shutting_down", "this node is stopping", "ask another node", "no"))
                return
            slot.commands = to_commands(slot.requests)
            if slot.waits:
                self._limit(slot)
                return
            self._held.append(slot)
        elif type(slot) is not ReadSlot:
            self._node.administer(slot)
            self._limit(slot)
            return
        elif isinstance(request, (PlainGet, Get, Scan)) and request.read == "linearizable":
            self._held.append(slot)
        else:
            slot.confirmed = True
            self._advance(slot)
            self._limit(slot)
            return
        self.gathered += slot.count
        if request.timeout_ms is not None:
            self._limit(slot)

    def _limit(self, slot: Slot) -> None:
        """Let the request fail when the time given with it is over, wherever it is then."""
        timeout = slot.requests[0].timeout_ms
        if timeout is not None and slot.reply is None:
            if len(self._deadlines) >= self._most_deadlines:
                self._deadlines = list(filter(_is_open, self._deadlines))
                heapq.heapify(self._deadlines)
                self._most_deadlines = max(2 * len(self._deadlines), FEW_DEADLINES)
            # A tick is 10 ms; a part of one counts as one.
            heapq.heappush(self._deadlines, (self.now + -(-timeout // 10), next(self._numbers), ref(slot)))

    def route(self, gather: bool = False) -> None:
        """Send on its way what has come since the last time, and what was held for want of a leader.

        `gather`: where this node leads, the writes wait for more to come.
        """
        core = self._node.core
        self.gathering = False
        if self._delayed and not core.transferring:
            delayed, self._delayed = self._delayed, []
            for sender, message in delayed:
                self.on_propose(sender, message)
        if (core.leader, core.term) != (self._leader, self._leader_term):
            if self._unnamed and self._hears_from_old_leader():
                return
            self._leader_changed(core.leader, core.term)
        if core.transferring:
            return  # what has come waits for the next leader, or for this one to go on
        self.gathered = 0
        if not self._held:
            return
        if core.role == "leader":
            slots, self._held = self._held, deque()
            writes = [slot for slot in slots if type(slot) is WriteSlot and slot.reply is None]
            if gather:
                self._held.extend(writes)
                self.gathered = sum([write.count for write in writes])
                self.gathering = bool(writes)
            elif fitting := self._fitting(writes):
                self._propose(fitting)
            reads = [slot for slot in slots if type(slot) is ReadSlot and slot.reply is None]
            if reads:
                context = next(self._numbers)
                self._reads[context] = reads
                core.read_index(context)
        elif core.leader is not None and self._node.linked(core.leader) and (core.leader, core.term) != self._deposed:
            slots, self._held = self._held, deque()
            self._pass_on(core.leader, self._refuse_to_forward(slots))
        else:
            slots, self._held = self._held, deque()
            self._held.extendleft(reversed(self._refuse_to_forward(slots)))
            if self._node.is_removed:
                self._give_up_held(self.now)

    def _fitting(self, writes: list[WriteSlot]) -> list[WriteSlot]:
        """The first of them, as many as this turn has room for; the others are held until the next."""
        taken = 0
        while taken < len(writes) and self._write_room > 0:
            self._write_room -= writes[taken].size
            taken += 1
        self._held.extend(writes[taken:])
        self.gathered = sum([write.count for write in writes[taken:]])
        return writes[:taken]

    def _propose(self, writes: list[WriteSlot]) -> None:
        core = self._node.core
        try:
            first = core.propose(_payloads(writes))
        except Overloaded:
            for write in writes:
                why = "too much is waiting to be committed"
                self._answer(write, _failure(write, "overloaded", why, "try again soon", "no"))
        else:
            self._name(writes, first, core.term)

    def _refuse_to_forward(self, slots: deque[Slot]) -> list[Slot]:
        """Answer those that want the leader itself; give back the others."""
        core = self._node.core
        kept = []
        for slot in slots:
            request = slot.request
            if slot.reply is not None:
                continue
            if isinstance(request, (Get, Scan, Put, Delete, Incr)) and not request.forward:
                self._answer(slot, _not_leader(slot, core))
            else:
                kept.append(slot)
        return kept

    def _pass_on(self, leader: NodeId, slots: list[Slot]) -> None:
        writes = self._fitting([slot for slot in slots if isinstance(slot, WriteSlot)])
        reads = [slot for slot in slots if isinstance(slot, ReadSlot)]
        if writes:
            number = self._unnamed_number + sum(write.count for write in self._unnamed)
            self._unnamed.extend(writes)
            self._node.send(leader, Propose(number, _payloads(writes), self._leader_term))
        if reads:
            number = next(self._numbers)
            self._asked[number] = reads
            self._node.send(leader, ReadIndexRequest(number))

    # From the peers

    def on_propose(self, sender: NodeId, message: Propose) -> None:
        """A peer passes on writes of its clients. What it sent to the leader of another term comes too late."""
        core = self._node.core
        total = len(message.commands)
        if core.transferring or self._delayed:
            # Also when the transfer is just over: who passed it on takes the answers in the order of its asking.
            self._delayed.append((sender, message))
            return
        leads = core.role == "leader" and message.term in (core.term, None)
        if not leads or self.stopping:
            refusal = NotProposed(message.number, total, "leader_changed", "the leader changed", "try again")
        else:
            try:
                for command in message.commands:
                    decode_command(command)
                first = core.propose(message.commands)
            except UnknownCommand as error:
                refusal = NotProposed(message.number, total, "bad_request", str(error), "use nodes of one version")
            except Overloaded:
                why = "too much is waiting to be committed"
                refusal = NotProposed(message.number, total, "overloaded", why, "try again soon")
            else:
                core.want_commit(sender, first + total - 1)
                self._node.send(sender, Proposed(message.number, total, first, core.term))
                return
        self._node.send(sender, refusal)

    def on_proposed(self, sender: NodeId, message: Proposed) -> None:
        """The leader names the entries that writes passed on to it became."""
        self._name(self._take_unnamed(sender, message.number, message.count), message.index, message.term)

    def on_not_proposed(self, sender: NodeId, message: NotProposed) -> None:
        """The leader has refused writes; they are in no log."""
        slots = self._take_unnamed(sender, message.number, message.count)
        if message.code == "leader_changed" and slots:
            # It leads that term no more, and the next one is asked as soon as it is known; the order stays.
            self._deposed = sender, self._leader_term
            again = [slot for slot in slots if slot.reply is None]
            self._held = deque(sorted([*again, *self._held], key=lambda slot: slot.number))
            slots = [slot for slot in slots if slot.reply is not None]  # too late for these
        for slot in slots:
            self._answer(slot, _failure(slot, message.code, message.message, message.hint, "no"))

    def on_read_index(self, sender: NodeId, message: ReadIndexRequest) -> None:
        """A peer asks which index its reads must see."""
        core = self._node.core
        if core.role != "leader":
            self._node.send(sender, ReadIndexReply(message.number, None))
            return
        context = next(self._numbers)
        self._reads[context] = (sender, message.number)
        core.read_index(context)

    def on_read_index_reply(self, sender: NodeId, message: ReadIndexReply) -> None:
        """The leader says which index reads must see, or that it leads no more."""
        if sender != self._leader or (reads := self._asked.pop(message.number, None)) is None:
            return
        if message.index is None:
            self._held.extend(reads)
        elif message.index <= self._node.core.last_applied:
            self._confirm(reads)
        else:
            heapq.heappush(self._waiting, (message.index, message.number, reads))

    def link_lost(self, peer: NodeId) -> None:
        """A connection to or from that peer broke: what it was asked and has not answered is not answered any more.

        Neither is what it has asked: it may be another process when it comes back, which counts anew.
        """
        self._delayed = [(sender, message) for sender, message in self._delayed if sender != peer]
        for context, reads in self._reads.items():
            if isinstance(reads, tuple) and reads[0] == peer:
                self._reads[context] = []
        if peer == self._leader:
            self._forget_leader()
            self._leader = None

    # From the core

    def apply(self, entries: Entries) -> None:
        """Apply committed entries in order, and answer those who wait for them."""
        for run in entries.runs:
            if run.term > self._applied_term:
                self._drop_older(run.first, run.term)
            index = run.first
            while index <= run.last:
                index += self._apply_next(run, index)

    def _apply_next(self, run: Run, index: int) -> int:
        """Apply the entry at that index, and others of the run that go with it; how many they were."""
        proposed = self._proposed
        slot = proposed.pop(index, None)
        if slot is not None and slot.term != run.term:
            self._drop(slot)
            slot = None
        if slot is not None:
            return self._apply_own(slot, index, run.last - index + 1)
        end = run.last
        if proposed:
            end = next((later - 1 for later in range(index + 1, end + 1) if later in proposed), end)
        self._store.apply_all(index, commands_of(run.cut(index, end)))
        self._node.core.applied(end)
        return end - index + 1

    def _apply_own(self, slot: WriteSlot, first: int, most: int) -> int:
        """Apply the writes of this slot, and of those that follow it, which are the entries from that index on.

        No more than `most` of them are committed; how many they were.
        """
        for read in slot.reads_before:
            if read.reply is None:
                # The commitment of a later write of its connection proves it, and it must not see that write.
                read.confirmed = read.turn = True
                read.answer(self._read_safely(read))
                self._advance(read)
        if slot.reads_before:
            slot.reads_before = []  # they know of this write, as what follows them
        if not _is_plain_put(slot.commands[0]):
            result = self._store.apply(first, slot.commands[0])
            self._node.core.applied(first)
            self._answer(slot, replies.result_reply(slot.requests[0].id, result))
            return 1
        slots = [slot]
        count = slot.count - len(slot.replies)
        while count < most and (later := self._proposed.get(first + count)) is not None:
            if later.term != slot.term or later.reads_before or not _is_plain_put(later.commands[0]):
                break
            del self._proposed[first + count]
            slots.append(later)
            count += later.count
        count = min(count, most)
        self._put_all(slots, first, count)
        return count

    def _put_all(self, slots: Sequence[WriteSlot], first: int, count: int) -> None:
        """Apply the first so many puts that these slots have left, and answer those slots that have none then."""
        done = len(slots[0].replies)  # of the others nothing has been applied
        taken = slice(done, done + count)
        commands = list(chain.from_iterable([slot.commands for slot in slots]))[taken]
        requests = list(chain.from_iterable([slot.requests for slot in slots]))[taken]
        self._store.apply_all(first, commands)
        self._node.core.applied(first + count - 1)
        written = replies.written_replies(requests, first)
        position = 0
        for slot in slots:
            if slot.count == 1:
                slot.answer(written[position])
                position += 1
            else:
                end = position + slot.count - len(slot.replies)
                slot.replies += written[position:end]
                position = end
                if len(slot.replies) < slot.count:
                    self._wait_for_the_rest(slot, first + count)
                    return
                slot.answer(slot.replies)
            if slot.following is not None:
                self._advance(slot)

    def _wait_for_the_rest(self, slot: WriteSlot, index: int) -> None:
        """The writes of this slot from that index on are not committed yet."""
        if index in self._proposed:
            self._fail_unknown([slot], "leader_changed")
        else:
            self._proposed[index] = slot

    def _drop_older(self, index: int, term: int) -> None:
        """An entry of a new term is committed there: no later one can be of an older term any more."""
        self._applied_term = term
        older = [later for later, slot in self._proposed.items() if later > index and slot.term < term]
        for later in older:
            self._drop(self._proposed.pop(later))

    def _drop(self, slot: WriteSlot) -> None:
        """It is in no log that counts, and never will be."""
        why = "another leader's entry took its place"
        self._answer(slot, _failure(slot, "leader_changed", why, "try again", "no"))

    def applied(self, index: int) -> None:
        """All up to that index has been applied: serve the reads that waited for it."""
        while self._waiting and self._waiting[0][0] <= index:
            self._confirm(heapq.heappop(self._waiting)[2])

    def restore(self, store: Store, index: int, term: int) -> None:
        """The state is another, as of that entry: what became of the writes that it skips nobody here can tell."""
        self._store = store
        if term > self._applied_term:
            self._drop_older(index, term)
        skipped = [position for position in self._proposed if position <= index]
        self._fail_unknown([self._proposed.pop(position) for position in skipped], "leader_changed")
        self.applied(index)

    def servable(self, contexts: Sequence[int]) -> None:
        """These reads were confirmed: this node led when they had arrived, and has applied all that they must see."""
        core = self._node.core
        for context in contexts:
            reads = self._reads.pop(context)
            if isinstance(reads, list):
                self._confirm(reads)
            else:
                peer, number = reads
                core.want_commit(peer, core.last_applied)
                self._node.send(peer, ReadIndexReply(number, core.last_applied))

    def leadership_lost(self, reason: LostReason) -> None:
        """This node led and does no more: what it proposed may or may not survive; reads are asked again."""
        for reads in self._reads.values():
            if isinstance(reads, list):
                self._held.extend(reads)
            else:
                self._node.send(reads[0], ReadIndexReply(reads[1], None))
        self._reads = {}
        self._fail_unknown(list(self._proposed.values()), reason)
        self._proposed = {}

    # From the clock

    def tick(self, ticks: int) -> None:
        """Time has passed: give up what has waited too long."""
        self.now += ticks
        self._expire()
        core = self._node.core
        if core.leader is not None:
            self._leaderless_since = self.now
        oldest = self.now - self._hold_ticks
        self._give_up_held(oldest)
        if self._leaderless_since <= oldest:
            self._fail_unknown([slot for slot in self._proposed.values() if slot.term], "no_quorum")
            self._proposed = {}
            for _, _, reads in self._waiting:
                self._held.extend(reads)
            self._waiting = []
        if self._unnamed and self._unnamed[0].since <= oldest - self._hold_ticks:
            self._forget_leader()  # its connection lives, but it does not answer
        for number in [number for number, reads in self._asked.items() if reads[0].since <= oldest]:
            self._held.extendleft(reversed(self._asked.pop(number)))
        if core.role != "leader":
            self._give_up_where_behind(oldest)

    def _give_up_held(self, oldest: int) -> None:
        """Refuse what has waited for a leader since that tick."""
        if any(slot.since <= oldest for slot in self._held):
            held, self._held = self._held, deque()
            for slot in held:
                if slot.since > oldest:
                    self._held.append(slot)
                else:
                    self._answer(slot, _failure(slot, "no_quorum", *self._node.whom_to_wait_for(), "no"))

    def _expire(self) -> None:
        """Fail those for which the time given with them is over; what has not been begun is let go of."""
        due: list[Slot] = []
        while self._deadlines and self._deadlines[0][0] <= self.now:
            slot = heapq.heappop(self._deadlines)[2]()
            if slot is not None and slot.reply is None:
                due.append(slot)
        if not due:
            return
        waiting = self._node.withdraw(due).union(self._held)
        waiting.update(slot for slot in due if type(slot) is WriteSlot and slot.waits)
        late = set(due)
        self._held = deque([slot for slot in self._held if slot not in late])
        for slot in due:
            applied = "no" if slot in waiting else "unknown"
            why = "the time given with the request is over"
            reply = _failure(slot, "timeout", why, "give it more, or see 'status'", applied)
            self._answer(slot, reply, late=applied == "unknown")

    def _give_up_where_behind(self, oldest: int) -> None:
        """Fail what waits for entries that this node may lack for long: it takes in a snapshot, or its disk hangs.

        What has a time of its own has that. A write, whose entry may yet come, is waited for twice as long.
        """
        core = self._node.core
        waiting, self._waiting = self._waiting, []
        for index, number, reads in waiting:
            late = [read for read in reads if read.since <= oldest and read.request.timeout_ms is None]
            if len(late) < len(reads):
                self._waiting.append((index, number, [read for read in reads if read not in late]))
            for read in late:
                why = f"this node is behind: it is at entry {core.last_applied}, and the read must see entry {index}"
                self._answer(read, _failure(read, "timeout", why, "ask another node, or give it a 'timeout_ms'", ""))
        heapq.heapify(self._waiting)
        for index, slot in list(
            takewhile(lambda one: one[1].since <= oldest - self._hold_ticks, self._proposed.items())
        ):
            if index > core.durable_index and slot.request.timeout_ms is None:
                del self._proposed[index]
                why = "this node is behind, and does not have the entry yet that the write became"
                hint = "read the key before you write it again"
                self._answer(slot, _failure(slot, "timeout", why, hint, "unknown"), lost=True)

    # Within

    def reply_size(self, request: AnyRequest) -> int:
        """About how many bytes the reply to a request that changes nothing will have, as things are now."""
        return reckoned(request, self._store, self._node.core)

    def _name(self, slots: Sequence[WriteSlot], first: int, term: int) -> None:
        proposed = self._proposed
        applied = self._node.core.last_applied
        following = first
        gone: list[WriteSlot] = []
        """Applied before they were named: what came of them is not known."""
        for slot in slots:
            index, following = following, following + slot.count
            slot.term = term
            if index > applied and term < self._applied_term:
                self._drop(slot)
                continue
            if (rival := proposed.get(index)) is not None:
                self._fail_unknown([rival], "leader_changed")
            if index <= applied:
                gone.append(slot)
            else:
                proposed[index] = slot
        self._fail_unknown(gone, "leader_changed")

    def _take_unnamed(self, sender: NodeId, number: int, total: int) -> list[WriteSlot]:
        if sender != self._leader or number != self._unnamed_number:
            return []  # about writes that were passed on over an earlier connection
        reached = list(takewhile(lambda count: count <= total, accumulate(slot.count for slot in self._unnamed)))
        if not reached or reached[-1] != total:
            return []  # a peer that errs must not settle what it was not asked
        self._unnamed_number += total
        return [self._unnamed.popleft() for _ in reached]

    def _hears_from_old_leader(self) -> bool:
        """Whether it may still say what became of the writes passed on to it; what came later waits for that."""
        if self._farewell is None:
            self._farewell = self.now + FAREWELL_TICKS
        return self._leader is not None and self._node.linked(self._leader) and self.now < self._farewell

    def _leader_changed(self, leader: NodeId | None, term: int) -> None:
        self._forget_leader()
        self._leader, self._leader_term = leader, term
        self._farewell = None

    def _forget_leader(self) -> None:
        """Nothing that was passed on is passed on twice: writes may have been appended, reads can be asked again."""
        self._unnamed_number += sum(write.count for write in self._unnamed)
        unnamed, self._unnamed = self._unnamed, deque()
        self._fail_unknown(unnamed, "leader_changed")
        for reads in self._asked.values():
            self._held.extend(reads)
        self._asked = {}

    def _fail_unknown(self, slots: Sequence[WriteSlot] | deque[WriteSlot], reason: LostReason) -> None:
        why = {
            "no_quorum": "no majority of the nodes answers",
            "leader_changed": "the leader changed while the write was under way",
        }[reason]
        hint = "read the key before you write it again"
        for slot in slots:  # first of all: an answer to one may be what a read before the next has waited for
            slot.lost = True
            self._hand_on(slot)
        for slot in slots:
            self._answer(slot, _failure(slot, reason, why, hint, "unknown"), lost=True)

    @decides
    def settle(self, slot: Slot, reply: Reply) -> None:
        """Answer a request that was taken care of elsewhere."""
        self._answer(slot, reply)

    def _answer(self, slot: Slot, reply: Reply, late: bool = False, lost: bool = False) -> None:
        """Settle a request, and serve the reads that waited only for it; `late` and `lost` are told of a write."""
        slot.answer(reply)
        if isinstance(slot, WriteSlot):
            slot.late, slot.lost = late, lost
            if slot.reads_before and not late:
                self._hand_on(slot)
        if slot.following is not None:
            self._advance(slot)

    def _hand_on(self, write: WriteSlot) -> None:
        """It is over: the reads before it wait for the next one, and are refused where that may take effect unseen."""
        exposed, write.reads_before = write.owner.hand_on(write), []
        for read in exposed:
            if type(read.request) in _READS:
                why = "a write behind it on its connection may have taken effect, which it must not see"
                self._answer(read, _failure(read, "leader_changed", why, "ask again", ""))

    def _confirm(self, reads: Sequence[ReadSlot]) -> None:
        for read in reads:
            read.confirmed = True
            self._advance(read)

    def _advance(self, slot: Slot) -> None:
        """Answer a read if it may be answered now, and those behind it for which it is the turn then."""
        while slot.turn:
            if slot.reply is None:
                if not isinstance(slot, ReadSlot) or not slot.confirmed:
                    return
                if self._room <= 0 and type(slot.requests[0]) not in _GETS:
                    self._postponed.append(ref(slot))
                    return
                slot.answer(self._read_safely(slot))
            if type(slot) is LaterSlot and slot.writes_behind:
                self._release(slot)
            following = slot.following
            if following is None or following.turn:
                return
            following.turn = True
            slot = following

    def _release(self, later: LaterSlot) -> None:
        """That has come to its end: let what waited for it go its way."""
        writes, later.writes_behind = later.writes_behind, []
        for write in writes:
            write.waits = False
            if write.commands and write.reply is None:  # else it has not come here yet, or is done with
                self._held.append(write)
                self.gathered += write.count

    def _read_safely(self, slot: ReadSlot) -> Reply:
        """The reply; a read changes nothing, and so nothing that fails in it needs to end the node."""
        try:
            return self._read(slot)
        except Exception as error:
            return [internal_reply(bytes(request.id), None, error) for request in slot.requests]

    def _read(self, slot: ReadSlot) -> Reply:
        """The reply, from the state as applied here."""
        request = slot.request
        if isinstance(request, (PlainGet, Get)):
            find = self._store.get
            if slot.count == 1:
                return replies.get_reply(request.id, find(request.key))
            gets = cast("list[PlainGet | Get]", slot.requests)
            return replies.joined([replies.get_reply(get.id, find(get.key)) for get in gets])
        if isinstance(request, Scan):
            self._room -= max(slot.size, LEAST_MADE)
            keys_only = request.keys_only
            items, more = self._store.scan(request.prefix, request.after, request.limit, MAX_SCAN_BYTES, keys_only)
            return replies.scan_reply(slot.id, items, more, keys_only)
        reply = self._node.answer_locally(slot)
        self._room -= max(replies.made_of(reply), RUN_BYTES if isinstance(request, ShowLog) else LEAST_MADE)
        return reply


def _is_open(deadline: tuple[int, int, ReferenceType[Slot]]) -> bool:
    """Whether the request that it is for is not answered yet."""
    slot = deadline[2]()
    return slot is not None and slot.reply is None


_GETS: Final = (PlainGet, Get)
_READS: Final = (PlainGet, Get, Scan)


def _failure(slot: Slot, code: str, message: str, hint: str, applied: str) -> Reply:
    """The reply to what failed of a slot; only of what changes something is it said whether it was applied."""
    done = slot.replies if isinstance(slot, WriteSlot) else []
    said = applied if isinstance(slot, WriteSlot) or isinstance(slot.request, AdminRequest) else None
    failed = slot.requests[len(done) :]
    return done + [replies.error_reply(bytes(one.id), code, message, hint, said) for one in failed]


def _not_leader(slot: Slot, core: Core) -> bytes:
    member = None if core.leader is None else core.configuration.member(core.leader)
    return replies.error_reply(
        slot.id,
        "not_leader",
        "this node does not lead, and the request is not to be passed on",
        'ask the leader, or leave out "forward":false' if member else "no leader is known: try again soon",
        "no" if isinstance(slot, WriteSlot) else None,
        leader=core.leader,
        leader_address=member.address if member else None,
    )


def _payloads(writes: Sequence[WriteSlot]) -> list[bytes]:
    return encode_commands([command for write in writes for command in write.commands])


def _is_plain_put(command: Command) -> bool:
    """Whether nothing can come of it but that it is written."""
    return type(command) is PutCommand and command.if_rev is None
