"""A request that goes on as pushes, over a blocking connection of its own, as `standing` decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NoReturn

from trioraft.addresses import Address
from trioraft.client import standing
from trioraft.client.attempts import RETRY_SECONDS, Attempts, Nodes, reply_seconds
from trioraft.client.connection import Connection, find_node, why
from trioraft.client.errors import NoNode
from trioraft.client.protocol import Line, Push, Reply, RequestFields

_LOST: Final = "a node is lost"
_UNREACHED: Final = "no node can be reached"


class Stream:
    """What comes of a standing request, from one node after another. One thread reads it; any may abandon it."""

    def __init__(
        self,
        addresses: Sequence[Address],
        asked: standing.Standing,
        notice: Callable[[str], object],
        tries_until: float | None = None,
    ) -> None:
        """Nothing is asked yet. `notice` is called with a sentence when a node is lost, and when none is found.

        Up to `tries_until`, a moment of the monotonic clock, nodes are tried again before the first answer.
        """
        self.before_waiting: Callable[[], object] = lambda: None
        """Called whenever all that came is handed out, and more is waited for: once in DEAD_SECONDS at least."""
        self._nodes = Nodes(addresses)
        self._standing = asked
        self._notice = notice
        self._tries_until = tries_until
        self._address: Address | None = None
        self._connection: Connection | None = None
        self._abandoned = threading.Event()
        self._attempts: Attempts | None = None
        """The attempts at an answer that is still to come; None where the connection stands."""
        self.has_begun = False
        """Whether a node has answered."""
        self._told: set[str] = set()
        """What was told of this outage."""
        self._pushes: list[Push] = []

    def abandon(self) -> None:
        """End it at once, from another thread: nothing more is handed out."""
        self._abandoned.set()
        connection = self._connection
        if connection is not None:
            connection.shut_down()

    def __iter__(self) -> Iterator[Line]:
        """Yield what is handed out, until the request has its last answer, or is abandoned.

        Raises Refused, NoNode and, for a lock, Unknown. Before the first answer it tries as long as for any request,
        and after it as long as the request has patience.
        """
        try:
            while not self._standing.has_ended and not self._abandoned.is_set():
                try:
                    yield from self._conversation()
                except _Again as again:
                    self._abandoned.wait(again.pause)
                except NoNode as error:
                    self._abandoned.wait(self._unreached(error))
                except (OSError, ValueError) as error:
                    self._abandoned.wait(self._lost(why(error)))
        finally:
            self._close()

    def _conversation(self) -> Iterator[Line]:
        """Ask a node, and yield what it answers and what follows.

        Raises OSError, ValueError, NoNode, Refused, _Again.
        """
        now = time.monotonic()
        request = self._standing.request(now)
        if not self.has_begun:
            self._attempts = self._attempts or self._first_attempts(request, now)
        self._address, connection = find_node(self._nodes, None, self._pushes.append)
        self._connection = connection
        seconds = reply_seconds(request["op"], None)
        connection.send(connection.line(request), seconds)
        while not (replies := connection.receive(seconds)):
            pass
        yield from self._handed_out(self._answered(replies[0]))
        while not self._standing.has_ended:
            pushes = self._pushes[:]
            self._pushes.clear()
            for push in pushes:
                yield from self._handed_out(self._pushed(push))
            if not self._standing.has_ended:
                self.before_waiting()
                _hear(connection)

    def _handed_out(self, line: Line | None) -> Iterator[Line]:
        if line is not None and not self._abandoned.is_set():
            yield line

    def _answered(self, reply: Reply) -> Line | None:
        if not reply.ok:
            self._refused(reply)
        self._attempts = None
        self._told.clear()
        self.has_begun = True
        return self._standing.answered(reply)

    def _pushed(self, push: Push) -> Line | None:
        if push.event == "closed":
            self._refused(push)
        return self._standing.take(push)

    def _refused(self, line: Reply | Push) -> NoReturn:
        """Raises Refused where another node would say the same, and else _Again."""
        now = time.monotonic()
        pause = self._outage(now).refused(line, now)
        self._tell(line.error.message)
        self._close()
        raise _Again(pause)

    def _lost(self, reason: str) -> float:
        """The seconds to pause after a connection has failed. Raises NoNode, Unknown."""
        if self._abandoned.is_set():
            return 0.0
        now = time.monotonic()
        pause = self._outage(now).lost(self._address, reason, now)
        self._tell(reason)
        self._close()
        return pause

    def _unreached(self, error: NoNode) -> float:
        """The seconds to pause after no node was found. Raises NoNode, Unknown."""
        assert self._attempts is not None  # either this is the first search, or a connection was lost
        now = time.monotonic()
        if not self.has_begun:
            return self._attempts.unreachable(error, now)
        pause = self._attempts.lost(None, error.message, now)
        if _UNREACHED not in self._told:
            self._told.add(_UNREACHED)
            self._notice(f"{error.message}: they are tried again")
        return pause

    def _tell(self, reason: str) -> None:
        """Tell once of an outage that the node is lost, unless nothing has begun yet."""
        if self.has_begun and _LOST not in self._told:
            self._told.add(_LOST)
            self._notice(f"{self._address} is lost ({reason}): {self._standing.outlook}")

    def _first_attempts(self, request: RequestFields, now: float) -> Attempts:
        """The attempts at the first answer."""
        seconds = RETRY_SECONDS if self._tries_until is None else max(0.0, self._tries_until - now)
        persists = self._tries_until is not None
        return Attempts(request, len(self._nodes), now, seconds, insists=True, persists=persists)

    def _outage(self, now: float) -> Attempts:
        """The attempts of this outage, which begins here unless it has begun."""
        if self._attempts is None:
            patience = self._standing.patience(now)
            self._attempts = Attempts(self._standing.request(now), len(self._nodes), now, patience, insists=True)
        return self._attempts

    def _close(self) -> None:
        """Close the connection, and begin with another node the next time."""
        self._nodes.failed(self._address)
        if self._connection is not None:
            self._connection.close()
        self._connection = self._address = None
        self._pushes.clear()


class _Again(Exception):
    """A node cannot do what was asked for the moment: another is asked after a pause."""

    def __init__(self, pause: float) -> None:
        self.pause = pause


def _hear(connection: Connection) -> None:
    """Wait for what the node sends. One that is quiet is asked whether it is there. Raises OSError, ValueError."""
    try:
        connection.hear(standing.QUIET_SECONDS)
    except TimeoutError:
        patience = standing.DEAD_SECONDS - standing.QUIET_SECONDS
        connection.send(connection.line({"op": "ping"}), patience)
        connection.hear(patience)
