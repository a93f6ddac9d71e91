"""Statistics with known values, without a file to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfgreen.tflite.statistics import ActivationStatistics


def statistics_of(values: Mapping[str, Sequence[Sequence[float]]]) -> ActivationStatistics:
    """Tensor name to (runs, k) values, all of which are kept."""
    arrays = [np.asarray(rows, np.float32) for rows in values.values()]
    return ActivationStatistics(
        tuple(values),
        np.stack([rows.min(axis=1) for rows in arrays]),
        np.stack([rows.max(axis=1) for rows in arrays]),
        tuple(arrays),
    )
