"""`tfgreen completion`: verbs, options and names completed by the shell."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from tfgreen.cli.verb import Verb

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_TFGREEN_COMPLETE"
"""Set by the script while the shell asks; click reads it."""


@click.command(cls=Verb, short_help="Print a script that completes commands in your shell.")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def completion(shell: str | None) -> None:
    """Print the script with which SHELL completes verbs, options, profiles, recipes and files.

    Without SHELL it is the one of the environment variable SHELL.

    \b
    Examples:
      eval "$(tfgreen completion bash)"                    in ~/.bashrc
      eval "$(tfgreen completion zsh)"                     in ~/.zshrc
      tfgreen completion fish > ~/.config/fish/completions/tfgreen.fish
    """
    click.echo(_script(shell or _own_shell()).source())


def _own_shell() -> str:
    name = PurePath(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        known = ", ".join(SHELLS)
        raise click.UsageError(f"Received no shell, and $SHELL is '{name}'; expected one: {known}.")
    return name


def _script(shell: str) -> ShellComplete:
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    kinds = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    root = click.get_current_context().find_root()
    return kinds[shell](root.command, {}, "tfgreen", _VARIABLE)
