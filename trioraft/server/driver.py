"""The driver of a node's turns: the only task that touches the replica.

It waits for input, takes it in (the hub calls the handlers of the connections, and these call the replica), and lets
the replica take its turn. `Pace` decides when that happens, and what waits meanwhile.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import trio

from trioraft.key_values import key_value_machine
from trioraft.machine import Machine
from trioraft.raft.messages import NodeId
from trioraft.raft.ready import Random
from trioraft.replica.ports import DiskThread, FaultSwitch, Observer, Vitals
from trioraft.replica.replica import Ports, Replica, Tuning
from trioraft.server.accepting import Recognizer
from trioraft.server.clients import ClientConnection
from trioraft.server.door import Door
from trioraft.server.election_timer import ElectionTimer
from trioraft.server.gathering import Dirty, Gathering, Pace
from trioraft.server.peers import PeerConnections
from trioraft.server.transport import Connection, Hub
from trioraft.storage.folder import DataFolder

RESTFUL_TICKS: Final = 10
"""The longest time for which a node rests: turns are the whole cost of an idle node."""
REPLIES_A_TURN: Final = 4 * 1024 * 1024
"""The most bytes of replies sent in a turn. The next turn follows at once, and begins with peers and the clock."""

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
        new_machine: Callable[[], Machine] = key_value_machine,
        tuning: Tuning | None = None,
        observer: Observer | None = None,
        vitals: Vitals | None = None,
        faults: FaultSwitch | None = None,
    ) -> None:
        """`servers`: the lines of servers.txt, '-' for a removed member. `background`: the thread for snapshots.

        `vitals`: what is known of the process beside its connections.

        Raises StorageError, OSError.
        """
        self.node = node
        self.servers = list(servers)
        self.hub = hub
        self.max_request_bytes = max_request_bytes
        self.door = Door(hub)
        self.clients: set[ClientConnection] = set()
        self.dirty: deque[Dirty] = deque()
        """The clients with replies to send at the end of this turn, or of the next one if this one has sent enough."""
        self.gathering = Gathering(self)
        self.timer = ElectionTimer(self.tick, self.ticks_to_rest, hub.wake)
        self.peers = PeerConnections(self)
        self._pace = Pace(trio.current_time)
        self._vitals = vitals
        ports = Ports(self.peers, self, self._pace, writer, background, random, new_machine, observer, self, faults)
        self.replica = Replica(node, servers, folder, ports, tuning)
        self.requests = self.replica.requests
        self._ticks = 0
        """The ticks that have passed since the last turn."""

    # Life

    async def run(self) -> None:
        """Take turns for ever. Raises OSError when the disk fails: nothing more may be promised then."""
        replica, pace = self.replica, self._pace
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.timer.run)
            self.peers.start(nursery)
            while True:
                await self.hub.wait(pace.spins(leads=replica.leads, idle_ticks=replica.idle_ticks), self._pause)
                self._serve()
                rounds = 0
                while pace.takes_in_more(gathered=self.requests.gathered, rounds=rounds) and self.hub.more():
                    self._serve()
                    rounds += 1
                self.turn()

    def _serve(self) -> None:
        """Take in all input, once the replica knows how late it is: what comes now came after that."""
        self.timer.catch_up()
        self.hub.serve()
        self.gathering.merge()

    def turn(self) -> None:
        """Let the replica do everything that can be done now."""
        self.reply_room = REPLIES_A_TURN
        ticks, self._ticks = self._ticks, 0
        if ticks:
            self.hub.expire(now := trio.current_time())
            self.door.expire(now)
        self.replica.turn()
        self.timer.hurry_for(self.replica.ticks_until_due if ticks else self.replica.ticks_until_news)

    def tick(self, ticks: int, lost: int) -> None:
        """Tell the replica that time has passed; the next turn, which comes at once, acts on it."""
        self._ticks += ticks
        self.replica.pass_time(ticks, lost)

    def ticks_to_rest(self) -> int:
        """How many ticks may pass before the node must be told."""
        return min(self.replica.ticks_until_due, RESTFUL_TICKS)

    async def stop(self, seconds: float) -> None:
        """Refuse new writes, finish the work under way within the given seconds, and mark the log."""
        with trio.move_on_after(seconds):
            await self._hand_over()
            self.requests.stopping = True
            self.hub.wake()
            while not self.requests.idle or any(client.busy for client in self.clients):
                await trio.sleep(0.01)

    async def _hand_over(self) -> None:
        """Hand the lead over, if this node leads, so that clients of other nodes notice nothing."""
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
        """Drop clients and peers, and leave the log marked and closed if the disk allows it."""
        self.door.close()
        for client in list(self.clients):
            client.abandon()
        self.peers.close()
        self.replica.close()

    @property
    def _pause(self) -> float | None:
        """The longest time for which the next turn waits for input; None: for as long as it takes."""
        replica, requests = self.replica, self.requests
        snapshot_works = replica.snapshots is not None and replica.snapshots.busy
        return self._pace.pause(
            hurries=bool(self.dirty) or requests.hurries,
            snapshot_works=snapshot_works,
            quiet=snapshot_works and replica.is_quiet,
            gathering=requests.gathering,
            uncommitted=replica.uncommitted,
        )

    # Clients

    def accept(self, connection: Connection) -> None:
        """Take a new connection, of a client or a peer: its first bytes will tell."""
        connection.handler = Recognizer(connection, self)
        connection.resume()

    def figures(self) -> dict[str, object]:
        """What this node knows of itself beside its replica."""
        vitals = {} if self._vitals is None else self._vitals.figures()
        return {"clients": len(self.clients), "max_request_bytes": self.max_request_bytes, **vitals}

    def flush(self) -> bool:
        """Send each client a portion of its ready replies. Return whether that made room for more requests."""
        more = False
        dirty = self.dirty
        while dirty and self.reply_room > 0:
            more = dirty.popleft().flush() or more
        return more
