"""Golden vectors: a few samples and what every kernel set answers, to be replayed anywhere."""

from __future__ import annotations

import numpy as np

from tfgreen.data import Samples
from tfgreen.flatbuffer import TfliteModel
from tfgreen.golden import Golden
from tfgreen.profile import ExportProfile
from tfgreen.runtimes import Task, availability, quantize_inputs, run_tasks
from tfgreen.verification.oracle import rounding_of
from tfgreen.verification.shipped import Shipped

_SAMPLES = 8


def golden_vectors(content: bytes, samples: Samples | None, profile: ExportProfile) -> Golden:
    """A few samples and what every kernel set of the profile answers; none without samples."""
    if samples is None:
        return Golden()
    model = TfliteModel.from_bytes(content)
    few = samples.spread(max(_SAMPLES // profile.batch, 1) * profile.batch)
    few = few.head(len(few) // profile.batch * profile.batch)
    file_inputs = quantize_inputs(model, few)
    shipped = Shipped.of(content)
    outputs: dict[str, tuple[np.ndarray, ...]] = {}
    for kernel_set in dict.fromkeys((*profile.kernel_sets.runs, "reference")):
        if not availability(kernel_set).available:
            continue
        rounding = rounding_of(profile.kernel_sets.truth)
        content_here = shipped.content_for(kernel_set)
        task = Task("golden vectors", content_here, file_inputs, rounding=rounding)
        outcome = run_tasks(kernel_set, [task])[0]
        if outcome.status == "ok":
            outputs[kernel_set] = outcome.outputs
    return Golden(dict(few.inputs), file_inputs, outputs)
