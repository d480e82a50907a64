"""The network of the fast simulation: the messages on their way, and what happens to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Protocol

from trioraft.raft.messages import Message, NodeId
from trioraft.replica.ports import Forwarded

MILLISECOND = 1000


class Schedule(Protocol):
    """The simulation's clock and agenda."""

    now: int
    """Microseconds since the run began."""

    def after(self, delay: int, call: Callable[..., None], *arguments: Any) -> None:
        """Make the call `delay` microseconds from now."""


class Link:
    """One direction between two nodes."""

    def __init__(self) -> None:
        self.cut = False
        """Whether nothing gets through, without anybody being told."""
        self.clogged: list[Callable[[], None]] | None = None
        """The arrivals that wait while the link is clogged; None where it is not."""
        self.in_flight = 0
        self.up = True
        """Whether the sender believes that there is a connection."""
        self.dead = False
        """Whether the connection is in fact broken."""
        self.epoch = 0
        """The number of the connection: a message sent on one does not arrive on another."""
        self.stalled: list[tuple[int, Forwarded]] = []
        """The messages about requests that wait for a cut or a clog to end."""
        self.last_arrival = 0
        """When the newest message about requests arrives; none overtakes another."""


class Traffic:
    """The behaviour of the network where nothing is broken, drawn once a run."""

    def __init__(self, random: Random, enabled: frozenset[str]) -> None:
        self.loss = random.choice((0.0, 0.01, 0.05, 0.2)) if "loss" in enabled else 0.0
        self.repeat = random.choice((0.0, 0.01, 0.1)) if "duplicate" in enabled else 0.0
        self.late = random.choice((0.0, 0.05, 0.3)) if "delay" in enabled else 0.0
        self.latency = random.choice((200, 1000, 5000))
        """The most microseconds that a message takes if nothing delays it."""
        self.lateness = random.choice((20, 100, 400)) * MILLISECOND
        self.window = random.choice((1, 4, 64))
        """How many messages may be on a link before its sender waits."""


class Network:
    """The links between all nodes."""

    def __init__(
        self,
        nodes: int,
        schedule: Schedule,
        random: Random,
        traffic: Traffic,
        count: Callable[[str], None],
        deliver: Callable[[NodeId, NodeId, Message], None],
        hear: Callable[[NodeId, NodeId, Forwarded], None],
    ) -> None:
        """`count` is told of each fault; `deliver` and `hear` take the messages that arrive."""
        self.traffic = traffic
        self.calm = False
        """Whether the network has stopped losing, repeating and delaying."""
        self.links = {(a, b): Link() for a in range(nodes) for b in range(nodes) if a != b}
        self._schedule = schedule
        self._random = random
        self._count = count
        self._deliver = deliver
        self._hear = hear

    def send(self, sender: NodeId, receiver: NodeId, message: Message) -> None:
        """Send one of Raft's messages, which may be lost, repeated or late. Some members' addresses have no node."""
        link = self.links.get((sender, receiver))
        if link is None or link.dead:
            return
        random, traffic = self._random.random, self.traffic
        copies = 1
        if not self.calm:
            if traffic.loss and random() < traffic.loss:
                self._count("loss")
                return
            if traffic.repeat and random() < traffic.repeat:
                self._count("duplicate")
                copies = 2
        for _ in range(copies):
            link.in_flight += 1
            self._schedule.after(self._delay(), self._arrive, link, sender, receiver, message)

    def forward(self, sender: NodeId, receiver: NodeId, message: Forwarded) -> None:
        """Send a message about requests, which arrives once and in order while the connection lives."""
        link = self.links[sender, receiver]
        if link.dead:
            return
        now = self._schedule.now
        link.last_arrival = max(link.last_arrival + 1, now + self._delay())
        self._schedule.after(
            link.last_arrival - now, self._arrive_in_order, link, link.epoch, sender, receiver, message
        )

    def has_room(self, sender: NodeId, receiver: NodeId) -> bool:
        """Whether the link can take another AppendEntries."""
        link = self.links.get((sender, receiver))
        return link is not None and link.up and link.in_flight < self.traffic.window

    def is_cut(self, a: NodeId, b: NodeId) -> bool:
        """Whether one of the two nodes cannot hear the other."""
        return self.links[a, b].cut or self.links[b, a].cut

    def cut(self, links: Iterable[tuple[NodeId, NodeId]]) -> None:
        """Let nothing through these links from now on, without telling anybody."""
        for pair in links:
            self.links[pair].cut = True

    def mend(self) -> None:
        """End all cuts."""
        for pair, link in self.links.items():
            link.cut = False
            self._release(pair)

    def open_clog(self, pair: tuple[NodeId, NodeId]) -> None:
        """Let everything that was held up arrive, in a random order."""
        link = self.links[pair]
        held, link.clogged = link.clogged or [], None
        self._random.shuffle(held)
        for arrive in held:
            arrive()
        self._release(pair)

    def kill(self, pair: tuple[NodeId, NodeId]) -> None:
        """Break a connection; its sender does not know it yet."""
        link = self.links[pair]
        link.dead = True
        link.epoch += 1
        link.stalled.clear()

    def connect(self, pair: tuple[NodeId, NodeId]) -> None:
        """Set up a new connection."""
        link = self.links[pair]
        link.dead, link.up = False, True

    def heal(self) -> None:
        """End all cuts and clogs, and calm the traffic."""
        self.calm = True
        self.mend()
        for pair in self.links:
            self.open_clog(pair)

    def _delay(self) -> int:
        random, traffic = self._random, self.traffic
        delay = 50 + int(random.random() * traffic.latency)
        if not self.calm and traffic.late and random.random() < traffic.late:
            self._count("delay")
            delay += int(random.random() * traffic.lateness)
        return delay

    def _arrive(self, link: Link, sender: NodeId, receiver: NodeId, message: Message) -> None:
        if link.clogged is not None:
            link.clogged.append(lambda: self._arrive(link, sender, receiver, message))
            return
        link.in_flight -= 1
        if not link.cut:
            self._deliver(sender, receiver, message)

    def _arrive_in_order(self, link: Link, epoch: int, sender: NodeId, receiver: NodeId, message: Forwarded) -> None:
        if link.epoch != epoch:
            return
        if link.cut or link.clogged is not None:
            link.stalled.append((epoch, message))
        else:
            self._hear(sender, receiver, message)

    def _release(self, pair: tuple[NodeId, NodeId]) -> None:
        link = self.links[pair]
        stalled, link.stalled = link.stalled, []
        for epoch, message in stalled:
            self._arrive_in_order(link, epoch, *pair, message)
