"""The `tfgreen` command: its verbs, its version, and how it ends."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from tfgreen.cli.benchmark import benchmark
from tfgreen.cli.compare import compare
from tfgreen.cli.completion import completion
from tfgreen.cli.compress import compress
from tfgreen.cli.demo import demo
from tfgreen.cli.diagnose import diagnose
from tfgreen.cli.doctor import doctor
from tfgreen.cli.export import export
from tfgreen.cli.export_decoder import export_decoder
from tfgreen.cli.generate import generate
from tfgreen.cli.inspect import inspect
from tfgreen.cli.profiles import profiles
from tfgreen.cli.recipes import recipes
from tfgreen.cli.repair import repair
from tfgreen.cli.report import report
from tfgreen.cli.verb import HELP_OPTION_NAMES
from tfgreen.cli.verify import verify

_TERMINATED = 128 + signal.SIGTERM


def _print_version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from tfgreen.stack import stack_versions

        versions = stack_versions()
        click.echo(f"tfgreen {versions.pop('tfgreen')}")
        for name, version in versions.items():
            click.echo(f"  {name} {version}")
        context.exit()


@click.group(
    context_settings={"help_option_names": list(HELP_OPTION_NAMES)},
    epilog="Exit codes: 0 fine, 1 failed, 2 usage, 3 a gate failed or a hash does not match.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the versions of tfgreen and of what it stands on, and exit.",
)
def tfgreen_command() -> None:
    """Turn a Keras model into a small TFLite file, and prove what the file computes.

    \b
    tfgreen demo                                    see it all on a keyword spotter
    tfgreen export kws.keras --calibration c.npz -o build/kws/
    tfgreen verify build/kws/                       on any machine, without TensorFlow
    """


for _verb in (
    export,
    compress,
    verify,
    diagnose,
    repair,
    inspect,
    compare,
    benchmark,
    export_decoder,
    generate,
    report,
    profiles,
    recipes,
    doctor,
    completion,
    demo,
):
    tfgreen_command.add_command(_verb)


def main() -> NoReturn:
    """What the console script runs; never returns."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 still gets the text
    signal.signal(signal.SIGTERM, _terminate)
    tfgreen_command(prog_name="tfgreen")
    raise SystemExit(0)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """End as after an error, so that children end and half-written folders go."""
    raise SystemExit(_TERMINATED)
