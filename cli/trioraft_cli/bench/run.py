"""A load from its plan to its report: the keys, the processes, what is printed, and what is removed afterwards."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from trioraft.addresses import Address
from trioraft.client import Client, ClientError, NoNode, Refused
from trioraft.client.connection import why
from trioraft.names import look_up, numeric
from trioraft.wire.codec import encode
from trioraft_cli import render, where
from trioraft_cli.asking import Asker
from trioraft_cli.bench.channels import Place
from trioraft_cli.bench.figures import Figures, together
from trioraft_cli.bench.kinds import WATCH
from trioraft_cli.bench.limit import Limit, Use, limit_of
from trioraft_cli.bench.plan import ANY, LEADER, Plan
from trioraft_cli.bench.processes import Processes
from trioraft_cli.bench.progress import Bar
from trioraft_cli.bench.report import fields_of, lines_of
from trioraft_cli.bench.usage import Usage, is_here
from trioraft_cli.counts import counted
from trioraft_cli.membership import Members, ask_members
from trioraft_cli.outcomes import INTERRUPTED, NOT_NOW
from trioraft_cli.signals import Leaving
from trioraft_cli.streams import in_utf8, say
from trioraft_cli.words import shell_word

_RESOLVE_SECONDS: Final = 5.0
_REMOVE_SECONDS: Final = 2.0
_BATCH_BYTES: Final = 1024 * 1024
"""How much is prepared at once."""
_BATCH_REQUESTS: Final = 256
_START_SECONDS: Final = 0.05
"""From the word to begin to the beginning, which is the same for all processes."""
_QUIET_SECONDS: Final = 0.25
"""Watchers that hear of no change for so long after the writer's end have heard of all."""
_DELETED_AT_ONCE: Final = 10_000


class Nodes(msgspec.Struct, frozen=True):
    """The nodes that a load goes to."""

    members: dict[int, Address]
    leader: int | None
    places: list[Place]
    is_local: bool
    """Whether the leader runs on this machine."""


def find_nodes(asker: Asker, through: str) -> Nodes:
    """The nodes of the cluster, the leader first. Raises ClientError, click.UsageError."""
    found = asker.with_client(ask_members)
    members = where.of_members({member.id: member.address for member in found.members})
    leader = _leader_of(found)
    if through in (LEADER, ANY):
        wanted = sorted(members, key=lambda node: (node != leader, node))
        names = list(dict.fromkeys([*(members[node] for node in wanted), *asker.addresses]))
    else:
        names = [where.address(through)]
    places = _places(names)
    return Nodes(members, leader, places, any(is_here(place.address, place.family) for place in places[:1]))


def run_load(asker: Asker, plan: Plan, nodes: Nodes, *, keep: bool) -> int:
    """Load the cluster, print what was seen, and remove the keys unless they are kept; the exit code.

    Ctrl-C ends the load, and all the rest is done. Raises ClientError where nothing can be asked.
    """
    with Leaving(), _removed_afterwards(asker.addresses, plan.prefix, keep=keep):
        if plan.share_of_writes < 1:
            _prepare(asker, plan)
        usage = Usage(nodes.members)
        parts, is_whole = _load(plan, nodes, usage)
        whole = together(parts)
        if not whole.began:
            say("ended before anything was counted")
            return INTERRUPTED
        use = Use(
            [part.busy for part in parts],
            usage.machine(),
            os.cpu_count() or 1,
            usage.nodes(nodes.leader),
            nodes.is_local,
        )
        limit = limit_of(plan, whole, use)
        _print(plan, whole, limit, use, as_json=asker.as_json)
    if not is_whole:
        return INTERRUPTED
    return 0 if whole.answered else NOT_NOW


def _load(plan: Plan, nodes: Nodes, usage: Usage) -> tuple[list[Figures], bool]:
    """What each process has seen, and whether it came to its end: Ctrl-C ends it before. Raises NoNode."""
    total = plan.seconds + plan.warm_up if plan.requests is None else plan.requests
    with Processes(plan.jobs(nodes.places)) as processes, Bar(plan.workload, total) as bar:
        try:
            while processes.connections is None:
                processes.hear(1.0)
            if not processes.connections:
                raise NoNode("no node can be reached", "ask `trioraft status` which nodes there are")
            usage.begin()
            processes.begin(_START_SECONDS)
            _follow(plan, processes, bar)
            is_whole = True
        except KeyboardInterrupt:
            is_whole = False
        return processes.end(), is_whole


def _follow(plan: Plan, processes: Processes, bar: Bar) -> None:
    """Show how far the processes are, until they have done their jobs."""
    began = time.monotonic()
    seen, quiet_since = -1, began
    while not processes.have_asked or (plan.workload == WATCH and time.monotonic() < quiet_since + _QUIET_SECONDS):
        processes.hear(0.1)
        now = time.monotonic()
        if processes.events != seen or not processes.have_asked:
            seen, quiet_since = processes.events, now
        done, failed = processes.done
        rate = done / max(now - began - plan.warm_up, 0.1)
        errors = f", {counted(failed, 'error')}" if failed else ""
        bar.show(now - began if plan.requests is None else done, f"{rate:,.0f} a second{errors}")


def _prepare(asker: Asker, plan: Plan) -> None:
    """Write every key, so that reads find something. Raises ClientError."""
    value = "x" * plan.value_size
    batch = max(1, min(_BATCH_REQUESTS, _BATCH_BYTES // (plan.value_size + 100)))
    with asker.client() as client, Bar("writing keys", plan.keys) as bar:
        for first in range(0, plan.keys, batch):
            keys = range(first, min(first + batch, plan.keys))
            for reply in client.pipeline([{"op": "put", "key": plan.key(number), "value": value} for number in keys]):
                if not reply.ok:
                    raise Refused(reply)
            bar.show(keys.stop, f"{keys.stop:,}")


def _print(plan: Plan, whole: Figures, limit: Limit, use: Use, *, as_json: bool) -> None:
    if as_json:
        render.show_json(encode(fields_of(plan, whole, limit, use)))
        return
    for line in lines_of(plan, whole, limit, use, in_unicode=in_utf8(sys.stdout)):
        print(line)


@contextlib.contextmanager
def _removed_afterwards(addresses: Sequence[Address], prefix: str, *, keep: bool) -> Iterator[None]:
    """A context after which there are no keys with that prefix, unless they are kept or cannot be removed."""
    command = f"trioraft delete --prefix {shell_word(prefix)}"
    try:
        yield
    finally:
        if keep:
            say(f"the keys are kept; to remove them: {command}")
        else:
            try:
                _remove(addresses, prefix)
            except (ClientError, KeyboardInterrupt) as error:
                why = error.message if isinstance(error, ClientError) else "Ctrl-C"
                say(f"the keys could not be removed ({why}); later: {command}")


def _remove(addresses: Sequence[Address], prefix: str) -> None:
    with Client(addresses, timeout=_REMOVE_SECONDS) as client:
        while client.call("delete", prefix=prefix, limit=_DELETED_AT_ONCE)["more"]:
            pass


def _leader_of(found: Members) -> int | None:
    return next((member.id for member in found.members if member.leader), None)


def _places(names: Sequence[Address]) -> list[Place]:
    """The addresses as the system takes them, each once. Raises NoNode where none can be resolved."""
    places: dict[object, Place] = {}
    failures = []
    for name in names:
        try:
            for family, _, _, _, address in numeric(name) or look_up(name).wait(_RESOLVE_SECONDS):
                places.setdefault(address, Place(str(name), family, tuple(address)))
        except OSError as error:
            failures.append(f"{name}: {why(error)}")
    if not places:
        raise NoNode(f"no node can be reached ({'; '.join(failures)})", "look at the addresses")
    return list(places.values())
