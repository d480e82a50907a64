"""Mistakes in the time of leases and in the argument for keepalives: each breaks one of its steps."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

CLOCK: Final = "trioraft/replica/lease_clock.py"
REQUESTS: Final = "trioraft/replica/lease_requests.py"
DUTIES: Final = "trioraft/replica/duties.py"
REPLICA: Final = "trioraft/replica/replica.py"
CLOCK_TESTS: Final = "tests/replica/test_lease_clock.py"
REQUEST_TESTS: Final = "tests/replica/test_lease_requests.py"
EXPIRY_TESTS: Final = "tests/replica/test_lease_expiry.py"

LEASES: Final = (
    Mutant(
        "a keepalive is confirmed by a round that began before it came",
        REQUESTS,
        "            context = next(self._contexts)\n            self._under_way[context] = asked\n",
        """            if self._under_way:
                next(iter(self._under_way.values())).extend(asked)
                return
            context = next(self._contexts)
            self._under_way[context] = asked
""",
        f"{REQUEST_TESTS}::test_a_keepalive_is_answered_once_a_round_is_confirmed_that_began_after_it",
    ),
    Mutant(
        "a keepalive is confirmed by the next entry that is applied",
        REQUESTS,
        "        while self._ending and self._ending[0][0] <= index:\n",
        """        for asked in [one for some in self._under_way.values() for one in some]:
            self._finish(asked)
        self._under_way = {}
        while self._ending and self._ending[0][0] <= index:
""",
        f"{REQUEST_TESTS}::test_no_entry_confirms_a_keepalive",
    ),
    Mutant(
        "a keepalive is answered though an expiry was proposed before it was confirmed",
        REQUESTS,
        "            if index > self._node.core.last_applied:\n",
        "            if index < 0:\n",
        f"{REQUEST_TESTS}::test_a_keepalive_waits_for_the_entry_that_ends_its_lease",
    ),
    Mutant(
        "a keepalive that waited for one expiry does not look for the next",
        REQUESTS,
        "            self._answer(heapq.heappop(self._ending)[2])\n",
        "            self._finish(heapq.heappop(self._ending)[2])\n",
        f"{REQUEST_TESTS}::test_one_that_waited_looks_again_for_its_other_leases",
        simulated=False,  # what it has waited for is seldom longer than a ttl
    ),
    Mutant(
        "a keepalive that a peer passes on moves no end as it comes",
        REQUESTS,
        "        self._renew(remote)\n",
        "",
        f"{REQUEST_TESTS}::test_one_of_a_peer_moves_the_end_as_it_arrives",
    ),
    Mutant(
        "a new leader goes on with the time that it counted in an earlier lead",
        CLOCK,
        """        self._forget()
        self._leasing = leasing
        self._see_granted()

    def stop(self) -> None:
        \"""Count no more, as this node leads no more.\"""
        self._forget()
""",
        """        if self._leasing is None:
            self._leasing = leasing
        self._see_granted()

    def stop(self) -> None:
        \"""Count no more, as this node leads no more.\"""
""",
        f"{CLOCK_TESTS}::test_a_new_leader_begins_the_full_time_again",
    ),
    Mutant(
        "a leader ends what was over in an earlier lead",
        CLOCK,
        """        self._forget()
        self._leasing = leasing
        self._see_granted()

    def stop(self) -> None:
        \"""Count no more, as this node leads no more.\"""
        self._forget()
""",
        """        over = self._over
        self._forget()
        self._over = over
        self._leasing = leasing
        self._see_granted()

    def stop(self) -> None:
        \"""Count no more, as this node leads no more.\"""
""",
        f"{CLOCK_TESTS}::test_what_was_over_in_an_earlier_lead_begins_again",
    ),
    Mutant(
        "the time of leases goes on while no majority answers",
        DUTIES,
        "clock.tick(ticks, leadership.is_followed)",
        "clock.tick(ticks, True)",
        f"{EXPIRY_TESTS}::test_time_counts_only_while_a_majority_answers",
    ),
    Mutant(
        "the time of leases goes on while the leader stands still",
        REPLICA,
        "        counted = min(ticks, self.tuning.raft.most_ticks - self._ticks)\n",
        "        counted = ticks\n",
    ),
    Mutant(
        "the ticks in which a keepalive comes count for its leases",
        CLOCK,
        """            self._to_begin.update(self._renewed)
            self._renewed = {}
""",
        """            self._begin(self._renewed)
            self._renewed = {}
""",
        f"{CLOCK_TESTS}::test_the_time_begins_behind_the_ticks_that_are_told_after_the_renewal",
    ),
    Mutant(
        "a lease ends after its ttl and not a quarter later",
        CLOCK,
        "-(-ttl_ms * 5 // (4 * self._tick_ms))",
        "-(-ttl_ms // self._tick_ms)",
        f"{CLOCK_TESTS}::test_a_lease_is_over_after_five_quarters_of_its_ttl",
    ),
    Mutant(
        "a keepalive does not save a lease whose time was over when it came",
        CLOCK,
        "                self._over.pop(lease, None)\n",
        "                pass\n",
        f"{CLOCK_TESTS}::test_a_renewal_saves_a_lease_whose_time_is_over_as_long_as_no_entry_ends_it",
    ),
    Mutant(
        "leases that are granted later are not counted",
        CLOCK,
        "            self._see_granted()\n            self._to_begin",
        "            self._to_begin",
        f"{CLOCK_TESTS}::test_a_lease_that_is_granted_later_is_counted_from_then_on",
    ),
    Mutant(
        "a leader ends leases while it hands over the lead",
        DUTIES,
        "        if not over or core.transferring:\n",
        "        if not over:\n",
        f"{EXPIRY_TESTS}::test_nothing_ends_while_the_lead_is_handed_over",
    ),
    Mutant(
        "leases whose end met an overloaded leader never end",
        DUTIES,
        """        if (index := self._propose(core, leasing.expiry(leases))) is not None:
            clock.expire(leases, index)
""",
        """        index = self._propose(core, leasing.expiry(leases))
        clock.expire(leases, index or 1)
        if index is not None:
""",
        f"{EXPIRY_TESTS}::test_an_overloaded_leader_ends_them_later",
    ),
    Mutant(
        "one entry ends all leases, whatever goes with them",
        DUTIES,
        "            if leases and weight > ENDED_WEIGHT:\n",
        "            if leases and weight < 0:\n",
        f"{EXPIRY_TESTS}::test_one_entry_ends_no_more_than_a_turn_can_apply",
        simulated=False,
    ),
    Mutant(
        "a node says ok to all keepalives that it passed on together",
        REQUESTS,
        '        expired = set(fields["expired"])\n',
        "        expired: set[int] = set()\n",
        f"{REQUEST_TESTS}::test_keepalives_of_one_turn_travel_together_and_each_has_its_own_answer",
    ),
    Mutant(
        "keepalives that a deposed leader was asked are forgotten",
        REQUESTS,
        "            self._hold_again(self._passed_on.pop_all())\n",
        "            self._passed_on.pop_all()\n",
        f"{REQUEST_TESTS}::test_another_leader_is_asked_again",
    ),
    Mutant(
        "a write does not wait for the keepalive before it",
        "trioraft/replica/slots.py",
        "        elif isinstance(slot, LaterSlot):\n            self._later",
        "        elif type(slot) is LaterSlot:\n            self._later",
        f"{REQUEST_TESTS}::test_several_in_a_row_share_a_round_and_a_write_behind_them_waits",
        simulated=False,  # the keepalive is confirmed for itself all the same
    ),
    Mutant(
        "who has not answered a new leader yet counts as one that follows it",
        "trioraft/raft/progress.py",
        "        self.silent_ticks = settings.election_ticks\n",
        "        self.silent_ticks = 0\n",
        "tests/raft/test_whose_answers_count.py::"
        "test_a_leader_is_followed_at_a_tick_only_if_a_majority_answered_within_the_last_election_timeout",
        simulated=False,  # who has elected it answers soon
    ),
)
