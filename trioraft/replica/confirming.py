"""One confirmed read for all streams that wait for one: what is applied then is as new as they must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from weakref import ReferenceType, ref

from trioraft.replica.slots import ReadSlot, Unordered
from trioraft.replica.subscriber import Stream
from trioraft.wire.table import Operation, Request

CONFIRM: Final = Operation.unlisted("stream")
"""What such a read asks for."""
PAUSE_TICKS: Final = 10
"""How long after a failure it is asked again."""


class Confirming(Unordered):
    """The streams that are not confirmed yet, and the read that is under way for some of them."""

    def __init__(self, accept: Callable[[ReadSlot], None], confirmed: Callable[[Stream], None]) -> None:
        """`accept` takes the read, and `confirmed` each stream once it has succeeded."""
        self._accept = accept
        self._confirmed = confirmed
        self._waiting: list[ReferenceType[Stream]] = []
        """Those for whom no read has begun; their connections hold them, and may be gone."""
        self._asking: list[ReferenceType[Stream]] = []
        self._slot: ReadSlot | None = None
        self._again = 0

    def wants(self, now: int) -> bool:
        """Whether a read should begin."""
        return bool(self._waiting) and self._slot is None and now >= self._again

    def add(self, stream: Stream) -> None:
        """Confirm that stream; a read that is under way has begun too early for it."""
        self._waiting.append(ref(stream))

    def ask(self, now: int) -> None:
        """Begin a read, if one should."""
        if not self.wants(now):
            return
        self._again = now + PAUSE_TICKS
        self._asking, self._waiting = self._waiting, []
        self._slot = ReadSlot(self, CONFIRM, [Request()], 0)
        self._accept(self._slot)

    def on_answered(self) -> None:
        """The read has succeeded, or has to be asked again."""
        slot, asking = self._slot, self._asking
        assert slot is not None
        self._slot, self._asking = None, []
        if not slot.confirmed:
            self._waiting += asking
            return
        for one in asking:
            if (stream := one()) is not None and stream.is_open:
                self._confirmed(stream)
