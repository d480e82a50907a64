"""Several cores on a hostile network, drawn from one seed, with Raft's properties checked as they run."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from trioraft.raft.core import Batch, Core, NotLeader
from trioraft.raft.membership import Configuration, Member
from trioraft.raft.messages import Entry, HardState, Message, NodeId
from trioraft.wire.entries import payload, seal


class Machine:
    """One node: a core, what its disk holds, and what it has applied."""

    def __init__(self, node: NodeId, configuration: Configuration, random: Random) -> None:
        self.node = node
        self.configuration = configuration
        self.random = random
        self.disk: tuple[HardState, list[Entry]] = (HardState(), [])
        self.batch: Batch | None = None
        self.down_until = 0
        self.start()

    def start(self) -> None:
        hard_state, entries = self.disk
        self.core = Core(
            self.node,
            self.configuration,
            hard_state=hard_state,
            entries=list(entries),
            seal=seal,
            random=self.random,
        )
        self.batch = None
        self.applied: list[Entry] = []
        self.reads: dict[int, int] = {}
        """By context: the commit_index that a read must see."""


class Simulation:
    """A run. `step` until the faults end, then `settle`."""

    def __init__(self, seed: int, nodes: int, faults: float = 1.0) -> None:
        self.random = Random(seed)
        self.faults = faults
        members = tuple(Member(node, f"n{node}:1", "voter", f"f{node}") for node in range(nodes))
        configuration = Configuration(members, nodes)
        self.machines = [Machine(node, configuration, Random(seed * 100 + node)) for node in range(nodes)]
        self.now = 0
        self.wires: list[tuple[int, int, NodeId, NodeId, Message]] = []
        self.sent = 0
        self.cut: set[tuple[NodeId, NodeId]] = set()
        self.committed: dict[int, Entry] = {}
        self.leaders: dict[int, NodeId] = {}
        self.votes: dict[tuple[int, NodeId], NodeId] = {}
        self.proposals = 0
        self.reads_served = 0
        self.elections = 0
        self.highest_commit = 0

    # Faults and time

    def step(self) -> None:
        """One tick of time, with whatever happens in it."""
        self.now += 1
        random = self.random
        if self.faults:
            self._harm()
        for machine in self.machines:
            if machine.down_until > self.now:
                continue
            if machine.down_until == self.now:
                machine.start()
            if random.random() < 0.97:
                machine.core.tick()
            if machine.batch is not None and random.random() < 0.5:
                self._persist(machine)
            self._use(machine)
            self._pump(machine)
        self._deliver()
        self.check()

    def _harm(self) -> None:
        random = self.random
        alive = [machine for machine in self.machines if machine.down_until <= self.now]
        if random.random() < 0.008 * self.faults and alive:
            for machine in random.sample(alive, random.randint(1, len(alive))):
                self._crash(machine)
        if random.random() < 0.01 * self.faults:
            self.cut = {
                (a, b)
                for a in range(len(self.machines))
                for b in range(len(self.machines))
                if a != b and random.random() < random.choice((0.2, 0.5))
            }
        if random.random() < 0.02:
            self.cut = set()

    def _crash(self, machine: Machine) -> None:
        machine.down_until = self.now + self.random.randint(5, 200)
        if machine.batch is not None and self.random.random() < 0.5:
            self._write(machine, self.random.randint(0, len(machine.batch.entries)))
        machine.batch = None
        for other in self.machines:
            if other.down_until <= self.now and self.random.random() < 0.8:
                other.core.peer_lost(machine.node)

    def _use(self, machine: Machine) -> None:
        core = machine.core
        if core.role != "leader":
            return
        try:
            if self.random.random() < 0.3:
                count = self.random.randint(1, 3)
                first = core.propose([b'{"op":"put","key":"%d"}' % (self.proposals + n) for n in range(count)])
                assert first == core.last_index - count + 1
                self.proposals += count
            if self.random.random() < 0.2:
                context = self.now
                core.read_index(context)
                machine.reads[context] = self.highest_commit
        except NotLeader:  # pragma: no cover
            raise AssertionError("a leader refuses") from None

    # The duties of a driver

    def _pump(self, machine: Machine) -> None:
        core = machine.core
        while (ready := core.ready()) is not None:
            for receiver, message in ready.messages:
                self._send(machine.node, receiver, message)
            if ready.batch is not None:
                assert machine.batch is None
                machine.batch = ready.batch
            for entry in ready.committed:
                assert entry.index == len(machine.applied) + 1
                machine.applied.append(entry)
                before = self.committed.setdefault(entry.index, entry)
                assert before == entry, "State Machine Safety"
            if ready.committed:
                core.applied(ready.committed[-1].index)
            for context in ready.reads:
                assert core.last_applied >= machine.reads.pop(context), "a read misses a write committed before it"
                self.reads_served += 1
            if ready.lost is not None:
                machine.reads.clear()
        for other in self.machines:
            while (append := core.next_append(other.node)) is not None:
                self._send(machine.node, other.node, append)

    def _persist(self, machine: Machine) -> None:
        batch = machine.batch
        assert batch is not None
        self._write(machine, len(batch.entries))
        machine.batch = None
        machine.core.persisted(batch.number)
        for receiver, message in batch.messages:
            if receiver != machine.node:
                self._send(machine.node, receiver, message)

    def _write(self, machine: Machine, count: int) -> None:
        assert machine.batch is not None
        _, entries = machine.disk
        for entry in machine.batch.entries[:count]:
            assert entry.index <= len(entries) + 1
            entries = [*entries[: entry.index - 1], entry]
        machine.disk = (machine.batch.hard_state, entries)

    def _send(self, sender: NodeId, receiver: NodeId, message: Message) -> None:
        self.sent += 1
        copies = 1
        if self.faults and self.random.random() < 0.05 * self.faults:
            copies = self.random.choice((0, 0, 2))
        for _ in range(copies):
            delay = 1 if self.random.random() < 0.8 else self.random.randint(1, 30)
            self.wires.append((self.now + delay, self.sent, sender, receiver, message))

    def _deliver(self) -> None:
        due = sorted((wire for wire in self.wires if wire[0] <= self.now), key=lambda wire: wire[:2])
        self.wires = [wire for wire in self.wires if wire[0] > self.now]
        for _, _, sender, receiver, message in due:
            machine = self.machines[receiver]
            if machine.down_until > self.now or (sender, receiver) in self.cut:
                continue
            machine.core.step(sender, message)
            self._pump(machine)

    # Properties

    def check(self) -> None:
        """Raft's properties (Figure 3), on the state as it is."""
        for machine in self.machines:
            if machine.down_until > self.now:
                continue
            core = machine.core
            if core.role == "leader":
                if core.term not in self.leaders:
                    self.elections += 1
                assert self.leaders.setdefault(core.term, core.node) == core.node, "Election Safety"
                for index, entry in self.committed.items():
                    if index > core.last_index or core.log.entry(index) != entry:
                        # A deposed leader may not know it yet; one of the newest term must have everything.
                        assert core.term < max(self.leaders), "Leader Completeness"
                        break
            vote = core.hard_state.voted_for
            if vote is not None and core.hard_state == machine.disk[0]:
                assert self.votes.setdefault((core.term, core.node), vote) == vote, "one vote a term"
            assert core.durable_index <= core.last_index
            assert core.commit_index <= core.last_index
            self.highest_commit = max(self.highest_commit, core.commit_index)
        self._check_log_matching()

    def _check_log_matching(self) -> None:
        logs = [m.core.log for m in self.machines if m.down_until <= self.now]
        for one, other in pairwise(logs):
            index = min(one.last_index, other.last_index)
            while index and one.term_at(index) != other.term_at(index):
                index -= 1
            assert one.slice(max(1, index - 20), index) == other.slice(max(1, index - 20), index), "Log Matching"

    def settle(self) -> None:
        """End all faults; within ten election timeouts there is one leader and everything converges."""
        self.faults = 0
        self.cut = set()
        for machine in self.machines:
            if machine.down_until > self.now:
                machine.down_until = self.now + 1
        for _ in range(1000):
            self.step()
            indexes = {m.core.commit_index for m in self.machines}
            leaders = [m for m in self.machines if m.core.role == "leader"]
            terms = {m.core.term for m in self.machines}
            if len(leaders) == 1 and len(terms) == 1 and len(indexes) == 1 and min(indexes) > self.highest_commit - 3:
                break
        else:
            raise AssertionError("no leader, or no convergence")
        longest = max((m.applied for m in self.machines), key=len)
        assert all(m.applied == longest[: len(m.applied)] for m in self.machines)
        assert [payload(entry) for entry in longest[: len(self.committed)]] == [
            payload(self.committed[index]) for index in sorted(self.committed)
        ]
