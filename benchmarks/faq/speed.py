"""Does quantization make it faster? By hardware, kernel set, network and width.

Measured here, one thread, by turns: int8 against float32 on LiteRT's kernel sets and on TensorFlow
Lite Micro's portable kernels; processor time, so that neighbours do not count. Estimated, by Arm's
Vela: the NPUs.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faq.micro_time import in_child
from benchmarks.faq.records import interval_of
from benchmarks.models import CACHE, cached_model
from tfgreen.benchmarking.files import TimedFile
from tfgreen.benchmarking.latency import KERNEL_SETS, Effort, benchmark_files
from tfgreen.flatbuffer import TfliteModel, cut_op
from tfgreen.pipeline import float_file, make_bundle
from tfgreen.profile import load_profile
from tfgreen.runtimes import availability
from tfgreen.targets.ethos_u import compile_for_npu
from tfgreen.tflite import ConversionOptions

TRAINED = ("ds-cnn", "resnet8", "mobilenetv2", "autoencoder")
UNTRAINED = ("mobilenetv3small",)
"""Of the coverage table's zoo: weights do not change how long something takes."""

OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "ADD", "MUL", "HARD_SWISH")
NPUS = ("ethos-u55-int8", "ethos-u65-int8", "ethos-u85-int8")
_FOLDER = CACHE / "faq"
_PROFILE = "mobile-int8"


def measure(test: str | None) -> dict[str, Any]:
    """The record: one row for each network and kernel set, and one for each NPU."""
    rows: list[dict[str, Any]] = []
    npus: list[dict[str, Any]] = []
    host: dict[str, Any] = {}
    for name in (*TRAINED, *UNTRAINED):
        title, int8, float32 = files_of(name)
        found, host = _on_litert(title, int8, float32)
        rows += found
        if name in TRAINED:
            rows += _on_micro(name, title)
            npus += [_on_npu(title, int8, float32, profile) for profile in NPUS]
        print(f"{title}: done", flush=True)
    return {"host": host, "rows": rows, "npus": npus, "ops": ops_alone(UNTRAINED[0])}


def _on_litert(
    title: str, int8: bytes, float32: bytes
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    files = [TimedFile("int8", int8), TimedFile("float32", float32)]
    effort = Effort(sessions=2, rounds=12, budget_seconds=1.0)
    found = benchmark_files(files, baseline=1, kernel_sets=KERNEL_SETS, effort=effort)
    rows = []
    for one in found.comparisons:
        ratio = one.cpu_ratio or one.ratio
        seconds = found.row("float32", kernel_set=one.kernel_set).cpu_seconds
        rows.append(
            {
                "network": title,
                "kernel_set": one.kernel_set,
                "float32_seconds": float(f"{seconds or 0.0:.3g}"),
                "ratio": interval_of(ratio.median, ratio.low, ratio.high),
            }
        )
    host = {"processor": found.host.processor, "litert": found.host.litert}
    return rows, host


def _on_micro(name: str, title: str) -> list[dict[str, Any]]:
    """Processor time of both files by turns; none where the kernels are not installed."""
    if not availability("micro").available:
        return []
    int8, float32 = in_child(*paths_of(name))
    low, median, high = np.percentile(np.divide(int8, float32), (25, 50, 75))
    return [
        {
            "network": title,
            "kernel_set": "micro",
            "float32_seconds": float(f"{np.median(float32):.3g}"),
            "ratio": interval_of(float(median), float(low), float(high)),
        }
    ]


def ops_alone(name: str) -> list[dict[str, Any]]:
    """int8 over float32 of one op of each kind by itself: the one with the largest input."""
    title, *contents = files_of(name)
    models = [TfliteModel.from_bytes(content) for content in contents]
    rows = []
    for kind in OPS:
        cut = [_largest(model, kind) for model in models]
        effort = Effort(sessions=2, rounds=10, budget_seconds=0.4, probes=1)
        files = [TimedFile(width, one) for width, one in zip(("int8", "float32"), cut, strict=True)]
        (found,) = benchmark_files(files, baseline=1, effort=effort).comparisons
        ratio = found.cpu_ratio or found.ratio
        count = sum(op.name == kind for op in models[0].ops)
        told = interval_of(ratio.median, ratio.low, ratio.high)
        rows.append({"network": title, "op": kind, "count": count, "ratio": told})
    return rows


def _largest(model: TfliteModel, kind: str) -> bytes:
    ops = [op for op in model.ops if op.name == kind]
    largest = max(ops, key=lambda op: math.prod(model.tensors[op.inputs[0]].shape))
    return cut_op(model, largest.index)


def _on_npu(title: str, int8: bytes, float32: bytes, profile: str) -> dict[str, Any]:
    """What Vela estimates; of the float file, what it would leave on the processor."""
    rules = load_profile(profile)
    facts = compile_for_npu(int8, rules).to_facts()
    left = compile_for_npu(float32, rules).to_facts()
    return {
        "network": title,
        "profile": profile,
        "int8_seconds": float(f"{facts['inference_seconds']:.3g}"),
        "npu_share_of_macs": round(facts["npu_share_of_macs"], 4),
        "float32_share_of_macs": round(left.get("npu_share_of_macs", 0.0), 4),
    }


def paths_of(name: str) -> tuple[Path, Path]:
    """Where the int8 and the float file of a network are kept."""
    return _FOLDER / f"{name}-int8.tflite", _FOLDER / f"{name}-float32.tflite"


def files_of(name: str) -> tuple[str, bytes, bytes]:
    """The title of a network, its int8 file and its float file; made once and kept."""
    title = cached_model(name).title if name in TRAINED else "MobileNetV3Small, 64 px"
    paths = paths_of(name)
    if not all(path.exists() for path in paths):
        _FOLDER.mkdir(parents=True, exist_ok=True)
        for path, content in zip(paths, _exported(name), strict=True):
            path.write_bytes(content)
    return title, paths[0].read_bytes(), paths[1].read_bytes()


def _exported(name: str) -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        if name in TRAINED:
            model, data = str(cached_model(name).path), str(cached_model(name).calibration)
        else:
            model, data = _untrained(name, Path(folder))
        bundle = make_bundle(model, data, load_profile(_PROFILE))
        return bundle.content, float_file(model, Path(folder), ConversionOptions())


def _untrained(name: str, folder: Path) -> tuple[str, str]:
    from benchmarks.coverage.conditioning import conditioned
    from benchmarks.coverage.zoo import ROWS

    task = conditioned(ROWS[name])
    model, data = folder / f"{name}.keras", folder / "calibration.npz"
    task.model.save(model)
    np.savez(data, **task.calibration)  # type: ignore[arg-type]
    return str(model), str(data)
