"""From evidence to findings: what is wrong with a cluster, worst first, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from trioraft_cli.checking.absent import absent, describe
from trioraft_cli.checking.cuts import cuts, may_be_behind
from trioraft_cli.checking.evidence import Evidence
from trioraft_cli.checking.findings import Finding, Step, worst_first
from trioraft_cli.checking.remarks import disks, healthy, remarks
from trioraft_cli.checking.strangers import differing_lists, joining, strangers
from trioraft_cli.checking.unformed import of_places, unformed
from trioraft_cli.checking.view import View


def judge(evidence: Evidence) -> list[Finding]:
    """The findings, worst first; at least one."""
    view = View(evidence)
    if not evidence.answers:
        return worst_first(_nobody(view))
    if not view.members:
        return worst_first(unformed(view))
    found = [*absent(view), *joining(view), *strangers(view), *cuts(view), *disks(view)]
    if not any(finding.needs_doing for finding in found):
        found.append(healthy(view))
    return worst_first([*found, *differing_lists(view), *remarks(view)])


def needs_second_look(evidence: Evidence) -> bool:
    """Whether something is wrong that may pass within a second, or can only be judged by what changes."""
    doubtful = any(found.needs_doing or found.code == "unreachable_from_here" for found in judge(evidence))
    return doubtful or may_be_behind(View(evidence))


def _nobody(view: View) -> Iterator[Finding]:
    """Why no node answers."""
    evidence = view.evidence
    if evidence.source.file is not None:
        yield from of_places(
            view, {n: address for n, address in enumerate(evidence.source.listed) if address is not None}
        )
        return
    for address, silence in evidence.silences.items():
        code = "not_running" if silence.kind == "refused" else silence.kind
        message = describe(code, {0: f"the node at {address}"}, silence.words)
        yield Finding(code, "down", [], message, [Step("start it, or say where a node is: --connect HOST:PORT")])
