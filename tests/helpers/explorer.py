"""The explorer: it takes the real core through every order of deliveries, timeouts, syncs and crashes, within bounds.

A world consists of all nodes (cores, disks, batches being written), the messages on their way, the entries ever
committed, and the leaders so far. From each world, every action within the bounds is taken once; a world that was met
before is not explored again. Loss needs no action: a message that is never delivered is lost. A crash and the start
after it are one action: nothing happens to a node that is down. The search is breadth first, so the trace of a finding
is the shortest.

The cores' timers are set to one tick. So a follower may time out at any moment, and a leader may send a heartbeat or
check its quorum at any moment.

A node does not know in which world it is, so the effect of an action on it is computed once for each of its states.
`Book` remembers these effects; therefore worlds are made of numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from trioraft.raft import quorum
from trioraft.raft.campaign import Campaign
from trioraft.raft.core import Core
from trioraft.raft.leadership import Leadership
from trioraft.raft.log import Log
from trioraft.raft.membership import Configuration, Member
from trioraft.raft.messages import (
    AppendEntriesReply,
    Entry,
    HardState,
    Message,
    NodeId,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
)
from trioraft.raft.outbox import Outbox
from trioraft.raft.progress import Progress
from trioraft.raft.reads import Reads
from trioraft.raft.ready import Batch
from trioraft.raft.settings import Settings
from trioraft.wire import entries as codec
from trioraft.wire.entries import seal

SETTINGS = Settings(election_ticks=1, heartbeat_ticks=1, lost_ticks=0, max_inflight=1, max_append_bytes=1)

VOLATILE = ("_batch", "_batch_number", "_batch_elapsed", "_durable_hard_state")
"""The fields of an outbox that are part of the node's batch or disk, or that nothing here depends on."""


class Broken(AssertionError):
    """A property does not hold."""


class Bounds(NamedTuple):
    """The bounds of an exploration: how often each event may happen, over all nodes."""

    timeouts: int = 2
    """How often a node that does not lead may time out."""
    heartbeats: int = 0
    proposals: int = 0
    crashes: int = 0
    duplicates: int = 0


class Envelope(NamedTuple):
    """A message on its way."""

    sender: NodeId
    receiver: NodeId
    message: Message


class Steady:
    """A random generator that always draws the same, because the explorer chooses which node times out first."""

    def randrange(self, start: int, stop: int) -> int:  # noqa: ARG002
        return start


@dataclass
class Node:
    """One state of one node: its core, and its disk."""

    core: Core
    hard_state: HardState
    """The log on the disk."""
    disk: tuple[Entry, ...]
    batch: Batch | None = None
    log: tuple[Entry, ...] = ()
    """The log of the core."""

    def copy(self) -> Node:
        return Node(clone(self.core), self.hard_state, self.disk, self.batch)

    def key(self) -> tuple[Any, ...]:
        """Everything that decides what the node will do."""
        core, batch = self.core, self.batch
        return (
            core.node,
            self.hard_state,
            self.disk,
            None if batch is None else (batch.hard_state, tuple(batch.entries), repr(batch.messages)),
            core.role,
            core.leader,
            core.hard_state,
            self.log,
            core.commit_index,
            tuple(repr(value) for name, value in vars(core._outbox).items() if name not in VOLATILE),
            core._elapsed,
            None if core._campaign is None else repr(sorted(core._campaign._votes.items())),
            tuple(repr(progress.__dict__) for progress in core.progress.values()),
        )


class World(NamedTuple):
    """One state of the whole cluster; nodes and wires are numbers in the book."""

    nodes: tuple[int, ...]
    wires: tuple[int, ...]
    left: Bounds
    leaders: tuple[tuple[int, NodeId], ...] = ()
    committed: tuple[tuple[Entry, int], ...] = ()
    """The entries that leaders have committed, with the terms of these leaders."""


@dataclass
class Result:
    """The result of an exploration."""

    states: int = 0
    transitions: int = 0
    exhausted: bool = False
    """Whether every state within the bounds was visited."""
    elected: int = 0
    """How many states have a leader."""
    committed: int = 0
    """The most entries committed in any state."""
    trace: list[str] = field(default_factory=list)
    broken: str | None = None


def clone(core: Core) -> Core:
    """Make a copy that shares everything that never changes."""
    other = object.__new__(type(core))
    values = other.__dict__
    values.update(core.__dict__)
    values["log"] = type(core.log)(core.log.slice(1, core.last_index))
    values["_outbox"] = outbox = object.__new__(Outbox)
    outbox.__dict__.update(core._outbox.__dict__)
    outbox._gated, outbox._messages = list(core._outbox._gated), []
    if core._campaign is not None:
        values["_campaign"] = campaign = Campaign(core._campaign.role)
        campaign._votes = dict(core._campaign._votes)
    if core.leadership is not None:
        values["leadership"] = clone_leadership(core.leadership, other.log, outbox)
    values["_handlers"] = {kind: getattr(other, handler.__name__) for kind, handler in core._handlers.items()}
    return other


def clone_leadership(leadership: Leadership, log: Log, outbox: Outbox) -> Leadership:
    other = object.__new__(Leadership)
    other.__dict__.update(leadership.__dict__)
    other._log, other._outbox, other.reads = log, outbox, Reads()
    other.progress = {peer: clone_progress(progress) for peer, progress in leadership.progress.items()}
    other.follow(leadership._configuration)
    return other


def clone_progress(progress: Progress) -> Progress:
    other = object.__new__(Progress)
    other.__dict__.update(progress.__dict__)
    other._inflight = progress._inflight.copy()
    return other


# What one node does


def tick(node: Node) -> None:
    node.core.tick()


def propose(node: Node) -> None:
    node.core.propose([b"%d" % node.core.term])


def persist(node: Node) -> None:
    batch, core = node.batch, node.core
    assert batch is not None
    write(node, batch, len(batch.entries))
    node.batch = None
    core.persisted(batch.number)
    # The messages that waited for the batch leave with all others.
    for receiver, message in batch.messages:
        if receiver != core.node:
            core._outbox.send(receiver, message)


def write(node: Node, batch: Batch, count: int) -> None:
    entries = batch.entries[:count]
    node.hard_state = batch.hard_state
    if entries:
        node.disk = node.disk[: entries[0].index - 1] + tuple(entries)


def crash(written: int) -> Callable[[Node], None]:
    """Crash a node with nothing of its batch on the disk (-1), or its hard state and `written` of its entries."""

    def crash(node: Node) -> None:
        if node.batch is not None and written >= 0:
            write(node, node.batch, written)
        node.batch = None
        core = node.core
        node.core = make(type(core), core.node, core.configuration, node.hard_state, node.disk)

    return crash


def make(core: type[Core], node: NodeId, configuration: Configuration, state: HardState, disk: Sequence[Entry]) -> Core:
    return core(node, configuration, hard_state=state, entries=disk, codec=codec, random=Steady(), settings=SETTINGS)


def settle(node: Node) -> list[Envelope]:
    """Do everything that follows from an action at once, and return the messages."""
    core = node.core
    sent: list[Envelope] = []
    while (ready := core.ready()) is not None:
        sent.extend(Envelope(core.node, receiver, message) for receiver, message in ready.messages)
        if ready.batch is not None:
            node.batch = ready.batch
        if ready.committed:
            core.applied(ready.committed[-1].index)
    for peer in core.progress:
        while (append := core.next_append(peer)) is not None:
            sent.append(Envelope(core.node, peer, append))
    node.log = tuple(core.log.slice(1, core.last_index))
    return sent


# Properties of one node


def check_step(before: Node, after: Node, crashed: bool) -> None:
    """Check a single step of a node."""
    old, new = before.core, after.core
    if crashed:
        return
    name = f"node {new.node}"
    hold(new.term >= old.term, "Term", f"{name} goes back")
    hold(new.commit_index >= old.commit_index, "commit_index", f"{name} goes back")
    same = new.term > old.term or old.hard_state.voted_for in (None, new.hard_state.voted_for)
    hold(same, "One vote a term", f"{name}: {old.hard_state}, then {new.hard_state}")
    if old.role == new.role == "leader" and old.term == new.term:
        hold(after.log[: len(before.log)] == before.log, "Leader Append-Only", f"{name} cuts its log")


def check_vote(before: Node, after: Node, heard: Envelope) -> None:
    """Check that a vote goes only to a candidate that lacks nothing the voter has (§5.4.1)."""
    message = heard.message
    if isinstance(message, RequestVote) and before.core.hard_state != after.core.hard_state:
        end = (after.log[-1].term, len(after.log)) if after.log else (0, 0)
        behind = after.core.hard_state.voted_for == heard.sender and (message.last_term, message.last_index) < end
        hold(not behind, "Election restriction", f"{heard} is granted by a log that ends with {end}")


def check_message(node: Node, wire: Envelope) -> None:
    """Check that a message promises nothing that is not on the disk."""
    message, state = wire.message, node.hard_state
    if isinstance(message, RequestVoteReply) and message.granted:
        kept = state == HardState(message.term, wire.receiver) or state.term > message.term
        hold(kept, "Sync before answer", f"{wire} with {state} on the disk")
    if isinstance(message, AppendEntriesReply):
        hold(state.term >= message.term, "Sync before answer", f"{wire} with {state} on the disk")
        if message.accepted and state.term == message.term:
            hold(len(node.disk) >= message.match_index, "Sync before answer", f"{wire}: {len(node.disk)} synced")


def hold(holds: bool, name: str, found: str) -> None:
    if not holds:
        raise Broken(f"{name}: {found}")


class Book:
    """All states of nodes and all messages so far, by number, with the effect of each message on each state."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.wires: list[Envelope] = []
        self._numbers: dict[Any, int] = {}
        self._moves: dict[Any, tuple[int, tuple[int, ...]] | Broken] = {}
        self._matching: dict[tuple[int, int], bool] = {}

    def node(self, node: Node) -> int:
        key = node.key()
        number = self._numbers.setdefault(key, len(self.nodes))
        if number == len(self.nodes):
            self.nodes.append(node)
        return number

    def wire(self, wire: Envelope) -> int:
        number = self._numbers.setdefault(repr(wire), len(self.wires))
        if number == len(self.wires):
            self.wires.append(wire)
        return number

    def move(self, number: int, label: str | int, action: Callable[[Node], None]) -> tuple[int, tuple[int, ...]]:
        """Return the node's state after the action with this label, and the messages that it sends. Raises Broken."""
        found = self._moves.get((number, label))
        if found is None:
            try:
                heard = self.wires[label] if isinstance(label, int) else None
                found = self._move(number, action, heard, crashed=str(label).startswith("crash"))
            except Broken as broken:
                found = broken
            self._moves[number, label] = found
        if isinstance(found, Broken):
            raise found
        return found

    def _move(
        self, number: int, action: Callable[[Node], None], heard: Envelope | None, crashed: bool
    ) -> tuple[int, tuple[int, ...]]:
        before = self.nodes[number]
        node = before.copy()
        action(node)
        sent = settle(node)
        check_step(before, node, crashed)
        if heard is not None:
            check_vote(before, node, heard)
        for wire in sent:
            check_message(node, wire)
        return self.node(node), tuple(self.wire(wire) for wire in sent)

    def is_over(self, wire: Envelope, receiver: Node) -> bool:
        """Whether that message can never have any effect again."""
        message, term = wire.message, receiver.hard_state.term
        if isinstance(message, PreVoteReply):
            # A node counts it only if it asks for the term after its own; or the message raises the node's term.
            return message.term <= term
        if not isinstance(message, RequestVoteReply | AppendEntriesReply):
            return False
        if message.term < term:
            return True
        # A node leads or stands at most once in a term: after that it counts no more answers.
        if message.term > term or message.term < receiver.core.term:
            return False
        wants = "leader" if isinstance(message, AppendEntriesReply) else "candidate"
        return receiver.core.term == term and receiver.core.role != wants and receiver.batch is None

    def matches(self, one: int, other: int) -> bool:
        """Whether Log Matching holds between two nodes."""
        found = self._matching.get((one, other))
        if found is None:
            logs = self.nodes[one].log, self.nodes[other].log
            index = min(map(len, logs))
            while index and logs[0][index - 1].term != logs[1][index - 1].term:
                index -= 1
            found = self._matching[one, other] = logs[0][:index] == logs[1][:index]
        return found


class Explorer:
    """One exploration: its start and its bounds."""

    def __init__(
        self,
        logs: Sequence[Sequence[int]],
        bounds: Bounds,
        *,
        terms: int,
        candidates: Sequence[NodeId] | None = None,
        core: type[Core] = Core,
    ) -> None:
        """Start with nodes in one term whose disks hold entries of these terms. `candidates` may stand for election.

        No node begins a term after `terms` (counted from 1). Where all nodes start alike, it is enough that as many
        nodes may stand as there are timeouts: the others would only do the same under other names.
        """
        self.book = Book()
        self._terms = terms
        self._candidates = range(len(logs)) if candidates is None else candidates
        members = tuple(Member(node, f"n{node}:1", "voter", f"f{node}") for node in range(len(logs)))
        configuration = Configuration(members, len(logs))
        hard_state = HardState(max((max(log, default=0) for log in logs), default=0))
        nodes = []
        for node, log in enumerate(logs):
            disk = tuple(seal(index, term, "command", b"%d" % term) for index, term in enumerate(log, 1))
            state = Node(make(core, node, configuration, hard_state, disk), hard_state, disk, log=disk)
            nodes.append(self.book.node(state))
        self._first = World(tuple(nodes), (), bounds)

    def explore(self, max_states: int, *, deep: bool = False) -> Result:
        """Visit all worlds, up to the limit; stop at the first that breaks a property.

        The nearest worlds come first, so that the trace is the shortest. With `deep`, each path is followed to its end
        first, which finds an error sooner if only a long path leads to it.
        """
        result = Result()
        seen = {hash(self._first)}
        trail: list[tuple[int, str]] = [(-1, "")]
        frontier = deque([(0, self._first)])
        while frontier:
            number, world = frontier.pop() if deep else frontier.popleft()
            result.states += 1
            result.elected += any(self.book.nodes[node].core.role == "leader" for node in world.nodes)
            result.committed = max(result.committed, len(world.committed))
            try:
                for label, state in self._successors(world):
                    result.transitions += 1
                    key = hash(state)
                    if key not in seen:
                        seen.add(key)
                        trail.append((number, label))
                        frontier.append((len(trail) - 1, state))
            except Broken as broken:
                result.broken, result.trace = str(broken), trace_to(trail, number)
                return result
            if result.states >= max_states:
                return result
        result.exhausted = True
        return result

    def _successors(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield every world that one action leads to."""
        left = world.left
        for position, number in enumerate(world.nodes):
            node = self.book.nodes[number]
            if node.batch is not None:
                yield self._act(world, position, left, "syncs", persist)
            if node.core.role == "leader":
                if left.heartbeats:
                    yield self._act(world, position, left._replace(heartbeats=left.heartbeats - 1), "ticks", tick)
                if left.proposals:
                    less = left._replace(proposals=left.proposals - 1)
                    yield self._act(world, position, less, "is asked to write", propose)
            elif left.timeouts and position in self._candidates and node.core.term < self._terms:
                less = left._replace(timeouts=left.timeouts - 1)
                yield self._act(world, position, less, "runs out of time", tick)
            if left.crashes:
                less = left._replace(crashes=left.crashes - 1)
                for count in range(-1, 0 if node.batch is None else len(node.batch.entries) + 1):
                    yield self._act(world, position, less, f"crashes, {count} written", crash(count))
        yield from self._deliveries(world)

    def _deliveries(self, world: World) -> Iterator[tuple[str, World]]:
        left, wires = world.left, world.wires
        for position, number in enumerate(wires):
            if position and number == wires[position - 1]:
                continue  # the same message is there twice: one delivery is enough
            rest = world._replace(wires=wires[:position] + wires[position + 1 :])
            yield self._receive(rest, left, number)
            if left.duplicates:
                yield self._receive(world, left._replace(duplicates=left.duplicates - 1), number)

    def _receive(self, world: World, left: Bounds, number: int) -> tuple[str, World]:
        wire = self.book.wires[number]

        def step(node: Node) -> None:
            node.core.step(wire.sender, wire.message)

        return self._act(world, wire.receiver, left, number, step)

    def _act(
        self, world: World, position: int, left: Bounds, label: str | int, action: Callable[[Node], None]
    ) -> tuple[str, World]:
        """Let one node act, and check the new world."""
        book = self.book
        number, sent = book.move(world.nodes[position], label, action)
        nodes = (*world.nodes[:position], number, *world.nodes[position + 1 :])
        for other, state in enumerate(nodes):
            if other != position:
                hold(book.matches(number, state), "Log Matching", f"nodes {position} and {other}")
        leaders, committed = self._history(world, nodes, position)
        kept = [
            wire
            for wire in (*world.wires, *sent)
            if not book.is_over(book.wires[wire], book.nodes[nodes[book.wires[wire].receiver]])
        ]
        kept.sort()
        said = f"node {position} {label}" if isinstance(label, str) else str(book.wires[label])
        return said, World(nodes, tuple(kept), left, leaders, committed)

    def _history(
        self, world: World, nodes: tuple[int, ...], position: int
    ) -> tuple[tuple[tuple[int, NodeId], ...], tuple[tuple[Entry, int], ...]]:
        """Update the leaders and the committed entries after a node's step, and check the node against them."""
        before, node = self.book.nodes[world.nodes[position]], self.book.nodes[nodes[position]]
        core, leaders, committed = node.core, world.leaders, world.committed
        for index in range(min(len(before.disk), len(committed))):
            entry = committed[index][0]
            lost = before.disk[index] == entry and node.disk[index : index + 1] != (entry,)
            hold(not lost, "Nothing committed is truncated", f"node {position} lost {entry}")
        if core.role == "leader":
            if before.core.role != "leader":
                leaders = self._crowned(world, node)
            for index in range(len(committed) + 1, core.commit_index + 1):
                entry = node.log[index - 1]
                copies = sum(self.book.nodes[one].disk[index - 1 : index] == (entry,) for one in nodes)
                hold(copies >= quorum.majority(len(nodes)), "Durability", f"{entry} is committed, on {copies} disks")
                committed = (*committed, (entry, core.term))
        if committed and (node.disk is not before.disk or committed is not world.committed):
            self._check_electable(committed[-1][0], nodes)
        for index in range(core.commit_index):
            known = index < len(committed) and committed[index][0] == node.log[index]
            hold(known, "State Machine Safety", f"node {position} commits {node.log[index]}")
        return leaders, committed

    def _check_electable(self, entry: Entry, nodes: tuple[int, ...]) -> None:
        """Check Leader Completeness ahead of any election: a node without the entry cannot win a majority's votes."""
        disks = [self.book.nodes[node].disk for node in nodes]
        ends = [(disk[-1].term, len(disk)) if disk else (0, 0) for disk in disks]
        for node, disk in enumerate(disks):
            if disk[entry.index - 1 : entry.index] != (entry,):
                votes = sum(ends[node] >= end for end in ends)
                hold(votes < quorum.majority(len(nodes)), "Leader Completeness", f"{node} could win without {entry}")

    def _crowned(self, world: World, node: Node) -> tuple[tuple[int, NodeId], ...]:
        """Check a new leader: it is the only one of its term, and has all that was committed before."""
        core, leaders = node.core, dict(world.leaders)
        hold(leaders.setdefault(core.term, core.node) == core.node, "Election Safety", f"{leaders}, and {core.node}")
        for entry, term in world.committed:
            has = node.log[entry.index - 1 : entry.index] == (entry,) or term >= core.term
            hold(has, "Leader Completeness", f"node {core.node} leads without {entry}")
        return tuple(sorted(leaders.items()))


def trace_to(trail: list[tuple[int, str]], number: int) -> list[str]:
    labels = []
    while number > 0:
        number, label = trail[number]
        labels.append(label)
    return labels[::-1]
