"""Mistakes in what every cluster has around its machine: sessions, and its level."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

EXACTLY_ONCE: Final = "trioraft/replica/exactly_once.py"
LEVELS: Final = "trioraft/replica/levels.py"
LEVEL_CHECK: Final = "trioraft/replica/level_check.py"
SESSIONS_TESTS: Final = "tests/replica/test_exactly_once.py"
LEVELS_TESTS: Final = "tests/replica/test_levels.py"
BY_THE_MODEL: Final = f"{SESSIONS_TESTS}::test_every_write_is_applied_once_and_a_snapshot_at_any_moment_goes_on_alike"

AROUND_THE_MACHINE: Final = (
    Mutant(
        "a write that is asked again in its session is applied again",
        EXACTLY_ONCE,
        "        if remembered is not None:\n",
        "        if remembered is None and once.acked > once.seq:\n",
        f"{SESSIONS_TESTS}::test_a_retry_gets_the_first_answer_also_where_much_has_happened_since",
    ),
    Mutant(
        "the number at a session's floor is taken for a new one",
        EXACTLY_ONCE,
        "        if once.seq <= session.floor(self._bounds.window):\n",
        "        if once.seq < session.floor(self._bounds.window):\n",
        f"{SESSIONS_TESTS}::test_the_floor_is_exact",
        simulated=False,
    ),
    Mutant(
        "a session forgets what its client has acknowledged",
        EXACTLY_ONCE,
        "        self._acknowledge(session, once.acked)\n",
        "",
        f"{SESSIONS_TESTS}::test_the_floor_is_exact",
        simulated=False,  # no client there says that it will not ask again, and asks
    ),
    Mutant(
        "another write under a known number gets the answer of the first",
        EXACTLY_ONCE,
        "        if first != digest:\n",
        "        if not first:\n",
        f"{SESSIONS_TESTS}::test_another_write_under_a_known_number_is_refused",
        simulated=False,
    ),
    Mutant(
        "of too many sessions the one opened first goes, and not the one longest unused",
        EXACTLY_ONCE,
        "        self._by_number.move_to_end(number)\n",
        "",
        f"{SESSIONS_TESTS}::test_who_was_used_last_stays_and_none_goes_that_was_used_just_now",
        simulated=False,
    ),
    Mutant(
        "what a session that goes remembered is still counted",
        EXACTLY_ONCE,
        "        self.bytes -= sum(map(_size, session.outcomes.values()))\n",
        "",
        BY_THE_MODEL,
        simulated=False,
    ),
    Mutant(
        "a refusal by the state is not remembered",
        EXACTLY_ONCE,
        "        self._remember(session, once.seq, _HEAD.pack(digest, index) + self._encoded(result))\n",
        "        if result is None or not hasattr(result, 'hint'):\n"
        "            self._remember(session, once.seq, _HEAD.pack(digest, index) + self._encoded(result))\n",
        f"{SESSIONS_TESTS}::test_a_refusal_by_the_state_is_an_outcome_and_is_remembered",
        simulated=False,
    ),
    Mutant(
        "an outcome is remembered before its write is applied",
        EXACTLY_ONCE,
        "        result = carry_out()\n",
        "        self._remember(session, once.seq, _HEAD.pack(digest, index))\n        result = carry_out()\n",
        BY_THE_MODEL,
        simulated=False,
    ),
    Mutant(
        "a snapshot shows a session as it is when its line is written",
        EXACTLY_ONCE,
        "            self._view.before_change(number, session)\n        session.used = index\n",
        "            pass\n        session.used = index\n",
        BY_THE_MODEL,
        simulated=False,
    ),
    Mutant(
        "a node takes the newest level that it supports for that of the cluster",
        LEVELS,
        "        return self._ports.machine.level\n",
        "        return self.supported\n",
        f"{LEVELS_TESTS}::test_the_level_rises_with_the_last_member_that_is_upgraded",
        simulated=False,
    ),
    Mutant(
        "a member that is not connected does not hold the level up",
        LEVELS,
        '                found.append(f"{name}, which is not connected")\n',
        "                continue\n",
        f"{LEVELS_TESTS}::test_a_member_that_is_not_there_holds_the_level_up_until_it_is_removed",
        simulated=False,
    ),
    Mutant(
        "a cluster forms at the level of the node that is asked, whatever the others support",
        "trioraft/cluster/formation.py",
        "        level = min([self.level, *(view.level for view in self.views.values())])\n",
        "        level = self.level\n",
        f"{LEVELS_TESTS}::test_a_cluster_that_forms_with_an_older_node_has_its_level_and_its_id",
        simulated=False,
    ),
    Mutant(
        "an older node is let into a newer cluster",
        "trioraft/cluster/handshake.py",
        "    if one.level >= other.cluster_level:\n",
        "    if one.level >= 1:\n",
        f"{LEVELS_TESTS}::test_an_older_node_is_refused_at_the_door_of_a_newer_cluster",
        simulated=False,
    ),
    Mutant(
        "a node that has just started judges by a level that its log has raised already",
        LEVEL_CHECK,
        "core.leader is None or core.last_applied < one.newest:\n",
        "core.leader is None:\n",
        f"{LEVELS_TESTS}::test_what_may_raise_the_level_is_waited_for",
        simulated=False,
    ),
    Mutant(
        "a write overtakes one before it on its connection that waits for a level",
        LEVEL_CHECK,
        "            if type(slot) is not WriteSlot or all(slot.owner is not one.slot.owner for one in self.held):\n",
        "            if True:\n",
        f"{LEVELS_TESTS}::test_what_needs_the_next_level_waits_while_it_is_being_reached_and_later_writes_stay_behind",
        simulated=False,
    ),
    Mutant(
        "a new cluster made from an old one knows the sessions of that",
        "trioraft/cluster/disaster.py",
        "    end.machine.renounce(index)\n",
        "",
        "tests/cluster/test_disaster.py::test_a_new_cluster_keeps_the_level_and_no_session",
        simulated=False,
    ),
)
