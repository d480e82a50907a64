"""One client's connection, without the connection: bytes in, requests out; replies and events in, bytes out.

Each request, or several plain ones in a row, has a slot in a queue. The replies leave in that order, in whatever order
they come to be known (`slots`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from trioraft.replica.failures import unread_reply
from trioraft.replica.slots import LaterSlot, LeaseSlot, Queue, ReadSlot, Slot, WriteSlot
from trioraft.replica.subscriber import Subscriber
from trioraft.wire import replies
from trioraft.wire.framing import LineBuffer, LineTooLong
from trioraft.wire.operations import OPERATION_OF, UNREAD
from trioraft.wire.parsing import HttpRequest, is_plain, parse_alike, parse_request
from trioraft.wire.replies import Piece
from trioraft.wire.table import AnyRequest, Operation

log = logging.getLogger("trioraft.node")

MAX_UNANSWERED: Final = 1024
MAX_UNANSWERED_BYTES: Final = 4 * 1024 * 1024

_NO_HTTP: Final = b"This is trioraft: it speaks JSON, one object a line, and no HTTP.\n"
HTTP_REFUSAL: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
) % (len(_NO_HTTP), _NO_HTTP)


ReplySize = Callable[[Operation, Sequence[AnyRequest]], int]
"""Estimates how many bytes the replies to requests that change nothing will have."""


def read_alike(lines: bytes, most: int, reply_size: ReplySize) -> tuple[Operation, list[AnyRequest], int] | None:
    """Read lines that are all plain requests of one operation.

    Return the operation, the requests, and how many bytes count until they are answered: the lines, and the values
    asked for. None if the lines must be read one by one, so that each that fails has its own answer.
    """
    try:
        requests = parse_alike(lines, most)
        if requests is None:
            return None
        operation = OPERATION_OF[type(requests[0])]
        size = len(lines) if operation.kind == "write" else len(lines) + reply_size(operation, requests)
    except Exception:
        log.exception("requests could not be read together, which is a bug; they are read one by one")
        return None
    return operation, requests, size


class Session:
    """The state of one client's connection."""

    def __init__(self, max_request_bytes: int, on_answered: Callable[[], None], reply_size: ReplySize) -> None:
        """`on_answered` is called whenever a request has got its reply: `take_replies` may have something."""
        self.on_answered = on_answered
        self._reply_size = reply_size  # until it is sent, a reply counts like what was read: it may be large
        self.closing = False
        """Whether nothing more is read, as an error closed it."""
        self.abandoned = False
        """Whether the client is gone, so that no reply can reach it."""
        self.subscriber: Subscriber | None = None
        """The listener to what happens later; None where nothing was ever open."""
        self._buffer = LineBuffer(max_request_bytes)
        self._lines: deque[bytes] = deque()
        self._whole = b""
        """The lines after these, each with its newline, before they are told apart."""
        self._queue = Queue()
        self._slots = self._queue.slots
        self._bytes = 0
        self._count = 0
        """Requests that are not answered yet."""
        self._ended = False
        self._too_long = False
        self._begun = 0
        """How many bytes of the first piece of the first reply have left already."""

    def receive(self, data: bytes) -> None:
        """Accept bytes as they came; none at all is the end of input."""
        if self.closing:
            return
        if self._whole:
            self._tell_apart()
        if not data:
            self._ended = True
            if rest := self._buffer.finish():
                self._lines.append(rest)
            return
        first = data.find(b"\n") + 1
        begin = first if self._buffer.pending else 0
        end = data.rfind(b"\n") + 1 if 0 < first < len(data) else 0
        if not 0 < end - begin <= self._buffer.limit:
            self._cut(data)
            return
        # Several lines: they may be alike, and then need not be told apart.
        if begin:
            self._cut(data[:begin])
        if not self._too_long:
            self._whole = data[begin:end]
            if end < len(data):
                self._cut(data[end:])

    def abandon(self) -> None:
        """Forget everything, for good: what is answered from now on is answered to nobody.

        The requests under way hold this session as their owner. It must not hold them too.
        """
        self.closing = self.abandoned = True
        self.on_answered = _to_nobody
        self._lines.clear()
        self._whole = b""
        self._buffer.finish()
        if self.subscriber is not None:
            self.subscriber.abandon()
            self.subscriber = None
        self._queue.forget()

    def _cut(self, data: bytes) -> None:
        try:
            self._lines.extend(self._buffer.feed(data))
        except LineTooLong as error:
            self._lines.extend(error.lines)
            self._too_long = True

    def _tell_apart(self) -> None:
        whole, self._whole = self._whole, b""
        self._lines.extend(LineBuffer(len(whole)).feed(whole))

    def requests(self, unsent: int) -> list[Slot]:
        """The slots of the requests that may begin now; `unsent` is how many bytes of replies the client left unread.

        A request that is wrong in itself is answered here, in its place. Plain puts in a row share a slot, and so do
        plain gets.
        """
        lines = self._lines
        slots: list[Slot] = []
        run: Slot | None = None
        while (lines or self._whole) and self._has_room(unsent):
            if not lines:
                alike = self._parse_alike()
                if alike is not None:
                    slots.append(alike)
                    break
                self._tell_apart()
                continue  # they may all be blank
            line = lines.popleft()
            size = len(line)
            try:
                request = parse_request(line)
                operation = OPERATION_OF[type(request)]
                requests = [request]
                if operation.kind != "write":
                    size += self._reply_size(operation, requests)
            except HttpRequest:
                self._refuse(HTTP_REFUSAL)
                break
            except Exception as error:
                self.reserve(len(line)).answer(unread_reply(line, error))
                run = None
                continue
            plain = (run is not None or len(lines) > 0) and is_plain(request)
            if run is not None and plain and operation is run.operation:
                run.add(request, size)
                self._count += 1
                self._bytes += size
            else:
                slot = self._slot(operation, requests, size)
                slots.append(slot)
                run = slot if plain else None
        if self._too_long and not self._waiting and not self.closing:
            limit = self._buffer.limit
            self._refuse(
                replies.error_reply(
                    b"",
                    "line_too_long",
                    f"a request is at most {limit} bytes long",
                    "send smaller values, or start the nodes with a larger --max-request-bytes",
                    None,
                )
            )
        return slots

    def reserve(self, size: int, operation: Operation = UNREAD) -> Slot:
        """Reserve a place in reply order for a request of that many bytes that is handled elsewhere."""
        slot = Slot(self, operation, [], size)
        self._queue.append(slot)
        self._count += 1
        self._bytes += size
        return slot

    def reserve_share(self, merged: Slot, count: int) -> Slot:
        """Reserve a place for the replies to `count` requests that `merged` asks, with those of other connections.

        Nothing else may be under way here. What comes later stands behind that place; a write waits for a merged read.
        """
        share = Slot(self, merged.operation, [], 0, count)
        self._queue.append_share(share, merged)
        self._count += count
        return share

    def take_only(self, share: Slot) -> bool:
        """Let go of that place, whose reply leaves at once; False where anything else is under way."""
        slots = self._slots
        if len(slots) != 1 or slots[0] is not share:
            return False
        slots.clear()
        self._queue.forget_answered()
        self._count -= share.count
        return True

    def wants_input(self, unsent: int) -> bool:
        """Whether the connection should be read."""
        return not self._waiting and not self._ended and not self.closing and self._has_room(unsent)

    @property
    def idle(self) -> bool:
        """Whether every request that has begun is answered, and its reply has left."""
        return not self._slots

    @property
    def has_events(self) -> bool:
        """Whether there are events that have not left."""
        return self.subscriber is not None and self.subscriber.has_events

    @property
    def fresh(self) -> bool:
        """Whether it is idle, and what comes next is the beginning of a line."""
        return not self._slots and not self._buffer.pending

    @property
    def done(self) -> bool:
        """Whether the last reply and the last event have left, and no request can follow."""
        listens = self.subscriber is not None and not self.subscriber.is_over
        return not self._slots and (self.closing or (self._ended and not self._waiting and not listens))

    @property
    def _waiting(self) -> bool:
        """Whether lines have come that were not parsed yet."""
        return bool(self._lines or self._whole)

    def pass_reads_on(self, write: WriteSlot) -> Sequence[ReadSlot]:
        """Let the reads before a write that is over wait for the next one, as they must not see that either.

        Return those that may see it all the same, as such a write is lost.
        """
        return () if self.abandoned else self._queue.pass_reads_on(write)

    def outgrown(self, more: int) -> None:
        """Let a reply count for what it is, as it is larger than was estimated and is held until it is sent."""
        self._bytes += more

    def take_replies(self, room: int = MAX_UNANSWERED_BYTES) -> bytes:
        """Remove and return the replies before the first request that is not answered, at most `room` bytes."""
        slots = self._slots
        ready: list[Piece] = []
        if self.subscriber is not None and self.subscriber.is_cut:
            ready = self.subscriber.finish_line(room)
            room = 0 if self.subscriber.is_cut else room - len(ready[0])
        while slots and room > 0 and (reply := slots[0].reply) is not None:
            if isinstance(reply, list):
                size = sum(map(len, reply)) - self._begun
                if size > room or self._begun:
                    ready += self._take_part(slots[0], reply, room)
                    if size > room:
                        break
                else:
                    ready.extend(reply)
                room -= size
            elif len(reply) > room:
                ready += self._take_part(slots[0], [reply], room)
                break
            else:
                ready.append(reply)
                room -= len(reply)
            slot = slots.popleft()
            self._bytes -= slot.size
            self._count -= slot.count
        if not slots:
            self._queue.forget_answered()
        return b"".join(ready)

    def take_events(self, room: int) -> bytes:
        """Remove and return events, at most `room` bytes. They wait for the replies that are ready, and for no other.

        Nothing leaves between the parts of a line.
        """
        subscriber, slots = self.subscriber, self._slots
        if subscriber is None or room <= 0 or subscriber.is_cut or (slots and slots[0].reply is not None):
            return b""
        return b"".join(subscriber.take(room, slots))

    def _take_part(self, slot: Slot, pieces: list[Piece], room: int) -> list[Piece]:
        """The next bytes of the first reply, at most `room`; the others stay."""
        part: list[Piece] = []
        begin, self._begun = self._begun, 0
        for place, piece in enumerate(pieces):
            taken = piece[begin : begin + room]
            part.append(taken)
            room -= len(taken)
            begin += len(taken)
            if begin < len(piece):
                slot.shorten(pieces[place:])
                self._begun = begin
                break
            begin = 0
        return part

    def _has_room(self, unsent: int) -> bool:
        return self._count < MAX_UNANSWERED and self._bytes < MAX_UNANSWERED_BYTES and unsent < MAX_UNANSWERED_BYTES

    def _parse_alike(self) -> Slot | None:
        """Parse the lines not told apart at once, if they are all plain puts or all plain gets and there is room."""
        read = read_alike(self._whole, MAX_UNANSWERED - self._count, self._reply_size)
        if read is None:
            return None
        operation, requests, size = read
        if self._bytes + size > MAX_UNANSWERED_BYTES:
            return None
        self._whole = b""
        return self._slot(operation, requests, size)

    def _slot(self, operation: Operation, requests: list[AnyRequest], size: int) -> Slot:
        """Give requests that came together their place in the queue."""
        slot: Slot
        if operation.kind == "write":
            slot = WriteSlot(self, operation, requests, size, len(requests))
        elif operation.kind in ("leader", "task"):
            slot = LaterSlot(self, operation, requests, size)
        elif operation.kind == "lease":
            slot = LeaseSlot(self, operation, requests, size)
        else:
            slot = ReadSlot(self, operation, requests, size, len(requests))
        self._queue.append(slot)
        self._count += slot.count
        self._bytes += size
        return slot

    def _refuse(self, reply: bytes) -> None:
        self.closing = True
        self._lines.clear()
        self._whole = b""
        self.reserve(0).answer(reply)


def _to_nobody() -> None:
    """Called instead when requests of a client that is gone are answered."""
