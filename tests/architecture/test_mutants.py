"""Every mutant of the catalogue fits the present source: a misfit is found here, and not after an hour."""

from __future__ import annotations

import ast
import re

import pytest

from tests.mutants import table
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant

from .imports import ROOT, parsed


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert (ROOT / mutant.kills.partition("::")[0]).exists()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_names_what_its_class_has(mutant: Mutant) -> None:
    """One that sets what nobody reads any more is no mistake, and survives."""
    source = (ROOT / mutant.file).read_text()
    line = source.count("\n", 0, source.index(mutant.old)) + 1
    names = re.findall(r"\bself\.(\w+)", mutant.new)
    lines = source.splitlines()
    within = [
        "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in (ast.walk(parsed(source)) if names else ())
        if isinstance(node, ast.ClassDef) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    for name in names:
        assert re.search(rf"\b{name}\b", "\n".join(within)), name


def test_the_names_tell_them_apart() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_the_rows_of_the_table_are_of_mutants_that_there_are_and_in_their_order() -> None:
    rows = list(table.rows(table.DOCUMENT.read_text()))
    assert rows == [mutant.name for mutant in MUTANTS if mutant.name in rows]


def test_a_row_says_what_caught_the_mutant_by_default_and_in_the_slow_part() -> None:
    tested = Mutant("tested", "f", "a", "b", "tests/raft/test_x.py::test_y")
    alone = Mutant("alone", "f", "a", "b")
    assert (
        table.row(tested, "by default", "seed 7: Durability") == "| tested | test_x.py::test_y | seed 7: Durability |"
    )
    assert table.row(tested, "slow", "seed 7: Durability") == "| tested | - | test_x.py::test_y; seed 7: Durability |"
    assert table.row(tested, "slow", "not simulated") == "| tested | - | test_x.py::test_y |"
    assert (
        table.row(tested, "never", "lives 600 seeds") == "| tested | test_x.py::test_y (SURVIVES) | lives 600 seeds |"
    )
    assert table.row(alone, "none", "seed 7: Durability") == "| alone | the simulation | seed 7: Durability |"
    assert table.row(alone, "none", "seed 700: Durability") == "| alone | - | seed 700: Durability |"


@pytest.mark.parametrize("test", ["by default", "slow"])
@pytest.mark.parametrize("seed", ["seed 7: Durability", "lives 600 seeds, 150 of whole nodes"])
def test_what_is_known_of_the_seeds_is_read_from_the_row(test: table.Test, seed: str) -> None:
    assert table.seed_of(table.row(Mutant("x", "f", "a", "b", "tests/test_x.py"), test, seed)) == seed
    assert table.seed_of("") == table.NOT_TRIED


def test_rows_are_written_one_by_one_and_those_of_the_others_stay() -> None:
    mutants = [Mutant(name, "f", "a", "b") for name in ("first", "second")]
    document = f"before\n\n{table.HEADER}| gone | - | - |\n| second | - | lives |\n\nafter\n"
    new = table.updated(document, {"first": "| first | - | not tried |"}, mutants)
    assert new == f"before\n\n{table.HEADER}| first | - | not tried |\n| second | - | lives |\n\nafter\n"
    assert table.updated(new, {}, mutants) == new
