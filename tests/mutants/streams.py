"""Mistakes in what clients are told of changes, states and locks."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

FAN_OUT: Final = "trioraft/replica/fan_out.py"
SUBSCRIPTIONS: Final = "trioraft/replica/subscriptions.py"
CONFIRMING: Final = "trioraft/replica/confirming.py"
KEY_STREAMS: Final = "trioraft/kv/streams.py"
LOCK_WAITS: Final = "trioraft/replica/lock_waits.py"
EVERY_CHANGE: Final = "tests/replica/test_fan_out.py::test_every_change_is_told_once_and_in_order"
TESTS: Final = "tests/replica/test_streams.py"
LOCK_TESTS: Final = "tests/replica/test_lock_waits.py"

STREAMS: Final = (
    Mutant(
        "a watch is called synced before it is told of the last change",
        FAN_OUT,
        "        if stream.position is None and stream.after == self._node.core.last_applied:\n",
        "        if stream.position is None:\n",
        EVERY_CHANGE,
    ),
    Mutant(
        "the keys that are there and their changes have a gap between them",
        FAN_OUT,
        "        if stream.is_listing and stream.last_listed is None:\n            position",
        "        if stream.is_listing:\n            position",
        EVERY_CHANGE,
    ),
    Mutant(
        "a slow client is told again of the change before it had no room",
        FAN_OUT,
        "                stream.position = self._next - 1\n",
        "                stream.position = self._next - 2\n",
        EVERY_CHANGE,
    ),
    Mutant(
        "the change for which a connection has no room is lost",
        FAN_OUT,
        "                stream.position = self._next - 1\n",
        "                stream.position = self._next\n",
        EVERY_CHANGE,
    ),
    Mutant(
        "a watch is told of a change that was on its way when it began",
        FAN_OUT,
        " or stream.after >= self._told_rev:\n",
        ":\n",
        f"{TESTS}::TestWatches::test_a_change_on_its_way_when_a_watch_begins_is_told_to_those_before_it_alone",
    ),
    Mutant(
        "a watch repeats the part of an entry that it was told before a snapshot",
        FAN_OUT,
        "        return source.rev_at(position) - 1, position - first\n",
        "        return source.rev_at(position) - 1, 0\n",
        EVERY_CHANGE,
        simulated=False,
    ),
    Mutant(
        "progress overtakes the changes that it speaks of",
        SUBSCRIPTIONS,
        "            elif fan_out.is_level and not subscriber.behind",
        "            elif not subscriber.behind",
        f"{TESTS}::TestProgress::test_it_comes_behind_what_it_speaks_of",
    ),
    Mutant(
        "progress speaks of what a slow watch was not told",
        SUBSCRIPTIONS,
        "fan_out.is_level and not subscriber.behind and not",
        "fan_out.is_level and not",
        EVERY_CHANGE,
    ),
    Mutant(
        "events that wait outlive the cancel of their watch",
        SUBSCRIPTIONS,
        "last = None if subscriber is None else subscriber.take_back(id)",
        "last = None if subscriber is None or opened is not None else subscriber.take_back(id)",
        f"{TESTS}::TestIds::test_no_event_follows_the_answer_to_a_cancel_and_others_go_on",
        simulated=False,
    ),
    Mutant(
        "a read that began before a watch confirms it",
        CONFIRMING,
        "        for one in asking:\n",
        "        for one in asking + self._waiting:\n",
        f"{TESTS}::TestWatches::test_a_read_that_is_under_way_confirms_nothing_asked_later",
        simulated=False,
    ),
    Mutant(
        "a watch is not told that an entry has further changes for it",
        KEY_STREAMS,
        "        return self._last.get(prefix, 0) > history.base + place\n",
        "        return False\n",
        EVERY_CHANGE,
    ),
    Mutant(
        "a wait sees a key only as it is when it is looked at",
        KEY_STREAMS,
        "        item = _item(change)\n        if held",
        "        item = self._store.get(key)\n        if held",
        f"{TESTS}::TestWaits::test_none_times_out_before_what_is_applied_is_looked_at",
        simulated=False,
    ),
    Mutant(
        "who waits for a lock is told of it when another asks for it",
        LOCK_WAITS,
        "            if (wait := self._by_entry.get(news.entry)) is not None and wait.is_open:\n",
        "            for wait in [one for one in self._by_entry.values() if one.is_open]:\n",
        f"{LOCK_TESTS}::test_those_who_wait_are_told_in_order",
    ),
    Mutant(
        "a place that is given up is called gone before it is",
        LOCK_WAITS,
        "            wait.cancels.append(slot)\n            self._give_up(wait)\n",
        "            self._give_up(wait)\n            self._end(wait, 'given_up')\n"
        "            self._answer(slot, b'{}')\n",
        f"{LOCK_TESTS}::test_a_cancel_that_comes_too_late_shows_the_fence",
        simulated=False,
    ),
    Mutant(
        "a request for a lock that is sent again is told nothing",
        LOCK_WAITS,
        "        if entry < self._node.core.last_applied:",
        "        if entry > self._node.core.last_applied:",
        f"{LOCK_TESTS}::test_a_request_that_is_sent_again_is_told_what_the_first_would_be",
        simulated=False,
    ),
)
"""All of them."""
