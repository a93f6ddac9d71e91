"""`tfgreen compress`: train a model through a recipe, and export it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from tfgreen.cli import options
from tfgreen.cli.printing import print_certificate, print_written
from tfgreen.cli.verb import GATE_FAILED, Verb
from tfgreen.reporting.progress import progress


class _Resumed(Verb):
    interrupted = "Interrupted; no output was written. The same command goes on where it was."


@click.command(cls=_Resumed, short_help="Train a model small by a recipe, and export it.")
@click.argument("model", type=options.MODEL_OR_DATA)
@click.option(
    "--recipe",
    required=True,
    metavar="NAME|FILE.toml",
    shell_complete=options.complete_recipe,
    help="See `tfgreen recipes`.",
)
@click.option(
    "--train",
    type=options.MODEL_OR_DATA,
    required=True,
    metavar="DATA",
    help="Labelled samples to train on.",
)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    metavar="NAME=MODEL",
    help="Who teaches under a name of the recipe; may be given several times.",
)
@options.profile
@options.evaluate
@options.calibration()
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that is random.")
@click.option("--strategy", metavar="NAME", help="mirrored or multiworker, of tf.distribute.")
@click.option("--cache", metavar="DIR", help="Where results are kept for the next run.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and what it might take.")
@options.loading
@options.samples
@click.option(
    "-o",
    "--output",
    type=options.OUTPUT,
    metavar="OUT",
    help="A folder, FILE.tflite, or FILE.keras (.h5 after quantization-aware training).",
)
@options.printing
def compress(
    model: str,
    recipe: str,
    train: str,
    teachers: tuple[str, ...],
    profile: str | None,
    evaluate: str | None,
    output: str | None,
    dry_run: bool,
    as_json: bool,
    force: bool,
    verbose: int,
    quiet: bool,
    **choices: Any,
) -> None:
    """Train MODEL through the stages of a recipe, and export it after each of them.

    What an earlier run has done is reused, and a run that was killed goes on where it was.

    \b
    Examples:
      tfgreen compress kws.keras --recipe pqat --train train.npz --evaluate test.npz -o build/kws/
      tfgreen compress kws.keras --recipe distill-qat --teacher teacher=large.keras \\
          --train train.npz --profile microcontroller-int8 -o build/kws/
      tfgreen compress kws.keras --recipe mine.toml --train train.npz --dry-run

    Exit code 3: a gate failed; the output is written all the same, with the verdict in it.
    """
    from tfgreen.profile import DEFAULT_PROFILE

    chosen = {
        "validation_data": evaluate,
        "teachers": _teachers(teachers),
        "profile": profile or DEFAULT_PROFILE,
        **choices,
    }
    if dry_run:
        _print_plan(model, recipe, train, chosen, as_json=as_json)
        return
    if output is None:
        raise click.UsageError("Missing option '-o' / '--output'.")
    from tfgreen.pipeline import compress_to
    from tfgreen.reporting.compression_text import compression_text

    def tell(text: str) -> None:
        click.echo(text, err=True)

    with progress(quiet=quiet) as on_progress:
        result = compress_to(
            output, model, recipe, train, force=force, on_progress=on_progress, tell=tell, **chosen
        )
    certificate = result.bundle.certificate
    if as_json:
        document = {
            "output": output,
            "steps": [{"name": step.name, "reused": step.reused} for step in result.steps],
            "compression": result.record.model_dump(mode="json"),
            "certificate": certificate.model_dump(mode="json"),
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(
            compression_text(result.record, {step.name: step.reused for step in result.steps})
        )
        print_certificate(certificate, quiet=quiet, verbose=verbose)
        print_written(output, quiet=quiet)
    if not certificate.passed:
        raise click.exceptions.Exit(GATE_FAILED)


def _print_plan(
    model: str, recipe: str, train: str, chosen: Mapping[str, Any], *, as_json: bool
) -> None:
    from tfgreen.pipeline.planning import plan
    from tfgreen.reporting.plan_text import plan_text

    planned = plan(model, recipe, train, **chosen)
    click.echo(planned.to_json() if as_json else plan_text(planned), nl=not as_json)


def _teachers(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in given:
        name, _, model = one.partition("=")
        if not name or not model:
            raise click.UsageError(f"--teacher received '{one}'; expected NAME=MODEL.")
        found[name] = model
    return found
