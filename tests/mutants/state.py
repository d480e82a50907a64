"""Mistakes in the state of the key-value store: in transactions, leases, locks and the history."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

STORE: Final = "trioraft/kv/store.py"
LOCKS: Final = "trioraft/kv/locks.py"
HISTORY: Final = "trioraft/kv/history.py"
TRANSACTIONS: Final = "trioraft/kv/transactions.py"
COMMANDS: Final = "trioraft/kv/commands.py"
WRITES: Final = "trioraft/kv/writes.py"
STATE_TESTS: Final = "tests/kv/test_state.py"
BOUNDS_TESTS: Final = "tests/kv/test_bounds.py"

STATE: Final = (
    Mutant(
        "what the history let go of stays in memory where it was looked at",
        HISTORY,
        "        elif count <= self.max_changes and not self._start:\n",
        "        elif count <= self.max_changes:\n",
        f"{BOUNDS_TESTS}::test_memory_is_let_go_of_with_the_entry_that_narrows_the_bounds",
        simulated=False,
    ),
    Mutant(
        "a lock passes on before all leases of the entry have given up their places",
        STORE,
        "        self.locks.end(ended, index)\n",
        "        for one in ended:\n            self.locks.end([one], index)\n",
        STATE_TESTS,
        simulated=False,  # the state is the same in the end: only who waits is told otherwise
    ),
    Mutant(
        "a fence is looked at after the write",
        COMMANDS,
        "        if state.locks.is_held(self.lock, self.fence):\n            return self.command.apply(state, index)\n",
        """        result = self.command.apply(state, index)
        if state.locks.is_held(self.lock, self.fence):
            return result
""",
        STATE_TESTS,
    ),
    Mutant(
        "a put without a lease leaves the key tied to the former one",
        STORE,
        "                if old.lease:\n                    leases.untie(old.lease, key)\n",
        "",
        STATE_TESTS,
    ),
    Mutant(
        "an incr unties the key from its lease",
        WRITES,
        "index, old.lease if old else 0)",
        "index, 0)",
        STATE_TESTS,
    ),
    Mutant(
        "a lease that ends leaves its keys behind",
        STORE,
        "            self.delete(key, index, by_lease=True)\n",
        "            pass\n",
        STATE_TESTS,
    ),
    Mutant(
        "a transaction that cannot be done keeps what it has written",
        TRANSACTIONS,
        "                state.roll_back()\n",
        "                state.commit()\n",
        STATE_TESTS,
    ),
    Mutant(
        "the history keeps what a transaction has taken back",
        STORE,
        "        self.history.forget(len(undo))\n",
        "",
        STATE_TESTS,
    ),
    Mutant(
        "a transaction has no revision of its own where it wrote",
        TRANSACTIONS,
        "index if state.commit() else 0, index)",
        "index if state.commit() and not succeeded else 0, index)",
        STATE_TESTS,
    ),
    Mutant(
        "the history is cut in the middle of an entry",
        HISTORY,
        "self._start = bisect_right(self.items, self.floor, start, key=revision)",
        "self._start = start",
        STATE_TESTS,
    ),
    Mutant(
        "the history loses its newest entry where that alone is too large",
        HISTORY,
        "        start = min(start, newest)\n",
        "        start = min(start, end)\n",
        STATE_TESTS,
        simulated=False,  # no entry of the clients is so large
    ),
    Mutant(
        "the history begins at 0 again after a snapshot",
        HISTORY,
        "            self.begin(one.first_rev)\n",
        "            self.begin(0)\n",
        STATE_TESTS,
    ),
    Mutant(
        "who asks for a lock again goes to the end of its queue",
        LOCKS,
        "        lock.queue[lease] = Place(place.since, index)\n",
        "        del lock.queue[lease]\n        lock.queue[lease] = Place(index, index)\n",
        STATE_TESTS,
    ),
    Mutant(
        "who asks for a lock again does not own the place",
        LOCKS,
        "        lock.queue[lease] = Place(place.since, index)\n",
        "",
        STATE_TESTS,
    ),
    Mutant(
        "an asker gives up the place that a newer one owns",
        LOCKS,
        "        if place is not None and place.entry == entry:\n",
        "        if place is not None:\n",
        STATE_TESTS,
        simulated=False,  # only where both cross on their way to the log
    ),
    Mutant(
        "a lock that passes on keeps its fence",
        LOCKS,
        "lock.lease, lock.fence, lock.entry = lease, index, place.entry",
        "lock.lease, lock.entry = lease, place.entry",
        STATE_TESTS,
    ),
    Mutant(
        "a lock is released by a lease that does not hold it",
        LOCKS,
        "if lock is None or lock.lease != lease or fence not in",
        "if lock is None or fence not in",
        STATE_TESTS,
    ),
    Mutant(
        "who does not want to wait for a lock is put into its queue",
        LOCKS,
        "        if not waits:\n",
        "        if not waits and lock.queue:\n",
        STATE_TESTS,
    ),
    Mutant(
        "a lock changes in a snapshot that is being written",
        LOCKS,
        "        if lock.era != self._era:\n",
        "        if lock.era > self._era:\n",
        STATE_TESTS,
    ),
    Mutant(
        "a value is checked without its blanks removed",
        TRANSACTIONS,
        "equal(item.value, bytes(self.value))",
        "item.value == bytes(self.value)",
        "tests/kv/test_machine.py",
        simulated=False,  # the clients send no blanks
    ),
)
