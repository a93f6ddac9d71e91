"""What TensorFlow's own calibrator says, faults included: the bare converter as a competitor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests import tiny_models
from tfgreen.tflite.quantizers import calibrate


def calibrator_ranges(
    content: bytes, inputs: Sequence[np.ndarray]
) -> dict[str, tuple[float, float]]:
    """Ranges by tensor name, from `inputs`: (runs, *tensor shape) for each graph input."""
    root = tiny_models.unpack(calibrate(content, list(zip(*inputs, strict=True))))
    return {
        tensor.name.decode(): (float(facts.min[0]), float(facts.max[0]))
        for tensor in root.subgraphs[0].tensors
        if (facts := tensor.quantization) is not None and facts.min is not None
    }
