"""`tfgreen doctor`: what is installed, missing or clashing."""

from __future__ import annotations

import click

from tfgreen.cli import options
from tfgreen.cli.verb import FAILED, Verb


@click.command(cls=Verb, short_help="Tell what is installed, missing or clashing.")
@options.as_json
@options.talk
def doctor(as_json: bool, verbose: int, quiet: bool) -> None:
    """Tell the versions of the stack, what is missing and what clashes.

    \b
    Examples:
      tfgreen doctor
      tfgreen doctor --json

    Exit code 1: something that tfgreen requires is missing or clashes.
    """
    from tfgreen.doctor import diagnose

    diagnosis = diagnose()
    if as_json:
        click.echo(diagnosis.to_json(), nl=False)
    else:
        from tfgreen.reporting.doctor_text import doctor_text

        click.echo(doctor_text(diagnosis, short=quiet))
    if not diagnosis.healthy:
        raise click.exceptions.Exit(FAILED)
