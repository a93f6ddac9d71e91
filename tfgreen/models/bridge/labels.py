"""Labels as the caller gave them: tf_keras makes (n, 1) of (n,) before losses and metrics."""

from __future__ import annotations

from typing import Any


def labels_as_given(y_true: Any, y_pred: Any) -> Any:
    """Labels of shape (n,) again, where tf_keras has put an axis of one in front of the classes.

    Beside outputs of width one the axis stays: Keras 3 adds it there itself.
    """
    true, predicted = y_true.shape, y_pred.shape
    if len(true) == len(predicted) == 2 and true[-1] == 1 and predicted[-1] != 1:
        return y_true[:, 0]
    return y_true
