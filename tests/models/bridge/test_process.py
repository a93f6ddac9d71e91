"""What crossing a model leaves behind in the process: nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

SCRIPT = """
import os
before = dict(os.environ)
{first}
import numpy as np
import tfgreen.models.bridge as bridge
import keras
layers = keras.layers
model = keras.Sequential([layers.Input((4,)), layers.Dense(3), layers.RMSNormalization()])
model.compile("adam", "mse", metrics=["mae"])
twin = bridge.to_keras2(model)
twin.fit(np.ones((4, 4)), np.ones((4, 3)), verbose=0, callbacks=[keras.callbacks.History()])
bridge.to_keras3(twin, model)
import tensorflow as tf
assert tf.keras.__version__.startswith("3."), tf.keras.__version__
assert tf.keras.layers.Dense is keras.layers.Dense
assert keras.config.dtype_policy().name == "float32"
assert keras.backend.backend() == "tensorflow"
changed = {{k: v for k, v in os.environ.items() if before.get(k) != v and not k.startswith("TF2_")}}
assert "TF_USE_LEGACY_KERAS" not in os.environ
assert not changed.keys() - {allowed}, changed
"""


@pytest.mark.parametrize("first", ["", "import keras", "import tensorflow as tf; tf.keras.layers"])
def test_tf_keras_and_the_environment_stay_as_they_were(first: str) -> None:
    allowed = {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "TPU_ML_PLATFORM"}
    script = SCRIPT.format(first=first, allowed=allowed)
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=240)
