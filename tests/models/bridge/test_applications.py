"""The models of keras.applications, whole."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tests.models.bridge import zoo
from tfgreen.models.bridge import to_keras2, to_keras3
from tfgreen.models.bridge.comparison import TOLERANCE, output_difference


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.APPLICATIONS)
def test_there_and_back(name: str) -> None:
    model = zoo.perturbed(zoo.application(name))
    before = [np.asarray(variable).tobytes() for variable in model.variables]
    twin = to_keras2(model)
    assert output_difference(model, twin) <= TOLERANCE
    again = to_keras3(twin, model)
    assert [np.asarray(variable).tobytes() for variable in model.variables] == before
    assert [np.asarray(variable).tobytes() for variable in again.weights] == [
        np.asarray(variable).tobytes() for variable in model.weights
    ]
    keras.backend.clear_session()
