"""Doors into network namespaces, as a process: a connection to a port of this machine reaches a node in a namespace.

`python doors.py '[[PORT, NAMESPACE, ADDRESS], ...]'` prints `open` when all are open, and runs until it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import socket
import sys

CLONE_NEWNET = 0x40000000
HOST = "127.0.0.1"


class Door:
    """One port, and the node behind it."""

    def __init__(self, port: int, namespace: str, address: str) -> None:
        self.port = port
        self._address = address
        self._tasks: set[asyncio.Task[None]] = set()
        self._inside = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        self._outside = os.open("/proc/self/ns/net", os.O_RDONLY)

    async def open(self) -> None:
        await asyncio.start_server(self._open, HOST, self.port)

    def _open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._lead(reader, writer))
        self._tasks.add(task)  # no other object holds it
        task.add_done_callback(self._tasks.discard)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            inner = self._socket_inside()
            try:
                await asyncio.get_running_loop().sock_connect(inner, (self._address, self.port))
                inner_reader, inner_writer = await asyncio.open_connection(sock=inner)
            except OSError:
                inner.close()
                writer.transport.abort()
                return
            await asyncio.gather(_pass(reader, inner_writer), _pass(inner_reader, writer))
        writer.close()

    def _socket_inside(self) -> socket.socket:
        """Make a socket in a namespace: it belongs there wherever it is used."""
        _enter(self._inside)
        try:
            sock = socket.socket()
        finally:
            _enter(self._outside)
        sock.setblocking(False)
        return sock


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


async def main() -> None:
    for door in json.loads(sys.argv[1]):
        await Door(*door).open()
    print("open", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
