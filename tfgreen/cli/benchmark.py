"""`tfgreen benchmark`: how long files take, here or over ssh, and what can be told apart."""

from __future__ import annotations

from pathlib import Path

import click

from tfgreen.cli import options
from tfgreen.cli.verb import Verb
from tfgreen.reporting.progress import progress


@click.command(cls=Verb, short_help="Time files, here or over ssh; say what can be told apart.")
@click.argument(
    "files", nargs=-1, required=True, type=options.EXISTING, metavar="FILE.tflite|BUNDLE..."
)
@click.option(
    "--against",
    type=options.EXISTING,
    metavar="FILE",
    help="Compare with this one; the first FILE by default.",
)
@click.option(
    "--kernels",
    "kernel_sets",
    multiple=True,
    type=click.Choice(["xnnpack", "optimized", "reference"]),
    default=("xnnpack",),
    show_default=True,
    help="LiteRT's kernels; may be given several times.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads beside one; all processors by default.",
)
@click.option("--rounds", type=click.IntRange(min=5), default=20, show_default=True)
@click.option(
    "--sessions",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Fresh processes for each number of threads.",
)
@click.option("--ssh", "host", metavar="HOST", help="Measure there, as HOST or USER@HOST.")
@click.option("--port", type=click.IntRange(1, 65535), help="Its port, if ssh does not know it.")
@click.option(
    "--remote-python", metavar="COMMAND", default="python3", show_default=True, help="Python there."
)
@click.option(
    "--ssh-config", type=options.EXISTING, metavar="FILE", help="Instead of ~/.ssh/config."
)
@click.option("-o", "--output", type=options.OUTPUT, metavar="FILE.json", help="Write the record.")
@options.printing
def benchmark(
    files: tuple[str, ...],
    against: str | None,
    kernel_sets: tuple[str, ...],
    threads: int | None,
    rounds: int,
    sessions: int,
    host: str | None,
    port: int | None,
    remote_python: str,
    ssh_config: str | None,
    output: str | None,
    as_json: bool,
    force: bool,
    verbose: int,
    quiet: bool,
) -> None:
    """Time .tflite files and bundles with one thread and with several, by turns.

    Every file is kept to its processors and takes turns with the others. A difference is told
    only where it is larger than the noise; an int8 file that is slower than the float one is
    said to be. --ssh sends the files to another machine, which needs Python with numpy and
    ai-edge-litert, and leaves nothing there.

    \b
    Examples:
      tfgreen benchmark kws.tflite --against kws-float.tflite
      tfgreen benchmark build/kws/ --kernels xnnpack --kernels optimized --threads 4
      tfgreen benchmark kws.tflite float.tflite --ssh pi@raspberrypi.local -o pi.json

    Exit code 0, whichever file is faster.
    """
    if host is None and (port or ssh_config):
        raise click.UsageError("--port and --ssh-config say how to reach a machine: give --ssh.")

    from tfgreen.benchmarking.latency import Effort
    from tfgreen.benchmarking.latency import benchmark as measure
    from tfgreen.benchmarking.ssh import Remote
    from tfgreen.writing import check_writable, refuse_existing, write_files

    if output is not None:
        check_writable(Path(output))
        refuse_existing(Path(output), force=force)
    remote = None if host is None else Remote(host, port, remote_python, ssh_config)
    with progress(quiet=quiet) as on_progress:
        found = measure(
            files,
            against=against,
            kernel_sets=kernel_sets,
            threads=threads,
            ssh=remote,
            effort=Effort(rounds=rounds, sessions=sessions),
            on_progress=on_progress,
        )
    if output is not None:
        write_files({Path(output): found.to_json().encode()}, force=force)
    click.echo(found.to_json() if as_json else found.text(notes=not quiet), nl=False)
