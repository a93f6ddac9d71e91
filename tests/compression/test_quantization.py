"""Quantization-aware training: each layer told, ranges from data, the given model left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.compression.models import fingerprint
from tests.compression.quantization_models import MODELS, compiled, samples_of
from tfgreen.compression.quantization import QuantizationAwareTraining
from tfgreen.models.keras2 import is_model


def flat(outputs: Any) -> list[np.ndarray]:
    return outputs if isinstance(outputs, list) else [outputs]


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_is_told_and_the_first_step_starts_from_the_float_model(name: str) -> None:
    model = compiled(name)
    x, y = samples_of(model)
    before = fingerprint(model)
    training = QuantizationAwareTraining()
    wrapped = training.prepare(model, calibration=x)
    assert is_model(wrapped)
    expected, received = flat(model.predict(x, verbose=0)), flat(wrapped.predict(x, verbose=0))
    for ours, theirs in zip(expected, received, strict=True):
        assert np.abs(ours - theirs).max() < 0.2 * np.abs(ours).max()
    report = training.report(wrapped)
    weighted = {one.layer for one in report.layers if one.kind in ("Conv2D", "Dense", "Conv1D")}
    assert weighted <= {one.layer for one in report.with_action("quantized")}
    assert all(one.reason for one in report.layers)
    wrapped.fit(x, y, batch_size=48, verbose=0)
    trained = training.finalize(wrapped)
    for ours, theirs in zip(
        flat(wrapped.predict(x, verbose=0)), flat(trained.predict(x, verbose=0)), strict=True
    ):
        # The steps of the weights follow the last update.
        assert np.abs(ours - theirs).max() <= 0.05 * np.abs(ours).max()
    assert trained.output_names == list(model.output_names)
    assert fingerprint(model) == before
