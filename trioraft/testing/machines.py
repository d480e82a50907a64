"""Machines in virtual time: each has a disk in memory and a whole node, which can be killed in many ways."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from hashlib import blake2b
from random import Random
from typing import Final

import msgspec
import trio

from trioraft.addresses import Address
from trioraft.raft.core import Core
from trioraft.raft.invariants import Invariants
from trioraft.raft.membership import ChangeRefused
from trioraft.raft.messages import Message, NodeId
from trioraft.raft.ready import Batch, NotLeader
from trioraft.replica.failures import HalfDone
from trioraft.replica.fan_out import Portions
from trioraft.replica.ports import DiskThread, Observer
from trioraft.replica.replica import Tuning
from trioraft.replica.snapshots import SnapshotSettings
from trioraft.server.driver import Driver
from trioraft.server.faults import Faults
from trioraft.server.faulty_disk import PausedThread
from trioraft.server.faulty_hub import FaultyHub
from trioraft.server.guards import leaves
from trioraft.server.node import STOP_SECONDS, live
from trioraft.server.transport import Hub, Listener
from trioraft.storage.folder import DataFolder
from trioraft.testing.disk import MemoryDisk, PowerCut, spares_the_node
from trioraft.testing.disk_threads import SimulatedThread
from trioraft.testing.network import MemoryConnection, MemoryHub, MemoryNetwork
from trioraft.testing.stores import checked_machine
from trioraft.testing.virtual_time import Agenda
from trioraft.wire.cluster_commands import LEVEL

MAX_REQUEST_BYTES: Final = 1024 * 1024
RECENT: Final = 80
"""How many of the last events a failed run shows."""

speaker: Final[ContextVar[str]] = ContextVar("speaker", default="simulation")
"""The name of the machine whose task runs, for log lines."""


class Killed(BaseException):
    """The process was killed in the middle of a turn. No code of the program catches this."""


class Trace(logging.Handler):
    """The events of a run as lines of text: the hash of all, and the last ones."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        """The log lines with a traceback: a node may survive these errors, but each is a bug."""
        self.recent: deque[str] = deque(maxlen=RECENT)
        self._formatter = logging.Formatter()
        self._hash = blake2b(digest_size=16)

    def note(self, text: str) -> None:
        """Add an event that happens now."""
        line = f"{trio.current_time():.9f} {text}"
        self._hash.update(line.encode() + b"\n")
        self.recent.append(line)

    def emit(self, record: logging.LogRecord) -> None:
        """Add a node's log line."""
        said = f"{speaker.get()} says: {record.getMessage()}"
        self.note(said)
        if record.exc_info:
            self.failures.append(f"{said} {self._formatter.formatException(record.exc_info)}")

    @property
    def hash(self) -> str:
        """The hash of all events so far, in hex."""
        return self._hash.hexdigest()


Around = tuple[Hub, DiskThread, DiskThread]
"""A node's hub, and its threads for the log and for snapshots."""


class World(msgspec.Struct):
    """The surroundings that all machines of a run share."""

    random: Random
    nursery: trio.Nursery
    agenda: Agenda
    network: MemoryNetwork
    trace: Trace
    invariants: Invariants
    snapshots: SnapshotSettings
    portions: Portions
    allow_faults: bool = False
    """Whether the nodes break on command."""


class _Witness(Observer):
    """Shows one node to the invariants at each step, because much happens within a turn."""

    def __init__(self, node: NodeId, world: World, writer: SimulatedThread) -> None:
        self._node = node
        self._trace = world.trace
        self._invariants = world.invariants
        self._writer = writer

    def started(self, core: Core) -> None:
        self._invariants.started(core)

    def changed(self, core: Core) -> None:
        self._invariants.observe(core)

    def said(self, receiver: NodeId, message: Message) -> None:
        self._invariants.said(self._node, receiver, message)

    def writing(self, batch: Batch) -> None:
        self._invariants.writing(self._node, batch)

    def written(self) -> None:
        self._invariants.written(self._node)

    def installed(self, core: Core) -> None:
        self._invariants.installed(core)

    def turned(self, core: Core) -> None:
        assert self._writer.error is None, "the disk has failed, and the node goes on"
        self._trace.counts["turns"] += 1
        self._invariants.observe(core)


class Life:
    """A node from a start to its end."""

    def __init__(
        self,
        driver: Driver,
        hub: MemoryHub,
        writer: SimulatedThread,
        background: SimulatedThread,
        listener: Listener,
    ) -> None:
        self.driver = driver
        self.hub = hub
        self.writer = writer
        self.background = background
        self.listener = listener
        self.scope = trio.CancelScope()
        self.accepting = trio.CancelScope()


class Machine:
    """One machine: its disk, and its node while that lives."""

    def __init__(
        self, world: World, index: NodeId, address: Address, servers: Sequence[str], level: int = LEVEL
    ) -> None:
        """`servers`: the lines of its servers.txt; `level`: the newest that its version supports at its first start."""
        self.world = world
        self.index = index
        self.address = address
        self.servers = servers
        self.retired = False
        """Whether the machine is switched off for good."""
        self.name = address.host
        self.random = Random(f"{world.random.random()} {index}")
        self.disk = MemoryDisk(f"disk of {self.name}")
        self._level = level
        self.life: Life | None = None
        self.write_seconds: Callable[[], float] = lambda: 0.0
        self._orphans: list[MemoryConnection] = []

    @property
    def core(self) -> Core | None:
        """The core of the node; None while it does not live."""
        return None if self.life is None else self.life.driver.replica.core

    @property
    def steady(self) -> bool:
        """Whether the node lives and is not about to stop."""
        return self.life is not None and not self.life.accepting.cancel_called

    def note(self, text: str) -> None:
        """Add an event that happens to this machine."""
        self.world.trace.note(f"{self.name} {text}")

    def start(self) -> None:
        """Switch the machine on and start its node, unless it lives; try again later where the disk fails."""
        if self.life is not None or self.retired:
            return
        world = self.world
        self._be_reachable()
        hub = MemoryHub(world.network, self.name)
        writer = SimulatedThread(world.agenda, hub.wake, lambda: self.write_seconds(), self._cut_in_write)
        background = SimulatedThread(world.agenda, hub.wake, lambda: self.write_seconds(), self._cut_in_write)
        said = speaker.set(self.name)
        around: Around = hub, writer, background
        faults = Faults(self.index, trio.current_time) if world.allow_faults else None
        if faults is not None:
            faulty = FaultyHub(hub, faults, self.random)
            around = faulty, PausedThread(writer, faults), PausedThread(background, faults)
        try:
            folder = DataFolder(self.disk, self.index, draw=lambda size: self.random.randbytes(size).hex())
            driver = Driver(
                self.index,
                self.servers,
                folder,
                *around,
                self.random,
                MAX_REQUEST_BYTES,
                new_machine=lambda: checked_machine(lambda: driver.replica.core.log),
                tuning=Tuning(snapshots=world.snapshots, level=self._level, portions=world.portions),
                observer=_Witness(self.index, world, writer),
                faults=faults,
            )
        except (PowerCut, OSError) as error:
            self.note(f"cannot start: {error!r}")
            if isinstance(error, PowerCut):
                self.power_off()
            world.agenda.after(0.2, self.start)
            return
        finally:
            speaker.reset(said)
        try:
            listener = driver.hub.listen(self.address)
        except OSError:
            self.note("cannot start: another is there that is no member any more")
            world.agenda.after(0.2, self.start)
            return
        self.note(f"starts, for the {folder.starts}. time")
        self.life = Life(driver, hub, writer, background, listener)
        self._level = LEVEL  # whoever starts it again installs the newest version first
        world.nursery.start_soon(self._live, self.life)

    @property
    def is_older(self) -> bool:
        """Whether its node is of an older version."""
        return self.life is not None and self.life.driver.replica.levels.supported < LEVEL

    def upgrade(self) -> None:
        """Start a node of the newest version in the place of an older one."""
        self.kill()
        self.start()

    def retire(self) -> None:
        """Switch the machine off for good, because its node is no longer a member."""
        if not self.retired:
            self.retired = True
            self.kill()
            self._be_reachable()
            self.note("is retired")

    def _be_reachable(self) -> None:
        """Switch the power on: connections to the node of before are reset at their other ends."""
        if (weather := self.world.network.weather) is not None:
            weather.silent.pop(self.name, None)
            weather.changed()
        orphans, self._orphans = self._orphans, []
        for connection in orphans:
            connection.disown()

    def kill(self) -> None:
        """Kill the process: its connections end, and the page cache keeps what it wrote."""
        if (life := self._end()) is not None:
            self.note("is killed")
            self._cut_writes(life, 0.5)
            life.hub.close()

    def power_off(self) -> None:
        """Cut the power: nobody is told, and unsynced data may be lost."""
        life = self._end()
        if life is not None:
            self._cut_writes(life, 0.7)
            self._orphans += life.hub.vanish()
        self.note("loses its power")
        if (weather := self.world.network.weather) is not None:
            weather.silent[self.name] = None
        self.disk.crash(self.random)

    def stop(self) -> None:
        """Tell the node to stop, like SIGTERM."""
        if self.life is not None:
            self.note("is told to stop")
            self.world.nursery.start_soon(self._stop, self.life)

    def hand_over(self, successor: Machine) -> None:
        """Let the node hand the lead over to that machine, if it leads and the other may lead."""
        if self.life is not None:
            with suppress(NotLeader, ChangeRefused):
                self.life.driver.replica.core.transfer_leadership(successor.index)
                self.life.hub.wake()

    def freeze(self) -> None:
        """Let the process stand still, like SIGSTOP."""
        if self.life is not None:
            self.note("stands still")
            self.life.hub.freeze()

    def thaw(self) -> None:
        """Let the process go on, like SIGCONT."""
        if self.life is not None and self.life.hub.frozen:
            self.note("goes on")
            self.life.hub.thaw()

    def die_at_send(self, number: int, death: BaseException) -> None:
        """Let the node die in the middle of a turn: `number` more sends succeed, and the next one raises `death`."""
        if self.life is None:
            return
        left = number

        def sending() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise death

        self.life.hub.sending = sending

    def fail_disk(self, operations: int, failure: BaseException) -> None:
        """Let `operations` more operations of the disk succeed, and the next one raise `failure`.

        A PowerCut switches the machine off there.
        """
        self.disk.fail_at = self.disk.operations + 1 + operations
        self.disk.failure = failure

    def make_room(self) -> None:
        """Give the disk room for snapshots again."""
        self.disk.no_snapshots = False

    def calm(self) -> None:
        """End all faults of the machine, and start its node."""
        self.disk.fail_at = None
        self.make_room()
        self.write_seconds = lambda: 0.0
        if self.life is not None:
            self.life.hub.sending = lambda: None
        self.thaw()
        self.start()

    # Within

    async def _live(self, life: Life) -> None:
        speaker.set(self.name)
        try:
            with life.scope:
                await live(life.driver, life.listener, life.accepting)
        except* Killed:
            if self.life is life:
                self.kill()
                self._restart()
        except* PowerCut:
            if self.life is life:
                self.power_off()
                self._restart()
        except* HalfDone as errors:
            whys = [repr(error.__cause__) for error in leaves(errors)]
            raise AssertionError(f"{self.name} stops: {'; '.join(whys)}") from errors
        except* OSError as errors:
            if self.life is life:
                if errors.subgroup(spares_the_node) is not None:
                    raise AssertionError(f"{self.name} ends for its snapshots' sake") from errors
                self.note(f"stops: {errors.exceptions}")
                self.world.trace.counts["stopped by the disk"] += 1
                self._close(life)
                self._restart()

    async def _stop(self, life: Life) -> None:
        speaker.set(self.name)
        life.accepting.cancel()
        await life.driver.stop(STOP_SECONDS)
        if self.life is life:
            self._close(life)
            self._restart()

    def _close(self, life: Life) -> None:
        """End the node as `trioraft.server.node.serve` does."""
        self._end()
        try:
            life.driver.close()
        except OSError as error:
            self.note(f"closes its log badly: {error}")
        except PowerCut:
            self._orphans += life.hub.vanish()
            self.power_off()
        life.writer.close()
        life.background.close()
        life.hub.close()
        self.note("has stopped")

    def _restart(self) -> None:
        self.world.agenda.after(self.random.choice((0.01, 0.3, 1.5)), self.start)

    def _end(self) -> Life | None:
        life, self.life = self.life, None
        if life is not None:
            life.scope.cancel()
            life.listener.close()
            life.hub.thaw()
        return life

    def _cut_in_write(self, error: BaseException) -> None:
        if not isinstance(error, PowerCut):
            raise error
        if self.life is not None:
            self.power_off()
            self._restart()

    def _cut_writes(self, life: Life, chance: float) -> None:
        """End the writes that are under way, some in their middle."""
        for writer in (life.writer, life.background):
            if writer.busy and self.random.random() < chance:
                self._write_in_part(writer)
            writer.close()

    def _write_in_part(self, writer: SimulatedThread) -> None:
        self.fail_disk(self.random.randrange(4), PowerCut())
        try:
            writer.end()
        except PowerCut:
            self.note("is cut in the middle of a write")
        self.disk.fail_at = None
