"""Findings about members that run, and do not hear each other, or are behind. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from trioraft_cli.checking.evidence import Answer, Fault
from trioraft_cli.checking.findings import Finding, Step, listed
from trioraft_cli.checking.view import REFUSALS, UNREACHED, View
from trioraft_cli.words import shell_word

FAR_BEHIND: Final = 1000
"""A member that lacks more entries than this is said to be behind, though it comes nearer."""
_ON_LINKS: Final = {"slow": "arrives late", "drop": "is lost in part"}
"""What happens on a link, by the kind of the fault."""
_AGAIN: Final = "ask again in a moment: an election may be under way"


def cuts(view: View) -> Iterator[Finding]:
    """What keeps members that are there apart."""
    found = [*_faults(view), *_broken_links(view)]
    named = {node for finding in found for node in finding.nodes}
    found += [finding for finding in _unheard(view) if not named & set(finding.nodes)]
    yield from found
    if not view.can_write and not view.too_few and not any(finding.severity == "down" for finding in found):
        yield _no_leader(view)
    yield from _impostors(view)
    if not any(finding.code == "faults_on" for finding in found):
        yield from _behind(view)


def _faults(view: View) -> Iterator[Finding]:
    """One finding for all faults that are switched on."""
    faulty = {answer.status.node: answer.faults for answer in view.evidence.answers.values() if answer.faults}
    if not faulty:
        return
    told = listed(list(_in_words(faulty)))
    consequence = "" if view.can_write or view.too_few else ". No leader has a majority: nothing can be written"
    yield Finding(
        "faults_on",
        view.severity_of_cuts,
        sorted(faulty),
        f"faults are switched on: {told}{consequence}",
        [view.advice.heal_faults("switch them off")],
    )


def _in_words(faulty: Mapping[int, Sequence[Fault]]) -> Iterator[str]:
    """The faults of all nodes: the links that are cut, and then the others."""
    links = {
        (node, fault.node) if fault.way == "to" else (fault.node, node)
        for node, faults in faulty.items()
        for fault in faults
        if fault.kind == "cut" and fault.node is not None
    }
    for sender, receiver in sorted(links):
        if (receiver, sender) not in links:
            yield f"node {receiver} hears nothing of node {sender}"
        elif sender < receiver:
            yield f"node {sender} and node {receiver} are cut off from each other"
    for node, faults in faulty.items():
        for fault in faults:
            if fault.kind == "disk":
                yield f"the disk of node {node} hangs"
            elif fault.kind != "cut":
                ends = (fault.node, node) if fault.way == "from" else (node, fault.node)
                suffers = _ON_LINKS.get(fault.kind, f"suffers '{fault.kind}'")
                yield f"what node {ends[0]} says to node {ends[1]} {suffers}"


def _broken_links(view: View) -> Iterator[Finding]:
    """The pairs of members that run, of which one cannot reach the other; those of faults are told already."""
    running = {
        member.id: answer
        for member in view.members
        if view.states[member.id].code in ("there", "joining")
        and (answer := view.evidence.answers.get(view.addresses[member.id])) is not None
    }
    explained = {frozenset((node, fault.node)) for node, answer in running.items() for fault in answer.faults}
    for node, answer in running.items():
        for trouble in answer.status.troubles:
            pair = frozenset((node, trouble.node))
            if (
                trouble.way != "to"
                or trouble.reason not in UNREACHED
                or trouble.node not in running
                or pair in explained
            ):
                continue
            explained.add(pair)
            back = any(t.node == node and t.reason in UNREACHED for t in running[trouble.node].status.troubles)
            yield _broken_link(view, node, trouble.node, trouble.message, both=back)


def _broken_link(view: View, node: int, other: int, message: str, *, both: bool) -> Finding:
    apart = (
        f"node {node} and node {other} cannot reach each other"
        if both
        else (f"node {node} cannot reach node {other}, which reaches it")
    )
    consequence = "" if view.severity_of_cuts == "now" else ". No majority hears each other: nothing can be written"
    address = view.addresses[other]
    reach = f"nc -vz -w 2 {shell_word(address.host)} {address.port}"
    return Finding(
        "cut_between",
        view.severity_of_cuts,
        sorted((node, other)),
        f"{apart}, and both run: {message}{consequence}",
        [
            Step(
                f"see to the network and the firewalls between them: on the machine of node {node} this is to succeed",
                reach,
            )
        ],
    )


def _unheard(view: View) -> Iterator[Finding]:
    """Members that run, and that the leader does not hear, for a reason that nobody tells."""
    for member in view.members:
        if view.states[member.id].code == "there" and view.hears(member.id) is False:
            assert view.leader is not None
            leader = view.leader.status.node
            yield Finding(
                "cut_from_leader",
                view.severity_of_cuts,
                [member.id],
                f"{member.label} runs, and node {leader}, which leads, does not hear it",
                [
                    Step("see to the network between their machines, and to the log of the node"),
                    view.advice.ask("check", _AGAIN),
                ],
            )


def _no_leader(view: View) -> Finding:
    there = len(view.voters_there)
    return Finding(
        "no_leader",
        "down",
        view.voters_there,
        f"{there} of {len(view.voters)} voters run, and none of them leads: nothing can be written",
        [
            view.advice.ask("check", _AGAIN),
            Step("if it stays so, see the logs of these nodes: they say who stands, and why not"),
        ],
    )


def _impostors(view: View) -> Iterator[Finding]:
    """Processes that come as a member which is there, and are not it."""
    for node, troubles in view.refused_as.items():
        if node not in view.states or view.states[node].code not in ("there", "not_running"):
            continue
        coming = [t for t in troubles if t.way == "from" and t.reason in (*REFUSALS, "other_folder")]
        if coming and (view.states[node].code == "there" or coming[0].reason != "needs_upgrade"):
            yield Finding(
                "impostor",
                "now",
                [node],
                f"another process introduces itself as node {node}, and is refused: {coming[0].message}",
                [
                    Step(
                        f"stop it: node {node} is the one at {view.addresses[node]}; a newcomer is started with an id "
                        "of its own, that it gets from 'trioraft members add'"
                    )
                ],
            )


def _behind(view: View) -> Iterator[Finding]:
    """Members that the leader hears, and that lack what was committed a second ago."""
    if view.leader is None or not view.evidence.before:
        return
    before = view.evidence.before
    then = before.get(view.leader.address)
    for member in view.members:
        answer, earlier = view.answer_of(member.id), before.get(view.addresses[member.id])
        if answer is None or earlier is None or then is None:
            continue
        lacks = then.commit_index - answer.status.last_applied
        if lacks <= 0:
            continue
        if answer.status.last_applied == earlier.last_applied and view.hears(member.id) is not False:
            yield _stuck(view, answer, lacks)
        elif lacks > FAR_BEHIND:
            message = f"{member.label} is {lacks} entries behind, and comes nearer"
            yield Finding("catching_up", "remark", [member.id], message)


def may_be_behind(view: View) -> bool:
    """Whether a member that is there lacks something: only a second look can tell whether it is on its way."""
    if view.leader is None:
        return False
    there = [answer for member in view.members if (answer := view.answer_of(member.id)) is not None]
    return any(answer.status.last_applied < view.leader.status.commit_index for answer in there)


def _stuck(view: View, answer: Answer, lacks: int) -> Finding:
    node = answer.status.node
    return Finding(
        "lagging",
        "now",
        [node],
        f"{view.label(node)} is {lacks} {'entry' if lacks == 1 else 'entries'} behind, and has come no nearer within a "
        "second: it takes in a snapshot, or its disk hangs or has no room",
        [
            view.advice.ask("check", "ask again in a moment: a snapshot takes its time"),
            Step("if it stays so, see what its log says, and to its disk"),
            view.advice.start(node, "if the disk is well, stop it, and start it again with the same folder"),
        ],
    )
