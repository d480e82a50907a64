"""The operator in the simulation of whole nodes: adds members, removes members, and hands the lead over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any, Final

import trio

from trioraft.addresses import Address
from trioraft.raft.messages import NodeId
from trioraft.testing.machines import Machine, World
from trioraft.testing.network import MemoryConnection, MemoryHub
from trioraft.wire.codec import decode, encode

MOST_MEMBERS: Final = 6
LASTING: Final = 3
"""Only the operator removes nodes with a lower id than this; clients do not."""
PATIENCE: Final = 6.0


class _Line:
    """A connection for one request at a time."""

    def __init__(self, connection: MemoryConnection) -> None:
        self.reply: dict[str, Any] | None = None
        self.news = trio.Event()
        self._connection = connection
        self._data = b""

    def received(self, data: bytes) -> None:
        """Take the reply, or a part of it."""
        self._data += data
        if self._data.endswith(b"\n"):
            self.reply = decode(self._data)
        if self.reply is not None or not data:
            self.news.set()

    def drained(self) -> None:
        """Do nothing: sending does not wait for room."""

    def broken(self) -> None:
        """Note that the connection is gone."""
        self.news.set()


class Operator:
    """Changes the members at its own pace until it is cancelled; `settle` then makes the machines fit the members."""

    def __init__(self, world: World, machines: list[Machine], add_machine: Callable[[Machine], None]) -> None:
        """`machines` grows with the members; `add_machine` is told of each newcomer."""
        self.changes: Counter[str] = Counter()
        """How many changes were carried out, by operation."""
        self._world = world
        self._machines = machines
        self._add_machine = add_machine
        self._random = Random(f"operator {world.random.random()}")
        self._hub = MemoryHub(world.network, "operator")
        self._pace = self._random.choice((0.3, 1.0))

    async def run(self) -> None:
        """Change the members or the leader now and then, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve)
            while True:
                await trio.sleep(self._random.expovariate(1 / self._pace))
                await self._change()

    def newcomer(self) -> str:
        """The address for a new member; once there are many members, the address of one of them."""
        present = [machine for machine in self._machines if not machine.retired]
        return self._fresh() if len(present) < MOST_MEMBERS else str(present[0].address)

    def removable(self) -> list[NodeId]:
        """The members that clients may remove: enough others stay to hold elections even if one dies."""
        return [machine.index for machine in self._machines if machine.index >= LASTING and not machine.retired]

    def _fresh(self) -> str:
        """An address at which no machine has ever been."""
        names = {machine.name for machine in self._machines}
        return next(f"{name}:8000" for number in count(1) if (name := f"node{number}") not in names)

    async def settle(self) -> bool:
        """Make the machines fit the members that the leader knows; whether every voter has its vote."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve)
            members = await self._members(leader_only=True)
            nursery.cancel_scope.cancel()
        if members is None:
            return False
        self._reconcile(members)
        ids = {member["id"] for member in members["members"]}
        for machine in self._machines:
            if machine.index not in ids:
                machine.retire()
        return all(not member.get("promote") for member in members["members"])

    async def _serve(self) -> None:
        while True:
            await self._hub.wait()
            self._hub.serve()

    async def _change(self) -> None:
        members = await self._members(leader_only=False)
        if members is None:
            return
        self._reconcile(members)
        random = self._random
        present = members["members"]
        voters = [member["id"] for member in present if member["role"] == "voter"]
        kind = random.choice(("transfer", "add", "remove"))
        if kind == "add" and len(present) < MOST_MEMBERS:
            await self._carry_out("add_member", address=self._fresh(), learner=random.random() < 0.1)
        elif kind == "remove" and len(voters) > 2:
            gone = random.choice(present)["id"]
            if await self._carry_out("remove_member", member=gone, force=random.random() < 0.1):
                self._world.agenda.after(random.choice((0.0, 0.5, 3.0)), lambda: self._retire(gone))
        elif kind == "transfer":
            target = random.choice(voters) if random.random() < 0.5 else None
            await self._carry_out("transfer_leadership", **({} if target is None else {"target": target}))

    async def _carry_out(self, op: str, **fields: Any) -> bool:
        self._world.trace.note(f"operator: {op} {fields}")
        reply = await self._ask(self._random.choice(self._machines), {"op": op, **fields})
        self._world.trace.note(f"operator is told {reply}")
        done = reply is not None and reply["ok"]
        if done:
            self.changes[op] += 1
        return done

    async def _members(self, leader_only: bool) -> dict[str, Any] | None:
        leaders = [machine for machine in self._machines if machine.core is not None and machine.core.role == "leader"]
        if leaders:
            machine = max(leaders, key=lambda machine: machine.core.term if machine.core else 0)
        elif leader_only:
            return None
        else:
            machine = self._random.choice(self._machines)
        reply = await self._ask(machine, {"op": "members"})
        return reply if reply is not None and reply["ok"] and reply["members"] else None

    async def _ask(self, machine: Machine, request: dict[str, Any]) -> dict[str, Any] | None:
        with trio.move_on_after(PATIENCE):
            try:
                connection = await self._hub.dial(machine.address)
            except OSError:
                return None
            line = connection.handler = _Line(connection)
            connection.resume()
            connection.send(encode(request) + b"\n")
            await line.news.wait()
            connection.close()
            return line.reply
        return None

    def _reconcile(self, members: dict[str, Any]) -> None:
        """Start a machine for each member that has none."""
        known = {machine.index for machine in self._machines}
        servers = {member["id"]: member["address"] for member in members["members"]}
        for node, address in servers.items():
            if node not in known:
                listed = [servers.get(position, "-") for position in range(node + 1)]
                host, _, port = address.rpartition(":")
                machine = Machine(self._world, node, Address(host, int(port)), listed)
                self._add_machine(machine)
                machine.start()

    def _retire(self, node: int) -> None:
        for machine in self._machines:
            if machine.index == node:
                machine.retire()
