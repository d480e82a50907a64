"""Requests of this node's clients that wait to be sent on their way, in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from trioraft.replica.forwarding import Forwarding
from trioraft.replica.slots import Slot

SlotT = TypeVar("SlotT", bound=Slot)


class Held(Generic[SlotT]):
    """The requests of one kind that are held."""

    def __init__(self, forwarding: Forwarding) -> None:
        self.held: deque[SlotT] = deque()
        self.gathered = 0
        """How many requests have come, or were left, since all that was held was last sent on its way."""
        self.total = 0
        """How many requests have come in all."""
        self._forwarding = forwarding

    def hold(self, slot: SlotT) -> None:
        """Have it sent on its way the next time that is done."""
        self.held.append(slot)
        self.gathered += slot.count
        self.total += slot.count

    def remove(self, late: set[Slot]) -> None:
        """Hold these no longer."""
        self.held = deque([slot for slot in self.held if slot not in late])

    def refuse_to_forward(self) -> None:
        """Answer the requests that must not be passed on, though no leader is known."""
        kept = self._forwarding.kept(self._take())
        self.held.extendleft(reversed(kept))  # to answer may have let writes go on that came later

    def _take(self) -> Iterable[SlotT]:
        """Hold nothing any more, and return what was held."""
        slots, self.held = self.held, deque()
        return slots
