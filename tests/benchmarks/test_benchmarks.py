"""That the benchmarks run, and say what they ought to; how quick anything is, no test asserts."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import inside, load, scale
from benchmarks.__main__ import _run_in
from benchmarks.results import Result, show, show_comparison

ROOT = Path(__file__).parents[2]


def test_the_parts_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [*inside.measure_core(0.01), *inside.measure_codec(0.01), *inside.measure_log(0.01, tmp_path)]
    assert all(one.value > 0 for one in found)
    assert len({one.name for one in found}) == len(found)
    show(found)
    assert "entries/s" in capsys.readouterr().out
    assert not list(tmp_path.iterdir()), "the log's folder is removed"


def test_a_version_is_measured_in_its_own_tree_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = _run_in(ROOT, "codec", 0.01, tmp_path)
    assert here
    assert _run_in(tmp_path, "no such part", 0.01, tmp_path) == []
    show_comparison({one.name: [one, one] for one in here}, {here[0].name: [Result(here[0].name, 1.0, "x")] * 2}, "abc")
    told = capsys.readouterr().out
    assert "abc" in told
    assert here[0].name.split(":")[0] in told


def test_a_load_on_a_cluster(tmp_path: Path) -> None:
    with load.Cluster(tmp_path, 1) as cluster:
        leader = [cluster.addresses[cluster.leader]]
        filled = load.run(leader, load.put_in_order(100), 2, 4, total=50)
        read = load.run(leader, load.get(50), 3, 1, seconds=0.2)
        assert filled.rate > 0
        assert 0 < read.p50 <= read.p99
        assert cluster.memory(0) > 1_000_000
        assert cluster.restart(0) > 0
        assert load.ask(leader[0], {"op": "scan", "keys_only": True, "limit": 100})["more"] is False
    assert all(process.returncode is not None for process in cluster.processes)


def test_a_load_says_what_failed(tmp_path: Path) -> None:
    with load.Cluster(tmp_path, 1) as cluster, pytest.raises(RuntimeError, match="unknown_op"):
        load.run(cluster.addresses, lambda number: b'{"op":"pot","id":%d}' % number, 1, 1, seconds=5)


def test_a_curve_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = scale.Plot("some", "x", "y", [scale.Curve("one", [1, 10], [1, 2])])
    scale.draw(plot, tmp_path)
    first = (tmp_path / "some.svg").read_bytes()
    scale.draw(plot, tmp_path)
    assert (tmp_path / "some.svg").read_bytes() == first
