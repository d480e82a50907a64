"""Clients that write from several threads while nodes die, and remember every reply."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from .processes import Line, Node

DEPTH = 8


class Threads:
    """A context in which several threads work; they have ended after it. Raises an error of any of them."""

    def __init__(self, seconds: float, work: Sequence[Callable[[], None]]) -> None:
        """`seconds`: how long each thread may take to end once it is told to."""
        self.errors: list[BaseException] = []
        self._stop = threading.Event()
        self._seconds = seconds
        self._threads = [threading.Thread(target=self._guarded, args=(one,), daemon=True) for one in work]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(self._seconds)
        assert not any(thread.is_alive() for thread in self._threads)
        if self.errors and error is None:
            raise self.errors[0]

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.errors.append(error)


class Writers(Threads):
    """A context in which clients write; they have ended after it.

    Every write has a key and a value of its own, so the store's content shows which writes took effect.
    """

    def __init__(self, nodes: Sequence[Node], count: int = 6) -> None:
        self.acknowledged: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        """The writes answered with `"applied":"no"`, which must never be seen."""
        self.unknown: dict[str, str] = {}
        self._nodes = nodes
        self._lock = threading.Lock()
        super().__init__(30, [partial(self._write, number) for number in range(count)])

    @property
    def count(self) -> int:
        with self._lock:
            return len(self.acknowledged)

    def _write(self, number: int) -> None:
        sent = 0
        at = number
        while not self._stop.is_set():
            node = self._nodes[at % len(self._nodes)]
            at += 1
            pending: list[str] = []
            try:
                with Line(node.port, 5.0) as line:
                    while not self._stop.is_set():
                        while len(pending) < DEPTH:
                            key = f"w{number}-{sent:06d}"
                            sent += 1
                            # Its outcome is unknown from before it is sent until a reply says more.
                            pending.append(key)
                            self._note(self.unknown, key)
                            line.send({"op": "put", "key": key, "value": f"value of {key}", "id": key})
                        reply = line.read()
                        key = pending.pop(0)
                        assert reply["id"] == key, (reply, key)
                        if reply["ok"]:
                            self._note(self.acknowledged, key)
                        elif reply["error"]["applied"] == "no":
                            self._note(self.refused, key)
                    for key in pending:
                        if line.read().get("ok"):
                            self._note(self.acknowledged, key)
            except (OSError, ValueError):
                self._stop.wait(0.01)

    def _note(self, where: dict[str, str], key: str) -> None:
        with self._lock:
            if where is not self.unknown:
                del self.unknown[key]
            where[key] = f"value of {key}"


def check(writers: Writers, node: Node) -> None:
    """Check that the node has every acknowledged write, no refused one, and none that nobody sent."""
    held = {key: value for key, value in node.everything().items() if key.startswith("w")}
    missing = [key for key in writers.acknowledged if key not in held]
    assert not missing, f"node {node.index} lacks {len(missing)} acknowledged writes, {missing[:5]} ..."
    undead = [key for key in writers.refused if key in held]
    assert not undead, f"node {node.index} has writes that were refused as not applied: {undead[:5]}"
    expected = writers.acknowledged | writers.unknown
    assert all(expected.get(key) == value for key, value in held.items())
