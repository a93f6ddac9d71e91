"""From real numbers to the integers that a file stores, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfgreen.errors import InvalidDataError, UnsupportedModelError
from tfgreen.flatbuffer import Quantization, Tensor, TfliteModel

if TYPE_CHECKING:
    from tfgreen.data.samples import Samples

_PLAIN_DTYPES = frozenset(
    {"bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"}
    | {"float16", "float32", "float64", "complex64", "complex128"}
)
_QUANTIZED_DTYPES = frozenset({"int8", "uint8", "int16"})


def quantize_inputs(model: TfliteModel, samples: Samples) -> tuple[np.ndarray, ...]:
    """The arrays that a `Task` takes, from samples as people have them.

    Quantized inputs are `round(x / scale) + zero_point` in float32, ties to even (as NumPy's
    `round`), clipped to the type's range; other inputs are cast, and only if that is exact (or
    from one float type to another).

    Args:
        model: The file to be run.
        samples: Real values by input name, each (n, *shape of one sample); the only array of
            `samples` serves the only input of a model, whatever its name.

    Returns:
        One array for each graph input, in graph order, of shape (N, *tensor shape). N is n over
        the file's batch size.

    Raises:
        InvalidDataError: an input is missing, has the wrong shape, has NaN or infinite values,
            or does not fill whole batches.
    """
    return tuple(
        _quantized(_batched(_find(samples.inputs, name, model), tensor, name), tensor, name)
        for name, tensor in zip(
            model.input_names, (model.tensors[index] for index in model.inputs), strict=True
        )
    )


def dequantize(array: np.ndarray, quantization: Quantization | None) -> np.ndarray:
    """Stored integers as float32 real numbers: `scale * (stored - zero_point)`.

    Args:
        array: Of any shape when quantized per tensor; of the tensor's own shape per channel.
        quantization: None for plain numbers, which are only cast.

    >>> q = Quantization(np.array([0.5], np.float32), np.array([-10]), None)
    >>> dequantize(np.array([-10, 2], np.int8), q)
    array([0., 6.], dtype=float32)
    """
    if quantization is None:
        return array.astype(np.float32)
    if quantization.block_size:
        raise UnsupportedModelError("Blockwise quantized values cannot be dequantized here.")
    scales, zero_points = quantization.scales, quantization.zero_points
    if quantization.axis is not None:
        along_axis = [1] * array.ndim
        along_axis[quantization.axis] = -1
        scales, zero_points = scales.reshape(along_axis), zero_points.reshape(along_axis)
    if array.dtype.itemsize > 2:  # float32 does not hold every int32
        return ((array.astype(np.float64) - zero_points) * scales).astype(np.float32)
    real = array.astype(np.float32)
    real -= zero_points.astype(np.float32)
    real *= scales
    return real


def _find(inputs: Mapping[str, np.ndarray], name: str, model: TfliteModel) -> np.ndarray:
    if name in inputs:
        return np.asarray(inputs[name])
    if len(inputs) == len(model.inputs) == 1:
        return np.asarray(next(iter(inputs.values())))
    raise InvalidDataError(
        f"The samples have no input {name!r}; received {', '.join(sorted(inputs)) or 'none'}, "
        f"expected {', '.join(model.input_names)}."
    )


def _batched(values: np.ndarray, tensor: Tensor, name: str) -> np.ndarray:
    """(n, *sample shape) as (N, *tensor shape)."""
    if values.shape[1:] == tensor.shape and len(values):
        return values
    batch = tensor.shape[0] if tensor.shape else 0
    if values.ndim == 0 or not batch or values.shape[1:] != tensor.shape[1:] or not len(values):
        raise InvalidDataError(
            f"Input {name!r} received an array of shape {values.shape}; expected "
            f"(n, {', '.join(map(str, tensor.shape[1:]))}) with at least one sample."
        )
    if len(values) % batch:
        raise InvalidDataError(
            f"Input {name!r} received {len(values)} samples, which do not fill batches of "
            f"{batch}, the file's batch size. Give a multiple of it."
        )
    return values.reshape(-1, *tensor.shape)


def _quantized(values: np.ndarray, tensor: Tensor, name: str) -> np.ndarray:
    if tensor.dtype in _QUANTIZED_DTYPES and tensor.quantization is not None:
        limits = np.iinfo(tensor.dtype)
        real = values.astype(np.float32)
        if not np.isfinite(real).all():
            raise InvalidDataError(f"Input {name!r} has NaN or infinite values.")
        stored = np.round(real / tensor.quantization.scales[0])
        stored += np.float32(tensor.quantization.zero_points[0])
        return np.clip(stored, limits.min, limits.max).astype(tensor.dtype)
    if tensor.dtype not in _PLAIN_DTYPES:
        raise UnsupportedModelError(
            f"Input {name!r} is of type {tensor.dtype}, for which NumPy has no arrays."
        )
    with np.errstate(invalid="ignore"):
        cast = values.astype(tensor.dtype)
    both_float = values.dtype.kind == cast.dtype.kind == "f"
    if not both_float and not np.array_equal(cast, values):
        raise InvalidDataError(
            f"Input {name!r} takes {tensor.dtype}; the values received, of type {values.dtype}, "
            "cannot be cast to it exactly."
        )
    return cast
