"""What the project proves itself with, for tests of one's own: clusters in virtual time, faults, and a judge.

`simulate(seed)` runs the core, its storage and its requests in one process, some ten thousand events a second, on a
network, disks and a clock drawn from the seed. `nodes.simulate_nodes(seed)` runs whole nodes, listener to
driver, under Trio, slower and nearer to the truth. Both check Raft's properties as they go and raise
SimulationFailed where one does not hold.

    from trioraft.testing import simulate
    report = simulate(7)                                  # nodes, faults and load drawn from the seed
    report = simulate(7, nodes=5, faults=("kill", "partition"))

`History` records what any clients did and were told, in a test of one's own or against real nodes, and `check`
judges whether it is linearizable:

    from trioraft.testing import History, Operation, check
    history = History()
    operation = history.call(Operation(client=1, kind="put", key="k", called=time.monotonic(), value=b"1"))
    ...                                                   # send operation.request(), and read the reply's line
    history.complete(operation, time.monotonic(), line)   # not called at all where no reply came
    assert check(history.operations).outcome == "linearizable"

`MemoryDisk` is a disk that loses what was not synced, `network.MemoryNetwork` a network for whole nodes.
"""

from trioraft.testing.disk import MemoryDisk, PowerCut
from trioraft.testing.faults import KINDS
from trioraft.testing.history import Answer, History, Operation
from trioraft.testing.linearizability import Verdict, check
from trioraft.testing.outcome import SimulationFailed
from trioraft.testing.simulation import Report, Simulation, simulate

__all__ = [
    "KINDS",
    "Answer",
    "History",
    "MemoryDisk",
    "Operation",
    "PowerCut",
    "Report",
    "Simulation",
    "SimulationFailed",
    "Verdict",
    "check",
    "simulate",
]
