"""Which tensor of a quantized file is which tensor of its float model.

Graph inputs and outputs are paired by their names, else by their order. Inside, files of one
conversion share the names of op outputs. Where names differ (files that others made), execution
order, shapes and op names are aligned, and the values on some samples, if there are any, decide
between candidates. A QUANTIZE or DEQUANTIZE has the same real values on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import Tensor, TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.verification.conversions import CONVERSIONS
from tfgreen.verification.fidelity import paired_outputs

How = Literal["input", "output", "name", "conversion", "structure"]
Correlate = Callable[[int, int], float | None]
"""Correlation of a tensor of the file with one of the float model, -1..1; None if unknown."""

_SAME_OP_SCORE, _CORRELATION_SCORE = 1.0, 2.0
_LEAST_SCORE = 0.9
_TWINS = 0.98


@dataclass(frozen=True)
class TensorPair:
    """One tensor of the file with the float tensor that it stands for.

    Attributes:
        file_index: Tensor index in the quantized file.
        float_index: Tensor index in the float file.
        how: What tells that they belong together.
    """

    file_index: int
    float_index: int
    how: How


def pair(
    float_model: TfliteModel, int8_model: TfliteModel, correlate: Correlate | None = None
) -> tuple[TensorPair, ...]:
    """Pair the real-valued activations of a file with those of its float model.

    Args:
        float_model: The float file.
        int8_model: The quantized file, by whatever converter.
        correlate: Tells how alike two tensors are on samples; used where names say nothing.

    Returns:
        In the file's order; tensors that have no counterpart are left out.

    Raises:
        UnsupportedModelError: other inputs or outputs: the file is no version of this model.
    """
    found: dict[int, TensorPair] = {}
    for one in (*_inputs(float_model, int8_model), *_outputs(float_model, int8_model)):
        found.setdefault(one.file_index, one)
    names = {
        t.name: t.index
        for t in reversed(_activations(float_model))
        if t.index not in float_model.inputs
    }
    for tensor in _activations(int8_model):
        twin = names.get(tensor.name)
        if twin is not None and _fits(int8_model, tensor.index, float_model, twin):
            found.setdefault(tensor.index, TensorPair(tensor.index, twin, "name"))
    _through_conversions(int8_model, found)
    for one in _by_structure(float_model, int8_model, found, correlate):
        found[one.file_index] = one
    _through_conversions(int8_model, found)
    return tuple(found[index] for index in _in_order(int8_model) if index in found)


def correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Pearson's correlation of all values; None where one of the two does not vary.

    >>> round(correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.5])), 2)
    1.0
    """
    one, other = (array.astype(np.float64).ravel() for array in (first, second))
    finite = np.isfinite(one) & np.isfinite(other)
    one, other = one[finite], other[finite]
    if not one.size:
        return None
    one, other = one - one.mean(), other - other.mean()
    power = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / power if power > 0 else None


def _inputs(float_model: TfliteModel, model: TfliteModel) -> Iterator[TensorPair]:
    """Inputs by name if the names are the same set, else by order; shapes have to fit."""
    here, there = model.input_names, float_model.input_names
    names = f"The file has the inputs {', '.join(here)}, the float model {', '.join(there)}"
    if len(here) != len(there):
        raise UnsupportedModelError(f"{names}. Give the model that the file was made from.")
    same = set(here) == set(there) and len(set(here)) == len(here)
    for position, index in enumerate(model.inputs):
        twin = float_model.inputs[there.index(here[position]) if same else position]
        if not _fits(model, index, float_model, twin):
            raise UnsupportedModelError(
                f"The input '{here[position]}' has the shape {model.tensors[index].shape} in the "
                f"file and {float_model.tensors[twin].shape} in the float model: the file is no "
                "version of this model. Give the model that the file was made from."
            )
        yield TensorPair(index, twin, "input")


def _outputs(float_model: TfliteModel, model: TfliteModel) -> Iterator[TensorPair]:
    for position, there in enumerate(paired_outputs(model, float_model)):
        index, twin = model.outputs[position], float_model.outputs[there]
        if _fits(model, index, float_model, twin):
            yield TensorPair(index, twin, "output")


def _activations(model: TfliteModel) -> list[Tensor]:
    """Real-valued tensors that are computed or given, in the order in which they come about."""
    return [model.tensors[index] for index in _in_order(model) if _is_real(model, index)]


def _in_order(model: TfliteModel) -> list[int]:
    return list(dict.fromkeys([*model.inputs, *(i for op in model.ops for i in op.outputs)]))


def _is_real(model: TfliteModel, index: int) -> bool:
    tensor = model.tensors[index]
    return tensor.dtype in FLOAT_DTYPES or tensor.quantization is not None


def _fits(model: TfliteModel, index: int, float_model: TfliteModel, twin: int) -> bool:
    """Whether two tensors hold as many values a sample, in the same dimensions."""
    here, there = model.tensors[index].shape, float_model.tensors[twin].shape
    return here == there or (len(here) == len(there) > 0 and here[1:] == there[1:])


def _through_conversions(model: TfliteModel, found: dict[int, TensorPair]) -> None:
    """Both sides of a QUANTIZE or DEQUANTIZE stand for the same float tensor."""
    conversions = [op for op in model.ops if op.name in CONVERSIONS]
    for ops, backwards in ((conversions, False), (conversions[::-1], True)):
        for op in ops:
            known, other = op.inputs[0], op.outputs[0]
            if backwards:
                known, other = other, known
            if known in found and other not in found and not model.tensors[other].is_constant:
                found[other] = TensorPair(other, found[known].float_index, "conversion")


def _by_structure(
    float_model: TfliteModel,
    model: TfliteModel,
    found: Mapping[int, TensorPair],
    correlate: Correlate | None,
) -> Iterator[TensorPair]:
    """Align what is left between tensors that are paired already, then match by value alone."""
    taken = {one.float_index for one in found.values()}
    mine = [i for i in _in_order(model) if _is_real(model, i)]
    free = [i for i in mine if i not in found and model.producer(i) is not None]
    free = [i for i in free if _op_name(model, i) not in CONVERSIONS]
    theirs = [i for i in _in_order(float_model) if _is_real(float_model, i) and i not in taken]
    matcher = _Matcher(float_model, model, correlate)
    pairs = matcher.aligned(free, theirs)
    for index, twin in pairs:
        yield TensorPair(index, twin, "structure")
    left = [i for i in free if i not in {one for one, _ in pairs}]
    spare = [i for i in theirs if i not in {other for _, other in pairs}]
    for index, twin in matcher.twins(left, spare):
        yield TensorPair(index, twin, "structure")


def _op_name(model: TfliteModel, index: int) -> str:
    producer = model.producer(index)
    return producer.name if producer is not None else ""


class _Matcher:
    """Scores how well tensors of two graphs go together, and aligns the two orders."""

    def __init__(
        self, float_model: TfliteModel, model: TfliteModel, correlate: Correlate | None
    ) -> None:
        self._float_model, self._model, self._correlate = float_model, model, correlate

    def score(self, index: int, twin: int) -> float:
        """0 where they cannot be the same; at most 3."""
        if not _fits(self._model, index, self._float_model, twin):
            return 0.0
        same_op = _op_name(self._model, index) == _op_name(self._float_model, twin)
        score = _SAME_OP_SCORE * same_op
        likeness = self._correlate(index, twin) if self._correlate else None
        if likeness is not None:
            score += _CORRELATION_SCORE * max(likeness, 0.0)
        return score if score >= _LEAST_SCORE else 0.0

    def aligned(self, mine: list[int], theirs: list[int]) -> list[tuple[int, int]]:
        """The pairing of two sequences, in order, with the highest sum of scores."""
        scores = np.array([[self.score(i, j) for j in theirs] for i in mine], np.float64)
        if not scores.size:
            return []
        best = np.zeros((len(mine) + 1, len(theirs) + 1))
        for row in range(len(mine) - 1, -1, -1):
            for column in range(len(theirs) - 1, -1, -1):
                both = best[row + 1, column + 1] + scores[row, column]
                best[row, column] = max(both, best[row + 1, column], best[row, column + 1])
        return list(_traced(best, scores, mine, theirs))

    def twins(self, mine: list[int], theirs: list[int]) -> Iterator[tuple[int, int]]:
        """Tensors that are out of order, but all but equal in value."""
        spare = list(theirs)
        for index in mine:
            likeness = {
                twin: (self._correlate(index, twin) or 0.0) if self._correlate else 0.0
                for twin in spare
                if _fits(self._model, index, self._float_model, twin)
            }
            twin = max(likeness, key=likeness.__getitem__, default=None)
            if twin is not None and likeness[twin] >= _TWINS:
                spare.remove(twin)
                yield index, twin


def _traced(
    best: np.ndarray, scores: np.ndarray, mine: list[int], theirs: list[int]
) -> Iterator[tuple[int, int]]:
    row = column = 0
    while row < len(mine) and column < len(theirs):
        both = best[row + 1, column + 1] + scores[row, column]
        if scores[row, column] > 0 and both >= best[row, column]:
            yield mine[row], theirs[column]
            row, column = row + 1, column + 1
        elif best[row + 1, column] >= best[row, column + 1]:
            row += 1
        else:
            column += 1
