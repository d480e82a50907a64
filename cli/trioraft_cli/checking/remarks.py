"""Findings about the nodes' disks, versions, settings and clocks, and about how many may fail. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from statistics import median_low
from typing import Final

from trioraft_cli.checking.findings import Finding, Severity, Step, listed
from trioraft_cli.checking.view import View

RESERVE: Final = 64 * 1024 * 1024
"""What snapshots leave of a disk to the log, in bytes, or a sixteenth of a smaller disk."""
ROOMY: Final = 4
"""A disk with less than so many reserves free has not much room."""
CLOCK_SECONDS: Final = 2.0
"""By how much clocks may differ unnoticed."""
MIB: Final = 1024 * 1024


def disks(view: View) -> Iterator[Finding]:
    """The nodes whose disks are nearly full."""
    for answer in view.own:
        free, size = answer.metrics.disk_free_bytes, answer.metrics.disk_bytes
        if free is None or size is None:
            continue
        reserve = min(RESERVE, size // 16)
        if free >= ROOMY * reserve:
            continue
        node, full = answer.status.node, free < reserve
        severity: Severity = "remark" if not full else "down" if view.too_few else "now"
        code, ends = ("disk_full", ": the node ends when its log finds no room") if full else ("disk_low", "")
        where = answer.metrics.data_dir or "its folder"
        yield Finding(
            code,
            severity,
            [node],
            f"the disk of {view.label(node)} has {free // MIB} MiB left of {size // MIB}{ends}",
            [Step(f"make room on the disk of {where}, and leave the files in it alone")],
        )


def remarks(view: View) -> Iterator[Finding]:
    """What is good to know and needs no haste."""
    yield from _versions(view)
    yield from _settings(view)
    yield from _clocks(view)
    yield from _none_to_spare(view)


def _versions(view: View) -> Iterator[Finding]:
    versions = {answer.status.node: (answer.version, answer.status.supported_level) for answer in view.own}
    if len(set(versions.values())) < 2:
        return
    newest, level = max(set(versions.values()), key=lambda known: (known[1], _as_numbers(known[0])))
    older = sorted(node for node, known in versions.items() if known != (newest, level))
    told = listed([f"node {node} runs {versions[node][0]} (level {versions[node][1]})" for node in older])
    yield Finding(
        "versions_differ",
        "remark",
        older,
        f"{told}, and others {newest} (level {level})",
        [
            Step(f"one after the other: stop it, install {newest}, start it, and go on once it has caught up"),
            *(view.advice.start(node, "start it with the same folder") for node in older),
        ],
    )


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in version.split("."))


def _settings(view: View) -> Iterator[Finding]:
    limits = {a.status.node: a.metrics.max_request_bytes for a in view.own if a.metrics.max_request_bytes is not None}
    if len(set(limits.values())) < 2:
        return
    usual, odd = _usual(limits)
    told = listed([f"node {node} takes requests of at most {limits[node]} bytes" for node in odd])
    yield Finding(
        "settings_differ",
        "remark",
        odd,
        f"{told}, and the others of {usual}: what one takes another refuses",
        [
            Step("stop one node at a time, and start it with the same --max-request-bytes on all"),
            *(Step("start it", f"{view.advice.start(node, '').command} --max-request-bytes {usual}") for node in odd),
        ],
    )


def _usual(values: Mapping[int, int]) -> tuple[int, list[int]]:
    """The value that most nodes have, or of several the largest, and the nodes that have another."""
    counts = Counter(values.values())
    usual = max(counts, key=lambda value: (counts[value], value))
    return usual, sorted(node for node, value in values.items() if value != usual)


def _clocks(view: View) -> Iterator[Finding]:
    clocks = {answer.status.node: answer.clock for answer in view.own if answer.clock is not None}
    if len(clocks) < 2:
        return
    usual = median_low(list(clocks.values()))
    wrong = {node: clock - usual for node, clock in clocks.items() if abs(clock - usual) > CLOCK_SECONDS}
    if wrong:
        told = listed([_clock(node, by) for node, by in sorted(wrong.items())])
        yield Finding(
            "clocks_differ",
            "remark",
            sorted(wrong),
            f"{told}: the cluster does not mind, but the times in the logs mislead",
            [Step("set the clock of that machine, and have it kept by NTP", "timedatectl set-ntp true")],
        )


def _clock(node: int, by: float) -> str:
    return f"the clock of node {node} is {abs(by):.0f} s {'ahead of' if by > 0 else 'behind'} that of others"


def _none_to_spare(view: View) -> Iterator[Finding]:
    if view.can_write and len(view.voters) < 3 and len(view.voters_there) == len(view.voters):
        voters = len(view.voters)
        yield Finding(
            "none_to_spare",
            "remark",
            [],
            f"{'one node votes' if voters == 1 else 'two nodes vote'}, so none may fail: three can lose one",
            [Step("start a node on another machine, and take it in with 'trioraft members add HOST:PORT'")],
        )


def healthy(view: View) -> Finding:
    """Who leads, and how many may fail."""
    nodes = len(view.members)
    leader = view.leader.status if view.leader else None
    rows = view.leader.members if view.leader else None
    leads = f"node {leader.node} leads in term {leader.term}" if leader else f"node {view.led_from_afar} leads"
    loses = "" if rows is None or rows.can_lose is None else f", can lose {rows.can_lose} of {rows.voters}"
    learners = nodes - len(view.voters)
    told = f" ({learners} without a vote)" if learners else ""
    message = f"{nodes} node{'' if nodes == 1 else 's'}{told}, {leads}{loses}"
    return Finding("healthy", "ok", [member.id for member in view.members], message)
