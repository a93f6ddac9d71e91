"""What the proof costs: `tfgreen export` against a script that only converts.

    python -m benchmarks.export_overhead [--rounds N] [NAME ...]

Whole process against whole process, from the start of Python to its end, on ResNet-8 and
MobileNetV2 at 96 pixels. Both take the same 200 calibration samples; tfgreen also chooses ranges
by cross-validation and runs all four gates on 64 samples, on every kernel set of mobile-int8. The
two take turns, so that a busy machine slows both; median, minimum and interquartile range are
told, and where tfgreen's time goes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.models import NETWORKS, CachedModel, cached_model

BARE = Path(__file__).parent / "bare_converter.py"
TARGET_RATIO = 2.0
ROUNDS = 5
EVALUATION_SAMPLES = 64
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def evaluation_of(model: CachedModel, folder: Path) -> Path:
    """The first 64 held-back samples as a file of their own."""
    path = folder / "evaluation.npz"
    with np.load(model.held_back) as stored:
        np.savez(path, **{key: stored[key][:EVALUATION_SAMPLES] for key in stored.files})
    return path


def bare_command(model: CachedModel, folder: Path) -> list[str]:
    """The script that converts and checks nothing."""
    output = folder / "bare.tflite"
    return [sys.executable, str(BARE), str(model.path), str(model.calibration), str(output)]


def tfgreen_command(model: CachedModel, folder: Path, evaluation: Path) -> list[str]:
    """The same with proof."""
    command = [sys.executable, "-m", "tfgreen", "export", str(model.path), "--quiet", "--force"]
    command += ["--calibration", str(model.calibration), "--evaluate", str(evaluation)]
    return [*command, "-o", str(folder / "bundle")]


def timed(command: Sequence[str]) -> float:
    """Seconds of wall time of a whole process; it must end well."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **QUIET})
    return time.perf_counter() - began


def described(seconds: Sequence[float]) -> str:
    """Median, minimum and interquartile range."""
    low, _, high = statistics.quantiles(seconds, n=4)
    median = statistics.median(seconds)
    return f"median {median:.1f} s, minimum {min(seconds):.1f} s, IQR {low:.1f} to {high:.1f} s"


def compare(model: CachedModel, rounds: int) -> None:
    """Time the two in turns and print what came out."""
    with tempfile.TemporaryDirectory(prefix="tfgreen-benchmark-") as name:
        folder = Path(name)
        bare = bare_command(model, folder)
        ours = tfgreen_command(model, folder, evaluation_of(model, folder))
        timed(bare)  # the files of both stacks are in the page cache from here on
        pairs = [(timed(bare), timed(ours)) for _ in range(rounds)]
        manifest = json.loads((folder / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    bare_seconds, our_seconds = zip(*pairs, strict=True)
    ratio = statistics.median(our_seconds) / statistics.median(bare_seconds)
    print(f"\n{model.title}, {rounds} rounds in turns")
    print(f"  bare converter   {described(bare_seconds)}")
    print(f"  tfgreen export   {described(our_seconds)}")
    print(f"  ratio of the medians {ratio:.2f} (target: {TARGET_RATIO} or less)")
    _print_shares(manifest["conversion"]["seconds"], our_seconds[-1])


def _print_shares(seconds: dict[str, float], whole: float) -> None:
    """Where the time of the last round went; the rest is Python, data, gates and writing."""
    print(f"  where the {whole:.1f} s of the last round went:")
    for step, spent in seconds.items():
        print(f"    {step.replace('_', ' '):<24}{spent:6.2f} s")
    print(f"    {'all else':<24}{whole - sum(seconds.values()):6.2f} s", flush=True)


def main() -> None:
    """Print the comparison for each network."""
    parser = argparse.ArgumentParser(description="What the proof costs, whole process each.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(NETWORKS)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each, in turns")
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors")
    for name in arguments.names or ["resnet8", "mobilenetv2"]:
        compare(cached_model(name), max(2, arguments.rounds))


if __name__ == "__main__":
    main()
