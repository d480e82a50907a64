"""The benchmark of the operations runs, for this program and for an etcd that is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import etcd, load, operations
from benchmarks.__main__ import main
from benchmarks.grpc import fields, framed, number, text, unframed
from benchmarks.operations import System, Trioraft, measure


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that take no time."""
    monkeypatch.setattr(operations, "LOADS", ((3, 2),))
    monkeypatch.setattr(operations, "LEASES", (20,))
    monkeypatch.setattr(operations, "WAITERS", (2,))
    monkeypatch.setattr(operations, "WATCHERS", (1, 30))
    monkeypatch.setattr(operations, "WATCHING", 4)
    monkeypatch.setattr(operations, "SETTLED_SECONDS", 0.001)


def measured(system: System) -> set[str]:
    """The names of the figures, none of which is zero."""
    found = measure(system, 0.01)
    assert all(one.value > 0 for one in found)
    assert len({one.name for one in found}) == len(found) == 9
    return {one.name for one in found}


def test_the_operations_of_this_program_are_measured(tmp_path: Path) -> None:
    with load.Cluster(tmp_path, 1) as cluster:
        measured(Trioraft(cluster))


@pytest.mark.skipif(not etcd.is_installed(), reason="etcd is not installed (apt-get install etcd-server)")
def test_those_of_an_etcd_are_measured_alike(tmp_path: Path) -> None:
    with etcd.Etcd(tmp_path) as system:
        measured(system)


@pytest.mark.parametrize("options", [["core"], ["--against", "HEAD"], ["--record"]])
def test_an_etcd_stands_beside_the_operations_alone(options: list[str]) -> None:
    done = CliRunner().invoke(main, ["--beside-etcd", *options])
    assert done.exit_code == 2
    assert "--beside-etcd goes" in done.output


def test_a_message_is_encoded_and_decoded() -> None:
    message = number(1, 3600) + text(2, b"key") + number(3, 1 << 60) + text(2, text(1, b"x" * 300))
    assert fields(message) == {1: [3600], 2: [b"key", text(1, b"x" * 300)], 3: [1 << 60]}


def test_messages_are_found_in_the_pieces_of_a_stream() -> None:
    data = framed(b"one") + framed(b"") + framed(b"three")
    for cut in range(len(data)):
        first, rest = unframed(data[:cut])
        second, rest = unframed(rest + data[cut:])
        assert (first + second, rest) == ([b"one", b"", b"three"], b"")
