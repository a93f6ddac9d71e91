"""`tfgreen compare`: one model in six widths, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfgreen.cli import options
from tfgreen.cli.verb import Verb
from tfgreen.reporting.progress import progress

_WIDTHS = ("float32", "float16", "dynamic-int8", "int8", "int16x8", "int4")
_KINDS = ("image", "audio", "text")
_FROM_THE_SHAPE = "inferred"


@click.command(cls=Verb, short_help="One model in six widths: bytes, accuracy, time, runtimes.")
@click.argument("model", type=options.MODEL_OR_DATA)
@options.calibration(required=True)
@options.evaluate
@click.option(
    "--width",
    "widths",
    multiple=True,
    type=click.Choice(_WIDTHS),
    help="Only these, beside float32; all by default.",
)
@options.samples
@click.option("--plot", type=options.OUTPUT, metavar="PNG|SVG|PDF", help="Draw the comparison.")
@click.option(
    "-o", "--output", type=options.OUTPUT, metavar="FILE.json", help="Write the record as JSON."
)
@click.option(
    "--keep", type=options.OUTPUT, metavar="FOLDER", help="Write the files to a new folder."
)
@click.option(
    "--robustness",
    is_flag=False,
    flag_value=_FROM_THE_SHAPE,
    type=click.Choice((*_KINDS, _FROM_THE_SHAPE)),
    metavar="[image|audio|text]",
    help="Also the accuracy as the data get worse; without a kind, told from the shape.",
)
@options.loading
@options.printing
def compare(
    model: str,
    calibration: str,
    widths: tuple[str, ...],
    output: str | None,
    robustness: str | None,
    plot: str | None,
    as_json: bool,
    force: bool,
    verbose: int,
    quiet: bool,
    **choices: Any,
) -> None:
    """Export MODEL in several widths, prove each, and put what they cost side by side.

    float32, float16, dynamic int8, int8, int16x8 and 4-bit weights: bytes, accuracy with its
    interval, SQNR, time, modelled energy, arena, and the kernel sets that compute it rightly.
    A width that fails keeps its row, with the reason. A minute or more.

    \b
    Examples:
      tfgreen compare kws.keras --calibration c.npz --evaluate test.npz
      tfgreen compare kws.keras --calibration c.npz --evaluate test.npz --width int8 --json
      tfgreen compare kws.keras --calibration c.npz --evaluate test.npz --plot widths.png
      tfgreen compare kws.keras --calibration c.npz --evaluate test.npz --robustness audio

    Exit code 0, also where a width fails: its row says so.
    """
    if choices["evaluate"] is None:
        raise click.UsageError("A comparison needs held-back samples: give --evaluate.")

    from tfgreen.cli.printing import print_renderable
    from tfgreen.comparison.text import render_comparison
    from tfgreen.comparison.widths import compare as side_by_side
    from tfgreen.writing import check_writable, refuse_existing, write_files

    for path in filter(None, (output, plot)):
        check_writable(Path(path))
        refuse_existing(Path(path), force=force)
    with progress(quiet=quiet) as on_progress:
        found = side_by_side(
            model,
            calibration,
            widths=widths or _WIDTHS,
            robustness={None: False, _FROM_THE_SHAPE: True}.get(robustness, robustness or False),
            on_progress=on_progress,
            **choices,
        )
    if output is not None:
        write_files({Path(output): found.to_json().encode()}, force=force)
    if plot is not None:
        found.plot(plot)
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        print_renderable(render_comparison(found, with_notes=not quiet))
