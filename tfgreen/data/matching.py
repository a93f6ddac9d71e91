"""Match samples to a model's inputs: by name and shape, never by order, with explicit casts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tfgreen.data.samples import Samples
from tfgreen.errors import InvalidDataError
from tfgreen.signature import InputSpec


def match(samples: Samples, inputs: Sequence[InputSpec]) -> Samples:
    """The samples with the model's input names as keys, in the model's shapes and dtypes.

    `x` stands for the only input. A cast must keep every value: integers and float16 become
    float32 if nothing is rounded, float64 is rounded to float32, and floats never become
    integers. Raises InvalidDataError with what was received, expected and what to do.

    >>> samples = Samples({"x": np.arange(6, dtype="uint8").reshape(2, 3)})
    >>> match(samples, [InputSpec("image", (3,), "float32")]).inputs["image"].dtype
    dtype('float32')
    """
    arrays = _by_name(samples, inputs)
    fitted = {}
    for spec in inputs:
        _check_shape(arrays[spec.name], spec, samples.source)
        fitted[spec.name] = _cast(arrays[spec.name], spec, samples.source)
    return replace(samples, inputs=fitted)


def _by_name(samples: Samples, inputs: Sequence[InputSpec]) -> Mapping[str, np.ndarray]:
    wanted = [spec.name for spec in inputs]
    found = dict(samples.inputs)
    if len(wanted) == 1 and list(found) == ["x"]:
        return {wanted[0]: found["x"]}
    if set(found) != set(wanted):
        x = " or x" if len(wanted) == 1 else ""
        raise InvalidDataError(
            f"{samples.source} holds the inputs {', '.join(sorted(found))}; the model takes "
            f"{', '.join(map(str, inputs))}. Name the arrays {', '.join(wanted)}{x}."
        )
    return found


def _check_shape(array: np.ndarray, spec: InputSpec, source: str) -> None:
    if _fits(array.shape[1:], spec.shape):
        return
    raise InvalidDataError(
        f"'{spec.name}' in {source} has the shape {_text(array.shape)}; expected "
        f"{_text(('n', *spec.shape))}.{_shape_hint(array.shape, spec.shape)}"
    )


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        size is None or size == got for size, got in zip(wanted, shape, strict=True)
    )


def _shape_hint(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> str:
    """What probably happened, if that can be told from the two shapes."""
    inner = shape[1:]
    if _fits(shape, wanted):
        return " That is one sample without a batch dimension: use x[np.newaxis]."
    if wanted and wanted[-1] == 1 and _fits(inner, wanted[:-1]):
        return " The channel is missing: use x[..., np.newaxis]."
    if inner and inner[-1] == 1 and _fits(inner[:-1], wanted):
        return " There is one dimension too many: use x[..., 0]."
    if wanted and len(shape) == len(wanted) and _fits(inner, wanted[1:]):
        return " The samples seem to be joined without a batch dimension: batch them first."
    if len(inner) == 3 and _fits((*inner[1:], inner[0]), wanted):
        return " The channels come first: use np.moveaxis(x, 1, -1)."
    sizes = [size for size in wanted if size is not None]
    if len(sizes) == len(wanted) and math.prod(inner) == math.prod(sizes):
        return f" The number of values is right: use x.reshape{_text((-1, *sizes))}."
    return " Prepare the samples as for the model's training."


def _text(shape: Sequence[int | str | None]) -> str:
    sizes = ["?" if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _cast(array: np.ndarray, spec: InputSpec, source: str) -> np.ndarray:
    wanted = np.dtype(spec.dtype)
    if array.dtype == wanted:
        return array
    if array.dtype.kind == "f" and wanted.kind != "f":
        raise InvalidDataError(
            f"'{spec.name}' in {source} holds {array.dtype}; expected {wanted}. Floats are never "
            f"turned into integers here: use x.astype('{wanted}') if that is meant."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(wanted)
    lost = _lost(array, cast)
    if lost.any():
        raise InvalidDataError(
            f"'{spec.name}' in {source} holds {array.dtype} values that {wanted} cannot hold "
            f"({np.count_nonzero(lost)} of {array.size}, as {array[lost][0]}). Rescale them as "
            "for the model's training."
        )
    return cast


def _lost(array: np.ndarray, cast: np.ndarray) -> np.ndarray:
    """Where a cast lost more than a float's rounding."""
    if array.dtype.kind == "f":
        return np.isfinite(array) & ~np.isfinite(cast)
    if cast.dtype.kind == "f":
        return _rounded(array, cast)
    if cast.dtype.kind == "b":
        return (array != 0) & (array != 1)
    limits = np.iinfo(cast.dtype)
    return (array < limits.min) | (array > limits.max)


def _rounded(integers: np.ndarray, floats: np.ndarray) -> np.ndarray:
    """Where an integer is not exactly the float that it became."""
    exact = 2 ** (np.finfo(floats.dtype).nmant + 1)
    magnitudes = np.abs(integers.astype(np.float64))
    if integers.size == 0 or magnitudes.max() <= exact:
        return np.zeros(integers.shape, bool)
    return np.array(integers.astype(object) != floats.astype(object), dtype=bool)
