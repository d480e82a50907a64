"""The steps of the tour: what to look at, a question, and the commands that answer it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from trioraft_cli.connection import Connection
from trioraft_cli.demo_acts import Demo
from trioraft_cli.outcomes import NO, NOT_NOW

PREFIX: Final = "tour/"
"""How the keys and the lock of the tour begin."""
LOCK: Final = f"{PREFIX}door"
LEAST_NODES: Final = 3


class Facts:
    """What the texts and the commands name: it is asked for at the time."""

    def __init__(self, demo: Demo, connection: Connection) -> None:
        self._demo = demo
        self._connection = connection
        self.nodes = len(demo.nodes)
        self.majority = self.nodes // 2 + 1

    @property
    def leader(self) -> int:
        """The node that leads. Raises LookupError where none does."""
        leader = self._demo.leader()
        if leader is None:
            raise LookupError("no node leads")
        return leader

    @property
    def followers(self) -> list[int]:
        """The other nodes that run."""
        leader = self.leader
        return [node for node in self._demo.nodes.numbers("running") if node != leader]

    def address(self, node: int) -> str:
        """Where a node is."""
        return str(self._demo.nodes[node].address)

    def revision(self, key: str) -> int:
        """A key's revision."""
        revision: int = self._connection.call("get", key=key)["rev"]
        return revision

    def fence(self, lock: str) -> int:
        """The fence under which a lock is held. Raises LookupError where it is not."""
        for held in self._connection.call("locks", after=None)["locks"]:
            if held["name"] == lock:
                fence: int = held["fence"]
                return fence
        raise LookupError(f"nobody holds {lock}")


class Run(NamedTuple):
    """A line to carry out, and what it has to end in."""

    line: str
    code: int = 0
    events: int = 0
    """How many events of a watch have to be shown."""


class Step(msgspec.Struct, frozen=True):
    """One step. `{nodes}` and `{majority}` in its texts stand for numbers; how its lines are broken does not matter."""

    title: str
    look: str
    """What happens, and what to look at: told before it happens."""
    question: str
    replies: tuple[str, ...]
    """What a visitor may type who is right."""
    answer: str
    run: Callable[[Facts], Iterator[Run]]
    seen: str
    """What there was to see: told after it has happened."""
    again: str
    """What to type to do it again alone."""


def _elect(facts: Facts) -> Iterator[Run]:
    yield Run("status")
    yield Run(f"transfer {facts.followers[0]}")
    yield Run("status")


def _replicate(facts: Facts) -> Iterator[Run]:  # noqa: ARG001
    yield Run(f"put {PREFIX}name Alice")
    yield Run(f"get {PREFIX}name")
    yield Run("status")


def _kill_the_leader(facts: Facts) -> Iterator[Run]:
    leader = facts.leader
    yield Run(r"\kill leader")
    yield Run(f"get {PREFIX}name")
    yield Run(f"put {PREFIX}name Bob")
    yield Run(rf"\restart {leader}")
    yield Run("status")


def _lose_the_majority(facts: Facts) -> Iterator[Run]:
    killed = facts.followers[: facts.nodes - facts.majority + 1]
    for node in killed:
        yield Run(rf"\kill {node}")
    yield Run(f"put {PREFIX}name Carol", NOT_NOW)
    yield Run(f"get {PREFIX}name --stale")
    for node in killed:
        yield Run(rf"\restart {node}")
    yield Run(f"get {PREFIX}name")


def _partition_and_heal(facts: Facts) -> Iterator[Run]:
    leader = facts.leader
    on_the_old_side = f"get {PREFIX}color --stale --connect {facts.address(leader)}"
    others = " ".join(map(str, facts.followers))
    yield Run(f"put {PREFIX}color red")
    yield Run(rf"\partition {leader} | {others}")
    yield Run(f"put {PREFIX}color blue")
    yield Run(on_the_old_side)
    yield Run(r"\heal")
    yield Run(on_the_old_side)


def _compare_and_set(facts: Facts) -> Iterator[Run]:
    yield Run(f"put {PREFIX}seats 1")
    yield Run(f"get {PREFIX}seats -o json")
    revision = facts.revision(f"{PREFIX}seats")
    yield Run(f"put --if-rev {revision} {PREFIX}seats 0")
    yield Run(f"put --if-rev {revision} {PREFIX}seats 0", NO)


def _lock_with_a_fence(facts: Facts) -> Iterator[Run]:
    yield Run(f"lock {LOCK}")
    fence = facts.fence(LOCK)
    yield Run(f"put --lock {LOCK} --fence {fence} {PREFIX}inside first")
    yield Run(f"unlock {LOCK}")
    yield Run(f"lock {LOCK}")
    yield Run(f"put --lock {LOCK} --fence {fence} {PREFIX}inside late", NO)
    yield Run(f"get {PREFIX}inside")
    yield Run(f"unlock {LOCK}")


def _watch_through_a_failover(facts: Facts) -> Iterator[Run]:
    yield Run(f"watch {PREFIX}news/ --initial")
    yield Run(f"put {PREFIX}news/1 before", events=1)
    leader = facts.leader
    yield Run(r"\kill leader")
    yield Run(f"put {PREFIX}news/2 after", events=1)
    yield Run(rf"\restart {leader}")


STEPS: Final = (
    Step(
        "Elect a leader",
        look="""
            The nodes keep copies of one log, and one of them, the leader, decides what is appended to it. Time is
            divided into terms, which are numbered. A node that misses its leader opens the next term, and asks all
            nodes for their votes. Each votes once in a term, so a term has one leader at most. Here the leader hands
            over: look at ROLE and TERM, before and after.
        """,
        question="How many of the {nodes} nodes have to vote for the new leader, itself included?",
        replies=("{majority}",),
        answer="{majority}: a majority. Any two majorities share a node, and that node votes only once in a term.",
        run=_elect,
        seen="One leader again, in a higher term: each election has a term of its own.",
        again="transfer",
    ),
    Step(
        "Replicate a write",
        look="""
            Any node takes a write, and passes it on to the leader. The leader appends it to its log and sends it to the
            others; each writes it to its disk, and says so. Look at LOG, which entries a node has, and at COMMIT, up to
            where it knows that a majority has them.
        """,
        question="On how many of the {nodes} disks is the write by the time that put prints its revision?",
        replies=("{majority}",),
        answer="{majority}: a majority. The others get it at the same time, but nobody waits for them.",
        run=_replicate,
        seen="""
            The revision is the place of the write in the log. Asked very soon, a follower may be one behind (LAG 1): it
            has the entry, and the leader's next message tells it that a majority has it too.
        """,
        again="put KEY VALUE, and then status",
    ),
    Step(
        "Kill the leader",
        look="""
            Now the process that leads is killed (kill -9), as by a power cut. Look at who takes over, in which term,
            and after how many milliseconds.
        """,
        question="Is Alice lost with it? (yes or no)",
        replies=("no",),
        answer="""
            No. A majority has the write on disk, and a new leader needs the votes of a majority. At least one node is
            in both, and it votes for nobody whose log is behind its own. So whoever wins has the write.
        """,
        run=_kill_the_leader,
        seen="""
            The others noticed at once, because their connections to the leader broke. A leader that hangs or is cut off
            is missed only after half a second to a second of silence. The node that came back is a follower now, and
            has been given what it missed.
        """,
        again=r"\kill leader",
    ),
    Step(
        "Lose the majority",
        look="""
            Followers are killed until no majority is left. The leader lives, and has all the data. Look at how it
            refuses a write, and at what it still answers.
        """,
        question="""
            As far as the leader can tell, might those that it does not hear be alive, and have a leader of their own?
            (yes or no)
        """,
        replies=("yes",),
        answer="""
            Yes. From where it stands, a dead node and one that is cut off look the same. If both sides took writes,
            there would be two truths. So a leader that does not hear from a majority steps down.
        """,
        run=_lose_the_majority,
        seen="""
            "It was not applied" means that it is safe to try again. The stale read shows what that one node has, and
            asks nobody whether it is the newest. With the majority everything came back, and nothing that was
            acknowledged is lost.
        """,
        again=r"\kill N until no majority is left, and then put KEY VALUE",
    ),
    Step(
        "Partition and heal",
        look="""
            The network around the leader is cut: all nodes live, but the leader and the others do not hear each other.
            Look at who leads on which side, and at the color on each.
        """,
        question="The old leader does not know of the new one at first. How many of the two can commit a write?",
        replies=("1", "one"),
        answer="""
            One. To commit takes a majority, and only one side has it. What the old leader appends meanwhile is never
            acknowledged, and gives way to the new leader's log afterwards.
        """,
        run=_partition_and_heal,
        seen="""
            On the side without a majority the color was still red, and only a stale read shows that: a plain get is
            refused there. Healed, the old leader met a higher term, became a follower, and got what it had missed.
        """,
        again=r"\partition leader, and then \heal",
    ),
    Step(
        "Compare and set",
        look="""
            One seat is left. Two clients read that at the same revision, and both want the seat. Each writes on one
            condition: that the key still has the revision that it read. Look at the two answers.
        """,
        question="How many of the two writes are applied?",
        replies=("1", "one"),
        answer="One. The log puts them in an order, the same on all nodes, and the first changes the revision.",
        run=_compare_and_set,
        seen="""
            A conflict says how the key is now: read, decide anew, and try again. 'txn' makes conditions on several keys
            at once.
        """,
        again=f"put --if-rev REVISION {PREFIX}seats 0",
    ),
    Step(
        "A lock with a fence",
        look="""
            The holder of a lock may hang, and lose it to somebody else without knowing. So each grant has a fence, a
            number that grows, and a write can say under which fence it is made. Here the lock is given back and taken
            again, as if its first holder had hung too long. Look at the two fences.
        """,
        question="The first holder wakes up, and writes under its old fence. Is that applied? (yes or no)",
        replies=("no",),
        answer="""
            No. The lock is in the log too, and the store compares the fence where the write stands in the log. What the
            client believes does not matter.
        """,
        run=_lock_with_a_fence,
        seen="A lock that only its clients check protects nothing: who hung does not know that the lock is lost.",
        again="lock NAME, and then put --lock NAME --fence FENCE KEY VALUE",
    ),
    Step(
        "A watch through a failover",
        look="""
            A watch shows each change of the keys that begin with a prefix. Between two changes the leader is killed.
            Look at the events: is one missing, or there twice?
        """,
        question="Two changes: how many events will there be?",
        replies=("2", "two"),
        answer="""
            Two. A watch knows the last revision that it has shown. If its node dies, it goes on behind that revision at
            another node, whose log is the same.
        """,
        run=_watch_through_a_failover,
        seen="A watch shows only what is committed, so no failover takes an event back, or changes their order.",
        again=f"watch {PREFIX}",
    ),
)
