"""Energy of an int8 inference over that of a float32 one, three networks, at equal watts.

    python -m benchmarks.energy_ratio [--sessions N] [--rounds N] [NAME ...]

Each network is exported for mobile-int8; of the keyword DS-CNN there are three seeds, the files of
benchmarks/compression_table.py, where that has run. Its int8 and float files are timed by turns
with one thread on LiteRT's kernels. The ratio is that of processor time; the watts cancel where
both draw the same. Joules are modelled, with the range of `tfgreen/footprint/watts.toml`. Files
are kept in benchmarks/.cache.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import keyword_trials
from benchmarks.models import CACHE, cached_model
from tfgreen.benchmarking.files import TimedFile
from tfgreen.benchmarking.latency import Effort, benchmark_files
from tfgreen.footprint.estimate import watts_of
from tfgreen.footprint.wording import amount_text, seconds_text
from tfgreen.pipeline import float_file, make_bundle
from tfgreen.profile import load_profile
from tfgreen.tflite import ConversionOptions

SEEDS = tuple(f"seed-{seed}" for seed in keyword_trials.SEEDS)
NETWORKS = (*SEEDS, "ds-cnn", "resnet8", "mobilenetv2")
KERNEL_SETS = ("xnnpack", "optimized")
FOLDER = CACHE / "energy"
_BUSY_LOAD = 1.0
_PROFILE = "mobile-int8"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", default=NETWORKS, metavar="NAME")
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args(arguments)
    print("| network | kernels | int8, 1,000 inferences | float32, 1,000 inferences | ratio |")
    print("|---|---|--:|--:|--:|")
    for name in options.networks:
        for row in rows(name, Effort(sessions=options.sessions, rounds=options.rounds)):
            print(row, flush=True)


def rows(name: str, effort: Effort) -> Iterator[str]:
    """One row for each kernel set; what warns of the machine goes to standard error."""
    if name in SEEDS and not _trial("ptq", name).exists():
        print(f"{name}: run benchmarks.compression_table first", file=sys.stderr)
        return
    files = [TimedFile("int8", int8_file(name)), TimedFile("float32", float32_file(name))]
    title = f"DS-CNN, {name}" if name in SEEDS else cached_model(name).title
    found = benchmark_files(files, baseline=1, kernel_sets=KERNEL_SETS, effort=effort)
    watts = watts_of()
    for comparison in found.comparisons:
        cells = []
        for file in files:
            seconds = found.row(file.name, kernel_set=comparison.kernel_set).cpu_seconds or 0.0
            joules = amount_text(watts.joules(1000 * seconds), "J")
            cells.append(f"{joules}, {seconds_text(1000 * seconds)}")
        ratio = comparison.cpu_ratio
        if ratio is None:
            continue
        sessions = ", ".join(f"{one:.3f}" for one in ratio.sessions)
        yield (
            f"| {title} | {comparison.kernel_set} | {' | '.join(cells)} | "
            f"{ratio.median:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] (sessions {sessions}) |"
        )
    if (found.host.load_before or 0.0) > _BUSY_LOAD:
        print(f"{name}: load {found.host.load_before:.1f} before the start", file=sys.stderr)


def int8_file(name: str) -> bytes:
    """The exported file, made once."""
    if name in SEEDS:
        return _trial("ptq", name).read_bytes()
    path = FOLDER / f"{name}-int8.tflite"
    if not path.exists():
        model = cached_model(name)
        bundle = make_bundle(str(model.path), str(model.calibration), load_profile(_PROFILE))
        _keep(path, bundle.content)
    return path.read_bytes()


def float32_file(name: str) -> bytes:
    """The float file of the same network, made once."""
    if name in SEEDS:
        return _trial("float", name).read_bytes()
    path = FOLDER / f"{name}-float32.tflite"
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            content = float_file(str(cached_model(name).path), Path(folder), ConversionOptions())
        _keep(path, content)
    return path.read_bytes()


def _trial(variant: str, seed: str) -> Path:
    return keyword_trials.CACHE / f"{variant}-{seed.removeprefix('seed-')}.tflite"


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


if __name__ == "__main__":
    main(sys.argv[1:])
