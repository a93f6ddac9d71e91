"""Three routes to int8 side by side on the eight networks of benchmarks/models.py.

    python -m benchmarks.export_table [NAME ...]

For each network: TFLiteConverter alone, AI Edge Quantizer with minimum and maximum, and
`tfgreen export`, all with the same 200 calibration samples. SQNR against the float file is taken
at the last tensor before softmax on 400 held-back samples with XNNPACK, and on the first 64 with
the reference kernels. All three files go through the same four gates (profile mobile-int8). A
Markdown table is printed; one row is one output of a network.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.models import NETWORKS, CachedModel, cached_model
from tfgreen.bundle import Bundle
from tfgreen.data import Samples, read_samples
from tfgreen.flatbuffer import TfliteModel, logits, with_outputs
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.profile import load_profile
from tfgreen.runtimes import Task, dequantize, quantize_inputs, run_tasks
from tfgreen.signature import InputSpec
from tfgreen.verification import certify
from tfgreen.verification.certificate import Certificate
from tfgreen.verification.conversions import surplus_conversions

ROUTES = {"bare": "TFLiteConverter", "aeq": "AI Edge Quantizer", "tfgreen": "tfgreen"}
PROFILE = load_profile("mobile-int8")
REFERENCE_SAMPLES = 64
HEADER = (
    "network",
    "route",
    "SQNR dB, XNNPACK",
    "SQNR dB, reference",
    "bytes",
    "float ops",
    "surplus ops",
    "gates",
)


@dataclass(frozen=True)
class Measured:
    """One file: its SQNR in dB by output for each kernel set, and what the gates say."""

    content: bytes
    xnnpack_db: dict[str, float]
    reference_db: dict[str, float]
    certificate: Certificate

    @property
    def float_ops(self) -> int:
        """Ops that touch a float tensor."""
        model = TfliteModel.from_bytes(self.content)
        return sum(
            any(model.tensors[i].dtype in FLOAT_DTYPES for i in (*op.inputs, *op.outputs) if i >= 0)
            for op in model.ops
        )

    @property
    def surplus_ops(self) -> int:
        """QUANTIZE and DEQUANTIZE that the file could do without."""
        model = TfliteModel.from_bytes(self.content)
        return len(list(surplus_conversions(model, PROFILE)))

    @property
    def gates(self) -> str:
        """ "passed", or the gates that failed."""
        failed = [gate.gate for gate in self.certificate.gates if gate.status != "passed"]
        return f"**{', '.join(failed)}** failed" if failed else "passed"


def logits_of(content: bytes, samples: Samples, kernel_set: str) -> dict[str, np.ndarray]:
    """Real values before softmax of every output, by output name, (n, ...) each."""
    model = TfliteModel.from_bytes(content)
    probes = logits(model)
    task = Task("benchmark", with_outputs(model, probes), quantize_inputs(model, samples))
    (outcome,) = run_tasks(kernel_set, [task], timeout_seconds=1800)
    if not outcome.ok:
        raise SystemExit(f"{kernel_set}: {outcome.message}")
    arrays = zip(model.output_names, probes, outcome.outputs, strict=True)
    return {
        name: dequantize(array, model.tensors[probe].quantization) for name, probe, array in arrays
    }


def sqnr_db(
    true: dict[str, np.ndarray], content: bytes, samples: Samples, kernel_set: str
) -> dict[str, float]:
    """10 log10 of signal power over noise power, by output name of the float file."""
    found = logits_of(content, samples, kernel_set)
    if len(true) == 1:
        found = dict(zip(true, found.values(), strict=True))
    ratios = {}
    for name, values in true.items():
        wanted = values[: len(samples)].astype(np.float64)
        noise = wanted - found[name].reshape(wanted.shape)
        ratios[name] = float(10 * np.log10((wanted**2).sum() / (noise**2).sum()))
    return ratios


def files_of_all_routes(model: CachedModel, folder: Path) -> dict[str, bytes]:
    """float, bare, aeq and tfgreen; each route in processes of its own."""
    rivals = [sys.executable, "-m", "benchmarks.rival_routes"]
    rivals += [str(model.path), str(model.calibration), str(folder)]
    subprocess.run(rivals, check=True, capture_output=True)
    ours = [sys.executable, "-m", "tfgreen", "export", str(model.path), "--quiet"]
    ours += ["--calibration", str(model.calibration), "--evaluate", str(model.held_back)]
    ours += ["--profile", PROFILE.name, "-o", str(folder / "bundle")]
    done = subprocess.run(ours, stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 3):
        raise SystemExit(f"tfgreen export of {model.name} ended with {done.returncode}")
    files = {name: (folder / f"{name}.tflite").read_bytes() for name in ("float", "bare", "aeq")}
    return files | {"tfgreen": Bundle.read(folder / "bundle").content}


def measure(model: CachedModel) -> dict[str, Measured]:
    """Every route's file, measured in the same way against the same float file."""
    with tempfile.TemporaryDirectory(prefix="tfgreen-benchmark-") as name:
        files = files_of_all_routes(model, Path(name))
    float_model = TfliteModel.from_bytes(files["float"])
    specs = [
        InputSpec(name, float_model.tensors[index].shape[1:], float_model.tensors[index].dtype)
        for name, index in zip(float_model.input_names, float_model.inputs, strict=True)
    ]
    held_back = read_samples(model.held_back, inputs=specs, outputs=float_model.output_names)
    few = held_back.head(REFERENCE_SAMPLES)
    true = logits_of(files["float"], held_back, "xnnpack")
    return {
        route: Measured(
            content=files[route],
            xnnpack_db=sqnr_db(true, files[route], held_back, "xnnpack"),
            reference_db=sqnr_db(true, files[route], few, "reference"),
            certificate=certify(
                files[route],
                PROFILE,
                float_content=files["float"],
                samples=held_back,
                metric_samples=held_back,
            ),
        )
        for route in ROUTES
    }


def rows(title: str, found: dict[str, Measured]) -> Iterator[tuple[str, ...]]:
    """Lines of the table for one network: each output, each route."""
    outputs = list(found["tfgreen"].xnnpack_db)
    for output in outputs:
        for route, measured in found.items():
            yield (
                f"{title}, {output}" if len(outputs) > 1 else title,
                ROUTES[route],
                f"{measured.xnnpack_db[output]:.2f}",
                f"{measured.reference_db[output]:.2f}",
                f"{len(measured.content):,}",
                str(measured.float_ops),
                str(measured.surplus_ops),
                measured.gates,
            )


def failures(title: str, found: dict[str, Measured]) -> Iterator[str]:
    """The first failed check of every gate that failed, as a sentence."""
    for route, measured in found.items():
        for gate in measured.certificate.gates:
            failed = [check.message for check in gate.checks if check.status == "failed"]
            if failed:
                rest = f" ({len(failed) - 1} more)" if len(failed) > 1 else ""
                yield f"{title}, {ROUTES[route]}, {gate.gate}: {failed[0]}{rest}"


def gains_db(found: dict[str, Measured]) -> Iterator[float]:
    """tfgreen's SQNR minus the better rival's, for each output, on XNNPACK."""
    for output, ours in found["tfgreen"].xnnpack_db.items():
        yield ours - max(found["bare"].xnnpack_db[output], found["aeq"].xnnpack_db[output])


def print_row(cells: tuple[str, ...]) -> None:
    """One line of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the table and, below it, the gain over the better rival."""
    parser = argparse.ArgumentParser(description="Three routes to int8, side by side.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(NETWORKS)}")
    names = parser.parse_args().names or list(NETWORKS)
    print_row(HEADER)
    print_row(("---", "---", "--:", "--:", "--:", "--:", "--:", "---"))
    gains: list[float] = []
    complaints: list[str] = []
    for name in names:
        model = cached_model(name)
        found = measure(model)
        gains.extend(gains_db(found))
        complaints.extend(failures(model.title, found))
        for row in rows(model.title, found):
            print_row(row)
    print("\nWhy gates failed:" if complaints else "\nNo gate failed.")
    for complaint in complaints:
        print(f"- {complaint}")
    listed = ", ".join(f"{gain:+.2f}" for gain in gains)
    print(f"\nGain over the better of the two others, dB: {listed}.")
    print(f"Mean {np.mean(gains):+.2f}, least {min(gains):+.2f}.")


if __name__ == "__main__":
    main()
