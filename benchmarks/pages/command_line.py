"""docs/cli.md: the list of verbs, and every option of each, as click knows them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from benchmarks.pages.markers import markdown_table
from tfgreen.cli.main import tfgreen_command

_VERBATIM = "\b"


def verb_list() -> str:
    """One line a verb: a link to its options, and what it does."""
    rows = [
        (f"[`tfgreen {name}`](#tfgreen-{name})", one.get_short_help_str(limit=200))
        for name, one in tfgreen_command.commands.items()
    ]
    return markdown_table(("verb", "what it does"), rows)


def verb_reference() -> str:
    """A section for each verb: how it is called, its help and its options."""
    return "\n\n".join(
        _section(name, command) for name, command in tfgreen_command.commands.items()
    )


def _section(name: str, command: click.Command) -> str:
    root = click.Context(tfgreen_command, info_name="tfgreen", **tfgreen_command.context_settings)
    with click.Context(command, info_name=name, parent=root) as context:
        pieces = " ".join(command.collect_usage_pieces(context))
        parts = [f"### tfgreen {name}", f"```\ntfgreen {name} {pieces}\n```"]
        parts += _paragraphs(inspect.cleandoc(command.help or ""))
        options = [one for one in command.get_params(context) if isinstance(one, click.Option)]
        rows = [_row(option, context) for option in options]
    return "\n\n".join([*parts, markdown_table(("option", "default", "meaning"), rows)])


def _paragraphs(text: str) -> Iterator[str]:
    """Help text as Markdown: what click leaves as it is becomes a block of code."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith(_VERBATIM):
            yield f"```\n{paragraph.removeprefix(_VERBATIM).strip(chr(10))}\n```"
        else:
            yield _escaped(paragraph)


def _row(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if not option.is_flag and not option.count:
        names += f" {_what(option, context)}"
    return names, _default(option, context), _escaped(option.help or "")


def _what(option: click.Option, context: click.Context) -> str:
    """What stands behind an option; ranges of numbers as `N`."""
    is_plain_range = option.metavar is None and isinstance(option.type, click.IntRange)
    return "N" if is_plain_range else _escaped(option.make_metavar(context))


def _default(option: click.Option, context: click.Context) -> str:
    if option.required:
        return "required"
    if option.is_flag or option.count or not option.show_default:
        return ""
    default = option.get_default(context)
    return f"`{default}`"


def _escaped(text: str) -> str:
    """Angle brackets and asterisks as characters, not as HTML or emphasis."""
    return text.replace("<", "&lt;").replace("*", chr(92) + "*")
