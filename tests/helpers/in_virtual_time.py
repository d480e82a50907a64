"""Fixtures for tests of whole nodes in virtual time. The conftest of a room with such tests imports them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
import trio
import trio.testing

from .virtual_cluster import Cluster


@pytest.fixture
async def cluster(nursery: trio.Nursery) -> Cluster:
    """Three started nodes, in virtual time."""
    cluster = Cluster(nursery, seed=1)
    for node in cluster.nodes:
        node.start()
    return cluster


@pytest.fixture
def own_log() -> Iterator[None]:
    """Restore the log's configuration after a test that changes it."""
    logger = logging.getLogger("trioraft")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, level, logger.propagate = before
    logger.setLevel(level)


@pytest.fixture
def virtual_time() -> None:
    """Run a test in virtual time that uses no cluster."""


@pytest.fixture(autouse=True)
def unforeseen() -> Iterator[list[logging.LogRecord]]:
    """The log records with a traceback. There must be none: a test that expects some clears the list."""
    records: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info:
                records.append(record)

    logger, handler = logging.getLogger("trioraft"), Handler()
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)
    assert not records, [f"{record.getMessage()}: {record.exc_info}" for record in records]


def mark(item: pytest.Item) -> None:
    """Run a test in virtual time if it uses `cluster` or `virtual_time`. Its own clock is used if it names one."""
    if isinstance(item, pytest.Function) and {"cluster", "virtual_time"} & set(item.fixturenames):
        item.add_marker(pytest.mark.trio(run=_run_in_virtual_time))


def _run_in_virtual_time(
    test: Callable[..., Awaitable[Any]], *, clock: trio.abc.Clock | None, instruments: Sequence[trio.abc.Instrument]
) -> Any:
    virtual = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(test, clock=virtual if clock is None else clock, instruments=instruments)
