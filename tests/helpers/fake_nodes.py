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

    `pushes` among them are sent behind the reply, each with the request's id unless it has its own, or is a `progress`.
    Without `answer` the node is silent: the kernel accepts connections, and nobody reads them.
    """

    def __init__(self, answer: Answer | None) -> None:
        self.asked: list[str] = []
        self.answer = answer
        self._connections: list[socket.socket] = []
        self._listen(0)
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])

    def _listen(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        if self.answer is not None:
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    self.asked.append(request["op"])
                    assert self.answer is not None
                    fields = self.answer(request)
                    if fields is not None:
                        id_ = {"id": request["id"]} if "id" in request else {}
                        pushes = fields.pop("pushes", [])
                        # Who asks without an id may look at bytes, and a real node puts no blanks between them.
                        connection.sendall(_line({**id_, "ok": True, **fields}, compact=not id_))
                        for push in pushes:
                            connection.sendall(_line(push if push["event"] == "progress" else {**id_, **push}))
        except OSError:
            pass

    @property
    def newest(self) -> socket.socket:
        """The newest connection."""
        return self._connections[-1]

    def push(self, fields: dict[str, Any], connection: socket.socket | None = None) -> None:
        """Send a line that nobody asked for, on the newest connection or on that one."""
        (connection or self.newest).sendall(_line(fields))

    def drop(self) -> None:
        """Break all connections; new ones are accepted."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def go_away(self) -> None:
        """Break all connections and take no new ones, until `come_back`."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def come_back(self) -> None:
        """Listen again at the same address."""
        self._listen(self.address.port)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()


def _line(fields: dict[str, Any], *, compact: bool = False) -> bytes:
    return json.dumps(fields, separators=(",", ":") if compact else None).encode() + b"\n"


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
