"""What a load is to be, as the command's options say it, and how it is shared out among processes. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from trioraft_cli.bench.channels import Place
from trioraft_cli.bench.job import Job
from trioraft_cli.bench.kinds import GET, MIXED, WATCH
from trioraft_cli.bench.requests import Wishes

LEADER: Final = "leader"
ANY: Final = "any"


class Plan(msgspec.Struct, frozen=True):
    """One load."""

    workload: str
    connections: int
    """Of a `watch`: how many watchers."""
    pipeline: int
    value_size: int
    keys: int
    seconds: float
    requests: int | None
    """How many requests, in place of seconds."""
    processes: int
    through: str
    writes: float
    """The share of writes in a mixed load."""
    stale: bool
    rate: float | None
    warm_up: float
    prefix: str
    """All keys begin with it, and no other keys do."""

    @property
    def share_of_writes(self) -> float:
        """The share of puts."""
        return {GET: 0.0, MIXED: self.writes}.get(self.workload, 1.0)

    @property
    def under_way(self) -> int:
        """How many requests are under way at once, without a rate."""
        return self.pipeline if self.workload == WATCH else self.connections * self.pipeline

    def key(self, number: int) -> str:
        """The key with that number."""
        return f"{self.prefix}{number:09d}"

    def jobs(self, places: list[Place]) -> list[Job]:
        """The jobs of the processes; of a watch the last one writes, and the others watch."""
        wishes = Wishes(
            self.prefix, self.keys, self.value_size, self.share_of_writes, self.stale, self.workload == WATCH
        )
        total = self.connections
        counts = [_part(total, self.processes, number) for number in range(self.processes)]
        jobs = []
        for number, connections in enumerate(counts):
            requests = None if self.requests is None else _part(self.requests, self.processes, number)
            job = Job(
                places=places,
                seeks_leader=self.through == LEADER,
                wishes=wishes,
                watches=self.workload == WATCH,
                connections=connections,
                first=sum(counts[:number]),
                pipeline=self.pipeline,
                warm_up=self.warm_up,
                seconds=None if self.requests is not None else self.seconds,
                requests=requests,
                interval=None if self.rate is None else round(1e9 * self.processes / self.rate),
            )
            jobs.append(job)
        if self.workload != WATCH:
            return jobs
        writer = msgspec.structs.replace(
            jobs[0],
            watches=False,
            connections=1,
            first=0,
            requests=self.requests,
            interval=None if self.rate is None else round(1e9 / self.rate),
        )
        watchers = [msgspec.structs.replace(job, seconds=None, requests=None) for job in jobs]
        return [*watchers, writer]


def _part(total: int, parts: int, number: int) -> int:
    """The size of one part of a total that is shared out as evenly as it can be."""
    return total // parts + (number < total % parts)
