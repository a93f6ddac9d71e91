"""`tfgreen demo`: train, export and verify a keyword spotter, on one screen."""

from __future__ import annotations

import json

import click

from tfgreen.cli import options
from tfgreen.cli.printing import print_certificate, print_renderable
from tfgreen.cli.verb import GATE_FAILED, Verb
from tfgreen.reporting.progress import progress

_DEFAULT_OUTPUT = "build/keyword-spotter"


@click.command(cls=Verb, short_help="Train, export and verify a keyword spotter.")
@click.option(
    "-o",
    "--output",
    type=options.OUTPUT,
    default=_DEFAULT_OUTPUT,
    show_default=True,
    metavar="DIR",
    help="Where the bundle goes.",
)
@options.printing
def demo(output: str, as_json: bool, force: bool, verbose: int, quiet: bool) -> None:
    """Train a keyword spotter on bundled data, export it for microcontrollers, and verify it.

    Takes about a minute on two cores.

    \b
    Examples:
      tfgreen demo
      tfgreen demo --force -o build/demo
    """
    from tfgreen.demonstration import demo_screen, run_demo

    with progress(quiet=quiet) as on_progress:
        result = run_demo(output, force=force, on_progress=on_progress)
    certificate = result.bundle.certificate
    if as_json:
        document = {"output": output, "certificate": certificate.model_dump(mode="json")}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif quiet:
        print_certificate(certificate, quiet=quiet, verbose=verbose)
    else:
        print_renderable(demo_screen(result))
    if not certificate.passed:
        raise click.exceptions.Exit(GATE_FAILED)
