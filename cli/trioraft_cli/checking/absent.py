"""Findings about members that are not there: where nobody answers, or not the node that is to be there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from trioraft_cli.checking.evidence import Answer
from trioraft_cli.checking.findings import Advice, Finding, Severity, Step, listed
from trioraft_cli.checking.view import View
from trioraft_cli.words import shell_word

OPERATIONS: Final = "docs/operations.md"
_ALONE: Final = ("never_started", "not_a_node", "other_node", "other_cluster", "needs_upgrade", "protocol", "refused")
"""The states that are told of each member alone: the words differ."""
_FROM_HERE: Final = ("not_running", "silent", "hung_up", "not_a_node", "no_answer", "no_way", "unresolved")
"""The states that may be so for this machine alone."""


def absent(view: View) -> Iterator[Finding]:
    """The members that are not there, those of one state together."""
    groups: dict[tuple[str, bool, int], list[int]] = {}
    for member in view.members:
        code = view.states[member.id].code
        if code in ("there", "joining"):
            continue
        if code in _FROM_HERE and view.hears(member.id):
            yield _reached_by_others(view, member.id)
            continue
        alone = member.id if code in (*_ALONE, *_FOLDERS) else -1
        groups.setdefault((code, member.id in view.voters, alone), []).append(member.id)
    for (code, votes, _), members in groups.items():
        severity: Severity = "down" if votes and view.too_few else "now"
        message = describe(code, {member: view.label(member) for member in members}, view.states[members[0]].words)
        steps = _steps(view, code, members)
        if votes and view.too_few and code not in _FOLDERS:
            steps.append(_last_resort(members))
        yield Finding(code, severity, members, message + (_consequence(view) if votes else ""), steps)


def describe(code: str, labels: Mapping[int, str], words: str) -> str:
    """What is wrong with these nodes, of one state."""
    names, one = listed(list(labels.values())), len(labels) == 1
    match code:
        case "not_running":
            return f"{names} {'does' if one else 'do'} not run: nobody listens there"
        case "never_started":
            return f"{names} was taken in, and does not run: nobody listens there"
        case "silent":
            return f"{names} {'takes' if one else 'take'} connections and answer{'s' if one else ''} nothing: the " + (
                "process is stopped, or hangs" if one else "processes are stopped, or hang"
            )
        case "hung_up":
            return f"{names} close{'s' if one else ''} each connection without a word"
        case "not_a_node":
            return f"something else answers in the place of {names}: {words}"
        case "no_answer":
            return f"the machine{'' if one else 's'} of {names} {'does' if one else 'do'} not answer: {words}"
        case "no_way":
            return f"this machine has no way to {names}: {words}"
        case "unresolved":
            return f"{names} cannot be found: {words}"
        case "overloaded":
            return f"{names} {'has' if one else 'have'} no place for another connection: {words}"
        case "failing":
            return f"{names} cannot say how {'it is' if one else 'they are'}: {words}"
        case "other_node":
            return f"{words} answers in the place of {names}"
        case "other_cluster":
            return f"{names} belongs to another cluster, {words}" if " " not in words else f"{names}: {words}"
        case "wiped":
            return (
                f"{names} runs with another data folder than its own: that was emptied or replaced, and with it the "
                "votes that it gave, so the others refuse it"
            )
        case _:
            return f"the others refuse {names}: {words}"


def steps_to_start(advice: Advice, code: str, labels: Mapping[int, str], addresses: Mapping[int, str]) -> list[Step]:
    """What to do about nodes that give no answer, in a cluster or before there is one."""
    starts = [advice.start(node, _how_to_start(code, labels[node])) for node in labels]
    match code:
        case "not_running" | "never_started":
            return [*starts, Step("if it ends at once, its last lines say why, and what to do")]
        case "silent":
            let_go_on = [
                advice.let_go_on(node, f"if the process of node {node} is stopped (state T in ps), let it go on")
                for node in labels
            ]
            return [*let_go_on, *starts]
        case "no_answer" | "no_way" | "unresolved":
            return [_look_at_network(addresses[node]) for node in labels] + starts
        case "overloaded":
            return [
                Step("have fewer clients connect, or stop it and raise its limit of open files: ulimit -n"),
                *starts,
            ]
        case "failing":
            return [Step("see what its log says"), *starts]
        case "hung_up" | "not_a_node":
            return [Step(f"stop what listens at {addresses[node]} and is no node") for node in labels] + starts
    return starts


def _how_to_start(code: str, label: str) -> str:
    match code:
        case "silent" | "failing":
            return f"if it hangs, kill it (kill -9), and start {label} again with the same folder"
        case "no_answer" | "no_way" | "unresolved":
            return f"if {label} does not run there, start it"
    return f"start {label}, on its machine, as it was started before"


def _look_at_network(address: str) -> Step:
    host, _, port = address.rpartition(":")
    words = " ".join(map(shell_word, (host.removeprefix("[").removesuffix("]"), port)))
    return Step("see to the machine, the name and the network between: this is to succeed", f"nc -vz -w 2 {words}")


def _reached_by_others(view: View, member: int) -> Finding:
    label, words = view.label(member), view.states[member].words
    return Finding(
        "unreachable_from_here",
        "remark",
        [member],
        f"{label} cannot be asked from this machine, and the others hear it: {words}",
        [_look_at_network(_address(view, member))],
    )


def _address(view: View, member: int) -> str:
    return next(known.address for known in view.members if known.id == member)


def _consequence(view: View) -> str:
    """What the absence of voters means for the cluster."""
    there, voters = len(view.voters_there), len(view.voters)
    if view.too_few:
        are = "is" if there == 1 else "are"
        needed = "is" if view.majority == 1 else "are"
        return f". {there} of {voters} voters {are} there, and {view.majority} {needed} needed: nothing can be written"
    members = view.leader.members if view.leader else None
    return ". No other voter may fail now" if members is not None and members.can_lose == 0 else ""


def _last_resort(members: Sequence[int]) -> Step:
    them = "it is" if len(members) == 1 else "they are"
    return Step(
        f"only if {them} lost for good: 'When the majority is lost for good' in {OPERATIONS}; acknowledged writes may "
        "be missing then"
    )


def _steps(view: View, code: str, members: Sequence[int]) -> list[Step]:
    if (folder := _FOLDERS.get(code)) is not None:
        return folder(view, members[0])
    labels = {member: view.label(member) for member in members}
    addresses = {member: _address(view, member) for member in members}
    advice = view.advice
    match code:
        case "never_started":
            line = Step(f"see that its {advice.file} has {addresses[members[0]]} at position {members[0]}")
            return [line, *steps_to_start(advice, code, labels, addresses)]
        case "other_node":
            stop = "stop what runs there: it was started with another INDEX, or its list has another order"
            return [Step(stop), advice.start(members[0], f"start {labels[members[0]]}, with its own folder")]
        case "needs_upgrade" | "protocol":
            versions = {answer.version for answer in view.own} or {"?"}
            install = f"stop the older one, and install the newest version of these: {', '.join(sorted(versions))}"
            return [Step(install), advice.start(members[0], "start it with the same folder")]
        case "refused":
            return [Step("do what these words say"), advice.start(members[0], "start it again")]
    return steps_to_start(advice, code, labels, addresses)


def _lost_folder(view: View, member: int, when: str = "if that is lost,") -> list[Step]:
    """What to do about a member that runs without the folder that it had, and when to let it go."""
    own = Step(
        f"stop node {member}, and start it with its own folder, as it last was, if that is still there; never with an "
        "older copy, which could elect two leaders"
    )
    lost = [voter for voter in view.voters if view.states[voter].code in _FOLDERS]
    if len(view.voters) - len(lost) < view.majority:
        return [own, *_begin_anew(view)] if member == lost[0] else [own]
    return [
        own,
        view.advice.ask(f"members remove {member}", f"{when} let the node go"),
        *view.advice.take_in(_address(view, member), [member]),
    ]


def _two_processes(view: View, member: int) -> list[Step]:
    stop = Step(
        f"stop all that runs as node {member}: its folder was copied, or an older copy of it was put back, and each "
        "copy may have voted"
    )
    return [stop, *_lost_folder(view, member, "then")[1:]]


def _other_cluster(view: View, member: int) -> list[Step]:
    stop = Step("stop the node that answers there: its folder is of another cluster")
    own = view.advice.start(member, f"start node {member} there with its own folder, if that is still there")
    return [stop, own, *_lost_folder(view, member)[1:]]


_FOLDERS: Final[dict[str, Callable[[View, int], list[Step]]]] = {
    "wiped": _lost_folder,
    "older_copy": _lost_folder,
    "two_processes": _two_processes,
    "other_cluster": _other_cluster,
}
"""The states of a member that lacks the folder which belongs to it, and what to do."""


def _begin_anew(view: View) -> list[Step]:
    """Make a cluster of the member that has most, where the folders of too many are lost."""
    there = [answer for member in view.voters if (answer := view.answer_of(member)) is not None]
    if not there:
        return [Step(f"if they are lost, restore a backup: 'Backups' in {OPERATIONS}")]
    most = max(there, key=lambda answer: (answer.last_term, answer.status.last_index))
    node = most.status.node
    others = [member for member in view.members if member.id != node]
    address = _address(view, node)
    steps = [
        Step(
            f"if these are lost, stop every node, and make a cluster of node {node}, which has most: acknowledged "
            "writes may be missing on it",
            f"trioraft recover --data-dir {shell_word(data_dir(most))} --force-members {shell_word(address)}",
        ),
        view.advice.start(node, "start it"),
    ]
    for number, member in enumerate(others):
        gone = [other.id for other in others] if number == 0 else []
        steps += view.advice.take_in(member.address, gone)
    return steps


def data_dir(answer: Answer) -> str:
    """The folder of a node: where it says it is, or else where it is by itself."""
    return (answer.metrics.data_dir if answer.metrics else None) or f"trioraft-data/node-{answer.status.node}"
