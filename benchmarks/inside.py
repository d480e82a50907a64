"""The parts alone, in one process: the core, the codec, the store, the log."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from itertools import count
from pathlib import Path
from random import Random

import msgspec

from benchmarks.results import Result, rate
from trioraft.kv.commands import Command, Put
from trioraft.kv.store import Store
from trioraft.raft.core import Core
from trioraft.raft.membership import Configuration, Member
from trioraft.raft.messages import AppendEntries, HardState, Message
from trioraft.raft.ready import Point
from trioraft.storage.disk import RealDisk
from trioraft.storage.log import SegmentedLog
from trioraft.wire import entries as codec
from trioraft.wire import peers
from trioraft.wire.commands import commands_of, encode_commands
from trioraft.wire.parsing import parse_request

VALUE = msgspec.Raw(b'"' + b"x" * 100 + b'"')
REQUEST = b'{"id":12345,"op":"put","key":"key-000000012345","value":%b}' % bytes(VALUE)
MANY = 100


def measure_core(seconds: float) -> list[Result]:
    """Measure three cores whose messages arrive at once, on disks that take no time."""
    results = []
    for batch in (1, 64):
        cluster = _Cores()
        payloads = encode_commands([Put("key-000000012345", VALUE)] * batch)
        committed = rate(lambda cluster=cluster, payloads=payloads: cluster.commit(payloads), seconds)  # type: ignore[misc]
        results.append(Result(f"core: entries committed by three, {batch} at a time", committed, "entries/s"))
        if batch == 1:
            steps = cluster.steps / cluster.committed
            results.insert(0, Result("core: messages stepped", committed * steps, "steps/s"))
    return results


class _Cores:
    def __init__(self) -> None:
        members = tuple(Member(node, f"127.0.0.1:{8000 + node}", "voter", f"folder-{node}") for node in range(3))
        self.steps = 0
        self.committed = 0
        self._wire: deque[tuple[int, int, Message]] = deque()
        self._cores = [
            Core(
                node,
                Configuration(members, 3),
                hard_state=HardState(),
                entries=[],
                codec=codec,
                random=Random(node),
            )
            for node in range(3)
        ]
        self._leader = self._cores[0]
        while self._leader.role != "leader":
            self._leader.tick()
            self._run()

    def commit(self, payloads: list[bytes]) -> int:
        """Propose the payloads, and let the cluster work until they are committed. Return how many they are."""
        leader = self._leader
        index = leader.propose(payloads) + len(payloads) - 1
        leader.tick()
        self._run()
        assert leader.commit_index >= index
        if leader.last_index - leader.log.base_index > 20_000:
            for core in self._cores:
                core.compacted(Point(core.last_applied, core.term), core.last_applied - 100)
        self.committed += len(payloads)
        return len(payloads)

    def _run(self) -> None:
        while True:
            worked = [self._pump(core) for core in self._cores]
            if not any(worked) and not self._wire:
                return
            while self._wire:
                sender, receiver, message = self._wire.popleft()
                self._cores[receiver].step(sender, message)
                self.steps += 1

    def _pump(self, core: Core) -> bool:
        ready = core.ready()
        if ready is not None:
            for receiver, message in ready.messages:
                self._wire.append((core.node, receiver, message))
            if ready.committed:
                core.applied(ready.committed[-1].index)
            if ready.batch is not None:
                core.persisted(ready.batch.number)
                for receiver, message in ready.batch.messages:
                    if receiver != core.node:
                        self._wire.append((core.node, receiver, message))
        sent = False
        for peer in range(3):
            while peer != core.node and (message_to := core.next_append(peer)) is not None:
                self._wire.append((core.node, peer, message_to))
                sent = True
        return sent or ready is not None


def measure_codec(seconds: float) -> list[Result]:
    """Measure lines to requests, commands to entries, entries to a message and back."""
    commands: list[Command] = [Put("key-000000012345", VALUE)] * MANY
    payloads = encode_commands(commands)
    entries = codec.seal_commands(1000, 3, payloads)
    message = AppendEntries(3, 999, 3, 900, 0, entries)
    said = peers.encode(message)

    def parse() -> int:
        for _ in range(MANY):
            parse_request(REQUEST)
        return MANY

    def seal() -> int:
        return len(codec.seal_commands(1000, 3, encode_commands(commands)))

    def send() -> int:
        peers.encode(message)
        return MANY

    def receive() -> int:
        for _ in peers.PeerDecoder().feed(said):
            pass
        return MANY

    def decode() -> int:
        return sum(len(commands_of(run)) for run in entries.runs)

    return [
        Result("codec: a put's line to a request", rate(parse, seconds), "lines/s"),
        Result("codec: a command to an entry", rate(seal, seconds), "entries/s"),
        Result("codec: entries to a message", rate(send, seconds), "entries/s"),
        Result("codec: a message to entries, checked", rate(receive, seconds), "entries/s"),
        Result("codec: entries to commands", rate(decode, seconds), "entries/s"),
    ]


def measure_store(seconds: float) -> list[Result]:
    """Measure puts to existing keys, in random order."""
    store = Store()
    keys = [f"key-{number:012d}" for number in range(100_000)]
    store.apply_all(1, [Put(key, VALUE) for key in keys])
    Random(1).shuffle(keys)
    chunks = [[Put(key, VALUE) for key in keys[at : at + MANY]] for at in range(0, len(keys), MANY)]
    number = count()

    def apply() -> int:
        at = next(number)
        store.apply_all(100_001 + at * MANY, chunks[at % len(chunks)])
        return MANY

    return [Result("store: puts to 100,000 keys", rate(apply, seconds), "puts/s")]


def measure_log(seconds: float, folder: Path) -> list[Result]:
    """Measure the writing of batches to a real disk, each synced, and the reading of the whole log."""
    results = []
    for batch in (1, 64, 1024):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            disk = RealDisk(Path(scratch))
            SegmentedLog.create(disk, "benchmark")
            log, _ = SegmentedLog.open(disk, "benchmark")
            payloads = encode_commands([Put("key-000000012345", VALUE)] * batch)
            last = 0

            def write(log: SegmentedLog = log, payloads: list[bytes] = payloads) -> int:
                nonlocal last
                entries = codec.seal_commands(last + 1, 1, payloads)
                log.write(HardState(1, 0), entries)
                last += len(entries)
                return len(entries)

            written = rate(write, seconds, time.perf_counter)
            results.append(Result(f"log: entries synced, {batch} a batch", written, "entries/s"))
            if batch == 64:
                results.append(Result("log: bytes an entry, value of 100", log.bytes_written / last, "bytes"))
            log.close()
            if batch == 1024:

                def read(disk: RealDisk = disk) -> int:
                    log, recovered = SegmentedLog.open(disk, "benchmark")
                    log.close()
                    return len(recovered.entries)

                results.append(
                    Result("log: entries read at start", rate(read, seconds, time.perf_counter), "entries/s")
                )
    return results
