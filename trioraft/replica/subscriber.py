"""One connection as the listener that it is: what is open there, and the events that have not left yet.

The events wait for no reply and delay none. What waits here has a bound: whoever has reached it gets no more events,
and its streams read the history once there is room again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Container, Iterator
from itertools import chain
from typing import Any, Protocol
from weakref import WeakValueDictionary

from trioraft.wire.events import PROGRESS, head, told
from trioraft.wire.replies import Piece


class Surroundings(Protocol):
    """What it needs of those who tell it something."""

    now: int
    """In ticks."""

    def wake(self, subscriber: Subscriber) -> None:
        """It has room again, and streams that are behind."""

    def close(self, opened: Opened) -> None:
        """Let go of that."""


class Opened:
    """What goes on after its first answer, until it ends or is cancelled."""

    __slots__ = ("__weakref__", "head", "id", "is_open", "subscriber")

    def __init__(self, subscriber: Subscriber, id: bytes) -> None:
        """`id` is that of its request, as it was given; empty where it has none."""
        self.subscriber = subscriber
        self.id = id
        self.head = head(id)
        self.is_open = True

    def tell(self, tail: bytes) -> None:
        """Send an event, of which this is the part behind the id."""
        self.subscriber.tell(self.head, tail)


class Stream(Opened):
    """A watch, or a wait, which ends with its first event."""

    __slots__ = (
        "after",
        "confirmed",
        "interest",
        "is_listing",
        "last_listed",
        "once",
        "position",
        "progress_ticks",
        "synced",
    )

    def __init__(self, subscriber: Subscriber, id: bytes, interest: Any, after: int, *, once: bool = False) -> None:
        """`after`: the revision above which it is told of changes."""
        super().__init__(subscriber, id)
        self.interest = interest
        self.after = after
        self.once = once
        self.position: int | None = None
        """From where on it reads the history, while it is behind; None while each change finds it."""
        self.is_listing = False
        """Whether it still reads the keys that are present."""
        self.last_listed: str | None = None
        """The last key that it has been told of, while it is listing."""
        self.confirmed = False
        """Whether what this node has applied was confirmed to be new enough for it to be called synced."""
        self.synced = once
        """Whether it has been told so, or need not."""
        self.progress_ticks = 0
        """How long its connection may be silent; 0 where it asks nothing of it."""


class Subscriber:
    """The listener at one connection."""

    def __init__(self, notify: Callable[[], None], surroundings: Surroundings, most: int) -> None:
        """`notify` is called when there is something to take. From `most` bytes on, it gets no more for now."""
        self._most = most
        self.behind: dict[Stream, None] = {}
        """The streams that read the history, the one that is next first."""
        self.is_awake = False
        """Whether those are about to go on."""
        self.heard = surroundings.now
        """The tick of its newest event."""
        self.alarm = 0
        """The tick at which it is to be looked whether it has been silent for too long; 0 where it is not."""
        self.ahead = 0
        """No stream begins above this revision."""
        self.claims: WeakValueDictionary[bytes, Any] = WeakValueDictionary()
        """The newest request under each id that may open something."""
        self._notify = notify
        self._surroundings = surroundings
        self._named: dict[bytes, Opened] = {}
        self._unnamed: dict[Opened, None] = {}
        self._progress: Counter[int] = Counter()
        """How many streams ask for each length of silence."""
        self._opening: list[object] = []
        """The first answers that may not have left yet; no event leaves before them."""
        self._pending: deque[tuple[bytes, bytes]] = deque()
        self._size = 0
        self._rest: memoryview | None = None
        """What has not left of a line whose beginning has."""
        self._told_progress = b""
        """The newest event that says how far all streams are."""

    # What is open

    def __len__(self) -> int:
        return len(self._named) + len(self._unnamed)

    def __iter__(self) -> Iterator[Opened]:
        return chain(list(self._named.values()), list(self._unnamed))

    def find(self, id: bytes) -> Opened | None:
        """What is open under that id."""
        return self._named.get(id)

    def open(self, opened: Opened, answer: object) -> None:
        """Take up what is opened by that answer."""
        self._opening.append(answer)
        if opened.id:
            self._named[opened.id] = opened
        else:
            self._unnamed[opened] = None
        if isinstance(opened, Stream):
            self.ahead = max(self.ahead, opened.after)
            self._take_progress_back()
            if opened.progress_ticks:
                self._progress[opened.progress_ticks] += 1

    def close(self, opened: Opened) -> None:
        """Let go of it."""
        opened.is_open = False
        if opened.id:
            del self._named[opened.id]
        else:
            del self._unnamed[opened]
        if isinstance(opened, Stream):
            self.behind.pop(opened, None)
            if ticks := opened.progress_ticks:
                self._progress[ticks] -= 1
                if not self._progress[ticks]:
                    del self._progress[ticks]

    def is_ahead_of(self, applied: int) -> bool:
        """Whether a stream hears nothing before a later revision than that."""
        if self.ahead > applied:
            self.ahead = max([opened.after for opened in self if isinstance(opened, Stream)], default=0)
        return self.ahead > applied

    @property
    def progress_ticks(self) -> int | None:
        """How long it may be silent; None where that is for ever."""
        return min(self._progress, default=None)

    @property
    def is_over(self) -> bool:
        """Whether nothing is open, and every event has left."""
        return not (self._named or self._unnamed or self.has_events)

    # Events

    @property
    def has_events(self) -> bool:
        """Whether there are events that have not left."""
        return bool(self._pending) or self._rest is not None

    @property
    def is_full(self) -> bool:
        """Whether it gets no more events for now, but the last ones of streams."""
        return self._size >= self._most

    @property
    def room(self) -> int:
        """How many bytes of events it gets before it is full."""
        return self._most - self._size

    def tell(self, head: bytes, tail: bytes) -> None:
        """Put an event behind the others."""
        self._pending.append((head, tail))
        self._size += len(head) + len(tail)
        self.heard = self._surroundings.now
        self._notify()

    def tell_progress(self, at: int) -> None:
        """Say that every stream has been sent every event up to that revision."""
        self._told_progress = told(PROGRESS, at)
        self.tell(head(b""), self._told_progress)

    def _take_progress_back(self) -> None:
        """Drop it if it has not left: it would leave behind the answer that opens a stream which is not so far."""
        if self._told_progress and self._pending:
            self._keep([event for event in self._pending if event[1] is not self._told_progress])

    def _keep(self, events: list[tuple[bytes, bytes]]) -> None:
        self._pending = deque(events)
        self._size = sum(len(head) + len(tail) for head, tail in events)

    def take_back(self, id: bytes) -> bytes | None:
        """Drop the events of what was open under that id, and return the end of the last; one that has begun stays."""
        first = head(id)
        tails = [event[1] for event in self._pending if event[0] == first]
        if tails:
            self._keep([event for event in self._pending if event[0] != first])
        return tails[-1] if tails else None

    def take(self, room: int, unanswered: Container[object]) -> list[Piece]:
        """Remove and return the next events, at most `room` bytes, while no first answer is among `unanswered`."""
        if self._opening:
            self._opening = [answer for answer in self._opening if answer in unanswered]
            if self._opening:
                return []
        pieces: list[Piece] = []
        while self._pending and room > len(self._pending[0][0]):
            head, tail = self._pending.popleft()
            self._size -= len(head) + len(tail)
            pieces.append(head)
            room -= len(head)
            if len(tail) > room:
                self._rest = memoryview(tail)
                pieces += self.finish_line(room)
                break
            pieces.append(tail)
            room -= len(tail)
        if self.behind and not self.is_full:
            self._surroundings.wake(self)
        return pieces

    @property
    def is_cut(self) -> bool:
        """Whether a line has begun to leave, and its end has not."""
        return self._rest is not None

    def finish_line(self, room: int) -> list[Piece]:
        """Remove and return the rest of a line that has begun to leave, or `room` bytes of it."""
        rest = self._rest
        if rest is None:
            return []
        self._rest = rest[room:] if len(rest) > room else None
        return [rest[:room]]

    def abandon(self) -> None:
        """Close all that is open, and drop all events, for good."""
        for opened in self:
            self._surroundings.close(opened)
        self._pending.clear()
        self._opening.clear()
        self._rest = None
        self._notify = _to_nobody


def _to_nobody() -> None:
    """Called instead when there is nobody to take anything."""
