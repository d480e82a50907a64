"""Brings the changes of the machine to the streams that want them, a bounded number of events a turn.

A stream that has been told of everything has no position: each change finds it. One whose connection takes no more is
behind, and reads the history from its position on as soon as there is room. So no event waits for a slow client, and a
client that is too slow for the history loses its stream.

- A change finds a stream only above the stream's `after`, as it may have entered before that change was looked for.
- A stream enters when it has read to the end of the history: `after` is then what is applied.
"""

from __future__ import annotations

from collections import Counter, deque
from itertools import chain
from typing import Final, Protocol

import msgspec

from trioraft.machine import Streams
from trioraft.raft.core import Core
from trioraft.replica.alarms import Alarms
from trioraft.replica.slots import Owner, Slot
from trioraft.replica.subscriber import Opened, Stream, Subscriber
from trioraft.wire import events

CHANGES_AN_EVENT: Final = 16
"""How many changes can be looked at in the time that an event takes."""
TOO_SLOW: Final = (
    "slow_consumer",
    "the client reads so slowly that the history does not reach back to it any more",
    "read faster, or watch fewer keys; and begin again",
)


class Portions(msgspec.Struct, frozen=True):
    """How much is told at once, so that nobody waits for it."""

    events_a_turn: int = 256
    """How many events are brought on their way in a turn: the next one follows at once, and begins with requests."""
    slice: int = 1024
    """How many changes are looked at for one stream before others have their turn."""
    page_keys: int = 256
    """The most keys on a page of those that are present."""
    pending_bytes: int = 64 * 1024
    """From this many bytes of events on that have not left, a connection gets no more."""


class Ports(Protocol):
    """What it needs of the node around it."""

    core: Core


class FanOut:
    """The streams of all connections, and how far they are."""

    def __init__(self, node: Ports, source: Streams | None, portions: Portions) -> None:
        self.portions = portions
        self.source = source
        """The changes; None where the machine tells nobody of them."""
        self.now = 0
        """In ticks."""
        self.opened: dict[Opened, None] = {}
        """All that is open, on all connections."""
        self.counts: Counter[type[Opened]] = Counter()
        """How many of each kind these are."""
        self.is_used = False
        """Whether anything is open, or was at the last `bring`, which then has to drop what is left of it."""
        self._node = node
        self._next = 0
        """The position of the first change that has not been looked at for those whom changes find."""
        self._told: list[tuple[list[Stream], bytes]] = []
        """Who has still to be told what of the change before that."""
        self._told_rev = 0
        self._room = 0
        """How many events this turn may still bring."""
        self._awake: deque[Subscriber] = deque()
        """Those with streams that are behind, and with room for their events."""
        self._due: list[Stream] = []
        """Those that are synced once they have been told of all that is applied."""
        self._early: Alarms[Stream] = Alarms()
        """Those that are told nothing before a revision is applied, which stands for the tick."""

    @property
    def first_rev(self) -> int:
        """The revision above which every change can be told."""
        return min(self._source.first_rev, self._node.core.last_applied)

    @property
    def is_level(self) -> bool:
        """Whether every stream that is not behind has been told of all that is applied."""
        source = self.source
        return not self._told and (source is None or not source or self._next >= source.end)

    @property
    def hurries(self) -> bool:
        """Whether the next turn has events to bring, whatever comes in."""
        return bool(self._awake or self._due) or not self.is_level

    # What is open

    def listener(self, owner: Owner) -> Subscriber:
        """The listener at the connection of these requests."""
        if owner.subscriber is None:
            owner.subscriber = Subscriber(owner.on_answered, self, self.portions.pending_bytes)
        return owner.subscriber

    def open(self, opened: Opened, answer: Slot) -> None:
        """Take up what is opened by that answer."""
        self.is_used = True
        self.opened[opened] = None
        self.counts[type(opened)] += 1
        opened.subscriber.open(opened, answer)

    def close(self, opened: Opened) -> None:
        """Let go of it, and tell it nothing more."""
        del self.opened[opened]
        self.counts[type(opened)] -= 1
        opened.subscriber.close(opened)
        if isinstance(opened, Stream) and opened.position is None and self.source is not None:
            self.source.leave(opened.interest, opened)

    def end(self, opened: Opened, code: str, message: str, hint: str, **more: object) -> None:
        """Close it with an error."""
        opened.tell(events.closed(self._node.core.last_applied, code, message, hint, **more))
        self.close(opened)

    def enter(self, stream: Stream, after: int) -> None:
        """Let each change above that revision find it."""
        source = self._source
        if not source:
            self._next = source.end  # nobody has looked at changes for a while
        stream.position = None
        stream.after = after
        source.enter(stream.interest, stream)

    def begin_behind(self, stream: Stream, position: int) -> None:
        """Let it read the history from that position on."""
        stream.position = position
        stream.subscriber.behind[stream] = None
        self.wake(stream.subscriber)

    def confirm(self, stream: Stream) -> None:
        """Note that what is applied now is new enough for it to be called synced."""
        stream.confirmed = True
        if stream.position is None and stream.after == self._node.core.last_applied:
            self._say_if_synced(stream)
        elif stream.position is None:
            self._due.append(stream)

    def wake(self, subscriber: Subscriber) -> None:
        """It has room, and streams that are behind."""
        if not subscriber.is_awake:
            subscriber.is_awake = True
            self._awake.append(subscriber)

    # Events

    def bring(self) -> bool:
        """Bring events on their way, as many as this turn may; whether there were any."""
        if not self.opened:
            self.is_used = False
            self._told, self._due = [], []
            while self._awake:
                self._awake.pop().is_awake = False
            return False
        if self._early.next <= self._node.core.last_applied:
            self._due += self._early.pop_due(self._node.core.last_applied)
        if not self.hurries:
            return False
        self._room = self.portions.events_a_turn
        self._tell_found()
        for _ in range(len(self._awake)):
            if self._room <= 0:
                break
            self._serve(self._awake.popleft())
        if self._due and self.is_level:
            self._say_synced()
        return True

    def _tell_found(self) -> None:
        """Tell those whom changes find."""
        source = self._source
        while self._room > 0:
            if not self._told:
                if self._next < source.begin:
                    self._skip_lost()
                found = source.find(self._next) if source else None
                if found is None:
                    self._next = source.end
                    return
                position, self._told_rev, self._told = found
                self._next = position + 1
            else:
                self._tell_rest()

    def _tell_rest(self) -> None:
        """Tell some of those who have still to be told of a change."""
        streams, tail = self._told[-1]
        while streams and self._room > 0:
            stream = streams.pop()
            self._room -= 1
            if not stream.is_open or stream.position is not None or stream.after >= self._told_rev:
                continue
            if stream.subscriber.is_full:
                self._source.leave(stream.interest, stream)
                stream.position = self._next - 1
                stream.subscriber.behind[stream] = None
            else:
                self._tell(stream, tail)
        if not streams:
            self._told.pop()

    def _skip_lost(self) -> None:
        """End the streams that have not been told of changes which the history holds no more: this node is too slow."""
        source = self._source
        self._next = source.begin
        lost = self.first_rev if self._next == source.end else source.rev_at(self._next) - 1
        for stream in self._streams():
            if stream.position is None and stream.after < lost:
                source.leave(stream.interest, stream)
                if stream.once:
                    self._look_again(stream)
                else:
                    self.end(stream, *TOO_SLOW)

    def _streams(self) -> list[Stream]:
        """All that are open."""
        return [opened for opened in self.opened if isinstance(opened, Stream)]

    def _tell(self, stream: Stream, tail: bytes) -> None:
        stream.tell(tail)
        if stream.once:
            self.close(stream)

    def _serve(self, subscriber: Subscriber) -> None:
        """Let the streams of a connection that are behind go on, one after the other."""
        subscriber.is_awake = False
        behind = subscriber.behind
        while behind and not subscriber.is_full:
            if self._room <= 0:
                self.wake(subscriber)
                return
            stream = next(iter(behind))
            self._advance(stream)
            if stream in behind:
                del behind[stream]
                behind[stream] = None

    def _advance(self, stream: Stream) -> None:
        """Let a stream that is behind read the next slice of the history, or the next page, or enter at the end."""
        source, subscriber, position = self._source, stream.subscriber, stream.position
        assert position is not None
        if stream.is_listing and stream.last_listed is None:
            position = stream.position = source.end  # the first page has it all
        if position < source.begin:
            self.end(stream, *TOO_SLOW)
            return
        if position < source.end:
            most, room = self.portions.slice, subscriber.room
            tails, stream.position = source.read(stream.interest, position, most, room, stream.last_listed)
            self._room -= 1 + (stream.position - position) // CHANGES_AN_EVENT
            self._tell_some(stream, tails)
        elif stream.is_listing:
            most, room = self.portions.page_keys, subscriber.room
            tails, stream.last_listed = source.page(stream.interest, stream.last_listed, most, room)
            self._room -= 1
            stream.is_listing = stream.last_listed is not None
            self._tell_some(stream, tails)
        if stream.is_open and stream.position == source.end and not stream.is_listing:
            del subscriber.behind[stream]
            self.enter(stream, self._node.core.last_applied)
            self._say_if_synced(stream)

    def _tell_some(self, stream: Stream, tails: list[bytes]) -> None:
        self._room -= len(tails)
        for tail in tails:
            self._tell(stream, tail)

    def _say_synced(self) -> None:
        """Tell streams that they are synced, as all have been told of what is applied, unless they are behind."""
        due, self._due = self._due, []
        for stream in due:
            if stream.is_open and stream.position is None:
                if stream.after > self._node.core.last_applied:  # it hears nothing before that
                    self._early.set(stream.after, stream)
                else:
                    self._say_if_synced(stream)

    def _say_if_synced(self, stream: Stream) -> None:
        if stream.confirmed and not stream.synced:
            stream.synced = True
            stream.tell(events.told(events.SYNCED, self._node.core.last_applied))

    @property
    def _source(self) -> Streams:
        assert self.source is not None
        return self.source

    # After an installed snapshot

    def move(self, source: Streams | None, applied: int) -> None:
        """Go on with the history of another state, which replaces this one; it was that of entry `applied`."""
        if self.source is not None and self._next < self.source.begin:
            self._skip_lost()
        streams = self._streams()
        untold = set(chain.from_iterable([those for those, _ in self._told]))
        places = [self._place(stream, applied, stream in untold) for stream in streams]
        self.source, self._told, self._due = source, [], []
        self._next = 0 if source is None else source.end
        for stream, place in zip(streams, places, strict=True):
            stream.subscriber.behind.pop(stream, None)
            if stream.once:
                self._look_again(stream)
            elif place is None:
                self.end(stream, *TOO_SLOW)
            else:
                self._go_on(stream, *place)
            if stream.is_open and stream.confirmed and not stream.synced:
                self.confirm(stream)

    def _place(self, stream: Stream, applied: int, untold: bool) -> tuple[int, int] | None:
        """How far a stream is: up to this revision, and so many changes of the next one; None where it is too slow.

        `untold`: the last change that was looked at has still to be told to it.
        """
        source, position = self._source, stream.position
        if position is None:
            position = self._next - untold
            if position < source.begin:
                return None
            while position < source.end and source.rev_at(position) <= stream.after:
                position += 1
        if position == source.end:
            return max(applied, stream.after), 0
        if position < source.begin:
            return None
        first = position
        while first > source.begin and source.rev_at(first - 1) == source.rev_at(position):
            first -= 1
        return source.rev_at(position) - 1, position - first

    def _go_on(self, stream: Stream, rev: int, changes: int) -> None:
        """Let a stream go on behind that revision and so many changes of the next."""
        source = self._source
        if rev > self._node.core.last_applied:
            self.enter(stream, rev)
        elif stream.is_listing and stream.last_listed is None:
            self.begin_behind(stream, source.end)
        elif rev >= (first := self.first_rev):
            self.begin_behind(stream, source.position_after(rev) + changes)
        else:
            self.end(stream, *compacted(first), first_rev=first)

    def _look_again(self, stream: Stream) -> None:
        """Tell a wait if what it waits for holds now."""
        at = self._node.core.last_applied
        if (state := self._source.look(stream.interest, at)) is not None:
            self._tell(stream, events.HELD + state)
        else:
            self.enter(stream, at)


def compacted(first_rev: int) -> tuple[str, str, str]:
    """The error of what would begin before the history does."""
    why = f"the history begins above revision {first_rev}"
    return "compacted", why, "read the keys anew, or ask with 'initial', and go on from there"
