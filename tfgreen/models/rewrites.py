"""Changes to a live model, so that its graph can become one integer file.

They are made in the worker, to a model that it alone holds; the graph that comes of it is rewritten
further in `tfgreen.models.islands`.

* A loop kills the converter when it quantizes: recurrent layers of a fixed number of steps are
  unrolled, with equal outputs.
* A model of mixed precision has float32 weights but computes in 16 bits, for which TFLite has no
  kernels: it is made to compute in float32, which is the same within the rounding that it saves.
"""

from __future__ import annotations

from typing import Any

from tfgreen.models.loading import flavour_of

# An unrolled graph grows with every step; beyond this it is no graph for a small device.
MOST_STEPS = 128

# tf_keras's LSTM has a kernel of its own in TFLite and stays as it is, but for models that were
# trained for their steps: with that kernel the file is 12 steps off where unrolled it is 1.
_FUSED = ("LSTM",)
_LOOPED = {
    "keras3": ("RNN", "LSTM", "GRU", "SimpleRNN"),
    "keras2": ("RNN", "GRU", "SimpleRNN"),
}


def compute_in_float32(model: Any) -> tuple[str, ...]:
    """Take mixed precision off a model that this process alone holds; tells what was done."""
    flavour = flavour_of(model)
    mixed: dict[str, None] = {}
    for layer in (model, *_layers(model, flavour)):
        if layer.compute_dtype == layer.variable_dtype or layer.variable_dtype != "float32":
            continue
        mixed[layer.dtype_policy.name] = None
        if flavour == "keras3":
            layer.dtype_policy = "float32"
        else:
            layer._set_dtype_policy("float32")
    return tuple(f"computed in float32, where it was trained in {name}" for name in mixed)


def unroll_recurrent_layers(
    model: Any, *, with_fused: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Unroll the loops of a model that this process alone holds; tells what was and was not.

    with_fused: also those that TFLite has a kernel of its own for.
    The second tuple names the layers that stay loops, with the reason.
    """
    flavour = flavour_of(model)
    loops = (*_LOOPED[flavour], *(_FUSED if with_fused else ()))
    unrolled: list[str] = []
    looped: list[str] = []
    for layer in _layers(model, flavour):
        if type(layer).__name__ not in loops or layer.unroll or not layer.built:
            continue
        steps = _steps(layer)
        if steps is None or steps > MOST_STEPS:
            size = "an unknown number of" if steps is None else str(steps)
            looped.append(
                f"{type(layer).__name__} '{layer.name}' has {size} steps and stays a loop (more "
                f"than {MOST_STEPS} are not unrolled); int8 conversion of a loop fails"
            )
            continue
        layer.unroll = True
        if hasattr(layer, "_could_use_gpu_kernel"):
            layer._could_use_gpu_kernel = False
        unrolled.append(f"{type(layer).__name__} '{layer.name}' unrolled over {steps} steps")
    return tuple(unrolled), tuple(looped)


def _layers(model: Any, flavour: str) -> list[Any]:
    if flavour == "keras3":
        from tfgreen.models import keras3

        return keras3.layers_of(model)
    from tfgreen.models import keras2

    return keras2.layers_of(model)


def _steps(layer: Any) -> int | None:
    shape = (layer.get_build_config() or {}).get("input_shape")
    if shape is None and getattr(layer, "input_spec", None):
        shape = layer.input_spec[0].shape
    return shape[1] if shape is not None and len(shape) > 1 else None
