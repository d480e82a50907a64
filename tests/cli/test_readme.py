"""What the README shows of the program is what the program shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trioraft_cli.sim import Task, run_one

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_shows_the_lines_that_a_simulation_prints(capsys: pytest.CaptureFixture[str]) -> None:
    shown = re.search(r"^\$ trioraft sim --seed 7\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert run_one(7, Task(None, None, None, whole=False), "text") == 0
    printed = capsys.readouterr().out
    names = [[line.split()[0] for line in text.splitlines()] for text in (shown[1], printed)]
    assert names[0] == names[1]
    assert "verdict     linearizable" in shown[1]


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{page.name}" for page in README.parent.glob("docs/*.md"))])
def test_links_lead_to_what_is_there(page: str) -> None:
    file = README.parent / page
    for target in re.findall(r"\]\((?!https?:)([^)\s]*)\)", file.read_text()):
        name, _, anchor = target.partition("#")
        there = (file.parent / name).resolve() if name else file
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, target
