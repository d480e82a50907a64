"""The snapshots of one node: when it takes one, how the leader's travel, and how one is installed (§7).

None of it stops the node. The work is cut into steps: each is a slice on the node's own turn, and a write in a
thread beside. One job is under way at a time, a generator that gives what is to be written next, or None where it
only makes way for the next turn. A snapshot from the leader goes before one of one's own.

A job that the disk fails, or anything else, leaves the log as it was, and the node goes on. The file of that job is
removed, never synced again: the next try makes a new one, after a pause that grows with each failure. What a job does
to the node's own state is apart from that, and marked with `decides`.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Generator
from typing import Final, Protocol

import msgspec

from trioraft.cluster.startup import point_of
from trioraft.machine import Machine, contents
from trioraft.raft.core import Core
from trioraft.raft.messages import InstallSnapshot
from trioraft.raft.ready import Point, Random
from trioraft.raft.runs import Run
from trioraft.replica.failures import decides
from trioraft.replica.ports import TICK_SECONDS, DiskThread
from trioraft.storage.disk import Disk
from trioraft.storage.errors import Damaged, UnknownFormat, describe
from trioraft.storage.log import SegmentedLog
from trioraft.storage.snapshots import (
    IncomingSnapshot,
    Snapshot,
    SnapshotReader,
    SnapshotWriter,
    load_snapshot,
    remove_older,
)
from trioraft.wire.snapshots import FORMAT, SnapshotHeader

Job = Generator[Callable[[], None] | None]
OnTaken = Callable[[Snapshot | Exception], None]
"""Hears of the snapshot that was asked for, or why there is none."""

SHARE_PARTS: Final = 256
"""In how many parts the growth of the log is divided, of which a node draws some."""

log = logging.getLogger("trioraft.snapshots")


class SnapshotSettings(msgspec.Struct, frozen=True):
    """How often, and in which pieces. A snapshot is taken when the log has grown by both a least and a share."""

    least_log_bytes: int = 32 * 1024 * 1024
    least_log_entries: int = 200_000
    growth: float = 2.0
    """The log may grow to so many times the last snapshot: writing snapshots costs a constant share of the writes."""
    keep_entries: int = 5_000
    """At most so many entries before the snapshot's end stay in memory, for followers that are a little behind."""
    keep_bytes: int = 4 * 1024 * 1024
    """And at most so many bytes of them."""
    hold_bytes: int = 32 * 1024 * 1024
    """What followers that answer still lack stays too, up to so many bytes: one that is being sent a snapshot is to
    find the entries after it, or it would be sent snapshot after snapshot for ever."""
    slice_lines: int = 50
    """The most lines that are taken on one turn: those who write meanwhile wait for that."""
    free_runs: int = 200
    """How many runs of entries that it covers are let go of on one turn."""
    write_bytes: int = 128 * 1024
    """So many bytes are taken on one turn, and written and synced at once: one long sync at the end would hold up those
    of the log. One value may be longer."""
    piece_bytes: int = 256 * 1024
    """What goes to a follower in one message."""
    retry_ticks: int = 500
    """The least pause after a job that the disk failed. Each failure doubles it, up to `most_retry_ticks`."""
    most_retry_ticks: int = 30_000
    courtesy_ticks: int = 100
    """For so long after a piece of the leader's snapshot none of one's own begins: the next piece would end it."""
    most_deaf_ticks: int = 3_000
    """For so long at most the leader's snapshot is not taken in after a failure: this node is behind meanwhile."""


class Node(Protocol):
    """What the snapshots need of their node."""

    core: Core
    machine: Machine

    def install(self, machine: Machine, snapshot: Snapshot) -> None:
        """Go on from a leader's snapshot, which is durable; `machine` has loaded it."""


class Snapshots:
    """All that a node does about snapshots."""

    def __init__(
        self,
        node: Node,
        disk: Disk,
        cluster: str,
        segments: SegmentedLog,
        writer: DiskThread,
        newest: Snapshot | None,
        new_machine: Callable[[], Machine],
        settings: SnapshotSettings,
        random: Random,
    ) -> None:
        """`writer` is not the log's; `newest` is that of the folder; `new_machine` makes an empty machine."""
        self.newest = newest
        self.taken = 0
        self.installed = 0
        self._node = node
        self._disk = disk
        self._cluster = cluster
        self._segments = segments
        self._writer = writer
        self._new_machine = new_machine
        self._settings = settings
        self._random = random
        self._share = self._draw_share()
        self._now = 0
        self._failures = 0
        """Of jobs, since one succeeded."""
        self._failed_at = 0
        """The tick of the last failure."""
        self._own_after = 0
        """No job of this node's own begins before that tick: the leader is sending its snapshot."""
        self._wait_until = 0
        """No job begins by itself before that tick."""
        self._readable = True
        """Whether the newest could be read when that was last tried."""
        self._untidy = newest is not None
        """Whether files may be left that the newest has taken the place of."""
        self._job: Job | None = None
        self._failing = False
        """Whether the job has been told that the disk failed it, and removes its file."""
        self._installing = False
        self._given_up = False
        self._abandons = False
        """Whether the job is being ended by this node: a job may also end with it, and must touch nothing then."""
        self._writing = False
        self._incoming: IncomingSnapshot | None = None
        self._incoming_point = Point()
        self._readers: dict[Point, SnapshotReader] = {}
        self._wanted: list[OnTaken] = []
        self._served: list[OnTaken] = []
        """Those for whom a snapshot is being taken."""
        index = 0 if newest is None else newest.header.last_included_index
        log = node.core.log
        self._log_bytes = segments.bytes_written - log.slice(index + 1, log.last_index).size

    @property
    def active(self) -> bool:
        """Whether there is something to do at each turn; else it is enough to ask now and then what is due."""
        return self._job is not None or bool(self._wanted)

    @property
    def busy(self) -> bool:
        """Whether there is something to do at the next turn that no event will bring."""
        return self._job is not None and not self._writing

    @property
    def log_bytes(self) -> int:
        """How many bytes the log has got since the newest snapshot."""
        return self._segments.bytes_written - self._log_bytes

    def tick(self, ticks: int) -> None:
        """Time has passed."""
        self._now += ticks

    def advance(self) -> None:
        """One step of the job under way, if its last one is done; or begin one that is due."""
        job = self._job
        if job is None:
            job = self._job = self._due()
            if job is None:
                return
        failure: Exception | None = None
        if self._writing:
            try:
                if not self._writer.finished():
                    return
            except Exception as error:
                failure = error
            self._writing = False
        if self._given_up:
            self._give_up(job)
            if failure is not None:
                self._pause(failure)
        else:
            self._go_on(job, failure)

    def _go_on(self, job: Job, failure: Exception | None) -> None:
        """Take the next step of the job, after its last one failed so."""
        try:
            if failure is None:
                write = next(job)
            else:
                self._failing = True
                write = job.throw(failure)
        except StopIteration:
            if not self._installing or self._incoming is None:  # a piece alone is no success yet
                self._failures = 0
            self._end_job()
        except Exception as error:
            self._end_job()
            self._pause(error)
        else:
            if write is not None:
                self._writing = True
                self._writer.start(write)

    def _end_job(self) -> None:
        self._job = None
        self._failing = self._installing = self._given_up = False

    def _pause(self, error: Exception) -> None:
        """Wait after a failure, longer each time, and not as long as the other nodes do."""
        settings = self._settings
        ticks = min(settings.retry_ticks << min(self._failures, 30), settings.most_retry_ticks)
        ticks = self._random.randrange(ticks // 2, ticks + 1)
        self._failures += 1
        self._failed_at = self._now
        self._wait_until = self._now + ticks
        log.warning(
            "what was done about snapshots has failed: %s. The node goes on, and its log grows meanwhile; "
            "this is tried again in %.1f s",
            _why(error),
            ticks * TICK_SECONDS,
            exc_info=_unforeseen(error),
        )

    def want(self, done: OnTaken) -> None:
        """Somebody asks for a snapshot of what is applied now; `done` hears of it, or of the one that is there."""
        self._wanted.append(done)

    def close(self) -> None:
        """Give up what is under way."""
        if self._job is not None and not self._writing:
            self._give_up(self._job)
        for reader in self._readers.values():
            reader.close()
        self._readers = {}

    def _give_up(self, job: Job) -> None:
        self._abandons = True
        job.close()
        self._abandons = False
        self._end_job()

    # Taking one's own

    def _due(self) -> Job | None:
        """The job that is to begin now, if any."""
        if self._now < self._own_after:
            return None
        core, newest = self._node.core, self.newest
        entries = core.last_applied - (newest.header.last_included_index if newest else 0)
        if self._wanted:
            if not entries and newest is not None:
                wanted, self._wanted = self._wanted, []
                _tell(wanted, newest)
            elif core.last_applied > 0:
                return self._take()
        if self._now < self._wait_until:
            return None
        if entries and self._has_grown(entries):
            return self._take()
        return self._tidy(newest) if newest is not None and self._untidy else None

    def _has_grown(self, entries: int) -> bool:
        """Whether the log has grown by so much, since the newest, that another is due."""
        settings, newest = self._settings, self.newest
        size, lines = (newest.size, newest.header.lines) if newest else (0, 0)
        return self.log_bytes > self._share * max(
            settings.least_log_bytes, settings.growth * size
        ) or entries > self._share * max(settings.least_log_entries, settings.growth * lines)

    def _draw_share(self) -> float:
        """Of how much the log may grow, from three quarters to all: the members are not to write at the same time."""
        return self._random.randrange(3 * SHARE_PARTS // 4, SHARE_PARTS + 1) / SHARE_PARTS

    def _take(self) -> Job:
        core, settings = self._node.core, self._settings
        index = core.last_applied
        term = core.log.term_at(index)
        assert term is not None  # what is applied last is in the log, or the end of its snapshot
        self._served, self._wanted = self._wanted, []
        view = self._node.machine.freeze()
        sections = dict(view.sections)
        header = SnapshotHeader(FORMAT, self._cluster, index, term, *core.configuration_at(index), sections)
        self._log_bytes = self._segments.bytes_written
        if not self._failures:  # a disk that has no room for snapshots is not to be filled with short segments
            self._segments.rotate_next()
        made: list[SnapshotWriter] = []
        done: list[Snapshot] = []
        try:
            yield lambda: made.append(SnapshotWriter(self._disk, header))
            writer = made[0]
            data = bytearray()
            lines = 0
            for part, count in view.slices(settings.slice_lines, settings.write_bytes):
                data += part
                lines += count
                if len(data) < settings.write_bytes:
                    yield None
                else:
                    yield _writing(writer, bytes(data), lines)
                    data, lines = bytearray(), 0
            yield lambda: writer.append(bytes(data), lines)
            yield lambda: done.append(writer.finish())
        except Exception as error:
            if made:
                yield made[0].abandon
            served, self._served = self._served, []
            _tell(served, error)
            raise
        finally:
            view.close()
            if self._abandons:
                self._wanted[:0], self._served = self._served, []
                if made:
                    made[0].abandon()
        snapshot = done[0]
        self.taken += 1
        self._share = self._draw_share()
        self._adopt(snapshot)
        served, self._served = self._served, []
        _tell(served, snapshot)
        yield from self._compact(snapshot)

    def _compact(self, snapshot: Snapshot) -> Job:
        """Let go of what it covers: on the disk whole, in memory but for the newest; a part at a time."""
        runs = self._forget_entries(snapshot)
        while runs:
            del runs[-self._settings.free_runs :]
            yield None
        yield from self._tidy(snapshot)

    @decides
    def _forget_entries(self, snapshot: Snapshot) -> list[Run]:
        """Let the log go on from where the snapshot ends, or a little before; what it held before that."""
        kept = self._first_kept(snapshot.header.last_included_index)
        return self._node.core.compacted(point_of(snapshot), kept - 1)

    def _tidy(self, newest: Snapshot) -> Job:
        """Remove the files that the newest has taken the place of; its own name is there for good.

        Where it was found at the start, the sync after the new node.json has seen to that.
        """
        if (unneeded := self._incoming) is not None and self._incoming_point.index <= newest.header.last_included_index:
            self._incoming = None  # the leader went on with the entries after all
            yield unneeded.abandon
        yield lambda: self._segments.compact(newest.header.last_included_index)
        yield lambda: remove_older(self._disk, newest)
        self._untidy = False

    def _first_kept(self, index: int) -> int:
        """The first entry that stays in memory where a snapshot ends at that index; a run stays whole, or goes."""
        core, settings = self._node.core, self._settings
        recent, lacking = index - settings.keep_entries + 1, core.lacking_index
        first, size = index + 1, 0
        for run in reversed(core.log.slice(min(recent, lacking), index).runs):
            size += run.size
            held = run.last >= lacking and size <= settings.hold_bytes
            if not held and (run.first < recent or size > settings.keep_bytes):
                break
            first = run.first
        return first

    def _adopt(self, snapshot: Snapshot) -> None:
        self.newest = snapshot
        self._untidy = True
        log.info(
            "snapshot of %s up to entry %d: %d bytes",
            contents(snapshot.header.sections),
            snapshot.header.last_included_index,
            snapshot.size,
        )

    # Sending it

    def filled(self, message: InstallSnapshot) -> InstallSnapshot | None:
        """The message to a follower with its piece of the file; None where it cannot be read, or is there no more."""
        try:
            filled = self.fill(message)
        except Exception as error:
            if self._readable:  # it is tried again at each heartbeat; once is enough
                log.warning(
                    "the snapshot for a follower cannot be read, and is tried again: %s",
                    _why(error),
                    exc_info=_unforeseen(error),
                )
            self._readable = False
            return None
        self._readable = True
        return filled

    def fill(self, message: InstallSnapshot) -> InstallSnapshot | None:
        """Put the piece of the file into the message; None where that snapshot is not there any more.

        Raises OSError.
        """
        point = Point(message.last_included_index, message.last_included_term)
        reader = self._readers.get(point)
        if reader is None:
            self._close_readers()
            if self.newest is None or point_of(self.newest) != point:
                return None
            reader = self._readers[point] = SnapshotReader(self._disk, self.newest)
        offset = min(message.offset, reader.size)
        data = reader.lines(offset, self._settings.piece_bytes)
        done = offset + len(data) == reader.size
        return msgspec.structs.replace(message, offset=offset, done=done, data=data)

    def _close_readers(self) -> None:
        """Let go of the files that nobody is sent any more."""
        needed = {progress.snapshot for progress in self._node.core.progress.values() if progress.state == "snapshot"}
        for point in [point for point in self._readers if point not in needed]:
            self._readers.pop(point).close()

    # Taking in the leader's

    def receive(self, message: InstallSnapshot) -> None:
        """A piece from the leader. It is stored, and answered then; while one is stored others are dropped.

        After a failure of the disk they are dropped for a while: the leader sends the piece again.
        """
        if self._installing:
            if self._incoming is not None and message.last_included_index == self._incoming_point.index:
                self._acknowledge(self._incoming)
            return
        if self._now < min(self._wait_until, self._failed_at + self._settings.most_deaf_ticks):
            return
        self._own_after = self._now + self._settings.courtesy_ticks
        if self._job is not None:
            # One's own is given up, once what is being written of it is; this piece will come again.
            self._given_up = not self._failing
            return
        self._installing = True
        self._job = self._store(message)

    def _store(self, message: InstallSnapshot) -> Job:
        point = Point(message.last_included_index, message.last_included_term)
        old = self._incoming
        if old is None or self._incoming_point != point:
            made: list[IncomingSnapshot] = []
            if old is not None:
                self._incoming = None
                yield old.abandon
            yield lambda: made.append(IncomingSnapshot(self._disk, point.index, point.term))
            self._incoming, self._incoming_point = made[0], point
        incoming = self._incoming
        assert incoming is not None
        try:
            yield _storing(incoming, message)
            self._acknowledge(incoming)
            if message.done and incoming.received == message.offset + len(message.data):
                yield from self._install(incoming)
        except Exception:
            if self._incoming is incoming:  # else it is installed, and what came after that has failed
                self._incoming = None
                yield incoming.abandon
            raise

    @decides
    def _acknowledge(self, incoming: IncomingSnapshot) -> None:
        """Tell the leader how much of its snapshot is stored."""
        self._node.core.snapshot_stored(self._incoming_point.index, incoming.received)

    def _install(self, incoming: IncomingSnapshot) -> Job:
        done: list[Snapshot] = []
        machine = self._new_machine()
        try:
            for _ in incoming.verify():
                yield None
            yield lambda: done.append(incoming.finish())
            for _ in load_snapshot(self._disk, done[0], machine.load):
                yield None
        except Damaged as error:
            # If the leader's own file is damaged it will be so each time: it is asked for again after a pause alone.
            raise OSError(errno.EIO, f"the leader's snapshot did not arrive well: {error.message}") from None
        except UnknownFormat as error:
            raise OSError(errno.EIO, f"the leader's snapshot is a newer version's: {error.hint}") from None
        snapshot = done[0]
        self._incoming = None
        if snapshot.header.last_included_index > self._node.core.commit_index:
            self.installed += 1
            self._adopt(snapshot)
            self._log_bytes = self._segments.bytes_written
            self._node.install(machine, snapshot)
        elif self.newest is None or self.newest.header.last_included_index < snapshot.header.last_included_index:
            # The entries came after all, and faster; then it is as good as one of one's own.
            self._adopt(snapshot)
            yield from self._compact(snapshot)
        self._untidy = True


def _why(error: Exception) -> str:
    """What has failed, for people."""
    return describe(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}, which is a bug"


def _unforeseen(error: Exception) -> Exception | None:
    """The error, where its traceback belongs in the log."""
    return None if isinstance(error, OSError) else error


@decides
def _tell(waiting: list[OnTaken], outcome: Snapshot | Exception) -> None:
    for hear in waiting:
        hear(outcome)


def _writing(writer: SnapshotWriter, data: bytes, lines: int) -> Callable[[], None]:
    def write() -> None:
        writer.append(data, lines)
        writer.sync()

    return write


def _storing(incoming: IncomingSnapshot, message: InstallSnapshot) -> Callable[[], None]:
    def store() -> None:
        incoming.append(message.offset, message.data)
        incoming.sync()

    return store
