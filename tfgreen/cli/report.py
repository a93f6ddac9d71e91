"""`tfgreen report`: what files cost and save: energy, carbon, money, break-even."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfgreen.cli import options
from tfgreen.cli.printing import print_renderable
from tfgreen.cli.verb import Verb
from tfgreen.reporting.progress import progress

if TYPE_CHECKING:
    from tfgreen.accounting.subjects import Device

_DEVICE = ("power", "latency", "log", "runs", "voltage")


def _of_device(name: str, metavar: str, what: str) -> Any:
    return click.option(
        f"--device-{name}", f"device_{name}", multiple=True, metavar=f"[NAME=]{metavar}", help=what
    )


@click.command(cls=Verb, short_help="What files cost and save: energy, carbon, money.")
@click.argument(
    "files", nargs=-1, required=True, type=options.EXISTING, metavar="BUNDLE|FILE.tflite..."
)
@options.against
@click.option("--region", metavar="CODE", help="The grid's country, ISO 3166-1 alpha-3: DEU.")
@click.option("--grid", type=float, metavar="G", help="Or its g CO2e/kWh.")
@click.option("--inferences", metavar="N", help="Of a whole life, such as 1e9.")
@click.option("--price-kwh", type=float, metavar="PRICE", help="Of a kWh, in any currency.")
@click.option("--price-cpu-hour", type=float, metavar="PRICE", help="Of an hour of a processor.")
@click.option("--pue", type=float, default=1.0, show_default=True, help="Of the data centre.")
@click.option("--embodied", metavar="MASS", help="CO2e of making the device: 300kg. Default none.")
@click.option("--lifespan", metavar="TIME", help="That it is spread over: 4y.")
@click.option(
    "--watts",
    default="unknown",
    show_default=True,
    metavar="NAME|LOW,TYPICAL,HIGH",
    help="Of a busy thread: unknown, server, raspberry-pi-4, or yours.",
)
@_of_device("power", "35mW", "Of the device in use; 30mW,35mW,50mW with bounds.")
@_of_device("latency", "181ms", "Of an inference there; Vela's estimate by default.")
@_of_device("log", "FILE.csv", "Power log of a PPK2, a Joulescope or an Otii instead.")
@_of_device("runs", "100", "Inferences in the log.")
@_of_device("voltage", "3.3V", "Of the supply, for logs of current alone.")
@click.option(
    "--kernels",
    "kernel_sets",
    multiple=True,
    type=click.Choice(["xnnpack", "optimized", "reference"]),
    default=("xnnpack", "optimized", "reference"),
    show_default=True,
    help="LiteRT's kernels; may be given several times.",
)
@click.option("-o", "--output", type=options.OUTPUT, metavar="FILE.json", help="Write the record.")
@options.printing
def report(
    files: tuple[str, ...],
    output: str | None,
    as_json: bool,
    force: bool,
    verbose: int,
    quiet: bool,
    **choices: Any,
) -> None:
    """Tell what bundles and files cost and save, each figure with its method and its bounds.

    Files are timed here by turns; processor time by a range of watts is their energy, called
    modelled. What training, compressing and exporting took comes from the bundles' ledgers.
    For microcontrollers and NPUs the figure comes from --device-..., or is absent. No carbon
    without a grid, no money without a price, and never the network.

    \b
    Examples:
      tfgreen report build/kws/ --region DEU --inferences 1e9 --price-kwh 0.30
      tfgreen report int8/ pruned/ --against kws.keras --json
      tfgreen report mcu/ --device-power 35mW --device-latency 181ms --grid 381
      tfgreen report mcu/ --device-log ppk.csv --device-runs 100 --device-voltage 3.3V
    """
    from tfgreen.writing import check_writable, refuse_existing, write_files

    if output is not None:
        check_writable(Path(output))
        refuse_existing(Path(output), force=force)
    given = {name: choices.pop(f"device_{name}") for name in _DEVICE}

    from tfgreen.accounting.report import report as account
    from tfgreen.accounting.text import render_report

    with progress(quiet=quiet) as on_progress:
        found = account(files, device=_devices(given), on_progress=on_progress, **choices)
    if output is not None:
        write_files({Path(output): found.to_json().encode()}, force=force)
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        print_renderable(render_report(found, short=quiet))


def _devices(given: dict[str, tuple[str, ...]]) -> Device | dict[str, Device] | None:
    """The options by file; those without a name are for all files, and one device if alone."""
    from tfgreen.accounting.subjects import device_options

    pairs = {option: [_named(text) for text in texts] for option, texts in given.items()}
    return device_options(pairs)


def _named(text: str) -> tuple[str | None, str]:
    """NAME=VALUE, or a value for all files."""
    name, equals, value = text.rpartition("=")
    return (name, value) if equals else (None, value)
