"""The demo: real nodes that are killed, paused and cut off on command, a tour, and an end that leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..helpers.processes import eventually, running
from ..helpers.terminals import OnTerminal

ENTER, CTRL_C, CTRL_D = b"\r", b"\x03", b"\x04"
PROMPT = "trioraft>"
QUESTION = "Your answer, or Enter:"
ON = "Enter goes on:"
TOUR = Path(__file__).with_name("tour.txt")
TOUR_TYPED = "\\tour\nscan\n"
DEMO = [sys.executable, "-P", "-m", "trioraft_cli", "demo"]
SECONDS = 60.0
"""How long a demo may take in all: it starts many processes on a busy machine."""
SLOW = pytest.mark.slow


def environment(folder: Path) -> dict[str, str]:
    names = {"XDG_STATE_HOME": str(folder), "TMPDIR": str(folder), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    return {**{name: value for name, value in os.environ.items() if not name.startswith("TRIORAFT")}, **names}


def run(folder: Path, typed: str, *words: str, at: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a demo from a pipe, and see that it leaves nothing; its output has its errors in their places."""
    result = subprocess.run(
        [*DEMO, *words],
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=at,
        env=environment(folder),
        timeout=SECONDS,
        check=False,
    )
    assert nodes_of(folder) == []
    assert list(folder.glob("trioraft-demo-*")) == []
    return result


def nodes_of(folder: Path) -> list[str]:
    """The processes of the demos that have their folders there."""
    return running(str(folder / "trioraft-demo-"))


def shape(text: str) -> str:
    """The output with what differs from run to run made the same: numbers, the order of a table, what was noticed."""
    lines = [re.sub(r"\d+", "#", line) for line in text.splitlines()]
    kept = [line for line in lines if "does not answer, now asking" not in line and "the watch goes on" not in line]
    rows = [" ".join(line.split()) if re.match(r"NODE| *# +#", line) else line for line in kept]
    return "\n".join(_sorted_tables(re.sub(r", and has caught up after # ms|, in term #", "", row) for row in rows))


def _sorted_tables(lines: Iterator[str]) -> Iterator[str]:
    rows: list[str] = []
    for line in lines:
        if line.startswith("# #"):
            rows.append(line)
            continue
        yield from sorted(rows)
        rows.clear()
        yield line
    yield from sorted(rows)


def test_nodes_are_killed_and_started_again_on_command(tmp_path: Path) -> None:
    for name in ("trioraft.py", "trio.py", "random.py"):  # nothing is run from the folder where it is typed
        (tmp_path / name).write_text("raise RuntimeError('of the user')\n")
    typed = ["put name Alice", r"\kill leader", "put name Bob", "status", r"\restart 7", "get name"]
    result = run(tmp_path, "\n".join(typed), at=tmp_path)
    assert result.returncode == 2  # there is no node 7
    first, *lines = result.stdout.splitlines()
    assert re.fullmatch(r"3 nodes on this machine, until you leave. Node \d leads, in term 1.", first)
    assert re.search(
        r"^node (\d) \(leader\) killed; node \d leads in term 2 after \d+ ms$", result.stdout, re.MULTILINE
    )
    assert sum(line.split()[2:3] == ["killed"] for line in lines) == 1
    assert "there is no node '7': there are 0, 1, 2" in result.stdout
    assert lines[-1] == '"Bob"'


@pytest.mark.parametrize(
    "leave",
    [
        None,
        pytest.param(CTRL_D, marks=SLOW),
        pytest.param(b"", marks=SLOW),
        pytest.param(signal.SIGTERM, marks=SLOW),
        pytest.param(signal.SIGHUP, marks=SLOW),
    ],
    ids=["kill -9", "Ctrl-D", "window closed", "SIGTERM", "SIGHUP"],
)
def test_a_demo_takes_all_it_made_with_it(tmp_path: Path, leave: bytes | int | None) -> None:
    """A node that is paused, and one that was started from the prompt, too."""
    with OnTerminal(DEMO, environment(tmp_path)) as demo:
        demo.shows(PROMPT)
        assert len(nodes_of(tmp_path)) == 3
        demo.does(b"\\pause 0" + ENTER, "paused; ")
        demo.does(b"\\kill 1" + ENTER, "killed")
        demo.does(b"\\restart 1" + ENTER, "runs again")
        demo.terminal.read_until(lambda: demo.terminal.is_raw, "the prompt is back")
        if leave == b"":
            demo.terminal.hang_up()
        elif isinstance(leave, bytes):
            demo.terminal.type(leave)
            assert demo.ends() == 0
        else:
            demo.process.send_signal(leave or signal.SIGKILL)
        codes = {CTRL_D: 0, b"": 129, signal.SIGTERM: 143, signal.SIGHUP: 129, None: -9}
        assert demo.process.wait(20) == codes[leave]
        eventually(lambda: nodes_of(tmp_path) == [], "its nodes end")
        assert leave is None or list(tmp_path.glob("trioraft-demo-*")) == []


@SLOW
def test_the_network_is_cut_and_healed_on_command(tmp_path: Path) -> None:
    lines = [
        r"\partition leader",
        "put color blue",
        r"\heal",
        r"\slow leader 30",
        r"\slow leader 0",
        r"\partition 0 1 2",
        r"\pause leader",
        r"\heal",
        "get color",
    ]
    said = run(tmp_path, "\n".join(lines)).stdout
    assert re.search(r"\d \| \d \d: cut off from each other; node \d leads in term 2 after \d+ ms", said)
    assert re.search(r"node \d alone is no majority of 3; node \d steps down after \d+ ms", said)
    assert re.search(r"all links are whole; node \d leads on in term 2", said)
    assert re.search(r"is sent, arrives 30 ms later; node \d leads on", said)
    assert "all nodes would be on one side" in said
    assert re.search(r"node \d \(leader\) paused; node \d leads in term 3 after \d+ ms", said)
    assert re.search(r"node (\d) is still paused: \\resume \1", said)
    assert said.endswith('"blue"\n')


@SLOW
def test_a_majority_that_is_killed_takes_the_writes_with_it_and_brings_them_back(tmp_path: Path) -> None:
    lines = ["put a 1", r"\kill 0", r"\kill 1", "get a --stale", r"\kill 2", "status", r"\kill 2", r"\pause 2"]
    back = [r"\restart 2", r"\restart 1", "get a", r"\restart 1", r"\resume 1"]
    said = run(tmp_path, "\n".join([*lines, *back])).stdout
    assert re.search(r"node 2 alone is no majority of 3; node 2 steps down|node 2 alone is no majority of 3\n", said)
    assert "no node answers any more\nto go on: \\restart 2" in said
    assert r"node 2 is dead already: \restart 2 starts it" in said
    assert r"node 2 is dead, there is nothing to pause" in said
    assert re.search(r"node 1 runs again.*; node \d leads in term \d+ after", said)
    assert "node 1 runs already: \\kill 1 ends it" in said
    assert "node 1 runs already: \\pause 1 freezes it" in said
    assert said.count("\n1\n") == 2


@SLOW
def test_a_fourth_node_is_added(tmp_path: Path) -> None:
    said = run(tmp_path, "\\add\nmembers\n\\logs 3\n\\kill 3\n").stdout
    assert re.search(r"node 3 votes after \d+ ms: 4 voters now, of which 3 are a majority, so they can lose 1", said)
    assert re.search(r"^3 +\S+ +voter +yes", said, re.MULTILINE)
    assert "node 3 listens on" in said
    assert re.search(r"node 3 \(follower\) killed; node \d leads on in term 1", said)


@SLOW
def test_a_script_is_carried_out_and_shown_up_to_its_first_failure(tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_text('# what is told\nput p {"a":\n 1}\n\nget p\nget nothing\nget p\n')
    result = run(tmp_path, "", "--script", str(script))
    assert result.returncode == 1
    shown = 'trioraft> # what is told\ntrioraft> put p {"a":\n 1}\nrevision 2\ntrioraft> get p\n'
    assert result.stdout.partition("\n")[2].startswith(shown)
    assert result.stdout.endswith("trioraft> get nothing\ntrioraft: there is no key nothing\n")


def test_a_script_that_cannot_be_read_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"put a \xff\n")
    for name, why in [("missing", "cannot be read: No such file"), ("bytes", "is no text in UTF-8")]:
        result = run(tmp_path, "", "--script", str(tmp_path / name))
        assert (result.returncode, why in result.stdout) == (2, True)


@SLOW
def test_the_tour_goes_as_it_is_told(tmp_path: Path) -> None:
    """Where its words have changed: run this module, and look at what it has written."""
    result = run(tmp_path, TOUR_TYPED)
    assert (result.returncode, shape(result.stdout)) == (0, TOUR.read_text().rstrip("\n"))


@SLOW
def test_ctrl_c_leaves_the_tour_and_mends_what_is_broken(tmp_path: Path) -> None:
    with OnTerminal(DEMO, environment(tmp_path)) as demo:
        demo.shows(PROMPT)
        demo.does(b"\\tour" + ENTER, QUESTION)
        leaves_the_tour(demo)
        demo.does(b"\\tour" + ENTER, QUESTION)
        for _ in range(3):
            demo.does(b"yes" + ENTER, ON)
            demo.does(ENTER, QUESTION)
        demo.does(ENTER, "to go on: ")  # the majority is dead
        leaves_the_tour(demo)
        demo.does(b"status" + ENTER, "follower", 2)
        demo.does(CTRL_C, PROMPT)
        demo.terminal.type(b"exit" + ENTER)
        assert demo.ends() == 0
        assert "Traceback" not in demo.shown
    assert nodes_of(tmp_path) == []


def leaves_the_tour(demo: OnTerminal) -> None:
    """Press Ctrl-C, and see that the prompt comes back and writes are taken."""
    prompts = demo.shown.count(PROMPT)
    demo.does(CTRL_C, "The tour ends here.")
    at = demo.shown.rindex("The tour ends here.")
    demo.terminal.read_until(lambda: PROMPT in demo.shown[at:], f"the prompt after {prompts} prompts")
    demo.does(b"put k 1" + ENTER, "revision")


if __name__ == "__main__":  # write down how the tour goes now
    with tempfile.TemporaryDirectory() as somewhere:
        TOUR.write_text(f"{shape(run(Path(somewhere), TOUR_TYPED).stdout)}\n")
