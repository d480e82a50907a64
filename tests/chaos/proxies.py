"""The proxies between the nodes, as a separate process: one listening port for each node, and a rule for each link.

A link is an ordered pair: the dialling node, which the first line names, and the dialled node. Rules come as lines of
JSON on standard input. Each is answered `ok` once it is in force; at the end of the input the process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Literal

HOST = "127.0.0.1"
CHUNK = 1 << 16
MOST_QUEUED = 1 << 18

Mode = Literal["open", "slow", "stall", "drop", "cut"]
"""stall: bytes wait and arrive later. drop: bytes are lost. cut: connections are closed."""


@dataclass(frozen=True)
class Rule:
    mode: Mode = "open"
    delay: float = 0.0
    """For `slow`: the most seconds of delay for each piece."""
    rate: float = 0.0
    """For `slow`: the most bytes a second; 0 for no limit."""


OPEN = Rule()


class Flow:
    """One direction of a connection: the bytes read and not yet written, with the times when they may be written."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.queue: deque[tuple[float, bytes]] = deque()
        self.size = 0
        self.last_due = 0.0
        self.ended = False
        """Whether there is nothing more to read."""
        self.closed = False
        """Whether the other side has been told so."""

    def put(self, data: bytes, due: float) -> None:
        self.last_due = max(self.last_due, due)
        self.queue.append((self.last_due, data))
        self.size += len(data)

    def hurry(self) -> None:
        """Let everything that was held up go now."""
        self.queue = deque((0.0, data) for _, data in self.queue)
        self.last_due = 0.0

    def write(self, now: float) -> bool:
        """Write everything that is due. Return whether the target took all of it. Raises OSError."""
        while self.queue and self.queue[0][0] <= now:
            due, data = self.queue.popleft()
            try:
                sent = self.target.send(data)
            except BlockingIOError:
                sent = 0
            self.size -= sent
            if sent < len(data):
                self.queue.appendleft((due, data[sent:]))
                return False
        if self.ended and not self.queue and not self.closed:
            self.closed = True
            self.target.shutdown(socket.SHUT_WR)
        return True


class Pipe:
    """One connection between two nodes, through this process."""

    def __init__(self, wires: Wires, front: socket.socket, receiver: int) -> None:
        self.wires = wires
        self.front = front
        self.receiver = receiver
        self.sender: int | None = None
        self.back: socket.socket | None = None
        self.flows: list[Flow] = []
        self.tainted = False
        """Note that bytes were lost: nothing that follows would make sense."""
        self._first = b""
        self._events: dict[socket.socket, int] = {}
        self.watch(front, selectors.EVENT_READ)

    @property
    def rule(self) -> Rule:
        return OPEN if self.sender is None else self.wires.rules.get((self.sender, self.receiver), OPEN)

    def watch(self, sock: socket.socket, events: int) -> None:
        """Let the selector watch these events of a socket of this pipe."""
        before = self._events.get(sock, 0)
        if events == before:
            return
        selector = self.wires.selector
        if not events:
            selector.unregister(sock)
        elif before:
            selector.modify(sock, events, self)
        else:
            selector.register(sock, events, self)
        self._events[sock] = events

    def serve(self, sock: socket.socket, events: int) -> None:
        try:
            if self.sender is None:
                self._introduce()
                return
            for flow in self.flows:
                if flow.source is sock and events & selectors.EVENT_READ:
                    self._read(flow)
            self.refresh()
        except OSError:
            self.close()

    def _introduce(self) -> None:
        data = self.front.recv(CHUNK)
        self._first += data
        line, newline, _ = self._first.partition(b"\n")
        if not newline:
            if not data:
                self.close()
            return
        self.sender = json.loads(line)["sender"]
        self.apply_rule()

    def apply_rule(self) -> None:
        """Take a new rule for this link, or the first one once the link is known."""
        if self.sender is None:
            return
        mode = self.rule.mode
        try:
            if mode == "cut" or (self.tainted and mode != "drop"):
                self.close()
                return
            if mode == "drop":
                self.tainted = True
            if self.back is None and mode in ("open", "slow"):
                self._connect()
            if mode == "open":
                for flow in self.flows:
                    flow.hurry()
            self.refresh()
        except OSError:
            self.close()

    def _connect(self) -> None:
        back = socket.socket()
        back.setblocking(False)
        back.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = back.connect_ex((HOST, self.wires.real_ports[self.receiver]))
        if code not in (0, 115):  # EINPROGRESS: the node's backlog is full
            back.close()
            self.wires.stop_listening(self.receiver)  # nobody listens there: the next dial shall be refused too
            raise OSError(code, os.strerror(code))
        self.back = back
        forth = Flow(self.front, back)
        forth.put(self._first, self._due(len(self._first)))
        self.flows = [forth, Flow(back, self.front)]

    def _due(self, size: int) -> float:
        rule = self.rule
        if rule.mode != "slow":
            return 0.0
        late = self.wires.random.uniform(0, rule.delay) + (size / rule.rate if rule.rate else 0.0)
        return time.monotonic() + late

    def _read(self, flow: Flow) -> None:
        try:
            data = flow.source.recv(CHUNK)
        except BlockingIOError:
            return
        if self.rule.mode == "drop":
            flow.ended = flow.ended or not data
        elif data:
            flow.put(data, self._due(len(data)))
        else:
            flow.ended = True

    def refresh(self) -> None:
        """Write what may be written, and watch for the next events."""
        mode = self.rule.mode
        if self.back is None:
            self.watch(self.front, 0)
            return
        wanted = {self.front: 0, self.back: 0}
        now = time.monotonic()
        for flow in self.flows:
            if mode in ("open", "slow") and not flow.write(now):
                wanted[flow.target] |= selectors.EVENT_WRITE
            if mode != "stall" and not flow.ended and flow.size < MOST_QUEUED:
                wanted[flow.source] |= selectors.EVENT_READ
        for sock, events in wanted.items():
            self.watch(sock, events)
        if all(flow.closed for flow in self.flows):
            self.close()
            return
        due = [flow.queue[0][0] for flow in self.flows if flow.queue and flow.queue[0][0] > now]
        self.wires.wake_at(self, min(due) if due and mode == "slow" else None)

    def tick(self) -> None:
        """Write bytes that were held up and are due."""
        try:
            self.refresh()
        except OSError:
            self.close()

    def close(self) -> None:
        """Close both ends, at times with a reset."""
        self.wires.pipes.discard(self)
        self.wires.wake_at(self, None)
        for sock in (self.front, self.back):
            if sock is not None:
                self.watch(sock, 0)
                with contextlib.suppress(OSError):
                    if self.wires.random.random() < 0.5:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()


class Wires:
    """All ports and connections of the process."""

    def __init__(self, ports: list[int], real_ports: list[int]) -> None:
        self.ports = ports
        self.real_ports = real_ports
        self.selector = selectors.DefaultSelector()
        self.rules: dict[tuple[int, int], Rule] = {}
        self.pipes: set[Pipe] = set()
        self.random = Random()
        self._listeners: dict[int, socket.socket] = {}
        self._due: dict[Pipe, float] = {}
        self._input = b""
        for node in range(len(ports)):
            self.listen(node)

    def listen(self, node: int) -> None:
        if node in self._listeners:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, self.ports[node]))
        listener.listen(128)
        listener.setblocking(False)
        self._listeners[node] = listener
        self.selector.register(listener, selectors.EVENT_READ, node)

    def stop_listening(self, node: int) -> None:
        """Refuse all dials to that node."""
        if (listener := self._listeners.pop(node, None)) is not None:
            self.selector.unregister(listener)
            listener.close()

    def wake_at(self, pipe: Pipe, due: float | None) -> None:
        if due is None:
            self._due.pop(pipe, None)
        else:
            self._due[pipe] = due

    def run(self) -> None:
        os.set_blocking(0, False)
        self.selector.register(0, selectors.EVENT_READ, None)
        while True:
            now = time.monotonic()
            for pipe in [pipe for pipe, due in self._due.items() if due <= now]:
                pipe.tick()
            timeout = max(0.0, min(self._due.values()) - time.monotonic()) if self._due else None
            for key, events in self.selector.select(timeout):
                if key.data is None:
                    if not self._command():
                        return
                elif isinstance(key.data, int):
                    self._accept(key.data)
                elif key.data in self.pipes:
                    key.data.serve(key.fileobj, events)

    def _accept(self, node: int) -> None:
        if node not in self._listeners:
            return
        with contextlib.suppress(BlockingIOError, ConnectionError):
            front, _ = self._listeners[node].accept()
            front.setblocking(False)
            front.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.pipes.add(Pipe(self, front, node))

    def _command(self) -> bool:
        data = os.read(0, CHUNK)
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            self._obey(json.loads(line))
            os.write(1, b"ok\n")
        return bool(data)

    def _obey(self, command: dict[str, object]) -> None:
        match command:
            case {"rules": list(rules)}:
                self.rules = {(sender, receiver): Rule(*rule) for sender, receiver, *rule in rules}
                for pipe in list(self.pipes):
                    pipe.apply_rule()
            case {"listen": int(node)}:
                self.listen(node)
            case {"refuse": int(node)}:
                self.stop_listening(node)
            case {"hang_up": int(node)}:
                for pipe in list(self.pipes):
                    if pipe.receiver == node:
                        pipe.close()


if __name__ == "__main__":
    Wires(json.loads(sys.argv[1]), json.loads(sys.argv[2])).run()
