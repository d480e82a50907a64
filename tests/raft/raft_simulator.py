"""Several cores on a hostile network, drawn from one seed, with Raft's properties checked after every event."""

from __future__ import annotations

from random import Random

from trioraft.raft.core import Batch, Core, Overloaded, Settings
from trioraft.raft.membership import Configuration, Member
from trioraft.raft.messages import Entry, HardState, Message, NodeId, RequestVoteReply
from trioraft.wire.entries import seal


class Machine:
    """One node: a core, what its disk holds, and what its life so far has shown."""

    def __init__(self, node: NodeId, configuration: Configuration, settings: Settings, random: Random) -> None:
        self.node = node
        self.configuration = configuration
        self.settings = settings
        self.random = random
        self.hard_state = HardState()
        self.disk: list[Entry] = []
        self.up = False
        self.back_at = 1
        self.sync_chance = 0.5
        self.apply_chance = random.choice((1.0, 1.0, 0.5))

    def start(self) -> None:
        self.core = Core(
            self.node,
            self.configuration,
            hard_state=self.hard_state,
            entries=list(self.disk),
            seal=seal,
            random=self.random,
            settings=self.settings,
        )
        self.up = True
        self.batch: Batch | None = None
        self.applied = 0
        self.to_apply: list[Entry] = []
        self.reads: dict[int, int] = {}
        """By context: the highest index known to be committed, anywhere, when the read began."""
        self.seen = self.core.hard_state
        self.seen_commit = 0
        self.seen_log: tuple[int, Entry | None] = (0, None)
        self.leads: int | None = None
        self.leader_last: Entry | None = None


class Simulation:
    """A run. `step` until the faults end, then `settle`."""

    def __init__(self, seed: int, nodes: int) -> None:
        self.random = random = Random(seed)
        self.faults = True
        self.loss = random.choice((0.0, 0.02, 0.05, 0.2))
        self.delay = random.choice((2, 10, 30, 90))
        self.crashes = random.choice((0.0, 0.01, 0.03))
        self.partitions = random.choice((0.0, 0.02, 0.06))
        self.healing = random.choice((0.01, 0.04))
        self.syncs = random.choice(((0.5, 0.5), (1.0, 0.1), (0.02, 1.0), (0.5, 0.05, 0.01)))
        self.load = random.choice((0.03, 0.2, 0.9))
        election_ticks = random.choice((12, 12, 50))
        settings = Settings(
            election_ticks=election_ticks,
            heartbeat_ticks=election_ticks // 4,
            lost_ticks=election_ticks // 4,
            max_append_bytes=random.choice((1, 1, 512 * 1024)),
            max_inflight=random.choice((1, 3, 64)),
            max_uncommitted_bytes=random.choice((2000, 64 * 1024 * 1024)),
        )
        members = tuple(Member(node, f"n{node}:1", "voter", f"f{node}") for node in range(nodes))
        configuration = Configuration(members, nodes)
        self.machines = [
            Machine(node, configuration, settings, Random(seed * 100 + node)) for node in configuration.voters
        ]
        self.now = 0
        self.wires: list[tuple[int, int, NodeId, NodeId, Message]] = []
        self.cut: set[tuple[NodeId, NodeId]] = set()
        self.leaders: dict[int, tuple[NodeId, list[Entry]]] = {}
        """By term: who led it, and its log when it was elected."""
        self.votes: dict[tuple[int, NodeId], NodeId] = {}
        self.committed: list[tuple[Entry, int]] = []
        """What leaders have committed, each with the term in which it was."""
        self.contexts = 0
        self.sent = self.lost = self.crashed = self.truncated = self.overloaded = self.reads_served = 0

    # Time and faults

    def step(self) -> None:
        """One tick of time, with whatever happens in it."""
        self.now += 1
        random = self.random
        if self.faults:
            self._harm()
        for machine in self.machines:
            if not machine.up:
                if machine.back_at > self.now:
                    continue
                machine.start()
            if random.random() < 0.97:
                machine.core.tick()
                self._apply(machine)
                self._after(machine)
            if machine.batch is not None and random.random() < machine.sync_chance:
                self._persist(machine)
                self._after(machine)
            self._use(machine)
        self._deliver()

    def _harm(self) -> None:
        random = self.random
        alive = [machine for machine in self.machines if machine.up]
        if alive and random.random() < self.crashes:
            victims = random.sample(alive, random.choice((1, 1, random.randint(1, len(alive)))))
            if random.random() < 0.3:
                victims = [machine for machine in alive if machine.core.role == "leader"]
            for machine in victims:
                self._crash(machine)
        if random.random() < self.partitions:
            self._partition()
        if random.random() < self.healing:
            self.cut = set()
        if random.random() < 0.01:
            random.choice(self.machines).sync_chance = random.choice(self.syncs)
        if alive and random.random() < 0.01:
            machine, peer = random.choice(alive), random.choice(self.machines).node
            if random.random() < 0.5:
                machine.core.peer_lost(peer)  # a rumour, and wrong
            else:
                machine.core.peer_connected(peer)
            self._after(machine)

    def _partition(self) -> None:
        """Cut links at random, or the newest leader and some others off; in both directions or in one."""
        random = self.random
        nodes = range(len(self.machines))
        if self.leaders and random.random() < 0.5:
            leader = self.leaders[max(self.leaders)][0]
            inside = {leader, *random.sample(nodes, random.randint(0, len(nodes) // 2))}
            self.cut = {(a, b) for a in inside for b in nodes if b not in inside}
            for other in self.machines:
                if other.node not in inside and other.up and random.random() < 0.5:
                    other.core.peer_lost(leader)  # wrong: it lives, and leads on
                    self._after(other)
        else:
            density = random.choice((0.1, 0.2, 0.5))
            self.cut = {(a, b) for a in nodes for b in nodes if a != b and random.random() < density}
        if random.random() < 0.7:
            self.cut |= {(b, a) for a, b in self.cut}

    def _crash(self, machine: Machine) -> None:
        random = self.random
        self.crashed += 1
        machine.up = False
        machine.back_at = self.now + random.choice((1, 20, 200))
        if machine.batch is not None and random.random() < 0.5:
            self._write(machine, random.randint(0, len(machine.batch.entries)))
        for other in self.machines:
            if other.up and random.random() < 0.8:
                other.core.peer_lost(machine.node)
                self._after(other)

    def _use(self, machine: Machine) -> None:
        core = machine.core
        if core.role != "leader":
            return
        if self.random.random() < self.load:
            try:
                core.propose([b"%d" % self.now] * self.random.randint(1, 3))
            except Overloaded:
                self.overloaded += 1
            self._after(machine)
        if core.role == "leader" and self.random.random() < self.load:
            self._read(machine)

    def _read(self, machine: Machine) -> None:
        self.contexts += 1
        machine.reads[self.contexts] = len(self.committed)
        machine.core.read_index(self.contexts)
        self._after(machine)

    # The duties of a driver

    def _after(self, machine: Machine) -> None:
        """Do what the core has decided, and check: called after every event."""
        self._check(machine)
        core, random = machine.core, self.random.random
        while (ready := core.ready()) is not None:
            for receiver, message in ready.messages:
                self._send(machine, receiver, message)
            if ready.batch is not None:
                assert machine.batch is None, "one batch at a time"
                machine.batch = ready.batch
            machine.to_apply.extend(ready.committed)
            if random() < machine.apply_chance:
                self._apply(machine)
            for context in ready.reads:
                assert machine.applied >= machine.reads.pop(context), "a read misses a write committed before it"
                self.reads_served += 1
            if ready.lost is not None:
                machine.reads.clear()
            self._check(machine)
        for other in self.machines:
            while (append := core.next_append(other.node)) is not None:
                self._send(machine, other.node, append)

    def _apply(self, machine: Machine) -> None:
        for entry in machine.to_apply:
            assert entry.index == machine.applied + 1, "applied in order, without a gap"
            assert self.committed[machine.applied][0] == entry, "State Machine Safety"
            machine.applied += 1
        machine.to_apply = []
        machine.core.applied(machine.applied)

    def _persist(self, machine: Machine) -> None:
        batch = machine.batch
        assert batch is not None
        self._write(machine, len(batch.entries))
        machine.batch = None
        machine.core.persisted(batch.number)
        for receiver, message in batch.messages:
            if receiver != machine.node:
                self._send(machine, receiver, message)

    def _write(self, machine: Machine, count: int) -> None:
        """The hard state, and as many of the batch's entries, reach the disk."""
        batch = machine.batch
        assert batch is not None
        old, new = machine.hard_state, batch.hard_state
        assert new.term > old.term or (new.term == old.term and old.voted_for in (None, new.voted_for))
        machine.hard_state = new
        for entry in batch.entries[:count]:
            assert entry.index <= len(machine.disk) + 1, "a gap on the disk"
            self.truncated += entry.index <= len(machine.disk)
            del machine.disk[entry.index - 1 :]
            machine.disk.append(entry)

    def _send(self, machine: Machine, receiver: NodeId, message: Message) -> None:
        if isinstance(message, RequestVoteReply) and message.granted:
            assert machine.hard_state.term >= message.term, "a vote is told before it is synced"
            if machine.hard_state.term == message.term:
                assert machine.hard_state.voted_for == receiver, "a vote is told before it is synced"
            self._vote(message.term, machine.node, receiver)
        self.sent += 1
        copies = 1
        if self.faults and self.random.random() < self.loss:
            copies = self.random.choice((0, 0, 2))
            self.lost += copies == 0
        for _ in range(copies):
            delay = 1 if self.random.random() < 0.8 or not self.faults else self.random.randint(1, self.delay)
            self.wires.append((self.now + delay, self.sent, machine.node, receiver, message))

    def _deliver(self) -> None:
        due = sorted((wire for wire in self.wires if wire[0] <= self.now), key=lambda wire: wire[:2])
        self.wires = [wire for wire in self.wires if wire[0] > self.now]
        for _, _, sender, receiver, message in due:
            machine = self.machines[receiver]
            if machine.up and (sender, receiver) not in self.cut:
                machine.core.step(sender, message)
                self._after(machine)

    # Properties (Figure 3)

    def _vote(self, term: int, voter: NodeId, candidate: NodeId) -> None:
        assert self.votes.setdefault((term, voter), candidate) == candidate, "one vote a term"

    def _check(self, machine: Machine) -> None:
        """What must hold after an event at this machine."""
        core, log = machine.core, machine.core.log
        seen, now = machine.seen, core.hard_state
        assert now.term >= seen.term, "the term regresses"
        assert now.term > seen.term or seen.voted_for in (None, now.voted_for), "one vote a term"
        assert core.commit_index >= machine.seen_commit, "commit_index regresses"
        assert machine.applied <= core.commit_index <= core.last_index
        machine.seen = now
        assert core.durable_index <= len(machine.disk)
        assert core.durable_index == 0 or machine.disk[core.durable_index - 1] == log.entry(core.durable_index)
        if core.role == "leader":
            self._check_leader(machine)
        else:
            machine.leads = None
        for index in range(machine.seen_commit + 1, core.commit_index + 1):
            assert index <= len(self.committed), "a follower commits what no leader has"
            assert self.committed[index - 1][0] == log.entry(index), "State Machine Safety"
        machine.seen_commit = core.commit_index
        end = (core.last_index, log.entry(core.last_index) if core.last_index else None)
        if end != machine.seen_log:
            machine.seen_log = end
            self._check_log(machine)

    def _check_leader(self, machine: Machine) -> None:
        core, log = machine.core, machine.core.log
        if machine.leads != core.term:
            assert core.term not in self.leaders, "Election Safety"
            assert machine.hard_state == HardState(core.term, core.node), "its own vote is not synced"
            self._vote(core.term, core.node, core.node)
            votes = sum(self.votes.get((core.term, m.node)) == core.node for m in self.machines)
            assert votes > len(self.machines) // 2, "elected by less than a majority"
            machine.leads = core.term
            start = log.slice(1, core.last_index)
            self.leaders[core.term] = (core.node, start)
            for entry, term in self.committed:
                assert term >= core.term or start[entry.index - 1] == entry, "Leader Completeness"
        elif machine.leader_last is not None:
            assert log.entry(machine.leader_last.index) == machine.leader_last, "Leader Append-Only"
        machine.leader_last = log.entry(core.last_index)
        for index in range(len(self.committed) + 1, core.commit_index + 1):
            entry = log.entry(index)
            assert index > machine.seen_commit
            copies = sum(len(m.disk) >= index and m.disk[index - 1] == entry for m in self.machines)
            assert copies > len(self.machines) // 2, "committed without a majority of disks"
            self.committed.append((entry, core.term))
            for term, (_, start) in self.leaders.items():
                assert term <= core.term or start[index - 1] == entry, "Leader Completeness"

    def _check_log(self, machine: Machine) -> None:
        log = machine.core.log
        for other in self.machines:
            if other is not machine and other.up:
                one = other.core.log
                index = min(one.last_index, log.last_index)
                while one.term_at(index) != log.term_at(index):
                    index -= 1
                assert one.slice(1, index) == log.slice(1, index), "Log Matching"

    def settle(self) -> None:
        """End all faults: then there is soon one leader, and what it takes gets everywhere."""
        self.faults = False
        self.cut = set()
        self.load = 0.0
        for machine in self.machines:
            machine.back_at = self.now
            machine.sync_chance = 0.5
        proposed: tuple[NodeId, int] | None = None
        longest = max(m.core.last_index if m.up else len(m.disk) for m in self.machines)
        backlog = longest - min(len(m.disk) for m in self.machines)
        for _ in range(1000 + 10 * backlog):
            self.step()
            leaders = [machine for machine in self.machines if machine.core.role == "leader"]
            if len(leaders) != 1 or len({machine.core.term for machine in self.machines}) != 1:
                continue
            (leader,) = leaders
            target = (leader.node, leader.core.term)
            if proposed != target:
                try:
                    last = leader.core.propose([b'"last"'])
                except Overloaded:
                    continue
                proposed = target
                self._read(leader)
            elif not leader.reads and self._all_have(last):
                return
        raise AssertionError("no leader, or no convergence")

    def _all_have(self, last: int) -> bool:
        everything = [entry for entry, _ in self.committed]
        return len(everything) == last and all(
            machine.applied == last and machine.disk == everything for machine in self.machines
        )
