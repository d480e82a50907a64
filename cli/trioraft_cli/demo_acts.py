"""What can be done to the nodes of a demo, each told with what comes of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from trioraft.addresses import Address
from trioraft.client import Client, ClientError
from trioraft_cli.demo_lead import Statuses, Survey, voters_of
from trioraft_cli.demo_links import Links
from trioraft_cli.demo_nodes import MOST_NODES, WAY_BACK, DemoNodes
from trioraft_cli.demo_words import what_came_of_it, what_writes_take
from trioraft_cli.membership import added
from trioraft_cli.outcomes import NO, NOT_NOW
from trioraft_cli.status import NodeStatus, leading
from trioraft_cli.streams import folded, say

START_SECONDS: Final = 20.0
"""How long a node may take to start: its machine may be busy."""
_TELL_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 0.02


class Demo:
    """A cluster that can be broken on command, and what is wrong with it."""

    def __init__(self, nodes: DemoNodes) -> None:
        self.nodes = nodes
        self.links = Links()

    def down(self) -> Mapping[Address, str]:
        """The nodes that cannot answer, and why."""
        return {node.address: node.state for node in self.nodes if node.state != "running"}

    def statuses(self) -> Statuses:
        """What the nodes that run say of themselves."""
        with self._survey() as survey:
            return survey.ask(self.nodes.numbers("running"))

    def leader(self) -> int | None:
        """The node that leads a majority; None where none does."""
        leader = self._leading(self.statuses())
        return None if leader is None else leader.node

    def settle(self) -> None:
        """Wait until all that run have heard what is committed."""
        with self._survey() as survey:
            voters = voters_of(survey.ask(self.nodes.numbers("running")))
            survey.settle(lambda: self._sides(voters), voters)

    def kill(self, node: int) -> int:
        """End a node's process, and tell what that changes; the exit code."""
        return self._down(node, "killed", self.nodes[node].kill)

    def pause(self, node: int) -> int:
        """Stop a node's process, and tell what that changes; the exit code."""
        return self._down(node, "paused", self.nodes[node].pause)

    def restart(self, node: int) -> int:
        """Start a node again, and tell whom it follows; the exit code."""
        return self._up(node, "runs again", lambda: self.nodes[node].start(self.nodes.servers))

    def resume(self, node: int) -> int:
        """Let a paused node go on, and tell whom it follows; the exit code."""
        return self._up(node, "goes on", self.nodes[node].resume)

    def partition(self, sides: Sequence[frozenset[int]]) -> int:
        """Cut all links between these sides, and tell who leads; the exit code."""
        said = " | ".join(" ".join(map(str, sorted(side))) for side in sides)

        def cut() -> None:
            self.links.groups = list(sides)
            self._tell_links()

        return self._do(lambda _: f"{said}: cut off from each other", cut)

    def slow(self, node: int, ms: int) -> int:
        """Have all that a node sends, and that is sent to it, arrive so much later; the exit code."""
        self.links.slow.pop(node, None)
        if ms:
            self.links.slow[node] = ms
        late = f"arrives {ms} ms later" if ms else "arrives at once again"
        code = self._do(lambda _: f"all that node {node} sends, or is sent, {late}", self._tell_links)
        statuses = self.statuses()
        if (leader := self._leading(statuses)) is not None:
            others = [other for other in voters_of(statuses) if other != leader.node]
            _tell(f"  {what_writes_take(self.links.delays(leader.node, others))}")
        return code

    def heal(self) -> int:
        """Make all links whole, and tell who leads; the exit code."""
        self.links.heal()
        code = self._do(lambda _: "all links are whole", self._tell_links)
        for node in self.nodes:
            if node.state != "running":
                _tell(rf"node {node.number} is still {node.state}: \{WAY_BACK[node.state]} {node.number}")
        return code

    def add(self) -> int:
        """Take one more node into the cluster, start it, and tell when it votes; the exit code. Raises ClientError."""
        if len(self.nodes) == MOST_NODES:
            say(f"a demo has {MOST_NODES} nodes at most")
            return NO
        held = self.nodes.hold_port()
        with Client(self.nodes.addresses) as client:
            member = added(client.call("add_member", address=str(Address(*held.getsockname())), learner=False))
        node = self.nodes.add(member.id, held)
        if (leader := self.leader()) is not None:
            self.links.join(node.number, leader)
        began = time.monotonic()
        node.start(self.nodes.servers)
        _tell(f"node {node.number} is a member, and starts; it votes once it has the log")
        if not self.links.are_whole:
            self._tell_links()
        while node.number not in (voters := voters_of(self.statuses())):
            if node.state != "running" or time.monotonic() > began + START_SECONDS:
                say(rf"node {node.number} has no vote yet: 'members' shows how it goes on, and \logs {node.number}")
                return NOT_NOW
            time.sleep(_AGAIN_SECONDS)
        ms = round((time.monotonic() - began) * 1000)
        majority = len(voters) // 2 + 1
        _tell(
            f"node {node.number} votes after {ms} ms: {len(voters)} voters now, of which {majority} are a majority, "
            f"so they can lose {len(voters) - majority}"
        )
        return 0

    def mend(self) -> None:
        """Bring all nodes back and make all links whole, and tell of each."""
        for node in self.nodes:
            if node.state == "killed":
                self.restart(node.number)
            elif node.state == "paused":
                self.resume(node.number)
        if not self.links.are_whole:
            self.heal()

    def _down(self, node: int, what: str, act: Callable[[], object]) -> int:

        def said(before: Statuses) -> str:
            status = before.get(node)
            return f"node {node}{f' ({status.role})' if status else ''} {what}"

        return self._do(said, act)

    def _up(self, node: int, what: str, act: Callable[[], object]) -> int:
        def up() -> None:
            act()
            if not self.links.are_whole:
                self._tell_links([node])

        return self._do(lambda _: f"node {node} {what}", up, node)

    def _do(self, said: Callable[[Statuses], str], act: Callable[[], object], newcomer: int | None = None) -> int:
        """Do it, wait until the cluster has settled, and tell; the exit code. `newcomer` has to catch up."""
        with self._survey() as survey:
            before = survey.ask(self.nodes.numbers("running"))
            told, led = said(before), self._leading(before)
            survey.begin()
            try:
                act()
                voters = voters_of(before) or frozenset(node.number for node in self.nodes)
                settled = survey.settle(lambda: self._sides(voters), voters)
            except KeyboardInterrupt:
                _tell(told)
                raise
        back = self._way_back()
        for line in what_came_of_it(told, settled, voters, led, back, newcomer) if settled is not None else [told]:
            _tell(line)
        if settled is None:
            say(r"it has not settled: 'status' shows how it stands, and \logs N what a node says of it")
            return NOT_NOW
        return 0

    def _way_back(self) -> str:
        """What to type to bring a majority back."""
        if self.links.groups:
            return r"\heal"
        down = [node for node in self.nodes if node.state != "running"]
        return rf"\{WAY_BACK[down[-1].state]} {down[-1].number}" if down else "status"

    def _survey(self) -> Survey:
        return Survey({node.number: node.address for node in self.nodes})

    def _leading(self, statuses: Statuses) -> NodeStatus | None:
        """Who leads a majority of nodes that hear each other."""
        sides = ([statuses[node] for node in side if node in statuses] for side in self.links.sides(list(statuses)))
        return next(filter(None, map(leading, sides)), None)

    def _sides(self, voters: Collection[int]) -> list[list[int]]:
        """The voters that run, in groups that hear each other."""
        return self.links.sides([node for node in self.nodes.numbers("running") if node in voters])

    def _tell_links(self, nodes: Collection[int] | None = None) -> None:
        """Tell these nodes, or all, what is wrong with their links. A node that has just been started has to come."""
        numbers = [node.number for node in self.nodes]
        for number in self.nodes.numbers("running") if nodes is None else nodes:
            requests = self.links.requests(number, numbers)
            deadline = time.monotonic() + START_SECONDS
            while self.nodes[number].state == "running" and time.monotonic() < deadline:
                try:
                    with Client([self.nodes[number].address], _TELL_SECONDS) as client:
                        for reply in client.pipeline(requests):
                            if not reply.ok:
                                say(f"node {number}: {reply.error.message}")
                    break
                except ClientError:
                    time.sleep(_AGAIN_SECONDS)


def _tell(line: str) -> None:
    print(folded(line, sys.stdout))
