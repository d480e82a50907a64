"""The changes of the store as streams of events (`trioraft.machine.Streams`): who wants them, and their text.

An event's text is made once for all who are told of it, but for the few who read a part of the history by themselves.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable
from itertools import pairwise
from typing import Any, Final, Protocol

from trioraft.kv.commands import GiveUp
from trioraft.kv.history import Change, Gone, revision
from trioraft.kv.interests import Condition, Interest, PrefixInterest
from trioraft.kv.items import Item, unpack
from trioraft.kv.locks import LockNews
from trioraft.kv.store import Store
from trioraft.kv.watches import Watches

KEPT: Final = 1024
"""The most texts of events that are kept for others who read the same part of the history."""
KEPT_BYTES: Final = 1024 * 1024


class Events(Protocol):
    """The text of events, without the part that names the request."""

    def put(self, key: str, item: Item, more: bool, initial: bool = False) -> bytes:
        """A key was written; `more`: at the same revision another event follows; `initial`: it was there before."""

    def delete(self, key: str, rev: int, by_lease: bool, more: bool) -> bytes:
        """A key was removed."""

    def state(self, item: Item | None, at: int) -> bytes:
        """The state of a key, as the end of a reply."""

    def held(self, item: Item | None, at: int) -> bytes:
        """A key is in the state that was waited for."""


class KeyStreams:
    """The streams of one store."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._history = store.history
        self._events = events
        self._watches: Watches[Hashable] = Watches()
        self._kept: dict[tuple[int, bool], bytes] = {}
        """Texts of events, by position and `more`."""
        self._kept_bytes = 0
        self._last: dict[str, int] = {}
        """For each prefix of interest: the position of the last change with it, at the revision `_last_of`."""
        self._last_of = 0

    # Positions

    @property
    def begin(self) -> int:
        """The first position that can still be read."""
        return self._history.base

    @property
    def end(self) -> int:
        """The position that the next change will have."""
        return self._history.end

    @property
    def first_rev(self) -> int:
        """The revision above which every change is known, by the bounds of the history."""
        return self._history.first_rev

    def position_after(self, rev: int) -> int:
        """The position of the first change above that revision, which must not be below `first_rev`."""
        return self._history.position_after(rev)

    def rev_at(self, position: int) -> int:
        """The revision of the change at that position, which can still be read."""
        return self._history.rev_at(position)

    # Places in the queues of locks

    @property
    def news(self) -> list[LockNews]:
        """What became of places; whoever applies entries empties it."""
        return self._store.locks.news

    def place(self, name: str, lease: int, entry: int) -> LockNews | None:
        """What has become of the place that this entry owned; None where it owns it still."""
        lock = self._store.locks.get(name)
        if lock is not None and lock.lease == lease:
            return LockNews(name, lease, entry, "locked", lock.fence)
        place = None if lock is None else lock.queue.get(lease)
        if place is not None and place.entry == entry:
            return None
        ended = self._store.leases.get(lease) is None
        return LockNews(name, lease, entry, "lease_expired" if ended else "superseded")

    def giving_up(self, name: str, lease: int, entry: int) -> GiveUp:
        """Make the command that gives up the place that this entry owns."""
        return GiveUp(name, lease, entry)

    # Those who want to be told of each change as it comes

    def __bool__(self) -> bool:
        return bool(self._watches)

    def enter(self, interest: Interest, who: Hashable) -> None:
        """Find `who` for each change of interest from now on."""
        self._watches.add(interest, who)

    def leave(self, interest: Interest, who: Hashable) -> None:
        """Find `who` no more."""
        self._watches.remove(interest, who)

    def find(self, position: int) -> tuple[int, int, list[tuple[list[Any], bytes]]] | None:
        """The first change from that position on that anybody wants; None where there is none.

        Its position, its revision, and who is told what.
        """
        history, watches = self._history, self._watches
        base = history.base
        place = watches.first(history.keys, position - base, len(history.keys))
        if place == len(history.keys):
            return None
        key, change = history.keys[place], history.items[place]
        rev = revision(change)
        told: list[tuple[list[Any], bytes]] = []
        if some := watches.of_key(key):
            told.append((some, self._event(key, change, False)))
        for prefix, those in watches.of_prefixes(key):
            told.append((those, self._event(key, change, self._has_more(prefix, place, rev))))
        item = _item(change)
        if held := [who for who, condition in watches.of_condition(key) if condition.holds(item)]:
            told.append((held, self._events.held(item, rev)))
        return base + place, rev, told

    def _has_more(self, prefix: str, place: int, rev: int) -> bool:
        """Whether another change with that prefix follows at the same revision."""
        history = self._history
        if place + 1 == len(history.keys) or revision(history.items[place + 1]) != rev:
            return False
        if rev != self._last_of:
            self._last_of, self._last = rev, {}
            for later in range(place, self._entry_end(place)):
                for one in self._watches.prefixes(history.keys[later]):
                    self._last[one] = history.base + later
        return self._last.get(prefix, 0) > history.base + place

    # Those who read by themselves

    def read(
        self, interest: Interest, position: int, most: int, room: int, upto: str | None
    ) -> tuple[list[bytes], int]:
        """Events of interest from that position on, and the position at which to go on.

        They come out of some `most` changes, until they have `room` bytes. With `upto` only those of keys up to that
        one. It ends with the last change of a revision, or where the room does.
        """
        history = self._history
        keys, base = history.keys, history.base
        begin = position - base
        end = len(keys)
        if begin + most < end:
            end = self._entry_end(begin + most - 1)
        places = interest.find(keys, begin, end)
        if upto is not None:
            places = [place for place in places if keys[place] <= upto]
        events: list[bytes] = []
        for place, following in pairwise([*places, -1]):
            rev = revision(history.items[place])
            if isinstance(interest, Condition):
                item = _item(history.items[place])
                if not interest.holds(item):
                    continue
                return [self._events.held(item, rev)], base + place + 1
            more = following > 0 and revision(history.items[following]) == rev
            events.append(self._kept_event(place, more))
            room -= len(events[-1])
            if room <= 0:
                end = place + 1
                break
        return events, base + end

    def page(self, interest: Interest, after: str | None, most: int, room: int) -> tuple[list[bytes], str | None]:
        """The first keys of interest after that one, as they are now, as events; and the last, if others follow."""
        put = self._events.put
        if not isinstance(interest, PrefixInterest):
            item = self._store.get(interest.key)
            return [] if item is None else [put(interest.key, item, False, True)], None
        items, more = self._store.scan(interest.prefix, after, most, max(room, 1))
        return [put(key, item, False, True) for key, item in items], items[-1][0] if more else None

    def look(self, interest: Interest, at: int) -> bytes | None:
        """The state that is waited for, as the end of a reply, if the key is in it now, at that revision."""
        assert isinstance(interest, Condition)
        item = self._store.get(interest.key)
        return self._events.state(item, at) if interest.holds(item) else None

    def _entry_end(self, place: int) -> int:
        """The place behind the last change of the same revision."""
        items = self._history.items
        return bisect_right(items, revision(items[place]), place, key=revision)

    def _event(self, key: str, change: Change, more: bool) -> bytes:
        if isinstance(change, Gone):
            return self._events.delete(key, change.rev, change.by_lease, more)
        return self._events.put(key, unpack(change), more)

    def _kept_event(self, place: int, more: bool) -> bytes:
        history = self._history
        name = history.base + place, more
        event = self._kept.get(name)
        if event is None:
            event = self._event(history.keys[place], history.items[place], more)
            if len(self._kept) == KEPT or self._kept_bytes + len(event) > KEPT_BYTES:
                self._kept, self._kept_bytes = {}, 0
            self._kept[name] = event
            self._kept_bytes += len(event)
        return event


def _item(change: Change) -> Item | None:
    return None if isinstance(change, Gone) else unpack(change)
