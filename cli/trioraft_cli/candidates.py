"""What completes a word of a command: keys, nodes, locks and leases, for which a node is asked, and not for long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

import click
import msgspec
from click.shell_completion import CompletionItem

from trioraft.addresses import Address
from trioraft.background import in_background
from trioraft.client import Client, ClientError, Reply
from trioraft.wire.codec import DecodeError, decode
from trioraft_cli import where
from trioraft_cli.counts import seconds

ASKED_SECONDS: Final = 0.5
"""How long a node is waited for."""
MOST: Final = 100
"""How many completions there are at most."""
_MOST_READ: Final = 10_000
"""How many locks or leases are looked through."""


class _Key(msgspec.Struct):
    key: str


class _Keys(msgspec.Struct):
    items: list[_Key]


class _Member(msgspec.Struct):
    id: int
    address: str
    role: str


class _Status(msgspec.Struct):
    members: list[_Member]
    leader: int | None = None


class _Lock(msgspec.Struct):
    name: str
    lease: int


class _Locks(msgspec.Struct):
    locks: list[_Lock]


class _Lease(msgspec.Struct):
    lease: int
    ttl_ms: int
    remaining_ms: int
    keys: int


class _Leases(msgspec.Struct):
    leases: list[_Lease]


T = TypeVar("T")
Items = list[CompletionItem[str]]
Find = Callable[[click.Context, str], Items]
"""Finds what completes the beginning of a word."""
_Some = tuple[str, str]
"""A word, and what it is."""


def keys(context: click.Context, begins: str) -> Items:
    """The keys that begin so, as some node knows them."""
    fields = {"op": "scan", "prefix": begins, "keys_only": True, "limit": MOST, "read": "stale"}
    found = _asked(context, _Keys, fields)
    return _items(begins, ((row.key, "") for row in found.items) if found else ())


def nodes(context: click.Context, begins: str) -> Items:
    """The ids of the members, with their roles and addresses."""
    found = _asked(context, _Status, {"op": "status"})
    return _items(begins, _members(found) if found else ())


def locks(context: click.Context, begins: str) -> Items:
    """The names of the locks that are held, with their holders."""
    fields = {"op": "locks", "after": begins[:-1], "limit": _MOST_READ}
    found = _asked(context, _Locks, fields)
    return _items(begins, ((row.name, f"held by lease {row.lease}") for row in found.locks) if found else ())


def leases(context: click.Context, begins: str) -> Items:
    """The leases that live, with their times."""
    found = _asked(context, _Leases, {"op": "leases", "limit": _MOST_READ})
    return _items(begins, map(_of_lease, found.leases) if found else ())


def _items(begins: str, found: Iterable[_Some]) -> Items:
    """The first of those that begin so. `word` tells that the value is one word, which may need quotes."""
    fitting = (CompletionItem(word, help=about, word=True) for word, about in found if word.startswith(begins))
    return list(islice(fitting, MOST))


def _members(status: _Status) -> Iterator[_Some]:
    for member in status.members:
        role = "leader" if member.id == status.leader else member.role
        yield str(member.id), f"{role} at {member.address}"


def _of_lease(lease: _Lease) -> _Some:
    return str(lease.lease), f"ttl {seconds(lease.ttl_ms)}, {seconds(lease.remaining_ms)} left, {lease.keys} keys"


def _asked(context: click.Context, type: type[T], fields: dict[str, Any]) -> T | None:
    """What a node answers in time; None where none does. Nothing is worth a delay, or a message amid the typing."""
    try:
        client = Client(_addresses(context), timeout=ASKED_SECONDS)
    except click.UsageError:
        return None
    asked = in_background(lambda: client.pipeline([fields])[0])
    try:
        reply: Reply = asked.result(ASKED_SECONDS)
        return decode(reply.line, type) if reply.ok else None
    except (ClientError, TimeoutError, DecodeError):
        return None
    finally:
        if asked.done():
            client.close()
        else:
            client.abandon()


def _addresses(context: click.Context) -> list[Address]:
    """The nodes that the command would ask. Raises click.UsageError."""
    at: click.Context | None = context
    while at is not None:
        if at.params.get("servers") or at.params.get("connect"):
            return where.addresses(at.params.get("servers"), at.params.get("connect") or ())
        at = at.parent
    prompt = context.find_root().obj
    return list(prompt.addresses) if prompt is not None else where.addresses(None, ())
