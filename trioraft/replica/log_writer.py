"""The log of one node on its way to the disk: one write at a time, a batch or a mark."""

from __future__ import annotations

from functools import partial

from trioraft.raft.ready import Batch
from trioraft.replica.ports import DiskThread, Observer
from trioraft.storage.log import SegmentedLog


class LogWriter:
    """Writes batches to the log in its own thread; a batch waits for a mark that is under way."""

    def __init__(self, segments: SegmentedLog, thread: DiskThread, observer: Observer | None) -> None:
        self.segments = segments
        self._thread = thread
        self._observer = observer
        self._batch: Batch | None = None
        self._marking = False

    @property
    def busy(self) -> bool:
        """Whether a write is under way."""
        return self._marking or self._batch is not None

    def write(self, batch: Batch) -> None:
        """Begin to write a batch; the one before must have ended."""
        self._batch = batch
        if not self._marking:
            self._start(batch)

    def mark(self) -> None:
        """Begin to vouch for all that was written, unless that is done, or a write is under way."""
        if not self.busy and not self.segments.marked:
            self._marking = True
            self._thread.start(self.segments.mark)

    def finished(self, wait: bool) -> Batch | None:
        """The batch, once it is written and synced; `wait` a moment for that. Raises OSError where the disk failed."""
        if self._marking:
            if not self._thread.finished():
                return None
            self._marking = False
            if self._batch is not None:
                self._start(self._batch)
        batch = self._batch
        if batch is None or not self._thread.finished(wait):
            return None
        self._batch = None
        if self._observer is not None:
            self._observer.written()
        return batch

    def moved_on(self) -> bool:
        """Whether a part of a long batch has reached the disk since the last call."""
        moved, self.segments.moved = self.segments.moved, False
        return moved

    def close(self) -> None:
        """Mark the log, unless a write is under way, and close it. Raises OSError where the disk fails."""
        if not self.busy:
            self.segments.mark()
        self.segments.close()

    def _start(self, batch: Batch) -> None:
        if self._observer is not None:
            self._observer.writing(batch)
        self._thread.start(partial(_write, self.segments, batch))


def _write(segments: SegmentedLog, batch: Batch) -> None:
    """In the thread."""
    if batch.base is not None:
        segments.reset(batch.base.index, batch.base.term)
    segments.write(batch.hard_state, batch.entries)
