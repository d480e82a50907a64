"""Mutants that were found by reading the source for parts that no test touched; their tests came afterwards."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

BETWEEN_TWO_STEPS_TESTS = "tests/raft/test_between_two_steps.py"
CLIENT_CONNECTION = "trioraft/client/connection.py"
CLOCKS_TESTS = "tests/architecture/test_clocks.py"
CLOCKS_THAT_JUMP_TESTS = "tests/server/test_clocks_that_jump.py"
GATHERING_TESTS = "tests/server/test_gathering.py"
HALF_GONE_TESTS = "tests/server/test_half_gone.py"
KV_STORE = "trioraft/kv/store.py"
LARGE_SNAPSHOTS_TESTS = "tests/replica/test_large_snapshots.py"
LIMITS_TESTS = "tests/wire/test_limits.py"
REMOVED_TESTS = "tests/replica/test_removed_while_away.py"
NEWEST_MEMBER_TESTS = "tests/replica/test_newest_member.py"
NODE_IN_VIRTUAL_TIME_TESTS = "tests/server/test_node_in_virtual_time.py"
PASSED_ON_TESTS = "tests/replica/test_passed_on.py"
RAFT_CHANGES_TESTS = "tests/raft/test_raft_changes.py"
RAFT_CONFIGURATIONS = "trioraft/raft/configurations.py"
RAFT_CORE = "trioraft/raft/core.py"
RAFT_LEADERSHIP = "trioraft/raft/leadership.py"
RAFT_PAPER_TESTS = "tests/raft/test_raft_paper.py"
RAFT_SCRIPTS_TESTS = "tests/raft/test_raft_scripts.py"
SERVER_ADMINISTRATION = "trioraft/replica/administration.py"
SERVER_CLIENTS = "trioraft/server/clients.py"
DUTIES = "trioraft/replica/duties.py"
INTRODUCTIONS = "trioraft/replica/introductions.py"
REPLICA = "trioraft/replica/replica.py"
SERVER_PEERS = "trioraft/server/peers.py"
SERVER_ELECTION_TIMER = "trioraft/server/election_timer.py"
SERVER_FORMATION = "trioraft/cluster/formation.py"
SERVER_HANDSHAKE = "trioraft/cluster/handshake.py"
ANSWERING = "trioraft/replica/answering.py"
REPLICA_READS = "trioraft/replica/reads.py"
PROPOSALS = "trioraft/replica/proposals.py"
FORWARDING = "trioraft/replica/forwarding.py"
SERVER_SESSION = "trioraft/replica/session.py"
SERVER_SNAPSHOTS = "trioraft/replica/snapshots.py"
SERVER_SOCKETS = "trioraft/server/sockets.py"
SERVER_WRITER = "trioraft/server/disk_thread.py"
SNAPSHOTS_TESTS = "tests/storage/test_snapshots.py"
STORAGE_SNAPSHOTS = "trioraft/storage/snapshots.py"
WHOSE_ANSWERS_COUNT_TESTS = "tests/raft/test_whose_answers_count.py"
WIRE_FRAMING = "trioraft/wire/framing.py"
WIRE_PARSING = "trioraft/wire/parsing.py"

BLIND_SPOTS = (
    # The order of forwarded requests
    Mutant(
        "what is refused later goes before what was refused earlier",
        PROPOSALS,
        "self.held = deque(sorted([*again, *self.held], key=lambda slot: slot.number))",
        "self.held = deque([*again, *self.held])",
        f"{PASSED_ON_TESTS}::test_what_is_refused_one_after_the_other_goes_to_the_next_leader_in_its_order",
        simulated=False,
    ),
    Mutant(
        "a write that is answered before it is applied forgets the reads before it",
        ANSWERING,
        "            if slot.reads_before and not late:\n",
        "            if slot.reads_before:\n",
        f"{PASSED_ON_TESTS}::test_a_read_does_not_see_a_write_behind_it_that_was_answered_before_it_was_applied",
        simulated=False,
        whole_nodes=True,
    ),
    Mutant(
        "a read is served though a write behind it may have taken effect",
        "trioraft/replica/slots.py",
        "                if later.lost:\n                    return waiting\n",
        "",
        f"{PASSED_ON_TESTS}::test_a_read_is_refused_where_a_write_behind_it_may_take_effect_unseen",
        simulated=False,
    ),
    Mutant(
        "a refused write that was answered before keeps the reads before it",
        PROPOSALS,
        "slots = [slot for slot in slots if slot.reply is not None]  # too late for these",
        "slots = []",
        f"{PASSED_ON_TESTS}::test_nor_one_that_comes_behind_a_late_one_that_was_refused",
        simulated=False,
    ),
    Mutant(
        "what comes right after a handover overtakes what came during it",
        PROPOSALS,
        "if core.transferring or self._delayed:",
        "if core.transferring:",
        f"{NODE_IN_VIRTUAL_TIME_TESTS}::test_writes_passed_on_during_a_transfer_are_refused_in_the_order_in_which_they_came",
        simulated=False,
    ),
    Mutant(
        "an answer about an earlier connection's writes is taken for the present one's",
        FORWARDING,
        "one = self._by_number.get(number)",
        "number, one = next(iter(self._by_number.items()), (0, None))",
        f"{PASSED_ON_TESTS}::test_an_answer_about_writes_of_an_earlier_connection_says_nothing_of_the_present_ones",
    ),
    Mutant(
        "the count of what was passed on begins again where a connection broke",
        FORWARDING,
        "gone, self._by_number = self._by_number, {}",
        "gone, self._by_number, self._numbers = self._by_number, {}, Numbers()",
        f"{PASSED_ON_TESTS}::test_an_answer_about_writes_of_an_earlier_connection_says_nothing_of_the_present_ones",
        simulated=False,  # it takes many hundred seeds
    ),
    Mutant(
        "puts that share a slot count as one where they are passed on",
        PROPOSALS,
        "sum([write.count for write in writes]))",
        "len(writes))",
        f"{PASSED_ON_TESTS}::test_writes_that_came_together_are_counted_one_by_one",
        simulated=False,
    ),
    Mutant(
        "an old leader that says nothing is waited for as long as it is connected",
        FORWARDING,
        "self._node.linked(leader) and now < self._farewell",
        "self._node.linked(leader)",
        f"{PASSED_ON_TESTS}::test_an_old_leader_that_is_connected_and_says_nothing_is_not_waited_for_for_long",
        simulated=False,
    ),
    Mutant(
        "a node that is stopping takes what others pass on",
        PROPOSALS,
        "        if not leads or self.stopping:\n",
        "        if not leads:\n",
        f"{PASSED_ON_TESTS}::test_a_node_that_is_stopping_takes_nothing_that_others_pass_on",
        simulated=False,
    ),
    Mutant(
        "who has said that it leads no more is asked again and again",
        FORWARDING,
        " or (leader, core.term) == self._deposed:",
        ":",
        f"{PASSED_ON_TESTS}::test_who_has_said_that_it_leads_no_more_is_asked_nothing_until_there_is_another",
        simulated=False,
    ),
    Mutant(
        "what peers passed on during a handover is taken in the wrong order",
        PROPOSALS,
        "            for sender, message in delayed:\n",
        "            for sender, message in reversed(delayed):\n",
        f"{PASSED_ON_TESTS}::test_what_comes_during_a_handover_is_taken_in_its_order",
        simulated=False,
    ),
    # Whose answers count, and who is asked
    Mutant(
        "learners count when an entry is committed",
        RAFT_LEADERSHIP,
        "[progress.match_index for progress in self._progress_of_others]",
        "[progress.match_index for progress in self.progress.values()]",
        f"{WHOSE_ANSWERS_COUNT_TESTS}::test_only_a_voters_answer_counts",
        simulated=False,
    ),
    Mutant(
        "learners count when a read is confirmed",
        RAFT_LEADERSHIP,
        "[progress.round_answered for progress in self._progress_of_others]",
        "[progress.round_answered for progress in self.progress.values()]",
        f"{WHOSE_ANSWERS_COUNT_TESTS}::test_only_a_voters_answer_counts",
        simulated=False,
    ),
    Mutant(
        "a leader whose disk waits counts itself among those that commit without it",
        RAFT_LEADERSHIP,
        "return followers >= self._majority",
        "return followers + self._is_voter >= self._majority",
        f"{RAFT_PAPER_TESTS}::test_thesis_10_2_1_a_leader_syncs_at_once_where_the_others_do_not_suffice",
        simulated=False,
    ),
    Mutant(
        "a learner that is silent is given its vote",
        DUTIES,
        "if progress.live and progress.match_index >= committed:",
        "if progress.match_index >= committed:",
        "tests/replica/test_duties.py::test_a_learner_that_has_caught_up_and_is_silent_gets_no_vote",
        simulated=False,
    ),
    Mutant(
        "the lead is handed to who has most, whether it votes or not",
        RAFT_LEADERSHIP,
        "return max(self._others, key=lambda voter: (",
        "return max(self.progress, key=lambda voter: (",
        f"{BETWEEN_TWO_STEPS_TESTS}::test_the_lead_goes_to_no_learner_though_that_has_most",
        simulated=False,
    ),
    Mutant(
        "a learner stands for leader",
        RAFT_CORE,
        "if disk_hangs or not self._configurations.may_campaign(self.node, self.commit_index):",
        "if disk_hangs:",
        f"{RAFT_CHANGES_TESTS}::test_thesis_4_2_2_a_leader_that_is_removed_leads_until_that_is_committed_and_does_not_count_itself",
        simulated=False,
    ),
    Mutant(
        "who is being removed stands no more, though that is not committed",
        RAFT_CONFIGURATIONS,
        "return node in self.current.voters or node in self.at(commit_index)[1].voters",
        "return node in self.current.voters",
        f"{BETWEEN_TWO_STEPS_TESTS}::test_thesis_4_2_2_who_is_being_removed_may_stand_until_that_is_committed",
        simulated=False,
    ),
    Mutant(
        "who is removed is not told that it is committed",
        RAFT_LEADERSHIP,
        "min(progress.match_index, progress.commit_sent) >= configuration_index",
        "progress.match_index >= configuration_index",
        f"{BETWEEN_TWO_STEPS_TESTS}::test_who_is_removed_is_told_that_it_is_committed_before_it_is_forgotten",
        simulated=False,
    ),
    Mutant(
        "another takes the lead than the one that was asked for",
        RAFT_LEADERSHIP,
        "if not transfer.chosen and not self.progress[transfer.target].live:",
        "if not self.progress[transfer.target].live:",
        f"{BETWEEN_TWO_STEPS_TESTS}::test_the_lead_goes_to_the_one_that_was_asked_for_or_to_none",
        simulated=False,
    ),
    Mutant(
        "a leader that is being removed asks one too few to confirm its reads",
        RAFT_LEADERSHIP,
        "nearest[: self._majority - self._is_voter]",
        "nearest[: self._majority - 1]",
        f"{BETWEEN_TWO_STEPS_TESTS}::test_thesis_4_2_2_a_leader_that_is_being_removed_asks_as_many_as_it_takes",
        simulated=False,
    ),
    # The identity of the newest member's folder
    Mutant(
        "the first folder that a newcomer shows is bound, though it came again with another",
        DUTIES,
        "self._to_bind[newcomer] = folder",
        "self._to_bind.setdefault(newcomer, folder)",
        f"{NEWEST_MEMBER_TESTS}::test_the_folder_is_bound_with_which_a_newcomer_came_last",
        simulated=False,
    ),
    Mutant(
        "a peer is introduced to members that are not committed yet",
        INTRODUCTIONS,
        "formation = Formation(formation.cluster, core.configuration_at(core.commit_index)[1])",
        "formation = Formation(formation.cluster, core.configuration)",
        f"{NEWEST_MEMBER_TESTS}::test_a_peer_is_told_of_the_members_that_are_committed_alone",
        simulated=False,
    ),
    Mutant(
        "a newcomer takes itself for a member before its folder is bound",
        SERVER_FORMATION,
        "if member is not None and member.folder == self.folder:",
        'if member is not None and member.folder in ("", self.folder):',
        f"{NEWEST_MEMBER_TESTS}::test_a_newcomer_is_a_member_when_its_own_folder_is_bound",
        simulated=False,
    ),
    Mutant(
        "the newest member is not got to know by who lacks it alone",
        INTRODUCTIONS,
        "if member is not None and member.id >= self._ports.core.configuration.next_id:",
        "if member is not None and member.id > self._ports.core.configuration.next_id:",
        f"{NEWEST_MEMBER_TESTS}::test_who_lacks_the_newest_member_alone_gets_to_know_it",
        simulated=False,
    ),
    Mutant(
        "the newest member is taken for one that was removed, where it is not known yet",
        SERVER_HANDSHAKE,
        "if hello.cluster == mine.cluster and node < mine.formation.configuration.next_id:",
        "if hello.cluster == mine.cluster and node <= mine.formation.configuration.next_id:",
        f"{NEWEST_MEMBER_TESTS}::test_who_lacks_the_newest_member_alone_gets_to_know_it",
        simulated=False,
    ),
    # A node that was removed while nobody could tell it
    Mutant(
        "the connection of a node that was removed while nobody could tell it stays open",
        INTRODUCTIONS,
        "peer not in kept and peer < committed.next_id:",
        "peer not in kept and peer < 0:",
        f"{REMOVED_TESTS}::test_it_learns_of_it_says_so_once_and_sends_its_clients_to_the_members",
        simulated=False,
    ),
    Mutant(
        "anybody is believed who says that a node has been removed",
        "trioraft/replica/removal.py",
        "if member is None or not member.folder or member.folder != hello.folder or formation is None:",
        "if formation is None:",
        f"{REMOVED_TESTS}::test_a_member_whose_folder_is_not_known_yet_is_not_believed",
        simulated=False,
    ),
    Mutant(
        "whom a leader counts on takes itself for removed",
        "trioraft/replica/removal.py",
        "if not self._by_log:",
        "if self._by_log:",
        f"{REMOVED_TESTS}::test_who_leads_or_follows_serves_on_whatever_it_is_told",
        simulated=False,
    ),
    # Clocks that jump while a node runs
    Mutant(
        "a node that was stopped judges at once who is silent",
        SERVER_ELECTION_TIMER,
        "counted = min(whole, self._rest + MAX_LATE)",
        "counted = whole",
        f"{CLOCKS_THAT_JUMP_TESTS}::test_of_a_jump_a_node_is_told_a_little_and_of_the_rest_never",
        simulated=False,
    ),
    Mutant(
        "what a stopped node has slept through is made up for bit by bit",
        SERVER_ELECTION_TIMER,
        "        self._told += whole * TICK_SECONDS\n",
        "        self._told += min(whole, self._rest + MAX_LATE) * TICK_SECONDS\n",
        f"{CLOCKS_THAT_JUMP_TESTS}::test_of_a_jump_a_node_is_told_a_little_and_of_the_rest_never",
        simulated=False,
    ),
    Mutant(
        "what comes to a node that rests is taken to have come when it was last told of time",
        "trioraft/server/driver.py",
        "        self.timer.catch_up()\n",
        "",
        "tests/replica/test_timeouts.py::test_the_time_given_counts_from_the_moment_at_which_a_request_comes",
        simulated=False,
    ),
    Mutant(
        "nobody asks for the time given with a request before time has passed",
        "trioraft/replica/requests.py",
        "bool(self.subscriptions.fan_out.opened or self.deadlines)",
        "bool(self.subscriptions.fan_out.opened)",
        "tests/replica/test_timeouts.py::test_so_it_does_where_there_is_a_leader",
        simulated=False,
    ),
    Mutant(
        "a leader rests to its next heartbeat though its disk waits for the next tick",
        REPLICA,
        "return 1 if core.leadership is not None and core.leadership.waits_for_tick else NEVER",
        "return NEVER",
        "tests/server/test_node_in_virtual_time.py::test_a_leader_syncs_in_the_next_tick_what_it_left_for_that",
        simulated=False,
    ),
    Mutant(
        "requests about leases that have come are taken to be none",
        "trioraft/replica/lease_requests.py",
        "        self.may_wait = True\n        following",
        "        following",
        "tests/replica/test_lease_requests.py::test_each_node_answers_at_once_though_it_was_asked_nothing_for_long",
        simulated=False,  # who is not answered asks another node
    ),
    Mutant(
        "an event that has not left follows the answer to a cancel",
        "trioraft/replica/subscriptions.py",
        "last = None if subscriber is None else subscriber.take_back(id)",
        "last = None if subscriber is None or opened is None else subscriber.take_back(id)",
        "tests/replica/test_lock_waits.py::test_so_does_one_that_comes_before_the_event_has_left",
        simulated=False,
    ),
    Mutant(
        "a node rests beyond the time given with a request",
        REPLICA,
        "self.requests.ticks_until_due, self._lease_clock",
        "self._lease_clock",
        "tests/replica/test_timeouts.py::test_the_time_given_counts_from_the_moment_at_which_a_request_comes",
        simulated=False,
    ),
    Mutant(
        "a node wakes for the time given with a request that is answered",
        "trioraft/replica/alarms.py",
        "while self._heap and self._open(self._heap[0]) is None:",
        "while False:",
        "tests/replica/test_timeouts.py::test_a_node_rests_whatever_time_it_was_given_for_what_is_answered",
        simulated=False,
    ),
    # What a reply reflects
    Mutant(
        "a message counts for the age of a state that lacks what it says",
        "trioraft/replica/freshness.py",
        "if index is not None and index <= core.last_applied:",
        "if index is not None:",
        "tests/server/test_revisions.py::test_what_a_leader_says_counts_once_it_is_applied_from_when_it_came",
        simulated=False,
    ),
    Mutant(
        "the state of a node that stood still grows no older meanwhile",
        "trioraft/replica/freshness.py",
        "        self._now += ticks + lost\n",
        "        self._now += ticks\n",
        "tests/server/test_revisions.py::test_the_state_of_a_node_that_stood_still_is_as_old_as_that_was_long",
        simulated=False,
    ),
    Mutant(
        "what is read after a standstill is taken for new",
        "trioraft/replica/freshness.py",
        "came = self._turned if self._stood_still else self._now",
        "came = self._now",
        "tests/server/test_revisions.py::test_what_is_read_after_a_standstill_came_before_it",
        simulated=False,
    ),
    Mutant(
        "a leader takes its own state for new",
        "trioraft/replica/requests.py",
        """            if self._node.core.role == "leader":
                return True
            slot.max_age_ms""",
        """            if self._node.core.role == "leader":
                return False
            slot.max_age_ms""",
        "tests/server/test_revisions.py::test_a_leader_that_nobody_hears_does_not_take_its_state_for_new",
        simulated=False,
    ),
    Mutant(
        "a read does not wait for the revision that it asks for",
        ANSWERING,
        "if read.min_rev and read.min_rev > self._reader.applied:",
        "if read.min_rev and not self._reader.applied:",
        "tests/server/test_revisions.py::test_a_stale_read_behind_one_that_waits_is_answered_after_it",
    ),
    Mutant(
        "a write has the read before it served below the revision that it asks for",
        ANSWERING,
        "_overtaken(read) if late else self._reader.reply(read)",
        "self._reader.reply(read)",
        "tests/server/test_revisions.py::test_a_later_write_has_no_read_served_below_the_revision_that_it_asks_for",
    ),
    Mutant(
        "only a stale read has a least revision",
        "trioraft/replica/requests.py",
        "if isinstance(request, ReadRequest):",
        "if isinstance(request, ReadRequest) and request.is_stale:",
        "tests/server/test_revisions.py::test_a_revision_that_does_not_come_is_not_waited_for_for_ever",
    ),
    Mutant(
        "who waits for a revision is forgotten when a snapshot brings it",
        "trioraft/replica/requests.py",
        """        self.placed.skip_to(index, term)
        self.applied(index)
""",
        """        self.placed.skip_to(index, term)
        self.reads.applied(index)
""",
        "tests/server/test_revisions.py::test_a_snapshot_of_the_leader_brings_the_revision_too",
        simulated=False,
    ),
    Mutant(
        "a reply reflects what is committed, applied or not",
        "trioraft/replica/reader.py",
        "return self._node.core.last_applied",
        "return self._node.core.commit_index",
        "tests/server/test_revisions.py::test_a_read_before_a_write_does_not_reflect_it",
    ),
    Mutant(
        "a client's patience is measured by the clock on the wall",
        CLIENT_CONNECTION,
        "        deadline = time.monotonic() + seconds\n"
        "        while True:\n"
        "            wait, is_last = attempts.next_wait(deadline - time.monotonic())",
        "        deadline = time.time() + seconds\n"
        "        while True:\n"
        "            wait, is_last = attempts.next_wait(deadline - time.time())",
        f"{CLOCKS_TESTS}::test_nothing_is_measured_by_the_clock_on_the_wall",
        simulated=False,
    ),
    Mutant(
        "how long the hub waits by itself is measured by the clock on the wall",
        SERVER_SOCKETS,
        "            lingers = time.perf_counter() < self._alone_until\n"
        "            self._ready = self._linger(eager, seconds) if lingers else self._poll(0)\n"
        "            returns = bool(self._ready) or seconds is not None\n"
        "            if returns and lingers:\n"
        "                return\n"
        "            if returns:\n"
        "                await trio.lowlevel.checkpoint()\n"
        "            else:\n"
        "                await trio.lowlevel.wait_readable(self.epoll.fileno())\n"
        "            self._alone_until = time.perf_counter() + ALONE_SECONDS",
        "            lingers = time.time() < self._alone_until\n"
        "            self._ready = self._linger(eager, seconds) if lingers else self._poll(0)\n"
        "            returns = bool(self._ready) or seconds is not None\n"
        "            if returns and lingers:\n"
        "                return\n"
        "            if returns:\n"
        "                await trio.lowlevel.checkpoint()\n"
        "            else:\n"
        "                await trio.lowlevel.wait_readable(self.epoll.fileno())\n"
        "            self._alone_until = time.time() + ALONE_SECONDS",
        f"{CLOCKS_TESTS}::test_nothing_is_measured_by_the_clock_on_the_wall",
        simulated=False,
    ),
    Mutant(
        "how long a write took is measured by the clock on the wall",
        SERVER_WRITER,
        "        began = time.monotonic()\n"
        "        try:\n"
        "            write()\n"
        "        except BaseException as error:  # `finished` raises it in the node's task\n"
        "            self._error = error\n"
        "        self._seconds = time.monotonic() - began",
        "        began = time.time()\n"
        "        try:\n"
        "            write()\n"
        "        except BaseException as error:  # `finished` raises it in the node's task\n"
        "            self._error = error\n"
        "        self._seconds = time.time() - began",
        f"{CLOCKS_TESTS}::test_nothing_is_measured_by_the_clock_on_the_wall",
        simulated=False,
    ),
    # Snapshots larger than any piece, and between two steps of a change of the members
    Mutant(
        "a line longer than two pieces is sent cut in the middle",
        STORAGE_SNAPSHOTS,
        "        while not end and offset < self.size:\n",
        "        while not end and len(parts) < 2 and offset < self.size:\n",
        f"{LARGE_SNAPSHOTS_TESTS}::test_lines_of_any_length_are_sent_whole",
        simulated=False,
    ),
    Mutant(
        "a snapshot names the members in force, and not those as of its end",
        SERVER_SNAPSHOTS,
        "*core.configuration_at(index), sections)",
        "*core.configuration_at(core.last_index), sections)",
        f"{LARGE_SNAPSHOTS_TESTS}::test_a_snapshot_has_the_members_as_of_its_end",
        simulated=False,
    ),
    Mutant(
        "a change of the members behind the snapshot is forgotten where that is installed",
        RAFT_CONFIGURATIONS,
        "self._history = [(index, configuration), *(later for later in self._history if later[0] > index)]",
        "self._history = [(index, configuration)]",
        f"{BETWEEN_TWO_STEPS_TESTS}::test_7_a_change_behind_the_snapshot_stays_in_force_where_that_is_installed",
        simulated=False,
    ),
    Mutant(
        "the pieces of two snapshots are put together",
        SERVER_SNAPSHOTS,
        "if old is None or self._incoming_point != point:",
        "if old is None:",
        f"{LARGE_SNAPSHOTS_TESTS}::test_a_newer_snapshot_begins_anew_whatever_has_come_of_an_older_one",
        simulated=False,
    ),
    Mutant(
        "the last piece of a snapshot is taken for all of it",
        SERVER_SNAPSHOTS,
        "if message.done and incoming.received == message.offset + len(message.data):",
        "if message.done:",
        f"{LARGE_SNAPSHOTS_TESTS}::test_the_last_piece_alone_is_no_snapshot",
        simulated=False,
    ),
    Mutant(
        "a line longer than what is read at once is taken for the end of a snapshot",
        STORAGE_SNAPSHOTS,
        'while not (end := parts[-1].rfind(b"\\n") + 1):',
        'if not (end := parts[-1].rfind(b"\\n") + 1):',
        f"{SNAPSHOTS_TESTS}::test_a_line_may_be_longer_than_what_is_read_at_once",
        simulated=False,
    ),
    Mutant(
        "an older configuration comes back where a newer one was compacted away",
        RAFT_CONFIGURATIONS,
        "while len(self._history) > 1 and self._history[1][0] <= index:",
        "while len(self._history) > 1:",
        f"{BETWEEN_TWO_STEPS_TESTS}::test_7_a_change_behind_the_snapshot_goes_where_its_entry_is_truncated",
        simulated=False,
    ),
    # Limits counted in characters or bytes, on the fast paths
    Mutant(
        "keys beyond ASCII are measured in characters where lines are read at once",
        WIRE_PARSING,
        'bytes(set(range(128)) - set(b"{}[]\\\\\\r\\n"))',
        'bytes(set(range(256)) - set(b"{}[]\\\\\\r\\n"))',
        f"{LIMITS_TESTS}::test_what_is_named_is_counted_in_bytes",
        simulated=False,
    ),
    Mutant(
        "escapes are not looked at where lines are read at once",
        WIRE_PARSING,
        'bytes(set(range(128)) - set(b"{}[]\\\\\\r\\n"))',
        'bytes(set(range(128)) - set(b"{}[]\\r\\n"))',
        f"{LIMITS_TESTS}::test_what_is_named_is_counted_in_bytes",
        simulated=False,
    ),
    Mutant(
        "where a scan goes on is measured in characters",
        WIRE_PARSING,
        'for name in ("key", "prefix", "after", "name", "lock"):',
        'for name in ("key", "prefix", "name", "lock"):',
        f"{LIMITS_TESTS}::test_what_is_named_is_counted_in_bytes",
        simulated=False,
    ),
    Mutant(
        "a key that is escaped is measured in characters",
        WIRE_PARSING,
        "if escapes or not line.isascii():",
        "if not line.isascii():",
        f"{LIMITS_TESTS}::test_what_is_named_is_counted_in_bytes",
        simulated=False,
    ),
    Mutant(
        "a key that is typed is measured in characters",
        WIRE_PARSING,
        "if key and len(key.encode()) <= MAX_KEY_BYTES:",
        "if key and len(key) <= MAX_KEY_BYTES:",
        f"{LIMITS_TESTS}::test_a_key_that_is_typed_is_counted_in_bytes_too",
        simulated=False,
    ),
    Mutant(
        "a line that comes in one piece may be longer than the limit",
        WIRE_FRAMING,
        'data.find(b"\\n") == len(data) - 1 <= self.limit and',
        'data.find(b"\\n") == len(data) - 1 and',
        f"{LIMITS_TESTS}::test_a_line_is_as_long_as_the_limit_at_most_however_it_comes",
        simulated=False,
    ),
    Mutant(
        "lines that come together may each be longer than the limit",
        SERVER_SESSION,
        "if not 0 < end - begin <= self._buffer.limit:",
        "if not 0 < end - begin:",
        f"{LIMITS_TESTS}::test_of_lines_that_come_together_none_may_be_longer_than_the_limit",
        simulated=False,
    ),
    Mutant(
        "a merged request may be longer than the limit",
        SERVER_CLIENTS,
        "min(node.max_request_bytes, JOINING_BYTES)",
        "JOINING_BYTES",
        f"{GATHERING_TESTS}::test_who_asks_for_more_than_is_allowed_is_told_so_also_among_many",
        simulated=False,
    ),
    Mutant(
        "lines that are read at once are as many as if nothing were under way",
        SERVER_SESSION,
        "read_alike(self._whole, MAX_UNANSWERED - self._count,",
        "read_alike(self._whole, MAX_UNANSWERED,",
        f"{LIMITS_TESTS}::test_no_more_are_under_way_at_once_than_the_limit_however_they_come",
        simulated=False,
    ),
    Mutant(
        "lines that are read at once may be of any size in all",
        SERVER_SESSION,
        "        if self._bytes + size > MAX_UNANSWERED_BYTES:\n            return None\n        self._whole",
        "        self._whole",
        f"{LIMITS_TESTS}::test_replies_that_are_large_count_though_the_lines_are_read_at_once",
        simulated=False,
    ),
    Mutant(
        "a page of a scan is measured in characters",
        KV_STORE,
        "size += len(key.encode()) + (0 if",
        "size += len(key) + (0 if",
        f"{LIMITS_TESTS}::test_a_page_of_a_scan_is_counted_in_bytes",
        simulated=False,
    ),
    # Messages to a node that no longer leads
    Mutant(
        "who asks a node that leads no more what its reads must see hears nothing",
        REPLICA_READS,
        "            self._node.send(sender, ReadIndexReply(message.number, None))\n            return\n",
        "            return\n",
        f"{PASSED_ON_TESTS}::test_who_asks_a_node_that_does_not_lead_what_its_reads_must_see_is_told_so",
        simulated=False,
    ),
    Mutant(
        "peers whose reads a leader was confirming do not hear that it leads no more",
        REPLICA_READS,
        "                self._node.send(reads[0], ReadIndexReply(reads[1], None))\n",
        "                pass\n",
        f"{PASSED_ON_TESTS}::test_whose_reads_a_leader_was_confirming_hears_that_it_leads_no_more",
        simulated=False,
    ),
    Mutant(
        "a change that was passed on is passed on again",
        SERVER_ADMINISTRATION,
        "            elif task.refuse is not None:\n"
        "                del self._tasks[task]\n"
        "                task.refuse()\n",
        "",
        f"{PASSED_ON_TESTS}::test_a_change_that_was_passed_on_is_not_passed_on_again",
        simulated=False,
    ),
    Mutant(
        "another leader's entry is taken for the change that was to stand there",
        SERVER_ADMINISTRATION,
        "elif core.commit_index >= task.index and core.log.term_at(task.index) == task.term:",
        "elif core.commit_index >= task.index:",
        f"{PASSED_ON_TESTS}::test_anothers_entry_in_its_place_is_not_taken_for_the_change",
        simulated=False,
    ),
    Mutant(
        "a new leader does not count what it finds uncommitted",
        RAFT_CORE,
        "        self.leadership.uncommitted_bytes = self.log.slice(self.commit_index + 1, self.log.last_index).size\n",
        "",
        f"{BETWEEN_TWO_STEPS_TESTS}::test_a_new_leader_takes_nothing_new_while_too_much_that_it_finds_is_uncommitted",
        simulated=False,
    ),
    Mutant(
        "who led goes on to be waited for as its own leader",
        RAFT_CORE,
        "        self.leader = None\n        self._leadership_news = Lost(reason)\n",
        "        self._leadership_news = Lost(reason)\n",
        RAFT_SCRIPTS_TESTS,
        simulated=False,
    ),
    # Connections that are half gone
    Mutant(
        "writes are passed on to who could not answer",
        SERVER_PEERS,
        "return peer in self._links and peer in self._incoming",
        "return peer in self._links",
        f"{HALF_GONE_TESTS}::test_nothing_is_passed_on_to_who_cannot_answer",
        simulated=False,
    ),
    Mutant(
        "what a peer was asked is waited for though its connection to this node broke",
        REPLICA,
        "            self.assembly.gone(peer)\n        self._link_lost(peer)\n",
        "            self.assembly.gone(peer)\n",
        f"{HALF_GONE_TESTS}::test_what_was_asked_is_given_up_when_the_way_back_is_gone",
        simulated=False,
    ),
    Mutant(
        "a peer that comes anew is taken to have heard all that it was told",
        SERVER_PEERS,
        "            old.close()\n            self.lose(old)\n",
        "            old.close()\n",
        f"{HALF_GONE_TESTS}::test_what_was_asked_is_given_up_when_the_leader_has_dialled_anew",
        simulated=False,
    ),
    Mutant(
        "a last line without an end is not answered",
        SERVER_SESSION,
        "            if rest := self._buffer.finish():\n                self._lines.append(rest)\n",
        "            self._buffer.finish()\n",
        f"{HALF_GONE_TESTS}::test_the_last_line_is_answered_though_it_has_no_end",
        simulated=False,
    ),
    Mutant(
        "who says little and then its last is waited for",
        "trioraft/server/accepting.py",
        '            if not data and start:\n                client.received(b"")\n',
        "",
        f"{HALF_GONE_TESTS}::test_the_last_line_is_answered_though_it_has_no_end",
        simulated=False,
    ),
    Mutant(
        "a connection that has ended is read on and on",
        SERVER_SOCKETS,
        "self._reading = not self._ended\n",
        "self._reading = True\n",
        f"{HALF_GONE_TESTS}::test_a_half_that_has_ended_is_told_of_once_and_costs_nothing_then",
        simulated=False,
    ),
    Mutant(
        "a connection that breaks while it is not read stays",
        SERVER_SOCKETS,
        "            elif events & _BROKEN:\n                self._break()\n",
        "",
        f"{HALF_GONE_TESTS}::test_a_connection_that_is_not_read_is_found_to_be_broken",
        simulated=False,
    ),
    Mutant(
        "a change of the members that was asked over a broken connection is waited for",
        REPLICA,
        "        self.requests.link_lost(peer)\n        self.administration.link_lost(peer)\n",
        "        self.requests.link_lost(peer)\n",
        f"{HALF_GONE_TESTS}::test_what_was_asked_is_given_up_when_the_way_back_is_gone",
        simulated=False,
    ),
    Mutant(
        "what a peer's earlier process has asked is answered to the next",
        SERVER_ADMINISTRATION,
        "        self._tasks = {task: None for task in self._tasks if task.asker != peer}\n",
        "",
        f"{PASSED_ON_TESTS}::test_what_an_earlier_process_of_a_peer_has_asked_is_not_answered_to_the_next",
        simulated=False,
    ),
    Mutant(
        "what the reads of a peer's earlier process must see is said to the next",
        REPLICA_READS,
        "            if isinstance(reads, tuple) and reads[0] == peer:\n",
        "            if False:\n",
        f"{PASSED_ON_TESTS}::test_what_the_reads_of_an_earlier_process_must_see_is_not_said_to_the_next",
        simulated=False,
    ),
)
