"""The faults by name: each plans the steps for a stretch of time, and the moment of each step."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from . import network
from .cluster import ChaosCluster
from .network import Link

LYING_DISKS = "lying disks"
"""A fault that no cluster survives; it shows whether this harness would notice."""

Act = Callable[[], str | None]
"""Carries out a step, and returns what was done; None where there was no target."""


@dataclass
class Step:
    """A step, and how many seconds after the beginning of the stretch it is taken."""

    at: float
    act: Act


class Planner:
    """Plans faults from a seed. The target of a step may depend on who leads at that moment."""

    def __init__(self, cluster: ChaosCluster, random: Random) -> None:
        self.cluster = cluster
        self.random = random
        self.size = len(cluster.nodes)
        self.kinds: dict[str, Callable[[float], list[Step]]] = {
            "kill one": lambda length: self._kill(self._some(1), length),
            "kill the leader": lambda length: self._kill(self._leader, length),
            "kill a majority": lambda length: self._kill(self._some(self.size // 2 + 1), length),
            "kill all": lambda length: self._kill(self._some(self.size), length),
            "power cut of one": lambda length: self._cut_power(self._some(1), length),
            "power cut of the leader": lambda length: self._cut_power(self._leader, length),
            "power cut of a majority": lambda length: self._cut_power(self._some(self.size // 2 + 1), length),
            "power cut of all": lambda length: self._cut_power(self._some(self.size), length),
            "terminate one": lambda length: self._terminate(self._some(1), length),
            "terminate the leader": lambda length: self._terminate(self._leader, length),
            "leave one behind": self._leave_behind,
            "pause one": lambda length: self._pause(self._some(1), length),
            "pause the leader": lambda length: self._pause(self._leader, length),
            "pause a majority": lambda length: self._pause(self._some(self.size // 2 + 1), min(length, 3.0)),
            "isolate the leader": lambda length: self._part(self._around_leader, length),
            "isolate one": lambda length: self._part(lambda: network.isolate(self.size, self._any()), length),
            "split": lambda length: self._part(lambda: network.split(self.size, random), length),
            "bridge": lambda length: self._part(lambda: network.bridge(self.size, random), length),
            "one way": lambda length: self._part(lambda: network.one_way(self.size, self._any(), random), length),
            "one way at the leader": lambda length: self._part(self._one_way_at_leader, length),
            "random links": lambda length: self._part(lambda: network.some_links(self.size, random), length),
            "flapping links": self._flap,
            "slow links": self._slow_links,
            "refuse": self._refuse,
            "slow disk": lambda length: self._slow_disks(self._some(1), length),
            "slow disk of the leader": lambda length: self._slow_disks(self._leader, length),
            "slow disks": lambda length: self._slow_disks(self._some(self.size), length),
            "failing sync": lambda length: self._failing_disk(self._some(1), length, "sync", errno.EIO),
            "failing sync of the leader": lambda length: self._failing_disk(self._leader, length, "sync", errno.EIO),
            "failing write": lambda length: self._failing_disk(self._some(1), length, "write", errno.EIO),
            "full disk": lambda length: self._failing_disk(self._some(1), length, "write", errno.ENOSPC),
            "full disk of the leader": lambda length: self._failing_disk(self._leader, length, "write", errno.ENOSPC),
        }

        if cluster.switched:  # no proxy is between the nodes to delay bytes, or to refuse dials for a node
            del self.kinds["slow links"], self.kinds["refuse"]

    def plan(self, kind: str, length: float) -> list[Step]:
        """The steps of one fault; at the latest, the end of the stretch heals everything."""
        if kind == LYING_DISKS:
            return [Step(0.0, self._lie)]
        return self.kinds[kind](length)

    # Targets

    def _any(self) -> int:
        return self.random.randrange(self.size)

    def _some(self, count: int) -> Callable[[], list[int]]:
        chosen = self.random.sample(range(self.size), count)
        return lambda: chosen

    def _leader(self) -> list[int]:
        leader = self.cluster.leader()
        return [] if leader is None else [leader]

    def _around_leader(self) -> list[Link]:
        return [link for leader in self._leader() for link in network.isolate(self.size, leader)]

    def _one_way_at_leader(self) -> list[Link]:
        return [link for leader in self._leader() for link in network.one_way(self.size, leader, self.random)]

    # Steps

    def _kill(self, whom: Callable[[], list[int]], length: float) -> list[Step]:
        killed: list[int] = []

        def kill() -> str | None:
            killed.extend(whom())
            self.cluster.kill(killed)
            return f"kill -9 of {killed}" if killed else None

        return [Step(0.0, kill), self._start_again(killed, length)]

    def _cut_power(self, whom: Callable[[], list[int]], length: float) -> list[Step]:
        """Cut the power after a moment of slow syncs, so that there is something to lose."""
        without: list[int] = []

        def slow() -> None:
            without.extend(whom())
            for node in without:
                self.cluster.nodes[node].disk.slow(0.01, 0.1)

        def cut() -> str | None:
            torn = self.cluster.kill(without, power=True)
            for node in without:
                self.cluster.nodes[node].disk.slow(0, 0)
            return f"power cut of {without}, which tears off {torn} bytes" if without else None

        before = min(length / 2, self.random.uniform(0.05, 0.3))
        start = self._start_again(without, length - before)
        return [Step(0.0, slow), Step(before, cut), Step(before + start.at, start.act)]

    def _start_again(self, dead: list[int], length: float) -> Step:
        def start() -> str | None:
            for node in dead:
                self.cluster.start(node)
            return f"start of {dead}" if dead else None

        return Step(self.random.uniform(0.1, min(3.0, max(0.2, length))), start)

    def _leave_behind(self, length: float) -> list[Step]:
        """Kill a follower, and let the others shorten their logs before it comes back."""
        behind: list[int] = []

        def kill() -> str | None:
            leader = self.cluster.leader()
            behind.append(self.random.choice([node for node in range(self.size) if node != leader]))
            self.cluster.kill(behind)
            return f"kill -9 of {behind}"

        def shorten() -> str | None:
            taken = [node.index for node in self.cluster.nodes if self.cluster.takes_a_snapshot(node.index)]
            return f"snapshots of {taken}"

        def start() -> str | None:
            for node in behind:
                self.cluster.start(node)
            return f"start of {behind}"

        return [Step(0.0, kill), Step(0.8 * length, shorten), Step(0.9 * length, start)]

    def _lie(self) -> str:
        for node in self.cluster.nodes:
            node.disk.lie()
        return "from now on no disk syncs anything"

    def _terminate(self, whom: Callable[[], list[int]], length: float) -> list[Step]:
        def terminate() -> str | None:
            nodes = whom()
            for node in nodes:
                self.cluster.terminate(node)
            return f"SIGTERM to {nodes}" if nodes else None

        return [Step(self.random.uniform(0, length / 2), terminate)]

    def _pause(self, whom: Callable[[], list[int]], length: float) -> list[Step]:
        paused: list[int] = []

        def pause() -> str | None:
            for node in whom():
                self.cluster.nodes[node].pause()
                paused.append(node)
            return f"SIGSTOP to {paused}" if paused else None

        def resume() -> str | None:
            for node in paused:
                self.cluster.nodes[node].resume()
            return f"SIGCONT to {paused}" if paused else None

        return [Step(0.0, pause), Step(self.random.uniform(0.1, max(0.2, length)), resume)]

    def _part(self, shape: Callable[[], list[Link]], length: float) -> list[Step]:
        mode = self.random.choice(("stall", "drop", "cut"))
        parted: list[Link] = []

        def part() -> str | None:
            parted.extend(shape())
            self.cluster.network.affect(parted, mode)
            return f"{mode} of {_names(parted)}" if parted else None

        def join() -> str | None:
            self.cluster.network.heal(parted)
            return f"end of the {mode}" if parted else None

        return [Step(0.0, part), Step(self.random.uniform(length / 2, length), join)]

    def _flap(self, length: float) -> list[Step]:
        steps = []
        at = 0.0
        while at < length:
            rest = self.random.uniform(0.05, 0.8)
            part, join = self._part(lambda: network.some_links(self.size, self.random), rest)
            steps += [Step(at, part.act), Step(at + rest, join.act)]
            at += rest
        return steps

    def _slow_links(self, length: float) -> list[Step]:
        links = network.some_links(self.size, self.random)
        delay = self.random.choice((0.005, 0.05, 0.3))
        rate = self.random.choice((0.0, 0.0, 3e4, 2e5))

        def slow() -> str:
            self.cluster.network.affect(links, "slow", delay, rate)
            return f"{_names(links)} delayed up to {delay * 1000:g} ms, at {rate:g} bytes/s (0: as fast as can be)"

        def join() -> str:
            self.cluster.network.heal(links)
            return "end of the delays"

        return [Step(0.0, slow), Step(length, join)]

    def _refuse(self, length: float) -> list[Step]:
        """Let the leader, or any node, look dead to nodes that dial it, though it lives."""
        refused: list[int] = []

        def refuse() -> str:
            refused.extend(self._leader() or [self._any()])
            for node in refused:
                self.cluster.network.refuse(node)
                self.cluster.network.hang_up(node)
            return f"connections to {refused} are broken and refused"

        def listen() -> str:
            for node in refused:
                if self.cluster.nodes[node].running:
                    self.cluster.network.listen(node)
            return f"connections to {refused} are taken again"

        return [Step(0.0, refuse), Step(self.random.uniform(0.1, length), listen)]

    def _slow_disks(self, whom: Callable[[], list[int]], length: float) -> list[Step]:
        high = self.random.choice((0.005, 0.02, 0.1, 0.3, 0.8))
        slowed: list[int] = []

        def slow() -> str | None:
            for node in whom():
                self.cluster.nodes[node].disk.slow(high / 4, high)
                slowed.append(node)
            return f"syncs of {slowed} take {high * 250:g} to {high * 1000:g} ms more" if slowed else None

        def quick() -> str | None:
            for node in slowed:
                self.cluster.nodes[node].disk.slow(0, 0)
            return f"quick syncs of {slowed}" if slowed else None

        return [Step(0.0, slow), Step(length, quick)]

    def _failing_disk(self, whom: Callable[[], list[int]], length: float, what: str, code: int) -> list[Step]:
        def fail() -> str | None:
            nodes = whom()
            for node in nodes:
                disk = self.cluster.nodes[node].disk
                (disk.fail_syncs if what == "sync" else disk.fail_writes)(code)
            return f"{errno.errorcode[code]} on each {what} of {nodes}" if nodes else None

        return [Step(self.random.uniform(0, length / 2), fail)]


def _names(links: list[Link]) -> str:
    return " ".join(f"{sender}>{receiver}" for sender, receiver in sorted(links))
