"""Listeners at a machine without a node: connections that open streams, and read what they are told as they like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trioraft.key_values import key_value_machine
from trioraft.kv.commands import Command
from trioraft.kv.history import History
from trioraft.replica.fan_out import Portions
from trioraft.replica.session import Session
from trioraft.replica.slots import ReadSlot, Slot, WriteSlot
from trioraft.replica.subscriptions import Subscriptions
from trioraft.testing.stores import store_of
from trioraft.wire.codec import decode, encode

CLUSTER = "c1"


class Core:
    last_applied = 0


class Teller:
    """A machine, and those who listen to it: what a node has of that."""

    def __init__(self, portions: Portions | None = None) -> None:
        self.core: Any = Core()
        self.cluster = CLUSTER
        self.machine: Any = key_value_machine()
        self.machine.raise_level(2, 0)
        self.asked: list[ReadSlot] = []
        """Reads that are to be confirmed."""
        self.writes: list[tuple[WriteSlot, Any]] = []
        """Writes that are to be carried out."""
        self.subscriptions = Subscriptions(
            self, self.machine, 200, self.asked.append, self._take, _answer, portions or Portions()
        )

    is_removed = False

    def _take(self, slot: WriteSlot, command: Any) -> None:
        """A write of the node's own, which is carried out later."""
        self.writes.append((slot, command))

    def whom_to_wait_for(self) -> tuple[str, str]:
        return "nobody", "wait"

    @property
    def history(self) -> History:
        return store_of(self.machine).history

    @property
    def applied(self) -> int:
        return int(self.core.last_applied)

    def apply(self, *entries: Command) -> None:
        self.machine.apply(self.applied + 1, entries)
        self.core.last_applied += len(entries)

    def pass_time(self, ticks: int) -> None:
        self.subscriptions.fan_out.now += ticks
        self.subscriptions.tick()

    def turn(self) -> None:
        self.subscriptions.begin_turn()
        self.subscriptions.bring()

    def confirm(self, *, succeeds: bool = True) -> None:
        """End the read that is under way, if there is one."""
        for slot in self.asked:
            slot.confirmed = succeeds
            slot.answer((succeeds and self.subscriptions.begin(slot)) or b"")
        self.asked.clear()

    def settle(self) -> None:
        """Let everything be told that there is to tell to those who read."""
        while self.subscriptions.hurries:
            self.turn()
            self.confirm()

    def restore(self, other: Teller) -> None:
        """Go on from a snapshot of another."""
        former, self.machine = self.applied, other.copy()
        self.core.last_applied = other.applied
        self.subscriptions.restore(self.machine, former)

    def copy(self) -> Any:
        """A machine that has loaded a snapshot of this one, its history included."""
        machine, view = key_value_machine(), self.machine.freeze()
        machine.raise_level(2, 0)
        sections = iter([name for name, count in view.sections.items() for _ in range(count)])
        for lines, _ in view.slices(1, 1):
            machine.load(next(sections), lines.splitlines())
        view.close()
        return machine


def _answer(slot: Slot, reply: Any) -> None:
    slot.answer(reply)


class Listener:
    """A connection."""

    def __init__(self, teller: Teller, room: Callable[[], int] = lambda: 10**6) -> None:
        """`room`: how many bytes it reads at a time."""
        self.teller = teller
        self.session = Session(10**6, lambda: None, lambda *_: 0)
        self._room = room
        self._data = b""

    def ask(self, **fields: Any) -> None:
        """Send a request, which is carried out at once."""
        self.session.receive(encode(fields) + b"\n")
        for slot in self.session.requests(0):
            self.begin(slot)

    def begin(self, slot: Slot) -> None:
        """Carry it out."""
        assert isinstance(slot, ReadSlot)
        if (reply := self.teller.subscriptions.begin(slot)) is not None:
            slot.answer(reply)

    def read(self) -> list[dict[str, Any]]:
        """The whole lines that have come since the last time."""
        self._data += self.session.take_replies(self._room()) + self.session.take_events(self._room())
        *lines, self._data = self._data.split(b"\n")
        return [decode(line) for line in lines]

    def read_all(self) -> list[dict[str, Any]]:
        """All lines that there are to come."""
        lines = []
        while True:
            self.teller.settle()
            some = self.read()
            lines += some
            if not some and self.session.idle and not self.session.has_events and not self.teller.subscriptions.hurries:
                return lines
