"""`tfgreen repair`: a file that answers otherwise than its model, made better."""

from __future__ import annotations

import json
from typing import Any

import click

from tfgreen.cli import options
from tfgreen.cli.printing import print_certificate, print_repair, print_written
from tfgreen.cli.verb import GATE_FAILED, Verb
from tfgreen.reporting.progress import progress


@click.command(cls=Verb, short_help="Make a file that misses its fidelity gate better.")
@click.argument("model", type=options.MODEL_OR_DATA, metavar="BUNDLE|FILE.tflite|MODEL")
@options.calibration(required=True)
@options.judging
@options.bundle
@options.printing
def repair(
    model: str,
    calibration: str,
    output: str,
    as_json: bool,
    force: bool,
    verbose: int,
    quiet: bool,
    **choices: Any,
) -> None:
    """Make a quantized file answer as its model does, without training.

    A bundle or a .tflite file needs --against, the float model that it was made from; of a
    MODEL, this is `tfgreen export --repair`. A file that passes its fidelity gate stays as it is.

    \b
    Examples:
      tfgreen repair build/kws/ --against kws.keras --calibration c.npz -o build/better/
      tfgreen repair other.tflite --against net.keras --calibration c.npz --evaluate t.npz \\
          -o better.tflite

    Exit code 3: a gate fails all the same; the output is written, with the verdict in it.
    """
    from tfgreen.bundle import check_output
    from tfgreen.mending import repair as mend

    check_output(output, force=force)
    with progress(quiet=quiet) as on_progress:
        bundle = mend(model, calibration, on_progress=on_progress, **choices)
        bundle.save(output, force=force)
    facts = bundle.facts.get("repair")
    if as_json:
        certificate = bundle.certificate.model_dump(mode="json")
        document = {"output": output, "repair": facts, "certificate": certificate}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print_certificate(bundle.certificate, quiet=quiet, verbose=verbose)
        print_repair(facts, quiet=quiet)
        print_written(output, quiet=quiet)
    if not bundle.certificate.passed:
        raise click.exceptions.Exit(GATE_FAILED)
