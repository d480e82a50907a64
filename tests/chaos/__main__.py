"""Chaos for as long as you like: `python -m tests.chaos --minutes 30 --seed 7 --nodes 5`."""

from __future__ import annotations

import argparse
import gc
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from .run import Plan, run


def main() -> int:
    """Run, print the summary, and keep the folder if there were findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--rate", type=float, default=500.0, help="operations a second that the clients try for")
    parser.add_argument("--faults", help="only these, separated by commas")
    parser.add_argument(
        "--switched", action="store_true", help="nodes on a switch, where packets vanish; for root alone"
    )
    parser.add_argument("--counters", type=int, default=2, help="users that count, each in a session")
    parser.add_argument("--increments", type=int, help="how often each of them counts; the run lasts until then")
    parser.add_argument("--lockers", type=int, default=4, help="users that want one lock")
    parser.add_argument("--watchers", type=int, default=3, help="users that watch")
    parser.add_argument("--keep", action="store_true", help="keep the folder in any case")
    arguments = parser.parse_args()
    only = arguments.faults.split(",") if arguments.faults else None
    plan = Plan(
        arguments.seed, arguments.nodes, arguments.minutes * 60, arguments.clients, rate=arguments.rate, only=only
    )
    plan.switched = arguments.switched
    plan.lockers, plan.watchers = arguments.lockers, arguments.watchers
    plan.counters, plan.increments = arguments.counters, arguments.increments
    folder = Path(tempfile.mkdtemp(prefix=f"trioraft-chaos-{plan.seed}-"))
    gc.disable()  # the garbage collector would visit a million operations again and again
    with (folder / "chaos.log").open("w") as log:

        def say(words: str) -> None:
            print(words, flush=True)
            print(words, file=log, flush=True)

        report = run(plan, folder, say)
        say(str(report))
    if report.failures or arguments.keep:
        print(f"the nodes' folders and logs, and what was done to them when, are in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
