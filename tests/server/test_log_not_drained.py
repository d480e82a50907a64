"""A log on a pipe that nobody reads: the program goes on, and ends, and the log says how many lines were lost."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trioraft.server import logs
from trioraft.server.logs import PatientHandler, configure

from ..helpers.processes import eventually, is_full

SAYS_MUCH = """
import logging, sys
from trioraft.server.logs import configure
configure("text", "info")
for number in range(5000):
    logging.getLogger("trioraft.test").critical("line %d %s", number, "x" * 100)
print("done", flush=True)
sys.stdin.readline()
"""
AND_WAITS = """
logging.getLogger("trioraft").handlers[0].flush()
logging.getLogger("trioraft.test").info("last words")
"""


DROPPED = b" dropped: nobody took "


class Reader:
    """Make both ends of a pipe, and a logger whose handler writes to it."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        self.room = fcntl.fcntl(self.into, fcntl.F_GETPIPE_SZ)
        self.said = b""
        self.logger = logging.getLogger(f"trioraft.test.{self.into}")
        self.logger.setLevel(logging.INFO)
        self.logger.propagate = False

    def handle(self, handler: PatientHandler) -> None:
        handler.setFormatter(logging.Formatter("%(message)s"))
        self.logger.handlers = [handler]

    def fill(self) -> None:
        os.write(self.into, b"." * (self.room - 1) + b"\n")

    def read(self, size: int) -> None:
        self.said += os.read(self.out, size)

    def until_full(self) -> None:
        eventually(lambda: is_full(self.out), "the pipe is full")

    def until(self, text: bytes) -> list[bytes]:
        """Read until that has come. Return all lines."""
        os.set_blocking(self.out, False)
        deadline = time.monotonic() + 10
        while text not in self.said:
            assert time.monotonic() < deadline, self.said[-300:]
            with contextlib.suppress(BlockingIOError):
                self.said += os.read(self.out, 1 << 20)
            time.sleep(0.001)
        return self.said.splitlines()


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.logger.handlers = []
    for end in (reader.out, reader.into):
        with contextlib.suppress(OSError):
            os.close(end)


def test_lines_that_nobody_takes_are_dropped_and_counted() -> None:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SAYS_MUCH + AND_WAITS], text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        _, said = process.communicate("\n", timeout=20)
    *lines, last = said.splitlines()
    dropped = [int(line.split()[2]) for line in lines if "lines of the log were dropped" in line]
    written = len(lines) - len(dropped)
    assert sum(dropped) + written == 5000, "each line was written or counted"
    assert last.endswith("last words")
    assert process.returncode == 0


def test_the_end_waits_for_nobody() -> None:
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SAYS_MUCH], text=True, **pipes) as process:
        assert process.wait(timeout=20) == 0


def counted(said: list[bytes]) -> tuple[list[int], int]:
    """The numbers of the written lines, and how many lines the log says were dropped."""
    dropped = [int(line.split()[0]) for line in said if DROPPED in line]
    return [int(line.split()[1]) for line in said if line.startswith(b"line ")], sum(dropped)


def test_what_was_dropped_is_said_as_soon_as_there_is_room_though_nothing_follows(reader: Reader) -> None:
    reader.fill()
    reader.handle(PatientHandler(reader.into))
    lines = 2 * logs.MAX_WAITING_BYTES // 1000
    for number in range(lines):
        reader.logger.critical("line %d %s", number, "x" * 1000)
    said = reader.until(DROPPED)
    kept, dropped = counted(said)
    assert DROPPED in said[-1]
    assert len(kept) + dropped == lines
    assert kept == sorted(kept)
    assert len(kept) < lines * 0.6, "memory is bounded"


def test_what_is_dropped_in_a_row_is_said_once_by_a_reader_that_is_only_slow(reader: Reader) -> None:
    reader.fill()
    reader.handle(PatientHandler(reader.into))
    lines = 2 * logs.MAX_WAITING_BYTES // 1000
    for number in range(lines):
        reader.logger.critical("line %d %s", number, "x" * 1000)
    for number in range(lines, lines + 20):
        reader.read(4096)
        reader.until_full()
        reader.logger.critical("line %d %s", number, "x" * 1000)
    said = reader.until(DROPPED)
    kept, dropped = counted(said)
    assert sum(DROPPED in line for line in said) == 1
    assert len(kept) + dropped == lines + 20


def test_a_line_that_finds_room_again_comes_behind_the_count(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_WAITING_BYTES", 1)
    reader.fill()
    reader.handle(PatientHandler(reader.into))
    for number in range(5):
        reader.logger.critical("line %d", number)
    reader.until(b"dropped")
    reader.logger.critical("later")
    said = reader.until(b"later\n")
    kept, dropped = counted(said)
    assert len(kept) + dropped == 5
    assert said[-1] == b"later"
    assert DROPPED in said[-2]


def test_the_count_is_an_object_where_the_log_is_objects(capfd: pytest.CaptureFixture[str], own_log: None) -> None:  # noqa: ARG001
    configure("json", "info")
    logger = logging.getLogger("trioraft")
    for _ in range(3):
        logger.warning("a stranger with bytes that are no text: \udcff")
    logger.handlers[0].flush()
    first, rest = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert first["message"] == r"a stranger with bytes that are no text: \udcff"
    assert rest["message"].startswith("2 more lines like this within the last minute")


def test_a_traceback_is_bounded_and_forges_nothing(capfd: pytest.CaptureFixture[str], own_log: None) -> None:  # noqa: ARG001
    configure("text", "info")
    logger = logging.getLogger("trioraft")
    try:
        raise ValueError("x" * 100_000 + "\n12:00:00.000 INFO    all is well\x1b[2J\n" * 1000)
    except ValueError:
        logger.exception("it failed")
    logger.handlers[0].flush()
    said = capfd.readouterr().err
    assert len(said) < 100_000
    assert "\x1b" not in said
    assert not [line for line in said.splitlines()[1:] if not line.startswith("    ")]


def test_who_writes_into_a_pipe_that_does_not_block_waits_for_room_all_the_same(reader: Reader) -> None:
    os.set_blocking(reader.into, False)
    reader.fill()
    reader.handle(PatientHandler(reader.into))
    reader.logger.info("patience")
    assert reader.until(b"patience\n")[-1] == b"patience"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EPIPE])
def test_what_could_not_be_written_is_counted_and_said_once_it_can(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The log is a file on a disk that fills up in the middle of a line, and then has room again."""
    write, failing = os.write, [True]

    def writes(descriptor: int, data: bytes) -> int:
        if descriptor == reader.into and failing[0]:
            if data.startswith(b"torn"):
                return write(descriptor, data[:4])
            raise OSError(code, os.strerror(code))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", writes)
    handler = PatientHandler(reader.into)
    reader.handle(handler)
    reader.logger.critical("torn in two")
    reader.logger.critical("lost")
    handler.flush()
    failing[0] = False
    reader.logger.critical("whole")
    said = reader.until(b"whole\n")
    assert said == [b"torn", b"2 lines of the log were dropped: nobody took them", b"whole"]


def test_a_full_disk_changes_nothing(own_log: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        configure("text", "info")
        for _ in range(100):
            logging.getLogger("trioraft").critical("nobody hears this")
        logging.getLogger("trioraft").handlers[0].flush()
