"""Who leads a demo's cluster, asked again and again until it has settled, and told in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from contextlib import ExitStack
from typing import Final, Self

import msgspec

from trioraft.addresses import Address
from trioraft.client import Client, ClientError
from trioraft.wire.codec import decode
from trioraft_cli.status import NodeStatus, leading

SETTLED_SECONDS: Final = 10.0
"""How long a cluster may take: a node that lags needs a while, and a slow network many."""
_ASK_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 0.002

Statuses = Mapping[int, NodeStatus]


class Side(msgspec.Struct, frozen=True):
    """Nodes that hear each other, and who leads them."""

    nodes: Sequence[int]
    leader: int | None
    """None: they are no majority, and none of them leads."""
    term: int
    led_ms: int
    """After how many milliseconds there was a leader."""
    ms: int
    """After how many milliseconds all had caught up, or nobody led."""


class Survey:
    """Asks nodes for their status, over connections that stay open: an election takes milliseconds. A context."""

    def __init__(self, nodes: Mapping[int, Address]) -> None:
        self._context = ExitStack()
        self._clients = {number: Client([address], _ASK_SECONDS) for number, address in nodes.items()}
        self._began = time.monotonic()
        self._found: dict[tuple[int, int], tuple[int, int]] = {}
        """By leader and term: after how many milliseconds it led, and what was committed then."""

    def __enter__(self) -> Self:
        for client in self._clients.values():
            self._context.enter_context(client)
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def ask(self, nodes: Collection[int] | None = None) -> dict[int, NodeStatus]:
        """What these nodes answer, or all; without those that do not."""
        found = {}
        for number, client in self._clients.items():
            if nodes is not None and number not in nodes:
                continue
            try:
                reply = client.pipeline([{"op": "status"}])[0]
            except ClientError:
                continue
            if reply.ok:
                found[number] = decode(reply.line, NodeStatus)
        return found

    def begin(self) -> None:
        """Count the milliseconds from now on."""
        self._began = time.monotonic()

    def settle(self, find_sides: Callable[[], Sequence[Sequence[int]]], voters: Set[int]) -> list[Side] | None:
        """Wait until each side has a leader that it follows and has caught up with, or is no majority and has none.

        Return them in order of the time; None where they take too long. `find_sides` is asked again and again: a node
        may end by itself.
        """
        settled: dict[tuple[int, ...], Side] = {}
        while time.monotonic() - self._began < SETTLED_SECONDS:
            sides = [tuple(side) for side in find_sides()]
            for side in sides:
                if side not in settled and (found := self._look(side, voters)) is not None:
                    settled[side] = found
            if all(side in settled for side in sides):
                return sorted((settled[side] for side in sides), key=lambda side: side.ms)
            time.sleep(_PAUSE_SECONDS)
        return None

    def _look(self, side: Sequence[int], voters: Set[int]) -> Side | None:
        statuses = self.ask(side)
        ms = round((time.monotonic() - self._began) * 1000)
        if len(statuses) < len(side):
            return None
        if not is_majority(side, voters):
            calm = all(status.role != "leader" for status in statuses.values())
            return Side(side, None, max(status.term for status in statuses.values()), ms, ms) if calm else None
        leader = leading(statuses.values())
        if leader is None:
            return None
        found, goal = self._found.setdefault((leader.node, leader.term), (ms, leader.commit_index))
        follow = all(s.leader == leader.node and s.last_applied >= goal for s in statuses.values())
        return Side(side, leader.node, leader.term, found, ms) if follow else None


def voters_of(statuses: Statuses) -> frozenset[int]:
    """Who votes, as far as the node knows that has applied most."""
    newest = max(statuses.values(), key=lambda status: status.last_applied, default=None)
    return frozenset(member.id for member in newest.members if member.role == "voter") if newest else frozenset()


def is_majority(nodes: Sequence[int], voters: Set[int]) -> bool:
    """Whether these nodes are more than half of the voters."""
    return len(voters & frozenset(nodes)) > len(voters) // 2
