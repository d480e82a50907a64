"""Reads the committed log of a running cluster, from whichever node has more of it."""

from __future__ import annotations

import threading

import msgspec

from trioraft.wire.codec import DecodeError, Decoder

from ..helpers.processes import Line

AT_ONCE = 1000
PAUSE_SECONDS = 0.1


class _Entry(msgspec.Struct):
    index: int
    command: msgspec.Raw
    committed: bool


class _Reply(msgspec.Struct):
    entries: list[_Entry]
    more: bool


class _Op(msgspec.Struct):
    op: str = ""


_replies = Decoder(_Reply)
_ops = Decoder(_Op)


class LogReader:
    """Follows the log, so that no snapshot can take entries away before they are read. To be run in a thread."""

    def __init__(self, ports: list[int]) -> None:
        self.log: dict[int, bytes] = {}
        """The commands of the committed entries up to `last`, by index."""
        self.last = 0
        self.stopping = threading.Event()
        self._ports = ports

    def run(self) -> None:
        """Follow the log until told to stop."""
        while not self.stopping.wait(PAUSE_SECONDS):
            self.read()

    def read(self) -> None:
        """Read what there is on any node beyond what is known. Raises AssertionError where entries are missing."""
        for port in self._ports:
            try:
                with Line(port, 2.0) as line:
                    more = True
                    while more:
                        line.send({"op": "show_log", "from": self.last + 1, "limit": AT_ONCE})
                        more = self._take(line.read_line())
            except (OSError, ValueError):
                continue

    def _take(self, reply: bytes) -> bool:
        """Take entries; whether there may be more."""
        try:
            shown: _Reply = _replies.decode(reply)
        except DecodeError as error:
            raise ValueError("that is no log") from error
        for entry in shown.entries:
            if not entry.committed:
                return False
            if entry.index <= self.last:
                continue
            assert entry.index == self.last + 1, f"the log goes on at {entry.index} after {self.last}"
            self.last = entry.index
            command = bytes(entry.command)
            if _is_command(command):
                self.log[entry.index] = command
        return shown.more


def _is_command(payload: bytes) -> bool:
    """Whether it is a command, and neither a leader's first entry nor a configuration."""
    try:
        return bool(_ops.decode(payload).op)
    except DecodeError:
        return False
