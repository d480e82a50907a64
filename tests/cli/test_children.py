"""A command that is run: its exit code, its environment, Ctrl-C, and how it ends with all that it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ..helpers.processes import is_running

PRELUDE = """
import os, signal, sys, threading
from trioraft_cli.children import Child
from trioraft_cli.outcomes import conclude
from trioraft_cli.signals import Leaving
"""


def parent(body: str) -> list[str]:
    """A program in which this is the command that is carried out."""
    return [sys.executable, "-c", f"{PRELUDE}\ndef act():\n{textwrap.indent(body, '    ')}\nsys.exit(conclude(act))"]


def run(body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(parent(body), capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "exit 0"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["/no/such/command"], 127),
        (["/etc/passwd"], 126),
    ],
)
def test_the_exit_code_is_passed_on(command: list[str], code: int) -> None:
    result = run(f"with Child({command!r}, {{}}) as child: return child.wait()")
    assert result.returncode == code
    assert ("cannot be started" in result.stderr) == (code in (126, 127))


def test_its_environment_has_any_text_and_its_input_is_what_it_is_given(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_bytes(b"from a file\n")
    result = run(
        f"with open({str(given)!r}, 'rb') as file, Child(['sh', '-c', 'cat; printenv KEY'], "
        "{'KEY': 'line\\nend ☾ \\'quoted\\''.encode()}, file) as child: return child.wait()"
    )
    assert (result.returncode, result.stdout) == (0, "from a file\nline\nend ☾ 'quoted'\n")


TREE = "sh -c 'trap \"\" TERM; (sleep 60 & echo $!; wait) & echo $!; wait'"


def test_all_that_it_has_started_ends_with_it_by_force_if_need_be() -> None:
    body = f"""
with Child(['sh', '-c', {TREE!r} + ' & wait'], {{}}) as child:
    threading.Timer(1.0, child.wake).start()
    assert child.wait() is None
    child.end(0.2)
return 9
"""
    result = run(body)
    assert result.returncode == 9, result.stderr
    started = list(map(int, result.stdout.split()))
    assert len(started) == 2
    assert not any(map(is_running, started))


def test_a_signal_that_ends_the_command_ends_what_it_runs() -> None:
    body = "with Leaving(), Child(['sh', '-c', 'sleep 60 & echo $!; wait'], {}) as child: return child.wait()"
    with subprocess.Popen(parent(body), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = int(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert not is_running(started)


def test_ctrl_c_is_for_what_runs_which_may_go_on() -> None:
    body = """
script = 'trap "echo told; exit 5" INT; echo ready; while :; do sleep 0.1; done'
with Child(['sh', '-c', script], {}) as child: code = child.wait()
return code + 10 * child.was_interrupted
"""
    with subprocess.Popen(parent(body), stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "told\n"
        assert process.wait(20) == 15


def test_what_commands_leave_behind_is_waited_for_and_no_orphan_of_others_is_taken_in() -> None:
    body = """
import os, subprocess, sys, time
from pathlib import Path
for _ in range(3):
    with Child(['sh', '-c', 'sleep 0.1 & exit 0'], {}) as child: child.wait()
    time.sleep(0.5)
with Child(['true'], {}) as child: child.wait()
stats = [path.read_text().rpartition(')')[2].split()[:2] for path in Path('/proc').glob('[0-9]*/stat')]
assert ['Z', str(os.getpid())] not in stats, stats
outside = subprocess.run(['sh', '-c', 'sleep 60 >/dev/null 2>&1 & echo $!'], capture_output=True, text=True).stdout
parent = open(f'/proc/{outside.strip()}/stat').read().rpartition(')')[2].split()[1]
os.kill(int(outside), 9)
return int(int(parent) == os.getpid())
"""
    result = run(body)
    assert result.returncode == 0, result.stderr


BEFORE = """
import subprocess, sys, time
from pathlib import Path
other = subprocess.Popen(['sh', '-c', 'sleep 60 & echo $!; (sleep 61 & echo $!; exec sleep 0.3) & exec sleep 62'],
    stdout=subprocess.PIPE, text=True)
before = [other.pid, *(int(other.stdout.readline()) for _ in range(2))]
def running(process):
    try: return Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError: return False
"""


def test_what_ran_before_it_is_none_of_its_own() -> None:
    body = f"""
{BEFORE}
with Child(['sh', '-c', 'sleep 60 & echo $!; wait'], {{}}) as child:
    threading.Timer(1.0, child.wake).start()
    assert child.wait() is None
    child.end(0.2)
    left = list(map(running, before))
for process in before:
    os.kill(process, 9)
assert left == [True] * 3, left
return 9
"""
    result = run(body)
    assert result.returncode == 9, result.stderr
    assert not is_running(int(result.stdout))


ENDED = """
import subprocess, sys, time
from pathlib import Path
def ended():
    stats = [path.read_text().rpartition(')')[2].split()[:2] for path in Path('/proc').glob('[0-9]*/stat')]
    return stats.count(['Z', str(os.getpid())])
"""


@pytest.mark.parametrize("beside_others", [False, True])
def test_what_it_leaves_behind_is_waited_for_while_it_runs(beside_others: bool) -> None:
    body = f"""
{ENDED}
others = [subprocess.Popen(['sh', '-c', 'exit 5']) for _ in range({int(beside_others)})]
time.sleep(0.2)
script = 'for i in 1 2 3 4 5; do (sleep 0.$i &); done; sleep 1.5; exit 7'
with Child(['sh', '-c', script], {{}}) as child:
    time.sleep(1.0)
    assert ended() == len(others), ended()
    code = child.wait()
assert [other.wait() for other in others] == [5] * len(others)
return code
"""
    result = run(body)
    assert result.returncode == 7, result.stderr


def test_its_exit_code_is_known_where_ended_children_were_to_be_ignored() -> None:
    body = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
with Child(['sh', '-c', 'exit 7'], {}) as child: code = child.wait()
assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
return code
"""
    assert run(body).returncode == 7
