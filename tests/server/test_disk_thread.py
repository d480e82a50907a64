"""The disk thread: the caller waits for a quick write, and never for long."""

from __future__ import annotations

import threading

import pytest

from trioraft.server.disk_thread import WorkerThread


def test_a_quick_write_has_ended_when_it_is_asked_for() -> None:
    writer = WorkerThread(lambda: None)
    written: list[int] = []
    writer.start(lambda: written.append(1))
    while not writer.finished():
        pass
    assert written == [1]
    writer.close()


def test_a_disk_that_hangs_is_given_up_for_now_and_its_end_is_told() -> None:
    woken = threading.Event()
    writer = WorkerThread(woken.set)
    hangs = threading.Event()
    escape = threading.Timer(10, hangs.set)
    escape.start()
    writer.start(lambda: hangs.wait() and None)  # type: ignore[arg-type]
    assert not writer.finished()
    assert not hangs.is_set(), "it was waited for"
    hangs.set()
    assert woken.wait(timeout=10)
    assert writer.finished()
    escape.cancel()
    writer.close()


def test_what_a_write_raises_is_raised_where_it_is_asked_for() -> None:
    def fail() -> None:
        raise OSError(5, "the disk is gone")

    writer = WorkerThread(lambda: None)
    writer.start(fail)
    with pytest.raises(OSError, match="the disk is gone"):
        while not writer.finished():
            pass
    writer.close()
