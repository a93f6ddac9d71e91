"""A treatment carried out, in the child process: files in, files out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfgreen.data import Samples
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile
from tfgreen.runtimes import quantize_inputs
from tfgreen.tflite.boundary import with_boundary
from tfgreen.tflite.equalization import By
from tfgreen.tflite.float_repairs import FloatRepair, equalize, shrink_masks
from tfgreen.tflite.quantization import float_op, quantize
from tfgreen.tflite.ranges import Ranges, least_error_ranges, minmax_ranges
from tfgreen.tflite.rerounding import Fit, refitted
from tfgreen.tflite.selection import Judge
from tfgreen.tflite.statistics import ActivationStatistics, collect_statistics
from tfgreen.tflite.tidying import tidied
from tfgreen.tflite.treatment import OF_THE_FLOAT_FILE, Kind, Treated, Treatment
from tfgreen.tflite.widths import (
    Goal,
    Mixer,
    Search,
    Searching,
    activation_units,
    ranked,
    weight_units,
)

OnProgress = Callable[[str, int, int], None]

_SEARCHED = 64

_FITS: dict[Kind, Fit] = {
    "statistics": Fit(gains=True),
    "bias": Fit(),
    "rounding": Fit(weights=True, scales=True),
}
_SAID: dict[Kind, str] = {
    "statistics": "Scales and biases of channels were fitted to the calibration data again.",
    "bias": "Biases were corrected by the mean error of each channel.",
    "rounding": "Weights were rounded anew, so that each layer's output stays right.",
}


@dataclass(frozen=True)
class _Bench:
    """What all treatments work with; the runs are one array a graph input."""

    float_content: bytes
    content: bytes
    profile: ExportProfile
    runs: tuple[np.ndarray, ...]
    held_back: int
    on_progress: OnProgress

    @property
    def fitted_runs(self) -> tuple[np.ndarray, ...]:
        """Those that may be fitted to."""
        end = len(self.runs[0]) - self.held_back
        return tuple(array[:end] for array in self.runs)

    @property
    def searched_runs(self) -> list[int]:
        """Positions of at most 64 runs that a choice may rest on: none of those that judge."""
        end = len(self.runs[0]) - self.held_back
        return [int(i) for i in np.linspace(0, end - 1, min(end, _SEARCHED)).round()]


def treat(
    treatment: Treatment,
    float_content: bytes,
    content: bytes,
    profile: ExportProfile,
    samples: dict[str, np.ndarray],
    on_progress: OnProgress,
) -> Treated:
    """Carry out a treatment; the files come back as they were where there is nothing to do.

    Raises ConversionError when no engine can quantize what came out.
    """
    model = TfliteModel.from_bytes(float_content)
    whole = Samples(samples)
    whole = whole.head(len(whole) - len(whole) % profile.batch)
    runs = quantize_inputs(model, whole)
    held_back = treatment.held_back // profile.batch
    bench = _Bench(float_content, content, profile, runs, held_back, on_progress)
    if treatment.kind in OF_THE_FLOAT_FILE:
        return _from_the_float_file(treatment.kind, bench)
    if treatment.kind == "widths":
        return _widened(treatment, bench)
    changed = _fitted(content, treatment.kind, bench)
    return Treated(changed, float_content, True, _SAID[treatment.kind], {})


def _from_the_float_file(kind: Kind, bench: _Bench) -> Treated:
    bench.on_progress("preparing the float file", 0, 0)
    if kind == "ranges":
        repair = FloatRepair(bench.float_content, ("all",), "Quantized anew.", {})
    elif kind == "mask":
        repair = shrink_masks(bench.float_content, bench.fitted_runs)
    else:
        by: By = "weights" if kind == "equalize-weights" else "activations"
        repair = equalize(bench.float_content, bench.fitted_runs, by)
    facts = {**repair.facts, "layers": list(repair.layers)}
    if not repair.layers:
        return Treated(bench.content, bench.float_content, False, repair.said, facts)
    quantized = quantize(repair.content, bench.fitted_runs, bench.profile, bench.on_progress)
    facts |= {"route": quantized.to_facts()["route"]}
    said = repair.said
    if kind == "ranges":
        said = f"Quantized anew by {quantized.winner.quantizer}, ranges {quantized.winner.ranges}."
    return Treated(tidied(quantized.content), repair.content, True, said, facts)


def _fitted(content: bytes, kind: Kind, bench: _Bench) -> bytes:
    def tell(done: int, of: int) -> None:
        bench.on_progress("fitting layers", done, of)

    return refitted(content, bench.float_content, bench.fitted_runs, _FITS[kind], tell)


def _widened(treatment: Treatment, bench: _Bench) -> Treated:
    profile = bench.profile
    by_weights = profile.scheme == "weights-int4"
    statistics = None
    ranges: Ranges = {}
    if not by_weights:
        statistics = collect_statistics(bench.float_content, bench.fitted_runs)
        ranges = _narrow_ranges(statistics, bench)
    mixer = Mixer(
        bench.float_content, profile.scheme, ranges, per_channel=profile.weight_scales == "channel"
    )

    def finish(content: bytes) -> bytes:
        for kind in treatment.then:
            content = _fitted(content, kind, bench)
        return tidied(with_boundary(content, profile.input_type, profile.output_type))

    search = Searching(
        mixer,
        Judge(bench.float_content, bench.runs),
        bench.searched_runs,
        float_op if profile.full_integer else lambda model: None,
        finish,
        lambda done, of: bench.on_progress("trying wider layers", done, of),
    )
    model = TfliteModel.from_bytes(bench.float_content)
    narrow = TfliteModel.from_bytes(mixer.build(()))
    if statistics is None:
        units = weight_units(model, narrow)
    else:
        sampled = dict(zip(statistics.names, statistics.values, strict=True))
        units = ranked(activation_units(model, narrow), sampled, narrow)
    units = search.measured(units)
    goal = Goal(treatment.sqnr_db, treatment.agreement, treatment.most_bytes)
    found = search.search(units, goal)
    return _told(found, len(model.ops), bench, by_weights)


def _narrow_ranges(statistics: ActivationStatistics, bench: _Bench) -> Ranges:
    """Whole ranges, or those of least error where these do better without anything wide."""
    judge = Judge(bench.float_content, bench.runs)
    choices = [minmax_ranges(statistics), least_error_ranges(statistics)]
    per_channel = bench.profile.weight_scales == "channel"

    def score(ranges: Ranges) -> float:
        mixer = Mixer(bench.float_content, "int8", ranges, per_channel=per_channel)
        model = TfliteModel.from_bytes(mixer.build(()))
        return judge.sqnr_db([(model, bench.searched_runs)])

    return max(choices, key=score)


def _told(found: Search, ops: int, bench: _Bench, by_weights: bool) -> Treated:
    bits = (8, 4) if by_weights else (16, 8)
    facts = {
        "wide_ops": list(found.wide),
        "ops": ops,
        "bits": list(bits),
        "sensitivity": [unit.to_facts() for unit in found.units],
        "sqnr_db": round(found.sqnr_db, 2),
        "agreement": found.agreement,
        "reached": found.reached,
    }
    if not found.wide:
        said = "No layer gains enough from more bits."
        return Treated(bench.content, bench.float_content, False, said, facts)
    said = f"{len(found.wide)} of {ops} layers work with {bits[0]} bits, the others with {bits[1]}."
    return Treated(found.content, bench.float_content, True, said, facts)
