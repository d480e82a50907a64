"""The program holds no unused code; code that only tests use counts as unused."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import imports as rules
from .unused import Module, unused

USED_BY_OTHERS = {
    "benchmarks.__main__ give": "the process that measures another version calls it",
    "trioraft.server.logs PatientHandler.emit": "logging calls it",
    "trioraft.server.logs _Text.formatMessage": "logging calls it",
    "trioraft.testing.machines Trace.emit": "logging calls it",
    "trioraft.testing.virtual_time StepCounter.after_task_step": "trio calls it",
    "trioraft_cli.cells Cell.wrap": "rich calls it",
    "trioraft_cli.keyboard _Hint.apply_transformation": "prompt_toolkit calls it",
    "trioraft_cli.typing_colours LineColours.lex_document": "prompt_toolkit calls it",
    "trioraft_cli.history KeptHistory.append_string": "prompt_toolkit calls it",
    "trioraft_cli.history KeptHistory.load_history_strings": "prompt_toolkit calls it",
    "trioraft_cli.history KeptHistory.store_string": "prompt_toolkit calls it",
    "trioraft_cli.tree _Tree.format_help": "click calls it",
    "trioraft_cli.completion ClusterCompleter.get_completions_async": "prompt_toolkit calls it",
    "trioraft_cli.streams _Input.readinto": "io calls it",
}
"""Definitions that the program itself does not use, and who does."""


def modules(sources: dict[str, tuple[str, bool]]) -> list[Module]:
    """Parse these sources by the names of the modules, each with whether it is a package's `__init__`."""
    return [
        Module(name, rules.parsed(source), rules.imports(name, source, is_door, set(sources)), is_door)
        for name, (source, is_door) in sources.items()
    ]


def found(**sources: str) -> list[str]:
    """The unused definitions in the modules of these names."""
    return [str(each) for each in unused(modules({name: (source, False) for name, source in sources.items()}))]


def program() -> dict[str, tuple[str, bool]]:
    paths: dict[str, Path] = rules.sources()
    paths |= {f"benchmarks.{path.stem}": path for path in sorted((rules.ROOT / "benchmarks").glob("*.py"))}
    return {name: (path.read_text(), path.name == "__init__.py") for name, path in paths.items()}


def test_everything_in_the_program_is_used_by_it() -> None:
    assert {str(each) for each in unused(modules(program()))} == set(USED_BY_OTHERS)


@pytest.mark.parametrize(
    "source",
    [
        "def alone(): ...",
        "def alone(): return alone()",
        "ALONE = 1",
        "class Alone:\n    x: int",
        "alone: int = 1",
        "if True:\n    def alone(): ...",
    ],
)
def test_what_nothing_uses_is_found(source: str) -> None:
    assert "a" in {each.partition(" ")[0] for each in found(a=source)}


@pytest.mark.parametrize("inner", ["def x(self): ...", "x: int", "x = 1", "@property\n    def x(self): ..."])
def test_a_part_of_a_class_that_nothing_uses_is_found(inner: str) -> None:
    assert found(a=f"class A:\n    {inner}\n\nprint(A())") == ["a A.x"]
    assert found(a=f"class A:\n    {inner}\n\nprint(A().x)") == []
    assert found(a=f"class A:\n    {inner}\n\nx = A()\nprint(x)") == [], "the same name in the module hides it"


def test_what_another_module_uses_is_used_if_it_could_mean_that_one() -> None:
    assert found(a="def f(): ...", b="from a import f\nf()") == []
    assert found(a="def f(): ...", b="import a\na.f()") == []
    assert found(a="def f(): ...", b="def g(f): return f\nprint(g)") == ["a f"]


def test_what_a_door_hands_out_or_a_library_is_given_is_used() -> None:
    door = {"p": ("from p.a import f", True), "p.a": ("def f(): ...\ndef g(): ...", False)}
    assert [str(each) for each in unused(modules(door))] == ["p.a g"]
    assert found(a="@click.command('x')\ndef f(): ...") == []
