"""Completion in bash, zsh and fish: the scripts that ask for it, and the answers to them."""

from __future__ import annotations

import os
from typing import ClassVar, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from trioraft_cli.bash_words import before_cursor, quoted

ASKED_BY: Final = "_TRIORAFT_COMPLETE"
"""The variable in which a script says what it wants."""
_BASH: Final = """\
%(complete_func)s() {
    local answer
    COMPREPLY=()
    while IFS= read -r answer; do
        case $answer in
            plain,*) COMPREPLY+=("${answer#plain,}") ;;
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
        esac
    done < <(%(complete_var)s=bash_complete TRIORAFT_LINE="${COMP_LINE:0:COMP_POINT}" \\
             TRIORAFT_BREAKS="$COMP_WORDBREAKS" "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Shell(ShellComplete):
    """What the shells have in common."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """The completions of a word.

        A name is none that begins as an option does, or has a line end that the shell cannot show.
        """
        found = super().get_completions(list(args), incomplete)
        return [item for item in found if not item.word or self._can_take(item.value, "--" in args)]

    def _can_take(self, name: str, options_ended: bool) -> bool:
        return (options_ended or not name.startswith("-")) and ("\n" not in name or self.name == "bash")


class _Bash(_Shell, BashComplete):
    """Bash: it splits words at more than blanks, and takes completions as they are typed."""

    source_template: ClassVar[str] = _BASH

    def complete(self) -> str:
        """The completions, a line each: of each the part that bash puts in the place of the word before the cursor."""
        at = before_cursor(os.environ["TRIORAFT_LINE"], os.environ["TRIORAFT_BREAKS"])
        lines = []
        for item in self.get_completions(at.words[1:], at.incomplete):
            if item.type != "plain":
                lines.append(self.format_completion(item))
            elif item.value.startswith(at.kept):
                typed = quoted(item.value.removeprefix(at.kept), at.quote)
                lines += [] if typed is None else [f"plain,{typed}"]
        return "\n".join(lines)


class _Zsh(_Shell, ZshComplete):
    """Zsh: it quotes completions itself."""

    source_template: ClassVar[str] = ZshComplete.source_template.replace(
        "_complete %(prog_name)s)", "_complete %(prog_name)s 2>/dev/null)"
    )


class _Fish(_Shell, FishComplete):
    """Fish: it quotes completions itself."""

    source_template: ClassVar[str] = FishComplete.source_template.replace('split ","', 'split -m 1 ","').replace(
        "(commandline -t) %(prog_name)s)", "(commandline -t) %(prog_name)s 2>/dev/null)"
    )


_SHELLS: Final[dict[str, type[ShellComplete]]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def prepare() -> None:
    """Have click answer shells as above."""
    for shell in _SHELLS.values():
        add_completion_class(shell)


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the script with which a SHELL completes commands, options, keys, nodes, locks and leases.

    \b
    bash: put this line into ~/.bashrc:
              eval "$(trioraft completion bash)"
    zsh:  put this line into ~/.zshrc, behind compinit:
              eval "$(trioraft completion zsh)"
    fish: call once:
              trioraft completion fish > ~/.config/fish/completions/trioraft.fish

    Keys, nodes, locks and leases are those of the cluster that the line names, or else $TRIORAFT_SERVERS or
    ./servers.txt. Any node is asked, for half a second at most.

    \b
    Examples: trioraft completion bash
              trioraft completion zsh
              trioraft completion fish
    """
    print(_SHELLS[shell](context.find_root().command, {}, "trioraft", ASKED_BY).source())
    return 0


COMMANDS = (completion,)
