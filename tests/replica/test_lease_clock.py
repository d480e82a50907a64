"""The leader's clock of leases: when a lease is over, and every reason why it is not over yet."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from trioraft.replica.alarms import NEVER
from trioraft.replica.lease_clock import FEW_ENDS, LOOKED_AT, LeaseClock

TICK_MS = 10


class Fake:
    """The leases of a machine, which grants and ends them in this very moment."""

    def __init__(self, ttls: dict[int, int]) -> None:
        self.ttls = ttls

    def keys_of(self, lease: int) -> int:
        return self.weight(lease) - 1

    def weight(self, lease: int) -> int:
        return 1 + lease % 2

    def expiry(self, leases: Sequence[int]) -> Any:
        return leases


def started(ttls: dict[int, int]) -> tuple[LeaseClock, Fake]:
    """A clock that was told of a tick, so that the time of its leases has just begun."""
    fake = Fake(ttls)
    clock = LeaseClock(TICK_MS)
    clock.begin(fake)
    tell(clock, 1)
    return clock, fake


def tell(clock: LeaseClock, ticks: int, counts: bool = True) -> None:
    """Tell some ticks at once, and have them acted on."""
    clock.pass_time()
    clock.tick(ticks, counts)


def ticks_until_over(clock: LeaseClock, lease: int) -> int:
    """Tell single ticks until the lease is over; return their number."""
    ticks = 0
    while lease not in clock.over():
        assert ticks < 1000, "it is never over"
        tell(clock, 1)
        ticks += 1
    return ticks


def test_a_lease_is_over_after_five_quarters_of_its_ttl() -> None:
    clock, _ = started({7: 1000})
    assert clock.remaining_ms(7) == 1250
    assert ticks_until_over(clock, 7) == 125
    assert clock.remaining_ms(7) == 0


def test_a_part_of_a_tick_counts_as_one() -> None:
    clock, _ = started({7: 1001})
    assert ticks_until_over(clock, 7) == 126


def test_the_time_begins_behind_the_ticks_that_are_told_after_the_renewal() -> None:
    """They may have begun before it arrived."""
    clock, _ = started({7: 1000})
    tell(clock, 120)
    clock.renew([7])
    tell(clock, 15)
    assert ticks_until_over(clock, 7) == 125


def test_a_renewal_saves_a_lease_whose_time_is_over_as_long_as_no_entry_ends_it() -> None:
    clock, _ = started({7: 1000})
    tell(clock, 125)
    assert list(clock.over()) == [7]
    clock.renew([7])
    assert not clock.over()
    assert ticks_until_over(clock, 7) == 126


def test_a_renewal_comes_too_late_once_an_entry_ends_the_lease() -> None:
    clock, fake = started({7: 1000})
    tell(clock, 125)
    clock.expire([7], 42)
    clock.renew([7])
    assert clock.ending_at(7) == 42
    del fake.ttls[7]  # the entry is applied
    tell(clock, 1)
    assert clock.ending_at(7) == 0
    for _ in range(300):
        tell(clock, 1)
    assert not clock.over()


def test_time_without_a_majority_does_not_count() -> None:
    clock, _ = started({7: 1000})
    for _ in range(500):
        tell(clock, 1, counts=False)
    assert ticks_until_over(clock, 7) == 125


def test_a_new_leader_begins_the_full_time_again() -> None:
    clock, fake = started({7: 1000, 9: 2000})
    tell(clock, 124)
    clock.stop()
    assert clock.ticks_until_due == NEVER
    clock.begin(fake)
    tell(clock, 1)
    assert ticks_until_over(clock, 7) == 125
    assert ticks_until_over(clock, 9) == 125


def test_a_lease_that_is_granted_later_is_counted_from_then_on() -> None:
    clock, fake = started({7: 1000})
    tell(clock, 100)
    fake.ttls[8] = 1000
    tell(clock, 5)
    assert ticks_until_over(clock, 7) == 20
    assert ticks_until_over(clock, 8) == 105


def test_a_lease_that_was_revoked_is_forgotten() -> None:
    clock, fake = started({7: 1000, 8: 1000})
    del fake.ttls[7]
    tell(clock, 125)
    assert list(clock.over()) == [8]
    del fake.ttls[8]
    tell(clock, 1)
    assert not clock.over()
    assert clock.ticks_until_due == NEVER


def test_the_next_end_is_known() -> None:
    clock, _ = started({7: 1000, 8: 500})
    assert clock.ticks_until_due == 63
    tell(clock, 63)
    assert clock.ticks_until_due == 1  # something is over, and nobody ends it yet


def test_what_is_granted_and_revoked_again_and_again_does_not_pile_up() -> None:
    clock, fake = started({})
    for lease in range(1, 20 * FEW_ENDS):
        fake.ttls[lease] = 86_400_000
        if lease % 100 == 0:
            tell(clock, 1)
            tell(clock, 1)
            fake.ttls.clear()
    assert len(clock._heap) <= 2 * FEW_ENDS


def test_it_agrees_with_a_plain_count_of_every_lease() -> None:
    random = Random(1)
    clock, fake = started({})
    begun: dict[int, int] = {}
    told = now = 0
    pending: dict[int, int] = {}
    for lease in range(1, 3000):
        if random.random() < 0.5:
            fake.ttls[lease] = random.choice((1000, 1500, 4000))
            pending[lease] = told
        if random.random() < 0.7 and fake.ttls:
            kept = random.choice(list(fake.ttls))
            clock.renew([kept])
            pending[kept] = told
        ticks = random.choice((0, 1, 1, 10))
        if ticks:
            counts = random.random() < 0.8
            tell(clock, ticks, counts)
            now += ticks if counts else 0
            told += 1
            for one in [one for one, since in pending.items() if since + 1 <= told]:
                begun[one] = now
                del pending[one]
            expected = {one for one, since in begun.items() if one not in pending and since + fake.ttls[one] / 8 <= now}
            assert set(clock.over()) == expected
            clock.expire(list(expected), lease)
            for one in expected:
                del begun[one], fake.ttls[one]


def test_what_is_renewed_between_the_telling_and_the_turn_came_after_these_ticks() -> None:
    clock, _ = started({7: 1000})
    tell(clock, 120)
    clock.pass_time()
    clock.renew([7])
    clock.tick(10, counts=True)
    assert not clock.over()
    tell(clock, 1)
    assert ticks_until_over(clock, 7) == 125


def test_what_was_over_in_an_earlier_lead_begins_again() -> None:
    clock, fake = started({7: 1000})
    tell(clock, 125)
    assert list(clock.over()) == [7]
    clock.stop()
    assert not clock.over()
    clock.begin(fake)
    assert not clock.over()
    tell(clock, 1)
    assert ticks_until_over(clock, 7) == 125


def test_of_very_many_leases_that_end_at_once_a_few_are_taken_up_at_a_time() -> None:
    clock, fake = started(dict.fromkeys(range(1, 2 * LOOKED_AT + 1), 1000))
    tell(clock, 125)
    assert len(clock.over()) == LOOKED_AT
    for _ in range(2):
        clock.expire(list(clock.over()), 42)
        tell(clock, 1)
    assert sum(map(bool, map(clock.ending_at, fake.ttls))) == 2 * LOOKED_AT
