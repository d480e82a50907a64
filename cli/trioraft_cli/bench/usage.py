"""How busy the nodes and this machine are while a load runs."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec

from trioraft.addresses import Address
from trioraft.background import in_background
from trioraft.client import Client, ClientError
from trioraft.wire.codec import DecodeError, decode
from trioraft_cli.bench.limit import NodeUse

_SECONDS: Final = 2.0
"""How long a node gets to tell."""


class _Syncs(msgspec.Struct):
    sum: float


class _Metrics(msgspec.Struct):
    """What a node's metrics have of this."""

    cpu_seconds: float | None = None
    log_sync_seconds: _Syncs | None = None


class _Spent(msgspec.Struct):
    """What a node has spent since it started, in seconds, at a time of the monotonic clock."""

    at: float
    processor: float | None
    disk: float | None


class Usage:
    """What nodes and machine have used between `begin` and `end`."""

    def __init__(self, nodes: Mapping[int, Address]) -> None:
        self._nodes = nodes
        self._before: dict[int, _Spent] = {}
        self._machine_before: tuple[int, int] | None = None

    def begin(self) -> None:
        """Note what has been used so far."""
        self._machine_before = _machine()
        self._before = self._told()

    def machine(self) -> float | None:
        """The share of the time in which this machine's processors worked; None where the system does not tell."""
        after, before = _machine(), self._machine_before
        if after is None or before is None or after[1] == before[1]:
            return None
        return (after[0] - before[0]) / (after[1] - before[1])

    def nodes(self, leader: int | None) -> list[NodeUse]:
        """How busy each node was that tells."""
        after = self._told()
        found = []
        for node, before in sorted(self._before.items()):
            now = after.get(node)
            if now is None or now.at <= before.at:
                continue
            seconds = now.at - before.at
            processor = _share(before.processor, now.processor, seconds)
            found.append(NodeUse(node, node == leader, processor, _share(before.disk, now.disk, seconds)))
        return found

    def _told(self) -> dict[int, _Spent]:
        asked = {node: in_background(partial(_ask, address)) for node, address in self._nodes.items()}
        return {node: told for node, future in asked.items() if (told := future.result())}


def is_here(address: tuple[str | int, ...], family: int) -> bool:
    """Whether the address is one of this machine."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address[0], 0, *address[2:]))
        except OSError:
            return False
    return True


def _ask(address: Address) -> _Spent | None:
    """What a node has spent since it started; None where it does not tell."""
    try:
        with Client([address], timeout=_SECONDS) as client:
            metrics = decode(client.call("metrics").line, _Metrics)
    except (ClientError, DecodeError):
        return None
    syncs = metrics.log_sync_seconds
    return _Spent(time.monotonic(), metrics.cpu_seconds, None if syncs is None else syncs.sum)


def _share(before: float | None, after: float | None, seconds: float) -> float | None:
    return None if before is None or after is None else (after - before) / seconds


def _machine() -> tuple[int, int] | None:
    """How many ticks all processors have worked, and how many there were."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(number) for number in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    idle = sum(ticks[3:5])
    return sum(ticks) - idle, sum(ticks)
