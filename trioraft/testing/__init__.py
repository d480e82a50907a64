"""The tools that trioraft is tested with, for your own tests: clusters in virtual time, faults, and a judge.

`simulate(seed)` runs the core, its storage and its requests in one process, some ten thousand events a second. The
network, the disks and the clock are drawn from the seed. `nodes.simulate_nodes(seed)` runs whole nodes under Trio,
from the listener to the driver: slower, and closer to reality. Both check Raft's properties as they go, and raise
SimulationFailed where one does not hold.

    from trioraft.testing import simulate
    report = simulate(7)                                  # nodes, faults and load drawn from the seed
    report = simulate(7, nodes=5, faults=("kill", "partition"))

`History` records the requests and replies of any clients, in your own tests or against real nodes. `check` judges
whether it is linearizable:

    from trioraft.testing import History, Operation, check
    history = History()
    operation = history.call(Operation(client=1, kind="put", key="k", called=time.monotonic(), value=b"1"))
    ...                                                   # send operation.request(), and read the reply's line
    history.complete(operation, time.monotonic(), line)   # only if a reply came
    assert check(history.operations).outcome == "linearizable"

`MemoryDisk` is a disk that loses unsynced data at a power cut. `network.MemoryNetwork` is a network for whole nodes.
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
