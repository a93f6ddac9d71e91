"""`tfgreen inspect`: what is in a model, a .tflite file or a bundle."""

from __future__ import annotations

import click

from tfgreen.cli import options
from tfgreen.cli.printing import print_renderable
from tfgreen.cli.verb import Verb


@click.command(cls=Verb, short_help="Show what is in a model, a file or a bundle.")
@click.argument("path", type=options.EXISTING, metavar="MODEL|FILE.tflite|BUNDLE")
@options.as_json
@options.talk
def inspect(path: str, as_json: bool, verbose: int, quiet: bool) -> None:
    """Show layers or ops, dtypes, scales, MACs, parameters, zeros and bytes.

    Nothing of the file is run, and TensorFlow is not needed.

    \b
    Examples:
      tfgreen inspect kws.keras
      tfgreen inspect kws.tflite --json
      tfgreen inspect build/kws/
    """
    from tfgreen.inspection import inspect as look_into

    inspection = look_into(path)
    if as_json:
        click.echo(inspection.to_json(), nl=False)
        return
    from tfgreen.reporting.inspection_text import render_inspection

    print_renderable(render_inspection(inspection, short=quiet))
