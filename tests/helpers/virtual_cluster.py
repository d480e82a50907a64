"""Whole nodes, from listener to driver, in one process, with disks and a network in memory and a clock that jumps."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import trio

from trioraft.addresses import Address
from trioraft.replica.ports import DiskThread
from trioraft.replica.replica import Tuning
from trioraft.replica.snapshots import SnapshotSettings
from trioraft.server.driver import Driver
from trioraft.server.faults import Faults
from trioraft.server.faulty_disk import PausedThread
from trioraft.server.faulty_hub import FaultyHub
from trioraft.server.node import live, serve
from trioraft.server.transport import Hub
from trioraft.storage.folder import DataFolder
from trioraft.testing.disk import MemoryDisk
from trioraft.testing.disk_threads import ImmediateThread
from trioraft.testing.network import MemoryConnection, MemoryHub, MemoryNetwork, Weather
from trioraft.testing.virtual_time import Agenda
from trioraft.wire.codec import decode, encode

ADDRESSES = [Address("node", port) for port in (1, 2, 3)]


class Node:
    """One node, which can crash and be started again on its disk."""

    def __init__(self, cluster: Cluster, index: int) -> None:
        self.cluster = cluster
        self.index = index
        self.disk = MemoryDisk(f"disk of node {index}")
        self.driver: Driver | None = None
        self.scope = trio.CancelScope()
        self.code: int | None = None
        """The exit code, if the node ended by itself."""

    def start(self, *, may_end: bool = False) -> None:
        """Start the node. `may_end`: an error ends the node like a process, not the test; one node at a time."""
        self.hub = MemoryHub(self.cluster.network, f"node {self.index}")
        hub: Hub = self.hub
        thread: DiskThread = ImmediateThread()
        faults = Faults(self.index, trio.current_time) if self.cluster.allow_faults else None
        if faults is not None:
            hub = FaultyHub(hub, faults, Random(self.cluster.seed))
            thread = PausedThread(thread, faults)
        folder = DataFolder(self.disk, self.index)
        servers = [str(address) for address in ADDRESSES]
        random = Random(f"{self.cluster.seed} {self.index} {folder.starts}")
        self.driver = Driver(
            self.index,
            servers,
            folder,
            hub,
            thread,
            ImmediateThread(),
            random,
            1024 * 1024,
            tuning=self.cluster.tuning,
            faults=faults,
        )
        self.listener = hub.listen(ADDRESSES[self.index])
        self.scope = trio.CancelScope()
        self.cluster.nursery.start_soon(self._live_and_end if may_end else self._live)

    async def _live(self) -> None:
        assert self.driver is not None
        with self.scope:
            await live(self.driver, self.listener, trio.CancelScope())

    async def _live_and_end(self) -> None:
        assert self.driver is not None
        with self.scope:
            self.code = await serve(self.driver, self.listener)
            self.crash()

    def crash(self) -> None:
        self.scope.cancel()
        self.listener.close()
        self.hub.close()
        self.driver = None
        self.disk.crash(Random(self.cluster.seed))


class Client:
    """A client's end of a connection."""

    def __init__(self, connection: MemoryConnection) -> None:
        self.connection = connection
        self.lines = b""
        self.ended = False
        self.news = trio.Event()
        connection.handler = self
        connection.resume()

    def send(self, *requests: Mapping[str, object]) -> None:
        self.connection.send(b"".join(encode(request) + b"\n" for request in requests))

    async def replies(self, count: int) -> list[dict[str, Any]]:
        """Wait for `count` replies, or for the end of the connection, and return the replies so far, without events."""
        with trio.fail_after(20):
            while len(replies := [line for line in self.told if "event" not in line]) < count and not self.ended:
                await self.news.wait()
                self.news = trio.Event()
        return replies

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Wait for `count` events, and return the events so far, without replies."""
        with trio.fail_after(20):
            while len(events := [line for line in self.told if "event" in line]) < count and not self.ended:
                await self.news.wait()
                self.news = trio.Event()
        return events

    @property
    def told(self) -> list[dict[str, Any]]:
        """All whole lines so far."""
        return [decode(line) for line in self.lines.split(b"\n")[:-1]]

    def received(self, data: bytes) -> None:
        self.lines += data
        self.ended = self.ended or not data
        self.news.set()

    def drained(self) -> None: ...

    def broken(self) -> None:
        self.ended = True
        self.news.set()


class Cluster:
    def __init__(self, nursery: trio.Nursery, seed: int) -> None:
        self.nursery = nursery
        self.seed = seed
        self.network = MemoryNetwork()
        self.tuning = Tuning()
        self.allow_faults = False
        self.nodes = [Node(self, index) for index in range(3)]
        self.hub = MemoryHub(self.network, "client")
        nursery.start_soon(self._serve_client)

    async def _serve_client(self) -> None:
        while True:
            await self.hub.wait()
            self.hub.serve()

    def tune(self, snapshots: SnapshotSettings) -> None:
        """Let nodes that start from now on, or whose cluster forms from now on, use these settings for snapshots."""
        self.tuning = Tuning(snapshots=snapshots)
        for node in self.nodes:
            if node.driver is not None:
                node.driver.replica.tuning = self.tuning

    def weather(self) -> Weather:
        """Give messages delays from now on, drawn from the seed."""
        agenda = Agenda()
        self.nursery.start_soon(agenda.run)
        self.network.weather = Weather(agenda, Random(self.seed), lambda _: None)
        return self.network.weather

    async def leader(self) -> int:
        """Wait for a node that leads and that a majority follows, and return its index."""
        with trio.fail_after(10):
            while True:
                alive = [node.driver.replica.core for node in self.nodes if node.driver is not None]
                for core in alive:
                    if core.role == "leader" and sum(other.leader == core.node for other in alive) >= 2:
                        return core.node
                await trio.sleep(0.01)

    async def hand_over(self, successor: int) -> None:
        """Hand the lead over to that node, and wait until it leads."""
        old = self.nodes[await self.leader()].driver
        new = self.nodes[successor].driver
        assert old is not None
        assert new is not None
        old.replica.core.transfer_leadership(successor)
        old.hub.wake()
        with trio.fail_after(5):
            while not (new.replica.core.role == "leader" and new.replica.core.may_change):
                await trio.sleep(0.001)

    async def connect(self, index: int) -> Client:
        """Open a client's connection to a node."""
        return Client(await self.hub.dial(ADDRESSES[index]))

    async def ask(self, index: int, *requests: Mapping[str, object]) -> list[dict[str, Any]]:
        client = await self.connect(index)
        client.send(*requests)
        replies = await client.replies(len(requests))
        client.connection.close()
        return replies
