"""Fake nodes, as threads of the test: each answers what the test says, when it says so, or not at all."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from trioraft.addresses import Address

Answer = Callable[[dict[str, Any]], dict[str, Any] | None]


class FakeNode:
    """A listener that replies to each request with the fields that `answer` gives; None gives no reply.

    Without `answer` the node is silent: the kernel accepts connections, and nobody reads them.
    """

    def __init__(self, answer: Answer | None) -> None:
        self.asked: list[str] = []
        self.answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self._connections: list[socket.socket] = []
        if answer is not None:
            threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    self.asked.append(request["op"])
                    assert self.answer is not None
                    fields = self.answer(request)
                    if fields is not None:
                        connection.sendall(json.dumps({"id": request["id"], "ok": True, **fields}).encode() + b"\n")
        except OSError:
            pass

    def push(self, fields: dict[str, Any]) -> None:
        """Send a line that nobody asked for on the newest connection."""
        self._connections[-1].sendall(json.dumps(fields).encode() + b"\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()


Make = Callable[[Answer | None], FakeNode]


@contextlib.contextmanager
def fake_nodes() -> Iterator[Make]:
    """Give a function that makes fake nodes; all end with the context."""
    nodes: list[FakeNode] = []

    def make(answer: Answer | None) -> FakeNode:
        nodes.append(FakeNode(answer))
        return nodes[-1]

    try:
        yield make
    finally:
        for node in nodes:
            node.close()
