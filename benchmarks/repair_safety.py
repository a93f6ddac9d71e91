"""Does repair harm files that need none? The eight networks of benchmarks/models.py.

    python -m benchmarks.repair_safety [NAME ...]

Each network is exported with 200 calibration samples and repaired twice: as `tfgreen export
--repair` does, which leaves alone what passes its fidelity gate, and with a limit of 99 dB that no
file meets, so that every step is tried and kept wherever the ladder believes that it helps (wider
layers are left out: they always gain). SQNR against the float file is taken at the last tensor
before softmax on 400 held-back samples with XNNPACK; they influence nothing. A Markdown table is
printed; one row is one output of a network.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.export_table import logits_of, sqnr_db
from benchmarks.keyword_trials import print_table
from benchmarks.models import NETWORKS, cached_model
from tfgreen.data import Samples, read_samples
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.signature import InputSpec
from tfgreen.tflite import convert
from tfgreen.verification.repair import Order, Repaired, repair_file

PROFILE = load_profile("mobile-int8")
UNREACHABLE_DB = 99.0
HEADER = ("network", "int8, dB", "--repair", "kept", "every step tried", "kept", "change, dB", "s")


def unreachable(profile: ExportProfile) -> ExportProfile:
    """The profile with a fidelity limit that sends every file up the whole ladder."""
    limits = profile.limits.model_copy(update={"sqnr_db": UNREACHABLE_DB})
    return profile.model_copy(update={"limits": limits, "wider_layers": "refused"})


def rows(name: str) -> Iterator[tuple[str, ...]]:
    """The lines of one network."""
    model = cached_model(name)
    with np.load(model.calibration) as file:
        arrays = {key: file[key] for key in file.files if not key.startswith("y")}
    made = convert(str(model.path), PROFILE, arrays)
    true = TfliteModel.from_bytes(made.float_content)
    specs = [
        InputSpec(key, true.tensors[index].shape[1:], true.tensors[index].dtype)
        for key, index in zip(true.input_names, true.inputs, strict=True)
    ]
    held_back = read_samples(model.held_back, inputs=specs, outputs=true.output_names)
    values = logits_of(made.float_content, held_back, "xnnpack")
    began = time.perf_counter()
    repaired: list[Repaired] = [
        repair_file(Order(made.content, made.float_content, profile, Samples(arrays)))
        for profile in (PROFILE, unreachable(PROFILE))
    ]
    seconds = time.perf_counter() - began
    before, asked, forced = (
        sqnr_db(values, content, held_back, "xnnpack")
        for content in (made.content, *(file.content for file in repaired))
    )
    kept = [", ".join(step.kind for step in file.record.applied) or "-" for file in repaired]
    for output, decibel in before.items():
        yield (
            f"{NETWORKS[name].title}, {output}" if len(before) > 1 else NETWORKS[name].title,
            f"{decibel:.2f}",
            f"{asked[output]:.2f}",
            kept[0],
            f"{forced[output]:.2f}",
            kept[1],
            f"{forced[output] - decibel:+.2f}",
            f"{seconds:.0f}",
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="SQNR with and without repair.")
    parser.add_argument("networks", nargs="*", help=f"of: {', '.join(NETWORKS)}")
    names = parser.parse_args().networks or list(NETWORKS)
    print_table(HEADER, (row for name in names for row in rows(name)))


if __name__ == "__main__":
    main()
