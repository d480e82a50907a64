"""Findings about a cluster that has not formed yet. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from trioraft.addresses import Address
from trioraft_cli import where
from trioraft_cli.checking.absent import describe, steps_to_start
from trioraft_cli.checking.evidence import Answer
from trioraft_cli.checking.findings import Finding, Step
from trioraft_cli.checking.view import UNREACHED, View


def unformed(view: View) -> Iterator[Finding]:
    """Why the nodes that answer, which belong to no cluster yet, do not form one."""
    lists = Counter(tuple(answer.status.servers) for answer in sorted(view.unformed, key=lambda a: a.status.node))
    usual = max(lists, key=lambda lines: lists[lines], default=())
    found = [*_differing(view, usual), *_without_answer(view, usual), *_misplaced(view, usual)]
    if not found and "-" in usual:
        found = [_waiting(view)]
    yield from found or _apart(view)


def of_places(view: View, places: dict[int, Address], consequence: str = "") -> Iterator[Finding]:
    """Findings about the nodes in these places that give no answer; those of one kind together."""
    silences = view.evidence.silences
    kinds = dict.fromkeys(silences[address].kind for address in places.values() if address in silences)
    for kind in kinds:
        silent = {n: a for n, a in places.items() if a in silences and silences[a].kind == kind}
        code = "not_running" if kind == "refused" else kind
        labels = {node: f"node {node} at {address}" for node, address in silent.items()}
        addresses = {node: str(address) for node, address in silent.items()}
        message = describe(code, labels, silences[next(iter(silent.values()))].words)
        yield Finding(
            code, "down", list(silent), message + consequence, steps_to_start(view.advice, code, labels, addresses)
        )


def _places(usual: Sequence[str]) -> dict[int, Address]:
    return where.of_members({node: line for node, line in enumerate(usual) if line != "-"})


def _differing(view: View, usual: Sequence[str]) -> Iterator[Finding]:
    """The nodes whose servers.txt is not that of the others."""
    right = next((a for a in view.unformed if tuple(a.status.servers) == tuple(usual)), None)
    for answer in sorted(view.unformed, key=lambda a: a.status.node):
        mine = answer.status.servers
        if right is None or tuple(mine) == tuple(usual):
            continue
        line = next(n for n in range(max(len(mine), len(usual))) if mine[n : n + 1] != list(usual[n : n + 1]))
        here, there = (", ".join(lines[line : line + 1]) or "nothing" for lines in (mine, list(usual)))
        node, other = answer.status.node, right.status.node
        yield Finding(
            "lists_differ",
            "down",
            [node],
            f"the servers.txt of node {node} at {answer.address} differs from that of node {other}: at position {line} "
            f"it has {here}, and that one {there}. No cluster forms until all have the same",
            [
                Step(f"stop node {node}, and put the list of node {other} in its place, or the right one everywhere"),
                view.advice.start(node, "start it again"),
            ],
        )


def _without_answer(view: View, usual: Sequence[str]) -> Iterator[Finding]:
    places = _places(usual)
    needed = f". The cluster forms once all {len(places)} nodes are up together"
    return of_places(view, places, needed)


def _misplaced(view: View, usual: Sequence[str]) -> Iterator[Finding]:
    """The nodes that answer at another's address."""
    for node, address in _places(usual).items():
        answer = view.evidence.answers.get(address)
        if answer is not None and answer.status.node != node:
            yield Finding(
                "other_node",
                "down",
                [node],
                f"node {answer.status.node} answers in the place of node {node} at {address}",
                [
                    Step("stop what runs there: it was started with another INDEX, or its list has another order"),
                    view.advice.start(node, f"start node {node} there"),
                ],
            )


def _waiting(view: View) -> Finding:
    nodes = sorted(answer.status.node for answer in view.unformed)
    return Finding(
        "waits_for_cluster",
        "down",
        nodes,
        f"{_nodes(nodes)} {'belongs' if len(nodes) == 1 else 'belong'} to no cluster: the '-' in {view.advice.file} "
        "says that there is one, which is to take in the others, and none of its members answers",
        [
            Step("start the members of that cluster, and name one of them with --connect HOST:PORT"),
            Step(
                f"if there is none yet, stop these nodes, write a {view.advice.file} without '-', and start them again"
            ),
        ],
    )


def _apart(view: View) -> Iterator[Finding]:
    """What keeps nodes apart that are all up, with the same list; or that they are about to agree."""
    pairs = set()
    for answer in view.unformed:
        for trouble in answer.status.troubles:
            pair = frozenset((answer.status.node, trouble.node))
            if pair not in pairs:
                pairs.add(pair)
                yield _trouble_between(answer, trouble.node, trouble.reason, trouble.message, trouble.hint)
    if not pairs:
        reasons = dict.fromkeys(why for answer in view.unformed for why in answer.status.waiting_for or ())
        waiting = f": they wait for {'; '.join(reasons)}" if reasons else ""
        yield Finding(
            "forming",
            "down",
            sorted(answer.status.node for answer in view.unformed),
            f"the cluster has not formed yet{waiting}",
            [view.advice.ask("check", "ask again in a moment")],
        )


def _trouble_between(answer: Answer, other: int, reason: str, message: str, hint: str) -> Finding:
    node = answer.status.node
    if reason in UNREACHED:
        steps = [Step(f"see to the network and the firewalls between the machines of node {node} and node {other}")]
        return Finding(
            "cut_between", "down", sorted((node, other)), f"node {node} waits for node {other}: {message}", steps
        )
    code = reason if reason in ("needs_upgrade", "protocol", "other_cluster", "two_processes") else "refused"
    return Finding(code, "down", sorted((node, other)), message, [Step(hint)] if hint else [])


def _nodes(nodes: Sequence[int]) -> str:
    return f"node{'' if len(nodes) == 1 else 's'} {', '.join(map(str, nodes))}"
