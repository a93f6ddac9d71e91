"""Rounds of rising sparsity, as long as the metric allows, and one step back."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.compression.models import (
    data,
    dense_model,
    fingerprint,
    kernels,
    tf_keras_model,
    zeros,
)
from tfgreen.compression.pruning.iterative import prune_iteratively
from tfgreen.compression.pruning.pruning import Pruning
from tfgreen.compression.pruning.report import pruning_report
from tfgreen.errors import UsageError

X, Y = data()
FIT: dict[str, Any] = {"batch_size": 16, "verbose": 0}


def sparsity_of(model: Any) -> float:
    """Of the wrapped model, which a function as validation_data is given."""
    arrays = [weight.numpy() for weight in model.trainable_weights if len(weight.shape) > 1]
    return sum(zeros(array) for array in arrays) / sum(array.size for array in arrays)


def test_the_round_beyond_the_limit_is_undone() -> None:
    model = dense_model()
    before = fingerprint(model)
    result = prune_iteratively(
        model,
        X,
        Y,
        validation_data=lambda wrapped: 1 - sparsity_of(wrapped),
        max_drop=0.6,
        sparsities=(0.25, 0.5, 0.75, 0.875),
        higher_is_better=True,
        **FIT,
    )
    assert fingerprint(model) == before
    assert [(one.sparsity, one.is_accepted) for one in result.rounds] == [
        (0.25, True),
        (0.5, True),
        (0.75, False),
    ]
    assert [one.drop for one in result.rounds] == pytest.approx([0.25, 0.5, 0.75])
    assert result.baseline == 1
    assert result.sparsity == 0.5
    assert isinstance(result.model, keras.Sequential)
    assert [zeros(kernel) for kernel in kernels(result.model).values()] == [64, 24]
    assert pruning_report(result.model) == result.report
    assert {one.measures["target"] for one in result.report.with_action("pruned")} == {0.5}
    assert "Pruned to 0.5" in str(result)


def test_masks_only_grow_from_round_to_round() -> None:
    seen: list[np.ndarray] = []

    def note(wrapped: Any) -> float:
        seen.append(wrapped.trainable_weights[0].numpy() == 0)
        return 0.0

    prune_iteratively(
        dense_model(), X, Y, validation_data=note, max_drop=1, sparsities=(0.25, 0.5), **FIT
    )
    assert [int(mask.sum()) for mask in seen] == [0, 32, 64]


def test_without_an_accepted_round_the_model_is_whole() -> None:
    model = tf_keras_model()
    result = prune_iteratively(
        model,
        X,
        Y,
        validation_data=sparsity_of,
        higher_is_better=False,
        max_drop=0.1,
        sparsities=(0.5,),
        **FIT,
    )
    assert result.sparsity == 0
    for one, other in zip(model.get_weights(), result.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_data_and_settings_of_ones_own() -> None:
    pruning = Pruning(sparsity=0.5, scope="global", end=0.5)
    result = prune_iteratively(
        dense_model(),
        X,
        Y,
        validation_data=(X, Y),
        max_drop=1.0,
        sparsities=(0.25, 0.5),
        pruning=pruning,
        **FIT,
    )
    assert result.metric == "accuracy"
    assert sum(zeros(kernel) for kernel in kernels(result.model).values()) == 88
    assert [one.is_accepted for one in result.rounds] == [True, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsities": (0.5, 0.4)}, r"received \[0.5, 0.4\]; expected rising"),
        ({"sparsities": (0.5, 1.0)}, "sparsities received 1.0"),
        ({"sparsities": ()}, "expected rising"),
        ({"max_drop": -0.1}, "max_drop received -0.1"),
        (
            {
                "sparsities": np.array([0.3, 0.9]),
                "pruning": Pruning(sparsity=0.9, initial_sparsity=0.5),
            },
            r"\[0.3, 0.9\]; expected shares above the initial_sparsity",
        ),
        ({"pruning": Pruning(threshold=0.1)}, "with a number as sparsity"),
        ({"pruning": Pruning(sparsity={"head": 0.1})}, "with a number as sparsity"),
    ],
)
def test_bad_input_is_refused_before_training(options: dict[str, Any], message: str) -> None:
    given = {"validation_data": (X, Y), "max_drop": 0.1, **options}
    with pytest.raises(UsageError, match=message):
        prune_iteratively(dense_model(), X, Y, **given)


def test_a_generator_that_ends_is_told() -> None:
    model = dense_model()
    steps = (pair for pair in [(X[:16], Y[:16])] * 4)
    with pytest.raises(UsageError, match="ended before round 2 of 3"):
        prune_iteratively(
            model,
            steps,
            validation_data=(X, Y),
            max_drop=9.0,
            sparsities=(0.2, 0.4, 0.6),
            steps_per_epoch=4,
            verbose=0,
        )
