"""The command for programs that ask much: pipe, requests on standard input and replies on standard output."""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque
from typing import Final

import click

from trioraft.addresses import Address
from trioraft.client import NoNode, Refused
from trioraft.client.attempts import (
    FRESH_SECONDS,
    REPEAT_SECONDS,
    SILENCE_SECONDS,
    Nodes,
    growing_pause,
    reply_seconds,
)
from trioraft.client.connection import find_node, is_there, why
from trioraft.client.protocol import MAX_REPLY_BYTES
from trioraft.client.relay import Relay
from trioraft.client.standing import QUIET_SECONDS
from trioraft.wire.framing import LineBuffer
from trioraft_cli import render, streams
from trioraft_cli.asking import Asker, asks_as
from trioraft_cli.deadlines import TimeIsUp
from trioraft_cli.outcomes import NOT_NOW, UNKNOWN, Failure, exit_code, left_open
from trioraft_cli.streams import MOST_READ, say

CHUNK_BYTES: Final = 64 * 1024
_RECEIVED_BYTES: Final = 256 * 1024
_STDOUT: Final = 1


@click.command()
@asks_as(prints=False, retries="Try so long whenever no node can be reached; 15 where it is not given.")
def pipe(asker: Asker) -> int:
    """Send the requests on standard input, a line of JSON each, and print the replies, in their order.

    Lines are those of the protocol, and reach the node as they are; replies come back as it sent them, and the events
    of a watch, a wait or a lock as they come. When the node dies, another is asked: reads, and writes that may be
    repeated, again; of any other write that was sent the reply is an error with "applied":"unknown". A request that
    goes on needs an "id". It ends when all is answered and nothing goes on; the exit code is that of the first error.

    \b
    Examples: echo '{"op":"get","key":"name"}' | trioraft pipe
              cat requests.jsonl | trioraft pipe --retry 60
    """
    relay = Relay()
    pipeline = _Pipeline(asker, relay)
    try:
        pipeline.run()
    except TimeIsUp:
        uncertain = relay.is_uncertain
        relay.give_up(NoNode("the time is over", ""))
        streams.end_soon()
        pipeline.print_answers()
        say("the time is over")
        raise Failure(UNKNOWN if uncertain else NOT_NOW) from None
    except KeyboardInterrupt:
        if relay.is_uncertain:
            raise left_open() from None
        raise
    finally:
        pipeline.close()
    return 0 if relay.first_refusal is None else exit_code(Refused(relay.first_refusal))


class _Pipeline:
    """The streams and the socket between which a relay passes lines on."""

    def __init__(self, asker: Asker, relay: Relay) -> None:
        self._relay = relay
        self._nodes = Nodes(asker.addresses)
        self._patience = asker.patience(REPEAT_SECONDS)
        self._requests = _Requests()
        self._lines: deque[bytes | None] = deque()
        """Those that were read, and not asked yet: there is no room."""
        self._has_ended = False
        """Whether standard input has."""
        self._address: Address | None = None
        self._socket: socket.socket | None = None
        self._replies = LineBuffer(MAX_REPLY_BYTES)
        self._rest = memoryview(b"")
        """What is being sent."""
        self._unprinted = bytearray()
        """What is printed as soon as standard output takes it."""
        self._heard = 0.0
        """When the node sent something, or was given something to do while it had nothing to do."""
        self._looked = 0.0
        """When it was last seen to be there."""
        self._outage: float | None = None
        """Since when no node has answered anything; None where one has."""
        self._failures = 0
        self._next_try = 0.0

    def run(self) -> None:
        """Pass lines on until all is answered. Raises StreamError."""
        while not self._is_done:
            if self._socket is None and self._relay.wants_node and time.monotonic() >= self._next_try:
                self._find_node()
            self.print_answers()
            self._step()
        self.print_answers()

    @property
    def _is_done(self) -> bool:
        """Whether all that was asked is answered, and nothing more comes."""
        return self._has_ended and not self._lines and self._relay.is_done

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def print_answers(self) -> None:
        """Print what has come. Raises StreamError."""
        lines = self._relay.answers()
        if render.on_terminal():
            for line in lines:
                render.show_json(line)
        elif lines:
            self._unprinted += b"\n".join([*lines, b""])
        while self._unprinted:  # the end of the time may break off the wait for the reader, and nothing else
            streams.wait_for_reader()
            sys.stdout.buffer.write(self._unprinted[: select.PIPE_BUF])
            streams.flush()
            del self._unprinted[: select.PIPE_BUF]
        streams.flush()

    def _step(self) -> None:
        """Wait for what can be read or sent, and do it. Raises StreamError."""
        self._ask()
        if self._is_done:
            return
        poll = select.poll()
        poll.register(_STDOUT, 0)
        if not self._has_ended and not self._lines:
            poll.register(sys.stdin, select.POLLIN)
        if self._socket is not None:
            poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._has_to_send() else 0))
        seconds = self._until_look()
        ready = dict(poll.poll(None if seconds is None else max(0.0, seconds) * 1000))
        if sys.stdin.fileno() in ready:
            self._read_requests()
        if _STDOUT in ready and not self._is_done:
            streams.show_what_came()
        if self._socket is None:
            return
        try:
            if ready.get(self._socket.fileno(), 0) & ~select.POLLOUT:
                self._receive(self._socket)
            else:
                self._look(self._socket)
            self._ask()
            self._send(self._socket)
        except (OSError, ValueError) as error:
            self._leave(why(error))

    def _read_requests(self) -> None:
        data = streams.read_some(CHUNK_BYTES)
        self._has_ended = not data
        self._lines.extend(self._requests.feed(data) if data else self._requests.finish())

    def _ask(self) -> None:
        """Ask what was read, as far as there is room."""
        now = time.monotonic()
        while self._lines and self._relay.has_room:
            line = self._lines.popleft()
            if line is None:
                self._relay.refuse_long(MOST_READ)
            else:
                self._relay.ask(line, now)

    def _find_node(self) -> None:
        """Connect to a node, if one can be reached now."""
        try:
            self._address, connection = find_node(self._nodes, None)
        except NoNode as error:
            self._fail(error)
            return
        self._socket = connection.detach()
        self._socket.setblocking(False)
        self._replies = LineBuffer(MAX_REPLY_BYTES)
        self._heard = self._looked = time.monotonic()
        self._relay.begin(self._heard)

    def _receive(self, connected: socket.socket) -> None:
        """Take what the node has sent. Raises OSError, ValueError."""
        data = connected.recv(_RECEIVED_BYTES)
        if not data:
            raise ConnectionError("it closed the connection")
        self._heard = self._looked = time.monotonic()
        self._relay.receive(self._replies.feed(data))
        if not self._relay.is_leaving:
            self._outage, self._failures = None, 0
        elif self._relay.is_through:
            raise ConnectionError("it takes no more requests")

    def _has_to_send(self) -> bool:
        """Whether there is something to send; a node that was silent for a while is asked first whether it is there."""
        if self._rest:
            return True
        silent = time.monotonic() - self._heard
        is_stale = silent >= FRESH_SECONDS and self._relay.can_send
        if not self._relay.expects and (is_stale or (silent >= QUIET_SECONDS and self._relay.goes_on)):
            self._relay.probe()
        return self._relay.can_send

    def _send(self, connected: socket.socket) -> None:
        """Send what there is, as far as the node takes it. Raises OSError."""
        while self._has_to_send():
            if not self._rest:
                if not self._relay.expects:
                    self._heard = self._looked = time.monotonic()
                self._rest = memoryview(self._relay.take(CHUNK_BYTES))
            try:
                self._rest = self._rest[connected.send(self._rest) :]
            except BlockingIOError:
                return

    def _until_look(self) -> float | None:
        """The seconds until there is something to do though nothing happens; None where there is nothing."""
        if self._socket is None:
            return self._next_try - time.monotonic() if self._relay.wants_node else None
        if self._relay.expects:
            return self._looked + SILENCE_SECONDS - time.monotonic()
        return self._heard + QUIET_SECONDS - time.monotonic() if self._relay.goes_on else None

    def _look(self, connected: socket.socket) -> None:
        """Look whether a node that owes a reply is there. Raises TimeoutError."""
        now = time.monotonic()
        if not self._relay.expects or now < self._looked + SILENCE_SECONDS:
            return
        if now - self._heard > reply_seconds(self._relay.next_op, None) or not is_there(connected):
            raise TimeoutError
        self._looked = now

    def _leave(self, reason: str) -> None:
        """Go on at another node."""
        was_busy = self._relay.expects or self._relay.goes_on
        self._relay.lost(self._address, reason)
        self._nodes.failed(self._address)
        self._rest = memoryview(b"")
        self.close()
        if was_busy:
            self._fail(NoNode(f"{self._address} is lost: {reason}"))

    def _fail(self, error: NoNode) -> None:
        """Pause before the next try, and answer what waits where the tries have gone on for long."""
        now = time.monotonic()
        if self._outage is None:
            self._outage = now
            say(f"{error.message}: nodes are tried again, for {round(self._patience, 1):g} s")
        rounds = self._failures - len(self._nodes)
        self._failures += 1
        self._next_try = now + (growing_pause(rounds) if rounds >= 0 else 0.0)
        if now - self._outage >= self._patience:
            self._relay.give_up(error)


class _Requests:
    """Cuts standard input into lines. Of one that is too long for any node, None is left."""

    def __init__(self) -> None:
        self._lines = LineBuffer(MOST_READ)
        self._is_skipping = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """The lines that these bytes complete, which are fewer than a line may have."""
        end = data.find(b"\n")
        lines: list[bytes | None] = []
        if self._is_skipping or self._lines.pending + (end if end >= 0 else len(data)) > MOST_READ:
            lines = [] if self._is_skipping else [None]
            self._lines = LineBuffer(MOST_READ)
            self._is_skipping = end < 0
            data = data[end + 1 :] if end >= 0 else b""
        return [*lines, *self._lines.feed(data)]

    def finish(self) -> list[bytes]:
        """The last line, where it has no end."""
        line = self._lines.finish()
        return [line] if line else []


COMMANDS = (pipe,)
