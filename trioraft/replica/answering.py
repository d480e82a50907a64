"""Gives slots their replies, and lets what follows them on their connections go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, cast
from weakref import ReferenceType, ref

from trioraft.raft.ready import LostReason
from trioraft.replica.alarms import Alarms
from trioraft.replica.freshness import Freshness
from trioraft.replica.reader import Reader
from trioraft.replica.slots import LaterSlot, LeaseSlot, ReadSlot, Slot, WriteSlot, is_unanswered
from trioraft.wire import replies
from trioraft.wire.replies import Reply
from trioraft.wire.table import ReadRequest

_UNKNOWN_HINT: Final = "read the key before you write it again"


class Answering:
    """The one that answers slots once they are accepted."""

    def __init__(
        self,
        reader: Reader,
        freshness: Freshness,
        release: Callable[[WriteSlot], None],
        begin_lease: Callable[[LeaseSlot], None],
    ) -> None:
        """`release` is called with each write whose wait for a request that takes its time is over.

        `begin_lease` is called with each request about leases that is first on its connection from now on.
        """
        self._reader = reader
        self._freshness = freshness
        self._release_write = release
        self._begin_lease = begin_lease
        self._postponed: deque[ReferenceType[ReadSlot]] = deque()
        """Reads that this turn had no room for; their connections hold them."""
        self._awaited: Alarms[ReadSlot] = Alarms(is_unanswered)
        """Reads that are new enough but for their `min_rev`, at which each goes on."""

    @property
    def postpones(self) -> bool:
        """Whether the next turn has reads to serve, whatever comes in."""
        return bool(self._postponed)

    @property
    def idle(self) -> bool:
        """Whether no read waits for its turn or for a revision."""
        return not self._postponed and self._awaited.idle

    def begin_turn(self) -> None:
        """Serve the reads that the last turn had no room for, as far as this one has."""
        self._reader.begin_turn()
        while self._postponed and self._reader.room > 0:
            if (slot := self._postponed.popleft()()) is not None:
                self._advance(slot)

    def answer(self, slot: Slot, reply: Reply, late: bool = False, lost: bool = False) -> None:
        """Answer a request, and serve the reads that waited only for it; `late` and `lost` are noted of a write."""
        slot.answer(reply)
        if isinstance(slot, WriteSlot):
            slot.late, slot.lost = late, lost
            if slot.reads_before and not late:
                self._pass_reads_on(slot)
        if slot.following is not None:
            self._advance(slot)

    def answer_applied(self, slots: Sequence[WriteSlot], made: Sequence[Reply]) -> WriteSlot | None:
        """Answer writes with the replies to what was applied of them; give back the last, if more of it is to come.

        A reply to one of several requests of a slot is in one piece.
        """
        position = 0
        for slot in slots:
            slot.late = False
            if slot.count == 1:
                slot.answer(made[position])
                position += 1
            else:
                end = position + slot.count - len(slot.replies)
                slot.replies += cast("Sequence[bytes]", made[position:end])
                position = end
                if len(slot.replies) < slot.count:
                    return slot
                slot.answer(slot.replies)
            if slot.following is not None:
                self._advance(slot)
        return None

    def fail(
        self, slot: Slot, code: str, message: str, hint: str, applied: str, late: bool = False, lost: bool = False
    ) -> None:
        """Answer the requests of a slot that failed; `applied` is said only of what changes something."""
        done = slot.replies if isinstance(slot, WriteSlot) else []
        said = applied if slot.operation.changes else None
        failed = slot.requests[len(done) :]
        reply = done + [replies.error_reply(bytes(one.id), code, message, hint, said) for one in failed]
        self.answer(slot, reply, late, lost)

    def fail_unknown(self, slots: Iterable[WriteSlot], reason: LostReason) -> None:
        """Answer writes whose outcome this node cannot know."""
        slots = list(slots)
        why = {
            "no_quorum": "no majority of the nodes answers",
            "leader_changed": "the leader changed while the write was under way",
        }[reason]
        for slot in slots:  # before any is answered: a read before the next may have waited for just that
            slot.lost = True
            self._pass_reads_on(slot)
        for slot in slots:
            self.fail(slot, reason, why, _UNKNOWN_HINT, "unknown", lost=True)

    def confirm(self, reads: Sequence[ReadSlot]) -> None:
        """Note that the state as applied here is new enough for these, and serve those that are first.

        Those that must see a revision beyond it wait for that.
        """
        for read in reads:
            if read.min_rev and read.min_rev > self._reader.applied:
                self._awaited.set(read.min_rev, read)
                continue
            read.confirmed = True
            self._advance(read)

    def applied(self, index: int) -> None:
        """Serve the reads that waited for that revision to be applied."""
        if due := self._awaited.pop_due(index):
            self.confirm(due)

    def give_up_where_behind(self, oldest: int) -> None:
        """Fail the reads that came by that tick and wait for a revision. Those with a `timeout_ms` wait on."""
        for read in self._awaited.pop_if(lambda read: read.since <= oldest and read.request.timeout_ms is None):
            self.fail_behind(read, read.min_rev)

    def fail_behind(self, read: Slot, index: int) -> None:
        """Fail a read that must see that entry, as this node may lack it for long."""
        why = f"this node is behind: it is at entry {self._reader.applied}, and the read must see entry {index}"
        self.fail(read, "timeout", why, "ask another node, or give it a 'timeout_ms'", "")

    def serve_before(self, write: WriteSlot) -> None:
        """Serve the reads before a write that is about to be applied, as they must not see it.

        Its commitment proves that they are not stale. What they waited for on their connection no longer matters. Those
        that must see a revision from that write on cannot be served any more.
        """
        for read in write.reads_before:
            if read.reply is None:
                read.confirmed = read.is_first = True
                late = read.min_rev > self._reader.applied
                reply = _overtaken(read) if late else self._reader.reply(read)
                if reply is not None:
                    read.answer(reply)
                    self._advance(read)
        if write.reads_before:
            write.reads_before = []  # they know of this write, as what follows them

    def _advance(self, slot: Slot) -> None:
        """Answer a read if it may be answered now, and those behind it that are first then."""
        while slot.is_first:
            if slot.reply is None:
                if not isinstance(slot, ReadSlot) or not slot.confirmed:
                    if type(slot) is LeaseSlot:
                        self._begin_lease(slot)
                    return
                if self._reader.room <= 0 and not self._reader.has_at_hand(slot):
                    self._postponed.append(ref(slot))
                    return
                if slot.max_age_ms is not None and self._freshness.age_ms > slot.max_age_ms:
                    slot.answer(self._freshness.refusal(slot))
                elif (reply := self._reader.reply(slot)) is not None:
                    slot.answer(reply)
                else:
                    return  # its answer takes a while
            if isinstance(slot, LaterSlot) and slot.writes_behind:
                self._release(slot)
            following = slot.following
            if following is None or following.is_first:
                return
            following.is_first = True
            slot = following

    def _release(self, later: LaterSlot) -> None:
        """Let the writes that waited for a request go their way, as it has come to its end."""
        writes, later.writes_behind = later.writes_behind, []
        for write in writes:
            write.waits = False
            if write.commands and write.reply is None:  # else it has not come here yet, or is done with
                self._release_write(write)

    def _pass_reads_on(self, write: WriteSlot) -> None:
        """Let the reads before a write that is over wait for the next; refuse them if that may take effect unseen."""
        exposed, write.reads_before = write.owner.pass_reads_on(write), []
        for read in exposed:
            if read.operation.kind == "read" or isinstance(read.request, ReadRequest):
                why = "a write behind it on its connection may have taken effect, which it must not see"
                self.fail(read, "leader_changed", why, "ask again", "")


def _overtaken(read: ReadSlot) -> bytes:
    """The reply to a read whose `min_rev` is no older than the write behind it, which it must not see."""
    why = f"entry {read.min_rev} comes no earlier than the write behind the read on its connection"
    return replies.error_reply(read.id, "timeout", why, "ask again, and write once the read is answered", None)
