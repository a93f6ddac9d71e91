"""The spoken keywords that are shipped with the package; README.md beside tells their origin."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np


@dataclass(frozen=True)
class Keywords:
    """Clips of one second as MFCC features, to train on and held back.

    Attributes:
        x_train, x_test: (n, 49, 10, 1) float32, 49 frames of 20 ms with 10 coefficients each.
        y_train, y_test: (n,) int32, indices into `labels`.
        labels: the 12 class names.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    labels: tuple[str, ...]


def load_keywords() -> Keywords:
    """The bundled clips.

    >>> keywords = load_keywords()
    >>> keywords.x_train.shape, keywords.x_test.shape, keywords.labels[:3]
    ((1664, 49, 10, 1), (416, 49, 10, 1), ('down', 'go', 'left'))
    """
    archive = files("tfgreen.demonstration") / "keywords.npz"
    with as_file(archive) as path, np.load(path, allow_pickle=False) as stored:
        return Keywords(
            x_train=stored["x_train"].astype(np.float32),
            y_train=stored["y_train"].astype(np.int32),
            x_test=stored["x_test"].astype(np.float32),
            y_test=stored["y_test"].astype(np.int32),
            labels=tuple(str(label) for label in stored["labels"]),
        )
