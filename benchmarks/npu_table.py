"""Vela's figures of four networks on the three Ethos-U profiles, against a direct run of Vela.

    python -m benchmarks.npu_table [NAME ...]

Each network is exported once, as `tfgreen export --profile ethos-u55-int8` does it; the file is
compiled for each profile, and once more by the `vela` command itself, whose figures must be equal.
`seconds` is what the target adds to the export. Prints the table of docs/npus.md.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.models import NETWORKS, cached_model
from tfgreen.bundle import Bundle
from tfgreen.pipeline import make_bundle
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.targets import examine
from tfgreen.targets.ethos_u import Compiled, compile_for_npu
from tfgreen.wording import share_text

NAMES = ("ds-cnn", "resnet8", "mobilenetv1", "autoencoder")
PROFILES = ("ethos-u55-int8", "ethos-u65-int8", "ethos-u85-int8")
EVALUATION_SAMPLES = 64
COLUMNS = (
    *("network", "profile", "cycles", "ms", "SRAM", "DRAM", "flash", "plain file", "compiled file"),
    *("MACs on the NPU", "ops on the CPU", "seconds"),
)


def exported(name: str) -> Bundle:
    """The bundle of a network, judged on its first held-back samples."""
    model = cached_model(name)
    with np.load(model.held_back) as stored:
        evaluation = {key: stored[key][:EVALUATION_SAMPLES] for key in stored.files}
    return make_bundle(model.path, model.calibration, load_profile(PROFILES[0]), evaluation)


def seconds_of(bundle: Bundle, profile: ExportProfile) -> float:
    """What examining the target takes, as an export does it."""
    began = time.perf_counter()
    examine(bundle.content, profile, bundle.certificate, golden=bundle.golden)
    return time.perf_counter() - began


def check_against_vela(content: bytes, profile: ExportProfile, compiled: Compiled) -> None:
    """Stop if the `vela` command says anything else."""
    settings, figures = profile.vela, compiled.figures
    if settings is None or figures is None:
        raise SystemExit(f"{profile.name}: {compiled.words}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.tflite").write_bytes(content)
        command = [str(Path(sys.executable).parent / "vela"), str(folder / "net.tflite")]
        command += ["--accelerator-config", settings.accelerator_config]
        command += ["--system-config", settings.system_config, "--config", settings.config_file]
        command += ["--memory-mode", settings.memory_mode, "--output-dir", name]
        subprocess.run(command, check=True, capture_output=True)
        (summary,) = folder.glob("net_summary_*.csv")
        with summary.open(encoding="utf-8") as stream:
            (row,) = csv.DictReader(stream)
        direct = (
            float(row["cycles_total"]),
            float(row["inference_time"]),
            float(row["sram_memory_used"]) * 1024,
            float(row["dram_memory_used"]) * 1024,
            float(row["off_chip_flash_memory_used"]) * 1024,
        )
        ours = (
            figures.cycles,
            figures.inference_seconds,
            figures.sram_bytes,
            figures.dram_bytes,
            figures.flash_bytes,
        )
        file = (folder / "net_vela.tflite").read_bytes()
    if direct != ours or file != compiled.content:
        raise SystemExit(f"{profile.name}: vela says {direct}, tfgreen {ours}")


def rows(name: str) -> Iterator[tuple[str, ...]]:
    """One for each profile."""
    bundle = exported(name)
    for profile in map(load_profile, PROFILES):
        compiled = compile_for_npu(bundle.content, profile)
        check_against_vela(bundle.content, profile, compiled)
        figures = compiled.figures
        if figures is None:
            raise SystemExit(compiled.words)
        yield (
            NETWORKS[name].title,
            f"`{profile.name}`",
            f"{figures.cycles:,}",
            f"{figures.inference_seconds * 1000:.3g}",
            *(f"{size:,}" for size in (figures.sram_bytes, figures.dram_bytes)),
            *(f"{size:,}" for size in (figures.flash_bytes, len(bundle.content))),
            f"{len(compiled.content):,}",
            share_text(compiled.npu_share_of_macs or 0, 0),
            f"{figures.cpu_op_count} of {compiled.op_count}",
            f"{seconds_of(bundle, profile):.1f}",
        )


def main() -> None:
    """Print the table as Markdown, line by line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    names = parser.parse_args().names
    print(f"| {' | '.join(COLUMNS)} |")
    print(f"| --- | --- |{' ---: |' * (len(COLUMNS) - 2)}", flush=True)
    for name in names:
        for row in rows(name):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
