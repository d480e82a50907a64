"""The faults of the simulation of whole nodes, drawn again and again."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import Final

import trio

from trioraft.testing.disk import PowerCut
from trioraft.testing.machines import Killed, Machine, World
from trioraft.testing.network import Weather
from trioraft.testing.virtual_time import StepCounter

FAST: Final = (0.0, 0.0)
USUAL: Final = (0.0001, 0.003)
BUSY: Final = (0.002, 0.03)
SLOW: Final = (0.05, 0.2)
"""How many seconds a write takes. Even a slow disk must cause no election."""


class Faults:
    """The adversary of one run: it draws faults of the run's kinds, at the run's pace, until `end`."""

    KINDS: Final = (
        "kill",
        "kill at a step",
        "kill in a turn",
        "power cut",
        "power cut in a turn",
        "power cut at an operation",
        "disk error",
        "no room for snapshots",
        "slow disk",
        "stand still",
        "stop",
        "partition",
        "one-way cut",
        "clog",
        "broken connections",
        "refused dials",
        "hanging dials",
        "forsaken leader",
        "round trip",
        "members",
    )

    def __init__(
        self,
        world: World,
        weather: Weather,
        machines: Sequence[Machine],
        counter: StepCounter,
        kinds: Sequence[str] | None,
    ) -> None:
        """`kinds`: the kinds to choose from; all where it is None."""
        self.random = random = world.random
        self.world = world
        self.weather = weather
        self.machines = machines
        self._counter = counter
        self._ended = False
        some = list(self.KINDS if kinds is None else kinds)
        self._kinds = random.sample(some, random.randint((len(some) + 1) // 2, len(some)))
        self._pause = random.choice((0.2, 0.5, 1.0))
        self._quiet = random.choice((0.0, 2.0, 2.0))
        """For how many seconds the cluster is left alone at first: not always until it has formed."""
        self._doings: dict[str, Callable[[], None]] = {
            "kill": lambda: self._several(Machine.kill),
            "kill at a step": self._kill_at_step,
            "kill in a turn": lambda: self._victim().die_at_send(random.randrange(6), Killed()),
            "power cut": lambda: self._several(Machine.power_off),
            "power cut in a turn": lambda: self._victim().die_at_send(random.randrange(6), PowerCut()),
            "power cut at an operation": lambda: self._victim().fail_disk(random.randrange(8), PowerCut()),
            "disk error": self._fail_disk,
            "no room for snapshots": self._refuse_snapshots,
            "slow disk": self._slow_disk,
            "stand still": self._stand_still,
            "stop": lambda: self._several(Machine.stop, restart=False),
            "partition": self._partition,
            "one-way cut": self._cut_one_way,
            "clog": self._clog,
            "broken connections": self._break_connections,
            "refused dials": lambda: self._spoil_dials(self.weather.refusing),
            "hanging dials": lambda: self._spoil_dials(self.weather.silent),
            "forsaken leader": self._forsake,
            "round trip": self._round_trip,
        }
        usual = random.choice((FAST, USUAL, BUSY))
        self._usual = usual
        for machine in machines:
            self.take_in(machine)
        self._doings["members"] = lambda: None  # an operator makes these changes

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of faults in this run."""
        return self._kinds

    @property
    def names(self) -> list[str]:
        """The names of the machines that are not switched off for good."""
        return [machine.name for machine in self.machines if not machine.retired]

    def take_in(self, machine: Machine) -> None:
        """Give a new machine a disk of the usual speed."""
        random, usual = self.random, self._usual
        machine.write_seconds = lambda: random.uniform(*usual)

    async def run(self) -> None:
        """Draw faults for ever."""
        await trio.sleep(self._quiet)
        random = self.random
        while self._kinds:
            await trio.sleep(random.expovariate(1 / self._pause))
            kind = random.choice(self._kinds)
            self.world.trace.note(f"fault: {kind}")
            self.world.trace.counts[kind] += 1
            self._doings[kind]()
        await trio.sleep_forever()

    def end(self) -> None:
        """Mend everything, and draw no more faults."""
        self._ended = True
        self.weather.mend_all()
        self.weather.seconds = (0.0001, 0.001)
        for machine in self.machines:
            machine.calm()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self.world.agenda.after(seconds, call)

    def _victim(self) -> Machine:
        """Draw a machine, often one that leads."""
        leaders = [machine for machine in self.machines if machine.core is not None and machine.core.role == "leader"]
        return self.random.choice(leaders if leaders and self.random.random() < 0.5 else self.machines)

    def _several(self, harm: Callable[[Machine], None], restart: bool = True) -> None:
        """Harm one machine, some or all; each comes back later, at its own time."""
        random = self.random
        many = random.sample(self.machines, random.randint(1, len(self.machines)))
        for machine in [self._victim()] if random.random() < 0.7 else many:
            harm(machine)
            if restart:
                self._later(random.choice((0.01, 0.3, 1.0, 2.5)), machine.start)

    def _kill_at_step(self) -> None:
        machine = self._victim()

        def kill() -> None:
            if not self._ended:
                machine.kill()
                self._later(0.3, machine.start)

        self._counter.after(self.random.randrange(200), kill)

    def _fail_disk(self) -> None:
        number = self.random.choice((errno.EIO, errno.ENOSPC))
        self._victim().fail_disk(self.random.randrange(8), OSError(number, os.strerror(number)))

    def _refuse_snapshots(self) -> None:
        """Leave some disks, perhaps all, without room for snapshots: no node may stop because of that."""
        for machine in self.random.sample(self.machines, self.random.randint(1, len(self.machines))):
            machine.disk.no_snapshots = True
            self._later(self.random.uniform(0.3, 3), machine.make_room)

    def _slow_disk(self) -> None:
        machine, random = self._victim(), self.random
        machine.write_seconds = lambda: random.uniform(*SLOW)

        def recover() -> None:
            machine.write_seconds = lambda: random.uniform(*self._usual)

        self._later(random.uniform(0.3, 3), recover)

    def _stand_still(self) -> None:
        machine = self._victim()
        machine.freeze()
        self._later(self.random.choice((0.1, 0.4, 1.0, 5.0)), machine.thaw)

    def _partition(self) -> None:
        """Cut some machines off from the others, both ways; the directions open again one after another."""
        inside = self.random.sample(self.names, self.random.randint(1, max(1, len(self.names) // 2)))
        for one in inside:
            for other in self.names:
                if other not in inside:
                    self._cut(one, other, 3)
                    self._cut(other, one, 3)

    def _cut_one_way(self) -> None:
        victim = self._victim().name
        outwards = self.random.random() < 0.5
        for other in self.names:
            if other != victim and self.random.random() < 0.8:
                self._cut(*((victim, other) if outwards else (other, victim)), 3)

    def _clog(self) -> None:
        for one in self.names:
            for other in self.names:
                if one != other and self.random.random() < 0.5:
                    self._cut(one, other, 0.5)

    def _cut(self, sender: str, receiver: str, most: float) -> None:
        """Cut one direction, for up to `most` seconds."""
        self._cut_for(sender, receiver, self.random.uniform(0.05, most))

    def _cut_for(self, sender: str, receiver: str, seconds: float) -> None:
        self.weather.cut(sender, receiver)
        self._later(seconds, lambda: self.weather.mend(sender, receiver))

    def _forsake(self) -> None:
        """Let all others take a machine for dead, often a leader, while it lives and its clients still talk to it."""
        machine = self._victim()
        if machine.life is None:
            return
        self.weather.refusing[machine.name] = None
        for other in self.names:
            if other != machine.name:
                self._cut(machine.name, other, 2)
                self._cut(other, machine.name, 2)
        for connection in list(machine.life.hub.connections):
            if connection.other.hub.name in self.names:
                connection.break_off()
        self._let_dial_again(machine, self.weather.refusing)

    def _round_trip(self, attempts: int = 40) -> None:
        """Let the lead go to another node and come back, while a third hears nobody but is heard.

        Among the other faults there is often no leader, so this waits for one.
        """
        leaders = [machine for machine in self.machines if machine.core is not None and machine.core.role == "leader"]
        others = [machine for machine in self.machines if machine not in leaders and not machine.retired]
        if len(leaders) != 1 or len(others) < 2:
            if attempts and not self._ended:
                self._later(0.05, lambda: self._round_trip(attempts - 1))
            return
        deaf, other = sorted(
            self.random.sample(others, 2), key=lambda one: one.life is None or one.life.driver.requests.idle
        )
        seconds = self.random.uniform(0.2, 0.45)
        for name in self.names:
            if name != deaf.name:
                self._cut_for(name, deaf.name, seconds)
        leaders[0].hand_over(other)
        self._later(0.005, lambda: self._give_back(other, leaders[0], 100))

    def _give_back(self, successor: Machine, leader: Machine, attempts: int) -> None:
        if successor.core is not None and successor.core.role == "leader":
            self._later(self.random.uniform(0, 0.15), lambda: successor.hand_over(leader))
        elif attempts and not self._ended:
            self._later(0.005, lambda: self._give_back(successor, leader, attempts - 1))

    def _break_connections(self) -> None:
        chance = self.random.choice((0.2, 1.0))
        for machine in self.machines:
            if machine.life is not None:
                for connection in list(machine.life.hub.connections):
                    if self.random.random() < chance:
                        connection.break_off()

    def _spoil_dials(self, spoiled: dict[str, None]) -> None:
        """Let dials to a machine be refused, or hang, and break connections so that nodes dial."""
        machine = self._victim()
        if machine.life is None:
            return
        spoiled[machine.name] = None
        self._break_connections()
        self._let_dial_again(machine, spoiled)

    def _let_dial_again(self, machine: Machine, spoiled: dict[str, None]) -> None:
        def recover() -> None:
            if machine.life is not None or spoiled is self.weather.refusing:  # a machine that is off stays silent
                spoiled.pop(machine.name, None)
                self.weather.changed()

        self._later(self.random.uniform(0.1, 2), recover)
