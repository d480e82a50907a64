"""What is typed on the terminal: a line with colours, hints, suggestions, completions, and the bar below it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any, Self

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, get_app_session
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, has_focus, is_done, renderer_height_is_known
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import ConditionalContainer, HSplit, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.renderer import CPR_Support
from prompt_toolkit.utils import get_cwidth

from trioraft_cli import colour
from trioraft_cli.bar import Bar
from trioraft_cli.completion import ClusterCompleter
from trioraft_cli.hints import usage_to_come
from trioraft_cli.history import KeptHistory
from trioraft_cli.lines import PROMPT, Prompt
from trioraft_cli.plain_lines import CONTINUED
from trioraft_cli.signals import Leaving
from trioraft_cli.streams import say
from trioraft_cli.typed import is_open
from trioraft_cli.typing_colours import STYLE, UNCOLOURED, LineColours


class Keyboard:
    """Reads lines with all that helps to type them. A context, at whose end nothing of it goes on."""

    def __init__(self, prompt: Prompt, leaving: Leaving) -> None:
        self._prompt = prompt
        self._leaving = leaving
        self._history = KeptHistory()
        _ask_no_cursor_over_ssh()
        self._session: PromptSession[str] = PromptSession(
            history=self._history,
            auto_suggest=AutoSuggestFromHistory(),
            completer=ClusterCompleter(prompt),
            complete_while_typing=False,  # each key would ask a node, and a Tab meanwhile would be lost
            lexer=LineColours(prompt.root),
            style=STYLE if colour.wanted(sys.stdout) else UNCOLOURED,
            input_processors=[_Hint(lambda text: usage_to_come(prompt.root, text))],
            key_bindings=self._keys(),
            prompt_continuation=lambda _width, _line, wrapped: "" if wrapped else CONTINUED,
        )
        self._bar = Bar(prompt.connection, self._redraw, self._tell)
        self._session.app.key_processor.before_key_press += lambda _: self._bar.looked_at()
        self._news: list[str] = []
        self._is_typing = False
        _add_below(self._session, self._bar.text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def next(self) -> str | None:
        """Return the next line, or lines that were pasted; an empty one where Ctrl-C cleared it, None at the end."""
        if warning := self._history.take_warning():
            say(warning)
        self._is_typing = True
        while self._news:
            say(self._news.pop(0))
        self._bar.looked_at()
        try:
            with self._leaving.by_asking(self._ask_to_end), patch_stdout():
                return self._session.prompt(PROMPT, pre_run=self._begin)
        except KeyboardInterrupt:
            if not self._session.default_buffer.text:  # else that is cleared, and the next Ctrl-C ends the watches
                self._prompt.connection.going_on.break_off()
            return ""
        except EOFError:
            return None
        finally:
            self._is_typing = False
            self._bar.rest()

    def _redraw(self) -> None:
        """Draw the bar anew. The bar's thread asks for it, also when the loop that draws has just been closed."""
        with contextlib.suppress(RuntimeError):
            self._session.app.invalidate()

    def _tell(self, news: str) -> None:
        """Say something above the line that is typed, or once the command that runs has ended."""
        if self._is_typing:
            say(news)
        else:
            self._news.append(news)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @Condition
        def goes_on() -> bool:
            document = self._session.default_buffer.document
            return bool(document.current_line.strip()) and is_open(self._prompt.root, document.text)

        @keys.add("enter", filter=has_focus(DEFAULT_BUFFER) & goes_on)
        def _(event: KeyPressEvent) -> None:
            """Go on with JSON in the next line."""
            event.current_buffer.newline(copy_margin=False)

        return keys

    def _begin(self) -> None:
        """Called in the loop, before the first key."""
        asyncio.get_running_loop().set_exception_handler(self._fail)
        self._end_if_told()

    def _fail(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End with what failed while the line was drawn, as where the terminal has gone away.

        prompt-toolkit would show a traceback, and wait for Enter.
        """
        app = self._session.app
        error = context.get("exception")
        if not isinstance(error, Exception):
            loop.default_exception_handler(context)
        elif app.is_running and not app.is_done:
            app.exit(exception=error)

    def _ask_to_end(self) -> None:
        """Called by a signal: an exception would be shown as a traceback, and leave the terminal as it is."""
        if (loop := self._session.app.loop) is not None:
            loop.call_soon_threadsafe(self._end_if_told)

    def _end_if_told(self) -> None:
        app = self._session.app
        if self._leaving.told and app.is_running and not app.is_done:
            app.exit(exception=EOFError)


class _Hint(Processor):
    """Puts a hint behind the line that is typed, where the history has no suggestion, which could be taken over."""

    def __init__(self, hint: Callable[[str], str]) -> None:
        self._hint = hint

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """The line with its hint."""
        fragments = transformation_input.fragments
        document = transformation_input.document
        buffer = transformation_input.buffer_control.buffer
        if document.line_count == 1 and document.is_cursor_at_the_end and not buffer.suggestion and not is_done():
            columns = get_app().output.get_size().columns
            room = columns - (get_cwidth(PROMPT + document.text) % columns) - 1
            fragments = [*fragments, ("class:hint", self._hint(document.text)[:room])]
        return Transformation(fragments)


def _ask_no_cursor_over_ssh() -> None:
    """Ask no terminal for its cursor over SSH: the answer may come late, and would stand in the line as if typed."""
    output = get_app_session().output
    if isinstance(output, Vt100_Output) and any(name.startswith("SSH_") for name in os.environ):
        output.enable_cpr = False


def _add_below(session: PromptSession[str], text: Callable[[int], str]) -> None:
    """Put a bar of one line below the prompt: at the lower edge, once it is known where that is."""

    @Condition
    def is_placed() -> bool:
        return renderer_height_is_known() or get_app().renderer.cpr_support == CPR_Support.NOT_SUPPORTED

    def shown() -> str:
        return text(session.app.output.get_size().columns)

    bar = Window(FormattedTextControl(shown), style="class:bottom-toolbar", height=1, dont_extend_height=True)
    assert isinstance(session.layout.container, HSplit)
    session.layout.container.children.append(ConditionalContainer(bar, ~is_done & is_placed))
