"""Findings about nodes that answer and are no members, and about what the list of the nodes has. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from trioraft.addresses import Address
from trioraft_cli.checking.absent import data_dir
from trioraft_cli.checking.evidence import Answer
from trioraft_cli.checking.findings import Finding, Step
from trioraft_cli.checking.view import View
from trioraft_cli.words import shell_word


def strangers(view: View) -> Iterator[Finding]:
    """The nodes that run and are no members: they wait, were removed, or belong elsewhere."""
    for address, answer in view.strangers:
        role = answer.status.role
        if role == "unformed":
            yield _waits(view, address, answer)
        elif answer.status.cluster not in (view.cluster, None):
            yield _of_another_cluster(view, address, answer)
        else:
            yield _removed(view, address, answer)


def _waits(view: View, address: Address, answer: Answer) -> Finding:
    node = answer.status.node
    add, line, start = view.advice.take_in(str(address))
    steps = [add] if start.command == view.advice.start(node, "").command else [Step("stop it"), add, line, start]
    return Finding(
        "waits_outside",
        "now",
        [node],
        f"node {node} at {address} runs, is no member, and waits to be taken in",
        steps,
    )


def _of_another_cluster(view: View, address: Address, answer: Answer) -> Finding:
    node, folder = answer.status.node, shell_word(data_dir(answer))
    return Finding(
        "other_cluster",
        "now",
        [node],
        f"node {node} at {address} runs in another cluster, {answer.status.cluster}, and is no member of this one, "
        f"{view.cluster}",
        [
            Step("stop it, if this cluster was made from its cluster by 'trioraft recover' or 'trioraft restore'"),
            Step("keep its folder aside, on its machine", f"mv {folder} {folder}.old"),
            *view.advice.take_in(str(address), [node]),
            Step("if both are to live, give each its own addresses, and its own servers.txt"),
        ],
    )


def _removed(view: View, address: Address, answer: Answer) -> Finding:
    node = answer.status.node
    return Finding(
        "removed_runs",
        "remark",
        [node],
        f"node {node} at {address} was removed from the cluster, and still runs",
        [Step(f"stop it, and put '-' in its place in {view.advice.file}")],
    )


def joining(view: View) -> Iterator[Finding]:
    """The newcomers that run, and do not belong to the cluster yet."""
    for member in view.members:
        if view.states[member.id].code != "joining":
            continue
        refusals = view.refused_as.get(member.id, [])
        moved = next((trouble for trouble in refusals if trouble.reason == "moved"), None)
        if moved is not None:
            steps = [
                Step(f"write {member.address} into its own {view.advice.file} at position {member.id}"),
                view.advice.start(member.id, "stop it, and start it again"),
            ]
            yield Finding(
                "newcomer_moved", "now", [member.id], f"the others refuse {member.label}: {moved.message}", steps
            )
        elif refusals:
            steps = [Step(refusals[0].hint)]
            yield Finding(
                "refused", "now", [member.id], f"the others refuse {member.label}: {refusals[0].message}", steps
            )
        else:
            yield Finding("joining", "remark", [member.id], f"{member.label} is about to join the cluster")


def differing_lists(view: View) -> Iterator[Finding]:
    """Where servers.txt says something else than the cluster, whose word counts."""
    evidence, members = view.evidence, {member.id: member.address for member in view.members}
    if evidence.source.file is not None:
        for line, address in enumerate(evidence.source.listed):
            if address is not None and members.get(line) != str(address) and address in evidence.silences:
                yield _listed_in_vain(view, line, address)
        for node, at in members.items():
            listed = evidence.source.listed[node] if node < len(evidence.source.listed) else None
            if listed is None:
                yield Finding(
                    "list_differs",
                    "remark",
                    [node],
                    f"{view.advice.file} lacks node {node} at {at}",
                    [Step(f"write {at} into it at position {node}")],
                )
    for answer in view.own:
        for node, at in members.items():
            said = answer.status.servers[node : node + 1]
            if said and said[0] not in ("-", at):
                yield Finding(
                    "list_differs",
                    "remark",
                    [answer.status.node],
                    f"the servers.txt of node {answer.status.node} has {said[0]} for node {node}, which is at {at}: "
                    "the cluster's word counts",
                    [Step(f"write {at} into it at position {node}; the node reads it at its next start")],
                )


def _listed_in_vain(view: View, line: int, address: Address) -> Finding:
    return Finding(
        "list_differs",
        "remark",
        [],
        f"{address}, at position {line} of {view.advice.file}, is no member, and no node answers there",
        [Step("put '-' in its place")],
    )
