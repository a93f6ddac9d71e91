"""The model that rounds in training, built from a plan, and the model that is exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tfgreen.compression.quantization.plan import LayerPlacement, Plan, Rounding
from tfgreen.models.keras2 import model_optimization
from tfgreen.models.keras2_graph import Call, Replay, built_like, clone_of, rebuilt

ROUNDING = "{}_rounding"
MOST_BITS = 8
_UNROUNDED = "{}_unrounded"


@dataclass(frozen=True)
class WeightRounding:
    """How kernels are rounded.

    bits: by layer name, 8 where a layer is not in it.
    by_channel: one step for each output channel, else for the whole kernel; None for the whole
        kernel where clusters are kept.
    """

    bits: Mapping[str, int]
    by_channel: bool | None = None
    preserve_sparsity: bool = False
    preserve_clusters: bool = False


def with_rounding(model: Any, plan: Plan, weights: WeightRounding, activation_bits: int) -> Any:
    """A model like a flat, rewritten one that rounds where the plan says so."""
    from tfgreen.models.qat_layers import RoundedActivation

    results = {tensor._keras_history.layer.name for tensor in model.outputs}

    def enter(tensor: Any) -> Any:
        name = tensor._keras_history.layer.name
        if name not in plan.inputs:
            return tensor
        return RoundedActivation(_input_rounder(activation_bits), name=ROUNDING.format(name))(
            tensor
        )

    def replacement(layer: Any) -> Call | None:
        placement = plan.layers[layer.name]
        if placement.kernel is not None:
            return _with_rounded_kernel(layer, placement, weights, activation_bits)
        if any(placement.outputs):
            return _with_rounded_outputs(layer, placement, activation_bits, layer.name in results)
        return None

    return rebuilt(model, Replay(replacement), enter)


def exported_form(wrapped: Any) -> Any:
    """The trained model without what only training needs, with ranges that fit its weights.

    Kernels that keep zeros or clusters become plain ones; steps follow the final weights, which
    the last update moved.
    """
    return rebuilt(wrapped, Replay(_plain))


def set_weight_ranges(model: Any) -> None:
    """Let the steps of every kernel follow its weights as they are, by TF-MOT's own rule."""
    for layer in rounded_kernels(model).values():
        for kernel, quantizer, variables in layer.kernels:
            plain_rounder(quantizer)(kernel, True, weights=variables)


def rounded_kernels(model: Any) -> dict[str, Any]:
    """The layers with a rounded kernel, by name."""
    return {x.name: x for x in model.layers if type(x).__name__ == "RoundedWeights"}


def plain_rounder(quantizer: Any) -> Any:
    """The quantizer with the same steps that neither keeps zeros nor clusters."""
    from tfgreen.models.qat_layers import ChannelWeightsQuantizer

    if isinstance(quantizer, ChannelWeightsQuantizer):
        is_tied = quantizer.is_tied
        return ChannelWeightsQuantizer(quantizer.num_bits, quantizer.layout, is_tied=is_tied)
    rounder = model_optimization().quantization.keras.quantizers.LastValueQuantizer
    return rounder(
        quantizer.num_bits, quantizer.per_axis, quantizer.symmetric, quantizer.narrow_range
    )


def output_name(layer: Any, index: int) -> str:
    """What one output of a layer is called here."""
    return f"{layer.name}_{index}" if index else str(layer.name)


def _with_rounded_kernel(
    layer: Any, placement: LayerPlacement, weights: WeightRounding, activation_bits: int
) -> Call:
    rounder = _kernel_rounder(layer, placement, weights)
    (rounding,) = placement.outputs
    output = None if rounding is None else _rounder(rounding, activation_bits)

    def wrap(inputs: Any) -> Any:
        from tfgreen.models.qat_layers import RoundedWeights, WeightsConfig

        copy = built_like(clone_of(layer), layer, inputs.shape)
        attribute = placement.kernel[0] if placement.kernel else ""
        return RoundedWeights(copy, WeightsConfig(attribute, rounder, output))

    return _made_at_first_call(wrap)


def _made_at_first_call(make: Callable[[Any], Any]) -> Call:
    made: list[Any] = []

    def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if not made:
            made.append(make(inputs))
        return made[0](inputs, *args, **kwargs)

    return call


def _with_rounded_outputs(
    layer: Any, placement: LayerPlacement, activation_bits: int, is_result: bool
) -> Call:
    """The layer and its roundings; what gives an output of the model has the layer's name."""
    import tensorflow as tf

    from tfgreen.models.qat_layers import RoundedActivation

    copy = clone_of(layer)
    pattern = "{}" if is_result else ROUNDING
    if is_result:
        copy._name = _UNROUNDED.format(layer.name)
    rounders = [
        None
        if rounding is None
        else RoundedActivation(
            _rounder(rounding, activation_bits), name=pattern.format(output_name(layer, index))
        )
        for index, rounding in enumerate(placement.outputs)
    ]
    waiting = [layer.get_weights()]

    def call(*args: Any, **kwargs: Any) -> Any:
        outputs = copy(*args, **kwargs)
        if waiting:
            copy.set_weights(waiting.pop())
        flat = tf.nest.flatten(outputs)
        rounded = [x if r is None else r(x) for x, r in zip(flat, rounders, strict=True)]
        return tf.nest.pack_sequence_as(outputs, rounded)

    return call


def _rounder(rounding: Rounding, bits: int) -> Any:
    from tfgreen.models.qat_layers import FixedRangeQuantizer

    if rounding.kind == "prescribed":
        return FixedRangeQuantizer(bits, rounding.low, rounding.high)
    rounder = model_optimization().quantization.keras.quantizers.MovingAverageQuantizer
    return rounder(**_activation_steps(bits))


def _input_rounder(bits: int) -> Any:
    rounder = model_optimization().quantization.keras.quantizers.AllValuesQuantizer
    return rounder(**_activation_steps(bits))


def _activation_steps(bits: int) -> dict[str, Any]:
    """int16 activations have their zero in the middle; int8 ones where it suits the range."""
    is_symmetric = bits == 16
    return {
        "num_bits": bits,
        "per_axis": False,
        "symmetric": is_symmetric,
        "narrow_range": is_symmetric,
    }


def _kernel_rounder(layer: Any, placement: LayerPlacement, weights: WeightRounding) -> Any:
    """TF-MOT's quantizer where it has one for the kernel, else our own."""
    from tfgreen.models.qat_clusters import ClusteredWeightsQuantizer
    from tfgreen.models.qat_layers import ChannelWeightsQuantizer

    attribute, layout = placement.kernel or ("kernel", "last")
    bits = weights.bits.get(layer.name, MOST_BITS)
    is_clustered = keeps_clusters(weights, getattr(layer, attribute).numpy())
    by_channel = not is_clustered if weights.by_channel is None else weights.by_channel
    if is_clustered:
        return ClusteredWeightsQuantizer(bits, layout, weights.preserve_sparsity, not by_channel)
    is_known = type(layer).__name__ in ("Conv2D", "Dense") and bits in (4, 8)
    if not (is_known and by_channel):
        return ChannelWeightsQuantizer(bits, layout, weights.preserve_sparsity, not by_channel)
    if weights.preserve_sparsity:
        return _zero_keeping()(bits, True, True, True)
    return model_optimization().quantization.keras.quantizers.LastValueQuantizer(
        bits, True, True, True
    )


def keeps_clusters(weights: WeightRounding, kernel: Any) -> bool:
    """Whether a kernel has few values that are to stay few."""
    from tfgreen.models.qat_clusters import cluster_count

    return weights.preserve_clusters and cluster_count(kernel) is not None


@cache
def _zero_keeping() -> Any:
    """The quantizer, of any width, of TF-MOT's prune-preserving scheme."""
    scheme = model_optimization().experimental.combine.Default8BitPrunePreserveQuantizeScheme()
    some_quantizer = scheme.get_quantize_registry()._config_quantizer_map[
        "Default8BitQuantizeConfig"
    ]
    return type(some_quantizer).__mro__[1]


def _plain(layer: Any) -> Call | None:
    if type(layer).__name__ != "RoundedWeights":
        return None

    def wrap(inputs: Any) -> Any:
        return _plain_wrapper(layer, inputs.shape)

    return _made_at_first_call(wrap)


def _plain_wrapper(wrapper: Any, shape: Any) -> Any:
    import tensorflow as tf

    from tfgreen.models.qat_layers import RoundedWeights, WeightsConfig

    config = wrapper.quantize_config
    inner = clone_of(wrapper.layer)
    plain = WeightsConfig(config.attribute, plain_rounder(config.kernel), config.output)
    made = RoundedWeights(inner, plain)
    with tf.name_scope(made.name):  # .h5 files want names of variables that differ
        inner.build(shape)
        made.build(shape)
    values = _weights_inside(wrapper)
    inner.set_weights([values[_short_name(weight)] for weight in inner.weights])
    for kernel, quantizer, variables in made.kernels:
        quantizer(kernel, True, weights=variables)
    for name, variable in made.ranges.items():
        variable.assign(wrapper.ranges[name])
    return made


def _weights_inside(wrapper: Any) -> Mapping[str, Any]:
    """The layer's weights by short name; kernels with the zeros and clusters that they keep."""
    values: dict[str, Any] = {_short_name(w): w.numpy() for w in wrapper.layer.weights}
    for kernel, quantizer, variables in wrapper.kernels:
        values[_short_name(kernel)] = kept_values(kernel, quantizer, variables)
    return values


def kept_values(kernel: Any, quantizer: Any, variables: Mapping[str, Any]) -> np.ndarray:
    """A trained kernel as it is computed with before it is rounded: with its zeros or clusters."""
    if hasattr(quantizer, "kept"):
        return np.asarray(quantizer.kept(kernel, variables))
    mask = variables.get("sparsity_mask")
    return np.asarray(kernel if mask is None else kernel * mask)


def _short_name(weight: Any) -> str:
    return str(weight.name).split(":")[0].rsplit("/", 1)[-1]
