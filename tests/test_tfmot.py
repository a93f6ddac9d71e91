"""Shortened tutorials of TensorFlow Model Optimization on Keras 3, with another import."""

from __future__ import annotations

import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgreen as tg
from tests.compression.models import fingerprint
from tfgreen import tfmot
from tfgreen.models.keras2 import is_model

SAMPLES, CLASSES = 96, 4


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images of 12 x 12 whose brightest quarter is their class."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, SAMPLES)
    images = random.uniform(0, 0.5, (SAMPLES, 12, 12)).astype("float32")
    for image, label in zip(images, labels, strict=True):
        image[label // 2 * 6 :, label % 2 * 6 :][:6, :6] += 0.5
    return images, labels


def compile_for_digits(model: Any) -> None:
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )


@pytest.fixture(scope="module")
def trained_weights(digits: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    model = tutorial_model()
    compile_for_digits(model)
    model.fit(*digits, epochs=6, verbose=0)
    assert model.evaluate(*digits, verbose=0)[1] > 0.8
    return list(model.get_weights())


def tutorial_model() -> Any:
    """The network of the tutorials, smaller."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.layers.InputLayer(shape=(12, 12)),
            keras.layers.Reshape(target_shape=(12, 12, 1)),
            keras.layers.Conv2D(filters=6, kernel_size=(3, 3), activation="relu"),
            keras.layers.MaxPooling2D(pool_size=(2, 2)),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES),
        ]
    )


@pytest.fixture
def model(trained_weights: list[np.ndarray]) -> Any:
    made = tutorial_model()
    made.set_weights(trained_weights)
    compile_for_digits(made)
    return made


def every_step() -> Any:
    """Half of the weights; the default updates its masks every 100 steps only."""
    return tfmot.sparsity.keras.ConstantSparsity(0.5, begin_step=0, frequency=1)


def kernels_of(model: Any) -> list[np.ndarray]:
    return [np.asarray(x.kernel) for x in model.layers if hasattr(x, "kernel")]


def gzipped_size(path: str) -> int:
    zipped = f"{path}.zip"
    with zipfile.ZipFile(zipped, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        archive.write(path)
    return Path(zipped).stat().st_size


def test_pruning_in_keras_example(
    model: Any, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    train_images, train_labels = digits
    before = fingerprint(model)

    prune_low_magnitude = tfmot.sparsity.keras.prune_low_magnitude
    batch_size = 16
    epochs = 4
    end_step = np.ceil(len(train_images) / batch_size).astype(np.int32) * epochs
    pruning_params = {
        "pruning_schedule": tfmot.sparsity.keras.PolynomialDecay(
            initial_sparsity=0.50,
            final_sparsity=0.80,
            begin_step=0,
            end_step=end_step,
            frequency=2,
        )
    }
    model_for_pruning = prune_low_magnitude(model, **pruning_params)
    model_for_pruning.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model_for_pruning.summary(print_fn=lambda line: None)
    callbacks = [
        tfmot.sparsity.keras.UpdatePruningStep(),
        tfmot.sparsity.keras.PruningSummaries(log_dir=str(tmp_path)),
    ]
    model_for_pruning.fit(
        train_images,
        train_labels,
        batch_size=batch_size,
        epochs=epochs,
        validation_split=0.1,
        callbacks=callbacks,
        verbose=0,
    )
    _, accuracy = model_for_pruning.evaluate(train_images, train_labels, verbose=0)
    model_for_export = tfmot.sparsity.keras.strip_pruning(model_for_pruning)
    pruned_file, plain_file = str(tmp_path / "pruned.keras"), str(tmp_path / "plain.keras")
    keras.models.save_model(model_for_export, pruned_file, include_optimizer=False)
    keras.models.save_model(model, plain_file, include_optimizer=False)

    assert isinstance(model_for_export, keras.Sequential)
    assert accuracy > 0.7
    for kernel in kernels_of(model_for_export):
        assert np.mean(kernel == 0) == pytest.approx(0.8, abs=0.5 / kernel.size)
    assert gzipped_size(pruned_file) < gzipped_size(plain_file)
    np.testing.assert_array_equal(
        keras.models.load_model(pruned_file)(train_images), model_for_pruning(train_images)
    )
    assert list((tmp_path / "metrics").iterdir())
    assert fingerprint(model) == before


def test_pruning_comprehensive_guide_some_layers(
    model: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    before = fingerprint(model)

    def apply_pruning_to_dense(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Dense):
            return tfmot.sparsity.keras.prune_low_magnitude(layer, every_step())
        return layer

    model_for_pruning = keras.models.clone_model(model, clone_function=apply_pruning_to_dense)
    compile_for_digits(model_for_pruning)
    dense = np.asarray(model.layers[-1].kernel)
    model_for_pruning.fit(*digits, epochs=1, verbose=0)
    convolution, pruned = kernels_of(tfmot.sparsity.keras.strip_pruning(model_for_pruning))
    assert convolution.all()
    assert np.mean(pruned == 0) == 0.5
    # The wrapped layer is a copy; the others are shared, as clone_function asks for.
    np.testing.assert_array_equal(model.layers[-1].kernel, dense)
    assert fingerprint(model)[1:4] == before[1:4]


@pytest.mark.parametrize("is_functional", [False, True])
def test_pruning_comprehensive_guide_readable_models(is_functional: bool) -> None:
    x, y = np.ones((8, 20), "float32"), np.zeros((8, 10), "float32")
    prune = tfmot.sparsity.keras.prune_low_magnitude
    if is_functional:
        i = keras.Input(shape=(20,))
        hidden = prune(keras.layers.Dense(10), every_step())(i)
        o = keras.layers.Flatten()(hidden)
        model_for_pruning = keras.Model(inputs=i, outputs=o)
    else:
        model_for_pruning = keras.Sequential(
            [
                keras.Input(shape=(20,)),
                prune(keras.layers.Dense(10), every_step()),
                keras.layers.Flatten(),
            ]
        )
    model_for_pruning.compile(loss="mse", optimizer="sgd")
    model_for_pruning.fit(
        x, y, epochs=2, verbose=0, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()]
    )
    (kernel,) = kernels_of(tfmot.sparsity.keras.strip_pruning(model_for_pruning))
    assert np.mean(kernel == 0) == 0.5


def test_pruning_comprehensive_guide_layer_of_your_own() -> None:
    class MyDenseLayer(keras.layers.Dense, tfmot.sparsity.keras.PrunableLayer):  # type: ignore[misc,name-defined]
        def get_prunable_weights(self) -> list[Any]:
            # Prune bias also, though that usually harms model accuracy too much.
            return [self.kernel, self.bias]

    model_for_pruning = keras.Sequential(
        [
            keras.Input(shape=(20,)),
            tfmot.sparsity.keras.prune_low_magnitude(
                MyDenseLayer(10, bias_initializer="random_normal"), every_step()
            ),
        ]
    )
    model_for_pruning.compile(loss="mse", optimizer="sgd")
    model_for_pruning.fit(np.ones((8, 20)), np.zeros((8, 10)), epochs=1, verbose=0)
    layer = tfmot.sparsity.keras.strip_pruning(model_for_pruning).layers[0]
    assert np.count_nonzero(layer.kernel) == 100
    assert np.count_nonzero(layer.bias) == 5


def test_pruning_comprehensive_guide_own_training_loop(
    model: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    x, y = digits
    model_for_pruning = tfmot.sparsity.keras.prune_low_magnitude(model, every_step())
    unused_arg = -1
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam()
    model_for_pruning.optimizer = optimizer
    step_callback = tfmot.sparsity.keras.UpdatePruningStep()
    step_callback.set_model(model_for_pruning)
    log_callback = tfmot.sparsity.keras.PruningSummaries(log_dir=tempfile.mkdtemp())
    log_callback.set_model(model_for_pruning)

    step_callback.on_train_begin()
    for _ in range(2):
        log_callback.on_epoch_begin(epoch=unused_arg)
        for _ in range(2):
            step_callback.on_train_batch_begin(batch=unused_arg)
            with tf.GradientTape() as tape:
                logits = model_for_pruning(x, training=True)
                loss_value = loss(y, logits)
            variables = model_for_pruning.trainable_variables
            grads = tape.gradient(loss_value, variables)
            optimizer.apply_gradients(zip(grads, variables, strict=True))
        step_callback.on_epoch_end(batch=unused_arg)

    for kernel in kernels_of(tfmot.sparsity.keras.strip_pruning(model_for_pruning)):
        assert np.mean(kernel == 0) == 0.5


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_pruning_comprehensive_guide_checkpoint(
    model: Any, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path, suffix: str
) -> None:
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.2, 0.6, 0, 8, frequency=1)
    model_for_pruning = tfmot.sparsity.keras.prune_low_magnitude(model, schedule)
    compile_for_digits(model_for_pruning)
    model_for_pruning.fit(*digits, epochs=1, batch_size=32, verbose=0)
    path = str(tmp_path / f"model.{suffix}")
    model_for_pruning.save(path, include_optimizer=False)
    with tfmot.sparsity.keras.prune_scope():
        loaded_model = keras.models.load_model(path, compile=False)
    np.testing.assert_array_equal(loaded_model(digits[0]), model_for_pruning(digits[0]))
    compile_for_digits(loaded_model)
    # Three steps are behind it; with the next six it has passed the end of the schedule.
    loaded_model.fit(*digits, epochs=2, batch_size=32, verbose=0)
    for kernel in kernels_of(tfmot.sparsity.keras.strip_pruning(loaded_model)):
        assert np.mean(kernel == 0) == pytest.approx(0.6, abs=0.5 / kernel.size)


def test_quantization_aware_training_example(
    model: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    train_images, train_labels = digits
    before = fingerprint(model)

    quantize_model = tfmot.quantization.keras.quantize_model
    q_aware_model = quantize_model(model)
    q_aware_model.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    q_aware_model.fit(
        train_images,
        train_labels,
        batch_size=32,
        epochs=2,
        validation_split=0.1,
        verbose=0,
        callbacks=[keras.callbacks.EarlyStopping("loss")],
    )
    _, accuracy = q_aware_model.evaluate(train_images, train_labels, verbose=0)
    converter = tf.lite.TFLiteConverter.from_keras_model(q_aware_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with pytest.warns(UserWarning, match="Statistics for quantized inputs"):
        quantized_tflite_model = converter.convert()

    assert is_model(q_aware_model)
    assert accuracy > 0.7
    assert b"TFL3" in quantized_tflite_model[:8]
    assert fingerprint(model) == before


class FourBitDense(tfmot.quantization.keras.QuantizeConfig):  # type: ignore[misc,name-defined]
    """The guide's modified DefaultDenseQuantizeConfig: 4 bits for the weights."""

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        quantizer = tfmot.quantization.keras.quantizers.LastValueQuantizer(
            num_bits=4, symmetric=True, narrow_range=False, per_axis=False
        )
        return [(layer.kernel, quantizer)]

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
        quantizer = tfmot.quantization.keras.quantizers.MovingAverageQuantizer(
            num_bits=8, symmetric=False, narrow_range=False, per_axis=False
        )
        return [(layer.activation, quantizer)]

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        layer.kernel = quantize_weights[0]

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        layer.activation = quantize_activations[0]

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        return []

    def get_config(self) -> dict[str, Any]:
        return {}


def test_quantization_comprehensive_guide_annotated_layers() -> None:
    quantize_annotate_layer = tfmot.quantization.keras.quantize_annotate_layer
    quantize_annotate_model = tfmot.quantization.keras.quantize_annotate_model
    quantize_scope = tfmot.quantization.keras.quantize_scope
    keras.utils.set_random_seed(0)

    annotated_model = quantize_annotate_model(
        keras.Sequential(
            [
                keras.Input(shape=(20,)),
                quantize_annotate_layer(keras.layers.Dense(20), FourBitDense()),
                keras.layers.Flatten(),
            ]
        )
    )
    with quantize_scope({"FourBitDense": FourBitDense}):
        quant_aware_model = tfmot.quantization.keras.quantize_apply(annotated_model)
    quant_aware_model.compile(loss="mse", optimizer=keras.optimizers.SGD(0.001))
    x = np.random.default_rng(0).normal(size=(64, 20)).astype("float32")
    quant_aware_model.fit(x, x, epochs=1, verbose=0)

    quant_aware_model(x)
    (dense,) = (layer for layer in quant_aware_model.layers if "dense" in layer.name)
    assert np.unique(np.asarray(dense.layer.kernel)).size <= 16


def test_quantization_comprehensive_guide_some_layers(
    model: Any, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    before = fingerprint(model)

    def apply_quantization_to_dense(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Dense):
            return tfmot.quantization.keras.quantize_annotate_layer(layer)
        return layer

    annotated_model = keras.models.clone_model(model, clone_function=apply_quantization_to_dense)
    quant_aware_model = tfmot.quantization.keras.quantize_apply(annotated_model)
    names = [layer.name for layer in quant_aware_model.layers]
    # What feeds a quantized layer is quantized too.
    kinds = [re.sub(r"_\d+$", "", name) for name in names]
    assert kinds == [
        "input_layer", "reshape", "conv2d", "max_pooling2d", "quant_flatten", "quant_dense"
    ]  # fmt: skip
    same = np.argmax(quant_aware_model(digits[0]), 1) == np.argmax(model(digits[0]), 1)
    assert same.mean() > 0.9
    with pytest.warns(UserWarning, match="HDF5"):
        quant_aware_model.save(str(tmp_path / "model.h5"))
    loaded_model = tg.load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded_model(digits[0]), quant_aware_model(digits[0]))
    assert fingerprint(model)[:4] == before[:4]


def test_weight_clustering_example(
    model: Any, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    before = fingerprint(model)

    cluster_weights = tfmot.clustering.keras.cluster_weights
    clustering_params = {
        "number_of_clusters": 8,
        "cluster_centroids_init": tfmot.clustering.keras.CentroidInitialization.LINEAR,
    }
    clustered_model = cluster_weights(model, **clustering_params)
    opt = keras.optimizers.Adam(learning_rate=1e-3)
    clustered_model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=opt,
        metrics=["accuracy"],
    )
    clustered_model.fit(*digits, batch_size=32, epochs=2, validation_split=0.1, verbose=0)
    _, accuracy = clustered_model.evaluate(*digits, verbose=0)
    final_model = tfmot.clustering.keras.strip_clustering(clustered_model)
    keras.models.save_model(final_model, str(tmp_path / "c.keras"), include_optimizer=False)

    assert isinstance(final_model, keras.Sequential)
    assert accuracy > 0.7
    assert all(np.unique(kernel).size <= 8 for kernel in kernels_of(final_model))
    np.testing.assert_array_equal(final_model(digits[0]), clustered_model(digits[0]))
    assert fingerprint(model) == before


def test_clustering_comprehensive_guide_some_layers_and_checkpoint(
    model: Any, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    params = {
        "number_of_clusters": 3,
        "cluster_centroids_init": tfmot.clustering.keras.CentroidInitialization.DENSITY_BASED,
    }

    def apply_clustering_to_dense(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Dense):
            return tfmot.clustering.keras.cluster_weights(layer, **params)
        return layer

    clustered_model = keras.models.clone_model(model, clone_function=apply_clustering_to_dense)
    clustered_model.save(tmp_path / "clustered.keras")
    with tfmot.clustering.keras.cluster_scope():
        loaded_model = keras.models.load_model(tmp_path / "clustered.keras")
    np.testing.assert_array_equal(loaded_model(digits[0]), clustered_model(digits[0]))
    convolution, dense = kernels_of(tfmot.clustering.keras.strip_clustering(loaded_model))
    assert np.unique(convolution).size == convolution.size
    assert np.unique(dense).size <= 3


def kernels_in(model: Any) -> dict[str, np.ndarray]:
    """As the tutorials look at their models: with wrappers, without centroids and ranges."""
    return {
        weight.name: np.asarray(weight)
        for layer in model.layers
        for weight in layer.trainable_weights
        if "kernel" in weight.name and not re.search("centroid|cluster|quantize", weight.name)
    }


def fine_tuned(model: Any, digits: tuple[np.ndarray, np.ndarray]) -> Any:
    compile_for_digits(model)
    model.fit(*digits, epochs=1, verbose=0)
    return model


def pruned_by_half(model: Any, digits: tuple[np.ndarray, np.ndarray]) -> Any:
    pruned = tfmot.sparsity.keras.prune_low_magnitude(model, every_step())
    return tfmot.sparsity.keras.strip_pruning(fine_tuned(pruned, digits))


def test_sparsity_preserving_quantization_example(
    model: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    """PQAT: pruning, and quantization that keeps the zeros."""
    before = fingerprint(model)
    stripped_pruned_model = pruned_by_half(model, digits)
    quant_aware_annotate_model = tfmot.quantization.keras.quantize_annotate_model(
        stripped_pruned_model
    )
    pqat_model = tfmot.quantization.keras.quantize_apply(
        quant_aware_annotate_model,
        tfmot.experimental.combine.Default8BitPrunePreserveQuantizeScheme(),
    )
    fine_tuned(pqat_model, digits)
    found = kernels_in(pqat_model)
    assert len(found) == 2
    assert all(np.mean(kernel == 0) >= 0.5 for kernel in found.values())
    assert fingerprint(model) == before


def test_cluster_preserving_quantization_example(
    model: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    """CQAT: clustering, and quantization that keeps the clusters."""
    before = fingerprint(model)
    clustered_model = tfmot.clustering.keras.cluster_weights(
        model,
        number_of_clusters=8,
        cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
        cluster_per_channel=True,
    )
    stripped = tfmot.clustering.keras.strip_clustering(fine_tuned(clustered_model, digits))
    quant_aware_annotate_model = tfmot.quantization.keras.quantize_annotate_model(stripped)
    cqat_model = tfmot.quantization.keras.quantize_apply(
        quant_aware_annotate_model,
        tfmot.experimental.combine.Default8BitClusterPreserveQuantizeScheme(),
    )
    fine_tuned(cqat_model, digits)
    convolution, dense = kernels_in(cqat_model).values()
    assert all(np.unique(channel).size <= 8 for channel in convolution.reshape(-1, 6).T)
    assert np.unique(dense).size <= 8
    assert fingerprint(model) == before


def test_sparsity_and_cluster_preserving_quantization_example(
    model: Any, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    """PCQAT: pruning, sparsity-preserving clustering, and quantization that keeps both."""
    before = fingerprint(model)
    stripped_pruned_model = pruned_by_half(model, digits)
    # The tutorial's cluster module is `tfmot.clustering.keras.experimental.cluster` here.
    cluster_weights = tfmot.clustering.keras.experimental.cluster.cluster_weights
    sparsity_clustered_model = cluster_weights(
        stripped_pruned_model, number_of_clusters=8, preserve_sparsity=True
    )
    fine_tuned(sparsity_clustered_model, digits)
    stripped_clustered_model = tfmot.clustering.keras.strip_clustering(sparsity_clustered_model)
    for kernel in kernels_of(stripped_clustered_model):
        assert np.mean(kernel == 0) >= 0.5
        assert np.unique(kernel).size <= 8

    quant_aware_annotate_model = tfmot.quantization.keras.quantize_annotate_model(
        stripped_clustered_model
    )
    pcqat_model = tfmot.quantization.keras.quantize_apply(
        quant_aware_annotate_model,
        tfmot.experimental.combine.Default8BitClusterPreserveQuantizeScheme(preserve_sparsity=True),
    )
    fine_tuned(pcqat_model, digits)
    found = kernels_in(pcqat_model)
    assert len(found) == 2
    for kernel in found.values():
        assert np.mean(kernel == 0) >= 0.5
        assert np.unique(kernel).size <= 8
    assert fingerprint(model) == before
