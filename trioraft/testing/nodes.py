"""The simulation of whole nodes, from listener to driver, in virtual time on hostile networks and disks.

The run follows from the seed alone, so a failure can be repeated. Faults come for a while; then they stop, and the
cluster must recover completely: one leader, equal stores, every client answered. The clients' history must be
linearizable.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Final

import msgspec
import trio

from trioraft.addresses import Address
from trioraft.kv.invariants import KnownHistory
from trioraft.raft.invariants import Invariants
from trioraft.testing.history import History
from trioraft.testing.linearizability import check
from trioraft.testing.log_judge import judge, log_of
from trioraft.testing.machines import Machine, Trace, World
from trioraft.testing.network import MemoryNetwork, Weather
from trioraft.testing.node_clients import Keys, SimulatedClient
from trioraft.testing.node_faults import Faults
from trioraft.testing.node_operator import Operator
from trioraft.testing.node_users import NodeUser
from trioraft.testing.outcome import SimulationFailed, is_eventful
from trioraft.testing.simulation import draw_portions, draw_snapshot_settings
from trioraft.testing.stores import digest_of, empty_model
from trioraft.testing.users.crew import NUMBERS, draw_users, verify
from trioraft.testing.virtual_time import Agenda, StepCounter, run_in_virtual_time
from trioraft.wire.cluster_commands import LEVEL

SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 5.0
"""How long the cluster may take for each step of its recovery, as for a leader: ten election timeouts."""
CATCH_UP_SECONDS: Final = 15.0
"""How long newcomers may take to vote: a snapshot may have hundreds of pieces, each a round trip of slow nodes."""
USERS_SECONDS: Final = 30.0
"""How long clients and users may take to bring their work to an end: some wait for leases to end first."""
MAX_STEPS_A_SECOND: Final = 100_000
"""The most steps of Trio's tasks in a virtual second; more mean that something runs in circles."""


class Report(msgspec.Struct, kw_only=True):
    """The figures of one run."""

    seed: int
    nodes: int
    seconds: float
    """The virtual time that passed."""
    steps: int
    """How many steps Trio's tasks took."""
    turns: int
    """How many turns all nodes took."""
    elections: int
    committed: int
    """How many entries were committed, no-ops included."""
    faults: dict[str, int]
    """The number of faults by kind."""
    changes: dict[str, int]
    """The changes of members and leader that the operator carried out, by operation."""
    operations: dict[str, int]
    """The number of operations by outcome, and as `writes` the writes that were done."""
    asked: dict[str, int]
    """The number of answered requests of clients, by operation."""
    verdict: str
    trace: str
    """A checksum of all events, in order; the same for the same seed."""

    @property
    def counts(self) -> bool:
        """Whether enough happened for the run to prove something."""
        return is_eventful(self.elections, self.operations["writes"], len(self.faults))


def simulate_nodes(
    seed: int,
    *,
    nodes: int | None = None,
    clients: int | None = None,
    seconds: float = SECONDS,
    faults: Sequence[str] | None = None,
) -> Report:
    """Run a cluster with clients from that seed, with faults for `seconds` of virtual time, and judge it.

    `nodes` and `clients` are numbers, drawn by default. `faults` are the kinds to choose from, by default all of
    `Faults.KINDS`. Raises SimulationFailed.
    """
    simulation = _Simulation(seed, nodes, clients, seconds, faults)
    try:
        with _told_to(simulation.trace):
            run_in_virtual_time(seed, simulation.run, simulation.counter)
        return simulation.report()
    except Exception as error:
        raise SimulationFailed(seed, _flat(error), "\n".join(simulation.trace.recent)) from error


class _Simulation:
    def __init__(
        self, seed: int, nodes: int | None, clients: int | None, seconds: float, faults: Sequence[str] | None
    ) -> None:
        self.seed = seed
        self.clients = clients
        self.seconds = seconds
        self.random = random = Random(f"simulation of nodes {seed}")
        count = nodes or random.choice((3, 3, 3, 5, 4))
        self.addresses = [Address(f"node{index}", 8000) for index in range(count)]
        self.kinds = faults
        self.trace = Trace()
        self.invariants = Invariants()
        self.history = History()
        self.counter = StepCounter()
        self.stuck = False
        self.ended = 0.0
        self.asked: Counter[str] = Counter()

    async def run(self) -> None:
        """Run from the first start to the recovery after the faults."""
        random = self.random
        agenda = Agenda()
        weather = Weather(agenda, random, self.trace.note)
        weather.seconds = random.choice(((0.0001, 0.001), (0.001, 0.01), (0.0, 0.05)))
        weather.split_chance = random.choice((0.0, 0.1, 0.5))
        network = MemoryNetwork(weather, random.choice((2_000, 256 * 1024)))
        async with trio.open_nursery() as nursery:
            self.counter.after(int(MAX_STEPS_A_SECOND * (self.seconds + 30)), lambda: self._give_up(nursery))
            nursery.start_soon(agenda.run)
            snapshots = draw_snapshot_settings(random)
            world = World(
                random,
                nursery,
                agenda,
                network,
                self.trace,
                self.invariants,
                snapshots,
                draw_portions(self.seed),
                allow_faults=self.kinds is None and Random(f"faults on command {self.seed}").random() < 0.3,
            )
            listed = [str(address) for address in self.addresses]
            levels = random.choice(((LEVEL,), (LEVEL,), (LEVEL,), (1, 1, LEVEL)))
            if self.kinds is not None and "kill" not in self.kinds:
                levels = (LEVEL,)  # an older node is started anew, which may cost an election
            self.machines = [
                Machine(world, index, address, listed, random.choice(levels))
                for index, address in enumerate(self.addresses)
            ]
            for machine in self.machines:
                agenda.after(random.uniform(0, 0.3), machine.start)
            await self._use(world, weather)
            self.ended = trio.current_time()
            nursery.cancel_scope.cancel()
        if self.stuck:
            raise AssertionError("something runs in circles")

    async def _use(self, world: World, weather: Weather) -> None:
        keys = Keys(self.random)
        faults = Faults(world, weather, self.machines, self.counter, self.kinds)
        self.operator = operator = Operator(world, self.machines, lambda machine: self._take_in(machine, faults))
        clients = [
            SimulatedClient(
                number,
                world.network,
                self.addresses,
                Random(f"{self.seed} {number}"),
                self.history,
                keys,
                self.trace.note,
                operator,
                "members" in faults.kinds,
            )
            for number in range(self.clients or self.random.randint(2, 5))
        ]
        self.users = draw_users(self.random)
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.run)
            for number, user in enumerate(self.users, NUMBERS):
                random = Random(f"{self.seed} {number}")
                talk = NodeUser(user, number, world.network, self.addresses, random, self.history, self.trace.note)
                nursery.start_soon(talk.run)
            with trio.move_on_after(self.seconds):
                async with trio.open_nursery() as hostile:
                    hostile.start_soon(faults.run)
                    if "members" in faults.kinds:
                        hostile.start_soon(operator.run)
            faults.end()
            for client in clients:
                client.let_be()
            self.trace.note("the faults stop")
            await trio.sleep(
                1
            )  # a message may be on its way for half a second, and later ones on its connection wait for it
            await self._until("there is no leader", lambda: any(self._leads(machine) for machine in self.machines))
            await self._settle_members()
            for machine in self.members:
                if machine.is_older:
                    machine.upgrade()
            await self._until("not all nodes are up", lambda: all(machine.steady for machine in self.members))
            await self._until("there is no leader", self._has_leader)
            await self._until("the level is too low", lambda: all(map(self._is_newest, self.members)))
            for client in clients:
                client.calm = True
            for user in self.users:
                user.finishing = True
            nursery.cancel_scope.deadline = trio.current_time() + USERS_SECONDS
        assert all(user.done for user in self.users), "a user comes to no end"
        for client in clients:
            await self._settle_members()  # a change that a client asked for long ago may have been made since
            await client.say_goodbye(self.random.choice(self.members).address)
            self.asked += client.asked
        await self._settle_members()
        await self._until("the nodes do not agree", self._has_converged)
        states = [machine.life.driver.replica for machine in self.members if machine.life]
        found = {digest_of(one.machine, one.core.last_applied, KnownHistory()) for one in states}
        assert len(found) == 1, "equal logs, and different states"

    async def _settle_members(self) -> None:
        """Make sure that each member has a machine, and that each future voter has its vote."""
        with trio.fail_after(CATCH_UP_SECONDS):
            while not await self.operator.settle():
                await trio.sleep(0.1)

    @property
    def members(self) -> list[Machine]:
        """The machines that still belong to the cluster."""
        return [machine for machine in self.machines if not machine.retired]

    def _take_in(self, machine: Machine, faults: Faults) -> None:
        self.machines.append(machine)
        self.addresses.append(machine.address)
        faults.take_in(machine)

    def _is_newest(self, machine: Machine) -> bool:
        return machine.life is not None and machine.life.driver.replica.levels.applied == LEVEL

    def _leads(self, machine: Machine) -> bool:
        return machine.core is not None and machine.core.role == "leader" and machine.core.may_change

    async def _until(self, otherwise: str, condition: Callable[[], bool]) -> None:
        with trio.move_on_after(SETTLE_SECONDS):
            while not condition():
                await trio.sleep(0.05)
        assert condition(), f"{SETTLE_SECONDS} s later {otherwise}"

    def _has_leader(self) -> bool:
        cores = [machine.core for machine in self.members]
        leaders = [core.node for core in cores if core is not None and core.role == "leader"]
        return len(leaders) == 1 and all(core is not None and core.leader == leaders[0] for core in cores)

    def _has_converged(self) -> bool:
        cores = [machine.core for machine in self.members]
        return len({(core.last_index, core.last_applied) for core in cores if core}) == 1 and all(
            core is not None and core.last_applied == core.last_index for core in cores
        )

    def _give_up(self, nursery: trio.Nursery) -> None:
        self.stuck = True
        nursery.cancel_scope.cancel()

    def report(self) -> Report:
        """Judge the history, and report the run. Raises AssertionError where the history is not linearizable."""
        history = self.history
        assert not self.trace.failures, self.trace.failures[0]
        operations = {outcome: history.count(outcome) for outcome in ("done", "conflict", "refused", "unknown")}
        operations["writes"] = sum(one.outcome == "done" and one.kind != "get" for one in history.operations)
        counts = self.trace.counts
        verdict = check(history.operations)
        assert verdict.outcome == "linearizable", verdict.explanation
        verify(self.users, judge(log_of(self.invariants.committed), history, model=empty_model()))
        return Report(
            seed=self.seed,
            nodes=len(self.addresses),
            seconds=self.ended,
            steps=self.counter.steps,
            turns=counts.pop("turns"),
            elections=len(self.invariants.leaders),
            committed=len(self.invariants.committed),
            faults=dict(sorted(counts.items())),
            changes=dict(sorted(self.operator.changes.items())),
            operations=operations,
            asked=dict(sorted(self.asked.items())),
            verdict=verdict.outcome,
            trace=self.trace.hash,
        )


@contextmanager
def _told_to(trace: Trace) -> Iterator[None]:
    """Send the nodes' log lines to the trace alone."""
    logger = logging.getLogger("trioraft")
    before = logger.level, logger.propagate
    logger.addHandler(trace)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.level, logger.propagate = before
        logger.removeHandler(trace)


def _flat(error: BaseException) -> str:
    """The messages of all errors in a group, however deep it nests."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_flat(one) for one in error.exceptions)
    return f"{type(error).__name__}: {error}"
