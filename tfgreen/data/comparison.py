"""Calibration values against those of the evaluation: the same scale, the same range?"""

from __future__ import annotations

import numpy as np

from tfgreen.data.findings import Finding
from tfgreen.wording import share_text

# Unscaled pixels (0..255 against 0..1) give a ratio of 255; honest samplings of one source give
# about 1.
_FAR_RATIO = 10.0
# Shares of the evaluation's values outside the calibration's range (widened by a tenth).
_MANY_OUTSIDE, _SOME_OUTSIDE = 0.2, 0.01
# Fewer samples than this say little about a range.
_ENOUGH_SAMPLES = 8


def compare_values(name: str, calibration: np.ndarray, evaluation: np.ndarray) -> Finding | None:
    """What is wrong with the calibration's values of input `name`, or None.

    An error when the spread differs by a factor of 10 or more, or when more than 20 % of the
    evaluation's values lie outside the calibration's range; a warning when more than 1 % do, or
    when more than 20 % of the calibration's lie outside the evaluation's.
    """
    spreads = [float(array.std(dtype=np.float64)) for array in (calibration, evaluation)]
    outside = _share_outside(evaluation, calibration)
    unused = _share_outside(calibration, evaluation)
    evidence: dict[str, float | int | str] = {
        "input": name,
        "calibration": _described(calibration),
        "evaluation": _described(evaluation),
        "evaluation_outside_share": round(outside, 4),
        "calibration_outside_share": round(unused, 4),
    }
    told = (
        f"Input '{name}' is {evidence['calibration']} in the calibration data, but "
        f"{evidence['evaluation']} in the evaluation data"
    )
    enough = min(len(calibration), len(evaluation)) >= _ENOUGH_SAMPLES
    ratio = max(spreads) / min(spreads) if min(spreads) > 0 else 1.0
    if ratio >= _FAR_RATIO or (enough and outside > _MANY_OUTSIDE):
        remedy = "Prepare both in the same way, as for the model's training (0..255 or 0..1?)."
        return Finding("error", "values-far-apart", f"{told}. {remedy}", evidence)
    if outside > _SOME_OUTSIDE:
        message = (
            f"{told}: {share_text(outside)} of the evaluation's values lie outside the "
            "calibration's range and will be clipped. Calibrate with more varied samples."
        )
        return Finding("warning", "values-clipped", message, evidence)
    if enough and unused > _MANY_OUTSIDE:
        message = (
            f"{told}: {share_text(unused)} of the calibration's values lie outside the "
            "evaluation's range, and wide ranges make coarse steps. Were both prepared in the "
            "same way?"
        )
        return Finding("warning", "values-too-wide", message, evidence)
    return None


def _share_outside(values: np.ndarray, of: np.ndarray) -> float:
    low, high = float(of.min()), float(of.max())
    margin = 0.1 * (high - low)
    return float(np.mean((values < low - margin) | (values > high + margin)))


def _described(array: np.ndarray) -> str:
    mean, spread = array.mean(dtype=np.float64), array.std(dtype=np.float64)
    return f"{array.min():.4g}..{array.max():.4g} (mean {mean:.4g}, spread {spread:.4g})"
