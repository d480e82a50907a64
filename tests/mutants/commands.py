"""Mistakes in what is done on command: faults, pipelines, the words of the command line, and what it prints."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

FAULTS: Final = "trioraft/server/faults.py"
FAULTY_HUB: Final = "trioraft/server/faulty_hub.py"
RELAY: Final = "trioraft/client/relay.py"
ASKING: Final = "cli/trioraft_cli/asking.py"
PIPES: Final = "cli/trioraft_cli/pipes.py"
VIEW: Final = "cli/trioraft_cli/checking/view.py"
VITALS: Final = "trioraft/server/vitals.py"
FAULTS_TESTS: Final = "tests/server/test_faults.py"
SWITCH_TESTS: Final = f"{FAULTS_TESTS}::TestTheSwitch"
LANE_TESTS: Final = f"{FAULTS_TESTS}::TestTheOrderOnALink"
RELAY_TESTS: Final = "tests/client/test_relay.py"
CHECK_TESTS: Final = "tests/cli/test_check.py"
LIMITS_TESTS: Final = "tests/cli/test_limits.py"
LINES_TESTS: Final = "tests/cli/test_cli_pure.py"
PIPES_TESTS: Final = "tests/cli/test_pipes.py"
WORDS_TESTS: Final = "tests/cli/test_words.py"
METRICS_TESTS: Final = "tests/server/test_metrics.py"

COMMANDS: Final = (
    # Faults on command
    Mutant(
        "a fault is obeyed by a node that was not started with --allow-faults",
        "trioraft/server/node.py",
        "        if not options.allow_faults:\n",
        "        if False:\n",
        f"{FAULTS_TESTS}::TestRefused::test_a_node_can_be_broken_only_where_its_options_say_so",
        simulated=False,
    ),
    Mutant(
        "a cut of one way cuts both",
        FAULTS,
        "        for way in request.ways:\n",
        '        for way in ("to", "from"):\n',
        f"{SWITCH_TESTS}::test_it_has_one_fault_of_a_kind_for_each_way_and_shows_them_in_order",
        simulated=False,
    ),
    Mutant(
        "a link that is cut and slow is slow alone",
        FAULTS,
        'weather.is_cut = weather.is_cut or one.kind == "cut"',
        'weather.is_cut = one.kind == "cut"',
        f"{SWITCH_TESTS}::test_it_has_one_fault_of_a_kind_for_each_way_and_shows_them_in_order",
        simulated=False,
    ),
    Mutant(
        "a heal of one kind heals all kinds",
        FAULTS,
        "            if request.kind not in (None, one.kind):\n                return False\n",
        "",
        f"{SWITCH_TESTS}::test_it_heals_what_is_named_alone",
        simulated=False,
    ),
    Mutant(
        "a heal of one link heals the disk as well",
        FAULTS,
        "                return request.nodes is None and request.way is None\n",
        "                return True\n",
        f"{SWITCH_TESTS}::test_it_heals_what_is_named_alone",
        simulated=False,
    ),
    Mutant(
        "the time of a fault counts from the start of the clock",
        FAULTS,
        "self._now() + request.for_ms / 1000",
        "request.for_ms / 1000",
        f"{FAULTS_TESTS}::TestCut::test_a_cut_ends_by_itself_where_it_has_a_time",
        simulated=False,
    ),
    Mutant(
        "a dial is answered though nothing comes back",
        FAULTS,
        ' or self.weather(peer, "from").is_cut',
        "",
        f"{SWITCH_TESTS}::test_a_dial_needs_both_ways",
        simulated=False,
    ),
    Mutant(
        "a message overtakes those that a link still holds when its fault is healed",
        FAULTY_HUB,
        "        if weather is FAIR and not self._held:\n",
        "        if weather is FAIR:\n",
        f"{LANE_TESTS}::test_what_is_sent_once_a_fault_is_healed_waits_for_what_is_held",
        simulated=False,
    ),
    Mutant(
        "a message that is lost is missing on a connection that lives",
        FAULTY_HUB,
        "        self._held.append((now, now + weather.delay + self._draw_loss(weather.loss), piece))\n",
        "        if self._draw_loss(weather.loss):\n            return\n"
        "        self._held.append((now, now + weather.delay, piece))\n",
        f"{LANE_TESTS}::test_what_is_lost_comes_later_and_nothing_is_missing",
        simulated=False,
    ),
    Mutant(
        "a peer that is cut off is told that a connection ends",
        FAULTY_HUB,
        'if self._peer is not None and not self._has_ended and self._hub.faults.weather(self._peer, "to").is_cut:',
        "if False:",
        f"{FAULTS_TESTS}::TestConnections::test_no_end_of_one_gets_through_a_cut",
        simulated=False,
    ),
    Mutant(
        "a write is acknowledged while the disk is paused",
        "trioraft/server/faulty_disk.py",
        "        if self._faults.disk_is_paused:\n            return False\n",
        "",
        f"{FAULTS_TESTS}::TestDisk::test_a_follower_whose_disk_hangs_acknowledges_nothing",
        simulated=False,
    ),
    # Pipelines that outlive their nodes
    Mutant(
        "a pipe repeats a plain write whose reply was lost",
        RELAY,
        'asked.is_repeatable = not asked.changes or repeatable({**fields, "op": op})',
        "asked.is_repeatable = True",
        f"{RELAY_TESTS}::test_after_a_loss_what_does_no_harm_twice_is_asked_again_and_of_the_rest_it_is_said",
        simulated=False,
    ),
    Mutant(
        "a pipe answers what it refuses itself out of its turn",
        RELAY,
        "        self._answer(asked, error_reply(asked.id, code, message, hint, None)[:-1])\n",
        "        self._waiting.remove(asked)\n"
        "        self._out.append(error_reply(asked.id, code, message, hint, None)[:-1])\n",
        f"{RELAY_TESTS}::test_what_is_no_object_is_answered_here_in_its_turn",
        simulated=False,
    ),
    Mutant(
        "a pipe says of a write that was lost that it was not applied",
        RELAY,
        'applied = ("unknown" if asked.is_uncertain else "no") if asked.changes else None',
        'applied = "no" if asked.changes else None',
        f"{RELAY_TESTS}::test_where_no_node_is_left_each_request_is_answered_and_says_whether_it_was_applied",
        simulated=False,
    ),
    Mutant(
        "a pipe passes on that a write was not applied, which a lost node may have applied",
        RELAY,
        "            line = _unsure(line)\n",
        "            pass\n",
        f"{RELAY_TESTS}::test_what_a_lost_node_may_have_applied_is_not_denied_by_the_next",
        simulated=False,
    ),
    Mutant(
        "a pipe has a refused write overtaken by one behind it that was carried out",
        RELAY,
        "            if self._stopping:\n                self._let_be_refused()\n",
        "",
        f"{RELAY_TESTS}::test_a_write_that_a_stopping_node_refuses_overtakes_none_that_it_carried_out",
        simulated=False,
    ),
    Mutant(
        "a pipe shows the changes of a watch twice once a node was lost",
        RELAY,
        "            if found.standing.take(push) is not None:\n",
        "            if found.standing.take(push) is not None or True:\n",
        f"{RELAY_TESTS}::test_a_watch_goes_on_at_another_node_and_shows_each_change_once",
        simulated=False,
    ),
    # The words of the command line
    Mutant(
        "a value with a bar in it ends there, and the rest goes to a shell",
        "cli/trioraft_cli/typed.py",
        "        return Typed([*words, Quoted(rest)] if rest else words)\n",
        "        rest, sink = split_sink(rest)\n"
        "        return Typed([*words, Quoted(rest)] if rest else words, sink)\n",
        f"{LINES_TESTS}::test_where_the_output_goes_is_no_part_of_a_command_but_of_the_value_of_a_put",
        simulated=False,
    ),
    Mutant(
        "what is to be added to a file replaces what it holds",
        PIPES,
        'how = os.O_APPEND if sink.kind == ">>" else os.O_TRUNC',
        "how = os.O_TRUNC",
        f"{PIPES_TESTS}::test_a_file_is_written_anew_or_added_to",
        simulated=False,
    ),
    Mutant(
        "the exit code of the command of a shell behind a bar is dropped",
        PIPES,
        "        side.code = child.wait() or 0\n",
        "        child.wait()\n",
        f"{PIPES_TESTS}::test_the_shell_reads_what_is_printed_and_it_is_no_terminal",
        simulated=False,
    ),
    Mutant(
        "a key that begins with a bar is shown without quotes",
        "cli/trioraft_cli/words.py",
        '_NOT_FIRST: Final = "\'-|>"',
        '_NOT_FIRST: Final = "\'->"',
        f"{WORDS_TESTS}::test_others_are_shown_as_json_has_them",
        simulated=False,
    ),
    Mutant(
        "a key in quotes that begins with a - is taken for an option",
        "cli/trioraft_cli/words.py",
        'return Quoted(word) if text[0] in _QUOTES and word.startswith("-") else word, rest',
        "return word, rest",
        f"{LINES_TESTS}::test_a_word_in_quotes_is_no_option",
        simulated=False,
    ),
    Mutant(
        "a lock whose name is typed in full is not offered",
        "cli/trioraft_cli/candidates.py",
        '"after": begins[:-1]',
        '"after": begins',
        "tests/cli/test_completing.py::test_locks_are_completed_by_the_beginning_of_their_names",
        simulated=False,
    ),
    # What commands say
    Mutant(
        "a number that is laid out loses digits",
        "cli/trioraft_cli/pretty.py",
        "        else:\n            part = _SPACED.get(token, token)\n",
        "        else:\n            part = str(float(token)) if _NUMBER.match(token) else _SPACED.get(token, token)\n",
        "tests/cli/test_pretty.py::test_how_it_looks",
        simulated=False,
    ),
    Mutant(
        "a command whose time is over says that a write was not applied, which may have been",
        ASKING,
        "            raise Failure(UNKNOWN if changed else NOT_NOW) from None\n",
        "            raise Failure(NOT_NOW) from None\n",
        f"{LIMITS_TESTS}::test_a_command_ends_when_its_time_is_over_and_says_whether_it_was_applied",
        simulated=False,
    ),
    Mutant(
        "a write that is tried again goes without a session",
        ASKING,
        '        once = once or (bool(self.tries_until) and "seq" in OPERATIONS[op].request.__struct_fields__)\n',
        "",
        f"{LIMITS_TESTS}::test_a_write_that_is_tried_again_goes_in_a_session",
        simulated=False,
    ),
    Mutant(
        "the time of a command that is done goes on, and breaks off what comes after it",
        "cli/trioraft_cli/deadlines.py",
        "        signal.setitimer(signal.ITIMER_REAL, _NO_MORE)\n",
        "",
        f"{LIMITS_TESTS}::test_time_that_is_not_used_up_ends_nothing_later",
        simulated=False,
    ),
    Mutant(
        "one that leads says so without its fence",
        "cli/trioraft_cli/leading.py",
        '"lease": kept.lease, "lock": name, "fence": fence}',
        '"lease": kept.lease}',
        "tests/cli/test_leading.py::test_a_command_runs_while_this_leads_and_others_see_who_it_is",
        simulated=False,
    ),
    Mutant(
        "a lock that is unlocked at the prompt is kept",
        "cli/trioraft_cli/going_on.py",
        "            lock.close()\n",
        "            lock.pop_all()\n",
        "tests/cli/test_going_on.py::test_a_lock_is_kept_until_it_is_unlocked",
        simulated=False,
    ),
    Mutant(
        "what a pager could not show is lost",
        "cli/trioraft_cli/pager.py",
        '        sys.stdout.write(text)\n        if "PAGER"',
        '        if "PAGER"',
        "tests/cli/test_pager.py::test_a_pager_that_does_not_exist_or_fails_leaves_the_output_shown",
        simulated=False,
    ),
    # What is found out about a cluster
    Mutant(
        "a member that answers nothing is no finding",
        "cli/trioraft_cli/checking/absent.py",
        '        if code in ("there", "joining"):\n',
        '        if code in ("there", "joining", "silent"):\n',
        f"{CHECK_TESTS}::test_the_first_finding_names_the_cause_and_what_mends_it",
        simulated=False,
    ),
    Mutant(
        "a cluster is called healthy beside what needs doing",
        "cli/trioraft_cli/checking/judge.py",
        "    if not any(finding.needs_doing for finding in found):\n",
        "    if True:\n",
        f"{CHECK_TESTS}::test_a_cluster_that_is_not_well_is_looked_at_twice",
        simulated=False,
    ),
    Mutant(
        "the worst finding comes last",
        "cli/trioraft_cli/checking/findings.py",
        "_SEVERITIES.index(found.severity), _RANK",
        "-_SEVERITIES.index(found.severity), _RANK",
        f"{CHECK_TESTS}::test_the_worst_comes_first",
        simulated=False,
    ),
    Mutant(
        "a leader is said to lead though it hears too few",
        VIEW,
        "        return len(self._heard_by_leader & set(self.voters)) >= self.majority\n",
        "        return True\n",
        f"{CHECK_TESTS}::test_a_leader_of_too_few_is_none",
        simulated=False,
    ),
    Mutant(
        "a percentile is that of the time before it",
        "cli/trioraft_cli/bench/figures.py",
        "rank = max(1, math.ceil(share * self.count))",
        "rank = max(1, math.floor(share * self.count))",
        "tests/cli/test_bench_pure.py::test_a_percentile_is_that_of_the_sorted_times_to_one_part_in_a_hundred",
        simulated=False,
    ),
    Mutant(
        "a disk that hangs costs a thread each time it is asked",
        VITALS,
        "asked = self._asked = self._asked or in_background(self._room)",
        "asked = self._asked = in_background(self._room)",
        f"{METRICS_TESTS}::test_a_disk_that_hangs_is_waited_for_once",
        simulated=False,
    ),
    Mutant(
        "what a disk keeps for its administrator counts as free",
        VITALS,
        "disk.f_frsize * disk.f_bavail",
        "disk.f_frsize * disk.f_bfree",
        f"{METRICS_TESTS}::test_the_room_of_a_disk_is_what_a_node_can_have",
        simulated=False,
    ),
)
