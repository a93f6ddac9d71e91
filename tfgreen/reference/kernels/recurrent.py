"""UNIDIRECTIONAL_SEQUENCE_LSTM with 8-bit weights and activations and a 16-bit cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.flatbuffer import Tensor
from tfgreen.reference import fixed_point_16
from tfgreen.reference.arithmetic import Integers, divide_by_power_of_two
from tfgreen.reference.kernels.activations import sigmoid_16
from tfgreen.reference.node import Node, Run
from tfgreen.reference.products import Weights, largest_input
from tfgreen.reference.requantization import Factor

_GATES = ("input", "forget", "cell", "output")
_GATE_SCALE = 2.0**-12
_INT16 = np.iinfo(np.int16)
_BIASES, _PROJECTION, _STATE, _CELL = 12, 16, 18, 19


@dataclass(frozen=True)
class _Gate:
    """One gate before its squashing function: weights and factors of input and last output."""

    weights: tuple[Weights, Weights]
    offsets: tuple[Integers, Integers]
    factors: tuple[Factor, Factor]

    def __call__(self, data: np.ndarray, state: Integers) -> Integers:
        """int16 with three integer bits, (n, cells)."""
        total = np.zeros(1, np.int64)
        for part in range(2):
            given, weights = (data, state)[part], self.weights[part]
            sums = (given.astype(weights.precision) @ weights.matrix).astype(np.int64)
            scaled = self.factors[part].multiply(sums + self.offsets[part])
            total = np.clip(np.clip(scaled, _INT16.min, _INT16.max) + total, _INT16.min, _INT16.max)
        return total


def lstm(node: Node) -> Run:
    """The LSTM that Keras' layer becomes: no peepholes, projection or layer normalization."""
    node.expect_dtypes("int8")
    data, state, cell = node.input(0), node.input(_STATE), node.input(_CELL)
    if any(node.has(i) for i in (9, 10, 11, 16, 17, 20, 21, 22, 23)) or not node.has(1):
        raise node.unsupported("has peepholes, a projection, normalization or a coupled gate")
    node.expect(len(data.shape) == 3, f"reads {len(data.shape)} dimensions; expected 3")
    gates = {name: _gate(node, i, data, state) for i, name in enumerate(_GATES)}
    power = round(float(np.log2(node.scale(cell))))
    node.expect(-15 <= power <= -9, f"has a cell scale of 2**{power}; expected 2**-15 to 2**-9")
    step = _Step(node, power)
    time_major = bool(node.option("timeMajor", False))
    cells = gates["cell"].weights[0].matrix.shape[1]

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        sequences = inputs[0].swapaxes(1, 2) if time_major else inputs[0]
        sequences = sequences.reshape(-1, *sequences.shape[2:])
        results = np.empty((*sequences.shape[:2], cells), np.int8)
        hidden = np.full((len(sequences), cells), node.zero_point(state), np.int64)
        memory = np.zeros((len(sequences), cells), np.int64)
        for time in range(sequences.shape[1]):
            values = {name: gate(sequences[:, time], hidden) for name, gate in gates.items()}
            hidden, memory = step(values, memory)
            results[:, time] = hidden
        results = results.reshape(len(inputs[0]), -1, *results.shape[1:])
        return [np.ascontiguousarray(results.swapaxes(1, 2) if time_major else results)]

    return run


def _gate(node: Node, index: int, data: Tensor, state: Tensor) -> _Gate:
    weights, offsets, factors = [], [], []
    for position, given in ((1 + index, data), (5 + index, state)):
        matrix = node.constant(position)
        found = Weights.of(matrix.T, largest_input("int8"), node)
        offset = -node.zero_point(given) * found.sums
        if given is data and node.has(_BIASES + index):
            offset = offset + node.constant(_BIASES + index).astype(np.int64)
        scale = np.float32(node.scale(node.input(position))) * np.float32(node.scale(given))
        weights.append(found)
        offsets.append(offset)
        factors.append(Factor.of(float(scale / np.float32(_GATE_SCALE)), "double"))
    return _Gate((weights[0], weights[1]), (offsets[0], offsets[1]), (factors[0], factors[1]))


class _Step:
    """From the four gates and the cell to the next cell and output."""

    def __init__(self, node: Node, power: int) -> None:
        self._power, self._is_micro = power, node.rounding == "micro"
        clip = float(node.option("cellClip", 0.0))
        self._clip = min(int(clip / 2.0**power), _INT16.max) if clip > 0 else int(_INT16.max)
        out = node.output()
        # LiteRT works the factor out in float32, TensorFlow Lite Micro in float64.
        precision = np.float64 if self._is_micro else np.float32
        self._zero_point = node.zero_point(out)
        real = precision(2.0**-30) / precision(node.scale(out))
        self._to_output = Factor.of(float(real), "double")

    def __call__(self, gates: dict[str, Integers], memory: Integers) -> tuple[Integers, Integers]:
        opened = {name: self._logistic(gates[name]) for name in ("input", "forget", "output")}
        kept = self._shifted(opened["forget"] * memory, 15)
        added = self._shifted(opened["input"] * self._tanh(gates["cell"], 3), 30 + self._power)
        memory = np.clip(kept + added, _INT16.min, _INT16.max)
        if self._clip < _INT16.max:
            memory = np.clip(memory, -self._clip, self._clip)
        shown = opened["output"] * self._tanh(memory, 15 + self._power)
        hidden = self._to_output.multiply(shown) + self._zero_point
        return np.clip(hidden, -128, 127), memory

    def _logistic(self, values: Integers) -> Integers:
        if self._is_micro:
            return sigmoid_16(values, 3, 0, 1)
        return fixed_point_16.logistic(values, 3)

    def _tanh(self, values: Integers, integer_bits: int) -> Integers:
        if not self._is_micro:
            return fixed_point_16.tanh(values, integer_bits)
        shift = integer_bits - 3
        if shift < 0:
            return sigmoid_16(values, 3, -shift, 2)
        return sigmoid_16(values, 3 << shift, 0, 2)

    def _shifted(self, products: Integers, bits: int) -> Integers:
        """Products of 16-bit numbers with `bits` fewer fractional bits."""
        if self._is_micro:
            scaled = Factor.of(2.0**-bits, "double").multiply(products)
        else:
            scaled = divide_by_power_of_two(products, bits)
        return np.clip(scaled, _INT16.min, _INT16.max)
