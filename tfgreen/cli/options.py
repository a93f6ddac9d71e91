"""Options that several verbs share, and what an argument must look like."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tfgreen.user_code import names_a_function

Function = TypeVar("Function", bound=Callable[..., Any])

if TYPE_CHECKING:
    _TextType = click.ParamType[str]
else:
    _TextType = click.ParamType  # click 8.1 has no type parameter


class _PathText(_TextType):
    """Text that a shell completes as a path."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


class SourcePath(_PathText):
    """A path that exists, or `module:function`; it stays the text that was typed."""

    name = "source"

    def __init__(self, *, function: bool = False) -> None:
        self._function = function

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself; a usage error if there is nothing of that name."""
        text = str(value)
        if Path(text).exists() or (self._function and names_a_function(text)):
            return text
        expected = (
            "a path that exists or module:function" if self._function else "a path that exists"
        )
        self.fail(f"there is no '{text}'; expected {expected}.", param, ctx)


class OutputPath(_PathText):
    """A path to write to; it stays the text that was typed, since a final slash means a folder."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself; a usage error if it is empty."""
        if not str(value):
            self.fail("the path is empty; expected FILE.tflite or a folder.", param, ctx)
        return str(value)


OUTPUT = OutputPath()
MODEL_OR_DATA = SourcePath(function=True)
EXISTING = SourcePath()


def talk(function: Function) -> Function:
    """-v and -q."""
    function = click.option(
        "-v",
        "--verbose",
        count=True,
        help="Tell every check and every layer, and the log; -vv: tracebacks too.",
    )(function)
    return click.option("-q", "--quiet", is_flag=True, help="No progress, a short result.")(
        function
    )


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
force = click.option("--force", is_flag=True, help="Replace what an earlier run wrote.")


def complete_profile(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The bundled profiles that begin so; paths of others where none does."""
    from tfgreen.profile import list_profiles

    return _names_or_path(list_profiles(), incomplete)


def complete_recipe(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The ready recipes that begin so; paths of others where none does."""
    from tfgreen.recipe import list_recipes

    return _names_or_path(list_recipes(), incomplete)


def _names_or_path(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


profile = click.option(
    "--profile",
    metavar="NAME|FILE.toml",
    shell_complete=complete_profile,
    help="The target; see `tfgreen profiles`.",
)
evaluate = click.option(
    "--evaluate",
    type=MODEL_OR_DATA,
    metavar="DATA",
    help="Held-back samples, with labels if there are any; they only judge.",
)
against = click.option(
    "--against",
    type=MODEL_OR_DATA,
    metavar="MODEL",
    help="The float model that the file is judged by.",
)
samples = click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="How many samples the gates run.",
)


def calibration(*, required: bool = False) -> Callable[[Function], Function]:
    """--calibration, with what it may be."""
    return click.option(
        "--calibration",
        type=MODEL_OR_DATA,
        required=required,
        metavar="DATA",
        help="Some hundred samples: .npz, .npy, an image folder or module:function.",
    )


bundle = click.option(
    "-o",
    "--output",
    type=OUTPUT,
    required=True,
    metavar="OUT",
    help="FILE.tflite, or a folder.",
)


def judging(function: Function) -> Function:
    """What a file is judged by, and for which target."""
    for option in (samples, loading, profile, evaluate, against):
        function = option(function)
    return function


def printing(function: Function) -> Function:
    """--json, --force, -v and -q, which every verb that writes has."""
    for option in (talk, force, as_json):
        function = option(function)
    return function


def loading(function: Function) -> Function:
    """How a model may be loaded."""
    function = click.option(
        "--allow-unsafe", is_flag=True, help="Load a model that carries code (Lambda layers)."
    )(function)
    return click.option(
        "--custom-objects", metavar="MODULE", help="Module that defines the model's own classes."
    )(function)
