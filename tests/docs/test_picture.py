"""The README's picture: how a terminal's screen becomes an SVG, and that the session in it still goes so."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from ..helpers.tmux import needs_tmux
from .picture import PICTURE, PROMPT, SESSION, cropped, prompts, took_place, typed
from .svg import COLOURS, GROUND, HEIGHT, MARGIN, TEXT, WIDTH, Style, drawn, spans

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{SVG}text"))


def lines(svg: str) -> list[str]:
    """The lines of a picture, each text at its column."""
    found: dict[float, str] = {}
    for text in texts(svg):
        row, column = float(text.attrib["y"]), round((float(text.attrib["x"]) - MARGIN) / WIDTH)
        found[row] = found.get(row, "").ljust(column) + (text.text or "")
    return [found[row] for row in sorted(found)]


def test_each_text_stands_at_its_column_and_is_told_its_length() -> None:
    [first, second, third] = texts(drawn(["NODE  TERM", "  a b"], "a title"))
    assert [first.text, second.text, third.text] == ["NODE", "TERM", "a b"]
    assert float(second.attrib["x"]) == pytest.approx(MARGIN + 6 * WIDTH, abs=0.1)
    assert float(third.attrib["x"]) == pytest.approx(MARGIN + 2 * WIDTH, abs=0.1)
    assert float(third.attrib["textLength"]) == pytest.approx(3 * WIDTH, abs=0.1)
    assert float(third.attrib["y"]) - float(first.attrib["y"]) == HEIGHT


def test_what_xml_would_obey_is_escaped() -> None:
    [text] = texts(drawn(["a <b> & c"], "<title>"))
    assert text.text == "a <b> & c"


@pytest.mark.parametrize(
    ("codes", "style"),
    [
        ("", Style()),
        ("1", Style(bold=True)),
        ("2", Style(dim=True)),
        ("32", Style(COLOURS[2])),
        ("92", Style(COLOURS[2])),
        ("30;43", Style(GROUND, COLOURS[3])),
        ("38;5;2", Style(COLOURS[2])),
        ("38;5;196", Style("#ff0000")),
        ("48;5;232", Style(None, "#080808")),
        ("38;2;1;2;255", Style("#0102ff")),
        ("1;31;0", Style()),
        ("1;31;22;39", Style()),
        ("4;7", Style()),
    ],
)
def test_a_style_is_read_from_the_codes_of_a_terminal(codes: str, style: Style) -> None:
    assert spans([f"\x1b[{codes}mx"]) == [[("x", style)]]


def test_a_style_goes_on_in_the_next_line() -> None:
    green = Style(COLOURS[2])
    assert spans(["a\x1b[32mb", "c\x1b[0md"]) == [[("a", Style()), ("b", green)], [("c", green), ("d", Style())]]


def test_a_prompt_waits_only_at_the_end() -> None:
    assert prompts("trioraft> put k 1\nrevision 2\ntrioraft>\n\n") == 2
    assert prompts("trioraft> put k 1\nrevision 2\n") == 0
    assert prompts("") == 0


def test_the_nodes_in_a_line_are_those_that_were_shown() -> None:
    seen = "Node 2 leads, in term 1.\nnode 2 (leader) killed; node 0 leads in term 2 after 9 ms\n"
    assert typed(r"\restart {killed}", seen) == r"\restart 2"
    assert typed(r"\partition {leader} | {others}", seen) == r"\partition 0 | 1 2"


def test_the_picture_leaves_out_what_is_the_same_for_all() -> None:
    screen = ["3 nodes on this machine.", "  put name Alice", "", "trioraft> get k", "1", "trioraft> exit", ""]
    plain = [re.sub("\x1b[^m]*m", "", line) for line in cropped(screen)]
    assert plain == ["$ trioraft demo", screen[0], "", *screen[3:5]]


def test_the_picture_is_a_session_and_needs_nothing_from_elsewhere() -> None:
    svg = PICTURE.read_text()
    shown = lines(svg)
    asked = [line.removeprefix(f"{PROMPT} ") for line in shown if line.startswith(PROMPT)]
    patterns = [re.sub(r"\\{\w+\\}", "[0-9 ]+", re.escape(line)) for line in SESSION]
    assert len(asked) == len(SESSION)
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(patterns, asked, strict=True)), asked
    assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert len(svg) < 20_000
    fills = {text.attrib["fill"] for text in texts(svg)}
    assert TEXT in fills
    assert len(fills) > 2, "it has colours"


@needs_tmux
@pytest.mark.slow
def test_the_session_still_goes_so() -> None:
    plain = [re.sub("\x1b[^m]*m", "", line).rstrip() for line in took_place()]
    assert plain[-1] == '"Carol"'
    assert len([line for line in plain if re.fullmatch(r"revision \d+", line)]) == 3
    assert any("leads" in line and "after" in line for line in plain)
