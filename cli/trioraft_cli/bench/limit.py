"""What limited a load, judged by who was busy. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from trioraft_cli.bench.figures import Figures
from trioraft_cli.bench.plan import Plan

BUSY: Final = 0.9
"""A process, or a machine, that works for this share of the time has none left."""
_SYNCING: Final = 0.8
"""A disk that syncs for this share of the time has hardly any left: between two syncs it is told what to write."""


_OUTAGE: Final = 0.2
"""The share of the time that makes a gap the limit, if errors or broken connections explain it."""
_REACHED: Final = 0.98
"""The share of a rate asked for that counts as all of it: the last answers come after the end."""
_ERRORS: Final = "the errors say why"
_STATUS: Final = "ask `trioraft status` what is wrong"


class NodeUse(msgspec.Struct, frozen=True):
    """How busy a node was, as shares of the time; None where it does not say."""

    node: int
    is_leader: bool
    processor: float | None = None
    disk: float | None = None

    @property
    def name(self) -> str:
        """How it is spoken of."""
        return f"node {self.node}, the leader" if self.is_leader else f"node {self.node}"


class Use(msgspec.Struct, frozen=True):
    """How busy all that took part was, as shares of the time."""

    load: Sequence[float]
    """Each process of the load."""
    machine: float | None
    """All processors of the machine that this program runs on."""
    processors: int
    """How many these are."""
    nodes: Sequence[NodeUse]
    is_local: bool
    """Whether the nodes run on this machine too."""


class Limit(msgspec.Struct, frozen=True):
    """What was the limit: a word for programs, and what it means and what to do."""

    what: str
    message: str


def limit_of(plan: Plan, whole: Figures, use: Use) -> Limit:
    """The limit of a load that saw this, while all were as busy as that."""
    if not whole.answered:
        return Limit("outage", f"nothing was answered: {_ERRORS if whole.errors else _STATUS}")
    if whole.longest_gap > _OUTAGE * (whole.ended - whole.began) and (whole.errors or whole.lost):
        return Limit("outage", f"an outage: there was no answer for {whole.longest_gap / 1e9:.1f} s")
    if plan.rate is not None and whole.rate >= _REACHED * plan.rate:
        return Limit("rate", f"--rate: the cluster answered all of the {plan.rate:,.0f} requests a second")
    busiest = max(use.load)
    is_all_taken = use.is_local and use.machine is not None and use.machine >= BUSY
    if busiest >= BUSY and not is_all_taken:
        return Limit("load", _of_load(use, busiest, plan.connections))
    if is_all_taken and plan.under_way > 1:
        return Limit(
            "machine",
            f"this machine: its {_processors(use.processors)} busy {percent(use.machine)} of the time, with the nodes, "
            "with this program, and with all else that runs here: give the nodes machines of their own",
        )
    for node in use.nodes:
        if node.processor is not None and node.processor >= BUSY and plan.under_way > 1:
            return Limit(
                "node", f"{node.name}: its process was busy {percent(node.processor)} of the time, on one processor"
            )
        if node.disk is not None and node.disk >= _SYNCING:
            return Limit("disk", f"the disk of {node.name}: it was syncing {percent(node.disk)} of the time")
    if plan.under_way == 1:
        return Limit(
            "waiting",
            "one request at a time: it waits for its way to the nodes and back, and a write for a majority of the "
            "disks. More --connections or --pipeline give more",
        )
    return Limit(
        "waiting",
        f"waiting: nothing was busy all of the time, with {plan.under_way} requests under way. More "
        "--connections or --pipeline may give more",
    )


def _of_load(use: Use, busiest: float, connections: int) -> str:
    count = len(use.load)
    if count == 1:
        text = f"this program: its process was busy {percent(busiest)} of the time"
    else:
        text = f"this program: the busiest of its {count} processes was busy {percent(busiest)} of the time"
    if count < min(connections, use.processors):
        return f"{text}: use more --processes"
    if count < use.processors:
        return f"{text}: use more --connections and --processes"
    return f"{text}, and has no more processors here: run another on another machine"


def _processors(count: int) -> str:
    return f"{count} processors were" if count > 1 else "processor was"


def percent(share: float | None) -> str:
    """A share in words."""
    return f"{100 * (share or 0):.0f} %"
