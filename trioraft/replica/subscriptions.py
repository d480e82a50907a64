"""Watches and waits: how they begin, how they are cancelled, and what they are told because time has passed.

What is asked here is a read that goes on: its slot is answered once, and then events follow (`fan_out`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from trioraft.machine import Machine
from trioraft.raft.core import Core
from trioraft.replica.alarms import Alarms
from trioraft.replica.confirming import CONFIRM, Confirming
from trioraft.replica.fan_out import FanOut, Portions, compacted
from trioraft.replica.lock_waits import LockWait, LockWaits
from trioraft.replica.ports import ticks_of
from trioraft.replica.slots import ReadSlot, Slot, WriteSlot
from trioraft.replica.subscriber import Stream, Subscriber
from trioraft.wire import events, replies
from trioraft.wire.operations import Cancel, Wait, Watch
from trioraft.wire.replies import Reply
from trioraft.wire.table import Request

MOST_A_CONNECTION: Final = 10_000
"""The most watches, waits and waiting locks that are open on a connection,"""
MOST: Final = 100_000
"""and at a node."""


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core

    @property
    def cluster(self) -> str:
        """The id of the cluster; empty before it has formed."""

    @property
    def is_removed(self) -> bool:
        """Whether this node knows that it is a member no more."""

    def whom_to_wait_for(self) -> tuple[str, str]:
        """Why there is no leader, and what to do, for a person."""


class Subscriptions:
    """All that is open on the connections of this node."""

    def __init__(
        self,
        node: Ports,
        machine: Machine,
        hold_ticks: int,
        accept: Callable[[ReadSlot], None],
        write: Callable[[WriteSlot, Any], None],
        answer: Callable[[Slot, Reply], None],
        portions: Portions,
    ) -> None:
        """`accept` takes a read that this node asks itself, and `write` a write, with its command; `answer` a reply.

        `hold_ticks`: how long it tries to give up the place in the queue of a lock.
        """
        self.stopping = False
        """Whether nothing new is opened."""
        self.fan_out = FanOut(node, machine.streams, portions)
        self._node = node
        self._confirming = Confirming(accept, self.fan_out.confirm)
        self.locks = LockWaits(node, self.fan_out, hold_ticks, write, answer)
        self._silences: Alarms[Subscriber] = Alarms()
        """When to look which connections were silent for too long."""
        self._waits: Alarms[Stream] = Alarms()
        """When waits are over."""

    @property
    def hurries(self) -> bool:
        """Whether the next turn has something to do for what is open, whatever comes in."""
        fan_out = self.fan_out
        return fan_out.hurries or self._confirming.wants(fan_out.now) or self.locks.hurries

    @property
    def next_due(self) -> int:
        """The tick at which something is to be told because time has passed."""
        return min(self._silences.next, self._waits.next, self.locks.next_due)

    def begin_turn(self) -> None:
        """Ask for what has to be confirmed, as something is open."""
        self._confirming.ask(self.fan_out.now)
        self.locks.begin_turn()

    # From the clients

    def begin(self, slot: ReadSlot) -> Reply | None:
        """Carry out a request, and make its reply; None where that follows later."""
        if slot.operation is CONFIRM or slot.owner.abandoned:
            return b""
        return _BEGINNINGS[slot.operation.request](self, slot, slot.request)

    def _watch(self, slot: ReadSlot, request: Watch) -> Reply:
        refusal = self._refusal(slot, request.cluster)
        source, applied = self.fan_out.source, self._node.core.last_applied
        if refusal is not None or source is None:
            return refusal or b""
        after = applied if request.after_rev is None else request.after_rev
        if request.after_rev is not None and after < (first := self.fan_out.first_rev):
            return replies.error_reply(slot.id, *compacted(first), None, first_rev=first)
        stream = Stream(self.fan_out.listener(slot.owner), slot.id, request.interest, after)
        stream.progress_ticks = ticks_of(request.progress_ms)
        stream.is_listing = request.initial
        self.fan_out.open(stream, slot)
        if request.initial:
            self.fan_out.begin_behind(stream, source.end)
        elif after < applied:
            self.fan_out.begin_behind(stream, source.position_after(after))
        else:
            self.fan_out.enter(stream, after)
        if request.after_rev is None or request.read == "stale":
            self.fan_out.confirm(stream)
        else:
            self._confirming.add(stream)
        self._listen_for_silence(stream.subscriber)
        return self._opened(slot, at=after)

    def _wait(self, slot: ReadSlot, request: Wait) -> Reply:
        refusal = self._refusal(slot, request.cluster)
        source, applied = self.fan_out.source, self._node.core.last_applied
        if refusal is not None or source is None:
            return refusal or b""
        if (state := source.look(request.interest, applied)) is not None:
            return replies.ok_reply(slot.id, state)
        if request.wait_ms == 0:
            return replies.error_reply(slot.id, *_NOT_YET, None)
        stream = Stream(self.fan_out.listener(slot.owner), slot.id, request.interest, applied, once=True)
        self.fan_out.open(stream, slot)
        self.fan_out.enter(stream, applied)
        if request.wait_ms is not None:
            self._waits.set(self.fan_out.now + ticks_of(request.wait_ms), stream)
        return self._opened(slot, at=applied)

    def _cancel(self, slot: ReadSlot, request: Cancel) -> Reply | None:
        subscriber, id = slot.owner.subscriber, bytes(request.request)
        opened = None if subscriber is None else subscriber.find(id)
        if isinstance(opened, LockWait):
            self.locks.cancel(opened, slot)
            return None
        if opened is not None:
            self.fan_out.close(opened)
        # Its last events must not follow the answer. If one of them says that a lock is held, the answer does.
        last = None if subscriber is None else subscriber.take_back(id)
        fence = None if last is None else events.fence_of(last)
        return replies.object_reply(slot.id, {} if fence is None else {"fence": fence})

    def claim(self, slot: Slot) -> None:
        """Note that a request came which may open something under its id."""
        if slot.request.id:
            self.fan_out.listener(slot.owner).claims[slot.id] = slot

    def refusal_of_lock(self, slot: WriteSlot) -> tuple[str, str, str] | None:
        """Why this request for a lock could not wait under its id, if so; else it claims that."""
        subscriber = slot.owner.subscriber
        if subscriber is not None:
            claim = subscriber.claims.get(slot.id)
            if subscriber.find(slot.id) is not None or (claim is not None and claim.reply is None):
                return _NOT_UNIQUE
        if self._is_full(subscriber):
            return _TOO_MUCH
        self.claim(slot)
        return None

    def _is_full(self, subscriber: Subscriber | None) -> bool:
        """Whether nothing more can be open, on that connection or at all."""
        if len(self.fan_out.opened) >= MOST:
            return True
        return subscriber is not None and len(subscriber) >= MOST_A_CONNECTION

    def _refusal(self, slot: ReadSlot, cluster: str | None) -> bytes | None:
        """Why nothing more can be opened under that id, if so."""
        subscriber, own = slot.owner.subscriber, self._node.cluster
        if self.stopping:
            return replies.error_reply(slot.id, "shutting_down", "this node is stopping", "ask another node", None)
        if not own:
            return replies.error_reply(slot.id, "no_quorum", *self._node.whom_to_wait_for(), None)
        if cluster not in (None, own):
            why = f"this is cluster {own}, and not {cluster}"
            return replies.error_reply(slot.id, "membership", why, "begin anew, without revisions of that one", None)
        if self.fan_out.source is None:
            why = "what is replicated here tells nobody of its changes"
            return replies.error_reply(slot.id, "bad_request", why, "read it again and again", None)
        if subscriber is not None and subscriber.find(slot.id) is not None:
            return replies.error_reply(slot.id, *_NOT_UNIQUE, None)
        if self._is_full(subscriber):
            return replies.error_reply(slot.id, *_TOO_MUCH, None)
        return None

    def _opened(self, slot: ReadSlot, at: int) -> Reply:
        return replies.object_reply(slot.id, {"waiting": True, "at": at, "cluster": self._node.cluster})

    # From the clock

    def tick(self) -> None:
        """End the waits whose time is over, and tell connections that were silent for long how far they are."""
        now, fan_out = self.fan_out.now, self.fan_out
        if fan_out.opened and self._node.is_removed:
            self._end_all("no_quorum", *self._node.whom_to_wait_for())  # nothing happens here any more
        self.locks.tick()
        for wait in self._waits.pop_due(now):
            if not wait.is_open:
                continue
            if wait.position is None and fan_out.is_level:
                fan_out.end(wait, *_NOT_YET)
            else:
                self._waits.set(now + 1, wait)  # what is applied already may end it
        for subscriber in self._silences.pop_due(now):
            if 0 < subscriber.alarm <= now:
                self._end_silence(subscriber)

    def _listen_for_silence(self, subscriber: Subscriber, soonest: int = 0) -> None:
        """Let it be looked whether the connection is silent for too long, at tick `soonest` or later."""
        if (ticks := subscriber.progress_ticks) is None:
            return
        due = max(subscriber.heard + ticks, soonest)
        if not 0 < subscriber.alarm <= due:
            subscriber.alarm = due
            self._silences.set(due, subscriber)

    def _end_silence(self, subscriber: Subscriber) -> None:
        """If the connection is silent for too long, tell it how far all its watches are."""
        now, fan_out, applied = self.fan_out.now, self.fan_out, self._node.core.last_applied
        subscriber.alarm = 0
        ticks = subscriber.progress_ticks
        if ticks is not None and subscriber.heard + ticks <= now:
            if subscriber.has_events:
                subscriber.heard = now  # its client hears them once it reads
            elif fan_out.is_level and not subscriber.behind and not subscriber.is_ahead_of(applied):
                subscriber.tell_progress(applied)
        self._listen_for_silence(subscriber, now + 1)

    # From the node

    def bring(self) -> bool:
        """Bring events on their way; whether there were any."""
        return self.fan_out.bring()

    def restore(self, machine: Machine, applied: int) -> None:
        """The state is another; the former one had reached entry `applied`."""
        if machine.streams is not self.fan_out.source:
            self.fan_out.move(machine.streams, applied)
            self.locks.restore()

    def stop(self) -> None:
        """Close all that is open, and open nothing more."""
        self.stopping = True
        self._end_all("shutting_down", "this node is stopping", "go on at another node")

    def _end_all(self, code: str, message: str, hint: str) -> None:
        for opened in list(self.fan_out.opened):
            if not isinstance(opened, LockWait) or not opened.cancels:  # the answer to those is under way
                self.fan_out.end(opened, code, message, hint)


_NOT_UNIQUE: Final = "bad_request", "that id is open", "use another, or cancel it"
_TOO_MUCH: Final = (
    "overloaded",
    f"at most {MOST_A_CONNECTION:,} are open on a connection, and {MOST:,} at a node",
    "cancel some, or ask another node",
)
_NOT_YET: Final = "timeout", "the key was not in that state within 'wait_ms'", "read the key, or wait longer"
_BEGINNINGS: Final[dict[type[Request], Callable[[Subscriptions, ReadSlot, Any], Reply | None]]] = {
    Watch: Subscriptions._watch,
    Wait: Subscriptions._wait,
    Cancel: Subscriptions._cancel,
}
"""How each operation of this kind begins."""
