"""What came of a fault in a demo, in words. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from trioraft_cli.demo_lead import Side
from trioraft_cli.status import NodeStatus

HEARD_MS: Final = 500
"""After how long the first nodes look for a new leader where theirs says nothing."""


def what_came_of_it(
    done: str,
    sides: Sequence[Side],
    voters: Collection[int],
    before: NodeStatus | None,
    back: str,
    newcomer: int | None = None,
) -> list[str]:
    """What was done, and who leads each side now, in lines.

    `before` led before, and `back` is typed to undo it. `newcomer` is a node that has to catch up.
    """
    leads = [f"{done}{_caught_up(side, newcomer)}; {_lead(side, before)}" for side in sides if side.leader is not None]
    others = [_no_majority(side, voters, before) for side in sides if side.leader is None]
    if not sides:
        others = ["no node answers any more"]
    elif others:
        others.append("  without a majority put and get are refused; status, show-log and get --stale still answer")
    if others and not leads:
        others.append(f"to go on: {back}")
    return [*(leads or [done]), *others]


def what_writes_take(delays: Sequence[int]) -> str:
    """How much longer a write takes, where what the leader sends to the other voters is late by these milliseconds."""
    needed = (len(delays) + 1) // 2
    late = sorted(delays)[needed - 1] if needed else 0
    if not late:
        quick = "a write is as quick as ever"
        return f"{quick}: the leader and the nodes that are not slow are a majority" if any(delays) else quick
    told = rf"a write takes {2 * late} ms longer, to a majority and back: \timing shows it"
    return told if late < HEARD_MS else f"{told}; it may fail, as nodes miss their leader after {HEARD_MS} ms"


def _in_words(nodes: Sequence[int]) -> str:
    """These nodes, as the subject of a sentence."""
    *rest, last = map(str, nodes)
    return f"nodes {', '.join(rest)} and {last}" if rest else f"node {last}"


def _caught_up(side: Side, newcomer: int | None) -> str:
    return f", and has caught up after {side.ms} ms" if newcomer in side.nodes and newcomer != side.leader else ""


def _lead(side: Side, before: NodeStatus | None) -> str:
    if before is not None and (before.node, before.term) == (side.leader, side.term):
        return f"node {side.leader} leads on in term {side.term}"
    return f"node {side.leader} leads in term {side.term} after {side.led_ms} ms"


def _no_majority(side: Side, voters: Collection[int], before: NodeStatus | None) -> str:
    are = "are" if len(side.nodes) > 1 else "alone is"
    led = f"; node {before.node} steps down after {side.ms} ms" if before and before.node in side.nodes else ""
    return f"{_in_words(side.nodes)} {are} no majority of {len(voters)}{led}"
