"""The commands of a demo's prompt, which break its cluster and mend it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from trioraft_cli.arguments import TEXT, Whole
from trioraft_cli.connection import Connection
from trioraft_cli.demo_acts import Demo
from trioraft_cli.demo_links import parse_sides
from trioraft_cli.demo_nodes import State
from trioraft_cli.outcomes import NO, fail
from trioraft_cli.streams import say
from trioraft_cli.typed import WithRest

SHOWN_LINES: Final = 40
"""How many lines of a node's log are shown where nobody can scroll."""
MOST_SHOWN: Final = 5000
MOST_LATE: Final = 10_000
"""In milliseconds: a cluster whose messages take longer than this shows nothing more."""
_LEADER: Final = "leader"


class NodeOfDemo(click.ParamType):  # type: ignore[type-arg]
    """A node's number, or the word `leader`; it completes to the nodes in one of these states."""

    name = "node"

    def __init__(self, demo: Demo, *states: State) -> None:
        self._demo = demo
        self._states = states

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number. Raises click.BadParameter."""
        nodes = self._demo.nodes
        if value == _LEADER:
            leader = self._demo.leader()
            if leader is None:
                self.fail("no node leads now: type its number", param, ctx)
            return leader
        numbers = {str(node.number): node.number for node in nodes}
        if str(value) not in numbers:
            self.fail(f"there is no node {str(value)!r}: there are {', '.join(numbers)}", param, ctx)
        return numbers[str(value)]

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        """The nodes that begin so, each with its role or state, and `leader`."""
        statuses = self._demo.statuses()
        found = []
        for node in self._demo.nodes:
            if node.state in self._states:
                status = statuses.get(node.number)
                is_shown = node.state == "running" and status is not None
                told = f"{status.role}, term {status.term}" if is_shown and status is not None else node.state
                found.append(CompletionItem(str(node.number), help=told))
        if "running" in self._states:
            found.append(CompletionItem(_LEADER, help="whoever leads"))
        return [item for item in found if item.value.startswith(incomplete)]


class Acts:
    """What the commands do. The docstrings are their help."""

    def __init__(self, demo: Demo, tells_all: bool) -> None:
        self._demo = demo
        self._shown = MOST_SHOWN if tells_all else SHOWN_LINES

    def kill(self, node: int) -> int:
        """Kill a node, as kill -9 or a power cut would; its disk stays.

        \b
        Examples: \\kill leader
                  \\kill 0
        """
        if self._demo.nodes[node].state == "killed":
            return _no(rf"node {node} is dead already: \restart {node} starts it")
        return self._demo.kill(node)

    def restart(self, node: int) -> int:
        """Start a killed node again, on the disk that it left.

        \b
        Example: \\restart 0
        """
        state = self._demo.nodes[node].state
        if state == "paused":
            return _no(rf"node {node} is paused, not dead: \resume {node} lets it go on")
        if state == "running":
            return _no(rf"node {node} runs already: \kill {node} ends it")
        return self._demo.restart(node)

    def pause(self, node: int) -> int:
        """Freeze a node (SIGSTOP): it says nothing, and its connections stay open, as when a machine hangs.

        \b
        Example: \\pause leader
        """
        state = self._demo.nodes[node].state
        if state == "killed":
            return _no(rf"node {node} is dead, there is nothing to pause: \restart {node} starts it")
        if state == "paused":
            return _no(rf"node {node} is paused already: \resume {node} lets it go on")
        return self._demo.pause(node)

    def resume(self, node: int) -> int:
        """Let a paused node go on (SIGCONT): it does not know that time has passed.

        \b
        Example: \\resume 0
        """
        state = self._demo.nodes[node].state
        if state == "killed":
            return _no(rf"node {node} is dead, not paused: \restart {node} starts it")
        if state == "running":
            return _no(rf"node {node} runs already: \pause {node} freezes it")
        return self._demo.resume(node)

    def partition(self, sides: str) -> int:
        """Cut the network between nodes: a side on each side of a bar, and who is not named on a side more.

        The word leader stands for the node that leads.

        \b
        Examples: \\partition 0 1 | 2
                  \\partition leader
        """
        numbers = [node.number for node in self._demo.nodes]
        leader = self._demo.leader() if _LEADER in sides else None
        try:
            found = parse_sides(sides, numbers, leader)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        return self._demo.partition(found)

    def slow(self, node: int, milliseconds: int) -> int:
        """Have all that a node sends, and that is sent to it, arrive later by that many milliseconds; 0: at once.

        \b
        Examples: \\slow leader 200
                  \\slow 0 0
        """
        return self._demo.slow(node, milliseconds)

    def heal(self) -> int:
        """Make all links whole: no partition, nothing slow.

        \b
        Example: \\heal
        """
        return self._demo.heal()

    def add(self) -> int:
        """Start one more node, and take it into the cluster.

        \b
        Example: \\add
        """
        return self._demo.add()

    def logs(self, node: int) -> int:
        """Show what a node has logged.

        \b
        Example: \\logs leader
        """
        for line in self._demo.nodes[node].log_lines(self._shown):
            print(line)
        return 0


def commands(demo: Demo, *, tells_all: bool) -> list[click.Command]:
    """The commands, for the prompt. `tells_all`: who types can scroll, and so gets a node's whole log."""
    acts = Acts(demo, tells_all)
    return [
        _command(demo, acts.kill, _node(demo, "running", "paused")),
        _command(demo, acts.restart, _node(demo, "killed")),
        _command(demo, acts.pause, _node(demo, "running")),
        _command(demo, acts.resume, _node(demo, "paused")),
        _command(
            demo, acts.partition, click.Argument(["sides"], type=TEXT, metavar="NODE... | NODE..."), kind=WithRest
        ),
        _command(
            demo,
            acts.slow,
            _node(demo, "running", "paused"),
            click.Argument(["milliseconds"], type=Whole(0, MOST_LATE), metavar="MS"),
        ),
        _command(demo, acts.heal),
        _command(demo, acts.add),
        _command(demo, acts.logs, _node(demo, "running", "paused", "killed")),
    ]


def _node(demo: Demo, *states: State) -> click.Argument:
    return click.Argument(["node"], type=NodeOfDemo(demo, *states), metavar="N")


def _command(
    demo: Demo, act: Callable[..., int], *params: click.Parameter, kind: type[click.Command] = click.Command
) -> Any:
    name, text = f"\\{act.__name__}", inspect.getdoc(act)

    @functools.wraps(act)
    def told(**arguments: Any) -> int:
        connection = click.get_current_context().find_object(Connection)
        try:
            code = act(**arguments)
            if connection is not None and (leader := demo.leader()) is not None:
                connection.leader = leader  # it has been told: the bar need not
            return code
        except OSError as error:
            return fail(NO, f"{name} failed: {error.strerror}", "look after the demo's folder, and after its disk")

    return kind(name, callback=told, params=list(params), help=text, options_metavar="")


def _no(why: str) -> int:
    say(why)
    return NO
