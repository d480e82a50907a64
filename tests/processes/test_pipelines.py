"""Random legal requests to real nodes: every request is answered, in order, and no node ends."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from trioraft.testing.history import History
from trioraft.testing.pipelines import Done, Exchange, Pipelines
from trioraft.wire.operations import OPERATIONS

from ..helpers.load import Threads
from ..helpers.processes import HOST, Cluster, Node, eventually, free_ports, talk

REQUESTS = 100_000
AT_ONCE = 150
SECONDS = 240.0
"""How many seconds that many replies may take, on two cores."""
ANSWER_SECONDS = 60.0
"""How long a client waits on a connection: a change takes seconds, and many may stand in line."""
NOBODY = 999
ALARMS = ("internal error", "which is a bug", "Traceback")


@pytest.mark.parametrize("tool", ["nc", "python"])
def test_a_snapshot_with_a_write_behind_it_does_not_end_a_node(steady: Cluster, tool: str) -> None:
    node = steady.leader()
    line = b'{"op":"snapshot"}\n{"op":"put","key":"a","value":1}\n'
    if tool == "python":
        data = talk(node.port, line)
    elif (nc := shutil.which("nc")) is not None:
        command = [nc, "-N", HOST, str(node.port)]
        data = subprocess.run(command, input=line, capture_output=True, timeout=10, check=True).stdout
    else:
        pytest.skip("there is no nc")
    snapshot, put = map(json.loads, data.splitlines())
    assert snapshot["ok"]
    assert put["rev"] > snapshot["index"]
    assert node.running
    assert node.status()["node"] == node.index
    assert not any(alarm in node.log for alarm in ALARMS)


class _Piper:
    """One client, which sends requests of every operation to one node after another."""

    def __init__(self, crew: Pipers, number: int) -> None:
        self._crew = crew
        self._number = number
        self._random = random.Random(f"piper {number}")
        self._pipelines = Pipelines(self._random, self)
        self._values = 0
        self._snapshot = 0
        self._revisions: dict[str, int] = {}
        self._guests: list[int] = []

    def key(self, op: str) -> str:
        return f"{'n' if op == 'incr' else 'k'}{self._random.randrange(10)}"

    def value(self) -> bytes:
        self._values += 1
        return b'"%d-%d"' % (self._number, self._values)

    def rev(self, key: str) -> int:
        return self._revisions.get(key, 0)

    def snapshot(self) -> int:
        return self._snapshot

    def address(self) -> str:
        return f"{HOST}:{self._random.randint(1, 3)}"  # nobody listens there

    def removable(self) -> int:
        return self._random.choice([*self._guests, NOBODY])

    def target(self) -> int:
        return self._random.randrange(3)

    def speak(self) -> None:
        """Send some requests on one connection; all must be answered unless the node is killed."""
        node = self._random.choice(self._crew.nodes)
        life = self._crew.life(node)
        exchange = Exchange(self._number, History())
        requests = self._pipelines.draw(self._random.choice((1, 10, AT_ONCE, AT_ONCE)))
        try:
            with socket.create_connection((HOST, node.port), 5) as connection:
                connection.settimeout(ANSWER_SECONDS)
                self._ask(connection, exchange, requests)
        except OSError:
            if self._crew.life(node) == life and not self._crew.dying(node):
                raise
            time.sleep(0.05)  # the node was killed, or is being started again
        else:
            survives = self._crew.life(node) != life or self._crew.dying(node)
            assert survives or not exchange.waiting, (
                f"node {node.index} closes, and has not answered {exchange.waiting[0]}"
            )

    def _ask(self, connection: socket.socket, exchange: Exchange, requests: Sequence[dict[str, object]]) -> None:
        end = self._random.random() < 0.3
        for asked in requests:
            exchange.ask(asked, time.monotonic())
        for piece in self._pipelines.cut(self._pipelines.lines(requests, end)):
            connection.sendall(piece)
        if end:
            connection.shutdown(socket.SHUT_WR)
        goes_on = any(OPERATIONS[str(asked["op"])].kind == "stream" for asked in requests)  # perhaps for ever
        rest = b""
        while exchange.waiting or (end and not goes_on):
            data = connection.recv(1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._learn(exchange, line)

    def _learn(self, exchange: Exchange, line: bytes) -> None:
        if not isinstance(done := exchange.take(line, time.monotonic()), Done):
            return
        self._pipelines.belongings.learn(done.asked, done.reply)
        op, reply = done.asked["op"], done.reply
        self._crew.count(op)
        if done.operation is not None and done.operation.answer is not None and done.operation.answer.rev:
            self._revisions[done.operation.key] = done.operation.answer.rev
        elif op == "snapshot" and reply["ok"]:
            self._snapshot = reply["index"]
        elif op == "add_member" and reply["ok"]:
            self._guests = [*self._guests[-4:], reply["member"]["id"]]


class Pipers(Threads):
    """Clients that send requests of every operation until enough were answered. A context in which they run."""

    def __init__(self, nodes: Sequence[Node], requests: int, count: int = 8) -> None:
        self.nodes = list(nodes)
        self.answered: Counter[str] = Counter()
        self._requests = requests
        self._lives: Counter[int] = Counter()
        self._dying: set[int] = set()
        self._lock = threading.Lock()
        super().__init__(2 * ANSWER_SECONDS, [partial(self._run, _Piper(self, number)) for number in range(count)])

    @property
    def done(self) -> bool:
        """Whether enough requests were answered, or something is wrong."""
        return bool(self.errors) or self.answered.total() >= self._requests

    def count(self, op: str) -> None:
        with self._lock:
            self.answered[op] += 1

    def life(self, node: Node) -> int:
        """The number of the node's present life."""
        return self._lives[node.index]

    def dying(self, node: Node) -> bool:
        """Whether the node is being killed and started again just now."""
        return node.index in self._dying

    def kill(self, node: Node) -> None:
        """Kill the node with SIGKILL, and start it again."""
        self._dying.add(node.index)
        self._lives[node.index] += 1
        node.kill()
        node.start()
        node.listens()
        self._dying.discard(node.index)

    def _run(self, piper: _Piper) -> None:
        while not self._stop.is_set() and not self.done:
            piper.speak()


def change_members(cluster: Cluster) -> None:
    """Add a newcomer that starts and votes, and remove it again, while others change the members too."""
    [port] = free_ports(1)

    def told(request: dict[str, object], right: Callable[[dict[str, object]], bool]) -> dict[str, object] | None:
        try:
            reply = cluster.nodes[0].ask(request, 15)
        except (OSError, ValueError):
            return None
        return reply if right(reply) else None

    def members() -> dict[int, dict[str, object]]:
        reply = told({"op": "members"}, lambda reply: bool(reply["ok"])) or {"members": []}
        return {member["id"]: member for member in reply["members"]}  # type: ignore[attr-defined]

    address = f"{HOST}:{port}"
    add: dict[str, object] = {"op": "add_member", "address": address}
    eventually(lambda: told(add, lambda reply: "already" in str(reply)), "the newcomer is taken in", 60)
    index = next(index for index, member in members().items() if member["address"] == address)
    servers = cluster.folder / f"servers-{index}.txt"
    rows = members()
    servers.write_text("".join(f"{rows[row]['address'] if row in rows else '-'}\n" for row in range(index + 1)))
    newcomer = Node(index, port, servers, cluster.folder)
    try:
        newcomer.start()
        eventually(lambda: members().get(index, {}).get("role") == "voter", "the newcomer votes", 60)
        remove: dict[str, object] = {"op": "remove_member", "member": index}
        gone = f"there is no member {index}"
        eventually(lambda: told(remove, lambda reply: gone in str(reply)), "the newcomer is let go", 60)
        assert newcomer.running
    finally:
        if newcomer.running:
            newcomer.kill()


@pytest.mark.slow
def test_a_hundred_thousand_requests_of_all_kinds(cluster: Cluster) -> None:
    chance = random.Random(1)
    with Pipers(cluster.nodes, REQUESTS) as pipers:
        eventually(lambda: pipers.done or pipers.answered.total() > REQUESTS // 20, "a beginning", SECONDS)
        change_members(cluster)
        ends = time.monotonic() + SECONDS
        while not pipers.done and time.monotonic() < ends:
            node = cluster.leader(60) if chance.random() < 0.5 else chance.choice(cluster.nodes)
            pipers.kill(node)
            mark = pipers.answered.total() + REQUESTS // 20
            eventually(lambda mark=mark: pipers.done or pipers.answered.total() > mark, "answers", SECONDS)  # type: ignore[misc]
    assert pipers.answered.total() >= REQUESTS
    assert all(pipers.answered[op] > REQUESTS // 1000 for op in OPERATIONS)
    assert len(cluster.running) == 3
    cluster.leader(30)
    cluster.caught_up(30)
    for node in cluster.nodes:
        assert not any(alarm in node.log for alarm in ALARMS)
