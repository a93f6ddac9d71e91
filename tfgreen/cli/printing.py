"""What verbs print on stdout: a JSON document, a rendered record, or plain lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

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


def print_certificate(certificate: Certificate, *, quiet: bool, verbose: int) -> None:
    """The verdict first; a few lines when quiet, every check when verbose."""
    if quiet:
        from tfgreen.reporting import certificate_summary

        click.echo(certificate_summary(certificate))
        return
    from tfgreen.reporting.certificate_text import render_certificate

    print_renderable(render_certificate(certificate, detailed=verbose > 0))
