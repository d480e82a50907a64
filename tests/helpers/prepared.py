"""Processes of the program that need not load it: each is forked from one that has.

To start Python and to load the program takes more of a core than to elect a leader, and the tests start a thousand
nodes. So one process beside each process of tests loads what a node needs, and nothing runs in it. A node is a fork of
it, which goes on as `python -m trioraft_cli ...` would: with its arguments, its environment, its folder and its
streams. It becomes a child of the process that asked for it, and ends with that process, also if this is killed with
SIGKILL. A command that is carried out to its end (`run`) is one, too.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Protocol

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LONGEST = 1 << 20
"""Bytes of one request to the process that forks: the arguments and the environment."""
_one_at_a_time = threading.Lock()


class Process(Protocol):
    """What the tests need of a process: a `subprocess.Popen` has it."""

    pid: int
    returncode: int | Any

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...


class Fork:
    """A child process that no Popen started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._waiting = threading.Lock()

    def poll(self) -> int | None:
        """The exit code as Popen gives it; None while the process runs."""
        with self._waiting:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit code. Raises TimeoutExpired after `timeout` seconds."""
        if self.poll() is None:
            ended = os.pidfd_open(self.pid)
            try:
                select.select([ended], [], [], timeout)
            finally:
                os.close(ended)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)


def run(
    words: Sequence[str], environment: Mapping[str, str], typed: str | None = None, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run `python -m trioraft_cli words` to its end, with pipes for its streams. Raises TimeoutExpired.

    `typed` is its standard input, by default nothing. Use a Python of its own where that is what the test is about.
    """
    threads = ThreadPoolExecutor(3)
    with contextlib.ExitStack() as theirs:
        (stdin, into), (out, stdout), (err, stderr) = (os.pipe() for _ in range(3))
        for descriptor in (stdin, stdout, stderr):
            theirs.callback(os.close, descriptor)
        process = start("trioraft_cli", words, (stdin, stdout, stderr), environment)
    # Each thread closes its own end: what the command has left behind may hold the other ends for ever.
    typing = threads.submit(_type, into, typed or "")
    outputs = [threads.submit(_read, end) for end in (out, err)]
    threads.shutdown(wait=False)
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        raise
    typing.result(timeout)
    return subprocess.CompletedProcess(words, code, *[output.result(timeout) for output in outputs])


def _type(descriptor: int, text: str) -> None:
    with contextlib.suppress(BrokenPipeError), open(descriptor, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)


def _read(descriptor: int) -> str:
    with open(descriptor, encoding="utf-8") as stream:
        return stream.read()


def start(module: str, words: Sequence[str], streams: Sequence[int], environment: Mapping[str, str]) -> Fork:
    """Run `python -m module words`, with these descriptors as its standard input, output and error."""
    request = {"module": module, "words": words, "parent": os.getpid(), "folder": os.getcwd()}
    with _one_at_a_time:
        line = _prepared()
        _set(PR_SET_CHILD_SUBREAPER, 1)
        try:
            socket.send_fds(line, [json.dumps({**request, "environment": dict(environment)}).encode()], streams)
            said = line.recv(LONGEST)
        finally:
            _set(PR_SET_CHILD_SUBREAPER, 0)
    assert said, "what forks nodes has ended"
    return Fork(int(said))


@cache
def _prepared() -> socket.socket:
    """The line to the process that forks, which is started now and ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for either in (ours, theirs):
        either.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _set(option: int, value: int) -> None:
    """Set an attribute of this process (prctl)."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _serve(line: socket.socket) -> dict[str, Any] | None:
    """Fork for each request. Returns the request in the fork, and None in the process that forks, at its end."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(line, LONGEST, 3)
        if not data:
            return None
        told, tell = os.pipe()
        between = os.fork()
        if between:
            os.waitpid(between, 0)  # with its end, the node becomes the child of the tests
            line.send(os.read(told, 100))
            for descriptor in (told, tell, *descriptors):
                os.close(descriptor)
            continue
        between = os.getpid()
        node = os.fork()
        if node:
            os.write(tell, b"%d" % node)
            os._exit(0)
        for descriptor in (told, tell):
            os.close(descriptor)
        line.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        for descriptor in descriptors:
            os.close(descriptor)
        return {**json.loads(data), "between": between}


def _become(request: Mapping[str, Any]) -> None:
    """Go on as the program that was asked for."""
    while os.getppid() == request["between"]:
        time.sleep(0.001)
    _set(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != request["parent"]:
        os._exit(1)  # the tests have ended already
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", *sys.path)]
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    sys.argv[1:] = request["words"]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    line = socket.socket(fileno=int(sys.argv[1]))
    import trioraft_cli.main
    import trioraft_cli.node  # noqa: F401

    # What all forks have is shared as long as nobody writes to it, and the collector writes to all that it visits.
    gc.collect()
    gc.freeze()
    request = _serve(line)
    if request is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _become(request)


if __name__ == "__main__":
    _main()
