"""`tfgreen verify`: judge a bundle or a file again, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfgreen.cli import options
from tfgreen.cli.printing import print_certificate
from tfgreen.cli.verb import GATE_FAILED, Verb
from tfgreen.reporting.progress import progress


@click.command(cls=Verb, short_help="Judge a bundle or a file again.")
@click.argument("path", type=options.EXISTING, metavar="BUNDLE|FILE.tflite")
@options.judging
@click.option(
    "--device-log",
    type=options.EXISTING,
    metavar="FILE",
    help="What a board printed while it ran the bundle's golden test: judged as 'device'.",
)
@click.option(
    "-o",
    "--output",
    type=options.OUTPUT,
    metavar="FILE.json",
    help="Write the certificate here.",
)
@options.printing
def verify(
    path: str,
    profile: str | None,
    output: str | None,
    as_json: bool,
    force: bool,
    verbose: int,
    quiet: bool,
    **choices: Any,
) -> None:
    """Judge a bundle or a .tflite file on this machine's kernel sets.

    A bundle is checked against its hashes, and its golden vectors are replayed. Of a file alone,
    structure and kernels are judged; with --against and --evaluate its fidelity too. TensorFlow
    is needed only for --against a Keras model.

    \b
    Examples:
      tfgreen verify build/kws/
      tfgreen verify other.tflite --profile microcontroller-int8
      tfgreen verify other.tflite --against kws.keras --evaluate test.npz -o certificate.json
      tfgreen verify build/kws/ --device-log serial.log -o certificate.json

    Exit code 3: a gate failed, a file of the bundle is not the one that was written, or the
    device log is of another model.
    """
    if choices["against"] and not choices["evaluate"] and not Path(path).is_dir():
        raise click.UsageError("--against needs samples to compare on: give --evaluate too.")

    from tfgreen.profile import load_profile

    rules = None if profile is None else load_profile(profile)

    from tfgreen.recheck import verify as judge
    from tfgreen.writing import check_writable, refuse_existing, write_files

    if output is not None:
        check_writable(Path(output))
        refuse_existing(Path(output), force=force)
    with progress(quiet=quiet) as on_progress:
        certificate = judge(path, profile=rules, on_progress=on_progress, **choices)
    if output is not None:
        write_files({Path(output): certificate.to_json().encode()}, force=force)
    if as_json:
        click.echo(certificate.to_json(), nl=False)
    else:
        print_certificate(certificate, quiet=quiet, verbose=verbose)
    if not certificate.passed:
        raise click.exceptions.Exit(GATE_FAILED)
