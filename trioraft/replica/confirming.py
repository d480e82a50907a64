"""One confirmed read for all streams that wait for one: what is applied then is as new as they must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from weakref import ReferenceType, ref

from trioraft.replica.slots import ReadSlot, WriteSlot
from trioraft.replica.subscriber import Stream, Subscriber
from trioraft.wire.table import Operation, Request

CONFIRM: Final = Operation(kind="stream", summary="", example="", fields="", answer="", prompt="")
"""What such a read asks for. It is not in the table."""
PAUSE_TICKS: Final = 10
"""How long after a failure it is asked again."""


class Confirming:
    """The streams that are not confirmed yet, and the read that is under way for some of them."""

    abandoned = False
    subscriber: Subscriber | None = None

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

    def pass_reads_on(self, write: WriteSlot) -> Sequence[ReadSlot]:  # noqa: ARG002
        """There is no read before a write."""
        return ()

    def outgrown(self, more: int) -> None:
        """Nothing is held for it."""
