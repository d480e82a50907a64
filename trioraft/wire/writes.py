"""What clients' writes are for the log."""

from __future__ import annotations

from collections.abc import Sequence

from trioraft.kv import commands
from trioraft.kv.commands import Command
from trioraft.wire.requests import AnyRequest, Delete, Incr, PlainPut, Put


def to_commands(requests: Sequence[AnyRequest]) -> list[Command]:
    """The command of each, in order; each of them writes."""
    return [
        commands.Put(request.key, request.value) if type(request) is PlainPut else _command(request)
        for request in requests
    ]


def _command(request: AnyRequest) -> Command:
    if isinstance(request, Put):
        return commands.Put(request.key, request.value, request.if_rev)
    if isinstance(request, Delete):
        return commands.Delete(request.key, request.if_rev)
    assert isinstance(request, Incr)
    return commands.Incr(request.key, request.by)
