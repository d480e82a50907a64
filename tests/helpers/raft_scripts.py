"""A language for stories about Raft: one command a line, and under it the trace of its effects.

cluster 3            three nodes, 0 to 2, whose disks sync at once
tick N T             node N lives T ticks; `tick T` lets all of them
until-campaign N     node N lives until its patience ends
deliver              all messages on their way arrive, and their answers, until silence
elect N              the two above, told in one line
deliver A B          one message from A to B arrives
drop A B             all messages from A to B are lost
isolate N / heal     nothing gets to or from N / everything gets through again
propose N TEXT       a client's command at node N
read N               a linearizable read at node N
hold N / persist N   node N's disk takes its time / the write under way ends
crash N / restart N  node N stops with what it had not synced / starts with what it had
lost N L             node N learns that the process of L is dead
state                where everybody is
"""

from __future__ import annotations

from trioraft.raft.core import Core
from trioraft.raft.membership import Configuration, Member
from trioraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    HardState,
    Message,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
)
from trioraft.raft.ready import Batch, Lost, NotLeader
from trioraft.raft.settings import Settings
from trioraft.wire import entries as codec
from trioraft.wire.entries import payload


class _Patience:
    """A random generator without chance: node 0 is the least patient, node 2 the most."""

    def __init__(self, node: int) -> None:
        self.node = node

    def randrange(self, start: int, stop: int) -> int:
        return min(start + self.node * (1 if stop - start < 10 else 10), stop - 1)


class Story:
    """The cluster of one script."""

    def __init__(self) -> None:
        self.trace: list[str] = []
        self.cores: dict[int, Core | None] = {}
        self.disks: dict[int, tuple[HardState, list[Entry]]] = {}
        self.batches: dict[int, Batch] = {}
        self.held: set[int] = set()
        self.isolated: set[int] = set()
        self.wires: dict[tuple[int, int], list[Message]] = {}

    def run(self, line: str) -> list[str]:
        """Carry out one command, and return the trace of its effects."""
        self.trace = []
        name, *words = line.split()
        getattr(self, "do_" + name.replace("-", "_"))(*words)
        return self.trace

    def do_cluster(self, count: str) -> None:
        members = tuple(Member(node, f"n{node}:1", "voter", f"f{node}") for node in range(int(count)))
        self.configuration = Configuration(members, int(count))
        for node in range(int(count)):
            self.disks[node] = (HardState(), [])
            self.do_restart(str(node))

    def do_restart(self, node: str) -> None:
        hard_state, entries = self.disks[int(node)]
        self.cores[int(node)] = Core(
            int(node),
            self.configuration,
            hard_state=hard_state,
            entries=list(entries),
            codec=codec,
            random=_Patience(int(node)),
            settings=Settings(),
        )

    def do_crash(self, node: str) -> None:
        self.cores[int(node)] = None
        self.batches.pop(int(node), None)
        self.held.discard(int(node))
        for wire in self.wires:
            if int(node) in wire:
                self.wires[wire] = []

    def do_tick(self, *words: str) -> None:
        nodes = [int(words[0])] if len(words) == 2 else list(self.cores)
        for _ in range(int(words[-1])):
            for node in nodes:
                if (core := self.cores[node]) is not None:
                    core.tick()
                    self._pump(node)

    def do_until_campaign(self, node: str) -> None:
        core = self._core(node)
        term = core.term
        for _ in range(200):
            core.tick()
            self._pump(int(node))
            if core.role == "pre-candidate" or core.term > term:
                return

    def do_deliver(self, *wire: str) -> None:
        if wire:
            self._deliver_one(int(wire[0]), int(wire[1]))
            return
        while any(self.wires.values()):
            for sender, receiver in sorted(self.wires):
                while self.wires[sender, receiver]:
                    self._deliver_one(sender, receiver)

    def do_elect(self, node: str) -> None:
        self.do_until_campaign(node)
        self.do_deliver()
        core = self._core(node)
        self.trace = [f"{node} is {core.role} in term {core.term}"]

    def do_drop(self, sender: str, receiver: str) -> None:
        self.wires[int(sender), int(receiver)] = []

    def do_isolate(self, node: str) -> None:
        self.isolated.add(int(node))

    def do_heal(self) -> None:
        self.isolated.clear()

    def do_propose(self, node: str, *words: str) -> None:
        try:
            index = self._core(node).propose([b'"%b"' % " ".join(words).encode()])
        except NotLeader:
            self.trace.append(f"{node} does not lead")
            return
        self.trace.append(f"{node} appends {index}")
        self._pump(int(node))

    def do_read(self, node: str) -> None:
        self._core(node).read_index(1)
        self._pump(int(node))

    def do_hold(self, node: str) -> None:
        self.held.add(int(node))

    def do_persist(self, node: str) -> None:
        self._persist(int(node))
        self._pump(int(node))

    def do_lost(self, node: str, leader: str) -> None:
        self._core(node).peer_lost(int(leader))

    def do_state(self) -> None:
        for node, core in self.cores.items():
            if core is None:
                self.trace.append(f"{node} is down")
                continue
            log = " ".join(f"{e.term}:{_text(e)}" for e in core.log.slice(1, core.last_index)) or "empty"
            reached = f"commit {core.commit_index}, durable {core.durable_index}"
            self.trace.append(f"{node} {core.role}, term {core.term}, {reached}, log {log}")

    def _core(self, node: str) -> Core:
        core = self.cores[int(node)]
        assert core is not None, f"node {node} is down"
        return core

    def _deliver_one(self, sender: int, receiver: int) -> None:
        wire = self.wires.get((sender, receiver), [])
        if not wire:
            return
        message = wire.pop(0)
        core = self.cores[receiver]
        if core is None or {sender, receiver} & self.isolated:
            return
        self.trace.append(f"{sender} -> {receiver}  {_describe(message)}")
        before = (core.role, core.term)
        core.step(sender, message)
        self._tell_role(receiver, before)
        self._pump(receiver)

    def _tell_role(self, node: int, before: tuple[str, int]) -> None:
        core = self._core(str(node))
        if (core.role, core.term) != before:
            self.trace.append(f"{node} is now {core.role} in term {core.term}")

    def _pump(self, node: int) -> None:
        core = self._core(str(node))
        while True:
            before = (core.role, core.term)
            ready = core.ready()
            if ready is not None:
                for receiver, message in ready.messages:
                    self.wires.setdefault((node, receiver), []).append(message)
                if ready.batch is not None:
                    self.batches[node] = ready.batch
                if ready.committed:
                    core.applied(ready.committed[-1].index)
                    self.trace.append(f"{node} applies {' '.join(_text(entry) for entry in ready.committed)}")
                if ready.reads:
                    self.trace.append(f"{node} serves the read")
                if isinstance(ready.leadership, Lost):
                    self.trace.append(f"{node} leads no more: {ready.leadership.reason}")
            for receiver in self.cores:
                while (append := core.next_append(receiver)) is not None:
                    self.wires.setdefault((node, receiver), []).append(append)
            if node not in self.held:
                self._persist(node)
            self._tell_role(node, before)
            if ready is None:
                return

    def _persist(self, node: int) -> None:
        batch = self.batches.pop(node, None)
        if batch is None:
            return
        entries = self.disks[node][1]
        for entry in batch.entries:
            entries = [*entries[: entry.index - 1], entry]
        self.disks[node] = (batch.hard_state, entries)
        core = self._core(str(node))
        before = (core.role, core.term)
        core.persisted(batch.number)
        self._tell_role(node, before)
        for receiver, message in batch.messages:
            if receiver != node:
                self.wires.setdefault((node, receiver), []).append(message)


def _text(entry: Entry) -> str:
    return "no-op" if entry.kind == "noop" else payload(entry).decode().strip('"')


def _describe(message: Message) -> str:
    match message:
        case PreVote(term, index, last_term):
            return f"PreVote for term {term}, log ends at {index} of term {last_term}"
        case PreVoteReply(term, granted) | RequestVoteReply(term, granted):
            what = "PreVote" if isinstance(message, PreVoteReply) else "vote"
            return f"{what} {'granted' if granted else 'refused'}, term {term}"
        case RequestVote(term, index, last_term):
            return f"RequestVote in term {term}, log ends at {index} of term {last_term}"
        case AppendEntries():
            entries = " ".join(f"{e.index}={e.term}:{_text(e)}" for e in message.entries) or "nothing"
            after = f"after {message.prev_index} of term {message.prev_term}"
            return f"AppendEntries in term {message.term}: {entries}, {after}, commit {message.commit_index}"
        case AppendEntriesReply(accepted=True):
            return f"agrees up to {message.match_index}, term {message.term}, round {message.round}"
        case AppendEntriesReply():
            hint = f"at most {message.hint_index} of term {message.hint_term}"
            return f"refuses {message.rejected_index}, could agree at {hint}, term {message.term}"
    raise TypeError(message)


def rewrite(script: str) -> str:
    """The script with its present traces; a trace line is indented."""
    story = Story()
    lines: list[str] = []
    for line in script.splitlines():
        if line.startswith("    "):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines.extend("    " + event for event in story.run(line))
    return "\n".join(lines) + "\n"
