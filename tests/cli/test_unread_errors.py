"""Commands whose standard error is a full pipe that nobody reads."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator

import pytest
from trioraft_cli import streams
from trioraft_cli.streams import _Errors, say, wait_for_nobody


class Pipe:
    """A full pipe."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        raw = _Errors(self.into, "wb", closefd=False)
        self.errors = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", line_buffering=True)
        os.write(self.into, b"." * fcntl.fcntl(self.into, fcntl.F_GETPIPE_SZ))


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.out)  # a writer that still waits gets an error
    pipe.errors.close()
    os.close(pipe.into)


def test_who_waits_for_nobody_goes_on_though_what_it_says_is_not_read(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", pipe.errors)
    monkeypatch.setattr(streams, "READER_SECONDS", 0.05)
    wait_for_nobody()
    speaker = threading.Thread(target=lambda: deque(map(say, ["x" * 10_000] * 100), maxlen=0), daemon=True)
    speaker.start()
    speaker.join(5)
    assert not speaker.is_alive()


def test_what_is_read_in_time_arrives_whole(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", pipe.errors)
    monkeypatch.setattr(streams, "READER_SECONDS", 10.0)
    wait_for_nobody()
    os.set_blocking(pipe.out, False)
    speaker = threading.Thread(target=say, args=("x" * 300_000,), daemon=True)
    speaker.start()
    said = b""
    deadline = time.monotonic() + 10
    while not said.endswith(b"\n"):
        assert time.monotonic() < deadline
        with contextlib.suppress(BlockingIOError):
            said += os.read(pipe.out, 1 << 16)
        time.sleep(0.001)
    assert said.lstrip(b".") == b"trioraft: " + b"x" * 300_000 + b"\n"
    speaker.join(10)
