"""A whole run: a cluster, clients, faults from a seed, and the report at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from trioraft.testing.history import Request
from trioraft.testing.linearizability import check
from trioraft.testing.log_judge import judge
from trioraft.testing.users.banking import Banking
from trioraft.testing.users.counting import COUNT, Counting
from trioraft.testing.users.crew import NUMBERS, verify
from trioraft.testing.users.locking import Locking
from trioraft.testing.users.user import USED, User
from trioraft.testing.users.waiting import Waiting
from trioraft.testing.users.watching import Watching
from trioraft.wire.codec import encode

from ..helpers.load import Threads
from ..helpers.processes import ask_port
from .clients import Load, read_everything
from .cluster import ChaosCluster
from .faults import Planner, Step
from .log_reader import LogReader
from .users import UserThread

RECOVERY_SECONDS = 40.0
"""How long the cluster may take, after all faults, until it writes through every node; generous for busy machines."""
LONG_RECOVERY_SECONDS = 3.0
"""After how many seconds the report names the nodes that lag."""
POLL_SECONDS = 0.02
USER_SECONDS = 60.0
"""How long users may take to bring their work to an end."""
THREAD_SECONDS = 10.0
PROBE = 999
"""The number of the client that asks whether a node takes writes."""


@dataclass
class Plan:
    """The settings of a run."""

    seed: int
    nodes: int = 5
    seconds: float = 60.0
    clients: int = 10
    keys: int = 40
    rate: float = 500.0
    """How many operations a second the clients aim at."""
    rounds: list[list[str]] | None = None
    """The faults of each round, by name; None to draw them from the seed, for `seconds`."""
    round_seconds: tuple[float, float] = (0.5, 8.0)
    last_seconds: float | None = None
    """How long the last round lasts; None for as long as any."""
    only: list[str] | None = None
    """The faults to draw from; None for all."""
    switched: bool = False
    """Whether the nodes are on a switch, where packets vanish."""
    counters: int = 2
    """How many users count, each in a session."""
    increments: int | None = None
    """How often each of them counts; None for as long as the run lasts."""
    window: int = 4
    """How many increments each of them has under way at once."""
    bankers: int = 2
    lockers: int = 4
    """How many users want one lock."""
    watchers: int = 3
    waiters: int = 1

    def users(self) -> list[User]:
        """The users of the run."""
        random = Random(self.seed)
        users: list[User] = [Counting(self.window, self.increments) for _ in range(self.counters)]
        users += [Banking(random) for _ in range(self.bankers)]
        users += [Locking(random, 2000, 2.0, number % 2 == 0) for number in range(self.lockers)]
        where = {"progress_ms": 500}
        kinds = ({"prefix": ""}, {"prefix": USED, "initial": True}, {"key": COUNT})
        users += [Watching(random, {**kinds[number % len(kinds)], **where}) for number in range(self.watchers)]
        return users + [Waiting(COUNT) for _ in range(self.waiters)]


@dataclass
class Report:
    """The report of a run."""

    plan: Plan
    failures: list[str] = field(default_factory=list)
    operations: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    stale_reads: int = 0
    keys: int = 0
    torn_bytes: int = 0
    seconds: float = 0.0
    term: int = 0
    longest_gap: float = 0.0
    slowest_recovery: float = 0.0
    users: str = ""
    verdict: str = "not reached"
    check_seconds: float = 0.0

    def __str__(self) -> str:
        total = sum(self.operations.values())
        lines = [
            f"seed {self.plan.seed}, {self.plan.nodes} nodes, {self.seconds:.0f} s",
            f"operations: {total}, {total / max(self.seconds, 0.001):.0f} a second on {self.keys} keys: "
            f"{_counts(self.operations)}; stale reads among them: {self.stale_reads}",
            f"answers other than yes: {_counts(self.errors)}",
            f"faults: {sum(self.faults.values())}: {_counts(self.faults)}",
            f"ends of nodes by themselves: {_counts(self.exits)}; torn off by power cuts: {self.torn_bytes} bytes",
            f"terms: {self.term}; longest time without an acknowledged write {self.longest_gap:.1f} s, "
            f"slowest recovery {self.slowest_recovery:.1f} s",
            f"users: {self.users}",
            f"verdict: {self.verdict}, after {self.check_seconds:.1f} s",
            *(f"FAILURE: {failure}" for failure in self.failures),
        ]
        return "\n".join(lines)


class Failed(Exception):
    """The run has a finding."""


class Run:
    """One run; use `run` to carry it out."""

    def __init__(self, plan: Plan, cluster: ChaosCluster, load: Load, say: Callable[[str], None]) -> None:
        self.report = Report(plan)
        self._plan = plan
        self._cluster = cluster
        self._load = load
        self._random = Random(plan.seed)
        self._planner = Planner(cluster, self._random)
        self._say = say
        ports = [node.port for node in cluster.nodes]
        self._log_reader = LogReader(ports)
        self._users = plan.users()
        self._talks = [
            UserThread(user, number, ports, load.history, Random(f"{plan.seed} {number}"))
            for number, user in enumerate(self._users, NUMBERS)
        ]
        self._began = time.monotonic()

    def go(self) -> None:
        """Carry out the run; the report holds the findings."""
        work = [self._log_reader.run, *[talk.run for talk in self._talks]]
        try:
            with Threads(THREAD_SECONDS, work) as threads:
                self._threads = threads
                try:
                    self._suffer()
                finally:
                    self._log_reader.stopping.set()
                    for talk in self._talks:
                        talk.gone.set()
        except (Failed, AssertionError) as failure:
            self.report.failures.append(str(failure))
        self._finish()

    def _suffer(self) -> None:
        """Let the faults happen, and then everything come to an end."""
        with self._load:
            self._pass(1.0, [])
            for kinds in self._rounds():
                self._round(kinds)
            self._finish_users()
        self.report.seconds = time.monotonic() - self._began
        self._settle()

    def _is_counting(self) -> bool:
        """Whether users count to a number, and have not got there."""
        return self._plan.increments is not None and not all(
            user.done for user in self._users if isinstance(user, Counting)
        )

    def _finish_users(self) -> None:
        """Let the users bring their work to an end."""
        for user in self._users:
            user.finishing = True
        deadline = time.monotonic() + USER_SECONDS
        while not all(user.done for user in self._users):
            self._watch()
            if time.monotonic() > deadline:
                left = [user for user in self._users if not user.done]
                raise Failed(f"{len(left)} users come to no end in {USER_SECONDS:g} s: {left[0]}")
            time.sleep(POLL_SECONDS)

    def _log(self, words: str) -> None:
        self._say(f"{time.strftime('%H:%M:%S')} {time.monotonic() - self._began:8.3f} {words}")

    def _rounds(self) -> Iterator[list[str]]:
        if self._plan.rounds is not None:
            yield from self._plan.rounds
            return
        kinds = self._plan.only or list(self._planner.kinds)
        while time.monotonic() - self._began < self._plan.seconds or self._is_counting():
            yield self._random.sample(kinds, min(len(kinds), self._random.choice((1, 1, 2, 2, 3))))

    def _round(self, kinds: list[str]) -> None:
        """Carry out some faults at once, end them, wait for the recovery, and let it be calm for a while."""
        low, high = self._plan.round_seconds
        length = low + (high - low) * self._random.random() ** 2
        if self._plan.rounds is not None and kinds is self._plan.rounds[-1]:
            length = self._plan.last_seconds or length
        steps: list[Step] = []
        for kind in kinds:
            self.report.faults[kind] += 1
            offset = 0.0 if kind == kinds[0] else self._random.uniform(0, length / 2)
            for step in self._planner.plan(kind, length - offset):
                steps.append(Step(step.at + offset, step.act))
        self._log(f"--- {', '.join(kinds)} for {length:.1f} s")
        self._pass(length, sorted(steps, key=lambda step: step.at))
        self._recover()
        self._pass(length * self._random.uniform(0.2, 0.8), [])

    def _pass(self, seconds: float, steps: list[Step]) -> None:
        """Let time pass, and take each step when it is due. `_recover` does what is left at the end."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            if steps and steps[0].at <= passed:
                if (done := steps.pop(0).act()) is not None:
                    self._log(done)
                continue
            self._watch()
            time.sleep(POLL_SECONDS)

    def _recover(self) -> None:
        """End all faults, and wait until a write through every node is acknowledged."""
        self._log("all faults end")
        healed = time.monotonic()
        self._cluster.heal()
        late = {node.index for node in self._cluster.nodes}
        said = False
        while late:
            self._watch()
            late -= {node for node in late if self._takes_a_write(node)}
            took = time.monotonic() - healed
            if took > RECOVERY_SECONDS:
                raise Failed(f"no write through {late} is acknowledged {RECOVERY_SECONDS:g} s after the faults' end")
            if late and not said and took > LONG_RECOVERY_SECONDS:
                said = True
                self._log(f"no write through {late} yet: {[_gist(status) for status in self._cluster.statuses()]}")
            time.sleep(POLL_SECONDS if late else 0)
        self.report.slowest_recovery = max(self.report.slowest_recovery, took)
        self._log(f"recovered after {took:.2f} s")

    def _takes_a_write(self, index: int) -> bool:
        """Write through that node. Return whether the write is acknowledged."""
        history = self._load.history
        probe = {"op": "put", "key": "probe", "value": index}
        request = Request(PROBE, history.connect(), 0, probe, time.monotonic())
        history.requests.append(request)
        try:
            reply = ask_port(self._cluster.nodes[index].port, probe, 3.0)
        except (OSError, ValueError):
            return False
        request.returned, request.line = time.monotonic(), encode(reply)
        return bool(reply["ok"])

    def _watch(self) -> None:
        found = self._cluster.watch(time.monotonic())
        found += self._load.observations.violations[:5]
        found += [f"a client broke: {error!r}" for error in [*self._load.broken, *self._threads.errors]]
        if found:
            raise Failed("; ".join(found))

    def _settle(self) -> None:
        """Check, without faults and clients, that all nodes come to agree, hold the same data, and end well."""
        self._cluster.heal()
        deadline = time.monotonic() + RECOVERY_SECONDS
        while self._cluster.settled() is None:
            self._watch()
            if time.monotonic() > deadline:
                raise Failed(f"the nodes do not agree {RECOVERY_SECONDS:g} s after the faults' end")
            time.sleep(POLL_SECONDS)
        self.report.term = max(status["term"] for status in self._cluster.statuses(2.0))
        self._log_reader.read()
        names = [f"k{number:06d}" for number in range(self._load.keys.made)]
        read_everything(self._load, names)
        states = [self._cluster.items(node.index) for node in self._cluster.nodes]
        for index, state in enumerate(states):
            if state != states[0]:
                differ = [pair for pair in zip(states[0], state, strict=False) if pair[0] != pair[1]][:3]
                raise Failed(f"nodes 0 and {index} have applied the same log, and differ: {differ}")
        self._watch()
        for node in self._cluster.nodes:
            if (code := node.stop()) != 0:
                raise Failed(f"node {node.index} was told to stop, and ended with code {code}")

    def _finish(self) -> None:
        """Make the report: the verdict and all counts."""
        report, load = self.report, self._load
        report.seconds = report.seconds or time.monotonic() - self._began
        report.failures += self._cluster.alarms()[:10]
        operations = load.history.operations
        report.operations = Counter(operation.outcome for operation in operations)
        report.errors, report.exits = load.errors, self._cluster.exits
        report.stale_reads, report.keys = load.observations.stale_reads, load.keys.made
        report.torn_bytes, report.longest_gap = self._cluster.torn_bytes, load.longest_gap
        began = time.monotonic()
        verdict = check([each for each in operations if each.outcome != "refused"])
        report.check_seconds = time.monotonic() - began
        report.verdict = verdict.outcome
        if verdict.outcome != "linearizable":
            report.failures.append(f"{verdict.outcome}: {verdict.explanation}")
        if not report.failures:
            self._judge_by_the_log()

    def _judge_by_the_log(self) -> None:
        """Compare every reply, and all that users were told, with the log."""
        report, began = self.report, time.monotonic()
        try:
            verify(self._users, judge(self._log_reader.log, self._load.history))
        except AssertionError as error:
            report.verdict = "violation"
            report.failures.append(f"violation: {error}")
        report.check_seconds += time.monotonic() - began
        report.users = ", ".join(str(user) for user in self._users)


def run(plan: Plan, folder: Path, say: Callable[[str], None] = print) -> Report:
    """Carry out a run in that folder. No process is left afterwards, whatever happens."""
    with ChaosCluster(folder, plan.nodes, Random(plan.seed + 1), plan.switched) as cluster:
        cluster.form()
        load = Load([node.port for node in cluster.nodes], plan.clients, plan.keys, plan.rate, plan.seed)
        whole = Run(plan, cluster, load, say)
        whole.go()
    return whole.report


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "none"


def _gist(status: dict[str, Any]) -> str:
    fields = ("node", "role", "term", "leader", "commit_index", "last_applied", "last_index")
    return " ".join(f"{name}={status[name]}" for name in fields)
