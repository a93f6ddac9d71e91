"""Repairs of the float file, before it is quantized: its answers stay, its numbers get easier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel, with_outputs
from tfgreen.tflite.chains import pairs
from tfgreen.tflite.equalization import By, equalized
from tfgreen.tflite.masking import enough, mask_constants, with_mask_values
from tfgreen.tflite.statistics import preserving_interpreter

_SAME = 1e-4  # float32 rounding of a deep net takes 1e-5; a step of int8 is 4e-3
_CHECKED_RUNS = 32


@dataclass(frozen=True)
class FloatRepair:
    """What became of the float file.

    content: the file; the same as before where nothing could be done. layers: names of the
    tensors concerned. said: one sentence. facts: numbers for the record.
    """

    content: bytes
    layers: tuple[str, ...]
    said: str
    facts: Mapping[str, Any]


def equalize(content: bytes, inputs: Sequence[np.ndarray], by: By) -> FloatRepair:
    """Channels of unlike size made alike; see `equalization`."""
    model = TfliteModel.from_bytes(content)
    maxima = channel_maxima(model, [pair.tensor for pair in pairs(model)], inputs)
    if not maxima:
        return FloatRepair(content, (), "No two layers follow each other so that they could.", {})
    done = equalized(content, maxima, by)
    error = difference(content, done.content, inputs)
    facts = {"float_error": error, "widest_factor": done.widest, "skipped": dict(done.skipped)}
    if not done.layers:
        return FloatRepair(content, (), "The channels are alike already.", facts)
    if error > _SAME:
        said = f"The float file's answers would change by {error:.1g} of their size."
        return FloatRepair(content, (), said, facts)
    said = (
        f"Channels of {len(done.layers)} tensors were made alike, by factors of up to "
        f"{done.widest:.3g} to one."
    )
    return FloatRepair(done.content, done.layers, said, facts)


def shrink_masks(content: bytes, inputs: Sequence[np.ndarray]) -> FloatRepair:
    """Mask constants brought down; see `masking`."""
    model = TfliteModel.from_bytes(content)
    masks = mask_constants(model)
    if not masks:
        return FloatRepair(content, (), "No constant in front of a softmax is huge.", {})
    scores = _values(model, [mask.softmax for mask in masks], inputs)
    sizes = {mask.constant: enough(scores[mask.softmax]) for mask in masks}
    changed = with_mask_values(model, sizes)
    error = difference(content, changed, inputs)
    layers = tuple(model.tensors[mask.softmax].name for mask in masks)
    facts = {"float_error": error, "mask_sizes": sorted(set(sizes.values()))}
    if error > _SAME:
        said = (
            f"With a smaller mask the float file's answers would change by {error:.1g} of their "
            "size: some row may be masked as a whole."
        )
        return FloatRepair(content, (), said, facts)
    largest = max(sizes.values())
    said = f"{len(masks)} mask constants were brought down to {largest:g} at most."
    return FloatRepair(changed, layers, said, facts)


def channel_maxima(
    model: TfliteModel, tensors: Sequence[int], inputs: Sequence[np.ndarray]
) -> dict[int, np.ndarray]:
    """The largest |value| of each channel of each tensor over all runs."""
    found: dict[int, np.ndarray] = {}
    if not tensors:
        return found
    invoke = preserving_interpreter(model.content, model)
    for arrays in zip(*inputs, strict=True):
        read = invoke(arrays)
        for tensor in tensors:
            values = np.abs(read(tensor)).reshape(-1, model.tensors[tensor].shape[-1]).max(axis=0)
            known = found.get(tensor)
            found[tensor] = values if known is None else np.maximum(known, values)
    return found


def difference(before: bytes, after: bytes, inputs: Sequence[np.ndarray]) -> float:
    """Largest |difference| of the outputs of two float files, over their largest |value|."""
    few = [array[:_CHECKED_RUNS] for array in inputs]
    old, new = TfliteModel.from_bytes(before), TfliteModel.from_bytes(after)
    ours, theirs = _values(new, new.outputs, few), _values(old, old.outputs, few)
    worst = 0.0
    for position, index in enumerate(old.outputs):
        true = theirs[index].astype(np.float64)
        largest = max(float(np.abs(true).max(initial=0)), 1e-30)
        off = np.abs(ours[new.outputs[position]].astype(np.float64) - true)
        worst = max(worst, float(off.max(initial=0)) / largest)
    return worst


def _values(
    model: TfliteModel, tensors: Sequence[int], inputs: Sequence[np.ndarray]
) -> dict[int, np.ndarray]:
    """Values of some tensors over all runs."""
    wanted = list(dict.fromkeys(tensors))
    shown = with_outputs(model, wanted)
    invoke = preserving_interpreter(shown, TfliteModel.from_bytes(shown))
    taken: dict[int, list[np.ndarray]] = {tensor: [] for tensor in wanted}
    for arrays in zip(*inputs, strict=True):
        read = invoke(arrays)
        for tensor in wanted:
            taken[tensor].append(np.array(read(tensor)))
    return {tensor: np.stack(values) for tensor, values in taken.items()}
