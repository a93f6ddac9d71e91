"""`tfgreen report`: what files cost and save: energy, carbon, money, break-even."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tfgreen.cli import options
from tfgreen.cli.printing import print_renderable
from tfgreen.cli.verb import Verb
from tfgreen.reporting.progress import progress

if TYPE_CHECKING:
    from tfgreen.accounting.record import FootprintReport
    from tfgreen.accounting.subjects import Device

_DEVICE = ("power", "latency", "log", "runs", "voltage")
_ACCOUNT = (
    *("against", "region", "grid", "inferences", "price_kwh", "price_cpu_hour", "pue"),
    *("embodied", "lifespan", "watts", "kernel_sets", *(f"device_{name}" for name in _DEVICE)),
)


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
@click.option("--html", type=options.OUTPUT, metavar="FILE.html", help="Write the bundles' page.")
@click.option("--markdown", type=options.OUTPUT, metavar="FILE.md", help="The same in short.")
@options.printing
def report(
    files: tuple[str, ...],
    output: str | None,
    html: str | None,
    markdown: str | None,
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

    --html rebuilds the page of a bundle, or sets several side by side. Alone it times nothing;
    with any option of the account, such as --region, --against or --kernels, the account is in it.

    \b
    Examples:
      tfgreen report build/kws/ --html report.html
      tfgreen report int8/ pruned/ --region DEU --html both.html
      tfgreen report build/kws/ --region DEU --inferences 1e9 --price-kwh 0.30
      tfgreen report int8/ pruned/ --against kws.keras --json
      tfgreen report mcu/ --device-power 35mW --device-latency 181ms --grid 381
      tfgreen report mcu/ --device-log ppk.csv --device-runs 100 --device-voltage 3.3V
    """
    from tfgreen.writing import check_writable, refuse_existing

    written = [Path(path) for path in (output, html, markdown) if path is not None]
    for path in written:
        check_writable(path)
        refuse_existing(path, force=force)
    is_page_alone = bool(html or markdown) and not (output or as_json or _is_account_asked_for())
    if is_page_alone:
        _write_pages(files, None, html, markdown, force=force)
        _tell_written(written)
        return
    given = {name: choices.pop(f"device_{name}") for name in _DEVICE}

    from tfgreen.accounting.report import report as account
    from tfgreen.accounting.text import render_report
    from tfgreen.writing import write_files

    with progress(quiet=quiet) as on_progress:
        found = account(files, device=_devices(given), on_progress=on_progress, **choices)
    if output is not None:
        write_files({Path(output): found.to_json().encode()}, force=force)
    if html or markdown:
        _write_pages(files, found, html, markdown, force=force)
    if as_json:
        click.echo(found.to_json(), nl=False)
    else:
        print_renderable(render_report(found, short=quiet))
        _tell_written(written)


def _is_account_asked_for() -> bool:
    """Whether any option of the account was typed."""
    context = click.get_current_context()
    return any(
        context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in _ACCOUNT
    )


def _write_pages(
    files: tuple[str, ...],
    found: FootprintReport | None,
    html: str | None,
    markdown: str | None,
    *,
    force: bool,
) -> None:
    from tfgreen.accounting.page import bundle_reports
    from tfgreen.reporting.page import render_html, render_markdown
    from tfgreen.writing import write_files

    reports = bundle_reports(files, found)
    if html is not None:
        write_files({Path(html): render_html(reports).encode()}, force=force)
    if markdown is not None:
        write_files({Path(markdown): render_markdown(reports).encode()}, force=force)


def _tell_written(paths: list[Path]) -> None:
    for path in paths:
        click.echo(f"Written: {path}")


def _devices(given: dict[str, tuple[str, ...]]) -> Device | dict[str, Device] | None:
    """The options by file; those without a name are for all files, and one device if alone."""
    from tfgreen.accounting.subjects import device_options

    pairs = {option: [_named(text) for text in texts] for option, texts in given.items()}
    return device_options(pairs)


def _named(text: str) -> tuple[str | None, str]:
    """NAME=VALUE, or a value for all files."""
    name, equals, value = text.rpartition("=")
    return (name, value) if equals else (None, value)
