"""What verbs print on stdout: a JSON document, a rendered record, or plain lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tfgreen.verification.certificate import Certificate

_WIDTH_OF_A_FILE = 160


def print_renderable(renderable: RenderableType) -> None:
    """Coloured and fitted to the terminal; plain and 160 columns wide elsewhere."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    Console(width=width).print(renderable)


def print_written(output: str, *, quiet: bool) -> None:
    """Where the result went, and unless quiet where a bundle's page is, or why it has none."""
    from tfgreen.manifest import REPORT_HTML, REPORT_JSON

    click.echo(f"Written: {output}")
    if quiet:
        return
    page = Path(output, REPORT_HTML)
    if page.is_file():
        click.echo(f"Look at: {page}")
    elif page.with_name(REPORT_JSON).is_file():
        from tfgreen.reporting.page.files import NO_HTML

        click.echo(f"Left out: {NO_HTML.what}: {NO_HTML.why}")


def print_certificate(certificate: Certificate, *, quiet: bool, verbose: int) -> None:
    """The verdict first; a few lines when quiet, every check when verbose."""
    if quiet:
        from tfgreen.reporting import certificate_summary

        click.echo(certificate_summary(certificate))
        return
    from tfgreen.reporting.certificate_text import render_certificate

    print_renderable(render_certificate(certificate, detailed=verbose > 0))


def print_encodings(facts: Mapping[str, Any] | None, *, quiet: bool) -> None:
    """Every way to store the file that was considered; nothing where nobody asks for it."""
    from tfgreen.reporting.encoding_text import encodings_summary, render_encodings

    if facts and facts["is_told"]:
        _print_facts(facts, encodings_summary, render_encodings, quiet=quiet)


def print_repair(facts: Mapping[str, Any] | None, *, quiet: bool) -> None:
    """What a repair tried and kept; nothing where none was asked for."""
    from tfgreen.reporting.repair_text import render_repair, repair_summary

    if facts:
        _print_facts(facts, repair_summary, render_repair, quiet=quiet)


def _print_facts(
    facts: Mapping[str, Any],
    summary: Callable[[Mapping[str, Any]], Iterable[str]],
    render: Callable[[Mapping[str, Any]], Any],
    *,
    quiet: bool,
) -> None:
    if quiet:
        for line in summary(facts):
            click.echo(f"  {line}")
    else:
        print_renderable(render(facts))
