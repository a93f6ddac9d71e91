"""Attacks against the Adversarial Robustness Toolbox, and against the gradient by hand."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.attacks import Attackable, Reach, fgsm, open_attackable, pgd
from tfgreen.models.identification import identify
from tfgreen.models.serving import serve_model

RANDOM = np.random.default_rng(2)
X = RANDOM.uniform(0, 1, (70, 6, 5, 1)).astype(np.float32)
LABELS = RANDOM.integers(0, 4, 70)
REACH = Reach(0.03, 0.0, 1.0)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small convolutional classifier, and one that is a matrix product alone."""
    import keras

    folder = tmp_path_factory.mktemp("networks")
    keras.utils.set_random_seed(3)
    layers: list[Any] = [
        keras.Input((6, 5, 1), name="picture"),
        keras.layers.Conv2D(6, 3, activation="tanh"),
        keras.layers.Flatten(),
        keras.layers.Dense(4, activation="softmax", name="class"),
    ]
    keras.Sequential(layers).save(folder / "net.keras")
    linear: list[Any] = [layers[0], keras.layers.Flatten(), keras.layers.Dense(4, "softmax")]
    model = keras.Sequential(linear)
    model.set_weights([RANDOM.normal(0, 4, (30, 4)), RANDOM.normal(size=4)])
    model.save(folder / "linear.keras")
    serve_model(model, 1).save(folder / "linear")
    return folder


@pytest.fixture(scope="module")
def net(network: Path) -> Attackable:
    return open_attackable(identify(network / "net.keras"), "class", 0)


@pytest.fixture
def toolbox(network: Path) -> Iterator[Any]:
    """ART's classifier of the same network; its imports and Keras' own warn of what is old."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed")
        import keras
        from art.estimators.classification import TensorFlowV2Classifier

        model = keras.models.load_model(network / "net.keras")
        yield TensorFlowV2Classifier(
            model=model,
            nb_classes=4,
            input_shape=(6, 5, 1),
            loss_object=keras.losses.SparseCategoricalCrossentropy(),
            clip_values=(0.0, 1.0),
        )


def attacked(model: Attackable, x: np.ndarray = X, **choices: Any) -> np.ndarray:
    method = pgd if choices else fgsm
    return method(model, {model.inputs[0]: x}, LABELS, {model.inputs[0]: REACH}, **choices)[
        model.inputs[0]
    ]


def test_fgsm_is_the_toolboxs(net: Attackable, toolbox: Any) -> None:
    from art.attacks.evasion import FastGradientMethod

    expected = FastGradientMethod(toolbox, eps=REACH.epsilon).generate(X, LABELS)
    assert attacked(net) == pytest.approx(expected, abs=1e-6)


def test_pgd_is_the_toolboxs(net: Attackable, toolbox: Any) -> None:
    from art.attacks.evasion import ProjectedGradientDescentNumpy

    attack = ProjectedGradientDescentNumpy(
        toolbox,
        eps=REACH.epsilon,
        eps_step=0.25 * REACH.epsilon,
        max_iter=10,
        num_random_init=0,
        verbose=False,
    )
    expected = attack.generate(X, LABELS)
    found = attacked(net, steps=10, step_share=0.25)
    assert found == pytest.approx(expected, abs=1e-6)
    assert np.abs(found - X).max() <= REACH.epsilon + 1e-6
    assert found.min() >= 0.0
    assert found.max() <= 1.0


def by_hand(weights: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    """d cross-entropy / dx of softmax(x W + b): (p - onehot(y)) W'."""
    scores = x.reshape(len(x), -1).astype(np.float64) @ weights + bias
    scores -= scores.max(axis=1, keepdims=True)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    shares[np.arange(len(x)), LABELS] -= 1
    return np.asarray((shares @ weights.T).reshape(x.shape))


@pytest.mark.parametrize("name", ["linear.keras", "linear"])
def test_the_gradient_of_a_matrix_product(network: Path, name: str) -> None:
    """Of a Keras file, and of a SavedModel with a batch of one."""
    import keras

    model = keras.models.load_model(network / "linear.keras")
    gradient = by_hand(*(weights.astype(np.float64) for weights in model.get_weights()), X)
    expected = np.clip(X + np.float32(REACH.epsilon) * np.sign(gradient), 0, 1)
    found = attacked(open_attackable(identify(network / name), "class", 0))
    clear = np.abs(gradient) > 1e-5  # a sign is undecided where rounding is as large
    assert clear.mean() > 0.9
    assert found[clear] == pytest.approx(expected[clear], abs=1e-6)


def test_a_model_that_is_sure_can_be_attacked(network: Path) -> None:
    """After the softmax its gradient would be 0; the loss is taken from before it."""
    import keras

    model = keras.models.load_model(network / "linear.keras")
    model.set_weights([500 * weights for weights in model.get_weights()])
    model.save(network / "sure.keras")
    attackable = open_attackable(identify(network / "sure.keras"), "class", 0)
    assert attackable.loss == "cross-entropy, from before the softmax"
    right = model.predict(X, verbose=0).argmax(-1)
    name = attackable.inputs[0]
    found = fgsm(attackable, {name: X}, right, {name: REACH})[name]
    assert (found != X).mean() > 0.9


def test_the_loss_grows_and_the_samples_stay(net: Attackable) -> None:
    kept = X.copy()
    one_step, many = attacked(net), attacked(net, steps=10, step_share=0.25)
    assert np.array_equal(X, kept)
    assert np.array_equal(one_step, attacked(net))
    assert np.abs(one_step - X).max() == pytest.approx(REACH.epsilon, abs=1e-6)
    assert one_step.shape == many.shape == X.shape


def test_a_single_logistic_output_is_attacked(tmp_path: Path) -> None:
    import keras

    layers = [keras.Input((30,)), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers)
    model.save(tmp_path / "binary.keras")
    attackable = open_attackable(identify(tmp_path / "binary.keras"), "?", 0)
    assert attackable.loss == "binary cross-entropy, from before the logistic function"
    x, labels = X.reshape(70, 30), LABELS % 2
    name = attackable.inputs[0]
    found = fgsm(attackable, {name: x}, labels, {name: Reach(0.1, -1.0, 2.0)})[name]
    towards = np.where(labels == 1, -1.0, 1.0)[:, None] * np.sign(model.get_weights()[0][:, 0])
    assert found == pytest.approx(x + 0.1 * towards, abs=1e-6)


def test_a_single_score_without_a_logistic_function_is_attacked(tmp_path: Path) -> None:
    """Class 1 is above a threshold: its score goes down, that of class 0 up."""
    import keras

    weights = np.array([[2.0], [-1.0], [0.5]], np.float32)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.set_weights([weights, np.zeros(1, np.float32)])
    model.save(tmp_path / "score.keras")
    attackable = open_attackable(identify(tmp_path / "score.keras"), "", 0)
    x = np.zeros((2, 3), np.float32)
    (name,) = attackable.inputs
    found = fgsm(attackable, {name: x}, np.array([1, 0]), {name: Reach(0.25, -1.0, 1.0)})[name]
    assert found == pytest.approx(0.25 * np.sign(weights.T) * [[-1], [1]])
    assert attackable.loss == "the single score"


def test_several_logistic_outputs_are_attacked_from_before_them(tmp_path: Path) -> None:
    """They are 1 to the last bit here, and their gradient 0."""
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "sigmoid")])
    model.set_weights([np.array([[9, 0], [0, 9], [0, 0]], np.float32), np.full(2, 90, np.float32)])
    model.save(tmp_path / "sure.keras")
    attackable = open_attackable(identify(tmp_path / "sure.keras"), "", 0)
    x, (name,) = np.zeros((1, 3), np.float32), attackable.inputs
    found = fgsm(attackable, {name: x}, np.array([0]), {name: Reach(0.25, -1.0, 1.0)})[name]
    assert found == pytest.approx(np.array([[-0.25, 0.25, 0.0]]))
    assert attackable.loss == "cross-entropy, from before the logistic function"


def test_a_tflite_has_no_gradient(tmp_path: Path) -> None:
    from tests.tiny_models import float_classifier

    path = tmp_path / "net.tflite"
    path.write_bytes(float_classifier())
    with pytest.raises(UnsupportedModelError, match="attacks need the Keras model"):
        open_attackable(identify(path), "scores", 0)
