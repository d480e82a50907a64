"""The commands that break a cluster on purpose, node by node, and heal it: fault cut, partition, slow, drop, disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import click
import msgspec

from trioraft.background import in_background
from trioraft.client import Refused, Reply
from trioraft.wire.codec import decode
from trioraft_cli import render, where
from trioraft_cli.arguments import NODE, TEXT, TIME_LIMIT, Whole
from trioraft_cli.asking import Asker, asks
from trioraft_cli.counts import seconds
from trioraft_cli.fault_plan import (
    FaultError,
    Wanted,
    Way,
    between,
    both_ways,
    breaking,
    healing,
    known,
    parse_sides,
    uncovered,
)
from trioraft_cli.groups import Commands
from trioraft_cli.outcomes import NO_NODE, NOT_NOW, Failure
from trioraft_cli.status import ClusterStatus, ask_node
from trioraft_cli.streams import say

T = TypeVar("T")
_NOBODY_THERE: Final = os.strerror(errno.ECONNREFUSED)
"""Why a node does not answer whose process has ended, and its faults with it."""
KINDS: Final = ("cut", "slow", "drop", "disk")


class _Fault(msgspec.Struct):
    """A fault as a node shows it."""

    kind: str
    node: int | None = None
    way: str | None = None
    ms: int | None = None
    percent: int | None = None
    left_ms: int | None = None

    @property
    def cells(self) -> list[str]:
        """Its row, without the node that has it."""
        how = f"{self.ms} ms" if self.ms else f"{self.percent} %" if self.percent else "-"
        left = "-" if self.left_ms is None else seconds(self.left_ms)
        return [self.kind, self.way or "-", "-" if self.node is None else str(self.node), how, left]


class _Nodes:
    """The nodes of a cluster: where each is, and which of them answer."""

    def __init__(self, asker: Asker) -> None:
        """Raises Failure where none answers."""
        cluster = ClusterStatus(asker.addresses)
        if not cluster.replies:
            say("no node answers")
            raise Failure(NO_NODE)
        statuses = cluster.statuses
        listed = {node: address for status in statuses.values() for node, address in status.known.items()}
        self.places = where.of_members(listed) | {status.node: address for address, status in statuses.items()}
        self.alive = {status.node for status in statuses.values()}

    def ask(self, wanted: Wanted) -> tuple[dict[int, list[Reply]], dict[int, str]]:
        """The replies of those that answer, by node, and why the others have given none."""
        asked = {node: in_background(partial(ask_node, self.places[node], wanted[node])) for node in sorted(wanted)}
        found = {node: answer.result() for node, answer in asked.items()}
        replies = {node: answer for node, answer in found.items() if not isinstance(answer, str)}
        return replies, {node: answer for node, answer in found.items() if isinstance(answer, str)}


@click.group(cls=Commands)
def fault() -> None:
    """Break the links or a disk of a cluster on purpose, and heal them.

    Its nodes have to be started with --allow-faults.

    \b
    Example: trioraft fault show
    """


def _breaks(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that says how long a fault lasts, and those that say where the cluster is."""
    lasts = click.option(
        "--for", "lasts", type=TIME_LIMIT, metavar="SECONDS", help="How long; else until it is healed."
    )
    added: Callable[..., Any] = lasts(asks(command))
    return added


def _between_two(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the two ends of a link, and whether one way alone is meant."""
    one_way = click.option("--one-way", is_flag=True, help="Only what NODE says to OTHER.")
    node, other = click.argument("node", type=NODE), click.argument("other", type=NODE)
    return node(other(one_way(_breaks(command))))


@fault.command()
@_between_two
def cut(asker: Asker, node: int, other: int, one_way: bool, lasts: float | None) -> int:
    """Let NODE and OTHER hear nothing of each other.

    \b
    Examples: trioraft fault cut 0 1
              trioraft fault cut 0 1 --one-way --for 10
    """
    ways = [(node, other)] if one_way else both_ways(node, other)
    said = f"node {other} hears nothing of node {node}"
    return _break_ways(asker, "cut", ways, {}, lasts, said if one_way else f"{said}, nor node {node} of it")


@fault.command()
@click.argument("sides", type=TEXT, nargs=-1, required=True, metavar="SIDE...")
@_breaks
def partition(asker: Asker, sides: tuple[str, ...], lasts: float | None) -> int:
    """Part the nodes into sides that hear nothing of each other, in place of all earlier cuts.

    A side is a word of ids, as 0,1, or stands between slashes. Nodes that are not named are one side more.

    \b
    Examples: trioraft fault partition 0 1,2
              trioraft fault partition 0 1 / 2
              trioraft fault partition 0
    """
    nodes = _Nodes(asker)
    groups = _checked(parse_sides, sides, nodes.places)
    said = f"{' | '.join(' '.join(map(str, side)) for side in groups)}: the sides hear nothing of each other"
    return _break_ways(asker, "cut", between(groups), {}, lasts, said, nodes, first={"heal": True, "kind": "cut"})


@fault.command()
@_between_two
@click.option("--ms", type=Whole(1, 60_000), required=True, help="How many milliseconds later it arrives.")
def slow(asker: Asker, node: int, other: int, one_way: bool, lasts: float | None, ms: int) -> int:
    """Let all arrive later that NODE and OTHER say to each other.

    \b
    Example: trioraft fault slow 0 1 --ms 200
    """
    ways, said = _said_on(node, other, one_way)
    return _break_ways(asker, "slow", ways, {"ms": ms}, lasts, f"{said} arrives {ms} ms later")


@fault.command()
@_between_two
@click.option("--percent", type=Whole(1, 100), required=True, help="How much of it is lost.")
def drop(asker: Asker, node: int, other: int, one_way: bool, lasts: float | None, percent: int) -> int:
    """Lose a share of what NODE and OTHER say to each other, as a bad network does: it is sent again, and late.

    \b
    Example: trioraft fault drop 0 1 --percent 20
    """
    ways, said = _said_on(node, other, one_way)
    return _break_ways(asker, "drop", ways, {"percent": percent}, lasts, f"{percent} % of {said} is lost")


@fault.command()
@click.argument("node", type=NODE)
@_breaks
def disk(asker: Asker, node: int, lasts: float | None) -> int:
    """Let the disk of NODE hang: all that it writes waits.

    \b
    Example: trioraft fault disk 0 --for 5
    """
    nodes = _Nodes(asker)
    _checked(known, node, nodes.places)
    failures = _tell(asker, nodes, {node: [{"op": "fault", "kind": "disk", **_lasting(lasts)}]})
    if failures:
        return _untold(failures, "its disk goes on")
    _say_done(asker, f"the disk of node {node} hangs", lasts)
    return 0


@fault.command()
@click.argument("named", type=NODE, nargs=-1, metavar="[NODE [OTHER]]")
@click.option("--kind", type=click.Choice(KINDS), help="Faults of this kind alone.")
@asks
def heal(asker: Asker, named: tuple[int, ...], kind: str | None) -> int:
    """Heal everything, or all about NODE, or its link to OTHER.

    \b
    Examples: trioraft fault heal
              trioraft fault heal 0 1 --kind slow
    """
    nodes = _Nodes(asker)
    for node in named:
        _checked(known, node, nodes.places)
    failures = _tell(asker, nodes, _checked(healing, named, kind, nodes.places), leniently=True)
    failures = {node: why for node, why in failures.items() if why != _NOBODY_THERE}
    whom = ("", " of node {}", " between node {} and node {}")[len(named)].format(*named)
    _say_done(asker, f"healed: {f'each {kind}' if kind else 'every fault'}{whom}", None)
    return _untold(failures, "it may still have faults") if failures else 0


@fault.command()
@asks
def show(asker: Asker) -> int:
    """Show the faults that are in force, node by node.

    \b
    Example: trioraft fault show
    """
    nodes = _Nodes(asker)
    replies, failures = nodes.ask({node: [{"op": "fault"}] for node in nodes.places})
    with asker.printing():
        answers = _willing({node: reply for node, [reply] in replies.items()}, leniently=True)
    if asker.as_json:
        for reply in answers.values():
            render.show_json(reply.line)
    else:
        rows = [[str(node), *one.cells] for node, reply in answers.items() for one in _faults_in(reply)]
        render.show("", ["NODE#", "FAULT", "WAY", "PEER#", "HOW#", "LEFT#"], rows)
        if not rows:
            say("no node that answers has a fault")
    _untold(failures, "")
    return NOT_NOW if set(failures.values()) - {_NOBODY_THERE} else 0


def _said_on(node: int, other: int, one_way: bool) -> tuple[list[Way], str]:
    """The ways of a link that are meant, and what goes over them, in words."""
    if one_way:
        return [(node, other)], f"what node {node} says to node {other}"
    return both_ways(node, other), f"what node {node} and node {other} say to each other"


def _break_ways(
    asker: Asker,
    kind: str,
    ways: Sequence[Way],
    how: Mapping[str, int],
    lasts: float | None,
    said: str,
    nodes: _Nodes | None = None,
    first: Mapping[str, Any] | None = None,
) -> int:
    """Tell the nodes to break these ways so; the exit code. `first` are the fields of what each is asked before."""
    nodes = nodes or _Nodes(asker)
    for way in ways:
        if len(set(way)) == 1:
            raise click.UsageError(f"a link has two ends, and node {way[0]} is one")
        for node in way:
            _checked(known, node, nodes.places)
    wanted = breaking(kind, ways, nodes.alive, {**how, **_lasting(lasts)})
    if first is not None:
        wanted = {node: [{"op": "fault", **first}, *asked] for node, asked in wanted.items()}
    failures = _tell(asker, nodes, wanted)
    left = sorted({tuple(sorted(way)) for way in uncovered(ways, set(wanted) - set(failures))})
    if len(left) < len({tuple(sorted(way)) for way in ways}):
        _say_done(asker, said, lasts)
    if failures:
        _untold(failures, "the other end of each link knows, and that is enough" if not left else "")
    for one, other in left:
        say(f"neither node {one} nor node {other} could be told: the link between them is as it was")
    return NOT_NOW if left else 0


def _tell(asker: Asker, nodes: _Nodes, wanted: Wanted, *, leniently: bool = False) -> dict[int, str]:
    """Ask each node for its share; why some could not be told, by node. Nothing is broken where one refuses.

    `leniently`: those that refuse are left out, as long as one does not. Raises Refused, Failure.
    """
    with asker.printing():
        seen, failures = nodes.ask({node: [{"op": "fault"}] for node in wanted})
        willing = _willing({node: reply for node, [reply] in seen.items()}, leniently=leniently)
        replies, more = nodes.ask({node: wanted[node] for node in willing})
        for told in replies.values():
            _willing(dict(enumerate(told)))
    if asker.as_json:
        for told in replies.values():
            render.show_json(told[-1].line)
    return failures | more


def _willing(replies: Mapping[int, Reply], *, leniently: bool = False) -> dict[int, Reply]:
    """The replies that are none of nodes that refuse. Raises Refused where one refuses, or `leniently` where all do."""
    refused = [reply for reply in replies.values() if not reply.ok]
    if refused and (not leniently or len(refused) == len(replies)):
        raise Refused(refused[0])
    return {node: reply for node, reply in replies.items() if reply.ok}


def _faults_in(reply: Reply) -> list[_Fault]:
    return decode(reply.raw("faults"), list[_Fault])


def _lasting(lasts: float | None) -> dict[str, int]:
    """The field of a request that says how long a fault lasts."""
    return {} if lasts is None else {"for_ms": max(1, round(lasts * 1000))}


def _checked(make: Callable[..., T], *arguments: Any) -> T:
    """What `make` makes of the arguments. Raises click.UsageError in place of its FaultError."""
    try:
        return make(*arguments)
    except FaultError as error:
        raise click.UsageError(str(error)) from None


def _say_done(asker: Asker, said: str, lasts: float | None) -> None:
    if not asker.as_json:
        print(said if lasts is None else f"{said}, for {lasts:g} s")


def _untold(failures: Mapping[int, str], result: str) -> int:
    """Say which nodes did not answer, and what that means; the exit code."""
    for node, why in failures.items():
        say(f"node {node} does not answer ({why}){f': {result}' if result else ''}")
    return NOT_NOW


COMMANDS = (fault,)
