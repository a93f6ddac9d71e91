"""Layer by layer: tensors matched by name, SQNR and its ideal from known values."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tfgreen.flatbuffer import TfliteModel
from tfgreen.verification.layers import LayerTrial

FILE = TfliteModel.from_bytes(tiny_models.int8_classifier())
FLOAT = TfliteModel.from_bytes(tiny_models.float_classifier())
LOGITS, SCORES = FILE.tensor_index("logits"), FILE.tensor_index("scores:0")


def test_known_values() -> None:
    trial = LayerTrial(FILE, FLOAT)
    # logits: scale 0.04, zero point 3. Stored 28 is 1.0, where the float model has 1.1; rounded
    # to the scale, 1.1 is 1.12 (27.5 rounds to even 28 quanta). The others are exact zeros.
    stored = np.full((1, 1, 4), 3, np.int8)
    stored[..., 0] = 28
    real = np.zeros((1, 1, 4), np.float32)
    real[..., 0] = 1.1
    trial.add({LOGITS: stored}, {FLOAT.tensor_index("logits"): real})
    (layer,) = trial.results()
    assert (layer.tensor, layer.op) == ("logits", "FULLY_CONNECTED")
    assert layer.sqnr_db == pytest.approx(20 * np.log10(1.1 / 0.1), abs=1e-4)
    assert layer.ideal_sqnr_db == pytest.approx(20 * np.log10(1.1 / 0.02), abs=1e-3)


def test_all_op_outputs_are_matched_by_name() -> None:
    trial = LayerTrial(FILE, FLOAT)
    values = {LOGITS: np.zeros((2, 1, 4), np.int8), SCORES: np.zeros((2, 1, 4), np.int8)}
    truths = {FLOAT.tensor_index(n): np.ones((2, 1, 4), np.float32) for n in ("logits", "scores:0")}
    trial.add(values, truths)
    assert [layer.tensor for layer in trial.results()] == ["logits", "scores:0"]
    assert trial.unmatched == 0


def test_values_that_are_not_finite_are_named() -> None:
    trial = LayerTrial(FILE, FLOAT)
    real = np.full((1, 1, 4), np.nan, np.float32)
    trial.add({LOGITS: np.zeros((1, 1, 4), np.int8)}, {FLOAT.tensor_index("logits"): real})
    assert trial.results() == ()
    assert list(trial.not_finite()) == ["logits"]


def test_another_model_shares_no_layer() -> None:
    trial = LayerTrial(FILE, TfliteModel.from_bytes(tiny_models.float_add()))
    assert trial.unmatched == 2
    assert trial.results() == ()
