"""The README and the docs show what the program shows, their links lead somewhere, and their lines are short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trioraft_cli.sim import Task, run_one

README = Path(__file__).parents[2] / "README.md"
PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in README.parent.glob("docs/*.md"))]
WIDEST = 120
"""The longest line of prose, in characters; rows of tables and the output of programs may be wider."""


def shown_and_printed(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """The simulation's lines in the README, and those of the same seed today."""
    shown = re.search(r"^\$ trioraft sim --seed 7\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert run_one(7, Task(None, None, None, whole=False), "text") == 0
    return shown[1].splitlines(), capsys.readouterr().out.splitlines()


def test_the_readme_shows_the_lines_that_a_simulation_prints(capsys: pytest.CaptureFixture[str]) -> None:
    shown, printed = shown_and_printed(capsys)
    assert [line.split()[0] for line in shown] == [line.split()[0] for line in printed]
    assert "  verdict     linearizable" in shown


@pytest.mark.slow
def test_the_readme_shows_the_simulation_of_this_version(capsys: pytest.CaptureFixture[str]) -> None:
    """If a change alters the draws from the seed, paste the new output of `trioraft sim --seed 7`."""
    for shown, printed in zip(*shown_and_printed(capsys), strict=True):
        virtual_or_cut = shown.partition(", in ")[0].removesuffix(" ...")
        assert printed.startswith(virtual_or_cut), shown


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_what_is_there(page: str) -> None:
    file = README.parent / page
    for target in re.findall(r"\]\((?!https?:)([^)\s]*)\)", file.read_text()):
        name, _, anchor = target.partition("#")
        there = (file.parent / name).resolve() if name else file
        assert there.exists(), target
        if there.suffix == ".py":
            continue  # to a line, if to any place in it: tests/architecture/test_tour.py
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, target


@pytest.mark.parametrize("page", PAGES)
def test_prose_is_wrapped(page: str) -> None:
    prose = re.sub(r"^```.*?^```", "", (README.parent / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in prose.splitlines() if not line.startswith(("|", "    "))]
    assert [line for line in lines if len(line) > WIDEST] == []
