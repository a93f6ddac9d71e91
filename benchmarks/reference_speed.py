"""How much faster the NumPy interpreter is than LiteRT's reference kernels, on one thread.

    python -m benchmarks.reference_speed [NAME ...]

The five networks of benchmarks/models.py that the target is about, as int8 files (AI Edge
Quantizer, minimum and maximum of the calibration samples), on batches of 64 random inputs. Both
sides run in one process on one thread, in turn; the reference kernels are given one sample at a
time, which is all they can do, and only the calls themselves are timed: the seconds for which the
one thread has the processor, since the machine may be shared. The least of several rounds counts
for each side. The outputs have to be equal.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.models import cached_model

NAMES = ("ds-cnn", "resnet8", "mobilenetv1", "autoencoder", "mobilenetv2")
BATCH, ROUNDS, CALIBRATION_RUNS = 64, 7, 64
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def quantized(name: str) -> tuple[str, bytes]:
    """The title and the int8 file of a network."""
    from tfgreen.flatbuffer import TfliteModel
    from tfgreen.tflite import convert_float
    from tfgreen.tflite.quantizers import AiEdgeQuantizer
    from tfgreen.tflite.ranges import minmax_ranges
    from tfgreen.tflite.statistics import collect_statistics

    model = cached_model(name)
    floats = convert_float(model.path).content
    with np.load(model.calibration) as archive:
        arrays = {key: archive[key][:CALIBRATION_RUNS, np.newaxis] for key in archive.files}
    names = TfliteModel.from_bytes(floats).input_names
    runs = [arrays[key].astype(np.float32) for key in names]
    ranges = minmax_ranges(collect_statistics(floats, runs))
    return model.title, AiEdgeQuantizer(floats, "int8").quantize(ranges)


def reference_calls(content: bytes, inputs: list[np.ndarray]) -> Callable[[], list[np.ndarray]]:
    """A function that runs the whole batch on the reference kernels."""
    from ai_edge_litert import interpreter as litert

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernels = litert.Interpreter(
            model_content=content,
            num_threads=1,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        )
    kernels.allocate_tensors()
    places = [detail["index"] for detail in kernels.get_input_details()]
    outputs = [detail["index"] for detail in kernels.get_output_details()]

    def run() -> list[np.ndarray]:
        results = []
        for sample in range(BATCH):
            for place, array in zip(places, inputs, strict=True):
                kernels.set_tensor(place, array[sample])
            kernels.invoke()
            results.append([kernels.get_tensor(index) for index in outputs])
        return [np.stack(column) for column in zip(*results, strict=True)]

    return run


def measure(content: bytes) -> tuple[float, float]:
    """Processor seconds for one batch: the reference kernels, the NumPy interpreter."""
    from tfgreen.reference import Interpreter

    interpreter, rng = Interpreter(content), np.random.default_rng(0)
    tensors = [interpreter.model.tensors[index] for index in interpreter.model.inputs]
    inputs = [
        rng.integers(-128, 127, (BATCH, *t.shape), endpoint=True).astype(np.int8) for t in tensors
    ]
    run_reference = reference_calls(content, inputs)
    best = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        results = []
        for side, run in enumerate((run_reference, lambda: interpreter.run(inputs))):
            start = time.process_time()
            results.append(run())
            best[side] = min(best[side], time.process_time() - start)
        for theirs, mine in zip(*results, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    return best[0], best[1]


def main() -> None:
    """Measure each network in a process of its own and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(*measure(options.measure.read_bytes()))
        return
    print("| network | reference kernels, samples/s | NumPy, samples/s | ratio |")
    print("| --- | --: | --: | --: |")
    ratios = []
    with tempfile.TemporaryDirectory(prefix="tfgreen-benchmark-") as folder:
        for name in options.names or NAMES:
            title, content = quantized(name)
            path = Path(folder) / f"{name}.tflite"
            path.write_bytes(content)
            command = [sys.executable, "-m", "benchmarks.reference_speed", "--measure", str(path)]
            told = subprocess.run(
                command, env=os.environ | ONE_THREAD, check=True, capture_output=True, text=True
            )
            theirs, mine = map(float, told.stdout.split())
            ratios.append(theirs / mine)
            print(f"| {title} | {BATCH / theirs:,.0f} | {BATCH / mine:,.0f} | {ratios[-1]:.2f} |")
    mean = float(np.exp(np.mean(np.log(ratios))))
    print(f"| geometric mean | | | {mean:.2f} |")


if __name__ == "__main__":
    main()
