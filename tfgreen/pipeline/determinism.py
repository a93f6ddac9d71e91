"""The same seed and arrays give the same bytes: seeds, and TensorFlow's deterministic ops."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np


def seed_of(*parts: int | str) -> int:
    """A seed from 0 to 2^31 - 1 that depends on every part.

    >>> seed_of(0, "prune", 3) == seed_of(0, "prune", 3) != seed_of(0, "prune", 4)
    True
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def set_seeds(seed: int) -> None:
    """Seed Python, NumPy, TensorFlow and both flavours of Keras."""
    import keras

    from tfgreen.models.keras2 import tf_keras

    keras.utils.set_random_seed(seed)
    tf_keras().utils.set_random_seed(seed)


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """Deterministic ops inside; Python's and NumPy's generators and the mode come back after."""
    from tensorflow.python.framework import config

    python, numpy = random.getstate(), np.random.get_state()
    before = config.is_op_determinism_enabled()
    config.enable_op_determinism()
    try:
        yield
    finally:
        if not before:
            config.disable_op_determinism()
        random.setstate(python)
        np.random.set_state(numpy)


class Randomness:
    """What is random inside a tf_keras model, begun anew with every epoch.

    Its layers draw from generators whose state lies in the traced step and in no variable, so that
    a resumed training could not go on with it. A step that is traced anew begins them anew.
    """

    def __init__(self, model: Any) -> None:
        found = [part for part in getattr(model, "submodules", ()) if _draws(part)]
        self.is_there = bool(found)
        self._first_seeds = [(generator, generator._seed) for generator in map(_generator, found)]

    def begin_epoch(self, model: Any, seed: int) -> None:
        """Set the seeds of an epoch, and have the step traced again if it draws."""
        set_seeds(seed)
        for generator, first in self._first_seeds:
            generator._seed = first
        if self.is_there and getattr(model, "train_function", None) is not None:
            model.make_train_function(force=True)


def _draws(part: Any) -> bool:
    if getattr(part, "_random_generator", None) is None:
        return False
    shares = [getattr(part, name, None) for name in ("rate", "dropout", "recurrent_dropout")]
    return any(shares) or all(share is None for share in shares)


def _generator(part: Any) -> Any:
    return part._random_generator
