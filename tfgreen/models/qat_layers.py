"""Layers and quantizers of quantization-aware training that TF-MOT does not have.

All arithmetic of the rounding is TensorFlow Model Optimization's. What is added: one step for each
output channel whatever the kernel's layout, fixed ranges, masks of sequences that pass through,
and the pieces of an attention layer. The classes are registered with tf_keras, so that a saved
model is read back wherever this module has been imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import tensorflow as tf

from tfgreen.models.keras2 import model_optimization, tf_keras
from tfgreen.models.known_classes import ACTIVATIONS

_keras: Any = tf_keras()
_quantization: Any = model_optimization().quantization.keras
_quantizers: Any = _quantization.quantizers
_registered: Any = _keras.saving.register_keras_serializable(package="tfgreen")

Layout = Literal["last", "depthwise", "transposed"]
"""Where a kernel has its output channels: the last axis; the last two; the last but one."""

_CONVERTED_BITS = (4, 8)


@_registered
class ChannelWeightsQuantizer(_quantizers.LastValueQuantizer):
    """Rounds a kernel of any rank with one symmetric step for each output channel.

    num_bits: 4 to 8. The converter knows 4 and 8; the steps of 5, 6 and 7 bits are a few of 8's.
    keep_zeros: weights that are zero when training begins stay zero.
    is_tied: all channels have the same step. A BatchNormalization behind the layer can be folded
        into it all the same, which the converter does not do where a kernel has one range.
    """

    def __init__(
        self, num_bits: int, layout: Layout, keep_zeros: bool = False, is_tied: bool = False
    ) -> None:
        super().__init__(num_bits, per_axis=True, symmetric=True, narrow_range=True)
        self.layout, self.keep_zeros, self.is_tied = layout, keep_zeros, is_tied

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """One minimum and one maximum for each channel."""
        weights: dict[str, Any] = super().build(
            (_channels(self.layout, tensor_shape),), name, layer
        )
        if self.keep_zeros:
            kernel = getattr(layer.layer, name)
            weights["sparsity_mask"] = tf.cast(tf.not_equal(kernel, 0.0), kernel.dtype)
        return weights

    def kept(self, kernel: Any, weights: Mapping[str, Any]) -> Any:
        """The kernel before it is rounded: with the zeros that it keeps."""
        return kernel * weights["sparsity_mask"] if self.keep_zeros else kernel

    def __call__(
        self, inputs: Any, training: bool, weights: Mapping[str, Any], **kwargs: Any
    ) -> Any:
        """The rounded kernel, in its own shape."""
        inputs = self.kept(inputs, weights)
        if self.layout == "transposed":
            inputs = tf.transpose(inputs, _swapped(len(inputs.shape)))
        flat = tf.reshape(inputs, _with_channels_last(self.layout, inputs.shape))
        if self.is_tied or self.num_bits not in _CONVERTED_BITS:
            rounded = self._rounded(flat, training, weights)
        else:
            rounded = super().__call__(flat, training, weights, **kwargs)
        rounded = tf.reshape(rounded, inputs.shape)
        if self.layout == "transposed":
            rounded = tf.transpose(rounded, _swapped(len(inputs.shape)))
        return rounded

    def _rounded(self, flat: Any, training: bool, weights: Mapping[str, Any]) -> Any:
        low, high = weights["min_var"], weights["max_var"]
        bits = self.num_bits if self.num_bits in _CONVERTED_BITS else 8
        if training:
            axes = None if self.is_tied else list(range(len(flat.shape) - 1))
            largest = tf.reduce_max(tf.abs(flat), axes) * (_most(bits) / _most(self.num_bits))
            largest = tf.broadcast_to(largest, high.shape)
            low, high = low.assign(-largest), high.assign(largest)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(
            flat, low, high, num_bits=bits, narrow_range=True
        )

    def get_config(self) -> dict[str, Any]:
        """What makes the quantizer again."""
        return {
            "num_bits": self.num_bits,
            "layout": self.layout,
            "keep_zeros": self.keep_zeros,
            "is_tied": self.is_tied,
        }


@_registered
class FixedRangeQuantizer(_quantizers.Quantizer):
    """Rounds to the steps that TFLite prescribes for an op, such as 1/256 for a softmax."""

    def __init__(self, num_bits: int, low: float, high: float) -> None:
        self.num_bits, self.low, self.high = num_bits, low, high

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """It has nothing to learn."""
        return {}

    def __call__(
        self, inputs: Any, training: bool, weights: Mapping[str, Any], **kwargs: Any
    ) -> Any:
        """The rounded tensor."""
        return tf.quantization.fake_quant_with_min_max_args(
            inputs, self.low, self.high, num_bits=self.num_bits
        )

    def get_config(self) -> dict[str, Any]:
        """What makes the quantizer again."""
        return {"num_bits": self.num_bits, "low": self.low, "high": self.high}


@_registered
class WeightsConfig(_quantization.QuantizeConfig):
    """Rounds one kernel of a layer, and its output or not.

    attribute: the kernel's name in the layer. kernel, output: quantizers; None leaves the output
    to the layer behind it.
    """

    def __init__(self, attribute: str, kernel: Any, output: Any | None) -> None:
        self.attribute, self.kernel, self.output = attribute, kernel, output

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """The kernel."""
        return [(getattr(layer, self.attribute), self.kernel)]

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
        """None: activations that round are layers of their own."""
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: Sequence[Any]) -> None:
        """Let the layer compute with the rounded kernel."""
        setattr(layer, self.attribute, quantize_weights[0])

    def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
        """Nothing to set."""
        del layer, quantize_activations

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """The output's, if it has one."""
        return [] if self.output is None else [self.output]

    def get_config(self) -> dict[str, Any]:
        """What makes the config again."""
        serialize = _keras.utils.legacy.serialize_keras_object
        return {
            "attribute": self.attribute,
            "kernel": serialize(self.kernel),
            "output": None if self.output is None else serialize(self.output),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> WeightsConfig:
        """The config again."""
        with _quantization.quantize_scope():
            kernel, output = (_deserialized(config[key]) for key in ("kernel", "output"))
        return cls(config["attribute"], kernel, output)


@_registered
class RoundedWeights(_quantization.QuantizeWrapperV2):
    """TF-MOT's wrapper, under the layer's own name and with masks of sequences passed on."""

    def __init__(self, layer: Any, quantize_config: Any, **kwargs: Any) -> None:
        kwargs.setdefault("name", layer.name)
        super().__init__(layer, quantize_config, **kwargs)
        self.supports_masking = layer.supports_masking

    def call(self, inputs: Any, training: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        """The layer's outputs; a mask goes to layers that take one."""
        if mask is not None and "mask" in inspect.signature(self.layer.call).parameters:
            kwargs["mask"] = mask
        return super().call(inputs, training=training, **kwargs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """What the layer itself makes of it."""
        return self.layer.compute_mask(inputs, mask)

    def save_own_variables(self, store: Any) -> None:
        """For .keras files: each variable once. TF-MOT's wrapper lists the kernel once or twice."""
        for index, variable in enumerate(self.weights):
            store[str(index)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """What `save_own_variables` saved."""
        if len(store) != len(self.weights):
            raise ValueError(
                f"Layer '{self.name}' has {len(self.weights)} variables, and {len(store)} are "
                "stored: the file is of another model."
            )
        for index, variable in enumerate(self.weights):
            variable.assign(store[str(index)])

    @property
    def ranges(self) -> dict[str, Any]:
        """The variables of the output's range by name, min_var and max_var; empty without one."""
        has_range = bool(self._output_quantizers)
        return dict(self._output_quantizer_vars) if has_range else {}

    @property
    def kernels(self) -> list[tuple[Any, Any, dict[str, Any]]]:
        """(kernel variable, its quantizer, the quantizer's variables)."""
        return list(self._weight_vars)


@_registered
class RoundedActivation(_keras.layers.Layer):
    """Rounds a tensor, as TF-MOT's QuantizeLayer does; masks of sequences pass through."""

    def __init__(self, quantizer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quantizer = quantizer
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Make the quantizer's variables."""
        self.ranges = self.quantizer.build(input_shape, "output", self)
        super().build(input_shape)

    def call(self, inputs: Any, training: Any = None) -> Any:
        """The rounded tensor; in training the range follows what passes."""
        if training is None:
            training = _keras.backend.learning_phase()

        def rounded(learns: bool) -> Any:
            return self.quantizer(inputs, learns, weights=self.ranges)

        if isinstance(training, (bool, int)):
            return rounded(bool(training))
        is_training = tf.cast(training, tf.bool)
        return tf.cond(is_training, lambda: rounded(True), lambda: rounded(False))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        quantizer = _keras.utils.legacy.serialize_keras_object(self.quantizer)
        return {**super().get_config(), "quantizer": quantizer}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> RoundedActivation:
        """The layer again."""
        with _quantization.quantize_scope():
            quantizer = _deserialized(config["quantizer"])
        return cls(**{**config, "quantizer": quantizer})


@_registered
class Keras3Activation(_keras.layers.Layer):
    """An activation of Keras 3 that tf_keras does not have, such as hard_silu, by its name."""

    def __init__(self, function: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if function not in ACTIVATIONS:
            raise ValueError(f"'{function}' is no activation of Keras.")
        self.function = function
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """The activated tensor."""
        import keras

        return getattr(keras.activations, self.function)(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The same shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return {**super().get_config(), "function": self.function}


@_registered
class BatchMatMul(_keras.layers.Layer):
    """Multiplies the last two axes of two tensors; transpose_second swaps the second's first."""

    def __init__(self, transpose_second: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.transpose_second = transpose_second

    def call(self, inputs: Sequence[Any]) -> Any:
        """inputs: two tensors (..., n, k) and (..., k, m), or (..., m, k) if transposed."""
        return tf.matmul(inputs[0], inputs[1], transpose_b=self.transpose_second)

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return {**super().get_config(), "transpose_second": self.transpose_second}


@_registered
class CausalMask(_keras.layers.Layer):
    """Lowers the scores (..., steps, steps) of later steps, so that softmax forgets them.

    The penalty is small on purpose: the range of int8 scores has to hold it.
    """

    def __init__(self, penalty: float = 30.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.penalty = penalty

    def call(self, inputs: Any) -> Any:
        """The scores, those above the diagonal lowered."""
        rows, columns = inputs.shape[-2:]
        later = 1.0 - tf.linalg.band_part(tf.ones((rows, columns), inputs.dtype), -1, 0)
        return inputs - self.penalty * later

    def get_config(self) -> dict[str, Any]:
        """What makes the layer again."""
        return {**super().get_config(), "penalty": self.penalty}


def _most(bits: int) -> int:
    """The largest integer of the narrow range."""
    return (1 << (bits - 1)) - 1


def _channels(layout: Layout, shape: Sequence[int]) -> int:
    if layout == "depthwise":
        return int(shape[-2]) * int(shape[-1])
    return int(shape[-2 if layout == "transposed" else -1])


def _with_channels_last(layout: Layout, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape of rank 2 or 4, which TF-MOT's arithmetic by channel knows.

    Rank 4 is kept where it can be: the converter folds BatchNormalization into such a kernel.
    """
    if len(shape) == 4:
        height, width, inner, last = map(int, shape)
        return (height, width, 1, inner * last) if layout == "depthwise" else tuple(shape)
    last = int(shape[-2]) * int(shape[-1]) if layout == "depthwise" else int(shape[-1])
    return (-1, last)


def _swapped(rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]


def _deserialized(config: Any) -> Any:
    if config is None:
        return None
    return _keras.utils.legacy.deserialize_keras_object(config)
