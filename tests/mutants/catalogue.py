"""Known mistakes, as small changes to the source, and what must catch each.

`kills` names the fitting test. The simulation must catch a mutant of the protocol or of storage as well.
The text to be replaced must stand exactly once in its file, so that a change of the source is noticed.
"""

from __future__ import annotations

from tests.mutants.around_the_machine import AROUND_THE_MACHINE
from tests.mutants.blind_spots import BLIND_SPOTS
from tests.mutants.commands import COMMANDS
from tests.mutants.leases import LEASES
from tests.mutants.mutant import Mutant
from tests.mutants.state import STATE
from tests.mutants.streams import STREAMS

CORE = "trioraft/raft/core.py"
LEADERSHIP = "trioraft/raft/leadership.py"
CAMPAIGN = "trioraft/raft/campaign.py"
OUTBOX = "trioraft/raft/outbox.py"
LOG = "trioraft/raft/log.py"
PROGRESS = "trioraft/raft/progress.py"
QUORUM = "trioraft/raft/quorum.py"
READS = "trioraft/raft/reads.py"
SEGMENTS = "trioraft/storage/log.py"
DISK = "trioraft/storage/disk.py"
FOLDER = "trioraft/storage/folder.py"
FULL = "tests/processes/test_full_disks.py"
REBIRTH = "tests/cluster/test_disaster.py"
REQUESTS = "trioraft/replica/requests.py"
ANSWERING = "trioraft/replica/answering.py"
READER = "trioraft/replica/reader.py"
REPLICA_READS = "trioraft/replica/reads.py"
PROPOSALS = "trioraft/replica/proposals.py"
PLACED = "trioraft/replica/placed.py"
APPLIER = "trioraft/replica/applier.py"
ALARMS = "trioraft/replica/alarms.py"
FORWARDING = "trioraft/replica/forwarding.py"
STORE = "trioraft/kv/store.py"
WRITES = "trioraft/kv/writes.py"
ENTRIES = "trioraft/wire/entries.py"
PEERS = "trioraft/wire/peers.py"
WRITER = "trioraft/server/disk_thread.py"
ADMINISTRATION = "trioraft/replica/administration.py"
DRIVER = "trioraft/server/driver.py"
REPLICA = "trioraft/replica/replica.py"
INTRODUCTIONS = "trioraft/replica/introductions.py"
PEER_CONNECTIONS = "trioraft/server/peers.py"
HANDSHAKE = "trioraft/cluster/handshake.py"
CLIENTS = "trioraft/server/clients.py"
ACCEPTING = "trioraft/server/accepting.py"
RECKONING = "trioraft/replica/reckoning.py"
UNREAD = "tests/replica/test_unread_replies.py"
GATHERING_TESTS = "tests/server/test_gathering.py"
NODES = "tests/server/test_node_in_virtual_time.py"
PIPELINES = "tests/server/test_pipelines.py"
PAPER = "tests/raft/test_raft_paper.py"
DUTIES = "tests/replica/test_duties.py"
ANSWERS = "tests/raft/test_whose_answers_count.py"
REMOVALS = "tests/replica/test_members_in_virtual_time.py"
CHANGES = "tests/raft/test_raft_changes.py"
SNAPSHOTS = "trioraft/replica/snapshots.py"
FAILING = "tests/replica/test_failing_snapshots.py"
SOCKETS = "trioraft/server/sockets.py"
SESSION = "trioraft/replica/session.py"
SLOTS = "trioraft/replica/slots.py"
DOOR = "trioraft/server/door.py"
SLICES = "tests/server/test_slices.py"
GONE = "tests/server/test_gone_connections.py"
LOGS = "trioraft/server/logs.py"
REPEATS = "trioraft/server/repeats.py"
UNDRAINED = "tests/server/test_log_not_drained.py"
COUNTED = "tests/server/test_repeats.py"
TIMEOUTS = "tests/replica/test_timeouts.py"
STRANGERS = "tests/server/test_strangers_in_the_log.py"
TRAVELS = f"{SLICES}::test_a_value_that_travels_longer_than_an_election_timeout_costs_no_election"
UNFORESEEN = "tests/server/test_unforeseen.py"
FAILURES = "trioraft/replica/failures.py"

MUTANTS = (
    # Votes and terms
    Mutant(
        "a vote is answered before it is synced",
        CORE,
        """        self._answer(sender, RequestVoteReply(self.term, granted))
""",
        """        self._outbox.send(sender, RequestVoteReply(self.term, granted))
""",
        f"{PAPER}::test_5_2_a_vote_is_synced_before_it_is_told",
    ),
    Mutant(
        "a term is answered before it is synced",
        OUTBOX,
        "durable = hard_state == self._durable_hard_state\n",
        "durable = True\n",
        f"{PAPER}::test_5_2_a_vote_is_synced_before_it_is_told",
    ),
    Mutant(
        "a repeated vote request is refused",
        CORE,
        "granted = self.hard_state.voted_for in (None, sender) and",
        "granted = self.hard_state.voted_for is None and",
        f"{PAPER}::test_5_2_one_vote_a_term_first_come_first_served_and_the_same_answer_twice",
    ),
    Mutant(
        "two votes in one term",
        CORE,
        "granted = self.hard_state.voted_for in (None, sender) and",
        "granted =",
        f"{PAPER}::test_5_2_one_vote_a_term_first_come_first_served_and_the_same_answer_twice",
    ),
    Mutant(
        "logs are compared by length",
        LOG,
        "return (last_term, last_index) >= (self.last_term, self.last_index)",
        "return last_index >= self.last_index",
        f"{PAPER}::test_5_4_1_votes_go_to_logs_at_least_as_up_to_date_by_term_and_then_index",
    ),
    Mutant(
        "votes go to any log",
        LOG,
        "return (last_term, last_index) >= (self.last_term, self.last_index)",
        "return True",
        f"{PAPER}::test_5_4_1_votes_go_to_logs_at_least_as_up_to_date_by_term_and_then_index",
    ),
    Mutant(
        "no pre-vote",
        CORE,
        """        self._campaign = Campaign("pre-candidate")
""",
        """        self._stand()
        return
""",
        f"{PAPER}::test_thesis_9_6_a_pre_vote_changes_nothing_at_either_end",
    ),
    Mutant(
        "no check-quorum",
        LEADERSHIP,
        "return disk_hangs or not quorum.heard_from(self._configuration.voters, active)",
        "return disk_hangs",
        f"{PAPER}::test_check_quorum_a_leader_that_nobody_answers_says_so",
    ),
    Mutant(
        "messages of an older term are obeyed",
        CORE,
        "        elif message.term < own:\n",
        "        elif message.term < own and isinstance(message, RequestVote):\n",
        f"{PAPER}::test_5_1_a_higher_term_is_adopted_and_a_lower_one_is_answered_with_ones_own",
    ),
    Mutant(
        "a late refusal takes a vote back",
        CAMPAIGN,
        "self._votes[voter] = granted or self._votes.get(voter, False)",
        "self._votes[voter] = granted",
        f"{PAPER}::test_5_2_a_vote_that_was_granted_is_not_taken_back_by_a_late_refusal",
        simulated=False,  # it costs an election, and breaks nothing
    ),
    # Replication and commitment
    Mutant(
        "an entry of an older term is committed by counting",
        LEADERSHIP,
        "return index if index > commit_index and index >= self.start else commit_index",
        "return index if index > commit_index else commit_index",
        f"{PAPER}::test_5_4_2_figure_8_copies_of_an_older_term_commit_nothing",
    ),
    Mutant(
        "a shorter AppendEntries truncates",
        CORE,
        """        new = entries[self.log.first_conflict(entries) :]
        if not new:
            return True
""",
        """        new = entries
        if not new:
            return True
""",
        f"{PAPER}::test_5_3_a_late_or_shorter_message_truncates_nothing",
    ),
    Mutant(
        "the entry before is not compared",
        CORE,
        "and self.log.term_at(message.prev_index) != message.prev_term:",
        "and self.log.term_at(message.prev_index) is None:",
        f"{PAPER}::test_5_3_entries_are_taken_only_after_the_one_before_them",
    ),
    Mutant(
        "commit_index goes beyond what was agreed",
        CORE,
        "self.commit_index = max(self.commit_index, min(message.commit_index, agreed))",
        "self.commit_index = max(self.commit_index, min(message.commit_index, self.log.last_index))",
    ),
    Mutant(
        "match_index goes back on a delayed answer",
        PROGRESS,
        """        if match_index <= self.match_index:
            return False
""",
        "",
        f"{PAPER}::test_a_late_answer_does_not_take_match_index_back",
    ),
    Mutant(
        "a follower acknowledges before its sync",
        CORE,
        "durable = min(agreed, self.durable_index)",
        "durable = agreed",
        f"{PAPER}::test_5_3_an_acknowledgement_waits_for_the_sync_and_a_round_does_not",
    ),
    Mutant(
        "the leader counts itself before its sync",
        LEADERSHIP,
        "matches.append(self._outbox.durable_index)",
        "matches.append(self._log.last_index)",
        f"{PAPER}::test_5_3_the_leader_counts_itself_only_as_far_as_it_has_synced",
    ),
    Mutant(
        "a late completion makes durable what was truncated meanwhile",
        OUTBOX,
        "        self._batch_last_index = min(self._batch_last_index, index - 1)\n",
        "",
        f"{PAPER}::test_what_was_truncated_while_it_was_written_is_not_durable_when_that_ends",
    ),
    Mutant(
        "what was truncated stays durable",
        OUTBOX,
        "        self.durable_index = min(self.durable_index, index - 1)\n",
        "",
    ),
    # Reads
    Mutant(
        "reads from the leader without confirming it",
        LEADERSHIP,
        "            self._confirm_reads()\n\n    def _ask_to_confirm",
        "            self.reads.round_answered(self.reads.round)\n\n    def _ask_to_confirm",
        f"{PAPER}::test_thesis_6_4_a_read_waits_for_an_own_entry_a_round_and_the_state",
    ),
    Mutant(
        "ReadIndex before an entry of its own term is committed",
        LEADERSHIP,
        "if commit_index >= self.start and self.reads.begin_round(commit_index):",
        "if self.reads.begin_round(commit_index):",
        f"{PAPER}::test_thesis_6_4_a_read_waits_for_an_own_entry_a_round_and_the_state",
    ),
    Mutant(
        "any answer confirms every round",
        LEADERSHIP,
        """        if message.round > progress.round_answered:
            progress.round_answered = message.round
            self._confirm_reads()
""",
        """        progress.round_answered = self.reads.round
        self._confirm_reads()
""",
        f"{PAPER}::test_an_answer_to_an_older_round_confirms_no_newer_one",
    ),
    Mutant(
        "a confirmed read does not wait for the state",
        READS,
        "while self._confirmed and self._confirmed[0][0] <= last_applied:",
        "while self._confirmed:",
        f"{PAPER}::test_thesis_6_4_a_read_waits_until_the_state_has_caught_up_with_its_index",
        simulated=False,  # the node applies what is committed before it serves reads
    ),
    Mutant(
        "a follower answers a read before it has applied what the leader named",
        REPLICA_READS,
        "elif message.index <= self._node.core.last_applied:",
        "elif message.index <= self._node.core.last_index:",
    ),
    Mutant(
        "a read does not wait for the writes before it",
        ANSWERING,
        "        while slot.is_first:\n",
        "        while True:\n",
        "tests/server/test_node_in_virtual_time.py::"
        "test_a_stale_read_waits_for_the_writes_before_it_though_one_of_them_is_refused",
    ),
    # Requests
    Mutant(
        "not applied, for a write that had been appended",
        ANSWERING,
        """reason, why, _UNKNOWN_HINT, "unknown", lost=True)""",
        """reason, why, _UNKNOWN_HINT, "no", lost=True)""",
        "tests/server/test_node_in_virtual_time.py::"
        "test_without_a_majority_writes_fail_and_say_so_and_stale_reads_go_on",
    ),
    Mutant(
        "a write that was passed on is passed on again",
        PROPOSALS,
        """        self._answering.fail_unknown(unplaced, "leader_changed")
""",
        """        self.held.extend(unplaced)
""",
    ),
    Mutant(
        "what was passed on to the leader of another term is taken",
        PROPOSALS,
        "message.term in (core.term, None)",
        "bool(message)",
        f"{NODES}::test_writes_through_a_follower_keep_their_order_while_the_lead_goes_and_comes_back",
    ),
    Mutant(
        "writes are passed on behind others that may be refused yet",
        FORWARDING,
        "return (core.leader, core.term) != self.lead",
        "return core.leader != self.lead.leader",
        f"{NODES}::test_nothing_is_sent_behind_a_write_that_was_refused_before_all_are_answered",
        simulated=False,  # that takes a refusal that is under way while another has arrived
    ),
    Mutant(
        "another leader's entry is taken for one's own",
        APPLIER,
        "                if slot.term != run.term:\n",
        "                if slot.term > run.term + 10**9:\n",
    ),
    Mutant(
        "puts that came together are taken to be committed together",
        APPLIER,
        "slice(done, done + last - first + 1)",
        "slice(done, None)",
    ),
    Mutant(
        "of puts that were committed apart the first are applied again",
        APPLIER,
        "[done : done + last - first + 1]\n    return",
        "[: last - first + 1]\n    return",
    ),
    Mutant(
        "a read is served before what was written before it, where writes are applied together",
        APPLIER,
        "                if index > first:\n",
        "                if index > first and slot.term != run.term:\n",
    ),
    Mutant(
        "puts that came together are answered before all are applied",
        ANSWERING,
        "                if len(slot.replies) < slot.count:\n",
        "                if len(slot.replies) < 1:\n",
    ),
    Mutant(
        "a read sees what was written behind it, where writes are applied together",
        APPLIER,
        "if slot.reads_before or slot.term != run.term:",
        "if slot.term != run.term:",
        "tests/server/test_node_in_virtual_time.py",
        simulated=False,
    ),
    Mutant(
        "lines that are read at once are not counted",
        "trioraft/wire/parsing.py",
        "return requests if len(requests) == count else None",
        "return requests",
        "tests/wire/test_requests.py",
        simulated=False,
    ),
    Mutant(
        "what does not say that it is a put is taken for one",
        "trioraft/wire/operations.py",
        'op: Literal["put"]',
        'op: Literal["put"] = "put"',
        "tests/wire/test_requests.py",
        simulated=False,
    ),
    # Storage
    Mutant(
        "no sync of the log",
        SEGMENTS,
        "        self._file.sync()\n        self.bytes_written += len(data)\n",
        "        self.bytes_written += len(data)\n",
    ),
    Mutant(
        "no sync of the folder after a rename",
        DISK,
        """        disk.rename(name + TEMPORARY, name)
        disk.sync_folder()
""",
        """        disk.rename(name + TEMPORARY, name)
""",
    ),
    Mutant(
        "no sync of a file before it gets its name",
        DISK,
        """            file.append(data)
            file.sync()
""",
        """            file.append(data)
""",
    ),
    Mutant(
        "a damaged header is taken for a fresh node",
        FOLDER,
        "        raise Damaged(NODE_FILE, 0, str(error)) from None\n",
        "        return None\n",
        "tests/storage/test_folder.py::test_no_damage_makes_a_folder_pass_for_a_fresh_one",
    ),
    Mutant(
        "a node starts where a restore was interrupted",
        FOLDER,
        "    if KEEPING in names or PLACING in names:\n",
        "    if False:\n",
        f"{REBIRTH}::test_a_recover_that_is_killed_anywhere_loses_nothing_and_is_finished_by_the_next",
        simulated=False,
    ),
    Mutant(
        "a full disk ends a node with the code of a bug",
        "trioraft/server/node.py",
        "        return DISK_FAILED\n",
        "        return INTERNAL\n",
        f"{FULL}::test_a_full_disk_ends_a_node_for_its_log_alone",
        simulated=False,
    ),
    Mutant(
        "a node that finds no room at its start is told to take another folder",
        "trioraft/server/node.py",
        "    if not DataFolder.may_be_a_nodes(options.data_dir):\n",
        "    if True:\n",
        f"{FULL}::test_a_full_disk_ends_a_node_for_its_log_alone",
        simulated=False,
    ),
    Mutant(
        "a snapshot takes the room that the log needs",
        "trioraft/storage/snapshots.py",
        "        if self._disk.room() < len(data):\n",
        "        if False:\n",
        "tests/storage/test_snapshots.py::test_a_snapshot_leaves_the_log_its_room",
        simulated=False,
    ),
    Mutant(
        "a new cluster's revisions begin where any other's of that backup do",
        "trioraft/cluster/disaster.py",
        "index = end.index + INDEX_LEAP + secrets.randbelow(INDEX_LEAP)",
        "index = end.index + INDEX_LEAP",
        f"{REBIRTH}::test_two_clusters_of_one_backup_begin_at_different_revisions",
        simulated=False,
    ),
    Mutant(
        "an unfinished backup stays",
        "trioraft/storage/backups.py",
        "        with suppress(FileNotFoundError):\n            os.unlink(part)\n",
        "        pass\n",
        "tests/storage/test_backups.py::test_where_it_does_not_come_to_its_end_nothing_is_left",
        simulated=False,
    ),
    Mutant(
        "a backup takes the place of a link",
        "trioraft/storage/backups.py",
        "Path(os.path.realpath(file))",
        "file",
        "tests/storage/test_backups.py::test_through_a_link_the_file_is_written_that_it_leads_to",
        simulated=False,
    ),
    Mutant(
        "damage in the middle is cut off as if it were a torn tail",
        SEGMENTS,
        "        if not marked or _has_mark(data[offset:]):\n",
        "        if not marked:\n",
        "tests/storage/test_log_damage.py",
    ),
    Mutant(
        "a torn tail stops the node",
        SEGMENTS,
        "        if not marked or _has_mark(data[offset:]):\n",
        "        if True:\n",
        "tests/storage/test_log_crashes.py",
    ),
    Mutant(
        "blank lines are nowhere damage",
        SEGMENTS,
        'data.rstrip(b"\\n") + b"\\n" if data.endswith(b"\\n\\n") else data',
        're.sub(rb"\\n+", b"\\n", data)',
        "tests/storage/test_log_damage.py",
        simulated=False,
    ),
    Mutant(
        "a failed sync is tried again",
        SEGMENTS,
        "        self._file.sync()\n        self.bytes_written += len(data)\n",
        """        try:
            self._file.sync()
        except OSError:
            self._file.sync()
        self.bytes_written += len(data)
""",
    ),
    Mutant(
        "what a killed process left is believed to be on the disk",
        SEGMENTS,
        """        self._file.write_at(scan.mark_at, scan.tail)
        self._file.truncate(scan.end)
        self._file.sync()
        self.write(scan.hard_state, ())
        self.marked = True
""",
        """        self._file.truncate(scan.end)
""",
        "tests/storage/test_log_crashes.py",
    ),
    Mutant(
        "what a killed process left is synced, and not written again",
        SEGMENTS,
        "        self._file.write_at(scan.mark_at, scan.tail)\n",
        "",
    ),
    Mutant(
        "a mark vouches for its own batch",
        SEGMENTS,
        """        mark = records.seal(self._mark_of(hard_state))
        data =""",
        """        if entries:
            self._last_index = entries[-1].index
        mark = records.seal(self._mark_of(hard_state))
        data =""",
    ),
    Mutant(
        "an entry that replaces another leaves what followed it",
        SEGMENTS,
        "        del self.entries[position:]\n        self.entries.append(entry)\n",
        "        self.entries[position : position + 1] = [entry]\n",
    ),
    Mutant(
        "what is cut from a run lacks its last entry",
        "trioraft/raft/runs.py",
        "self.lines[first - self.first : last - self.first + 1]",
        "self.lines[first - self.first : last - self.first]",
        "tests/raft/test_runs.py",
        simulated=False,  # with runs as long as they are there, few are cut
    ),
    Mutant(
        "a log that is cut within a run keeps what follows",
        "trioraft/raft/log.py",
        "self.append(Entries([run.cut(run.first, index - 1)]))",
        "self.append(Entries([run]))",
        "tests/raft/test_runs.py",
    ),
    # The store
    Mutant(
        "a condition is not looked at",
        WRITES,
        """        if self.if_rev is not None and (conflict := _unlike(state.get(self.key), self.if_rev)):
            return conflict
        lease = self.lease or 0
""",
        """        lease = self.lease or 0
""",
        "tests/kv/test_store.py",
    ),
    Mutant(
        "a key that comes again goes on counting its versions",
        STORE,
        "created, version = index, 1\n",
        "created, version = index, 2\n",
        "tests/kv/test_store.py",
    ),
    Mutant(
        "a small value that comes again counts as the first",
        STORE,
        "                version += 1\n",
        "",
        "tests/kv/test_store.py",
        simulated=False,  # all count alike
    ),
    Mutant(
        "entries that do not fit the checksum of their message are taken",
        PEERS,
        'if header.crc != f"{crc:08x}" or ',
        "if ",
        "tests/wire/test_lines.py",
        simulated=False,  # what is changed on its way is mostly no message any more
    ),
    Mutant(
        "commands that come together are not looked at",
        ENTRIES,
        'if parse(line) != Entry(index, term, "command", line):',
        "if False:",
        "tests/wire/test_lines.py",
        simulated=False,
    ),
    # The node around it, which the simulation of the core does not have
    Mutant(
        "a member is heard that comes back with an empty disk",
        HANDSHAKE,
        "    if member is None or not member.folder or member.folder == folder:\n",
        "    if True:\n",
        "tests/processes/test_bad_peers.py",
        simulated=False,
    ),
    Mutant(
        "another cluster's member is heard",
        HANDSHAKE,
        "    if hello.cluster != mine.cluster:\n",
        "    if False:\n",
        "tests/processes/test_bad_peers.py",
        simulated=False,
    ),
    Mutant(
        "an older copy of a folder is heard",
        HANDSHAKE,
        "        if hello.starts < starts:\n",
        "        if False:\n",
        "tests/processes/test_bad_peers.py",
        simulated=False,
    ),
    Mutant(
        "an answer is dropped while the connection to the peer is not up again",
        PEER_CONNECTIONS,
        "            self._early.setdefault(peer, []).append(message)\n",
        "            pass\n",
        "tests/server/test_node_in_virtual_time.py::"
        "test_a_write_passed_on_while_the_nodes_connect_anew_is_answered_soon",
        simulated=False,
    ),
    Mutant(
        "the node waits for its disk, and a slow sync silences it",
        WRITER,
        "PATIENCE_SECONDS: Final = 0.01\n",
        "PATIENCE_SECONDS: Final = 30.0\n",
        "tests/server/test_disk_thread.py::test_a_disk_that_hangs_is_given_up_for_now_and_its_end_is_told",
        simulated=False,
    ),
    Mutant(
        "a slow sync makes the leader step down",
        LEADERSHIP,
        "batch_elapsed >= self._settings.election_ticks\n        return disk_hangs",
        "batch_elapsed >= 2\n        return disk_hangs",
        f"{PAPER}::test_a_sync_of_200_ms_causes_no_election",
        simulated=False,  # it costs elections, and breaks nothing
    ),
    # Snapshots, members, and handing over
    Mutant(
        "what is not on the disk yet is compacted away",
        CORE,
        "self.log.compact(min(snapshot.index, index, self.durable_index))",
        "self.log.compact(min(snapshot.index, index))",
        f"{CHANGES}::test_what_is_not_synced_stays_in_the_log_though_a_snapshot_holds_it",
    ),
    Mutant(
        "a conflicting log is kept beside the snapshot",
        CORE,
        "        if self.log.term_at(snapshot.index) == snapshot.term:\n",
        "        if self.last_index >= snapshot.index:\n",
        f"{CHANGES}::test_7_a_log_that_conflicts_with_the_snapshot_is_discarded_whole",
    ),
    Mutant(
        "the log goes on though a snapshot has taken its place",
        OUTBOX,
        "        self._base = point\n",
        "        self._base = None\n",
        f"{CHANGES}::test_7_a_log_that_conflicts_with_the_snapshot_is_discarded_whole",
    ),
    Mutant(
        "a snapshot of more than is applied",
        SNAPSHOTS,
        "        index = core.last_applied\n",
        "        index = core.last_index\n",
    ),
    Mutant(
        "a snapshot shows what was written after it was begun",
        "trioraft/kv/view.py",
        "        if old is not None and key > self._given and key not in self._aside:\n",
        "        if False:\n",
        "tests/kv/test_view.py",
    ),
    Mutant(
        "a snapshot's list of keys is changed while it is gone through",
        "trioraft/kv/keys.py",
        "        if chunk.shared:\n            chunk = self._own(position)\n",
        "",
        "tests/kv/test_keys.py",
    ),
    Mutant(
        "what is read of a section at once is given to that section whole",
        "trioraft/storage/snapshots.py",
        "yield section, lines[:left]",
        "yield section, lines",
        "tests/storage/test_snapshots.py::test_each_section_gets_its_own_lines_in_order",
        simulated=False,  # there is one section
    ),
    Mutant(
        "a snapshot of format 1 is not read any more",
        "trioraft/wire/snapshots.py",
        "if format == 1:",
        "if format == 0:",
        "tests/storage/test_data_before.py",
        simulated=False,  # all write the same
    ),
    Mutant(
        "a snapshot gets its name before it is synced",
        "trioraft/storage/snapshots.py",
        "        self._file.sync()\n        self._file.close()\n",
        "        self._file.close()\n",
    ),
    Mutant(
        "the name of a snapshot is not synced",
        "trioraft/storage/snapshots.py",
        "        self._disk.sync_folder()\n\n\nclass SnapshotWriter(_Unfinished):",
        "\n\nclass SnapshotWriter(_Unfinished):",
    ),
    Mutant(
        "a configuration stays though its entry is truncated",
        CORE,
        "            self._configurations.truncate_from(first)\n",
        "",
        f"{CHANGES}::test_thesis_4_1_a_configuration_goes_with_its_entry_when_that_is_truncated",
    ),
    Mutant(
        "the members change before the leader has committed anything",
        CORE,
        "self.commit_index >= max(self._configurations.index, leadership.start)",
        "self.commit_index >= self._configurations.index",
        f"{CHANGES}::test_no_change_before_an_entry_of_the_leaders_own_term_is_committed",
        simulated=False,  # it takes two leaders and two rolled back changes; the paper's own example
    ),
    Mutant(
        "two changes of the members at a time",
        CORE,
        "self.commit_index >= max(self._configurations.index, leadership.start)",
        "self.commit_index >= leadership.start",
        f"{CHANGES}::test_thesis_4_1_one_change_at_a_time",
        simulated=False,  # each still differs by one; what it breaks is as rare as the one above
    ),
    Mutant(
        "a new leader counts everybody as live",
        PROGRESS,
        "        self.was_active = False\n",
        "        self.was_active = True\n",
        f"{ANSWERS}::test_a_new_leader_does_not_know_who_lives_until_they_answer_it",
        simulated=False,  # it costs the quorum only where somebody stays dead
    ),
    Mutant(
        "a removal does not wait until the leader knows who lives",
        ADMINISTRATION,
        "if live is not False:\n            return live is True",
        "if live is not False:\n            return True",
        f"{REMOVALS}::test_a_removal_held_during_an_election_waits_until_the_new_leader_knows_who_lives",
        simulated=False,
    ),
    Mutant(
        "a removal is refused before the leader knows who lives",
        ADMINISTRATION,
        "if live is not False:\n            return live is True",
        "if live:\n            return True",
        f"{REMOVALS}::test_the_dead_one_is_removed_also_during_an_election",
        simulated=False,
    ),
    Mutant(
        "a leader hands over for its own removal, whoever lives",
        ADMINISTRATION,
        "if not self._may_be_spared(request, configuration):",
        "if not self._is_own_end(request) and not self._may_be_spared(request, configuration):",
        f"{REMOVALS}::test_with_one_of_three_dead_neither_the_leader_nor_the_other_is_removed",
        simulated=False,
    ),
    Mutant(
        "one whose process is dead counts as live for a while",
        CORE,
        "            progress.lost()\n",
        "            pass\n",
        f"{ANSWERS}::test_whose_process_is_dead_does_not_live_until_it_answers",
        simulated=False,
    ),
    Mutant(
        "a new leader gives a vote to a learner that has caught up with nothing",
        "trioraft/replica/duties.py",
        "self._committed = leadership.start",
        "self._committed = 0",
        f"{DUTIES}::test_a_new_leader_gives_no_vote_to_a_learner_that_has_only_shown_itself",
        simulated=False,  # it costs time, and breaks nothing
    ),
    Mutant(
        "who has no vote counts when it is asked who lives",
        QUORUM,
        "return len(set(voters) & set(active)) >= majority(len(voters))",
        "return len(set(active)) >= majority(len(voters))",
        f"{ANSWERS}::test_only_a_voters_answer_counts",
        simulated=False,
    ),
    Mutant(
        "a vote counts from anybody",
        QUORUM,
        "return sum(votes.get(voter, False) for voter in voters) >= majority(len(voters))",
        "return sum(votes.values()) >= majority(len(voters))",
        f"{ANSWERS}::test_only_a_voters_answer_counts",
        simulated=False,
    ),
    Mutant(
        "a change of the members does not wait for what is before it on its connection",
        ADMINISTRATION,
        "return self.slot is None or self.slot.is_first",
        "return True",
        f"{REMOVALS}::test_a_change_finds_what_those_before_it_on_its_connection_did",
        simulated=False,
    ),
    Mutant(
        "a change is answered before this node has it",
        ADMINISTRATION,
        'task.told, task.index = bytes(message.reply) + b"\\n", message.index',
        'task.told, task.index = bytes(message.reply) + b"\\n", 0',
        f"{REMOVALS}::test_a_change_that_was_passed_on_is_answered_when_this_node_has_it_too",
        simulated=False,
    ),
    Mutant(
        "an id is used again",
        "trioraft/raft/membership.py",
        "next_id=configuration.next_id + 1",
        "next_id=max(member.id for member in configuration.members) + 2",
        f"{CHANGES}::test_an_id_is_not_used_again",
        simulated=False,
    ),
    Mutant(
        "the base of the log is taken for common ground",
        "trioraft/raft/log.py",
        "(held := self.term_at(index)) is not None and held > term",
        "index > self.base_index and (held := self.term_at(index) or 0) > term",
        f"{CHANGES}::test_7_whose_log_has_an_older_term_at_the_base_is_sent_the_snapshot_too",
        simulated=False,  # liveness: the two ask and answer for ever
    ),
    Mutant(
        "writes are taken while the lead is handed over",
        CORE,
        "        if leadership.transfer is not None:\n            raise Transferring\n",
        "",
        f"{CHANGES}::test_thesis_3_10_nothing_new_is_taken_meanwhile",
        simulated=False,  # it only keeps the transfer from ending
    ),
    Mutant(
        "a transfer never times out",
        LEADERSHIP,
        "        if self.transfer is not None and self.transfer.tick(self._settings.election_ticks):\n"
        "            self.transfer = None\n",
        "",
        f"{CHANGES}::test_thesis_3_10_a_transfer_that_comes_to_nothing_is_given_up_after_an_election_timeout",
        simulated=False,
    ),
    Mutant(
        "anybody may tell a node to stand",
        CORE,
        "        if sender == self.leader and self.node in self.configuration.voters and not disk_hangs:\n",
        "        if not disk_hangs:\n",
        f"{CHANGES}::test_thesis_3_10_the_successor_stands_at_once_and_is_voted_for_though_the_leader_lives",
        simulated=False,
    ),
    Mutant(
        "a folder is taken for a newcomer's wherever it is",
        HANDSHAKE,
        "    if member is not None and not member.folder and servers[node : node + 1] != [member.address]:\n",
        "    if False:\n",
        "tests/cluster/test_handshake.py::test_a_newcomer_that_is_not_where_it_was_taken_in_is_refused",
        simulated=False,
    ),
    Mutant(
        "what a client asks next does not wait for what is merged",
        "trioraft/replica/slots.py",
        "        self._last = share\n",
        "",
        f"{GATHERING_TESTS}::test_what_a_client_asks_next_comes_after",
        simulated=False,
    ),
    Mutant(
        "a write does not wait for the merged read before it",
        "trioraft/replica/slots.py",
        "        if type(merged) is ReadSlot:\n            self._reads.append(merged)\n",
        "",
        f"{GATHERING_TESTS}::test_a_write_that_is_committed_confirms_the_reads_before_it",
        simulated=False,
    ),
    Mutant(
        "requests are merged of a client that has more under way",
        CLIENTS,
        "not self.lines and self._session.fresh and",
        "not self.lines and",
        f"{GATHERING_TESTS}::test_who_has_more_under_way_asks_alone",
        simulated=False,
    ),
    Mutant(
        "an address that cannot be is taken in",
        "trioraft/wire/operations.py",
        "        self.address = str(parse_address(self.address))\n",
        "        pass\n",
        "tests/cli/test_addresses.py::test_the_protocol_refuses_such_an_address_before_any_effect",
        simulated=False,
    ),
    Mutant(
        "a resolver's own errors end a node",
        "trioraft/server/dialling.py",
        """    except Exception as error:
        raise OSError(errno.EHOSTUNREACH""",
        """    except MemoryError as error:
        raise OSError(errno.EHOSTUNREACH""",
        "tests/processes/test_addresses.py::test_a_cluster_that_holds_addresses_that_cannot_be_lives_and_gets_rid_of_them",
        simulated=False,
    ),
    Mutant(
        "a name's next address waits for the end of the one before",
        "trioraft/server/dialling.py",
        "with trio.move_on_after(stagger):",
        "with trio.move_on_after(60):",
        "tests/server/test_dialling.py::test_of_many_addresses_each_is_dialled_within_the_time_of_one",
        simulated=False,
    ),
    Mutant(
        "every dial begins with the same address",
        "trioraft/server/replicator.py",
        "                self._turn += 1\n",
        "",
        "tests/processes/test_names.py::"
        "test_nodes_reach_each_other_though_the_first_address_of_their_names_is_silent[mute]",
        simulated=False,
    ),
    Mutant(
        "one address that refuses makes a process dead whose other one is silent",
        "trioraft/server/dialling.py",
        "code != errno.ECONNREFUSED",
        "code == errno.ECONNREFUSED",
        "tests/server/test_dialling.py::test_a_process_is_dead_only_where_all_its_addresses_refuse",
        simulated=False,
    ),
    Mutant(
        "each dial of a name that hangs takes one more thread",
        "trioraft/names.py",
        "        if address not in _lookups:\n",
        "        if True:\n",
        "tests/server/test_dialling.py::test_names_that_hang_take_a_thread_each_and_keep_no_other_waiting",
        simulated=False,
    ),
    Mutant(
        "what a resolver answers is kept for ever",
        "trioraft/names.py",
        "                del _lookups[self._address]\n",
        "                pass\n",
        "tests/server/test_dialling.py::test_an_answer_that_comes_too_late_for_a_dial_is_for_the_next_one_alone",
        simulated=False,
    ),
    Mutant(
        "a resolver's answer of long ago is used",
        "trioraft/names.py",
        "        return time.monotonic() > self._answered + KEPT_SECONDS\n",
        "        return False\n",
        "tests/server/test_dialling.py::test_an_answer_is_not_used_when_it_has_become_old",
        simulated=False,
    ),
    Mutant(
        "a resolver may take all the time of a dial",
        "trioraft/server/dialling.py",
        "    with trio.move_on_after(RESOLVE_SECONDS):\n",
        "    with trio.CancelScope():\n",
        "tests/server/test_dialling.py::test_a_name_that_is_not_resolved_in_time_is_said_to_be",
        simulated=False,
    ),
    Mutant(
        "a resolver that answers after the node's end is told as a bug",
        "trioraft/server/dialling.py",
        "        with contextlib.suppress(trio.RunFinishedError):",
        "        with contextlib.suppress(MemoryError):",
        "tests/server/test_dialling.py::test_a_node_that_ends_does_not_wait_for_a_resolver",
        simulated=False,
    ),
    Mutant(
        "Ctrl-C at the start of a node waits for the resolver",
        "trioraft/server/sockets.py",
        "numeric(address) or look_up(address).wait(None)",
        "socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)",
        "tests/client/test_names_that_hang.py::test_a_command_does_not_wait_for_the_resolver",
        simulated=False,
    ),
    # Snapshots on a disk that fails
    Mutant(
        "a snapshot that finds no room ends its node",
        SNAPSHOTS,
        "        except Exception as error:\n            self._end_job()\n            self._pause(error)\n",
        "        except Exception:\n            raise\n",
        f"{FAILING}::test_no_room_anywhere_at_once_stops_nobody_and_is_tried_again_ever_more_seldom",
    ),
    Mutant(
        "what was written of a failed snapshot stays",
        SNAPSHOTS,
        "            if made:\n                yield made[0].abandon\n            served",
        "            served",
        f"{FAILING}::test_whatever_operation_of_taking_one_fails_the_node_goes_on",
        simulated=False,  # it costs room alone
    ),
    Mutant(
        "the pause after a failed snapshot never grows",
        SNAPSHOTS,
        "settings.retry_ticks << min(self._failures, 30)",
        "settings.retry_ticks",
        f"{FAILING}::test_no_room_anywhere_at_once_stops_nobody_and_is_tried_again_ever_more_seldom",
        simulated=False,
    ),
    Mutant(
        "a node's own snapshot gets in the way of the leader's again and again",
        SNAPSHOTS,
        "        if self._now < self._own_after:\n            return None\n",
        "",
        f"{FAILING}::test_ones_own_makes_way_for_the_leaders_and_does_not_get_in_its_way_again",
        simulated=False,  # one in some hundred seeds does not converge
    ),
    Mutant(
        "a piece of the leader's snapshot ends the pauses after failures",
        SNAPSHOTS,
        "            if not self._installing or self._incoming is None:  # a piece alone is no success yet\n"
        "                self._failures = 0\n",
        "            self._failures = 0\n",
        f"{FAILING}::test_a_leaders_snapshot_that_fails_at_its_end_each_time_is_asked_for_ever_more_seldom",
        simulated=False,
    ),
    Mutant(
        "who asked for a snapshot that failed hears nothing",
        SNAPSHOTS,
        "            _tell(served, error)\n",
        "",
        f"{FAILING}::test_whatever_operation_of_taking_one_fails_the_node_goes_on",
        simulated=False,
    ),
    Mutant(
        "a failed removal of old files is not made up for",
        SNAPSHOTS,
        "        return self._tidy(newest) if newest is not None and self._untidy else None\n",
        "        return None\n",
        f"{FAILING}::test_what_a_failed_removal_of_old_files_has_left_is_removed_later",
        simulated=False,
    ),
    Mutant(
        "a leader that cannot read its snapshot ends",
        REPLICA,
        "self.snapshots.filled(message)",
        "self.snapshots.fill(message)",
        f"{FAILING}::test_a_snapshot_that_cannot_be_read_is_no_end_of_the_leader",
        simulated=False,
    ),
    Mutant(
        "where packets vanish the links wait for TCP",
        "trioraft/server/dialling.py",
        "    _notice_silence(race.winner)\n",
        "",
        "tests/server/test_dialling.py::test_a_connection_is_broken_soon_when_nothing_gets_through_any_more",
        simulated=False,
    ),
    Mutant(
        "an answer to a call is judged by what was acknowledged after it",
        INTRODUCTIONS,
        "        return self._judge(answer, self.introduction(peer), asked)\n",
        "        return self._judge(answer, self.introduction(peer), self.acknowledged(peer))\n",
        "tests/server/test_node_in_virtual_time.py::"
        "test_an_answer_to_a_call_is_judged_by_what_was_known_when_it_was_asked_for",
        simulated=False,  # refused once, and dialled again: only people are misled
    ),
    # The client
    Mutant(
        "a value keeps its line ends in a request",
        "trioraft/wire/codec.py",
        """    return bytes(decode(value, msgspec.Raw)).translate(_LINE_ENDS_TO_SPACES)
""",
        """    return bytes(decode(value, msgspec.Raw))
""",
        "tests/client/test_one_line.py::test_any_value_with_any_blanks_is_sent_in_one_line_and_is_the_same_value",
        simulated=False,
    ),
    Mutant(
        "a request's raw values are not looked at",
        "trioraft/client/protocol.py",
        """        return b"%b:%b" % (encode(name), one_line(encode(value)))
""",
        """        return b"%b:%b" % (encode(name), encode(value).replace(b"\\n", b" "))
""",
        "tests/client/test_one_line.py::test_what_is_no_request_is_refused_with_words_and_takes_no_reply_from_another",
        simulated=False,
    ),
    Mutant(
        "a write is sent to a node that has not answered yet",
        "trioraft/client/connection.py",
        """    return connection, connection.ping(seconds)
""",
        """    return connection, Reply(b'{"ok":true}')
""",
        "tests/client/test_silent_nodes.py::"
        "test_a_stopped_first_node_costs_neither_reads_nor_writes_and_is_not_tried_again",
        simulated=False,
    ),
    Mutant(
        "a node that is slow is taken for one that is gone",
        "trioraft/client/connection.py",
        """                if is_last or not is_there(self._socket):
""",
        """                if True:
""",
        "tests/client/test_silent_nodes.py::test_a_node_that_is_slow_to_answer_and_is_there_is_waited_for",
        simulated=False,
    ),
    Mutant(
        "a connection of long ago is written to unasked",
        "trioraft/client/connection.py",
        """        if attempts.is_fresh(self._heard, time.monotonic()):
""",
        """        if True:
""",
        "tests/client/test_silent_nodes.py::test_a_node_that_stops_between_two_calls_costs_no_write",
        simulated=False,
    ),
    Mutant(
        "a client waits for the resolver as long as it takes",
        "trioraft/client/connection.py",
        "look_up(address).wait(seconds)",
        "look_up(address).wait(60.0)",
        "tests/client/test_names_that_hang.py::test_the_nodes_behind_names_that_hang_are_reached",
        simulated=False,
    ),
    Mutant(
        "a node that was not tried is told to be silent",
        "trioraft/client/attempts.py",
        "failures.get(node, 'not tried')",
        "failures.get(node, 'timed out')",
        "tests/client/test_names_that_hang.py::test_what_is_told_of_each_node_is_true",
        simulated=False,
    ),
    Mutant(
        "a write goes out again though it may have been applied",
        "trioraft/client/attempts.py",
        '        harmless = self._repeats or refused.applied == "no"\n',
        "        harmless = True\n",
        "tests/client/test_attempts.py::test_a_request_goes_out_again_only_where_that_does_no_harm_and_may_help",
        simulated=False,
    ),
    Mutant(
        "a write goes out again though the node may have got it",
        "trioraft/client/attempts.py",
        "        if not self._repeats or (self._writes and now > self._end):\n",
        "        if self._writes and now > self._deadline:\n",
        "tests/client/test_silent_nodes.py::test_what_a_node_was_asked_before_it_stopped",
        simulated=False,
    ),
    Mutant(
        "a node is asked again and again without a pause",
        "trioraft/client/attempts.py",
        "        if rounds < 0:\n",
        "        if True:\n",
        "tests/client/test_attempts.py::test_each_node_is_asked_without_a_pause_and_then_the_pauses_grow",
        simulated=False,
    ),
    Mutant(
        "a line that nobody asked for is the reply to what was asked",
        "trioraft/client/protocol.py",
        """            if isinstance(reply, Push):
""",
        """            if isinstance(reply, Push) and not self._expected:
""",
        "tests/client/test_pushes.py::test_pushes_before_between_and_behind_replies_are_none_of_them",
        simulated=False,
    ),
    Mutant(
        "a watch resumes behind a revision of which it lacks events",
        "trioraft/client/standing.py",
        '        if push.raw("more") != b"true":\n            self._position = revision\n',
        "        self._position = revision\n",
        "tests/client/test_standing.py::test_a_watch_that_is_broken_off_resumes_behind_what_it_has_handed_out_whole",
        simulated=False,
    ),
    Mutant(
        "a watch that resumes inside a revision hands events out twice",
        "trioraft/client/standing.py",
        "        if self._seen <= self._handed_out:\n",
        "        if False:\n",
        "tests/client/test_standing.py::test_inside_a_revision_it_skips_as_many_events_as_it_has_handed_out",
        simulated=False,
    ),
    Mutant(
        "a watch skips on a new connection what it has not handed out",
        "trioraft/client/standing.py",
        '        self._cluster = reply["cluster"]\n        self._seen = 0\n',
        '        self._cluster = reply["cluster"]\n',
        "tests/client/test_standing.py::test_inside_a_revision_it_skips_as_many_events_as_it_has_handed_out",
        simulated=False,
    ),
    Mutant(
        "a watch goes back to an older sign of progress",
        "trioraft/client/standing.py",
        'self._position = max(self._position or 0, push["at"])',
        'self._position = push["at"]',
        "tests/client/test_standing.py::test_a_watch_that_is_broken_off_resumes_behind_what_it_has_handed_out_whole",
        simulated=False,
    ),
    Mutant(
        "a watch that has not shown all that is there goes on behind a sign of progress",
        "trioraft/client/standing.py",
        "        if self._is_synced or self._position is not None:\n",
        "        if True:\n",
        "tests/client/test_standing.py::test_one_that_begins_with_what_is_there_starts_over_until_it_is_synced",
        simulated=False,
    ),
    Mutant(
        "a watch goes on in another cluster",
        "trioraft/client/standing.py",
        "        if self._cluster is not None:\n",
        "        if False:\n",
        "tests/client/test_standing.py::test_the_first_node_is_asked_for_what_was_typed_and_the_next_for_the_same_cluster",
        simulated=False,
    ),
    Mutant(
        "a wait begins its time again at another node",
        "trioraft/client/standing.py",
        "return max(0.0, self._ends - now)",
        "return self._ends",
        "tests/client/test_standing.py::test_a_wait_that_has_to_wait_asks_the_next_node_for_the_time_that_is_left",
        simulated=False,
    ),
    Mutant(
        "a lease counts for all its ttl though clocks differ",
        "trioraft/client/tenure.py",
        "        self._ends = sent + ttl * (1 - MARGIN)\n",
        "        self._ends = sent + ttl\n",
        "tests/client/test_tenure.py::test_it_is_counted_from_when_the_grant_was_sent_less_a_tenth",
        simulated=False,
    ),
    Mutant(
        "a late answer takes back what a lease has already",
        "trioraft/client/tenure.py",
        "self._ends = max(self._ends, sent + self._ttl * (1 - MARGIN))",
        "self._ends = sent + self._ttl * (1 - MARGIN)",
        "tests/client/test_tenure.py::test_an_answered_keepalive_counts_from_when_it_was_sent_and_never_back",
        simulated=False,
    ),
    Mutant(
        "a lease that was lost is held again",
        "trioraft/client/tenure.py",
        """        if now >= self._ends:
            self._is_over = True
        return 0.0 if self._is_over else self._ends - now
""",
        """        return 0.0 if self._is_over else max(0.0, self._ends - now)
""",
        "tests/client/test_tenure.py::test_what_was_lost_stays_lost",
        simulated=False,
    ),
    Mutant(
        "a lease is counted from the answer to its keepalive",
        "trioraft/client/leases.py",
        "            self._tenure.kept(sent)\n",
        "            self._tenure.kept(clock())\n",
        "tests/client/test_kept_leases.py::test_it_is_counted_from_when_a_keepalive_was_sent",
        simulated=False,
    ),
    Mutant(
        "a write of a session that is gone is asked again",
        "trioraft/client/attempts.py",
        " and refused.code not in _FORGOTTEN\n",
        "\n",
        "tests/client/test_attempts.py::test_a_write_that_is_applied_once_goes_out_again_whatever_became_of_it",
        simulated=False,
    ),
    Mutant(
        "what an earlier attempt may have applied is said not to be",
        "trioraft/client/attempts.py",
        "        if was_uncertain and refused.code in OF_THE_ATTEMPT:\n",
        "        if False:\n",
        "tests/client/test_attempts.py::test_what_a_later_attempt_did_not_apply_an_earlier_one_may_have",
        simulated=False,
    ),
    Mutant(
        "the end of a command waits for the resolver",
        "trioraft/background.py",
        "daemon=True",
        "daemon=False",
        "tests/client/test_names_that_hang.py::test_a_command_does_not_wait_for_the_resolver",
        simulated=False,
    ),
    Mutant(
        "a key with a backslash in quotes is completed to another",
        "cli/trioraft_cli/words.py",
        """_ESCAPED: Final = '"\\\\'
""",
        """_ESCAPED: Final = '"'
""",
        "tests/cli/test_words.py::test_a_key_that_is_completed_and_then_read_is_that_key",
        simulated=False,
    ),
    Mutant(
        "a key forges rows of a scan",
        "cli/trioraft_cli/render.py",
        """    safe_rows = [[safe(cell) for cell in row] for row in rows]
    if""",
        """    safe_rows = [list(row) for row in rows]
    if""",
        "tests/cli/test_shown.py::test_members_whose_addresses_could_be_anything_are_a_row_each",
        simulated=False,
    ),
    Mutant(
        "a key with a blank looks like two columns",
        "cli/trioraft_cli/render.py",
        """    table = [[quote(row.key, encoding), """,
        """    table = [[row.key, """,
        "tests/cli/test_typed_and_stored.py::test_what_is_typed_at_the_prompt_is_what_is_stored_and_what_is_shown_can_be_typed",
        simulated=False,
    ),
    Mutant(
        "what a full disk does not take is forgotten",
        "cli/trioraft_cli/streams.py",
        """                raise StreamError(message, reader_left=error.errno == errno.EPIPE) from None
""",
        """                return size
""",
        "tests/processes/test_streams.py::test_output_that_cannot_be_written_is_a_failure",
        simulated=False,
    ),
    Mutant(
        "bytes that are no text are sent",
        "cli/trioraft_cli/arguments.py",
        """                self.fail(f"it holds {error}", param, ctx)
""",
        """                pass
""",
        "tests/processes/test_streams.py::test_arguments_that_are_no_text_are_refused_and_nothing_is_sent",
        simulated=False,
    ),
    Mutant(
        "pasted lines are one command",
        "cli/trioraft_cli/typed.py",
        """    lines = [line for line in re.split(r"[\\r\\n]+", text) if line.strip() and not is_remark(line)]
""",
        """    lines = [text] if text.strip() else []
""",
        "tests/cli/test_prompt.py::test_two_pasted_lines_are_two_commands_each_shown",
        simulated=False,
    ),
    Mutant(
        "a value that is not sent fills a page of keys",
        "trioraft/kv/store.py",
        "(0 if keys_only else len(item.value))",
        "len(item.value)",
        "tests/kv/test_store.py::test_a_scan_is_bounded_in_bytes_but_gives_one_item_in_any_case",
        simulated=False,
    ),
    Mutant(
        "a count has no revision",
        "trioraft/wire/replies.py",
        'return b\'"value":%d,"rev":%d\' % (value, rev)',
        "return b'\"value\":%d' % value",
        "tests/server/test_node_in_virtual_time.py::test_every_write_is_answered_with_the_revision_that_a_read_shows_then",
        simulated=False,
    ),
    Mutant(
        "a node of no cluster says that it follows",
        "trioraft/replica/reports.py",
        'return "unformed"',
        'return "follower"',
        "tests/server/test_node_in_virtual_time.py::test_no_node_votes_before_all_have_been_up_together",
        simulated=False,
    ),
    Mutant(
        "node 10 stands before node 2",
        "cli/trioraft_cli/status.py",
        "key=lambda row: row[0])]",
        "key=lambda row: str(row[0]))]",
        "tests/cli/test_status.py::test_nodes_stand_in_the_order_of_their_numbers",
        simulated=False,
    ),
    Mutant(
        "put reads a key as no other command does",
        "cli/trioraft_cli/typed.py",
        "word, taking = next_word(taking)",
        'word, _, taking = taking.partition(" ")',
        "tests/cli/test_typed_and_stored.py::test_what_is_typed_at_the_prompt_is_what_is_stored_and_what_is_shown_can_be_typed",
        simulated=False,
    ),
    Mutant(
        "half of a surrogate pair is text",
        "cli/trioraft_cli/values.py",
        "        return text.encode()\n",
        '        return text.encode("utf-8", "surrogatepass")\n',
        "tests/cli/test_typed_and_stored.py::test_what_is_no_text_is_refused_with_words_and_nothing_else_is_raised",
        simulated=False,
    ),
    Mutant(
        "typing waits for the keys to be completed",
        "cli/trioraft_cli/completion.py",
        "await asyncio.wait_for(asyncio.wrap_future(asked), COMPLETION_SECONDS)",
        "asked.result(COMPLETION_SECONDS)",
        "tests/cli/test_completing.py::test_typing_goes_on_while_keys_are_waited_for",
        simulated=False,
    ),
    Mutant(
        "a node is asked for every letter",
        "cli/trioraft_cli/keyboard.py",
        "complete_while_typing=False",
        "complete_while_typing=True",
        "tests/cli/test_completing.py::test_while_somebody_only_types_no_node_is_asked",
        simulated=False,
    ),
    Mutant(
        "Ctrl-C raises wherever it comes",
        "cli/trioraft_cli/signals.py",
        "        if self._armed:\n",
        "        if True:\n",
        "tests/cli/test_signals.py::test_ctrl_c_breaks_off_a_command_once_and_nothing_beside_one",
        simulated=False,
    ),
    Mutant(
        "a signal breaks into the loop of the prompt",
        "cli/trioraft_cli/signals.py",
        "        if self._ask is None:\n            self.check()\n",
        "        self.check()\n        if self._ask is None:\n            pass\n",
        "tests/cli/test_signals.py::test_what_must_not_be_broken_off_is_asked_to_end",
        simulated=False,
    ),
    Mutant(
        "a terminal that is gone changes the exit code",
        "cli/trioraft_cli/signals.py",
        "        self._handled.__exit__(None, None, None)\n        self.check()\n",
        "        self._handled.__exit__(None, None, None)\n",
        "tests/cli/test_signals.py::test_who_is_told_to_leave_does_and_what_fails_on_the_way_changes_nothing",
        simulated=False,
    ),
    Mutant(
        "SIGTERM leaves the terminal as it is",
        "cli/trioraft_cli/signals.py",
        "(signal.SIGTERM, signal.SIGHUP)",
        "(signal.SIGHUP,)",
        "tests/processes/test_prompt_on_a_terminal.py::test_a_prompt_that_is_told_to_leave_leaves_the_terminal_as_it_was",
        simulated=False,
    ),
    Mutant(
        "Ctrl-C is a traceback while the program is loaded",
        "cli/trioraft_cli/__main__.py",
        "        signal.signal(signal.SIGINT, signal.SIG_DFL)\n    from",
        "        pass\n    from",
        "tests/processes/test_prompt_on_a_terminal.py::test_ctrl_c_before_the_program_is_loaded_ends_it_without_a_word",
        simulated=False,
    ),
    Mutant(
        "what an encoding has not looks like another key",
        "cli/trioraft_cli/words.py",
        "all(_is_shown(sign, encoding) and",
        "all(sign.isprintable() and",
        "tests/cli/test_words.py::test_what_an_encoding_has_not_is_escaped_so_that_the_key_can_be_told_and_typed",
        simulated=False,
    ),
    Mutant(
        "a snapshot that is asked for is taken for a read",
        "trioraft/wire/operations.py",
        """    kind="task",
    summary="let this node write a snapshot""",
        """    kind="local",
    summary="let this node write a snapshot""",
        f"{PIPELINES}::test_a_snapshot_holds_what_was_written_before_it_and_is_read_behind_it",
    ),
    # Pipelines
    Mutant(
        "what is written behind a change does not wait for it",
        SLOTS,
        """                slot.waits = True
                later.writes_behind.append(slot)
""",
        """                pass
""",
        f"{PIPELINES}::test_what_follows_a_change_finds_it_done_though_a_write_follows",
    ),
    Mutant(
        "what waited for a change goes its way twice",
        ANSWERING,
        "if write.commands and write.reply is None:",
        "if write.reply is None:",
        f"{PIPELINES}::test_a_write_behind_what_fails_at_once_is_done_once",
    ),
    Mutant(
        "what waited for a change waits for ever",
        ANSWERING,
        """            if isinstance(slot, LaterSlot) and slot.writes_behind:
                self._release(slot)
""",
        "",
        f"{PIPELINES}::test_what_follows_a_change_finds_it_done_though_a_write_follows",
    ),
    Mutant(
        "a snapshot is begun before what comes before it is done",
        ADMINISTRATION,
        """            if not slot.is_first:
                self._snapshots_wanted.append(slot)
            elif""",
        """            if""",
        f"{PIPELINES}::test_a_snapshot_holds_what_was_written_before_it_and_is_read_behind_it",
    ),
    Mutant(
        "a change that is answered does not let those behind it go on",
        ADMINISTRATION,
        "self._answering.answer(slot, replies.with_id(id, reply))",
        "slot.answer(replies.with_id(id, reply))",
        f"{PIPELINES}::test_random_pipelines_are_answered_in_order_through_every_node",
    ),
    Mutant(
        "what is asked last, without a newline, is not asked",
        SESSION,
        """            if rest := self._buffer.finish():
                self._lines.append(rest)
            return
""",
        """            self._buffer.finish()
            return
""",
        f"{PIPELINES}::test_random_pipelines_are_answered_in_order_through_every_node",
    ),
    Mutant(
        "who has asked its last is answered out of order",
        SESSION,
        """        slots = self._slots
        ready: list[Piece] = []
""",
        """        if self._ended:
            self._slots = deque(sorted(self._slots, key=lambda slot: slot.reply is None))
        slots = self._slots
        ready: list[Piece] = []
""",
        f"{PIPELINES}::test_random_pipelines_are_answered_in_order_through_every_node",
    ),
    Mutant(
        "who has asked its last is taken to be served when all is taken in",
        SESSION,
        "return not self._slots and (self.closing or",
        "return (self.closing or not self._slots or self._ended) and (self.closing or",
        f"{PIPELINES}::test_random_pipelines_are_answered_in_order_through_every_node",
    ),
    Mutant(
        "who has no vote follows a silent leader for ever",
        CORE,
        """        self.leader = None  # whoever may stand""",
        """        if self._configurations.may_campaign(self.node, self.commit_index):
            self.leader = None  # whoever may stand""",
        f"{CHANGES}::test_who_has_no_vote_forgets_a_leader_that_is_silent_too",
    ),
    Mutant(
        "a read that fails unforeseen ends the node",
        ANSWERING,
        "                elif (reply := self._reader.reply(slot)) is not None:\n",
        "                elif (reply := self._reader._read(slot)) is not None:\n",
        f"{UNFORESEEN}::test_a_read_of_any_kind_that_fails_is_answered",
        simulated=False,
    ),
    Mutant(
        "a line that fails unforeseen while it is read has no answer",
        SESSION,
        """            except Exception as error:
                self.reserve(len(line))""",
        """            except ValueError as error:
                self.reserve(len(line))""",
        f"{UNFORESEEN}::test_a_request_of_any_kind_that_cannot_be_read_is_answered",
        simulated=False,
    ),
    Mutant(
        "a request that cannot be read is answered without its id",
        FAILURES,
        """        id = id_of(line)
""",
        """        id_of(line)
""",
        f"{UNFORESEEN}::test_a_request_of_any_kind_that_cannot_be_read_is_answered",
        simulated=False,
    ),
    Mutant(
        "requests that fail unforeseen while they are read together end the connection",
        SESSION,
        """    except Exception:
        log.exception("requests could""",
        """    except ValueError:
        log.exception("requests could""",
        f"{UNFORESEEN}::test_requests_that_cannot_be_read_together_are_read_one_by_one",
        simulated=False,
    ),
    Mutant(
        "a request that was passed on and fails unforeseen ends the leader",
        ADMINISTRATION,
        """        except Exception as error:
            answer(internal""",
        """        except ValueError as error:
            answer(internal""",
        f"{UNFORESEEN}::test_what_is_passed_on_and_cannot_be_read_there_is_answered",
        simulated=False,
    ),
    Mutant(
        "what fails on one socket ends the node",
        SOCKETS,
        """                except Exception:
                    give_up""",
        """                except ValueError:
                    give_up""",
        f"{UNFORESEEN}::test_what_fails_on_a_socket_ends_that_alone",
        simulated=False,
    ),
    Mutant(
        "a connection that fails as it comes in ends the node",
        "trioraft/server/listener.py",
        """        except Exception:
            give_up""",
        """        except ValueError:
            give_up""",
        f"{UNFORESEEN}::test_a_failure_on_a_connection_ends_no_more_than_the_connection",
        simulated=False,
    ),
    Mutant(
        "replies that cannot be taken end the node",
        CLIENTS,
        """            return self._flush()
        except Exception:
""",
        """            return self._flush()
        except ValueError:
""",
        f"{UNFORESEEN}::test_a_failure_on_a_connection_ends_no_more_than_the_connection",
        simulated=False,
    ),
    Mutant(
        "requests that go alone and fail end the node",
        CLIENTS,
        """            self._take_lines()
        except Exception:
""",
        """            self._take_lines()
        except ValueError:
""",
        f"{UNFORESEEN}::test_a_failure_on_a_connection_ends_no_more_than_the_connection",
        simulated=False,
    ),
    Mutant(
        "a connection to a peer that fails unforeseen ends the node",
        "trioraft/server/replicator.py",
        """            except Exception:
""",
        """            except ValueError:
""",
        f"{UNFORESEEN}::test_a_failure_on_a_connection_ends_no_more_than_the_connection",
        simulated=False,
    ),
    Mutant(
        "a node goes on after its state has been half changed",
        FAILURES,
        """            raise HalfDone from error
""",
        """            raise
""",
        f"{UNFORESEEN}::test_what_a_member_says_and_fails_half_way_stops_the_node",
        simulated=False,
    ),
    Mutant(
        "what must stop a node is taken for a connection's failure",
        FAILURES,
        """class HalfDone(BaseException):""",
        """class HalfDone(Exception):""",
        f"{UNFORESEEN}::test_what_a_member_says_and_fails_half_way_stops_the_node",
        simulated=False,
    ),
    Mutant(
        "what a peer says and fails half-way ends its connection alone",
        REPLICA,
        """    @decides
    def hear(""",
        """    def hear(""",
        f"{UNFORESEEN}::test_what_a_member_says_and_fails_half_way_stops_the_node",
        simulated=False,
    ),
    Mutant(
        "a peer that is welcomed half-way ends its connection alone",
        PEER_CONNECTIONS,
        """    @decides
    def _welcome(""",
        """    def _welcome(""",
        f"{UNFORESEEN}::test_what_else_decides_and_fails_stops_the_node",
        simulated=False,
    ),
    Mutant(
        "a request that is taken half-way ends its connection alone",
        REQUESTS,
        """    @decides
    def accept(""",
        """    def accept(""",
        f"{UNFORESEEN}::test_what_else_decides_and_fails_stops_the_node",
        simulated=False,
    ),
    Mutant(
        "entries that are let go of half-way are tried again",
        SNAPSHOTS,
        """    @decides
    def _forget_entries(""",
        """    def _forget_entries(""",
        f"{UNFORESEEN}::test_what_else_decides_and_fails_stops_the_node",
        simulated=False,
    ),
    Mutant(
        "a snapshot that fails unforeseen ends its node",
        SNAPSHOTS,
        """        except Exception as error:
            self._end_job()""",
        """        except OSError as error:
            self._end_job()""",
        f"{UNFORESEEN}::test_a_snapshot_that_fails_unforeseen_is_answered_and_tried_again",
        simulated=False,
    ),
    Mutant(
        "who asked for a snapshot that failed unforeseen is not answered",
        SNAPSHOTS,
        """        except Exception as error:
            if made:""",
        """        except OSError as error:
            if made:""",
        f"{UNFORESEEN}::test_a_snapshot_that_fails_unforeseen_is_answered_and_tried_again",
        simulated=False,
    ),
    Mutant(
        "what came of a leader's snapshot that failed unforeseen stays",
        SNAPSHOTS,
        """        except Exception:
            if self._incoming is incoming:""",
        """        except OSError:
            if self._incoming is incoming:""",
        f"{UNFORESEEN}::test_a_leaders_snapshot_that_fails_unforeseen_is_asked_for_again",
        simulated=False,
    ),
    Mutant(
        "a snapshot of a newer version is a bug",
        SNAPSHOTS,
        """        except UnknownFormat as error:
            raise OSError(errno.EIO, """,
        """        except UnknownFormat as error:
            raise ValueError(""",
        f"{UNFORESEEN}::test_a_newer_versions_snapshot_ends_no_follower",
        simulated=False,
    ),
    Mutant(
        "a command of a newer version is a bug",
        "trioraft/server/node.py",
        """        case UnknownCommand() as newer:
            log.critical("node %d stops: %s", node, newer)
            return CANNOT_START
""",
        """""",
        f"{UNFORESEEN}::test_what_is_no_bug_stops_a_node_without_a_traceback",
        simulated=False,
    ),
    Mutant(
        "what fails before a node lives is not in its log",
        "trioraft/server/node.py",
        """        _say_bug(options.index, error)
        return INTERNAL
""",
        """        return INTERNAL
""",
        f"{UNFORESEEN}::test_what_fails_before_a_node_lives_is_in_its_log",
        simulated=False,
    ),
    Mutant(
        "what ends a node has no traceback in its log",
        "trioraft/server/node.py",
        """cause, exc_info=error)
""",
        """cause)
""",
        f"{UNFORESEEN}::test_a_node_that_must_stop_says_why_with_the_cause_itself",
        simulated=False,
    ),
    Mutant(
        "a change of members knows no deadline",
        "trioraft/replica/requests.py",
        """            self._node.administer(slot)
            self._note_deadline(slot)
""",
        """            self._node.administer(slot)
""",
        "tests/server/test_pipelines.py::test_every_request_keeps_to_its_time",
        simulated=False,
    ),
    # Connections
    Mutant(
        "a closed connection keeps its handler",
        SOCKETS,
        """            self.handler = NOBODY
            self._unsent = bytearray()
""",
        "",
        f"{GONE}::test_nothing_is_left_of_a_connection_that",
        simulated=False,
    ),
    Mutant(
        "a session that nobody needs any more keeps its requests",
        SESSION,
        """        self._queue.forget()

    def _cut""",
        """
    def _cut""",
        f"{GONE}::test_nothing_is_left_of_a_connection_that",
        simulated=False,
    ),
    Mutant(
        "a client that is gone is given to the collector",
        CLIENTS,
        """        self._session.abandon()
""",
        "",
        f"{GONE}::test_nothing_is_left_of_a_connection_that",
        simulated=False,
    ),
    Mutant(
        "an answered request is held until its deadline",
        ALARMS,
        """next(self._numbers), ref(thing)))
""",
        """next(self._numbers), lambda: thing))  # type: ignore[arg-type]
""",
        f"{GONE}::test_nothing_is_left_of_a_connection_that",
        simulated=False,
    ),
    Mutant(
        "a write that was applied knows the reads before it for good",
        ANSWERING,
        """            write.reads_before = []  # they know of this write, as what follows them
""",
        """            pass
""",
        f"{GONE}::test_nothing_is_left_of_a_connection_that",
        simulated=False,
    ),
    Mutant(
        "who takes connections in keeps the last of them",
        "trioraft/server/listener.py",
        """            await _take(listener, accept)
""",
        """            for connection in await listener.accept():
                accept(connection)
""",
        f"{GONE}::test_nothing_is_left_of_a_connection_that",
        simulated=False,
    ),
    Mutant(
        "peers have no more places than clients have left",
        SOCKETS,
        """        return self.guests >= self._most + RESERVE
""",
        """        return self.guests >= self._most
""",
        "tests/processes/test_full_houses.py::test_a_follower_comes_back_however_many_clients_the_leader_has",
        simulated=False,
    ),
    Mutant(
        "who is silent stays in the reserve",
        DOOR,
        """        if not self._hub.full:
            return
        for connection""",
        """        return
        for connection""",
        "tests/processes/test_full_houses.py::test_a_follower_comes_back_however_many_clients_the_leader_has",
        simulated=False,
    ),
    Mutant(
        "an introduction may take for ever",
        "trioraft/server/accepting.py",
        """            self._hand_to(Incoming(self._connection, self._node.peers), start)
""",
        """            self._node.door.leave(self._connection)
            self._hand_to(Incoming(self._connection, self._node.peers), start)
""",
        "tests/processes/test_full_houses.py::test_a_follower_comes_back_however_many_clients_the_leader_has",
        simulated=False,
    ),
    Mutant(
        "a client for whom there is no place is taken",
        DOOR,
        """        if not self._hub.full:
            return True
        _complain""",
        """        if self._hub.full is not None:
            return True
        _complain""",
        "tests/processes/test_full_houses.py::test_a_client_that_finds_no_place_is_told_so_in_one_line",
        simulated=False,
    ),
    Mutant(
        "whose machine is gone is never found out",
        SOCKETS,
        """            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # what is accepted inherits it
""",
        "",
        "tests/processes/test_full_houses.py::test_a_client_whose_machine_is_gone_is_found_out",
        simulated=False,
    ),
    Mutant(
        "a turn sends replies without an end",
        DRIVER,
        """        while dirty and self.reply_room > 0:
""",
        """        while dirty:
""",
        f"{SLICES}::test_values_are_sent_in_portions_to_each_in_its_turn",
        simulated=False,
    ),
    Mutant(
        "a client is given all its replies before it is others' turn",
        CLIENTS,
        """        room = PORTION_BYTES - connection.unsent
""",
        """        room = 16 * PORTION_BYTES - connection.unsent
""",
        f"{SLICES}::test_values_are_sent_in_portions_to_each_in_its_turn",
        simulated=False,
    ),
    Mutant(
        "a reply that was begun begins again",
        SESSION,
        "                self._begun = begin\n",
        "",
        f"{SLICES}::test_replies_come_whole_and_in_order_whatever_portions_they_are_taken_in",
        simulated=False,
    ),
    Mutant(
        "a turn makes replies without an end",
        ANSWERING,
        "if self._reader.room <= 0 and",
        "if self._reader.room is None and",
        f"{SLICES}::test_scans_are_made_a_few_a_turn",
        simulated=False,
    ),
    Mutant(
        "a read that waits for its turn sees the write behind it",
        ANSWERING,
        "                    read.answer(reply)\n                    self._advance(read)\n",
        "                    self._advance(read)\n",
        f"{SLICES}::test_scans_that_wait_for_their_turn_do_not_see_the_writes_behind_them",
        simulated=False,
    ),
    # The node's log
    Mutant(
        "what was dropped of the log is said with the next line alone",
        LOGS,
        """            self._writing = True
            self._confess()
""",
        """            self._writing = True
""",
        f"{UNDRAINED}::test_what_was_dropped_is_said_as_soon_as_there_is_room_though_nothing_follows",
        simulated=False,
    ),
    Mutant(
        "what a full disk did not take of the log is not counted",
        LOGS,
        "                self._failed += lines\n",
        "                pass\n",
        f"{UNDRAINED}::test_what_could_not_be_written_is_counted_and_said_once_it_can",
        simulated=False,
    ),
    Mutant(
        "a line of the log follows half of another",
        LOGS,
        """                self._torn = bool(data)
""",
        "",
        f"{UNDRAINED}::test_what_could_not_be_written_is_counted_and_said_once_it_can",
        simulated=False,
    ),
    Mutant(
        "lines of the log wait without a bound",
        LOGS,
        "        if self._dropped or self._size >= MAX_WAITING_BYTES:\n",
        "        if self._size < 0:\n",
        f"{UNDRAINED}::test_what_was_dropped_is_said_as_soon_as_there_is_room_though_nothing_follows",
        simulated=False,
    ),
    Mutant(
        "each line that finds room is followed by a count of those that found none",
        LOGS,
        "        if self._dropped and self._size <= MAX_WAITING_BYTES // 2:\n",
        "        if self._dropped:\n",
        f"{UNDRAINED}::test_what_is_dropped_in_a_row_is_said_once_by_a_reader_that_is_only_slow",
        simulated=False,
    ),
    Mutant(
        "a traceback of the log is written as it is",
        LOGS,
        """{_printable(line)}" for line""",
        """{line}" for line""",
        f"{UNDRAINED}::test_a_traceback_is_bounded_and_forges_nothing",
        simulated=False,
    ),
    Mutant(
        "the end of a node waits for the reader of its log",
        LOGS,
        "not self._waiting and not self._writing, FLUSH_SECONDS)",
        "not self._waiting and not self._writing)",
        f"{UNDRAINED}::test_the_end_waits_for_nobody",
        simulated=False,
    ),
    Mutant(
        "lines that come again and again are all written",
        REPEATS,
        """        kind.take_in(record)
        return False
""",
        """        kind.take_in(record)
        return True
""",
        STRANGERS,
        simulated=False,
    ),
    Mutant(
        "the count of lines is said with the next one alone",
        REPEATS,
        "        return min((kind.until for kind in self._kinds.values()), default=None)\n",
        "        return None\n",
        f"{COUNTED}::test_the_first_is_written_the_others_are_counted_and_the_count_is_said_though_none_follows",
        simulated=False,
    ),
    Mutant(
        "a refused stranger is a kind of line of its own",
        INTRODUCTIONS,
        """if hello.sender in self.addresses else None
""",
        """if hello.sender in self.addresses else (hello.sender, hello.folder)
""",
        STRANGERS,
        simulated=False,
    ),
    Mutant(
        "what a line is about does not tell it apart",
        REPEATS,
        'record.msg, getattr(record, "about", None), place',
        "record.msg, place",
        f"{COUNTED}::test_another_kind_is_written",
        simulated=False,
    ),
    Mutant(
        "kinds of lines are remembered without a bound",
        REPEATS,
        "        if name not in self._kinds and len(self._kinds) >= MOST_KINDS:\n            name = record.levelno\n",
        "",
        f"{COUNTED}::test_memory_is_bounded_and_nothing_is_kept_alive",
        simulated=False,
    ),
    Mutant(
        "who hangs up is dialled again at once",
        "trioraft/server/replicator.py",
        """                pause = SHORTEST_PAUSE  # and at least that long, because some nodes only answer and hang up
""",
        """                continue
""",
        STRANGERS,
        simulated=False,
    ),
    Mutant(
        "a node that cannot start waits until somebody reads why",
        "cli/trioraft_cli/streams.py",
        "        raw.patience = READER_SECONDS\n",
        "        pass\n",
        "tests/cli/test_unread_errors.py::test_who_waits_for_nobody_goes_on_though_what_it_says_is_not_read",
        simulated=False,
    ),
    Mutant(
        "a node that ends holds the connections of its peers",
        PEER_CONNECTIONS,
        """        self._incoming.clear()
""",
        """        pass
""",
        f"{GONE}::test_nothing_is_left_of_the_connections_of_a_peer_that_goes_away",
        simulated=False,
    ),
    # Long values
    Mutant(
        "who sends what is long is silent until it is whole",
        PEERS,
        """self._header.bytes > LONG_BYTES and""",
        """self._header.bytes > 10**9 and""",
        TRAVELS,
        simulated=False,
    ),
    Mutant(
        "who passes on what is long is silent until it is whole",
        REPLICA,
        """            progress.heard()
""",
        """            pass
""",
        TRAVELS,
        simulated=False,
    ),
    Mutant(
        "a follower whose disk is slow is silent",
        CORE,
        """ > self._answered_round or slow:""",
        """ > self._answered_round:""",
        f"{PAPER}::test_a_follower_whose_disk_is_slow_is_not_silent_and_promises_nothing_new",
        simulated=False,
    ),
    Mutant(
        "a follower whose disk hangs gives signs of life",
        CORE,
        """<= self._outbox.batch_elapsed < self.settings.election_ticks""",
        """<= self._outbox.batch_elapsed""",
        f"{PAPER}::test_a_follower_whose_disk_is_slow_is_not_silent_and_promises_nothing_new",
        simulated=False,
    ),
    Mutant(
        "a disk that is slow is taken for one that hangs",
        REPLICA,
        """            core.persisting()
""",
        """            pass
""",
        f"{SLICES}::test_disks_that_are_slow_and_do_not_hang_cost_no_election",
        simulated=False,
    ),
    Mutant(
        "a long batch is on the disk only when it is whole",
        SEGMENTS,
        """                self._file.sync()
                self.moved = True
""",
        """                pass
""",
        "tests/storage/test_snapshots.py::test_a_long_batch_reaches_the_disk_in_parts",
        simulated=False,
    ),
    Mutant(
        "a probe carries what is long",
        PROGRESS,
        """entries.size > PROBE_BYTES""",
        """entries.size > 10**9""",
        f"{PAPER}::test_a_probe_carries_nothing_long",
        simulated=False,
    ),
    Mutant(
        "a turn sends writes on their way without an end",
        PROPOSALS,
        """taken < len(writes) and self._room > 0""",
        """taken < len(writes)""",
        f"{SLICES}::test_large_writes_of_many_are_sent_on_their_way_a_few_a_turn",
        simulated=False,
    ),
    Mutant(
        "a turn takes large values for a snapshot without an end",
        SNAPSHOTS,
        """view.slices(settings.slice_lines, settings.write_bytes)""",
        """view.slices(settings.slice_lines, 2**62)""",
        f"{SLICES}::test_a_snapshot_of_large_values_is_taken_a_few_a_turn",
        simulated=False,
    ),
    # Deadlines
    Mutant(
        "a change that was given up in time is carried out later",
        ADMINISTRATION,
        """            del self._tasks[task]
        return late.inter""",
        """            pass
        return late.inter""",
        f"{TIMEOUTS}::test_a_change_that_waits_behind_another_request_is_withdrawn_with_its_time",
        simulated=False,
    ),
    Mutant(
        "a change that was passed on is taken for one that was not begun",
        ADMINISTRATION,
        "        return not self.term and not self.is_passed_on and self.told is None\n",
        "        return True\n",
        TIMEOUTS,
        simulated=False,
    ),
    Mutant(
        "what was given up in time may have been applied, though it has not been begun",
        REQUESTS,
        'applied = "no" if slot in waiting else "unknown"',
        'applied = "unknown"',
        TIMEOUTS,
        simulated=False,
    ),
    Mutant(
        "what was given up in time was not applied, though it is under way",
        REQUESTS,
        'applied = "no" if slot in waiting else "unknown"',
        'applied = "no"',
        TIMEOUTS,
        simulated=False,
    ),
    Mutant(
        "the leader does not look at the time that a peer's client has",
        ADMINISTRATION,
        "            if task.is_waiting and task.is_late(self._now):\n",
        "            if False:\n",
        f"{TIMEOUTS}::test_what_a_follower_has_passed_on_and_given_up_is_not_begun_later",
        simulated=False,
    ),
    Mutant(
        "a leader that was asked to change something is waited for without an end",
        ADMINISTRATION,
        "            elif task.since + 3 * self._hold_ticks <= self._now:\n",
        "            elif self._hold_ticks < 0:\n",
        f"{TIMEOUTS}::test_what_has_no_time_of_its_own_is_not_kept_waiting_for_ever",
        simulated=False,
    ),
    Mutant(
        "a node that is behind keeps its reads waiting without an end",
        REPLICA_READS,
        "            late = [read for read in reads if read.since <= oldest and read.request.timeout_ms is None]\n",
        "            late: list[ReadSlot] = []\n",
        f"{TIMEOUTS}::test_what_has_no_time_of_its_own_is_not_kept_waiting_for_ever",
        simulated=False,
    ),
    Mutant(
        "a node that is behind gives up what has time yet",
        REPLICA_READS,
        "read.since <= oldest and read.request.timeout_ms is None]",
        "read.since <= oldest]",
        f"{TIMEOUTS}::test_a_read_that_has_time_is_answered_once_the_node_has_caught_up",
        simulated=False,
    ),
    Mutant(
        "a node that is behind keeps writes through it waiting without an end",
        PLACED,
        "            if index > self._node.core.durable_index and slot.request.timeout_ms is None:\n",
        "            if False:\n",
        f"{TIMEOUTS}::test_what_has_no_time_of_its_own_is_not_kept_waiting_for_ever",
        simulated=False,
    ),
    Mutant(
        "the times of what is answered are kept until they are over",
        ALARMS,
        "        if len(self._heap) >= self._most:\n",
        "        if False:\n",
        f"{TIMEOUTS}::test_answered_requests_with_much_time_leave_nothing",
        simulated=False,
    ),
    Mutant(
        "entries that are shown are copied for each who asks",
        ENTRIES,
        "        yield view[begin : end - 1]\n",
        "        yield memoryview(bytes(view[begin : end - 1]))\n",
        f"{UNREAD}::test_what_is_kept_for_clients_that_do_not_read_is_bounded",
        simulated=False,
    ),
    Mutant(
        "a reply that is longer than was reckoned does not count for it",
        SESSION,
        "        self._bytes += more\n",
        "        pass\n",
        f"{UNREAD}::test_conflicts_with_ever_another_large_value_wait_for_room",
        simulated=False,
    ),
    Mutant(
        "long entries are reckoned as short ones before they are shown",
        RECKONING,
        "return max(MAX_LOG_BYTES, core.log.run_size(first))",
        "return MAX_LOG_BYTES",
        f"{UNREAD}::test_long_entries_that_differ_wait_for_room_before_they_are_shown",
        simulated=False,
    ),
    Mutant(
        "long lines of a snapshot are reckoned as short ones before they are read",
        RECKONING,
        "return MAX_UNANSWERED_BYTES  # one",
        "return MAX_LOG_BYTES  # one",
        f"{UNREAD}::test_what_is_kept_for_clients_that_do_not_read_is_bounded",
        simulated=False,
    ),
    Mutant(
        "a node starts though clients can take the files that its peers and its log need",
        "trioraft/server/node.py",
        "    if limit < least:\n",
        "    if limit < 0:\n",
        "tests/server/test_open_files.py::test_a_node_says_how_many_open_files_it_needs",
        simulated=False,
    ),
    Mutant(
        "a disk is blamed where no more files can be opened",
        "trioraft/storage/errors.py",
        "    if error.errno in TOO_MANY_FILES:\n",
        "    if False:\n",
        "tests/server/test_open_files.py::test_where_no_more_files_can_be_opened_no_disk_is_said_to_have_failed",
        simulated=False,
    ),
    *LEASES,
    *STATE,
    *STREAMS,
    *BLIND_SPOTS,
    *AROUND_THE_MACHINE,
    *COMMANDS,
)
