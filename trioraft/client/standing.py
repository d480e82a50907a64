"""Requests that go on after their first answer: where each stands, and what it asks of the next node. Pure.

Times are seconds; `now` is a monotonic clock, read by whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

from trioraft.client.protocol import Line, Push, Reply, RequestFields

PROGRESS_SECONDS: Final = 1.0
"""How often a watch has its node say how far it is."""
QUIET_SECONDS: Final = 1.5
"""A node that says nothing for this long is asked whether it is there."""
DEAD_SECONDS: Final = 3 * PROGRESS_SECONDS
"""A node that says nothing for this long is taken for dead."""


class Standing(Protocol):
    """A request that pushes go on from, and that another node is asked when a connection fails."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to come."""

    @property
    def outlook(self) -> str:
        """What the next node is asked for, in words that go on from "lost: "."""

    def request(self, now: float) -> RequestFields:
        """The request for the next node."""

    def patience(self, now: float) -> float:
        """How long other nodes are tried once a node has answered and was lost."""

    def answered(self, reply: Reply) -> Line | None:
        """Take a node's first answer, which is no error; what of it is handed out."""

    def take(self, push: Push) -> Line | None:
        """Take a push that does not end the request; what of it is handed out."""


class Watching:
    """A watch: each change once, in order, from whatever node.

    Within a revision the order of events is fixed. So a watch that was broken off inside one has it sent again, and
    skips as many of its events as were handed out. Where an `initial` watch was not yet synced, it starts over.
    """

    has_ended = False
    """It goes on until somebody ends it."""

    def __init__(self, fields: RequestFields) -> None:
        """`fields` are those of the request: `prefix` or `key`, `after_rev`, `initial`."""
        self._fields = fields
        self._cluster: str | None = None
        self._position: int | None = None
        """Every event up to this revision was handed out."""
        self._revision = 0
        """The revision of the last event."""
        self._handed_out = 0
        """How many events of that revision were handed out."""
        self._seen = 0
        """How many events of that revision this connection has sent."""
        self._is_synced = False

    @property
    def outlook(self) -> str:
        """What the next node is asked for."""
        if self._position is not None:
            return f"the watch goes on after revision {self._position}"
        return "the watch starts over"

    def request(self, now: float) -> RequestFields:  # noqa: ARG002
        """The request for the next node: from where this watch stands, of the same cluster."""
        request = {"op": "watch", **self._fields, "progress_ms": int(PROGRESS_SECONDS * 1000)}
        if self._cluster is not None:
            request["cluster"] = self._cluster
        if self._position is not None:
            request["after_rev"] = self._position
            request.pop("initial", None)
        return request

    def patience(self, now: float) -> float:  # noqa: ARG002
        """It goes on for ever."""
        return math.inf

    def answered(self, reply: Reply) -> None:
        """Note where a node begins."""
        self._cluster = reply["cluster"]
        self._seen = 0
        if self._position is None and not self._fields.get("initial"):
            self._position = reply["at"]

    def take(self, push: Push) -> Push | None:
        """Take a push; hand out each event that is new, and the first `synced`."""
        if push.event in ("progress", "synced"):
            return self._progress(push)
        revision = push["rev"]
        if self._position is None:  # what is present, and the changes in between: all of it comes again, or none
            return push
        if revision != self._revision:
            self._revision, self._handed_out, self._seen = revision, 0, 0
        self._seen += 1
        if push.raw("more") != b"true":
            self._position = revision
        if self._seen <= self._handed_out:
            return None
        self._handed_out = self._seen
        return push

    def _progress(self, push: Push) -> Push | None:
        is_first = push.event == "synced" and not self._is_synced
        if push.event == "synced":
            self._is_synced = True
        if self._is_synced or self._position is not None:
            self._position = max(self._position or 0, push["at"])
        return push if is_first else None


class Waiting:
    """A wait, or a wait for a lock: one answer, which may be long in coming. To ask again does no harm."""

    def __init__(
        self,
        fields: RequestFields,
        seconds: float | None,
        now: float,
        on_waiting: Callable[[Reply], object] = lambda _: None,
    ) -> None:
        """`fields` are those of the request; `seconds` is how long it may wait, for ever without.

        `on_waiting` is called, once, with the reply of a node that has no answer yet.
        """
        self._fields = fields
        self._on_waiting: Callable[[Reply], object] | None = on_waiting
        self._ends = math.inf if seconds is None else now + seconds
        self.has_ended = False

    @property
    def outlook(self) -> str:
        """What the next node is asked for."""
        return "it goes on waiting"

    def request(self, now: float) -> RequestFields:
        """The request for the next node, for the time that is left."""
        if self._ends == math.inf:
            return self._fields
        return {**self._fields, "wait_ms": round(self._left(now) * 1000)}

    def patience(self, now: float) -> float:
        """As long as it may wait."""
        return self._left(now)

    def answered(self, reply: Reply) -> Reply | None:
        """The answer, where it need not wait for it."""
        if reply.raw("waiting") == b"true":
            on_waiting, self._on_waiting = self._on_waiting, None
            if on_waiting is not None:
                on_waiting(reply)
            return None
        self.has_ended = True
        return reply

    def take(self, push: Push) -> Push | None:
        """The answer, once it has come."""
        if push.event == "progress":
            return None
        self.has_ended = True
        return push

    def _left(self, now: float) -> float:
        return max(0.0, self._ends - now)
