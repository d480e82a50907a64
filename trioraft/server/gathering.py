"""Gathering: the requests of many clients become one, and a batch waits for more of them where that pays.

A turn, a batch, a sync and a message to a peer cost the same for one request as for a hundred. So plain requests of one
kind that come on many connections at once are merged into one slot (`Gathering`), and the node waits a moment for
more to come where others are under way (`Pace`).

The order of each connection's requests holds by construction: a client reserves a place in its own session for what is
merged, and its reply is put there. What the client asks next stands behind that place, like behind any other request.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from trioraft.replica.failures import decides
from trioraft.replica.requests import Requests
from trioraft.replica.session import read_alike
from trioraft.replica.slots import ReadSlot, Slot, Unordered, WriteSlot
from trioraft.wire.replies import Piece, Reply
from trioraft.wire.table import AnyRequest, Operation

FEW: Final = 4
"""The requests of fewer clients are not merged: it would cost more than it saves."""
MANY: Final = 64
"""The most clients whose requests are merged into one slot."""
JOINING_BYTES: Final = 8 * 1024
"""The most bytes that a client may have asked at once to be merged with others."""
MERGED_REPLY_BYTES: Final = 64 * 1024
"""The most bytes of values that gets may ask for together to be merged."""

GATHER_SECONDS: Final = 0.001
"""The longest time for which writes wait for more to come."""
SLICE_PAUSE_SECONDS: Final = 0.001
"""The shortest time between two slices of a snapshot while there are requests: these come first."""
PLENTY: Final = 128
"""From this many requests on, the fixed cost of a batch no longer matters: propose at once."""
GATHER_ROUNDS: Final = 8
"""How often more is taken in before a turn, at most."""
SPINS_AFTER_TICKS: Final = 10
"""After this many ticks without a write, a leader may spin. A single client whose writes wait for disks leaves gaps of
more than a tick."""
MANY_UNCOMMITTED: Final = 32
"""A leader with more entries under way does not wait for its own disk: the others commit them without."""


class Client(Protocol):
    """What gathering needs of a client's connection."""

    lines: bytes
    """Whole lines that were not looked at yet; empty where they are no longer to be merged."""

    def reserve(self, merged: Slot) -> Slot:
        """Give its lines, which are asked with `merged`, one place in its session."""

    def deliver(self, place: Slot, reply: Reply) -> None:
        """Send the reply to what has that place, in its turn."""

    def go_alone(self) -> None:
        """Ask its lines by itself."""


class Dirty(Protocol):
    """Somebody who has replies to send."""

    def flush(self) -> bool:
        """Send a portion of them; True where that made room for requests that had waited."""


class Ports(Protocol):
    """What gathering needs of its node."""

    requests: Requests
    dirty: deque[Dirty]


class Gathering:
    """Clients whose requests may be merged, until they are looked at together."""

    def __init__(self, node: Ports) -> None:
        self._node = node
        self._clients: list[Client] = []

    def add(self, client: Client) -> None:
        """Look at the client's lines with those of others, at the next `merge`."""
        self._clients.append(client)

    def merge(self) -> None:
        """Take all these requests: merged where many clients ask for the same kind of thing, else one by one."""
        if not self._clients:
            return
        clients, self._clients = self._clients, []
        puts: list[Client] = []
        others: list[Client] = []
        for client in clients:
            if client.lines:
                (puts if b'"put"' in client.lines else others).append(client)
        for alike in (puts, others):
            for begin in range(0, len(alike), MANY):
                self._take(alike[begin : begin + MANY])

    def _take(self, clients: Sequence[Client]) -> None:
        """Take what these have asked, which is probably of one kind."""
        lines = b"".join([client.lines for client in clients])
        read = read_alike(lines, len(lines), self._node.requests.reply_size) if len(clients) >= FEW else None
        if read is not None:
            operation, requests, size = read
            if size - len(lines) <= MERGED_REPLY_BYTES:
                Merged(self._node, clients, operation, requests, len(lines))
                return
        for client in clients:
            client.go_alone()


class Merged(Unordered):
    """Plain requests of one kind from many connections, in one slot; the replies are dealt out to their places."""

    def __init__(
        self, node: Ports, clients: Sequence[Client], operation: Operation, requests: list[AnyRequest], size: int
    ) -> None:
        """`requests` are what these clients have asked, one client after the other, in `size` bytes of lines."""
        self._node = node
        self._count = len(requests)
        kind = WriteSlot if operation.kind == "write" else ReadSlot
        self._slot = kind(self, operation, requests, size, self._count)
        self._shares = [(client, client.reserve(self._slot)) for client in clients]
        node.requests.accept(self._slot)

    def on_answered(self) -> None:
        """The replies are there."""
        self._node.dirty.append(self)

    @decides
    def flush(self) -> bool:
        """Deal out the replies; False, for no client has waited for room."""
        reply = self._slot.reply or b""
        del self._slot  # breaks the reference cycle, so that no garbage collection is needed
        pieces: list[Piece] = reply if isinstance(reply, list) else [reply]
        if len(pieces) == self._count:  # each piece is a reply
            begin = 0
            for client, place in self._shares:
                end = begin + place.count
                client.deliver(place, b"".join(pieces[begin:end]))
                begin = end
        else:  # values have grown large, and are not copied
            left = iter(pieces)
            for client, place in self._shares:
                client.deliver(place, [piece for _ in range(place.count) for piece in _up_to_newline(left)])
        return False


def _up_to_newline(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The next pieces, up to one that ends with a newline."""
    for piece in pieces:
        yield piece
        if piece[-1:] == b"\n":
            return


class Pace:
    """When a node takes its turns, and what waits: each decision is a function of a few plain facts.

    `leads`: this node leads. `quiet`: nobody waits for this node. `uncommitted`: the entries of its log that are not
    committed. `gathered`: the requests that came and are not on their way yet.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives the time in seconds."""
        self._clock = clock
        self._gather_until = math.inf
        """When the writes that wait for more to come have waited long enough."""
        self._next_slice = -math.inf
        """When a snapshot may go on, while there are requests."""

    def spins(self, *, leads: bool, idle_ticks: int) -> bool:
        """Whether to wait for input at the cost of the processor.

        A leader without writes waits only for answers that come at once, and each read waits for it twice.
        """
        return leads and idle_ticks >= SPINS_AFTER_TICKS

    def pause(
        self, *, hurries: bool, snapshot_works: bool, quiet: bool, gathering: bool, uncommitted: int
    ) -> float | None:
        """The longest time in seconds for which the next turn waits for input; None: for as long as it takes.

        `hurries`: work is left for which no input will come. `snapshot_works`: a snapshot is being made or loaded.
        `gathering`: writes wait for nothing but more writes.
        """
        if hurries:
            return 0
        if snapshot_works:
            return 0 if quiet else SLICE_PAUSE_SECONDS
        if gathering:
            return GATHER_SECONDS if uncommitted else 0
        return None

    def takes_in_more(self, *, gathered: int, rounds: int) -> bool:
        """Whether to look for more input before the turn, after that many rounds of it.

        Where no client has asked for anything, the peers wait, and would wait longer. From PLENTY on, a batch is large
        enough.
        """
        return 0 < gathered < PLENTY and rounds < GATHER_ROUNDS

    def gathers(self, *, leads: bool, uncommitted: int, gathered: int) -> bool:
        """Whether the gathered requests wait for more to come.

        While others are under way, their clients are about to write again: all of them then share a batch, and come
        back together. Apart, they would cost each node a batch each time.
        """
        if not leads or not uncommitted or not 0 < gathered < PLENTY:
            self._gather_until = math.inf
            return False
        now = self._clock()
        self._gather_until = min(self._gather_until, now + GATHER_SECONDS)
        return now < self._gather_until

    def takes_slice(self, *, quiet: bool) -> bool:
        """Whether a snapshot takes its next step now; between requests, one does not follow right after the other."""
        now = self._clock()
        if not quiet and now < self._next_slice:
            return False
        self._next_slice = now + SLICE_PAUSE_SECONDS
        return True

    def waits_for_disk(self, *, leads: bool, uncommitted: int) -> bool:
        """Whether a turn waits a moment for its write. A leader with many entries under way has better things to do."""
        return not leads or uncommitted <= MANY_UNCOMMITTED
