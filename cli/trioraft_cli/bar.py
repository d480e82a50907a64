"""The bar below the prompt: what the cluster looks like from here, asked for while somebody looks at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

import msgspec

from trioraft.background import in_background
from trioraft.client import Client, ClientError, Refused, Reply
from trioraft.wire.codec import DecodeError, decode
from trioraft_cli import where
from trioraft_cli.connection import Connection
from trioraft_cli.counts import duration
from trioraft_cli.escapes import safe

ASK_SECONDS: Final = 1.0
"""How long an answer is waited for, and how long the bar waits before it asks again."""
LOOKED_AT_SECONDS: Final = 120.0
"""How long after the last key somebody is taken to look. Then the bar asks no more until the next key."""


class _Member(msgspec.Struct):
    id: int
    role: str
    live: bool | None = None


class _Members(msgspec.Struct):
    members: list[_Member]


class _Status(msgspec.Struct):
    node: int
    term: int
    commit_index: int
    leader: int | None = None
    leader_address: str | None = None


class Seen(msgspec.Struct, frozen=True):
    """What a node answered, and when."""

    node: int
    address: str
    leader: int | None
    term: int
    commit: int
    live: int | None
    """How many members the leader hears from, itself among them; None where it does not answer."""
    members: int | None
    seconds: float
    """How long the answer took."""
    at: str
    """When, in hours, minutes and seconds."""


class Bar:
    """Asks in a thread of its own, so that a cluster that hangs slows down nobody who types."""

    def __init__(self, connection: Connection, on_change: Callable[[], object], tell: Callable[[str], object]) -> None:
        """The bar asks the node that answers the prompt's commands, on a connection of its own.

        `on_change` is called in the bar's thread when there is something new to show, and `tell` when another node
        leads than the last that was known, with a line that says so.
        """
        self._prompt = connection
        self._on_change = on_change
        self._tell = tell
        self._seen: Seen | None = None
        self._is_silent = False
        self._is_asleep = False
        self._wanted_until = 0.0
        self._wake = threading.Event()
        self._is_closed = False
        self._asking: Future[None] | None = None
        self._client: Client | None = None
        self._leader: Client | None = None

    def looked_at(self) -> None:
        """Somebody has pressed a key: ask for a while."""
        now = time.monotonic()
        was_asking = now < self._wanted_until
        self._wanted_until = now + LOOKED_AT_SECONDS
        if self._asking is None:
            self._asking = in_background(self._run)
        elif not was_asking:
            self._wake.set()

    def rest(self) -> None:
        """Nobody looks, as a command runs: ask no more until somebody does."""
        self._wanted_until = 0.0

    def close(self) -> None:
        """Ask no more. What is under way is not waited for."""
        self._is_closed = True
        self._wake.set()
        for client in (self._client, self._leader):
            if client is not None:
                client.abandon()

    def text(self, columns: int) -> str:
        """The bar, in at most that many columns."""
        if self._is_silent:
            parts = [(0, "no node answers"), (1, "asking again"), (2, "help, exit")]
        elif self._seen is None:
            parts = [(0, "not connected yet"), (1, "help, exit; Tab completes")]
        else:
            parts = _parts(self._seen, is_asleep=self._is_asleep)
        return fitted(parts, columns)

    def _run(self) -> None:
        try:
            self._ask_on()
        finally:
            for client in (self._client, self._leader):
                if client is not None:
                    client.close()

    def _ask_on(self) -> None:
        while not self._is_closed:
            if time.monotonic() < self._wanted_until:
                self._is_asleep = False
                self._look()
                self._wake.wait(ASK_SECONDS)
            else:
                self._is_asleep = True
                self._on_change()
                self._wake.wait()
            self._wake.clear()

    def _look(self) -> None:
        before = self._seen, self._is_silent
        try:
            self._seen = self._ask()
            self._is_silent = False
        except (ClientError, DecodeError, msgspec.ValidationError):
            self._is_silent = True
        if self._is_closed:
            return
        seen = self._seen
        if not self._is_silent and seen is not None and seen.leader is not None:
            before_it = self._prompt.leader
            self._prompt.leader = seen.leader
            if before_it not in (None, seen.leader):
                self._tell(f"node {seen.leader} leads now, in term {seen.term}; before it was node {before_it}")
        if before != (seen, self._is_silent):
            self._on_change()

    def _ask(self) -> Seen:
        """Ask a node, and for who is live the leader. Raises ClientError, DecodeError."""
        preferred = self._prompt.node
        client = self._client
        if client is None or (preferred is not None and client.address not in (None, preferred)):
            if client is not None:
                client.close()
            first = [] if preferred is None else [preferred]
            others = [address for address in self._prompt.addresses if address != preferred]
            client = self._client = Client([*first, *others], ASK_SECONDS)
        client.pipeline([])  # the time that it takes to connect is no round trip
        began = time.monotonic()
        status = decode(_answer(client, "status").line, _Status)
        seconds = time.monotonic() - began
        members = self._members(status)
        live = None if members is None else sum(member.live is True for member in members)
        return Seen(
            status.node,
            str(client.address),
            status.leader,
            status.term,
            status.commit_index,
            live,
            None if members is None else len(members),
            seconds,
            time.strftime("%H:%M:%S"),
        )

    def _members(self, status: _Status) -> list[_Member] | None:
        """The members as the leader sees them; None where it does not answer."""
        if status.leader_address is None:
            return None
        address = where.of_members({0: status.leader_address}).get(0)
        if address is None:
            return None
        with suppress(ClientError):
            leader = self._leader
            if leader is None or leader.address != address:
                if leader is not None:
                    leader.close()
                leader = self._leader = Client([address], ASK_SECONDS)
            return decode(_answer(leader, "members").line, _Members).members
        return None


def _answer(client: Client, op: str) -> Reply:
    """A node's answer; a refusal is none. Raises ClientError."""
    reply = client.pipeline([{"op": op}])[0]
    if not reply.ok:
        raise Refused(reply)
    return reply


def _parts(seen: Seen, *, is_asleep: bool) -> list[tuple[int, str]]:
    """What the bar tells, in order, each with its rank: where there is no room, the highest go first."""
    alive = "?" if seen.live is None else f"{seen.live}/{seen.members}"
    return [
        (2, f"node {seen.node}"),
        (5, safe(seen.address)),
        (0, "no leader" if seen.leader is None else f"leader {seen.leader}"),
        (3, f"term {seen.term}"),
        (4, f"commit {seen.commit}"),
        (1, f"alive {alive}"),
        (6, f"as of {seen.at}" if is_asleep else duration(seen.seconds)),
        (7, "help, exit; Tab completes"),
    ]


def fitted(parts: Sequence[tuple[int, str]], columns: int) -> str:
    """The parts that fit into a line, the others left out from the highest rank down."""
    left = list(parts)
    while len(left) > 1 and len(_joined(left)) > columns:
        left.remove(max(left))
    return _joined(left)[:columns]


def _joined(parts: Sequence[tuple[int, str]]) -> str:
    return f" {'  '.join(part for _, part in parts)} "
