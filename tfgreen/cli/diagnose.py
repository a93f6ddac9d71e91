"""`tfgreen diagnose`: which op of a quantized file goes wrong first, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfgreen.cli import options
from tfgreen.cli.verb import Verb
from tfgreen.reporting.progress import progress


@click.command(cls=Verb, short_help="Say why a quantized file is wrong, and where it begins.")
@click.argument("model", type=options.MODEL_OR_DATA)
@click.argument("file", type=options.EXISTING)
@options.evaluate
@click.option(
    "--calibration",
    type=options.MODEL_OR_DATA,
    metavar="DATA",
    help="What the file was calibrated with, if known.",
)
@options.samples
@click.option("--plot", type=options.OUTPUT, metavar="PNG|SVG|PDF", help="Draw the layers.")
@click.option(
    "-o", "--output", type=options.OUTPUT, metavar="FILE.json", help="Write the record as JSON."
)
@options.loading
@options.printing
def diagnose(
    model: str,
    file: str,
    output: str | None,
    plot: str | None,
    as_json: bool,
    force: bool,
    verbose: int,
    quiet: bool,
    **choices: Any,
) -> None:
    """Find the first op of FILE (a .tflite or a bundle) that differs from MODEL, and say why.

    MODEL is what the file was made from: a Keras model or a float .tflite. Every op is run by
    itself, fed the float model's values, and switched back to float in the whole file. Labels are
    not needed; with them, a float model that is wrong itself is told apart.

    \b
    Examples:
      tfgreen diagnose kws.keras kws.tflite --evaluate test.npz
      tfgreen diagnose kws.keras build/kws/ --plot layers.png
      tfgreen diagnose kws.keras other.tflite --evaluate test.npz --calibration c.npz --json

    Exit code 0, whatever is found.
    """
    if choices["evaluate"] is None and not Path(file).is_dir():
        raise click.UsageError("A .tflite brings no samples: give --evaluate.")

    from tfgreen.examination import diagnose as examine
    from tfgreen.writing import check_writable, refuse_existing, write_files

    for path in filter(None, (output, plot)):
        check_writable(Path(path))
        refuse_existing(Path(path), force=force)
    with progress(quiet=quiet) as on_progress:
        diagnosis = examine(model, file, on_progress=on_progress, **choices)
    if output is not None:
        write_files({Path(output): diagnosis.to_json().encode()}, force=force)
    if plot is not None:
        diagnosis.plot(plot)
    if as_json:
        click.echo(diagnosis.to_json(), nl=False)
    else:
        click.echo(diagnosis.text(layers=0 if quiet else len(diagnosis.layers) if verbose else 8))
