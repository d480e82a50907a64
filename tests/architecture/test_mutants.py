"""The catalogue of mutants fits the source as it is: one that does not is found here, and not after an hour."""

from __future__ import annotations

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant

from .imports import ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert (ROOT / mutant.kills.partition("::")[0]).exists()


def test_the_names_tell_them_apart() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
