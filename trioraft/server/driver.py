"""The node's turns: the only task that touches the replica.

It waits until something comes in, takes that in (the hub calls the handlers of the connections, and these the
replica), and lets the replica take its turn. When that is, and what waits for what meanwhile, is decided here.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import trio

from trioraft.raft.messages import NodeId
from trioraft.raft.ready import Random
from trioraft.replica.ports import DiskThread, Observer
from trioraft.replica.replica import Ports, Replica, Tuning
from trioraft.server.clients import Client, Crowd, Recognizer, take_joining
from trioraft.server.door import Door
from trioraft.server.election_timer import MAX_LATE, ElectionTimer
from trioraft.server.peers import PeerConnections
from trioraft.server.transport import Connection, Hub
from trioraft.storage.folder import DataFolder

RESTFUL_TICKS: Final = 10
"""How long a node rests at most: what an idle one costs is its turns."""
SOON_TICKS: Final = 6
"""What is due so soon was not foreseen when the timer went to rest: another try after a split vote."""
GATHER_SECONDS: Final = 0.001
"""How long writes wait at most for more to come, while others are under way."""
SLICE_PAUSE_SECONDS: Final = 0.001
"""The least time from one slice of a snapshot to the next, while there are requests: these come first."""
PLENTY: Final = 128
"""From this many requests on, the fixed cost of a batch no longer matters: propose at once."""
GATHER_ROUNDS: Final = 8
"""How often more is taken in before a turn, at most."""
REPLIES_A_TURN: Final = 4 * 1024 * 1024
"""Bytes of replies sent in a turn, at most; the next, which follows at once, begins with peers and the clock."""

log = logging.getLogger("trioraft.node")


class Driver:
    """One node: its replica, its connections and its clock."""

    reply_room = REPLIES_A_TURN
    """How many bytes of replies this turn may still send."""

    def __init__(
        self,
        node: NodeId,
        servers: Sequence[str],
        folder: DataFolder,
        hub: Hub,
        writer: DiskThread,
        background: DiskThread,
        random: Random,
        max_request_bytes: int,
        *,
        tuning: Tuning | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`servers` are the lines of servers.txt, '-' where a removed member was; `background` writes snapshots.

        Raises StorageError, OSError.
        """
        self.node = node
        self.servers = list(servers)
        self.hub = hub
        self.max_request_bytes = max_request_bytes
        self.door = Door(hub)
        self.clients: set[Client] = set()
        self.dirty: deque[Client | Crowd] = deque()
        """Clients with replies to send at the end of the turn, or of the next where it has sent enough."""
        self.joining: list[Client] = []
        """Clients that have asked what has not been looked at yet."""
        self.timer = ElectionTimer(self.tick, self.ticks_to_rest)
        self.peers = PeerConnections(self)
        ports = Ports(self.peers, self, self, writer, background, random, observer)
        self.replica = Replica(node, servers, folder, ports, tuning)
        self.requests = self.replica.requests
        self._ticks = 0
        """Time that has passed since the last turn."""
        self._gather_until = math.inf
        """When the writes that wait for more to come have waited long enough."""
        self._next_slice = -math.inf
        """When a snapshot may go on, while there is other work."""

    # Life

    async def run(self) -> None:
        """Take turns for ever. Raises OSError when the disk fails: then nothing more may be promised."""
        replica = self.replica
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.timer.run)
            self.peers.start(nursery)
            while True:
                # Without writes a leader waits only for answers that come at once, and each read waits for it twice.
                await self.hub.wait(replica.core.role == "leader" and replica.idle_ticks > 0, self._pause)
                self._serve()
                for _ in range(GATHER_ROUNDS):
                    # Where no client has asked for anything, the peers wait, and more would keep them waiting.
                    if not 0 < self.requests.gathered < PLENTY or not self.hub.more():
                        break
                    self._serve()
                self.turn()

    def _serve(self) -> None:
        """Take in what has come."""
        self.hub.serve()
        take_joining(self)

    def turn(self) -> None:
        """Let the replica carry out all that can be done now."""
        self.reply_room = REPLIES_A_TURN
        ticks, self._ticks = self._ticks, 0
        if ticks:
            self.hub.expire(now := trio.current_time())
            self.door.expire(now)
        self.replica.turn(ticks)
        core = self.replica.core
        if core.leader is None and core.ticks_until_due < SOON_TICKS:
            self.timer.hurry()

    def tick(self, ticks: int) -> None:
        """Time has passed; taken up in the next turn, which comes at once, where the process does not stand still.

        Where it has, it hears of no more than if its timer alone had: it first reads what came meanwhile, and then
        judges who is silent.
        """
        self._ticks = min(self._ticks + ticks, RESTFUL_TICKS + MAX_LATE)
        self.hub.wake()

    def ticks_to_rest(self) -> int:
        """How many ticks may pass untold."""
        return min(self.replica.core.ticks_until_due, RESTFUL_TICKS)

    async def stop(self, seconds: float) -> None:
        """Take no more writes, finish what is under way for so long at most, and mark the log."""
        with trio.move_on_after(seconds):
            await self._hand_over()
            self.requests.stopping = True
            while not self.requests.idle or any(client.busy for client in self.clients):
                await trio.sleep(0.01)

    async def _hand_over(self) -> None:
        """Let another lead, if this node does: the clients of the others shall notice nothing."""
        core = self.replica.core
        if core.role != "leader" or len(core.configuration.voters) < 2:
            return
        term, target = core.term, core.transfer_leadership(None)
        log.info("node %d hands the lead to node %d", self.node, target)
        self.hub.wake()
        while core.term == term and core.transferring:
            await trio.sleep(0.002)
        with trio.move_on_after(0.1):
            while core.leader is None:
                await trio.sleep(0.002)
        if core.leader == self.node:
            log.info("node %d did not take over in time", target)

    def close(self) -> None:
        """Let go of clients and peers, and leave the log marked and closed, if the disk allows it."""
        self.door.close()
        for client in list(self.clients):
            client.abandon()
        self.peers.close()
        self.replica.close()

    # Its pace

    @property
    def _quiet(self) -> bool:
        """Whether nobody waits for this node: neither a client of its own nor, through its leader, one of another's."""
        return self.replica.idle_ticks > 0 and self.requests.idle

    def takes_slice(self) -> bool:
        """Whether a snapshot takes its next step; while there is other work, not one right after the other."""
        now = trio.current_time()
        if not self._quiet and now < self._next_slice:
            return False
        self._next_slice = now + SLICE_PAUSE_SECONDS
        return True

    def gathers(self) -> bool:
        """Whether the writes that have come wait for more to come.

        While others are under way, their clients are about to write again: all of them then share a batch, and come
        back together. What is not gathered so costs each node a batch of its own.
        """
        core, gathered = self.replica.core, self.requests.gathered
        if core.role != "leader" or core.commit_index == core.last_index or not 0 < gathered < PLENTY:
            self._gather_until = math.inf
            return False
        now = trio.current_time()
        self._gather_until = min(self._gather_until, now + GATHER_SECONDS)
        return now < self._gather_until

    @property
    def _pause(self) -> float | None:
        """For how many seconds the next turn waits for something to come in; None: for as long as it takes."""
        if self.dirty or self.requests.hurries:
            return 0
        snapshots = self.replica.snapshots
        if snapshots is not None and snapshots.busy:
            return 0 if self._quiet else SLICE_PAUSE_SECONDS
        if not self.requests.gathering:
            return None
        core = self.replica.core
        return GATHER_SECONDS if core.commit_index < core.last_index else 0

    # Clients

    def accept(self, connection: Connection) -> None:
        """A new connection, from a client or a peer: its first bytes tell."""
        connection.handler = Recognizer(connection, self)
        connection.resume()

    def flush(self) -> bool:
        """Send the replies that are ready, to each client a portion; True if that made room for more requests."""
        more = False
        dirty = self.dirty
        while dirty and self.reply_room > 0:
            more = dirty.popleft().flush() or more
        return more
