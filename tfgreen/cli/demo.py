"""`tfgreen demo`: train, export and verify a keyword spotter, on one screen."""

from __future__ import annotations

import json

import click

from tfgreen.cli import options
from tfgreen.cli.printing import print_certificate, print_renderable
from tfgreen.cli.verb import GATE_FAILED, Verb
from tfgreen.reporting.progress import progress

_DEFAULT_OUTPUT = "build/keyword-spotter"
_LANGUAGE_MODEL_OUTPUT = "build/docstrings"


@click.command(cls=Verb, short_help="Train, export and verify a keyword spotter.")
@click.option(
    "-o",
    "--output",
    type=options.OUTPUT,
    metavar="DIR",
    help=f"Where the bundle goes; by default {_DEFAULT_OUTPUT} or {_LANGUAGE_MODEL_OUTPUT}.",
)
@click.option("--language-model", is_flag=True, help="A writer of docstrings instead.")
@options.printing
def demo(
    output: str | None,
    language_model: bool,
    as_json: bool,
    force: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Train a keyword spotter on bundled data, export it for microcontrollers, and verify it.

    Takes about a minute on two cores. With --language-model, a character model is trained on the
    docstrings of Python's standard library and exported with 4-bit weights: some minutes.

    \b
    Examples:
      tfgreen demo
      tfgreen demo --language-model
      tfgreen demo --force -o build/demo
    """
    if language_model:
        _demo_language_model(output or _LANGUAGE_MODEL_OUTPUT, as_json, force, quiet)
        return
    output = output or _DEFAULT_OUTPUT
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


def _demo_language_model(output: str, as_json: bool, force: bool, quiet: bool) -> None:
    from tfgreen.demonstration.language_model import PROMPT, run_language_model_demo
    from tfgreen.reporting.decoder_text import render_decoder

    with progress(quiet=quiet) as on_progress:
        result = run_language_model_demo(output, force=force, on_progress=on_progress)
    certificate = result.bundle.certificate
    if as_json:
        document = {"output": output, "certificate": certificate.model_dump(mode="json")}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(
            f"A writer of docstrings: {result.parameters:,} parameters, trained on "
            f"{result.characters:,} characters in {result.training_seconds:.0f} s"
        )
        print_renderable(render_decoder(result.bundle, detailed=not quiet))
        click.echo(f"{PROMPT}{result.text}")
        click.echo(f"{result.tokens_per_second:,.0f} tokens a second. Written: {output}")
    if not certificate.passed:
        raise click.exceptions.Exit(GATE_FAILED)
