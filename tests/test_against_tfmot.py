"""The techniques, and the drop-in names, against TensorFlow Model Optimization called by hand.

Both train the same tf_keras model on the same batches; what they compute has to be equal.
"""

from __future__ import annotations

import importlib
from typing import Any

import keras
import numpy as np
import pytest

from tests.compression.models import fingerprint
from tfgreen import tfmot
from tfgreen.compression.clustering.clustering import Clustering
from tfgreen.compression.clustering.plan import INITS
from tfgreen.compression.pruning.pruning import Pruning
from tfgreen.compression.quantization.quantization import QuantizationAwareTraining
from tfgreen.models.bridge import to_keras2
from tfgreen.models.keras2 import model_optimization, tf_keras

SHAPE, CLASSES, SAMPLES = (6, 6, 4), 3, 64
EPOCHS, BATCH = 4, 16
STEPS = EPOCHS * SAMPLES // BATCH
PROBE = np.random.default_rng(4).normal(size=(8, *SHAPE)).astype("float32")

ORIGINAL = model_optimization()
PRUNING, CENTROIDS = ORIGINAL.sparsity.keras, ORIGINAL.clustering.keras.CentroidInitialization
# Its tutorials import this module, too, where preserve_sparsity and cluster_per_channel are public.
EXPERIMENTAL = importlib.import_module(f"{ORIGINAL.clustering.keras.experimental.__name__}.cluster")
INIT_NAMES = {
    "linear": CENTROIDS.LINEAR,
    "kmeans++": CENTROIDS.KMEANS_PLUS_PLUS,
    "density": CENTROIDS.DENSITY_BASED,
    "random": CENTROIDS.RANDOM,
}


def network(flavour: Any, *, is_normalized: bool = True) -> Any:
    """A convolution, with BatchNormalization or without, and two dense layers, of either Keras.

    The original's clustering leaves BatchNormalization in inference mode in training; tfgreen does
    not, so that models with it come out differently.
    """
    flavour.utils.set_random_seed(11)
    layers = flavour.layers
    model = flavour.Sequential(
        [
            flavour.Input(SHAPE),
            layers.Conv2D(8, 3, name="conv"),
            *([layers.BatchNormalization(name="norm")] if is_normalized else []),
            layers.ReLU(name="relu"),
            layers.Flatten(name="flat"),
            layers.Dense(8, activation="relu", name="hidden"),
            layers.Dense(CLASSES, name="head"),
        ]
    )
    compiled(model, flavour)
    return model


def compiled(model: Any, flavour: Any) -> None:
    loss = flavour.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(flavour.optimizers.SGD(0.05, momentum=0.9), loss)


def trained(model: Any, callbacks: Any = ()) -> Any:
    random = np.random.default_rng(2)
    x = random.normal(size=(SAMPLES, *SHAPE)).astype("float32")
    y = random.integers(0, CLASSES, SAMPLES)
    model.fit(
        x,
        y,
        epochs=EPOCHS,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )
    return model


def copy_of(model: Any) -> Any:
    copy = tf_keras().models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def assert_equal_weights(model: Any, other: Any) -> None:
    """Kernels, biases, and what normalization has learned, by the layers' names, bit for bit."""
    for layer in model.layers:
        theirs = other.get_layer(layer.name).get_weights()
        for mine, their in zip(layer.get_weights(), theirs, strict=True):
            np.testing.assert_array_equal(mine, their, err_msg=layer.name)


def assert_close_kernels(model: Any, other: Any) -> None:
    """What a Keras 3 model and a tf_keras model have learned in the same steps.

    Not the moving variance: tf_keras corrects it for the size of the batch, Keras 3 does not.
    """
    for name in ("conv", "hidden", "head"):
        mine, their = (np.asarray(one.get_layer(name).kernel) for one in (model, other))
        np.testing.assert_allclose(mine, their, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(mine == 0, their == 0, err_msg=name)


def masks(wrapped: Any) -> dict[str, np.ndarray]:
    return {
        layer.name: np.asarray(mask)
        for layer in wrapped.layers
        for _, mask, _ in getattr(layer, "pruning_vars", ())
    }


def assert_equal_masks(wrapped: Any, by_hand: Any) -> None:
    ours, theirs = masks(wrapped), masks(by_hand)
    assert ours.keys() == theirs.keys() != set()
    for name, mask in ours.items():
        assert (mask == 0).any()
        np.testing.assert_array_equal(mask, theirs[name], err_msg=name)


SCHEDULE = {
    "initial_sparsity": 0.2,
    "final_sparsity": 0.8,
    "begin_step": 2,
    "end_step": 12,
    "frequency": 3,
}
# Pruning's options → the arguments of prune_low_magnitude that mean the same in 16 steps.
PRUNING_CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "schedule object": (
        {"schedule": PRUNING.PolynomialDecay(**SCHEDULE)},
        {"pruning_schedule": PRUNING.PolynomialDecay(**SCHEDULE)},
    ),
    # Steps count from 1: the second quarter of 16 begins with step 5, the third ends with 12;
    # every third step from 5 on, the last is 11.
    "polynomial": (
        {"sparsity": 0.75, "begin": 0.25, "end": 0.75, "frequency": 3},
        {"pruning_schedule": PRUNING.PolynomialDecay(0.0, 0.75, 5, 11, 3, 3)},
    ),
    "constant": (
        {"sparsity": 0.5, "schedule": "constant", "end": 1.0, "frequency": 5},
        {"pruning_schedule": PRUNING.ConstantSparsity(0.5, 1, 16, 5)},
    ),
    "2:4": ({"pattern": "2:4"}, {"sparsity_m_by_n": (2, 4)}),
    "blocks": (
        {
            "sparsity": {"Dense": 0.5},
            "schedule": "constant",
            "end": 1.0,
            "frequency": 5,
            "block_size": (2, 2),
            "block_pooling": "maximum",
        },
        {
            "pruning_schedule": PRUNING.ConstantSparsity(0.5, 1, 16, 5),
            "block_size": (2, 2),
            "block_pooling_type": "MAX",
        },
    ),
}


@pytest.mark.parametrize("case", PRUNING_CASES)
def test_pruning(case: str) -> None:
    options, arguments = PRUNING_CASES[case]
    model = network(tf_keras())
    before = fingerprint(model)
    pruning = Pruning(**options)
    wrapped = trained(pruning.prepare(model))

    def wrap(layer: Any) -> Any:
        is_matrix = isinstance(layer, tf_keras().layers.Dense)
        is_asked = is_matrix or (layer.name == "conv" and "block_size" not in arguments)
        return PRUNING.prune_low_magnitude(layer, **arguments) if is_asked else layer

    by_hand = tf_keras().models.clone_model(copy_of(model), clone_function=wrap)
    compiled(by_hand, tf_keras())
    trained(by_hand, [PRUNING.UpdatePruningStep()])
    assert_equal_masks(wrapped, by_hand)
    assert_equal_weights(pruning.finalize(wrapped), PRUNING.strip_pruning(by_hand))
    assert fingerprint(model) == before


# Pruning's options → the schedule by hand. Steps count from 1: of 16, an eighth ends with step 2.
SCHEDULE_CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "polynomial": (
        {"sparsity": 0.9, "initial_sparsity": 0.3, "begin": 0.125, "end": 0.875, "frequency": 2},
        PRUNING.PolynomialDecay(0.3, 0.9, 3, 13, 3, 2),
    ),
    "constant": (
        {"sparsity": 0.7, "schedule": "constant", "begin": 0.25, "end": 1.0, "frequency": 4},
        PRUNING.ConstantSparsity(0.7, 5, 13, 4),
    ),
    "polynomial object": (
        {"schedule": PRUNING.PolynomialDecay(0.1, 0.77, 3, 14, 2.5, 2)},
        PRUNING.PolynomialDecay(0.1, 0.77, 3, 14, 2.5, 2),
    ),
    "constant object": (
        {"schedule": PRUNING.ConstantSparsity(0.35, 4, frequency=3)},
        PRUNING.ConstantSparsity(0.35, 4, frequency=3),
    ),
}


@pytest.mark.parametrize("case", SCHEDULE_CASES)
def test_pruning_schedules_step_by_step(case: str) -> None:
    """At every step, and some after the end: whether masks are updated, and to which sparsity."""
    options, by_hand = SCHEDULE_CASES[case]
    model = network(tf_keras())
    before = fingerprint(model)
    wrapped = trained(Pruning(**options).prepare(model))
    assert fingerprint(model) == before
    schedule = wrapped.get_layer("prune_low_magnitude_head").pruning_obj._parts[0]._pruning_schedule
    updates = 0
    for step in range(1, STEPS + 5):
        (is_due, sparsity), (is_theirs, theirs) = schedule(step), by_hand(step)
        assert bool(is_due) == bool(is_theirs), step
        np.testing.assert_array_equal(sparsity, theirs, err_msg=str(step))
        updates += bool(is_due)
    assert updates > 1


@pytest.mark.parametrize("preserve_sparsity", [False, True])
@pytest.mark.parametrize("init", INITS)
def test_clustering(init: Any, preserve_sparsity: bool) -> None:
    model = network(tf_keras(), is_normalized=False)
    if preserve_sparsity:
        halve(model)
    before = fingerprint(model)
    clustering = Clustering(clusters=6, init=init, preserve_sparsity=preserve_sparsity)
    tf_keras().utils.set_random_seed(3)
    wrapped = clustering.prepare(model)
    clustered = clustering.finalize(trained(wrapped))
    tf_keras().utils.set_random_seed(3)
    by_hand = EXPERIMENTAL.cluster_weights(
        copy_of(model), 6, INIT_NAMES[init], preserve_sparsity=preserve_sparsity
    )
    compiled(by_hand, tf_keras())
    stripped = ORIGINAL.clustering.keras.strip_clustering(trained(by_hand))
    assert_equal_weights(clustered, stripped)
    for name in ("conv", "hidden", "head"):
        assert np.unique(clustered.get_layer(name).kernel).size <= 6
    assert fingerprint(model) == before


def halve(model: Any) -> None:
    """Set the smaller half of each kernel to zero."""
    for name in ("conv", "hidden", "head"):
        kernel = model.get_layer(name).kernel
        values = np.asarray(kernel)
        kernel.assign(np.where(np.abs(values) < np.median(np.abs(values)), 0, values))


def test_drop_in_pruning_of_a_keras_3_model() -> None:
    """The Keras 3 wrapper's masks are those of the original on the model's tf_keras twin."""
    model = network(keras)
    before = fingerprint(model)
    schedule = PRUNING.PolynomialDecay(**SCHEDULE)
    wrapped = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
    compiled(wrapped, keras)
    trained(wrapped, [tfmot.sparsity.keras.UpdatePruningStep()])
    by_hand = PRUNING.prune_low_magnitude(copy_of(to_keras2(model)), pruning_schedule=schedule)
    compiled(by_hand, tf_keras())
    trained(by_hand, [PRUNING.UpdatePruningStep()])
    assert_equal_masks(wrapped, by_hand)
    ours = tfmot.sparsity.keras.strip_pruning(wrapped)
    assert_close_kernels(ours, PRUNING.strip_pruning(by_hand))
    assert fingerprint(model) == before


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("preserve_sparsity", [False, True])
def test_drop_in_clustering_of_a_keras_3_model(preserve_sparsity: bool, per_channel: bool) -> None:
    model = network(keras, is_normalized=False)
    halve(model)
    before = fingerprint(model)
    settings = {
        "number_of_clusters": 6,
        "cluster_centroids_init": CENTROIDS.LINEAR,
        "preserve_sparsity": preserve_sparsity,
        "cluster_per_channel": per_channel,
    }
    wrapped = tfmot.clustering.keras.cluster_weights(model, **settings)
    compiled(wrapped, keras)
    clustered = tfmot.clustering.keras.strip_clustering(trained(wrapped))
    by_hand = EXPERIMENTAL.cluster_weights(copy_of(to_keras2(model)), **settings)
    compiled(by_hand, tf_keras())
    stripped = ORIGINAL.clustering.keras.strip_clustering(trained(by_hand))
    assert_close_kernels(clustered, stripped)
    channels = np.asarray(clustered.get_layer("conv").kernel).reshape(-1, 8).T
    assert all(np.unique(channel).size <= 6 for channel in channels)
    assert fingerprint(model) == before


def convolutions() -> Any:
    """The kernels and activations that the original rounds as tfgreen does.

    It leaves the kernel of a convolution with a ReLU layer of its own behind it, and no
    BatchNormalization between them, unrounded; and it gives a depthwise kernel one step only.
    """
    tf_keras().utils.set_random_seed(11)
    layers = tf_keras().layers
    model = tf_keras().Sequential(
        [
            tf_keras().Input(SHAPE),
            layers.Conv2D(8, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Conv2D(4, 3, activation="relu", name="activated"),
            layers.Conv2D(CLASSES, 1, name="pointwise"),
            layers.GlobalAveragePooling2D(name="pool"),
        ]
    )
    compiled(model, tf_keras())
    return model


def matrices() -> Any:
    """Dense layers, whose kernels have one step each in the original."""
    tf_keras().utils.set_random_seed(11)
    layers = tf_keras().layers
    model = tf_keras().Sequential(
        [
            tf_keras().Input(SHAPE),
            layers.Flatten(name="flat"),
            layers.Dense(8, activation="relu", name="hidden"),
            layers.Dense(CLASSES, name="head"),
        ]
    )
    compiled(model, tf_keras())
    return model


@pytest.mark.parametrize(
    ("make", "options"), [(convolutions, {}), (matrices, {"weight_steps": "layer"})]
)
def test_quantization_aware_training(make: Any, options: dict[str, Any]) -> None:
    """Fake-quantized outputs, before training and after it, with ranges from [-6, 6] on."""
    model = make()
    before = fingerprint(model)
    training = QuantizationAwareTraining(calibrate=False, freeze_batch_norm_after=None, **options)
    ours = training.prepare(model)
    by_hand = ORIGINAL.quantization.keras.quantize_model(copy_of(model))
    compiled(by_hand, tf_keras())
    np.testing.assert_array_equal(ours(PROBE), by_hand(PROBE))
    np.testing.assert_array_equal(trained(ours)(PROBE), trained(by_hand)(PROBE))
    assert fingerprint(model) == before


def annotated(flavour: Any, module: Any) -> Any:
    """The network with its dense layers marked for quantization."""

    def marked(layer: Any) -> Any:
        is_dense = isinstance(layer, flavour.layers.Dense)
        return module.quantize_annotate_layer(layer) if is_dense else layer

    return flavour.models.clone_model(network(flavour), clone_function=marked)


@pytest.mark.parametrize("marks", ["all", "dense"])
def test_drop_in_quantization_of_a_tf_keras_model(marks: str) -> None:
    """The fake-quantized outputs, untrained and trained, are the original's."""
    original = ORIGINAL.quantization.keras
    if marks == "all":
        model = network(tf_keras())
        before = fingerprint(model)
        ours = tfmot.quantization.keras.quantize_model(model)
        theirs = original.quantize_model(copy_of(model))
        assert_equal_after_training(ours, theirs, tf_keras())
        assert fingerprint(model) == before
    else:
        ours = tfmot.quantization.keras.quantize_apply(
            annotated(tf_keras(), tfmot.quantization.keras)
        )
        theirs = original.quantize_apply(annotated(tf_keras(), original))
        assert_equal_after_training(ours, theirs, tf_keras())


def test_drop_in_quantization_of_a_keras_3_model() -> None:
    model = network(keras)
    before = fingerprint(model)
    ours = tfmot.quantization.keras.quantize_model(model)
    theirs = ORIGINAL.quantization.keras.quantize_model(copy_of(to_keras2(model)))
    assert_equal_after_training(ours, theirs, keras)
    assert fingerprint(model) == before


def assert_equal_after_training(ours: Any, theirs: Any, flavour: Any) -> None:
    np.testing.assert_array_equal(ours(PROBE), theirs(PROBE))
    compiled(ours, flavour)
    compiled(theirs, tf_keras())
    np.testing.assert_array_equal(trained(ours)(PROBE), trained(theirs)(PROBE))
    for mine, their in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, their)
