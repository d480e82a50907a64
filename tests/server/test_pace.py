"""The decision whether a node waits, gathers or spins, by table: the facts, and the decision."""

from __future__ import annotations

import pytest

from trioraft.server.gathering import (
    GATHER_ROUNDS,
    GATHER_SECONDS,
    MANY_UNCOMMITTED,
    PLENTY,
    SLICE_PAUSE_SECONDS,
    Pace,
)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


@pytest.mark.parametrize(
    ("leads", "idle_ticks", "spins"),
    [
        (True, 10, True),  # answers to its reads come at once
        (True, 9, False),  # a writer that waits for each of its writes has a tick between two now and then
        (True, 0, False),  # writes wait for disks: the processor is worth more to the others
        (False, 10, False),
        (False, 0, False),
    ],
)
def test_spins(pace: Pace, leads: bool, idle_ticks: int, spins: bool) -> None:
    assert pace.spins(leads=leads, idle_ticks=idle_ticks) is spins


@pytest.mark.parametrize(
    ("gathered", "rounds", "more"),
    [
        (0, 0, False),  # no client has asked: the peers wait
        (1, 0, True),
        (PLENTY - 1, 0, True),
        (PLENTY, 0, False),
        (1, GATHER_ROUNDS - 1, True),
        (1, GATHER_ROUNDS, False),
    ],
)
def test_takes_in_more(pace: Pace, gathered: int, rounds: int, more: bool) -> None:
    assert pace.takes_in_more(gathered=gathered, rounds=rounds) is more


@pytest.mark.parametrize(
    ("leads", "uncommitted", "gathered", "gathers"),
    [
        (True, 1, 1, True),
        (True, 1, PLENTY - 1, True),
        (True, 1, PLENTY, False),
        (True, 1, 0, False),  # there is nothing that could wait
        (True, 0, 1, False),  # no write is under way whose client would write again
        (False, 1, 1, False),  # the leader gathers
    ],
)
def test_gathers(pace: Pace, leads: bool, uncommitted: int, gathered: int, gathers: bool) -> None:
    assert pace.gathers(leads=leads, uncommitted=uncommitted, gathered=gathered) is gathers


@pytest.mark.parametrize(
    ("seconds", "between", "gathers"),
    [
        (0.9 * GATHER_SECONDS, None, True),
        (GATHER_SECONDS, None, False),
        (GATHER_SECONDS, {"gathered": 0}, True),  # they have left, and others have come since
        (GATHER_SECONDS, {"uncommitted": 0}, True),
    ],
)
def test_gathers_for_a_while(
    pace: Pace, clock: Clock, seconds: float, between: dict[str, int] | None, gathers: bool
) -> None:
    facts = {"uncommitted": 1, "gathered": 1}
    assert pace.gathers(leads=True, **facts)
    clock.now += 0.5 * seconds
    if between is not None:
        assert not pace.gathers(leads=True, **(facts | between))
    clock.now += 0.5 * seconds
    assert pace.gathers(leads=True, **facts) is gathers


@pytest.mark.parametrize(
    ("hurries", "snapshot_works", "quiet", "gathering", "uncommitted", "seconds"),
    [
        (False, False, False, False, 0, None),  # for as long as it takes
        (False, False, False, False, 5, None),  # the disk or a peer will wake it
        (True, False, False, False, 0, 0),
        (True, True, False, True, 5, 0),
        (False, True, True, False, 0, 0),
        (False, True, False, False, 0, SLICE_PAUSE_SECONDS),  # requests come first
        (False, True, False, True, 5, SLICE_PAUSE_SECONDS),
        (False, False, False, True, 5, GATHER_SECONDS),
        (False, False, False, True, 0, 0),  # the writes that they waited for are committed
    ],
)
def test_pause(
    pace: Pace,
    hurries: bool,
    snapshot_works: bool,
    quiet: bool,
    gathering: bool,
    uncommitted: int,
    seconds: float | None,
) -> None:
    assert (
        pace.pause(
            hurries=hurries, snapshot_works=snapshot_works, quiet=quiet, gathering=gathering, uncommitted=uncommitted
        )
        == seconds
    )


@pytest.mark.parametrize(
    ("quiet", "seconds", "takes"),
    [
        (True, 0, True),
        (False, 0, False),
        (False, 0.9 * SLICE_PAUSE_SECONDS, False),
        (False, 1.1 * SLICE_PAUSE_SECONDS, True),
    ],
)
def test_takes_slice(pace: Pace, clock: Clock, quiet: bool, seconds: float, takes: bool) -> None:
    assert pace.takes_slice(quiet=False), "the first does not wait"
    clock.now += seconds
    assert pace.takes_slice(quiet=quiet) is takes


@pytest.mark.parametrize(
    ("leads", "uncommitted", "waits"),
    [
        (True, 0, True),
        (True, MANY_UNCOMMITTED, True),
        (True, MANY_UNCOMMITTED + 1, False),  # the others commit them without it
        (False, MANY_UNCOMMITTED + 1, True),  # its leader waits for its acknowledgement
    ],
)
def test_waits_for_disk(pace: Pace, leads: bool, uncommitted: int, waits: bool) -> None:
    assert pace.waits_for_disk(leads=leads, uncommitted=uncommitted) is waits
