"""`tfgreen export`: a model and samples in, a verified file out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfgreen.cli import options
from tfgreen.cli.printing import print_certificate, print_encodings, print_repair, print_written
from tfgreen.cli.verb import GATE_FAILED, Verb
from tfgreen.reporting.progress import progress

if TYPE_CHECKING:
    from tfgreen.pipeline import ExportOptions


@click.command(cls=Verb, short_help="Convert a model and prove what the file computes.")
@click.argument("model", type=options.MODEL_OR_DATA)
@options.calibration()
@options.profile
@options.evaluate
@options.against
@click.option("--io", metavar="DTYPE[:DTYPE]", help="Input[:output] dtype, such as uint8:float32.")
@click.option("--arena", metavar="SIZE", help="Most bytes of the tensor arena, such as 64KB.")
@click.option("--flash", metavar="SIZE", help="Most bytes of the file, such as 256KB.")
@click.option("--batch", type=click.IntRange(min=1), help="Samples in one call of the file.")
@options.loading
@click.option(
    "--allow-select-ops", is_flag=True, help="Keep ops without a builtin version (Flex delegate)."
)
@click.option(
    "--memory-limit", metavar="SIZE", help="Most memory of the converter's process, such as 8GB."
)
@options.samples
@click.option(
    "--encoding",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="How weights are stored: auto, dense, sparse, lut or decode.",
)
@click.option("--repair", is_flag=True, help="Make a file that misses its fidelity gate better.")
@click.option(
    "--ledger",
    type=options.EXISTING,
    metavar="FILE.json",
    help="What training took: the bundle keeps it with the export's own.",
)
@options.bundle
@options.printing
def export(
    model: str,
    calibration: str | None,
    profile: str | None,
    io: str | None,
    arena: str | None,
    flash: str | None,
    batch: int | None,
    evaluate: str | None,
    output: str,
    as_json: bool,
    force: bool,
    verbose: int,
    quiet: bool,
    **choices: Any,
) -> None:
    """Convert MODEL for a target and prove what the file computes.

    MODEL is a .keras or .h5 file, a SavedModel folder, a float .tflite file, or module:function.
    Without --evaluate, the calibration samples judge the file.

    \b
    Examples:
      tfgreen export kws.keras --calibration c.npz -o kws.tflite
      tfgreen export kws.keras --profile microcontroller-int8 --arena 64KB \\
          --calibration c.npz --evaluate test.npz -o build/kws/
      tfgreen export net.h5 --calibration photos/ --io uint8 --json -o net.tflite

    Exit code 3: a gate failed; the output is written all the same, with the verdict in it.
    """
    from tfgreen.profile import DEFAULT_PROFILE, load_profile

    rules = load_profile(profile or DEFAULT_PROFILE)
    rules = rules.with_overrides(io=io, arena=arena, flash=flash, batch=batch)
    if calibration is None and rules.needs_calibration:
        raise click.UsageError(f"Profile {rules.name} needs calibration samples: --calibration.")

    from tfgreen.bundle import check_output
    from tfgreen.pipeline import make_bundle

    chosen = _export_options(**choices)
    check_output(output, force=force)
    with progress(quiet=quiet) as on_progress:
        bundle = make_bundle(model, calibration, rules, evaluate, chosen, on_progress)
        bundle.save(output, force=force)
    if as_json:
        document = {
            "output": output,
            "encoding": bundle.facts.get("encoding"),
            "repair": bundle.facts.get("repair"),
            "certificate": bundle.certificate.model_dump(mode="json"),
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print_certificate(bundle.certificate, quiet=quiet, verbose=verbose)
        print_encodings(bundle.facts.get("encoding"), quiet=quiet)
        print_repair(bundle.facts.get("repair"), quiet=quiet)
        print_written(output, quiet=quiet)
        if bundle.target_files and Path(output).is_file() and not quiet:
            count = len(bundle.target_files)
            click.echo(f"Left out: {count} files for the target; a folder holds them: -o FOLDER/")
    if not bundle.certificate.passed:
        raise click.exceptions.Exit(GATE_FAILED)


def _export_options(
    against: str | None,
    samples: int,
    encoding: str,
    custom_objects: str | None,
    allow_unsafe: bool,
    allow_select_ops: bool,
    memory_limit: str | None,
    repair: bool,
    ledger: str | None,
) -> ExportOptions:
    from tfgreen.pipeline import ExportOptions
    from tfgreen.profile import parse_bytes
    from tfgreen.tflite import ConversionOptions

    conversion = ConversionOptions(
        custom_objects=custom_objects,
        allow_unsafe=allow_unsafe,
        allow_select_ops=allow_select_ops,
        memory_limit_bytes=None if memory_limit is None else parse_bytes(memory_limit),
    )
    return ExportOptions(against, samples, encoding, conversion, repair, ledger)
