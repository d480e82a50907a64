"""What the processes of a load are told, and what they say: a line of JSON each. Pure."""

from __future__ import annotations

import msgspec

from trioraft_cli.bench.channels import Place
from trioraft_cli.bench.figures import Figures
from trioraft_cli.bench.requests import Wishes


class Job(msgspec.Struct, frozen=True):
    """What one process is to do."""

    places: list[Place]
    seeks_leader: bool
    wishes: Wishes
    watches: bool
    """Whether it watches the keys, and asks for nothing else."""
    connections: int
    first: int
    """How many connections the processes before this one have."""
    pipeline: int
    warm_up: float
    """Seconds before it is counted."""
    seconds: float | None
    """How long it is counted; for ever if None."""
    requests: int | None
    """How many requests are answered before it ends; any number if None."""
    interval: int | None
    """Nanoseconds from one request to the next; None: as soon as an answer has come."""


class Start(msgspec.Struct, frozen=True):
    """Begin at this time of the monotonic clock, in nanoseconds."""

    at: int


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a process is."""

    ready: int | None = None
    """How many connections are open: it can begin."""
    done: int = 0
    """How many requests are answered, or events have come."""
    failed: int = 0
    figures: Figures | None = None
    """What it has seen, at its end."""
