"""The benchmarks run, and print what they should. No test asserts how quick anything is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import history, inside, load, scale, turns
from benchmarks.guard import guard, slower
from benchmarks.results import Figures, Result, show, show_comparison

ROOT = Path(__file__).parents[2]


def test_the_parts_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [*inside.measure_core(0.01), *inside.measure_codec(0.01), *inside.measure_log(0.01, tmp_path)]
    assert all(one.value > 0 for one in found)
    assert len({one.name for one in found}) == len(found)
    show(found)
    assert "entries/s" in capsys.readouterr().out
    assert not list(tmp_path.iterdir()), "the log's folder is removed"


def test_a_version_is_measured_in_its_own_tree_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = turns.run_in(ROOT, "codec", 0.01, tmp_path)
    assert here
    assert turns.run_in(tmp_path, "no such part", 0.01, tmp_path) == []
    assert "no such part cannot be measured" in capsys.readouterr().err
    show_comparison({one.name: [one, one] for one in here}, {here[0].name: [Result(here[0].name, 1.0, "x")] * 2}, "abc")
    told = capsys.readouterr().out
    assert "abc" in told
    assert here[0].name.split(":")[0] in told


def test_a_program_that_our_benchmark_does_not_fit_is_measured_by_its_own(tmp_path: Path) -> None:
    (tmp_path / "trioraft").mkdir()
    (tmp_path / "trioraft" / "__init__.py").touch()
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (tmp_path / "benchmarks" / "__main__.py").write_text(
        'def give(part, seconds, folder):\n    print(\'[{"name":"codec: its own","value":1,"unit":"x/s"}]\')\n'
    )
    assert turns.run_in(tmp_path, "codec", 0.01, tmp_path) == [Result("codec: its own", 1.0, "x/s")]


def test_a_commit_is_unpacked_into_a_folder_that_goes_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("as committed")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    for command in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    (tmp_path / "file").write_text("changed since")
    with turns.unpacked("HEAD", tmp_path) as tree:
        assert (tree / "file").read_text() == "as committed"
    assert not tree.exists()
    with pytest.raises(LookupError, match="no-such-commit"), turns.unpacked("no-such-commit", tmp_path):
        pass
    assert len(history.commit_of(tmp_path)) >= 12
    with pytest.raises(LookupError):
        history.commit_of(tmp_path, "HEAD~1")


RATE, COST = "codec: lines", "cluster: put, 64 connections x 16, leader's processor time"


def figures(rate: float, cost: float) -> Figures:
    """Three rounds of a rate and of a cost; a neighbour has spoiled the first."""
    return {
        RATE: [Result(RATE, each, "lines/s") for each in (rate / 3, rate, rate)],
        COST: [Result(COST, each, "us/request") for each in (cost * 3, cost, cost)],
    }


def test_slower_is_a_lower_rate_or_a_higher_cost_in_the_best_round() -> None:
    before = figures(100, 10)
    assert slower(figures(92, 10.8), before) == {}
    assert set(slower(figures(89, 10), before)) == {RATE}
    assert set(slower(figures(150, 11.5), before)) == {COST}
    lucky = [Result(RATE, each, "lines/s") for each in (100, 100, 130)]
    assert slower({RATE: figures(100, 10)[RATE]}, {RATE: lucky}) == {}, "one round that was lucky is no proof"
    noisy = {"log: entries synced, 1 a batch": [Result("log: entries synced, 1 a batch", 1, "entries/s")]}
    assert slower(noisy, {name: [Result(name, 9, "entries/s")] for name in noisy}) == {}


@pytest.mark.parametrize(
    ("rounds", "fails", "said"),
    [
        ([(figures(99, 10), figures(100, 10))], False, "as quick as before"),
        ([(figures(50, 10), figures(100, 10)), (figures(99, 10), figures(100, 10))], False, "taken for noise"),
        ([(figures(50, 10), figures(100, 10)), (figures(99, 20), figures(100, 10))], False, "taken for noise"),
        ([(figures(50, 10), figures(100, 10))] * 2 + [(figures(99, 10), figures(100, 10))], False, "taken for noise"),
        ([(figures(50, 10), figures(100, 10))] * 3, True, "each time: codec: lines, 2.00 times"),
        ([(figures(50, 10), {})], False, "nothing to compare with"),
    ],
)
def test_the_guard_fails_where_a_figure_is_slower_each_time(
    rounds: list[tuple[Figures, Figures]], fails: bool, said: str
) -> None:
    told: list[str] = []
    measured = iter(rounds)
    assert guard(lambda *_: next(measured), 3, told.append) is fails
    assert said in "\n".join(told)
    assert next(measured, None) is None, "it measures again only what it has to"


def test_the_history_has_a_line_a_commit(tmp_path: Path) -> None:
    path = tmp_path / "performance" / "history.jsonl"
    history.record(path, [history.line_of("a" * 12, figures(3, 1)), history.line_of("b" * 12, figures(6, 1))])
    history.record(path, [history.line_of("a" * 12, figures(9, 1))])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["commit"] for line in lines] == ["a" * 12, "b" * 12]
    assert [line["figures"][RATE] for line in lines] == [[9, "lines/s"], [6, "lines/s"]]
    assert all(line["date"] and "Python" in line["machine"] for line in lines)


def test_a_load_on_a_cluster(tmp_path: Path) -> None:
    with load.Cluster(tmp_path, 1) as cluster:
        leader = [cluster.addresses[cluster.leader]]
        filled = load.run(leader, load.put_in_order(100), 2, 4, total=50)
        read = load.run(leader, load.get(50), 3, 1, seconds=0.2)
        assert filled.rate > 0
        assert 0 < read.p50 <= read.p99
        assert cluster.memory(0) > 1_000_000
        assert cluster.processor_times()[0] > 0
        assert cluster.restart(0) > 0
        assert load.ask(leader[0], {"op": "scan", "keys_only": True, "limit": 100})["more"] is False
    assert all(process.returncode is not None for process in cluster.processes)


def test_the_nodes_are_of_the_tree_that_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    for package in ("trioraft", "trioraft_cli"):
        (tree / package).mkdir(parents=True)
        (tree / package / "__init__.py").touch()
    (tree / "trioraft_cli" / "__main__.py").write_text("import trioraft\nraise SystemExit(trioraft.__file__)\n")
    monkeypatch.setenv("PYTHONPATH", str(tree))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(load.Cluster, "wait_for_leader", lambda _: 0)
    with load.Cluster(tmp_path, 1) as cluster:
        cluster.processes[0].wait(20)
    assert (tmp_path / "node-0.log").read_text() == f"{tree / 'trioraft' / '__init__.py'}\n"


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
