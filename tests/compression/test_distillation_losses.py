"""Losses of distillation against NumPy, in float64, to 1e-6."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfgreen.compression.distillation.losses import (
    as_logits,
    feature_losses,
    position_losses,
    weighted_mean,
)

TOLERANCE = 1e-6


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def oracle(kind: str, student: Any, teacher: Any, temperature: float, squared: bool) -> np.ndarray:
    student, teacher = np.float64(student), np.float64(teacher)
    if kind == "regression":
        return np.square(student - teacher).mean(-1)
    factor = temperature**2 if squared else 1.0
    if kind == "categorical":
        p, q = softmax(teacher / temperature), softmax(student / temperature)
        return factor * (p * np.log(p / q)).sum(-1)
    p, q = sigmoid(teacher / temperature), sigmoid(student / temperature)
    return factor * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(-1)


def logits(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32") * 2


@pytest.mark.parametrize("kind", ["categorical", "binary", "regression"])
@pytest.mark.parametrize("shape", [(6, 5), (4, 7, 5), (6, 1)])
@pytest.mark.parametrize(("temperature", "squared"), [(1.0, True), (2.0, True), (5.0, False)])
def test_each_position(
    kind: Any, shape: tuple[int, ...], temperature: float, squared: bool
) -> None:
    student, teacher = logits(*shape), logits(*shape, seed=1)
    ours = position_losses(kind, student, teacher, temperature, squared)
    theirs = oracle(kind, student, teacher, temperature, squared)
    assert ours.shape == shape[:-1]
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


def test_from_probabilities() -> None:
    student, teacher = logits(6, 5), logits(6, 5, seed=1)
    for kind, squash in (("categorical", softmax), ("binary", sigmoid)):
        s, t = (as_logits(squash(x), kind, "probabilities") for x in (student, teacher))  # type: ignore[arg-type]
        ours = position_losses(kind, s, t, 2.0, True)  # type: ignore[arg-type]
        theirs = oracle(kind, student, teacher, 2.0, True)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=TOLERANCE)


def test_a_probability_of_zero_has_a_finite_loss_and_gradient() -> None:
    student = tf.Variable([[0.0, 1.0, 0.0]])
    with tf.GradientTape() as tape:
        s = as_logits(student, "categorical", "probabilities")
        t = as_logits([[1.0, 0.0, 0.0]], "categorical", "probabilities")
        loss = position_losses("categorical", s, t, 1.0, True)
    gradient = tape.gradient(loss, student)
    assert np.isfinite(loss).all() and np.isfinite(gradient).all()


def test_temperature_1_is_the_cross_entropy_less_the_entropy_of_the_teacher() -> None:
    student, teacher = logits(6, 5), logits(6, 5, seed=1)
    p = softmax(np.float64(teacher))
    cross_entropy = -(p * np.log(softmax(np.float64(student)))).sum(-1)
    entropy = -(p * np.log(p)).sum(-1)
    ours = position_losses("categorical", student, teacher, 1.0, True)
    np.testing.assert_allclose(ours, cross_entropy - entropy, rtol=1e-5, atol=TOLERANCE)


def test_masks_and_weights() -> None:
    losses = np.abs(logits(4, 7))
    mask = np.arange(7)[None] < np.array([7, 3, 0, 5])[:, None]
    weights = np.array([0.5, 2.0, 1.0, 0.0], "float32")
    by_step = np.abs(logits(4, 7, seed=2))

    def equal(ours: Any, theirs: float) -> None:
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE)

    equal(weighted_mean(losses), losses.mean())
    equal(weighted_mean(losses, mask=mask), losses[mask].sum() / 15)
    equal(weighted_mean(losses, weights), (losses * weights[:, None]).sum() / 28)
    equal(weighted_mean(losses, weights[:, None]), (losses * weights[:, None]).sum() / 28)
    equal(weighted_mean(losses, by_step, mask), (losses * by_step)[mask].sum() / 15)
    equal(weighted_mean(losses[:, 0], weights[:, None]), (losses[:, 0] * weights).sum() / 4)
    assert float(weighted_mean(losses, mask=np.zeros((4, 7), bool))) == 0.0


def test_padding_may_hold_anything() -> None:
    losses = np.array([[1.0, np.nan], [3.0, np.inf]], "float32")
    mask = np.array([[True, False], [True, False]])
    assert float(weighted_mean(losses, mask=mask)) == 2.0


def test_features() -> None:
    student, teacher = logits(3, 4, 5, 6), logits(3, 4, 5, 6, seed=1)
    theirs = np.square(np.float64(student) - teacher).mean(-1)
    np.testing.assert_allclose(feature_losses(student, teacher), theirs, rtol=1e-5)
