"""What tests of several rooms use, and what is set up before any of them."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from .helpers import in_virtual_time
from .helpers.fake_nodes import Make, fake_nodes

HERE = Path(__file__).parent
QUICK = ("architecture", "cli", "cluster", "docs", "kv", "raft", "storage", "wire")
"""The folders whose tests start no node: all that they hold is quick, but for what is marked slow."""
WHOLE_NODES = ("cluster", "replica", "server")
"""The folders whose tests run whole nodes in virtual time."""

# How long an example takes says nothing on a machine that does other things besides: no time fails a test.
settings.register_profile("default", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("slow", settings.get_profile("default"), max_examples=1000)
settings.load_profile("default")


def _hear_signals() -> None:
    """Have programs that tests start take signals as in a terminal, also where the tests run in the background."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_configure(config: pytest.Config) -> None:
    """Let the hundreds of processes that tests start share their compiled modules.

    Where Python was told to write none, each of them would compile the whole program again, for half a second. They
    are kept apart then, in a folder that goes when the tests end.
    """
    _hear_signals()
    if sys.dont_write_bytecode and sys.pycache_prefix is None:
        folder = tempfile.TemporaryDirectory(prefix="trioraft-bytecode-")
        patch = pytest.MonkeyPatch()
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", folder.name)
        config.add_cleanup(folder.cleanup)
        config.add_cleanup(patch.undo)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the garbage collector what stays until the end: thousands of tests, and the trees of their sources.

    Each full collection would go through all of it, and the tests cause hundreds.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `pytest -m quick` runs: by the folder, so that a new file needs no mark."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder in QUICK and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.quick)
        if folder in WHOLE_NODES:
            in_virtual_time.mark(item)


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a disk of so many KiB, in memory: a mount point, where this user may mount."""
    mounted: list[Path] = []

    def mount(kibibytes: int) -> Path:
        place = tmp_path / f"disk-{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "none", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"nothing can be mounted here: {error}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def fake() -> Iterator[Make]:
    """Give a function that makes nodes which say what the test says."""
    with fake_nodes() as make:
        yield make
