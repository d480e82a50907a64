"""What a demo decides and says without its nodes: links, sides, sentences, completions, and the steps of the tour."""

from __future__ import annotations

import re
import sys
import tempfile
import termios
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest
from trioraft_cli import demo as cli_demo
from trioraft_cli import tour
from trioraft_cli.connection import Connection
from trioraft_cli.demo_acts import Demo
from trioraft_cli.demo_commands import NodeOfDemo, commands
from trioraft_cli.demo_folder import demo_folder
from trioraft_cli.demo_lead import Side, Survey, voters_of
from trioraft_cli.demo_links import Links, parse_sides
from trioraft_cli.demo_nodes import DemoNodes
from trioraft_cli.demo_words import what_came_of_it, what_writes_take
from trioraft_cli.membership import Member
from trioraft_cli.status import ClusterStatus, NodeStatus
from trioraft_cli.tour_steps import STEPS, Facts, Run
from trioraft_cli.tree import prompt_tree
from trioraft_cli.typed import read_line

from ..helpers.prompts import COMMANDS, NOBODY

REFUSED = "  without a majority put and get are refused; status, show-log and get --stale still answer"
TOUR = Path(__file__).resolve().parents[1] / "processes" / "tour.txt"
HEAL = {"op": "fault", "heal": True}


def status(node: int, role: str, term: int = 1, leader: int | None = None, applied: int = 5) -> NodeStatus:
    members = [Member(number, f"127.0.0.1:{number}", "voter") for number in range(3)]
    return NodeStatus(node, role, term, leader, applied, applied, 1, applied, members)


def following(leader: int, *nodes: int) -> dict[int, NodeStatus]:
    return {node: status(node, "leader" if node == leader else "follower", leader=leader) for node in nodes}


def test_a_node_is_told_of_cuts_on_both_sides_and_of_slowness_where_it_sends() -> None:
    links = Links()
    assert links.requests(0, [0, 1, 2]) == [HEAL]
    links.groups = [frozenset((0, 1)), frozenset((2,))]
    assert links.requests(0, [0, 1, 2]) == [HEAL, {"op": "fault", "kind": "cut", "nodes": [2]}]
    assert links.requests(2, [0, 1, 2])[1:] == [{"op": "fault", "kind": "cut", "nodes": [0, 1]}]
    links.groups, links.slow = [], {1: 50, 2: 20}
    slow = {"op": "fault", "kind": "slow", "way": "to"}
    assert links.requests(0, [0, 1, 2])[1:] == [{**slow, "nodes": [1], "ms": 50}, {**slow, "nodes": [2], "ms": 20}]
    assert links.requests(1, [0, 1, 2])[2:] == [{**slow, "nodes": [2], "ms": 70}]
    links.heal()
    assert (links.are_whole, links.requests(1, [0, 1, 2])) == (True, [HEAL])


def test_sides_are_of_those_that_run_and_a_newcomer_joins_one() -> None:
    links = Links()
    assert links.sides([2, 0]) == [[0, 2]]
    links.groups = [frozenset((0, 1)), frozenset((2,))]
    assert links.sides([0, 1]) == [[0, 1]]
    links.join(3, 2)
    assert links.sides([0, 2, 3]) == [[0], [2, 3]]


@pytest.mark.parametrize(
    ("typed", "sides"),
    [
        ("0 1 | 2", [{0, 1}, {2}]),
        ("0,1|2", [{0, 1}, {2}]),
        ("2", [{2}, {0, 1}]),
        ("leader", [{1}, {0, 2}]),
        ("0 | 1 | 2", [{0}, {1}, {2}]),
        ("| 0 |", [{0}, {1, 2}]),
    ],
)
def test_sides_are_typed_with_bars_and_the_rest_is_a_side_too(typed: str, sides: list[set[int]]) -> None:
    assert parse_sides(typed, [0, 1, 2], 1) == [frozenset(side) for side in sides]


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("0 1 2", "all nodes would be on one side"),
        ("0 1 2 |", "all nodes would be on one side"),
        ("0 | 0 1", "node 0 cannot be on two sides"),
        ("0 leader | 1", "node 1 cannot be on two sides"),
        ("0 | 7", "there is no node '7': there are 0, 1, 2"),
        ("0 | one", "there is no node 'one'"),
        ("٣", "there is no node"),
        ("9" * 5000, "there is no node"),
    ],
)
def test_sides_that_cannot_be_are_told(typed: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_sides(typed, [0, 1, 2], 1)


def test_the_leader_of_none_cannot_be_cut_off() -> None:
    with pytest.raises(ValueError, match="no node leads now"):
        parse_sides("leader", [0, 1, 2], None)


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ([Side([0, 2], 2, 3, 14, 90)], ["node 1 killed; node 2 leads in term 3 after 14 ms"]),
        ([Side([0, 1], 1, 2, 0, 4)], ["node 1 killed; node 1 leads on in term 2"]),
        (
            [Side([0], None, 2, 7, 7)],
            [
                "node 1 killed",
                "node 0 alone is no majority of 3",
                REFUSED,
                r"to go on: \restart 1",
            ],
        ),
        (
            [Side([1], None, 2, 7, 7), Side([0, 2], 0, 3, 9, 9)],
            [
                "node 1 killed; node 0 leads in term 3 after 9 ms",
                "node 1 alone is no majority of 3; node 1 steps down after 7 ms",
                REFUSED,
            ],
        ),
        ([], ["node 1 killed", "no node answers any more", r"to go on: \restart 1"]),
    ],
)
def test_what_came_of_a_fault_is_told_of_each_side(sides: list[Side], said: list[str]) -> None:
    before = status(1, "leader", 2, 1)
    assert what_came_of_it("node 1 killed", sides, range(3), before, r"\restart 1") == said


@pytest.mark.parametrize(
    ("delays", "said"),
    [
        ([0, 0], "a write is as quick as ever"),
        ([0, 80], "a write is as quick as ever: the leader and"),
        ([60, 80], "a write takes 120 ms longer, to a majority and back"),
        ([10, 20, 30, 40], "a write takes 40 ms longer"),
        ([10, 20, 30], "a write takes 40 ms longer"),
        ([600, 600], "a write takes 1200 ms longer, to a majority and back: \\timing shows it; it may fail"),
        ([], "a write is as quick as ever"),
    ],
)
def test_a_write_waits_for_the_quickest_majority(delays: list[int], said: str) -> None:
    assert what_writes_take(delays).startswith(said)


def test_folders_of_demos_that_were_killed_go_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, foreign = tmp_path / "trioraft-demo-1", tmp_path / "trioraft-demo-2"
    for folder in (killed, foreign):
        folder.mkdir()
    (killed / "lock").touch()
    with demo_folder() as first, demo_folder() as second:
        assert not killed.exists()
        assert {*tmp_path.iterdir()} == {foreign, first, second}
    assert [*tmp_path.iterdir()] == [foreign]


def test_of_a_node_that_came_back_is_told_when_it_has_caught_up() -> None:
    sides = [Side([0, 1], 1, 2, 3, 40)]
    [said] = what_came_of_it("node 0 runs again", sides, range(3), status(1, "leader", 2, 1), "", 0)
    assert said == "node 0 runs again, and has caught up after 40 ms; node 1 leads on in term 2"


class Scripted(Survey):
    """A survey whose answers are written down, one after the other."""

    def __init__(self, answers: list[dict[int, NodeStatus]]) -> None:
        super().__init__({})
        self._answers = iter(answers)

    def ask(self, nodes: Any = None) -> dict[int, NodeStatus]:
        return {node: answer for node, answer in next(self._answers).items() if nodes is None or node in nodes}


def test_a_cluster_has_settled_when_all_follow_and_have_what_was_committed() -> None:
    behind = {**following(0, 0, 1), 2: status(2, "follower", leader=0, applied=4)}
    lost = {**following(0, 0, 1), 2: status(2, "follower", leader=None)}
    survey = Scripted([following(0, 0, 1), lost, behind, following(0, 0, 1, 2)])
    settled = survey.settle(lambda: [[0, 1, 2]], frozenset(range(3)))
    assert settled is not None
    assert [(side.leader, side.term) for side in settled] == [(0, 1)]


def test_a_side_without_a_majority_has_settled_when_none_of_it_leads() -> None:
    survey = Scripted([{0: status(0, "leader")}, {}, {0: status(0, "follower", 3)}])
    settled = survey.settle(lambda: [[0]], frozenset(range(3)))
    assert settled is not None
    assert [(side.leader, side.term) for side in settled] == [(None, 3)]


def test_a_node_that_ends_meanwhile_is_not_waited_for() -> None:
    sides = iter([[[0, 1, 2]], [[0, 1]]])
    survey = Scripted([following(0, 0, 1), following(0, 0, 1)])
    assert survey.settle(lambda: next(sides), frozenset(range(3))) is not None


def test_who_votes_is_known_to_whom_has_applied_most() -> None:
    newer = status(1, "leader", applied=9)
    newer.members = newer.members[:2]
    assert voters_of({0: status(0, "follower"), 1: newer}) == {0, 1}
    assert voters_of({}) == frozenset()


class Pretended:
    """A demo of which nothing runs."""

    def __init__(self, states: Mapping[int, str], leader: int | None = 1) -> None:
        self.nodes = {number: SimpleNamespace(number=number, state=state) for number, state in states.items()}
        self._leader = leader

    def leader(self) -> int | None:
        return self._leader

    def statuses(self) -> dict[int, NodeStatus]:
        return following(1, *(number for number, node in self.nodes.items() if node.state == "running"))


class Listed(dict[int, Any]):
    """Nodes by number, which are gone through as the nodes of a demo are."""

    def __iter__(self) -> Any:
        return iter(self.values())


def pretended(states: Mapping[int, str], leader: int | None = 1) -> Demo:
    demo = Pretended(states, leader)
    demo.nodes = Listed(demo.nodes)
    return cast(Demo, demo)


def test_a_node_completes_to_those_that_a_command_is_for() -> None:
    demo = pretended({0: "paused", 1: "running", 2: "killed"})
    context = click.Context(click.Command("x"))

    def offered(*states: Any, begun: str = "") -> list[tuple[str, str | None]]:
        found = NodeOfDemo(demo, *states).shell_complete(context, click.Argument(["n"]), begun)
        return [(item.value, item.help) for item in found]

    assert offered("running", "paused") == [("0", "paused"), ("1", "leader, term 1"), ("leader", "whoever leads")]
    assert offered("killed") == [("2", "killed")]
    assert offered("running", begun="l") == [("leader", "whoever leads")]


@pytest.mark.parametrize("typed", ["3", "-1", "x", "", "9" * 5000, "٣", "²", "000000000099"])
def test_a_node_that_does_not_exist_is_told_with_those_that_do(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="there are 0, 1"):
        NodeOfDemo(pretended({0: "running", 1: "killed"}), "running").convert(typed, None, None)


def test_the_word_leader_stands_for_the_node_that_leads() -> None:
    assert NodeOfDemo(pretended({1: "running"}), "running").convert("leader", None, None) == 1
    with pytest.raises(click.BadParameter, match="no node leads now: type its number"):
        NodeOfDemo(pretended({1: "running"}, None), "running").convert("leader", None, None)


def test_a_node_that_is_down_is_not_asked_for_its_status() -> None:
    cluster = ClusterStatus([NOBODY], {NOBODY: "paused"})
    assert (cluster.failures, cluster.rows()[0][1:4]) == ({}, [str(NOBODY), "paused", "-"])


def test_ports_are_kept_while_a_demo_runs_and_lines_are_kept_for_numbers_that_are_gone(tmp_path: Path) -> None:
    nodes = DemoNodes(tmp_path)
    try:
        first = nodes.add(0, nodes.hold_port())
        third = nodes.add(2, nodes.hold_port())
        assert nodes.servers.read_text() == f"{first.address}\n-\n{third.address}\n"
        assert (first.state, nodes.numbers("killed"), len({*nodes.addresses})) == ("killed", [0, 2], 2)
    finally:
        nodes.close()


class Known(Facts):
    """The facts of a cluster that is not there."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.majority = nodes // 2 + 1

    leader = 1

    @property
    def followers(self) -> list[int]:
        return [node for node in range(self.nodes) if node != 1]

    def address(self, node: int) -> str:
        return f"127.0.0.1:{8000 + node}"

    def revision(self, key: str) -> int:  # noqa: ARG002
        return 12

    def fence(self, lock: str) -> int:  # noqa: ARG002
        return 13


@pytest.mark.parametrize("nodes", [3, 5, 4])
def test_each_line_of_the_tour_is_one_that_the_prompt_takes(nodes: int) -> None:
    demo = pretended(dict.fromkeys(range(nodes), "running"))
    root = prompt_tree(COMMANDS, commands(demo, tells_all=True))
    lines = [run.line for step in STEPS for run in step.run(Known(nodes))]
    for line in lines:
        typed = read_line(root, line)
        with root.make_context("", list(typed.words)) as context:
            name, command, rest = root.resolve_command(context, list(typed.words))
            assert (typed.sink, command is not None) == (None, True), line
            if command is not None and not line.startswith("members"):
                command.make_context(name, rest, parent=context)
    assert sum(line.startswith("\\kill") for line in lines) == 2 + (nodes - nodes // 2)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.title)
def test_what_the_tour_says_stands_on_one_screen_and_has_its_numbers(step: Any) -> None:
    texts = [step.look, step.question, step.answer, step.seen, *step.replies]
    filled = [text.format(nodes=3, majority=2) for text in texts]
    assert all("{" not in text for text in filled)
    assert sum(len(" ".join(text.split())) for text in filled[:2]) < 10 * tour.WIDTH
    assert step.answer.format(nodes=3, majority=2).split()[0].lower().strip(".,:") in filled[4:]


class Visited(Pretended):
    """A demo that notes what is mended."""

    mended = 0

    def mend(self) -> None:
        self.mended += 1

    def settle(self) -> None:
        pass


class Visitor:
    """Somebody who presses Enter so many times, and Ctrl-C or Ctrl-D then."""

    def __init__(self, times: int, leaves: bytes) -> None:
        self._times = times
        self._leaves = leaves

    def readline(self) -> str:
        self._times -= 1
        if self._times >= 0:
            return "\n"
        if self._leaves == b"\x04":
            return ""
        raise KeyboardInterrupt

    def fileno(self) -> int:
        raise termios.error


class Obeying:
    """A connection whose commands end as the tour expects."""

    def __init__(self, nodes: int) -> None:
        self.going_on = SimpleNamespace(events_shown=0, holds=lambda _: False, end_watches=lambda: 0)
        self.deleted = 0
        self._expected = (run for step in STEPS for run in step.run(Known(nodes)))

    def carry_out(self, line: str) -> int:
        run = next(self._expected)
        assert run.line == line
        self.going_on.events_shown += run.events
        return run.code

    def call(self, op: str, **fields: Any) -> None:
        assert (op, fields) == ("delete", {"prefix": "tour/"})
        self.deleted += 1


def visit(nodes: int, visitor: Visitor, monkeypatch: pytest.MonkeyPatch, *, asks: bool = True) -> tuple[int, Any, Any]:
    """Take the tour, of which nothing is real; its exit code, the demo and the connection."""
    demo, connection = Visited(dict.fromkeys(range(nodes), "running")), Obeying(nodes)
    monkeypatch.setattr(sys, "stdin", visitor)
    going = tour._Tour(cast(Demo, demo), cast(Connection, connection), asks)
    going._facts = Known(nodes)
    return going.run(), demo, connection


@pytest.mark.parametrize("leaves", [b"\x03", b"\x04"], ids=["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize("times", range(2 * len(STEPS) - 1))
def test_wherever_the_tour_is_left_it_mends_what_is_broken(
    times: int, leaves: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, demo, connection = visit(3, Visitor(times, leaves), monkeypatch)
    assert (code, demo.mended, connection.deleted) == (130, 2, 1)
    shown = capsys.readouterr().out
    assert shown.endswith("\nThe tour ends here.\n")
    assert shown.count("To do it again alone:") == (times + 1) // 2


def test_nobody_is_waited_for_where_nobody_can_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, demo, connection = visit(5, Visitor(0, b""), monkeypatch, asks=False)
    assert (code, demo.mended, connection.deleted) == (0, 2, 1)
    shown = capsys.readouterr().out
    assert "Enter" not in shown.partition("Ctrl-C leaves")[2]
    code, _, _ = visit(3, Visitor(0, b""), monkeypatch, asks=False)
    told = {re.sub(r"\d+", "#", line) for line in capsys.readouterr().out.splitlines()}
    assert told - {*TOUR.read_text().splitlines()} == set()  # else write it anew: python -m tests.processes.test_demo


def test_the_tour_needs_nodes_that_can_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, demo, _ = visit(2, Visitor(0, b""), monkeypatch)
    assert (code, demo.mended, capsys.readouterr().out) == (1, 0, "")


def test_an_answer_is_judged_by_its_first_word() -> None:
    assert [tour._judged(typed, ["no"]) for typed in ("", "No.", "no, it is not", "yes", " ")] == [
        "",
        "Right.",
        "Right.",
        "Not so.",
        "",
    ]


def test_a_line_of_the_tour_has_to_succeed_where_nothing_else_is_told() -> None:
    assert Run("status") == ("status", 0, 0)


@pytest.mark.parametrize("asks", [True, False])
def test_a_person_who_waits_for_a_slow_start_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asks: bool
) -> None:
    monkeypatch.setattr(cli_demo, "_QUIET_SECONDS", 0.0)
    asked = iter([{}, {}, {}, following(1, 0, 1, 2)])
    nodes = DemoNodes(Path("nowhere"))
    demo = SimpleNamespace(nodes=nodes, statuses=lambda: next(asked))
    assert cli_demo._has_started(cast(Demo, demo), asks=asks)
    out, err = capsys.readouterr()
    assert "Node 1 leads" in out
    assert err == ("trioraft: starting 0 nodes\n" if asks else "")
