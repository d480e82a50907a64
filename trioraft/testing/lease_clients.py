"""Clients of the fast simulation that hold leases: each keeps its own alive for a while, and lets it go or end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any

from trioraft.testing.belongings import Fields
from trioraft.testing.lease_watch import LeaseWatch
from trioraft.testing.pipelines import SHARED, Done
from trioraft.testing.simulated_connections import Connections, Conversation, Surroundings
from trioraft.wire.codec import encode

TTLS_MS = (1000, 1000, 1500, 3000)
MOST_WAITING = 6
"""The most requests that a client has under way."""
UNKNOWN = 1
"""No lease has this number: the first entry of a log grants none."""


class _Holder:
    """One client, with one lease at a time."""

    def __init__(self, clients: LeaseClients, number: int) -> None:
        self.lease: int | None = None
        self.ttl_ms = 0
        self._clients = clients
        self._number = number
        self._conversation: Conversation | None = None
        self._sent: deque[int] = deque()
        """When each request was sent that is not answered yet."""
        self._asked = 0

    @property
    def waiting(self) -> int:
        """How many requests have no reply yet and may still get one."""
        return len(self._sent)

    def act(self) -> None:
        """Ask for something, and come back a part of the ttl later."""
        clients, random = self._clients, self._clients.random
        if clients.calm:
            return
        if self._conversation is None or (not self._sent and random.random() < 0.1):
            self._connect()
        if self._conversation is not None and not self._sent:
            self._say(self._draw())
        elif self._conversation is not None and self.lease is not None and len(self._sent) < MOST_WAITING:
            self._say([self._keepalive(self.lease)])  # it does not wait for the answer to the last one
        clients.world.after(clients.beat(self.ttl_ms or TTLS_MS[0]), self.act)

    def _connect(self) -> None:
        if self._conversation is not None:
            self._conversation.hang_up()
        random, nodes = self._clients.random, self._clients.world.nodes
        # Often one that leads, or believes so: whoever is deposed and does not know yet must promise nothing.
        leaders = [node for node in nodes if node.up and node.core.role == "leader"]
        node = random.choice(leaders if leaders and random.random() < 0.5 else nodes)
        if node.up:
            self._conversation = self._clients.connections.converse(self, self._number, node)

    def _draw(self) -> list[Fields]:
        random, lease = self._clients.random, self.lease
        if lease is None:
            self.ttl_ms = random.choice(TTLS_MS)
            return [{"op": "lease_grant", "ttl_ms": self.ttl_ms}]
        keep = self._keepalive(lease)
        put: Fields = {"op": "put", "key": f"{SHARED}{self._number % 4}", "value": self._number}
        if random.random() < 0.5:
            put["lease"] = lease
        chance = random.random()
        if chance < 0.05:
            return []  # it is late by a part of its ttl
        if chance < 0.1:
            self._clients.watch.released(lease)
            self.lease = None
            return [{"op": "lease_revoke", "lease": lease}]
        if chance < 0.15:
            self.lease = None  # and lets it end
            return []
        return [[keep], [keep, put], [put, keep], [keep, dict(keep), put]][random.randrange(4)]

    def _keepalive(self, lease: int) -> Fields:
        random = self._clients.random
        keep: Fields = {"op": "lease_keepalive", "lease": lease}
        if random.random() < 0.3:
            keep = {"op": "lease_keepalive", "leases": [lease, UNKNOWN]}
        if random.random() < 0.05:
            keep["timeout_ms"] = random.choice((10, 50, 300))
        return keep

    def _say(self, requests: list[Fields]) -> None:
        conversation, world = self._conversation, self._clients.world
        assert conversation is not None
        self._asked += 1
        for asked in requests:
            conversation.exchange.ask(asked, world.now)
            self._sent.append(world.now)
        if requests:
            conversation.send([b"".join(encode(asked) + b"\n" for asked in requests)])
            world.after(self._clients.patience, self._lose_patience, self._asked)

    def _lose_patience(self, asked: int) -> None:
        if self._asked == asked and self._sent and self._conversation is not None and not self._clients.calm:
            self._conversation.hang_up()

    def hear(self, conversation: Conversation, lines: Sequence[bytes]) -> None:
        """Take replies: what is promised counts from when the request was sent."""
        clients = self._clients
        for line in lines:
            told = conversation.exchange.take(line, clients.world.now)
            assert isinstance(told, Done), f"nobody has asked for events: {told}"
            self._learn(told.asked, told.reply, self._sent.popleft())

    def _learn(self, asked: Any, reply: dict[str, Any], sent: int) -> None:
        clients, op = self._clients, asked["op"]
        if op == "lease_grant" and reply["ok"]:
            self.lease = int(reply["lease"])
            clients.granted.append(self.lease)
        elif op != "lease_keepalive" or self.lease is None:
            return
        elif not reply["ok"] or self.lease in reply.get("expired", ()):
            if reply["ok"] or reply["error"]["code"] == "lease_expired":
                self.lease = None
            return
        clients.watch.promised(self.lease, sent + clients.microseconds(self.ttl_ms))

    def lose(self, conversation: Conversation) -> None:
        """Note that the connection is gone."""
        del conversation
        self._conversation = None
        self._sent.clear()


class LeaseClients:
    """All such clients of a run."""

    def __init__(
        self,
        world: Surroundings,
        connections: Connections,
        random: Random,
        watch: LeaseWatch,
        patience: int,
        tick: int,
        tick_ms: int,
    ) -> None:
        """`patience`: after how many microseconds without a reply a client gives up.

        `tick`: the length of a tick in microseconds; `tick_ms`: how much of a ttl it uses up.
        """
        self.world = world
        self.connections = connections
        self.random = random
        self.watch = watch
        self.patience = patience
        self.calm = False
        self.granted: list[int] = []
        """The leases that clients were granted."""
        self.lets_end = random.random() < 0.3
        """Whether to wait at the end until all of them have ended, which takes its time."""
        self._tick = tick
        self._tick_ms = tick_ms
        self._holders = [_Holder(self, 100 + number) for number in range(random.choice((0, 2, 4, 6)))]
        for holder in self._holders:
            world.after(self.beat(TTLS_MS[0]), holder.act)

    @property
    def waiting(self) -> int:
        """How many requests have no reply yet and may still get one."""
        return sum(holder.waiting for holder in self._holders)

    def microseconds(self, ttl_ms: int) -> int:
        """How long that is in this run."""
        return ttl_ms * self._tick // self._tick_ms

    def beat(self, ttl_ms: int) -> int:
        """Draw the time to the next keepalive: a part of the ttl."""
        return 1 + self.random.randrange(self.microseconds(ttl_ms) * 2 // 3)
